"""The table of rounds beside one training at their total weight decay."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from study_rows import rounds

from gramlab.study.rows import groups

ROOT = Path(__file__).resolve().parents[3]
FEWEST = 360  # test rows, those of digits; the pages have two digits


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return importlib.import_module("study_at_total")


def test_a_line_pairs_rounds_and_one_training_by_seed(example):
    """Rounds gain 10, 12 and 14 points, one training 9 in each; t is 4.303 at 2 degrees."""
    gains = {0: 0.10, 1: 0.12, 2: 0.14}
    (of_rounds,) = groups(rounds({s: [0.5, 0.5, 0.5, 0.5, 0.5 + g] for s, g in gains.items()}))
    (of_one,) = groups(rounds({s: [0.59] for s in gains}, weight_decay_name="total"))
    (line,) = example.lines_of(example.joined(of_rounds, of_one))
    assert line == (
        "| toy, raw, symmetric | 0.5 | 50.00 | 62.00 | 59.00 | **+12.0** ± 5.0 | **+9.0** ± 0.0 "
        "| +3.0 ± 5.0 |"
    )


def test_the_table_is_of_the_draws_that_the_study_has():
    """Teacher and round 5 are those of the study's own pages, but for rows that all but tie.

    Heads at a relative gap of 1e-8 leave such rows open: in the mean over seeds, less than one of
    the fewest test rows.
    """
    table = (ROOT / "docs" / "generated" / "study_at_total.md").read_text(encoding="utf-8")
    found = re.findall(r"\| (\w+), ([\w ]+), (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", table)
    assert len(found) >= 12
    pages = {name: study_page(name) for name in {one[0] for one in found}}
    for name, preparation, noise, rate, teacher, last in found:
        theirs = pages[name][f"{name}, {preparation}, {noise} noise, base weight decay", rate]
        for ours, told in zip((teacher, last), theirs, strict=True):
            assert abs(float(ours) - told) <= 100 / (3 * FEWEST) + 0.01, (name, noise, rate)


def study_page(name: str) -> dict[tuple[str, str], tuple[float, float]]:
    """Accuracies of teacher and round 5 by setting and rate."""
    page = (ROOT / "docs" / "generated" / f"study_{name}.md").read_text(encoding="utf-8")
    found = {}
    for part in page.split("**Test accuracy in percent: ")[1:]:
        for line in part.splitlines():
            cells = [cell.strip(" *") for cell in line.split("|")[1:]]
            if len(cells) > 5 and re.fullmatch(r"[\d.]+", cells[0]):
                values = [float(cells[at].split()[0]) for at in (1, 5)]
                found[part.split("**")[0], cells[0]] = (values[0], values[1])
    return found
