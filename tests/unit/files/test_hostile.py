"""What the reliability sweep found, each in its smallest form; and what must never happen again."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import gramlab
from gramlab import cli
from gramlab.cli import text
from gramlab.errors import (
    GramlabError,
    InvalidSetting,
    NotEnoughMemory,
    OutputError,
    UnreadableSource,
)
from gramlab.files.shards import is_feature_folder, quarantine_damage, read_manifest, writing
from gramlab.importing import import_features
from gramlab.numerics.content import sha256, to_json

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes are POSIX")

RNG = np.random.default_rng(7)
X = RNG.standard_normal((12, 3)).astype(np.float32)
Y = np.arange(12) % 3
NAMES = ["ant", "bee", "cat"]


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def headed(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + X.tobytes()


# ---- Arrays ---------------------------------------------------------------------------------

# NumPy's parser of headers lets exceptions of Python's own parser out.
HEADERS = [b'"""', b"(\n", b"\n  x\n y", b"(" * 3000, b"{1L: 2", b"'", b"1+" * 3000 + b"1"]


@pytest.mark.parametrize("text", HEADERS)
def test_an_array_header_that_is_no_python_is_refused(tmp_path, text):
    (tmp_path / "x.npy").write_bytes(headed(text))
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(UnreadableSource, match=r"no plain \.npy array"):
        import_features(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", headed(text))
        archive.writestr("y.npy", npy(Y))
    with pytest.raises(UnreadableSource, match="is damaged"):
        gramlab.load_features(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", ["(10**12, 3)", "(-12, 3)", "(2**64, 1)", "(12, 4)", "(11, 3)"])
def test_an_array_that_is_not_as_long_as_its_header_says_is_refused(tmp_path, shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {eval(shape)}}}"
    (tmp_path / "x.npy").write_bytes(headed(text.encode()))
    with pytest.raises(UnreadableSource, match=r"no plain \.npy array"):
        import_features(tmp_path / "x.npy", labels=tmp_path / "x.npy")


def test_an_archive_called_npy_is_refused(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(UnreadableSource, match=r"no plain \.npy array"):
        import_features(tmp_path / "x.npy", labels=tmp_path / "x.npy")


def test_a_bzip2_bomb_is_refused_before_a_byte_is_unpacked(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.npy", bytes(40_000_000))
        archive.writestr("y.npy", npy(Y))
    assert path.stat().st_size < 1000
    with zipfile.ZipFile(path) as archive, archive.open("x.npy") as member:
        tracemalloc.start()  # planted: one small read of it takes what all of it unpacks to
        try:
            assert len(member.read(10)) == 10
            assert tracemalloc.get_traced_memory()[1] > 20_000_000
        finally:
            tracemalloc.stop()
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableSource, match="packed by a method"):
            gramlab.load_features(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("second", [0, 0x24000020])  # of two, Python makes a str that breaks
@pytest.mark.parametrize("order", "<>")
def test_text_that_holds_no_characters_is_refused(second, order, tmp_path):
    raw = np.array([[97, 0], [98, 0], [0x110000, second]], f"{order}u4")
    names = raw.view(f"{order}U2").ravel()
    np.savez(tmp_path / "a.npz", x=X, y=Y, class_names=names)
    with pytest.raises(UnreadableSource, match="beyond the last Unicode character"):
        gramlab.load_features(tmp_path / "a.npz")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", names[Y])
    with pytest.raises(UnreadableSource, match="beyond the last Unicode character"):
        import_features(tmp_path / "x.npy", labels=tmp_path / "y.npy")


def test_the_limit_of_the_process_counts_as_memory():
    program = (
        "import resource, gramlab.machine.memory as m; used = 0\n"
        "free = m.bytes_available()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.RLIM_INFINITY))\n"
        "print(free, m.bytes_available())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    free, below = map(int, done.stdout.split())
    assert 0 < below < 4 << 30
    assert below <= free


# ---- gramlab's own files ----------------------------------------------------------------------


def cache(path: Path, change) -> Path:
    """A file whose header was changed and sealed again."""
    gramlab.save_features(gramlab.Features(X, Y, class_names=NAMES), path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    inner = json.loads(header["__metadata__"]["gramlab"])
    change(inner)
    counted = {key: value for key, value in inner.items() if key != "checksum"}
    inner["checksum"] = sha256(to_json(counted), None)
    header["__metadata__"]["gramlab"] = json.dumps(inner)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda inner: inner.pop("fingerprint"),
        lambda inner: inner.update(class_names=5),
        lambda inner: inner.update(provenance=[1]),
        lambda inner: inner.update(n_classes={}),
    ],
)
def test_a_forged_header_is_damage_and_not_a_fault(tmp_path, change):
    path = cache(tmp_path / "a.safetensors", change)
    for read in (gramlab.load_features, gramlab.open_features):
        with pytest.raises(UnreadableSource, match="is damaged"):
            read(path)


# ---- Feature folders --------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "feats"
    with writing(path, {"by": "test"}, {"train": 12}, NAMES, shard_rows=5) as writer:
        for shard in writer.missing():
            rows = np.arange(shard.start, shard.stop)
            writer.put(shard, X[rows], Y[rows], rows)
        writer.finish()
    return path


def reseal(folder: Path, change) -> None:
    """Change the manifest, and let it vouch for itself again."""
    record = json.loads((folder / "manifest.json").read_text())
    change(record)
    record.pop("checksum", None)
    record["checksum"] = sha256(to_json(record))
    (folder / "manifest.json").write_text(json.dumps(record))


CHANGES = {
    "no plan": lambda r: r.pop("plan"),
    "plan of another kind": lambda r: r.update(plan=[1]),
    "no splits": lambda r: r["plan"].pop("splits"),
    "no train": lambda r: r["plan"].update(splits={"test": 12}),
    "rows that are no number": lambda r: r["plan"]["splits"].update(train="12"),
    "rows below zero": lambda r: r["plan"]["splits"].update(train=-1),
    "more shards than memory": lambda r: r["plan"]["splits"].update(train=10**15),
    "shards of nothing": lambda r: r["plan"].update(shard_rows=0),
    "shards of half a row": lambda r: r["plan"].update(shard_rows=0.5),
    "names of another kind": lambda r: r["plan"].update(class_names=5),
    "superclasses of another kind": lambda r: r["plan"].update(superclasses="ab"),
    "no shards": lambda r: r.pop("shards"),
    "a shard too few": lambda r: r["shards"].pop(),
    "a shard of another kind": lambda r: r["shards"].__setitem__(0, 5),
    "a shard without rows": lambda r: r["shards"][0].pop("rows"),
    "a shard with a list for a name": lambda r: r["shards"][0].update(file=["x"]),
    "broken of another kind": lambda r: r.update(broken=[5]),
    "no width": lambda r: r.pop("n_features"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_that_vouches_for_nonsense_is_damaged(folder, name):
    assert gramlab.load_features(folder).n_samples == 12
    reseal(folder, CHANGES[name])
    for read in (gramlab.load_features, read_manifest, quarantine_damage):
        with pytest.raises(UnreadableSource, match=r"'manifest\.json' in .* is damaged"):
            read(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format":' * 100_000, '"\\ud800"', "9" * 5000])
@pytest.mark.parametrize("name", ["manifest.json", "plan.json"])
def test_a_record_that_is_nested_or_no_record_is_damaged(folder, name, text):
    (folder / "manifest.json").unlink()
    (folder / name).write_text(text)
    with pytest.raises(UnreadableSource, match="is damaged"):
        read_manifest(folder)


def test_an_unfinished_plan_of_many_shards_is_counted_and_not_walked(folder):
    record = json.loads((folder / "manifest.json").read_text())
    record["plan"]["splits"] = {"train": 10**18}
    (folder / "plan.json").write_text(
        json.dumps({"format": record["format"], "plan": record["plan"]})
    )
    (folder / "manifest.json").unlink()
    with pytest.raises(UnreadableSource, match="3 of 200000000000000000 shards"):
        read_manifest(folder)


def test_a_name_of_a_split_cannot_climb_out_of_the_folder(folder, tmp_path):
    victim = tmp_path / "outside-00000-of-00001.safetensors"
    victim.write_bytes(b"somebody else's")

    def climb(record):
        record["plan"].update(splits={"../outside": 5}, shard_rows=5)
        record["shards"] = [{"file": f"../{victim.name}", "rows": 5, "sha256": "0"}]

    reseal(folder, climb)
    assert cli.main(["features", "verify", str(folder), "--quarantine"]) == 2
    assert victim.read_bytes() == b"somebody else's"
    assert not (folder / "quarantine").exists()


def test_a_quarantine_that_is_a_link_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "quarantine").symlink_to(tmp_path / "elsewhere")
    shard = next(folder.glob("*.safetensors"))
    shard.write_bytes(b"damaged")
    with pytest.raises(OutputError, match="is a link"):
        quarantine_damage(folder, move=True)
    assert shard.exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_lock_that_is_a_link_is_refused(folder, tmp_path):
    victim = tmp_path / "kept"
    victim.write_text("kept")
    (folder / ".lock").unlink(missing_ok=True)
    (folder / ".lock").symlink_to(victim)
    with pytest.raises(OutputError, match="is a link"):
        quarantine_damage(folder, move=True)
    assert victim.read_text() == "kept"


def test_a_part_that_is_a_link_to_a_folder_is_removed_and_what_it_leads_to_kept(folder, tmp_path):
    (tmp_path / "kept").mkdir()
    (folder / f".partial-{'0' * 16}").symlink_to(tmp_path / "kept")
    with writing(folder, {"by": "test"}, {"train": 12}, NAMES, shard_rows=5) as writer:
        assert writer.finished
    assert (tmp_path / "kept").is_dir()
    assert not list(folder.glob(".partial-*"))


def test_info_shows_a_folder_of_another_writer(folder, capsys):
    reseal(folder, lambda record: record["plan"].update(backbone="none"))
    assert cli.main(["features", "info", str(folder)]) == 2  # its shards are of another plan
    shutil.rmtree(folder)
    with writing(folder, {"backbone": {"name": 5}}, {"train": 2}, NAMES[:2]) as writer:
        writer.put(writer.missing()[0], X[:2], Y[:2], np.arange(2))
        writer.finish()
    assert cli.main(["features", "info", str(folder)]) == 0
    assert "backbone" not in capsys.readouterr().out


# ---- Importing --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["~nosuchuser/x.npy", "x" * 300 + ".npy", "a\0b.npy", "x/" * 3000])
def test_a_path_that_cannot_be_is_refused(tmp_path, name):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(UnreadableSource):
        import_features(name)
    with pytest.raises(UnreadableSource):
        import_features(tmp_path / "x.npy", labels=name)
    assert not is_feature_folder(name)


def test_one_long_label_does_not_widen_all(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "y.txt").write_text("\n".join(["a", "b" * 1_000_000] + ["a"] * 10))
    tracemalloc.start()
    try:
        features = import_features(tmp_path / "x.npy", labels=tmp_path / "y.txt")
        assert tracemalloc.get_traced_memory()[1] < 12_000_000  # of text of fixed width: 48 MB
    finally:
        tracemalloc.stop()
    assert features.class_names == ("a", "b" * 1_000_000)
    assert features.labels.tolist() == [0, 1, *[0] * 10]


def test_columns_that_share_a_name_and_labels_that_are_ragged_are_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [pa.array(X.tolist()), pa.array(Y), pa.array(Y)]
    parquet.write_table(pa.Table.from_arrays(columns, ["x", "y", "y"]), tmp_path / "a.parquet")
    with pytest.raises(InvalidSetting, match="more than one column 'y'"):
        import_features(tmp_path / "a.parquet")
    ragged = pa.array([[1, 2], *([[1]] * 11)])
    parquet.write_table(
        pa.Table.from_arrays([columns[0], ragged], ["x", "y"]), tmp_path / "b.parquet"
    )
    with pytest.raises(InvalidSetting, match=r"1 left over: 'y' \(lists\); .* --label-column"):
        import_features(tmp_path / "b.parquet", features_column="x")


def test_a_parquet_bomb_is_refused_before_it_is_read(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"a": np.zeros(1_000_000), "y": np.zeros(1_000_000, np.int64)})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    monkeypatch.setattr("gramlab.machine.memory.bytes_available", lambda: 90_000_000)
    with pytest.raises(NotEnoughMemory, match=r"'a\.parquet'"):
        import_features(tmp_path / "a.parquet")


def test_views_and_sparse_tensors_do_not_become_terabytes(tmp_path):
    torch = pytest.importorskip("torch")
    labels = torch.from_numpy(Y)
    for x in (
        torch.zeros(1).expand(10**6, 10**6),
        torch.sparse_coo_tensor(
            torch.zeros(2, 0, dtype=torch.long),
            torch.zeros(0),
            (10**6, 10**6),
            check_invariants=True,
        ),
    ):
        torch.save({"x": x, "labels": labels}, tmp_path / "a.pt")
        with pytest.raises(NotEnoughMemory, match=r"tensor of 'a\.pt'"):
            import_features(tmp_path / "a.pt")
    torch.save({"x": [[1.0], [1.0, 2.0]], "labels": labels}, tmp_path / "a.pt")
    with pytest.raises(GramlabError, match=r"'a\.pt'"):
        import_features(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x80\x02"])
def test_a_torch_file_whose_error_says_nothing_is_refused(tmp_path, content):
    pytest.importorskip("torch")
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(UnreadableSource, match="tensors only"):
        import_features(tmp_path / "a.pt")


# ---- Outputs ----------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path) -> str:
    np.savez(tmp_path / "a.npz", train_features=X, train_labels=Y)
    return str(tmp_path / "a.npz")


def test_links_in_an_output_folder_are_replaced(source, tmp_path):
    out, victim = tmp_path / "out", tmp_path / "victim"
    out.mkdir()
    victim.write_text("kept")
    names = ["results.json", "eigenvalue_gap.png", "class_correlations.png"]
    for name in names:
        (out / name).symlink_to(victim)
    assert cli.main(["correlations", source, "--out", str(out), "--quiet"]) == 0
    assert victim.read_text() == "kept"
    for name in names:
        assert not (out / name).is_symlink()
        assert (out / name).stat().st_size > 100


def test_a_link_that_was_named_is_followed(source, tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    link.symlink_to(real)
    assert cli.main(["features", "info", source, "--json", str(link), "--quiet"]) == 0
    assert link.is_symlink()
    assert json.loads(real.read_text())["n_samples"] == 12


def test_a_name_that_is_too_long_for_json_is_refused(source, capsys):
    assert cli.main(["features", "info", source, "--json", "a" * 300]) == 2
    assert capsys.readouterr().err.startswith("gramlab: error: ")


def test_an_output_below_a_thousand_folders_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["population", "--classes", "3", "--out", "a/" * 2000]) == 2
    assert capsys.readouterr().err.startswith("gramlab: error: expected to write")
    assert list(tmp_path.iterdir()) == []


STUDY = [
    "--recipe",
    "fig6a",
    "--rates",
    "0.5",
    "--seeds",
    "0",
    "--rounds",
    "1",
    "--noise",
    "symmetric",
]
STUDY += ["--methods", "distill", "--weight-decay", "base", "--quiet"]


@pytest.fixture
def study(source, tmp_path) -> tuple[list[str], Path]:
    argv = ["study", source, *STUDY, "--out", str(tmp_path / "study")]
    assert cli.main(argv) == 0
    return argv, tmp_path / "study"


def test_cells_that_are_a_link_are_refused(study, tmp_path, capsys):
    argv, folder = study
    (folder / "cells").rename(tmp_path / "elsewhere")
    for cell in (tmp_path / "elsewhere").iterdir():
        cell.unlink()
    (folder / "cells").symlink_to(tmp_path / "elsewhere")
    assert cli.main(argv) == 2
    assert "is a link" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["study.json", "cell"])
def test_pipes_in_the_folder_of_a_study_are_not_waited_for(study, name):
    argv, folder = study
    path = folder / name if name == "study.json" else next((folder / "cells").iterdir())
    path.unlink()
    os.mkfifo(path)
    assert cli.main(argv) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda results: results.pop("work"),
        lambda results: results["work"].update(heads={}),
        lambda results: results["rows"].append("text"),
        lambda results: results["rows"][0].pop("round"),
        lambda results: results["rows"][0].update(round=[1]),
    ],
)
def test_a_cell_that_vouches_for_nonsense_is_computed_again(study, change, capsys):
    from gramlab.study.cells import canonical_json

    argv, folder = study
    whole = (folder / "rows.json").read_bytes()
    path = next((folder / "cells").iterdir())
    cell = json.loads(path.read_text())
    change(cell["results"])
    cell["sha256"] = sha256(canonical_json(cell["results"]))
    path.write_text(json.dumps(cell))
    assert cli.main(argv[:-3] + argv[-2:]) == 0  # without --quiet
    assert "damaged cell was computed again" in capsys.readouterr().out
    assert (folder / "rows.json").read_bytes() == whole


# ---- Images -----------------------------------------------------------------------------------


def test_pictures_that_are_devices_or_pipes_are_broken_and_not_waited_for(tmp_path):
    pytest.importorskip("PIL")
    from gramlab.extract import open_image_folder

    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"x")
    (tmp_path / "ant" / "1.png").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "ant" / "2.png")
    train = open_image_folder(tmp_path).train_and_test()["train"]
    for row in (1, 2):
        with pytest.raises(OSError, match="not a regular file"):
            train.encoded(row)


