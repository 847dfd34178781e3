"""What pages say in words is what their tables hold."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def digits():
    """Recovery and total weight decay of exact heads on digits, first draw, by kind."""
    with open(DOCS / "generated" / "total_decay.csv", newline="", encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["features"], row["head"], row["seed"]) == ("digits", "exact", "0")
        ]
    return {
        kind: [
            (float(row["total_weight_decay"]), float(row["recovery"]))
            for row in rows
            if row["kind"] == kind
        ]
        for kind in ("one", "rounds", "momentum")
    }


def differences(found) -> tuple[list[float], list[float]]:
    """Rounds less one training at as much, in points: up to the first best of one, and beyond."""
    once = {f"{total:.9g}": recovery for total, recovery in found["one"]}
    best = max(sorted(found["one"]), key=lambda one: one[1])[0]
    sides: tuple[list[float], list[float]] = ([], [])
    for total, recovery in found["rounds"]:
        sides[total > best].append(100 * (recovery - once[f"{total:.9g}"]))
    return sides


def test_rounds_follow_one_training_up_to_its_best_and_lose_faster_beyond(digits):
    """README, index, proximal points: within a point up to the best, below by more beyond."""
    near, beyond = differences(digits)
    assert max(map(abs, near)) < 1 < max(map(abs, beyond))
    assert max(beyond) < 0
    # Planted: with the two exchanged, what is said fails.
    near, beyond = differences({**digits, "rounds": digits["one"], "one": digits["one"]})
    assert not max(map(abs, beyond)) > 1


def test_the_study_tells_the_numbers_of_the_table(digits):
    page = " ".join((DOCS / "study_results.md").read_text(encoding="utf-8").split())
    near, beyond = differences(digits)
    said = f"between {-min(near):.1f} points less and {max(near):.1f} more than one training"
    assert said in page
    assert f"beyond it they recover {-max(beyond):.1f} to {-min(beyond):.1f} points less" in page
    one, rounds, momentum = (
        f"{100 * max(recovery for _, recovery in digits[kind]):.1f} %" for kind in digits
    )
    assert f"recovers {one} at best, rounds {rounds}, rounds with momentum {momentum}" in page
