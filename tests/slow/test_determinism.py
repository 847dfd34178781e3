"""One machine gives the same bytes; other numbers of threads give the same certified numbers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import problem

# The commands and one head, in a process whose threads were set before anything was loaded.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import gramlab
from gramlab.cli import main

source, out = sys.argv[1], Path(sys.argv[2])
study = ["--recipe", "fig6a", "--rates", "0.4", "--seeds", "0", "--rounds", "3"]
for name, argv in {
    "check": ["check", source, "--rounds", "3", "--rate", "0.4"],
    "study": ["study", source, *study, "--methods", "distill,top2-ce"],
    "diagnose": ["diagnose", source, "--folds", "2", "--max-rounds", "2"],
}.items():
    assert main([*argv, "--quiet", "--out", str(out / name)]) == 0
features = gramlab.load_features(source)
fit = gramlab.SoftmaxHead(1e-3, tolerance=1e-10).fit(features, gramlab.one_hot(features.labels, 5))
# Planted: a head of another weight decay must not pass for the same one.
other = gramlab.SoftmaxHead(2e-3, tolerance=1e-10).fit(
    features, gramlab.one_hot(features.labels, 5)
)
np.savez(
    out / "head.npz",
    weights=fit.weights,
    bound=fit.certificate.weights_bound,
    gap=fit.certificate.relative_gap,
    other=other.weights,
)
"""
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


pytestmark = pytest.mark.xdist_group("determinism")  # or each worker makes all runs


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    features, _ = problem(1000, 100, 5, 3)
    path = tmp_path_factory.mktemp("source") / "a.npz"
    x, y = features.x, features.labels
    np.savez(
        path,
        train_features=x[:900],
        train_labels=y[:900],
        test_features=x[900:],
        test_labels=y[900:],
    )
    return path


def run(source: Path, out: Path, one_thread: bool) -> Path:
    out.mkdir()
    command = [sys.executable, "-c", PROGRAM, str(source), str(out)]
    environment = {name: v for name, v in os.environ.items() if name not in ONE_THREAD}
    if one_thread:
        environment |= ONE_THREAD
        if shutil.which("taskset"):
            command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.fixture(scope="module")
def runs(source, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {name: run(source, root / name, name == "one") for name in ("many", "again", "one")}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("verb", ["check", "study", "diagnose"])
def test_two_runs_on_one_machine_give_equal_bytes(runs, verb):
    first, second = contents(runs["many"] / verb), contents(runs["again"] / verb)
    assert len(first) > 3
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def head(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "head.npz") as found:
        return dict(found)


def test_weights_of_one_thread_and_of_many_are_within_their_certificates(runs):
    many, one = head(runs["many"]), head(runs["one"])
    bound = many["bound"] + one["bound"]
    assert np.linalg.norm(many["weights"] - one["weights"]) <= bound
    assert np.linalg.norm(many["other"] - one["weights"]) > bound  # planted


def rows(folder: Path) -> list[dict]:
    return json.loads((folder / "study" / "rows.json").read_text())


def test_certified_predictions_of_one_thread_and_of_many_agree(runs):
    many, one = rows(runs["many"]), rows(runs["one"])
    assert len(many) == len(one) > 0
    compared = 0
    for a, b in zip(many, one, strict=True):
        assert [a[key] for key in ("method", "round", "seed", "rate")] == [
            b[key] for key in ("method", "round", "seed", "rate")
        ]
        if a["certified_right"] is None:
            assert b["certified_right"] is None
            continue
        compared += 1
        # What one run leaves undecided, the other may call right or wrong; nothing else may move.
        spare = a["certified_undecided"] + b["certified_undecided"]
        for kind in ("certified_right", "certified_wrong"):
            assert abs(a[kind] - b[kind]) <= spare
    assert compared > 3


def test_the_advice_of_one_thread_and_of_many_is_the_same(runs):
    found = [
        json.loads((runs[name] / "diagnose" / "results.json").read_text())
        for name in ("many", "one")
    ]
    assert found[0]["advice"]["sentence"] == found[1]["advice"]["sentence"]
    suspects = [set(f["suspects"]["rows"]) for f in found]
    assert suspects[0] == suspects[1]


def test_vector_files_are_equal_in_every_process(tmp_path):
    code = (
        "import sys, numpy as np; from gramlab import Features, Spectrum, figures\n"
        "spectrum = Spectrum.of(Features(np.eye(9), np.arange(9) % 3))\n"
        "display = figures.EigenvalueDisplay.from_spectrum(spectrum, 3)\n"
        "for path in sys.argv[1:]: display.save(path)"
    )
    for seed in ("1", "2"):
        paths = [str(tmp_path / f"{seed}.{kind}") for kind in ("pdf", "svg")]
        run = [sys.executable, "-c", code, *paths]
        subprocess.run(run, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
    for kind in ("pdf", "svg"):
        assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"2.{kind}").read_bytes()
