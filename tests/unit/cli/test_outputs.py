"""Outputs stay apart from inputs and from other runs; names from data steer nothing."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gramlab
from gramlab import cli
from gramlab.cli.progress import Progress
from gramlab.errors import GramlabError
from gramlab.files.shards import writing
from gramlab.files.whole import can_write_parquet, csv_text

K, N = 3, 60
Y = np.arange(N) % K
X = 2.0 * np.random.default_rng(0).normal(size=(K, 8))[Y]
X = (X + np.random.default_rng(1).normal(size=(N, 8))).astype(np.float32)


def state(folder: Path) -> dict[str, str]:
    """Every path below a folder, with the hash of what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def inputs(tmp_path):
    """One input of every kind, in a folder of its own."""
    place = tmp_path / "in"
    place.mkdir()
    np.savez(place / "a.npz", train_features=X, train_labels=Y)
    gramlab.save_features(gramlab.Features(X, Y), place / "a.safetensors")
    np.save(place / "x.npy", X)
    (place / "y.txt").write_text("".join(f"{label}\n" for label in Y))
    with writing(place / "feats", {"by": "test"}, {"train": N}, ["a", "b", "c"]) as writer:
        writer.put(writer.missing()[0], X, Y, np.arange(N))
        writer.finish()
    (place / "photos" / "cat").mkdir(parents=True)
    (place / "photos" / "cat" / "1.png").write_bytes(b"no image")
    (place / "link.json").symlink_to("a.npz")
    (place / "doors").symlink_to("feats")
    os.link(place / "a.npz", place / "hard.json")
    return place


SOURCE_VERBS = ("check", "correlations", "diagnose", "transition", "study", "features info")
OVER = [
    ("a.npz", "--json", "a.npz"),
    ("a.npz", "--json", "link.json"),
    ("a.npz", "--json", "hard.json"),
    ("a.npz", "--json", "../in/./a.npz"),
    ("link.json", "--json", "a.npz"),
    ("a.safetensors", "--json", "a.safetensors"),
    ("feats", "--json", "feats/manifest.json"),
    ("feats", "--json", "feats/new/found.json"),
    ("feats", "--json", "doors/found.json"),
    ("doors", "--json", "feats/found.json"),
    ("feats", "--out", "feats"),
    ("feats", "--out", "feats/report"),
    ("doors", "--out", "feats/report"),
    ("feats", "--out", "doors/report"),
]


