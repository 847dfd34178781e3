"""Schedules of weight decays with one total, and which of two is the more even.

A schedule majorizes another if their totals are equal and the sum of its k largest is at least that
of the other's, for every k; missing rounds count as 0. Then the other comes from it by transfers
from a larger to a smaller one (Hardy, Littlewood & Pólya 1929), so it is the more even of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
from flint import fmpq

from gramlab.population.exact_numbers import exact_number, rational
from gramlab.theorems._arguments import array, check_rounds
from gramlab.theorems._hypotheses import above, all_of
from gramlab.theorems.form import Held, Hypothesis, Instance

EPS = float(np.finfo(float).eps)


def partial_sums(mus: Sequence, others: Sequence) -> list[Any]:
    """By k, the sum of the k largest of a schedule less that of the other; at last the totals'."""
    sizes = max(len(mus), len(others))
    ordered = (sorted([*one, *[0] * (sizes - len(one))], reverse=True) for one in (mus, others))
    own, other = (list(accumulate(one)) for one in ordered)
    return [a - b for a, b in zip(own, other, strict=True)]


def _majorizes(instance: Instance) -> Held:
    mus, others = instance["mus"], instance["others"]
    *partial, total = partial_sums(mus, others)
    # Floats were rounded when they were written, and their sums are; rationals are exact.
    rounded = isinstance(mus, np.ndarray)
    known = 2 * max(len(mus), len(others)) * EPS * float(np.sum(mus)) if rounded else 0
    least = min(partial, default=0)
    good = bool(least >= -known and abs(total) <= known)
    return Held(good, f"least partial sum {float(least):.6g}, totals differ by {float(total):.6g}")


def uneven(rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """A schedule in whole numbers and a more even one: transfers, some of them to new rounds."""
    mus = [int(10 ** rng.uniform(1, 3)) for _ in range(int(rng.integers(1, 5)))]
    others = mus + [0] * int(rng.integers(3))
    if len(others) == 1:  # one training has no other schedule of one round
        others.append(0)
    for low in range(len(mus), len(others)):
        transfer(others, low, rng)
    for _ in range(int(rng.integers(1, 4))):
        transfer(others, int(rng.integers(len(others))), rng)
    return mus, [int(m) for m in rng.permutation(others)]


def transfer(schedule: list[int], low: int, rng: np.random.Generator) -> None:
    """Move at most half of what the largest is ahead to the one at ``low``."""
    high = int(np.argmax(schedule))
    half = (schedule[high] - schedule[low]) // 2
    if half:
        moved = int(rng.integers(1, half + 1))
        schedule[high] -= moved
        schedule[low] += moved


def _exact(least: str | int, name: str, value: object, sizes: dict[str, int]) -> list[fmpq]:
    """Weight decays in the rationals that the numbers stand for."""
    entries = value if isinstance(value, (list, tuple, np.ndarray)) else [value]
    check_rounds(name, entries, least, sizes)
    sizes.setdefault("t", len(entries))
    return [rational(exact_number(name, one)) for one in entries]


SCHEDULES = {
    "mus": array("μ > 0 of each round; μ = K N λ for weight decay λ", "t"),
    "others": array("the same of a more even schedule, u ≥ t", "u", least="t"),
}
EXACT_SCHEDULES = {
    "mus": replace(SCHEDULES["mus"], read=partial(_exact, 1)),
    "others": replace(SCHEDULES["others"], read=partial(_exact, "t")),
}
POSITIVE = Hypothesis(
    "weight decays",
    r"\mu_i > 0,\ \nu_i > 0",
    test=all_of(above("mus", "μ_i"), above("others", "ν_i")),
)


def majorization(without: Any) -> Hypothesis:
    """μ majorizes ν, which ``without`` draws instances of where it does not."""
    return Hypothesis(
        "majorization",
        r"\textstyle\sum_i \mu_i = \sum_i \nu_i = \Lambda, \text{ and for every } k \text{ the "
        r"} k \text{ largest } \mu_i \text{ sum to no less than the } k \text{ largest } \nu_i",
        without,
        _majorizes,
    )
