"""All rounds share out one gradient: what they take, weighted by weight decay, adds up exactly."""

import numpy as np

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    draw_rounds,
    exact_rounds,
    total,
    worst,
)
from gramlab.theorems.form import Check, Instance, Rocq, Theorem, equal


def _compare(instance: Instance, more: int = 0, weighted: bool = True) -> Check:
    rounds = exact_rounds(instance)
    mean = float(np.mean(instance["decays"]))
    checks = []
    for t in range(1, len(rounds) + 1 - more):
        taken = total((r.decay if weighted else mean) * r.weights for r in rounds[: t + more])
        left = rounds[0].given - rounds[t - 1].moment
        checks.append(equal(taken.value, left.value, (taken - left).error))
    return worst(checks)


THEOREM = Theorem(
    name="telescope",
    title="All rounds share out the gradient at zero",
    source="D",
    kind="identity",
    hypotheses=SUPPOSED,
    statement=r"\sum_{s \le t} \lambda_s W_s = \tfrac1N X^\top (Y - P_t)",
    kernel=Rocq("telescope.v", ("telescope",)),
    draw=draw_rounds,
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, more=1),
        "every round alike": lambda i: _compare(i, weighted=False),
    },
    arguments=ARGUMENTS,
    runs=RUNS,
)