def refused(capsys, *argv) -> str:
    """Run what must be refused; the one line that says why."""
    assert cli.main([str(part) for part in argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gramlab: error: ")
    assert err.count("\n") == 1
    assert err[:-1].isprintable()
    return err


def late(*arguments, **more):
    raise AssertionError("work began before the outputs were looked at")


@pytest.mark.parametrize("verb", SOURCE_VERBS)
@pytest.mark.parametrize(("source", "option", "place"), OVER)
def test_an_output_over_an_input_is_refused_before_the_work(
    verb, source, option, place, inputs, capsys, monkeypatch
):
    if verb == "features info" and option == "--out":
        pytest.skip("it has no --out")
    monkeypatch.setattr("gramlab.files.sources.load_features", late)
    monkeypatch.setattr("gramlab.importing.read_source", late)
    more = ["--recipe", "fig6a"] if verb == "study" else []
    if verb == "study" and option == "--json":
        more += ["--out", inputs.parent / "out"]
    before = state(inputs)
    err = refused(capsys, *verb.split(), inputs / source, *more, option, inputs / place)
    assert f"expected {option} apart from what is read" in err
    assert state(inputs) == before
    assert not (inputs.parent / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["x.npy", "--labels", "y.txt", "--out", "x.npy"],
        ["x.npy", "--labels", "y.txt", "--out", "y.txt"],
        ["x.npy", "--labels", "y.txt", "--out", "new.safetensors", "--json", "y.txt"],
        ["a.safetensors", "--out", "a.safetensors"],
        ["feats", "--out", "feats/new.safetensors"],
        ["feats", "--out", "doors/train-00000-of-00001.safetensors"],
        ["x.npy", "--labels", "y.txt", "--out", "b.safetensors", "--json", "b.safetensors"],
    ],
)
def test_an_import_over_what_it_reads_is_refused(options, inputs, capsys, monkeypatch):
    monkeypatch.setattr("gramlab.importing.import_features", late)
    monkeypatch.chdir(inputs)
    before = state(inputs)
    refused(capsys, "features", "import", *options)
    assert state(inputs) == before


def test_other_inputs_and_outputs_count_too(inputs, capsys, monkeypatch):
    monkeypatch.chdir(inputs)
    before, study = state(inputs), ["study", "feats", "--recipe", "fig6a", "--out", "../o"]
    extract = ["extract", "--backbone", "none", "--images", "photos"]
    assert "--cells" in refused(capsys, *study, "--cells", "feats/cells")
    assert "'photos'" in refused(capsys, *extract, "--out", "photos/feats")
    assert "'photos'" in refused(capsys, *extract, "--out", "../o", "--json", "photos/cat/1.png")
    assert "of --out" in refused(capsys, *extract, "--out", "o", "--json", "o/manifest.json")
    assert state(inputs) == before


@pytest.mark.parametrize(
    "name", ["report.html", "REPORT.HTML", "results.json", "spectrum.png", "a.csv", ".", ".."]
)
@pytest.mark.parametrize("made", [False, True])
def test_json_is_no_file_that_the_run_writes_itself(name, made, inputs, capsys, monkeypatch):
    monkeypatch.setattr("gramlab.files.sources.load_features", late)
    monkeypatch.setattr("gramlab.importing.read_source", late)
    out = inputs.parent / "up" / "out"
    if made:
        out.mkdir(parents=True)
        (inputs.parent / "link").symlink_to(out)
        out = inputs.parent / "link"
    before = state(inputs.parent)
    for verb in ("check", "diagnose", "transition", "correlations"):
        err = refused(capsys, verb, inputs / "a.npz", "--out", out, "--json", out / name)
        assert "--json" in err
        assert state(inputs.parent) == before
    assert "--json" in refused(capsys, "population", "--out", out, "--json", out / name)


def test_names_are_no_files_and_a_json_of_ones_own_may_lie_in_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        argv = ["correlations", "digits", "--quiet", "--out", "digits", "--json", "digits/a.json"]
        assert cli.main(argv) == 0
    assert (tmp_path / "digits/a.json").read_bytes() == (
        tmp_path / "digits/results.json"
    ).read_bytes()
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        *((f"{verb} @ --out", "--out") for verb in ("check", "diagnose", "correlations")),
        *((f"{verb} @ --json", "--json") for verb in ("transition", "features info")),
        *((f"{verb} ", "SOURCE") for verb in ("check", "transition", "features verify")),
        ("population --out", "--out"),
        ("study @ --recipe fig6a --out", "--out"),
        ("study @ --recipe fig6a --out o --cells", "--cells"),
        ("study @ --recipe fig6a --dry-run --out", "--out"),
        ("extract --backbone b --out o --images", "--images"),
        ("extract --backbone b --images i --out", "--out"),
        ("extract --images i --out o --backbone", "--backbone"),
        ("features import --out o.safetensors ", "FILE"),
        ("features import x.npy --out o.safetensors --labels", "--labels"),
        ("features import x.npy --labels y.txt --out", "--out"),
    ],
)
def test_an_empty_path_is_not_the_current_folder(argv, name, inputs, capsys, monkeypatch):
    """The current folder is one of features: without a look at the word, it would be read."""
    if argv.startswith("extract"):
        pytest.importorskip("gramlab.extract")
    monkeypatch.chdir(inputs / "feats")
    before = state(inputs)
    words = [str(inputs / "a.npz") if word == "@" else word for word in argv.split()]
    assert refused(capsys, *words, "").startswith(f"gramlab: error: {name} must be a path or name")
    assert state(inputs) == before


# ---- One verb's results in a folder, one run at a time ----------------------------------------


@pytest.mark.parametrize("verb", ["check", "diagnose", "correlations", "transition", "study"])
def test_a_second_run_into_one_folder_is_refused_at_its_start(verb, inputs, capsys, monkeypatch):
    said: list[str] = []
    reader = "importing.read_source" if verb == "diagnose" else "files.sources.load_features"
    honest = gramlab.importing.read_source if verb == "diagnose" else gramlab.load_features
    argv = [verb, str(inputs / "a.npz"), "--quiet", "--out", str(inputs.parent / "out")]
    argv += ["--recipe", "block"] if verb == "study" else []
    short = {"check": ["--rounds", "1"], "diagnose": ["--max-rounds", "1", "--no-recorrupt"]}

    @functools.wraps(honest)
    def meanwhile(source, **more):
        for one in {reader, "files.sources.load_features"}:
            monkeypatch.setattr(f"gramlab.{one}", late)
        said.append(refused(capsys, *argv))
        said.append(refused(capsys, "correlations", "digits", "--out", inputs.parent / "out"))
        monkeypatch.setattr("gramlab.files.sources.load_features", gramlab.load_features)
        return honest(source, **more)

    monkeypatch.setattr(f"gramlab.{reader}", meanwhile)
    assert cli.main([*argv, *short.get(verb, [])]) == 0
    assert len(said) == 2
    assert all("another process is writing it; wait for it" in line for line in said)
    assert not list(inputs.parent.rglob(".lock"))
    # Afterwards the folder is this verb's: another one would leave files of both in it.
    before, other = state(inputs.parent), "check" if verb == "correlations" else "correlations"
    err = refused(capsys, other, "digits", "--out", inputs.parent / "out")
    assert f"holds those of gramlab {verb}; choose another folder" in err
    assert state(inputs.parent) == before


