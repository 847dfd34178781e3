"""``gramlab diagnose`` of files with rows that are not whole: as ``gramlab.diagnose`` of arrays."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import gramlab
from gramlab import cli
from gramlab.diagnosis import DiagnosisSettings
from gramlab.diagnosis.columns import label_columns
from gramlab.errors import GramlabError
from gramlab.importing import import_features, read_source

QUICK = ["--folds", "3", "--max-rounds", "1", "--no-recorrupt", "--quiet"]
SETTINGS = DiagnosisSettings(max_rounds=1, recorrupt=False, folds=3)
N, K, D = 60, 3, 4
NAN, INF, BARE = (3, 50), (7,), (10, 11)
WHOLE = np.setdiff1d(np.arange(N), [*NAN, *INF, *BARE])


@pytest.fixture(scope="module")
def rows():
    """Rows (N, d), two of them with NaN and one infinite, and labels of which two are -1."""
    rng, y = np.random.default_rng(0), np.arange(N) % K
    x = 2.0 * rng.standard_normal((K, D))[y] + rng.standard_normal((N, D))
    x[list(NAN), 1], x[list(INF), 2] = np.nan, np.inf
    y[[20, 31, 44]] = (y[[20, 31, 44]] + 1) % K
    y[list(BARE)] = -1
    return x, y


def write_csv(path, x, labels):
    lines = ["file,label," + ",".join(f"f{j}" for j in range(D))]
    for row, values in enumerate(x.tolist()):
        cells = ["" if value != value else repr(value) for value in values]
        lines.append(",".join([f"img{row}.png", str(labels[row]), *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


def write_parquet(path, x, y):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    lists = [None if np.isnan(row).any() else row.tolist() for row in x]
    labels = [None if label == -1 else int(label) for label in y]
    parquet.write_table(pa.table({"embedding": lists, "label": labels}), path)
    return path


def write_torch(path, x, y):
    torch = pytest.importorskip("torch")
    torch.save({"embedding": torch.tensor(x), "y": torch.tensor(y)}, path)
    return path


def source_of(kind, folder, x, y):
    """A file with these rows, and the options that go with it."""
    if kind == "csv of numbers":
        return [write_csv(folder / "a.csv", x, y), "--id-column", "file"]
    if kind == "csv of names":
        return [write_csv(folder / "a.csv", x, [("a", "b", "c", "")[k] for k in y])]
    if kind == "parquet":
        return [write_parquet(folder / "a.parquet", x, y)]
    if kind == "pt":
        return [write_torch(folder / "a.pt", x, y)]
    if kind in ("own names", "other names"):
        names = ("train_features", "train_labels") if kind == "own names" else ("embedding", "y")
        np.savez(folder / "a.npz", **dict(zip(names, (x, y), strict=True)))
        return [folder / "a.npz"]
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", np.where(y == -1, np.nan, y))
    np.savez(folder / "y.npz", other=y[::-1], mine=y)
    (folder / "y.txt").write_text("\n".join(map(str, y)) + "\n")
    return [folder / "x.npy", "--labels", f"{folder}/{kind.removeprefix('npy and ')}"]


KINDS = ["csv of numbers", "csv of names", "parquet", "pt", "own names", "other names"]
KINDS += ["npy and y.npy", "npy and y.npz:mine", "npy and y.txt"]
OPTIONS = {"--labels": "labels", "--id-column": "id_column", "--drop": "drop"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_sets_the_same_rows_aside(kind, rows, tmp_path):
    x, y = rows
    source, *options = source_of(kind, tmp_path, x, y)
    told = {OPTIONS[name]: value for name, value in zip(options[::2], options[1::2], strict=True)}
    told |= {"drop": "file"} if kind == "csv of names" else {}
    found = read_source(source, **told)
    assert {reason: rows.tolist() for reason, rows in found.set_aside.items()} == {
        "features not finite": sorted([*NAN, *INF]),
        "no label": [*BARE],
    }
    assert np.array_equal(found.rows, WHOLE)
    assert np.array_equal(found.features.x, x[WHOLE])
    assert np.array_equal(found.features.labels, y[WHOLE])
    assert np.array_equal(found.unlabelled, x[[*BARE]])
    assert len(found.x) == N
    assert list(found.classes) == (["a", "b", "c"] if kind == "csv of names" else [0, 1, 2])
    told.pop("id_column", None)
    with pytest.raises(GramlabError, match=r"must be finite|no label in row 10"):
        import_features(source, **{"drop": "file"} if kind == "csv of numbers" else told)


def test_the_command_finds_what_the_call_does(rows, tmp_path, capsys):
    x, y = rows
    source, *options = source_of("csv of numbers", tmp_path, x, y)
    out = tmp_path / "out"
    assert cli.main(["diagnose", str(source), *options, *QUICK, "--out", str(out)]) == 0
    names = [f"img{row}.png" for row in range(N)]
    twin = gramlab.diagnose(x, y, identifiers=names, settings=SETTINGS)
    with open(out / "labels.csv", newline="") as file:
        table = list(csv.DictReader(file))
    for name, column in label_columns(twin).items():
        assert [row[name] for row in table] == ["" if v is None else str(v) for v in column], name
    results = json.loads((out / "results.json").read_text())
    for key in ("suspects", "unlabelled", "outliers", "trial"):
        assert results[key] == json.loads(json.dumps(twin.as_dict()[key])), key
    assert results["data"]["set_aside_ids"]["no label"] == ["img10.png", "img11.png"]
    with np.load(out / "cleaned.npz") as file:
        assert np.array_equal(file["features"], x[WHOLE])
    capsys.readouterr()
    assert cli.main(["diagnose", str(source), *options, *QUICK[:-1]]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 (features not finite): 3 (img3.png), 7 (img7.png), 50 (img50.png); 2 (no" in shown
    assert "2 rows have no label and are predicted by the advised head." in shown
    for row, label, p in zip(
        BARE, twin.unlabelled.predicted, twin.unlabelled.probability, strict=True
    ):
        assert f"row {row} (img{row}.png) {label} ({100 * p:.1f} %)" in shown
    first = twin.suspects.rows[0]
    assert f"row {first} (img{first}.png) given" in shown


def test_observed_labels_and_groups_are_of_all_rows_of_the_source(rows, tmp_path, capsys):
    x, y = rows
    source, *options = source_of("csv of numbers", tmp_path, x, y)
    truth = np.arange(N) % K
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "groups.npy", np.arange(N) // 2)
    beside = ["--truth", str(tmp_path / "truth.npy"), "--groups", str(tmp_path / "groups.npy")]
    assert cli.main(["diagnose", str(source), *options, *beside, *QUICK, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    twin = gramlab.diagnose(x, y, truth=truth, groups=np.arange(N) // 2, settings=SETTINGS)
    assert found["trial"] == twin.trial()
    assert found["trial"]["realized_rate"] == float((y != truth)[WHOLE].mean())


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("f,g,label\n1.5,,a\n,2.5,b\n", "a row that is finite and has a label, got none of 2"),
        ("f,g,label\n1.5,2,-1\n2.5,3,1\n1,2.5,1\n0.5,1,1\n", "at least two classes"),
        ("f,g,label\n1.5,,a\n2.5,,b\n", r"'g' (nothing in any row)"),
        ("f,g,label\n1.5,1,a\n2.5,,b\n3.5,2,b\n", r"'g' (whole numbers)"),
    ],
)
def test_what_no_row_can_make_up_for_is_refused(cells, said, tmp_path, capsys):
    (tmp_path / "a.csv").write_text(cells)
    assert cli.main(["diagnose", str(tmp_path / "a.csv"), *QUICK]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_identifiers_are_one_for_each_row(rows, tmp_path):
    x, y = rows
    np.savez(tmp_path / "a.npz", x=x, y=y, name=np.array(["a", "b"]))
    with pytest.raises(GramlabError, match=r"name must have one entry for each of 60 rows, got 2"):
        read_source(tmp_path / "a.npz", id_column="name")
    assert read_source(tmp_path / "a.npz", drop="name").identifiers is None
