"""Habits: completion, one-liners of the page, columns as cleanlab's, spreadsheets, how it stops."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer.main

import gramlab
from gramlab import cli
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.columns import label_columns
from gramlab.files.whole import csv_text, write_csv

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "import sys; from gramlab.cli import main; sys.exit(main())"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def rows(n: int = 60, d: int = 8, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % k
    return 2.0 * rng.normal(size=(k, d))[labels] + rng.normal(size=(n, d)), labels


@pytest.fixture(scope="module")
def found():
    x, y = rows()
    return diagnose(gramlab.Features(x, y), DiagnosisSettings(folds=2, max_rounds=1))


# ---- Scripts ----------------------------------------------------------------------------------


def leaves(command, path=()):
    """Every command that does something, with its words."""
    below = getattr(command, "commands", None)
    if not below:
        return [(path, command)]
    return [leaf for name, one in below.items() for leaf in leaves(one, (*path, name))]


def test_every_command_writes_json_and_can_be_quiet():
    found = leaves(typer.main.get_command(cli.app))
    assert len(found) >= 11
    for path, command in found:
        options = {text for parameter in command.params for text in parameter.opts}
        assert {"--json", "--quiet"} <= options, path


def test_cite_names_paper_and_version(capsys):
    assert cli.main(["--cite"]) == 0
    text = capsys.readouterr().out
    assert "EJfLvrzh2Q" in text
    assert gramlab.__version__ in text


# ---- Completion -------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="asks a POSIX shell")
def test_completion_completes_verbs_options_and_values():
    for words, asked, answer in (
        ("gramlab di", "1", ["diagnose"]),
        ("gramlab diagnose digits --reco", "3", ["--recorrupt"]),
        ("gramlab diagnose digits --noise asym", "4", ["asymmetric"]),
    ):
        done = run(_GRAMLAB_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=asked)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == answer


def test_completion_keeps_the_exit_codes(monkeypatch, capsys):
    import typer.completion

    monkeypatch.setattr(typer.completion, "_get_shell_name", lambda: "bash")
    assert cli.main(["--show-completion"]) == 0
    assert "complete_bash" in capsys.readouterr().out
    monkeypatch.setattr(typer.completion, "_get_shell_name", lambda: "no-such-shell")
    assert cli.main(["--show-completion"]) == 2
    assert "gramlab: error: expected to be run in a shell" in capsys.readouterr().err


# ---- Tables -----------------------------------------------------------------------------------


def test_columns_are_what_cleanlab_gives_and_takes(found):
    classification = pytest.importorskip("cleanlab.classification")
    pandas = pytest.importorskip("pandas")
    from sklearn.linear_model import LogisticRegression

    x, y = found.features.x, found.given
    model = classification.CleanLearning(
        LogisticRegression(), seed=0, cv_n_folds=2, find_label_issues_kwargs={"n_jobs": 1}
    )
    theirs = model.find_label_issues(x, y)
    ours = pandas.DataFrame(label_columns(found))
    assert list(ours) == [name for name in theirs if name in ours]
    assert set(ours) == set(theirs.columns)
    assert [ours[name].dtype.kind for name in ours] == [theirs[name].dtype.kind for name in ours]
    assert np.array_equal(ours["given_label"], theirs["given_label"])
    ours["is_label_issue"] = np.arange(len(ours)) < 6  # six to leave out
    again = classification.CleanLearning(LogisticRegression(), seed=0)
    again.fit(x, y, label_issues=ours)
    assert again.clf.coef_.shape == (3, x.shape[1])


FORMULAS = ["=1+1", "+cmd", "-cat", "@SUM(A1)", "\tx", "\rx"]


def test_spreadsheets_get_no_formulas(tmp_path):
    plain = ["ash", "3=4", "a-b", "-1.5", "+2e-3", "", "'quoted"]
    columns = {"name": [*FORMULAS, *plain], "value": [-1.5] * (len(FORMULAS) + len(plain))}
    path = write_csv(tmp_path / "t.csv", columns)
    with open(path, newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [row["name"] for row in read] == [*(f"'{text}" for text in FORMULAS), *plain]
    assert {row["value"] for row in read} == {"-1.5"}
    assert csv_text({"=a": [1]}) == "'=a\n1\n"


def test_class_names_reach_no_spreadsheet_as_formulas(tmp_path):
    x, y = rows()
    wrong = np.where(np.arange(len(y)) < 6, (y + 1) % 3, y)
    np.savez(
        tmp_path / "f.npz",
        train_features=x,
        train_labels=wrong,
        class_names=np.array(['=HYPERLINK("x")', "-cat", "@dog"]),
    )
    arguments = ["--folds", "2", "--max-rounds", "1", "--no-recorrupt", "--quiet"]
    out = tmp_path / "out"
    assert cli.main(["diagnose", str(tmp_path / "f.npz"), "--out", str(out), *arguments]) == 0
    with open(out / "suspects.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert read
    for row in read:
        for cell in (row["given_name"], row["predicted_name"]):
            assert cell in {'\'=HYPERLINK("x")', "'-cat", "'@dog"}
        float(row["margin"])  # numbers stay numbers
    assert json.loads((out / "results.json").read_text())["data"]["class_names"][1] == "-cat"
    with open(out / "cleaned.csv", newline="", encoding="utf-8") as file:
        cleaned = list(csv.DictReader(file))
    assert [int(row["row"]) for row in cleaned] == list(range(len(y)))
    for row in cleaned:
        for cell in (row["given_name"], row["proposed_name"]):
            assert cell in {'\'=HYPERLINK("x")', "'-cat", "'@dog"}
    with np.load(out / "cleaned.npz", allow_pickle=False) as file:
        assert np.array_equal(file["features"], x)
        assert file["proposed"].tolist() == [int(row["proposed"]) for row in cleaned]
        assert file["weights"].tolist() == [float(row["weight"]) for row in cleaned]
        assert file["class_names"][1] == "-cat"


# ---- The page ---------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("polars")
    pytest.importorskip("datasets")
    x, y = rows()
    np.savez(
        tmp_path / "mine.npz",
        train_features=x,
        train_labels=np.where(np.arange(len(y)) < 6, (y + 1) % 3, y),
    )
    monkeypatch.chdir(tmp_path)
    arguments = ["--folds", "2", "--max-rounds", "1", "--no-recorrupt", "--quiet"]
    assert cli.main(["diagnose", "mine.npz", "--out", "diagnosis", *arguments]) == 0
    page = (ROOT / "docs" / "diagnose.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    results: list = []
    names: dict = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"diagnose.md, block {number}", "exec"), names)
        results.append(names.get("found"))
    columns = label_columns(results[-1])
    assert set(columns) <= set(names["table"].columns) & set(names["frame"].columns)
    assert set(columns) <= set(names["data"].column_names)
    assert names["frame"]["predicted_label"].to_list() == columns["predicted_label"]
    assert names["table"]["predicted_label"].sort_index().tolist() == columns["predicted_label"]


# ---- How it stops -----------------------------------------------------------------------------


def test_a_signal_while_tables_are_written_leaves_whole_files_only(tmp_path, capsys, monkeypatch):
    import gramlab.files.whole

    honest = gramlab.files.whole.write_csv

    def interrupted(path, columns):
        honest(path, columns)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5.0)

    monkeypatch.setattr(gramlab.files.whole, "write_csv", interrupted)
    x, y = rows()
    np.savez(tmp_path / "f.npz", train_features=x, train_labels=y)
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.json").write_text("of an older run")
    arguments = ["--folds", "2", "--max-rounds", "1", "--no-recorrupt", "--out", str(out)]
    assert cli.main(["diagnose", str(tmp_path / "f.npz"), *arguments]) == 130
    assert "stopped by SIGINT" in capsys.readouterr().err
    left = {path.name for path in out.iterdir()}
    assert "suspects.csv" in left
    assert not left & {"results.json", "labels.csv", "cleaned.npz", "report.html"}
    assert not [name for name in left if ".partial" in name or name.startswith(".")]


# ---- Folds are shared -------------------------------------------------------------------------


def test_shared_folds_give_the_estimate_that_own_folds_give():
    from gramlab.runner import Run, folds
    from gramlab.transition import estimate_transition

    x, y = rows(90)
    noisy = np.where(np.arange(90) % 7 == 0, (y + 1) % 3, y)
    asked = {"n_classes": 3, "weight_decay": 1e-2, "tolerance": 1e-10}
    shared = Run(x, 3, folds(noisy, 3, 5), noisy)
    estimate_transition(x, y, folds=shared, **asked)  # other labels first: the run keeps none
    own = estimate_transition(x, noisy, folds=3, seed=5, **asked)
    again = estimate_transition(x, noisy, folds=shared, **asked)
    assert np.array_equal(own.matrix, again.matrix)
    assert np.array_equal(own.probabilities, again.probabilities)
    other = Run(x, 3, folds(noisy, 3, 6), noisy)
    planted = estimate_transition(x, noisy, folds=other, **asked)
    assert not np.array_equal(own.probabilities, planted.probabilities)
