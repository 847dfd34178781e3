"""``gramlab study``: what it prints and writes, how it refuses, how it stops."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from gramlab import cli
from gramlab.cli import stopping
from gramlab.cli import study as verb
from gramlab.cli.progress import Progress
from gramlab.cli.text import format_duration
from gramlab.study.recipes import RECIPES

PROGRAM = "import sys; from gramlab.cli import main; sys.exit(main())"
SMALL = ("--recipe", "fig2", "--rates", "0.4", "--seeds", "0,1", "--rounds", "2", "--unit-norm")
METHODS = ("--methods", "distill,top2-ce,mixture,tuned")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("source") / "tiny.npz"
    rng = np.random.default_rng(0)
    labels, test = np.arange(60) % 4, np.arange(20) % 4
    centres = 1.5 * rng.standard_normal((4, 6))
    np.savez(
        path,
        train_features=centres[labels] + rng.standard_normal((60, 6)),
        train_labels=labels,
        test_features=centres[test] + rng.standard_normal((20, 6)),
        test_labels=test,
        coarse_of_class=np.array([0, 0, 1, 1]),
    )
    return str(path)


def study(*arguments: object) -> int:
    return cli.main(["study", *map(str, arguments)])


def refused(capsys, *arguments: object) -> str:
    assert study(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("gramlab: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


# ---- What it writes -----------------------------------------------------------------------------


def test_json_holds_the_rows_and_nothing_of_the_run(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert study(source, *SMALL, *METHODS, "--out", out, "--json", "-") == 0
    first = capsys.readouterr().out
    found = json.loads(first)
    assert found["rows"] == json.loads((out / "rows.json").read_text())
    assert len(found["rows"]) == 2 * (2 + 1 + 1 + 2)
    assert found["settings"]["superclass_of_class"] == [0, 0, 1, 1]
    assert found["settings"]["features"] == "tiny"
    assert study(source, *SMALL, *METHODS, "--out", out, "--json", "-") == 0
    assert capsys.readouterr().out == first
    assert str(tmp_path) not in first


def test_the_manifest_ties_everything_to_cells_and_to_a_command_that_works(
    source, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    assert study(source, *SMALL, *METHODS, "--out", out, "--quiet") == 0
    assert capsys.readouterr().out == ""
    manifest = json.loads((out / "manifest.json").read_text())
    kept = {path.stem for path in (out / "cells").iterdir()}
    assert {cell["key"] for cell in manifest["cells"]} == kept
    for name, figure in manifest["figures"].items():
        assert (out / name).is_file()
        assert set(figure["cells"]) <= kept
        assert figure["cells"]
    # The command, word for word, beside the source, gives the same bytes.
    monkeypatch.chdir(os.path.dirname(source))
    again = shlex.split(manifest["command"])
    assert again[0] == "gramlab"
    assert cli.main([*again[1:], "--out", str(tmp_path / "again"), "--quiet"]) == 0
    for path in out.rglob("*.*"):
        if path.suffix in (".json", ".csv", ".md", ".tex", ".png"):
            other = tmp_path / "again" / path.relative_to(out)
            assert other.read_bytes() == path.read_bytes(), path.name


def test_the_table_shows_means_and_gains_over_seeds(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert study(source, *SMALL, *METHODS, "--out", out) == 0
    text = capsys.readouterr().out
    rows = json.loads((out / "rows.json").read_text())

    def mean(method: str, **wanted) -> float:
        wanted["method"] = method
        return 100.0 * np.mean(
            [r["test_accuracy"] for r in rows if all(r.get(k) == v for k, v in wanted.items())]
        )

    teacher = mean("distill", round=1)
    line = next(line for line in text.splitlines() if line.strip().startswith("0.4 "))
    cells = line.split()
    assert cells[:2] == ["0.4", f"{teacher:.2f}"]
    gains = [
        mean("distill", round=2),
        mean("top2-ce"),
        mean("mixture"),
        mean("tuned", selected_on="clean validation"),
        mean("tuned", selected_on="noisy validation"),
    ]
    assert cells[2:7] == [f"{round(gain - teacher, 2) + 0.0:+.2f}" for gain in gains]
    assert "2 superclasses, given" in " ".join(text.split())
    assert "8 of 8 exact" not in text  # 2 seeds × (2 rounds + PLL + mixture + 2 tuned) = 12
    assert "12 of 12 exact heads reached the relative gap 1e-08" in " ".join(text.split())


@pytest.mark.parametrize("name", ["block", "approximation"])
def test_synthetic_recipes_run_on_the_block_model(name, tmp_path, capsys):
    arguments = ("--recipe", name, "--rates", "0.5", "--seeds", "0", "--rounds", "1")
    small = "block-model:per_class=10"
    assert study(small, *arguments, "--out", tmp_path / "out", "--weight-decay", "1e-3") == 0
    text = capsys.readouterr().out
    kind = "structure" if name == "block" else name
    assert f"symmetric noise, {kind}" in text
    rows = json.loads((tmp_path / "out" / "rows.json").read_text())
    assert {row["method"] for row in rows} == {kind}
    assert len(list((tmp_path / "out").glob("*.png"))) == 1
    assert "| rate |" in (tmp_path / "out" / "table.md").read_text()


def test_without_a_terminal_the_log_tells_where_a_study_is(source, tmp_path, capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Progress, "interval", 0.0)
    assert study(source, *SMALL, "--methods", "distill", "--out", tmp_path / "out") == 0
    lines = capsys.readouterr().err.splitlines()
    assert "gramlab: 2 cells to compute, 4 heads" in lines
    told = r"gramlab: .*: 100 % done, cell 2 of 2, 0 s left, [\d.]+ heads/s, \d+ s"
    assert [line for line in lines if re.fullmatch(told, line)]
    assert any(line.startswith("gramlab: tables and figures: ") for line in lines)


def test_a_study_without_heads_ends_without_a_share(tmp_path, capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Progress, "interval", 0.0)
    options = ("--recipe", "block", "--seeds", "0", "--weight-decay", "1e-3", "--noise")
    one = (*options, "symmetric", "--rates", "0.5")
    assert study("block-model:per_class=10", *one, "--out", tmp_path) == 0
    said = capsys.readouterr()
    assert "gramlab: 1 cell to compute, 0 heads" in said.err.splitlines()
    assert re.search(r"^gramlab: structure: .*: cell 1 of 1, \d+ s$", said.err, re.MULTILINE)
    assert "% done" not in said.err
    assert "1 cell computed, 0 kept" in said.out


# ---- A dry run ----------------------------------------------------------------------------------


def test_a_dry_run_lists_cells_and_computes_nothing(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert study(source, *SMALL, "--dry-run", "--out", out) == 0
    text = capsys.readouterr().out
    assert "4 cells (2 grid, 2 tuned), 0 of them kept already" in " ".join(text.split())
    assert "an estimate, good to a factor of about three" in " ".join(text.split())
    assert text.count("superclass 0.4, seed 1") == 2
    assert not out.exists()
    # It needs no folder, and says the same as JSON.
    assert study(source, *SMALL, "--dry-run", "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["estimate"]["cells"] == len(found["cells"]) == 4
    assert found["estimate"]["memory_bytes"] > 0


def test_a_dry_run_knows_what_is_kept(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert study(source, *SMALL, *METHODS, "--out", out, "--quiet") == 0
    before = sorted(path.name for path in out.rglob("*"))
    assert study(source, *SMALL, *METHODS, "--out", out, "--dry-run") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "4 of them kept already" in text
    assert "0 exact heads to fit: about 0 s" in text
    assert "measured on the kept cells" in text
    assert sorted(path.name for path in out.rglob("*")) == before


# ---- Refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--recipe", "fig3"), "recipe must be one of fig2, fig6a"),
        (("--recipe", "fig2", "--rates", "0.5,1"), "rates must be at least 0 and less than 1"),
        (("--recipe", "fig2", "--rates", "half"), "--rates must hold numbers"),
        (("--recipe", "fig2", "--seeds", "0.5"), "--seeds must hold whole numbers"),
        (("--recipe", "fig2", "--rounds", "0"), "rounds must be an integer of at least 1"),
        (("--recipe", "fig2", "--noise", "white"), "noise must be of symmetric"),
        (("--recipe", "fig2", "--weight-decay", "tiny"), "weight_decay must be small, base"),
        (("--recipe", "fig2", "--methods", "tuned"), "methods must include distill"),
        (("--recipe", "fig2", "--line", "mnist"), "line must be one of caltech-101"),
        (("--recipe", "fig2", "--tolerance", "0"), "--tolerance must be finite and greater"),
    ],
)
def test_bad_settings_are_refused_in_one_line(arguments, words, source, tmp_path, capsys):
    out = tmp_path / "out"
    assert words in refused(capsys, source, *arguments, "--out", out)
    assert not out.exists()


def test_a_study_without_a_folder_is_refused(source, capsys):
    assert "--out must name the folder" in refused(capsys, source, "--recipe", "fig2")


def test_missing_superclasses_are_refused_with_the_reason(tmp_path, capsys):
    path = tmp_path / "simplex.npz"
    labels = np.arange(40) % 4
    np.savez(path, train_features=np.eye(4)[labels], train_labels=labels)
    message = refused(capsys, path, "--recipe", "fig2", "--out", tmp_path / "out")
    assert "the found ones hold one class each" in message
    assert not (tmp_path / "out").exists()


def test_a_folder_of_other_settings_is_refused(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert study(source, *SMALL, *METHODS, "--out", out, "--quiet") == 0
    capsys.readouterr()
    other = [word if word != "0.4" else "0.3" for word in SMALL]
    assert study(source, *other, *METHODS, "--out", out, "--quiet") == 2
    assert "rates: [0.4] there, [0.3] asked for" in capsys.readouterr().err
    assert (out / "manifest.json").is_file()


def test_a_damaged_cell_is_said(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert study(source, *SMALL, *METHODS, "--out", out, "--quiet") == 0
    cell = next((out / "cells").iterdir())
    cell.write_text("{}")
    assert study(source, *SMALL, *METHODS, "--out", out) == 0
    captured = capsys.readouterr()
    assert "a kept cell is damaged and will be computed again" in captured.err
    assert "A damaged cell was computed again" in captured.out


# ---- Stopping -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="signals end the process there")
def test_ctrl_c_keeps_cells_and_says_how_to_go_on(source, tmp_path):
    out = tmp_path / "out"
    many = ["--recipe", "fig6a", "--seeds", ",".join(map(str, range(400)))]
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "study", source, *many, *METHODS, "--out", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120.0
        while not list((out / "cells").glob("*.json") if (out / "cells").is_dir() else []):
            assert time.monotonic() < deadline, "no cell was written"
            assert child.poll() is None, child.stderr.read() if child.stderr else ""
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    assert "finished cells are kept; the same command goes on from there: gramlab study" in error
    assert "Traceback" not in error
    for path in (out / "cells").glob("*.json"):
        assert json.loads(path.read_text())["results"]["rows"]
    assert not (out / "manifest.json").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals end the process there")
def test_a_stop_that_was_swallowed_ends_the_study_at_the_next_cell(
    source, tmp_path, capsys, monkeypatch
):
    from gramlab.machine import device
    from gramlab.study import engine

    monkeypatch.setattr(device, "workers", lambda: [0])  # the signal meets the main thread there
    compute, seen = engine.compute_cell, []

    def swallowing(*arguments):
        seen.append(arguments)
        if len(seen) == 2:
            with contextlib.suppress(stopping.Stopped):
                os.kill(os.getpid(), signal.SIGINT)
        return compute(*arguments)

    monkeypatch.setattr(engine, "compute_cell", swallowing)
    assert study(source, *SMALL, *METHODS, "--out", tmp_path / "out") == 130
    assert "finished cells are kept" in capsys.readouterr().err
    assert len(seen) == len(list((tmp_path / "out" / "cells").iterdir())) == 2
    monkeypatch.undo()
    assert study(source, *SMALL, *METHODS, "--out", tmp_path / "out") == 0
    assert "2 cells computed, 2 kept" in " ".join(capsys.readouterr().out.split())


# ---- Words --------------------------------------------------------------------------------------


def test_help_names_every_recipe_and_examples_are_real(capsys, tmp_path, monkeypatch):
    assert study("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in RECIPES:
        assert name in text
    assert verb.EXAMPLES[0] in text
    monkeypatch.chdir(tmp_path)
    words = shlex.split(verb.EXAMPLES[0])
    assert cli.main([*words[1:], "--dry-run"]) == 0


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0 s"), (89.0, "89 s"), (600.0, "10 min"), (9000.0, "2.5 h")]
)
def test_durations_are_in_the_unit_that_suits_them(seconds, words):
    assert format_duration(seconds) == words