def test_the_folder_of_a_model_is_its_own_and_a_foreign_file_is_nobodys(tmp_path, capsys):
    argv = ["population", "--quiet", "--max-rounds", "2", "--out", str(tmp_path)]
    (tmp_path / "results.json").write_text('{"of": "another program"}')
    for _ in range(2):
        assert cli.main(argv) == 0
    study = ["study", "digits", "--recipe", "block", "--out", tmp_path]
    assert "those of gramlab population" in refused(capsys, *study)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json"}


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_the_lock_of_a_killed_run_holds_nobody_up(inputs):
    out = inputs.parent / "out"
    argv = ["correlations", str(inputs / "a.npz"), "--quiet", "--out", str(out)]
    killed = (
        "import os, signal, sys, gramlab.files.sources as sources\n"
        "from gramlab.cli import main\n"
        "sources.load_features = lambda source: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", killed, *argv], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (out / ".lock").exists()
    assert cli.main(argv) == 0
    assert not (out / ".lock").exists()


def test_a_run_that_fails_leaves_no_folder_and_no_lock(tmp_path, capsys):
    refused(capsys, "check", tmp_path / "absent.npz", "--out", tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


# ---- Names ------------------------------------------------------------------------------------

HOSTILE = {
    "\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "a\x9b31mb\x85c": r"a\x9b31mb\x85c",
    "line\u2028s\u2029": r"line\u2028s\u2029",
    "\u202egnp\u202c\u2066x\u2069\u200f\u061c": r"\u202egnp\u202c\u2066x\u2069\u200f\u061c",
    "a\u200bb\u200cc\u200dd\u2060e\ufefff\xadg": r"a\u200bb\u200cc\u200dd\u2060e\ufefff\xadg",
    "cat\ufe0f\u034f\u3164\U000e0100": r"cat\ufe0f\u034f\u3164\U000e0100",
    "new\nline\r\tend": r"new\nline\r\tend",
    os.fsdecode(b"caf\xe9"): r"caf\udce9",
    "[bold red]m[/] :cat:": "[bold red]m[/] :cat:",
    "東京 é 🐈": "東京 é 🐈",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Features whose file and classes have such names, one of them long; some labels are wrong."""
    names = [*HOSTILE, "long " * 1000]
    k, rng = len(names), np.random.default_rng(2)
    y = np.arange(12 * k) % k
    x = (4.0 * rng.normal(size=(k, 12))[y] + rng.normal(size=(len(y), 12))).astype(np.float32)
    given = np.where(np.arange(len(y)) < 3 * k, (y + 1) % k, y)
    path = tmp_path_factory.mktemp("hostile") / "\x1b[7m\u202e\u200b.safetensors"
    record = {"source": path.name, "steps": [{"step": "\x1b[1mstep\u2028"}]}
    features = gramlab.Features(x, given, class_names=names, provenance=record)
    gramlab.save_features(features, path)
    return path


def is_clean(text: str) -> bool:
    return all(line.isprintable() for line in text.replace("\N{NO-BREAK SPACE}", " ").split("\n"))


@pytest.mark.parametrize(
    "argv",
    [
        ["check", "--rounds", "1"],
        ["diagnose", "--max-rounds", "1", "--no-recorrupt", "--folds", "2"],
        ["correlations"],
        ["transition", "--rounds", "2", "--folds", "2"],
        ["study", "--recipe", "block"],
        ["features info"],
        ["features verify"],
    ],
    ids=lambda argv: argv[0],
)
def test_names_are_shown_escaped_and_end_no_run(argv, hostile, tmp_path, capsys):
    verb, *options = argv
    out = [] if verb.startswith("features") else ["--out", str(tmp_path / "out")]
    assert cli.main([*verb.split(), str(hostile), *options, *out]) == 0
    shown, told = capsys.readouterr()
    assert is_clean(shown)
    assert is_clean(told)
    if verb in ("diagnose", "transition", "correlations", "features info"):
        assert any(text in shown for name, text in HOSTILE.items() if text != name)
    for page in tmp_path.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert is_clean(html)
        assert r"\x1b[7m\u202e\u200b.safetensors" in html
    if verb == "diagnose" and can_write_parquet():
        from pyarrow import parquet

        names = parquet.read_table(tmp_path / "out/suspects.parquet")["given_name"].to_pylist()
        assert names
        assert set(names) <= {*HOSTILE, "long " * 1000, r"caf\udce9"}


def test_names_in_errors_warnings_progress_and_reprs_are_shown_escaped(
    hostile, capsys, monkeypatch
):
    features = gramlab.load_features(hostile)
    assert is_clean(repr(features))
    assert r"\x1b[1mstep\u2028" in repr(features)
    for name, text in HOSTILE.items():
        told = str(GramlabError(f"expected no {name}"))
        assert told.isprintable()
        assert told.startswith(f"expected no {text.split(chr(92) + 'n')[0]}")
        monkeypatch.setattr(Progress, "interval", -1.0)
        with Progress(quiet=False) as progress:
            progress.stage(name)
            progress.cell(name)
            progress.advance()
        assert f"gramlab: {text}: " in capsys.readouterr().err

        def warns(*arguments, name=name):
            import warnings

            warnings.warn(f"odd {name}", UserWarning, stacklevel=1)
            raise GramlabError(f"no {name}")

        monkeypatch.setattr("gramlab.files.sources.load_features", warns)
        with pytest.warns(UserWarning, match="odd"):
            assert cli.main(["check", "digits"]) == 2
        assert is_clean(capsys.readouterr().err)


def test_on_a_terminal_only_our_own_colours_pass(hostile, capsys, monkeypatch):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert cli.main(["check", str(hostile), "--rounds", "1"]) == 0
    shown = capsys.readouterr().out
    ours = {"\x1b[1m", "\x1b[0m"}
    for part in ours:
        assert part in shown
        shown = shown.replace(part, "")
    assert is_clean(shown)


# ---- Spreadsheets -----------------------------------------------------------------------------

STARTS = [
    "=1+1",
    "+cmd",
    "-cat",
    "@SUM(A1)",
    "\uff1d1+1",
    "\uff0bcmd",
    "\uff0dcat",
    "\uff20SUM(A1)",
]
BEFORE = [
    "",
    " ",
    "\xa0",
    "\u3000",
    "\ufeff",
    "\u200b\u2060",
    "\ufe0f\u115f",
    "\xad",
    "\t",
    "\r",
    "\n",
    "\r\n",
]
BEFORE += [" \n ", ";", ",", ' "', "; ", ";;\u200b", "|", "\x00", "\x1b"]


def cells_of(text: str, separator: str) -> list[str]:
    """What a spreadsheet of a locale makes of the text, as it would begin to read each cell."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    found = [cell for line in lines for cell in line]
    return ["".join(c for c in cell if c.isprintable()).lstrip(' "') for cell in found]


@pytest.mark.parametrize("before", BEFORE, ids=ascii)
@pytest.mark.parametrize("start", STARTS, ids=ascii)
def test_no_cell_begins_a_formula_in_any_locale(before, start):
    text = csv_text({"first": [before + start], "last": [f"a{before}{start}"], start: [1]})
    (name, *_), *_ = rows = list(csv.reader(io.StringIO(text, newline="")))
    assert name == "first"
    assert rows[1][0].startswith(f"'{before[:1]}")
    assert rows[1][0].replace("'", "") == before + start
    begins = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
    assert not [cell for cell in cells_of(text, ",") if cell.startswith(begins)]
    assert not [cell for cell in cells_of(text, ";") if cell.startswith(begins)]


def test_other_cells_stay_as_they_are():
    plain = ["ash", "3=4", "a-b", "-1.5", " -1.5", "+2e-3", "", " ", ";", "'quoted", "a, b", "a;b"]
    plain += ["\N{MINUS SIGN}1", "1;-2", "(-)", "é", "a\r\nb", "東京", "nan", "x\u200by", 3, None]
    text = csv_text({"a": plain})
    read = [row[0] if row else "" for row in csv.reader(io.StringIO(text, newline=""))][1:]
    assert read == ["" if cell is None else str(cell) for cell in plain]


def test_json_keeps_names_as_they_are(hostile, capsys):
    assert cli.main(["features", "info", str(hostile), "--json", "-"]) == 0
    shown = capsys.readouterr().out
    assert is_clean(shown)
    assert json.loads(shown)["class_names"][: len(HOSTILE)] == list(HOSTILE)
