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


def test_what_filters_explain_is_told_beside_one_factor_for_all():
    page = " ".join((DOCS / "study_results.md").read_text(encoding="utf-8").split())
    lines = (DOCS / "generated" / "total_decay.md").read_text(encoding="utf-8").splitlines()
    errors = {}
    for line in lines:
        if line.startswith("| all | all |") and "| rounds |" in line:
            cells = [cell.strip() for cell in line.strip("| ").split("|")]
            errors[cells[2], cells[4]] = (cells[9].split(", ")[1], cells[11])
    level, one = errors["exact", "rising"]
    assert f"with a median error of {level}, where one factor for all cells errs by {one}" in page
    level, one = errors["exact", "falling"]
    assert f"it errs by {level}, and one factor by {one}" in page
    told = (errors["linear", side] for side in ("rising", "falling"))
    assert "({} against {}, {} against {})".format(*(x for pair in told for x in pair)) in page


def test_schedules_are_said_to_matter_where_they_do():
    """At the best total of one training on Grocery all are near to each other; beyond not."""
    rows = {}
    text = (DOCS / "generated" / "schedules.md").read_text(encoding="utf-8")
    for line in text.split("**grocery81_vit_tiny**")[1].split("**")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if cells[0][:1].isdigit():
            rows[cells[0]] = [float(cell.split(" / ")[0]) for cell in cells[1:7]]
    once = {total: row[0] for total, row in rows.items()}
    best = max(once, key=lambda total: once[total])
    beyond = [total for total in rows if float(total) > float(best)]
    spread = {total: max(row) - min(row) for total, row in rows.items()}
    page = (DOCS / "schedules.md").read_text(encoding="utf-8")
    assert spread[best] < 2
    assert max(spread[total] for total in beyond) > once[best] - min(once[t] for t in beyond)
    assert "near the best total the schedule matters little, and beyond it, on Grocery, as" in page
