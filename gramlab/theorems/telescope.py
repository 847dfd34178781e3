"""All rounds share out one gradient: what they take, weighted by weight decay, adds up exactly."""

import numpy as np

from gramlab.theorems._rounds import PLAIN_ROUNDS, exact_rounds, same, total, worst
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def _compare(instance: Instance, more: int = 0, weighted: bool = True) -> Check:
    rounds, mean = exact_rounds(instance), float(np.mean(instance["decays"]))
    taken = [(r.decay if weighted else mean) * r.weights for r in rounds]
    left = [rounds[0].given - r.moment for r in rounds[: len(rounds) - more]]
    return worst([same(total(taken[: t + more]), one) for t, one in enumerate(left, 1)])


THEOREM = Theorem(
    name="telescope",
    title="All rounds share out the gradient at zero",
    source="D",
    kind="identity",
    statement=r"\sum_{s \le t} \lambda_s W_s = \tfrac1N X^\top (Y - P_t)",
    kernel=Rocq("telescope.v", ("telescope",)),
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, more=1),
        "every round alike": lambda i: _compare(i, weighted=False),
    },
    **PLAIN_ROUNDS,
)