# ---- Words ------------------------------------------------------------------------------------


def test_an_error_is_one_printable_line_of_bounded_length():
    assert str(GramlabError("a\nb\r\nc")) == "a b c"
    assert str(GramlabError("λ ≤ µ, café")) == "λ ≤ µ, café"
    assert str(GramlabError("\x1b[31mred\x07 \udce9 \u202e")) == r"\x1b[31mred\x07 \udce9 \u202e"
    long = str(GramlabError("x" * 100_000 + "; do this"))
    assert len(long) < 2100
    assert long.endswith("; do this")


def test_names_from_a_file_do_not_steer_the_terminal(capsys):
    text.emit("a\x1b[2J\x1b]0;title\x07 \x1b[1mbold\x1b[0m\t\u202eb\n")
    assert capsys.readouterr().out == "a\\x1b[2J\\x1b]0;title\\x07 \x1b[1mbold\x1b[0m\t\\u202eb\n"


def test_memory_that_runs_out_is_an_error_in_one_line(source, capsys, monkeypatch):
    def full(*arguments, **more):
        raise MemoryError

    monkeypatch.setattr("gramlab.files.sources.load_features", full)
    assert cli.main(["check", source]) == 2
    err = capsys.readouterr().err
    assert err.startswith("gramlab: error: expected enough memory")
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", [["check", "--rounds", "1"], ["diagnose", "--folds", "2"]])
def test_a_source_whose_name_is_no_unicode_is_reported_like_any_other(source, tmp_path, verb):
    odd = tmp_path / os.fsdecode(b"caf\xe9.npz")
    try:
        shutil.copyfile(source, odd)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    assert cli.main([verb[0], str(odd), *verb[1:], "--quiet", "--out", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "results.json").read_text())
    assert sha256(os.fsdecode(b"caf\xe9")) != sha256("caf")
