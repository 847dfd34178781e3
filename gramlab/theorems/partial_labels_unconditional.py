"""False: a row maximum on the diagonal is not enough for the top-two student; it can tie."""

from dataclasses import replace
from typing import Any

import numpy as np

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import Block, two_hot
from gramlab.theorems._hypotheses import all_of
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem
from gramlab.theorems.partial_labels import THEOREM as CONDITIONAL
from gramlab.theorems.partial_labels import balanced_superclasses, two_hot_balanced

"""Counts, m, ρ: C_kk is the strict row maximum; the last keeps the side condition as well."""


def _student(b: Block) -> tuple[np.ndarray, list[Any]]:
    """The student's margins, and what is above 0 if true labels are clearly in every top two."""
    teacher = b.iterate(1)
    targets, _ = two_hot(teacher)
    ordered = np.sort(teacher, axis=1)
    gaps = ordered[:, -2] - ordered[:, -3] if b.n_classes > 2 else []
    shares = targets[np.arange(len(targets)), b.true]
    return b.margins(b.iterate(1, targets)), [*shares, *gaps]


def _check(instance: Instance, variant: str = "") -> Check:
    b = instance["block"]
    found, _ = _student(b)
    agrees = b.agrees(1, b.iterate(1))
    two_largest = np.sort(b.class_means(), axis=1)[:, -2:].sum(axis=1)  # the largest is C_kk
    exempt = {"condition 3": (two_largest == 1).any(), "three classes": b.m < 3}.get(variant, False)
    return Check(bool(exempt or min(found) > 0), float(min(found))).also(agrees)


_order, _, _maximum, _, _clear = CONDITIONAL.hypotheses

THEOREM = Theorem(
    name="partial-labels-unconditional",
    title="The top-two student without its side condition (false)",
    source="P (counterexamples D)",
    kind="sufficient",
    hypotheses=(
        _order,
        Hypothesis(
            "balanced",
            r"\text{fractions } C \text{ and two-hot means } \tilde C \text{ with column sums } 1, "
            r"\text{ corruption inside superclasses of } m \ge 2 \text{ classes}",
            test=all_of(balanced_superclasses, two_hot_balanced),
        ),
        replace(_maximum, without=None),
        _clear,
    ),
    statement=r"\text{the student of the teacher's top two labels is right on all samples}",
    kernel=Rocq("partial_labels_unconditional.v", ("partial_labels_unconditional",)),
    draw=CONDITIONAL.draw,
    check=_check,
    planted={
        "enough if C_kk + max C_kl < 1": lambda i: _check(i, "condition 3"),
        "enough for superclasses of three classes or more": lambda i: _check(i, "three classes"),
    },
    expected="counterexample",
    arguments=arguments.BLOCK,
    instance=arguments.block,
    paper=("section 5",),
    runs=("gramlab.population.Population.linearized",),
)
