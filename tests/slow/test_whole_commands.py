"""Whole commands: the main job, a trial, every theorem, and faults while extracting."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gramlab import cli
from gramlab.diagnosis.advice import KINDS
from gramlab.theorems import catalogue

ROOT = Path(__file__).resolve().parents[2]


def test_the_main_job_goes_through_few_rooms(tmp_path):
    """So that a reader can hold its way in mind."""
    program = (
        "import sys, threading, gramlab.cli, gramlab.cli.progress\n"
        "gramlab.cli.progress.Progress.interval = 1e9\n"  # a slow machine says where it is
        "files = set()\n"
        "def entered(frame, event, _):\n"
        "    if event == 'call' and frame.f_code.co_name != '<module>':\n"
        "        files.add(frame.f_code.co_filename)\n"
        f"job = ['check', 'digits', '--rounds', '2', '--out', {str(tmp_path)!r}]\n"
        "gramlab.cli.main(job)\n"  # what is called while modules are loaded does not count
        "sys.setprofile(entered), threading.setprofile(entered)\n"
        "gramlab.cli.main(job)\n"
        "sys.setprofile(None)\n"
        "print(*files, sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    package = ROOT / "gramlab"
    ours = [Path(line) for line in done.stdout.splitlines() if line.startswith(str(package))]
    entered = {path.relative_to(package).parts[0] for path in ours}
    assert {"cli", "check", "heads", "figures", "report"} <= entered, done.stderr
    assert len(entered) <= 15, sorted(entered)


def test_command_line_trial(capsys, tmp_path):
    arguments = ["diagnose", "digits", "--rate", "0.3", "--folds", "3", "--max-rounds", "2"]
    files = [tmp_path / name for name in ("a.json", "b.json")]
    out = tmp_path / "out"
    assert cli.main([*arguments, "--json", str(files[0]), "--out", str(out)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "labels are suspected" in shown
    assert "Trial: " in shown
    assert cli.main([*arguments, "--json", str(files[1]), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert files[0].read_bytes() == files[1].read_bytes() == (out / "results.json").read_bytes()
    found = json.loads(files[0].read_text())
    assert found["advice"]["kind"] in KINDS
    assert shown.startswith(found["advice"]["sentence"])
    assert found["trial"]["auc"] > 0.98
    with open(out / "suspects.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["row"]) for r in rows] == [one["row"] for one in found["suspects"]["rows"]]
    assert [float(r["precision"]) for r in rows] == [
        one["precision"] for one in found["suspects"]["rows"]
    ]
    assert "report.html" in {path.name for path in out.iterdir()}
    assert not [path for path in out.iterdir() if path.name.startswith(".partial")]


def test_without_the_registry_replaced_it_walks_all_of_it(capsys):
    assert cli.main(["theorems", "--instances", "2"]) == 0
    out = capsys.readouterr().out
    for name, theorem in catalogue.registry.items():
        assert re.search(rf"^{name} +{theorem.expected} ", out, re.MULTILINE)


def test_every_fault_leaves_readers_with_all_or_nothing_and_a_rerun_with_the_same_bytes(tmp_path):
    """Kills in every stage, a full disk, cut shards, flipped bytes, two writers; a part of them."""
    pytest.importorskip("transformers")
    command = [
        sys.executable,
        str(ROOT / "examples" / "faults.py"),
        "--every",
        "6",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (tmp_path / "faults.md").read_text().splitlines()[2:]
        if line.startswith("|")
    ]
    assert len(table) >= 7  # the full disk needs a machine that lets a process mount one
    for fault, *numbers in table:
        done_, refused, whole, half_read, mended = map(int, numbers)
        assert done_ >= 1, fault
        assert refused + whole == done_ == mended, fault
        assert half_read == 0, fault


def test_every_story_of_the_registry_can_be_told(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name, theorem in catalogue.registry.items():
        assert cli.main(["theorems", name, "--instances", "3"]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{name}: ")
        for hypothesis in theorem.hypotheses:
            assert f"- {hypothesis.name}:" in " ".join(out.split())
