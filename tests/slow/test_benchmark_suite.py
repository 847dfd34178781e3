"""The benchmark suite runs and says what it should. Seconds are never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gramlab
from gramlab.machine import device

BENCHMARKS = Path(__file__).resolve().parents[2] / "examples" / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def tiny_source(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    x = rng.standard_normal((3, 6))[labels] + rng.standard_normal((90, 6))
    path = tmp_path / "tiny.npz"
    np.savez(path, train_features=x, train_labels=labels)
    return path


def call(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "utf8", str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


def test_the_suite_runs_and_its_record_holds_what_the_page_needs(tiny_source, tmp_path):
    out = tmp_path / "out"
    found = call("run.py", tiny_source, "--quick", "--cap", 1, "--record", "--out", out)
    assert found.returncode == 0, found.stderr
    parts = json.loads((out / "benchmarks.json").read_text(encoding="utf-8"))["parts"]
    names = ["one_head", "study", "spectrum", "authors_method", "cold_start", "accelerator"]
    assert list(parts) == names
    for part in parts.values():
        assert {"machine", "versions", "threads"} <= set(part)
        for table in part["tables"]:
            assert 0.0 <= table["others"] <= 1.0
            assert table["quick"]
            assert len({tuple(row) for row in table["rows"]}) == 1  # all rows have all columns
    tables = {name: part["tables"] for name, part in parts.items()}

    for table in tables["one_head"]:
        rows = {row["method"]: row for row in table["rows"]}
        for method in ("gramlab cold", "gramlab warm", "gramlab cold, soft"):
            assert rows[method]["measured gap"] <= 1e-10
            assert {"min", "median", "max", "runs"} == set(rows[method]["seconds"])
            assert rows[method]["products, float32"] > 0.0
        for method, row in rows.items():  # every peer is there, and says why where it is not
            reached = row["seconds"] is not None
            assert reached or row["work"].startswith(("missed", "skipped")), method
            assert not reached or row["measured gap"] <= 1e-10, method
        assert any(row["seconds"] for name, row in rows.items() if "scikit-learn" in name)
        peers = [row["speed"] or 0.0 for name, row in rows.items() if "gramlab" not in name]
        assert max(peers) == 1.0  # the fastest of them is what speeds are measured by

    assert tables["study"][0]["rows"][0]["heads"] == 48
    assert "none above 1e-10" in tables["study"][0]["text"]
    assert float(tables["spectrum"][1]["text"].split()[-1].rstrip(".")) < 1e-6
    assert [row["method"][:4] for row in tables["authors_method"][0]["rows"][1:]] == ["Adam"] * 2
    assert [row["cache"] for row in tables["cold_start"][0]["rows"]] == ["empty", "filled"]
    large = [row for table in tables["accelerator"] for row in table["rows"]]
    assert [row["what"] for row in large] == ["λ=0.0005", "10 heads"] * 2
    assert "**no**" not in json.dumps(large)

    page = (out / "benchmarks.md").read_text(encoding="utf-8")
    history = (out / "benchmarks_history.jsonl").read_text(encoding="utf-8")
    assert page.count("### ") == len(names)
    assert "cold head, geometric mean" in page
    assert json.loads(history)["sources"] == ["tiny"]
    assert "cold head, least" in json.loads(history)["ratios"]
    for text in (page, history, json.dumps(parts), found.stdout):
        assert str(tmp_path) not in text


def test_passes_are_counted_for_every_kind_of_targets(tiny_source, tmp_path):
    found = call("passes.py", tiny_source, "--out", tmp_path)
    assert found.returncode == 0, found.stderr
    page = (tmp_path / "passes.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| tiny")]
    assert len(rows) == 6
    assert all(row.count(" / ") == 2 * 4 for row in rows)
    assert "–" not in page  # all of these are reached


def run_with(monkeypatch, tables, *options):
    """Call the suite in this process with two parts that only say ``tables``."""
    import run

    class Fake:
        @staticmethod
        def run(settings):
            yield from tables

    monkeypatch.setattr(run, "PARTS", {"one": ("One", Fake), "other": ("Other", Fake)})
    monkeypatch.setattr(sys, "argv", ["run.py", *options])
    run.main()


def table(problem: str, ratio: float) -> dict:
    return {"problem": problem, "text": "", "rows": [{"n": 1}], "ratios": {"speed": ratio}}


@pytest.mark.usefixtures("scripts")
def test_a_part_made_again_replaces_its_problems_and_leaves_the_others(tmp_path, monkeypatch):
    out = "--out", str(tmp_path)
    run_with(monkeypatch, [table("a", 2.0), table("b", 8.0)], *out, "--record")
    run_with(monkeypatch, [table("b", 4.5), table("c", 3.0)], *out, "--only", "one", "--record")
    parts = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))["parts"]
    found = {name: [t["problem"] for t in part["tables"]] for name, part in parts.items()}
    assert found == {"one": ["a", "b", "c"], "other": ["a", "b"]}
    history = (tmp_path / "benchmarks_history.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = (json.loads(line)["ratios"] for line in history)
    assert first == {"speed, geometric mean": 4.0, "speed, least": 2.0}
    assert second == {"speed, geometric mean": 3.0, "speed, least": 2.0}
    assert (tmp_path / "benchmarks_history.md").read_text(encoding="utf-8").count("speed") == 4
    run_with(monkeypatch, [table("c", 1.0)], *out)  # all anew
    parts = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))["parts"]
    assert [t["problem"] for t in parts["one"]["tables"]] == ["c"]


@pytest.mark.usefixtures("scripts")
def test_what_needs_an_accelerator_is_skipped_with_a_reason_and_lost_nowhere(
    tmp_path, monkeypatch, capsys
):
    import accelerator
    from _measure import Settings

    monkeypatch.setattr(device, "accelerated", lambda: False)
    skipped = list(accelerator.run(Settings()))
    out = "--out", str(tmp_path)
    run_with(monkeypatch, skipped, *out)
    assert "Skipped: no accelerator" in (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    run_with(monkeypatch, [table("large", 2.0)], *out)
    run_with(monkeypatch, skipped, *out)
    parts = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))["parts"]
    assert parts["one"]["tables"][0]["problem"] == "large"
    assert "are kept" in capsys.readouterr().out


@pytest.mark.usefixtures("scripts")
def test_a_missed_head_is_marked(monkeypatch):
    import accelerator
    from _measure import Settings

    monkeypatch.setattr(accelerator, "QUICK_SIZES", (("tiny", 60, 8, 3, 1e-40, (5e-4,)),))
    with pytest.warns(gramlab.NotConvergedWarning):
        *_, found = accelerator.run(Settings(repeats=1, quick=True))
    assert [row["at most 1e-40"] for row in found["rows"]] == ["**no**"] * 2


@pytest.mark.usefixtures("scripts")
def test_the_gap_is_the_one_of_the_definition():
    from _measure import noisy

    rng = np.random.default_rng(0)
    features = gramlab.Features(rng.standard_normal((60, 5)), np.arange(60) % 3)
    problem, weights = noisy("", features, 1e-2), rng.standard_normal((5, 3))
    targets = np.eye(3)[problem.given]

    def norm(w: np.ndarray) -> float:
        odds = np.exp(features.x @ w)
        residual = odds / odds.sum(axis=1, keepdims=True) - targets
        return float(np.linalg.norm(features.x.T @ residual / 60 + 1e-2 * w))

    exact = (norm(weights) / norm(np.zeros((5, 3)))) ** 2
    assert abs(problem.relative_gap(weights) - exact) <= 1e-13 * exact
    # Planted: another head's weights, and other labels.
    assert abs(problem.relative_gap(2 * weights) - exact) > 1e-3 * exact
    other = noisy("", features, 1e-2, seed=1)
    assert abs(other.relative_gap(weights) - exact) > 1e-3 * exact


@pytest.mark.usefixtures("scripts")
def test_a_peer_is_tightened_until_the_referee_is_content():
    from _measure import Settings, noisy
    from _peers import climb

    rng = np.random.default_rng(0)
    features = gramlab.Features(rng.standard_normal((60, 5)), np.arange(60) % 3)
    problem = noisy("", features, 1e-1)
    fit = gramlab.SoftmaxHead(1e-1, tolerance=1e-24).fit(features, problem.labels)
    asked = []

    def honest(tolerance):  # an error of its tolerance
        asked.append(tolerance)
        return fit.weights + tolerance, "1 step"

    found = climb("honest", honest, 1e-2, problem, Settings(repeats=2))
    assert found.gap <= 1e-10
    assert found.seconds["runs"] == 2
    assert problem.relative_gap(fit.weights + 3 * asked[-1]) > 1e-10  # no tighter than needed

    def stuck(tolerance):  # planted: it says that it is done at once
        return 0.5 * fit.weights, "1 step"

    found = climb("stuck", stuck, 1e-6, problem, Settings())
    assert found.seconds is None
    assert found.gap > 1e-10
    assert "changes nothing" in found.work


@pytest.mark.usefixtures("scripts")
def test_adam_and_the_exact_head_look_for_the_same_predictions():
    """The authors' loss vanishes at the exact head's predictions, and a step of Adam stays near."""
    import authors_method
    import jax.numpy as jnp
    from _measure import noisy

    features = authors_method.block_features(10, 16)
    problem = noisy("tiny", features, 1e-2)
    fit = gramlab.SoftmaxHead(1e-2, tolerance=1e-20).fit(features, problem.targets)
    scale = features.n_samples * problem.weight_decay

    def loss_after(predictions: np.ndarray, steps: int) -> float:
        with device.float64():
            y = jnp.asarray(predictions)
            zeros = (jnp.zeros_like(y), jnp.zeros_like(y), jnp.zeros(()), jnp.zeros(()))
            gram = jnp.asarray(features.x @ features.x.T / scale)
            state = authors_method.advance((y, *zeros), gram, jnp.asarray(problem.targets), steps)
            return float(state[4])

    assert loss_after(fit.probabilities, 1) < 1e-16
    flat = np.full_like(fit.probabilities, 0.25)
    assert loss_after(flat, 2000) < 1e-2 * loss_after(flat, 1)
