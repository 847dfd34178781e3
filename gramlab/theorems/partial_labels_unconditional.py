"""False: a row maximum on the diagonal is not enough for the top-two student; it can tie."""

from dataclasses import replace

import numpy as np

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._hypotheses import all_of
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, variants
from gramlab.theorems.partial_labels import THEOREM as CONDITIONAL
from gramlab.theorems.partial_labels import balanced_superclasses, two_hot, two_hot_balanced


def _check(instance: Instance, variant: str = "") -> Check:
    b = instance["block"]
    teacher = b.iterate(1)
    found = b.margins(b.iterate(1, two_hot(teacher)[0]))
    two_largest = np.sort(b.class_means(), axis=1)[:, -2:].sum(axis=1)  # the largest is C_kk
    exempt = {
        "enough if C_kk + max C_kl < 1": (two_largest == 1).any(),
        "enough for superclasses of three classes or more": b.m < 3,
    }.get(variant, False)
    return Check(bool(exempt or min(found) > 0), float(min(found))).also(b.agrees(1, teacher))


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
    planted=variants(
        _check, "enough if C_kk + max C_kl < 1", "enough for superclasses of three classes or more"
    ),
    expected="counterexample",
    arguments=arguments.BLOCK,
    instance=arguments.block,
    paper=("section 5",),
    runs=("gramlab.population.Population.linearized",),
)
