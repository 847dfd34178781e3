"""All rounds share out one gradient: what they take, weighted by weight decay, adds up exactly."""

import numpy as np

from gramlab.theorems._rounds import PLAIN_ROUNDS, exact_rounds, same, weighted, worst
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def _compare(instance: Instance, more: int = 0, alike: bool = False) -> Check:
    rounds, decays = exact_rounds(instance), instance["decays"]
    shares = np.full(len(decays), decays.mean()) if alike else decays
    weights, first = [r.weights for r in rounds], rounds[0].given
    checks = []
    for t, r in enumerate(rounds[: len(rounds) - more], 1 + more):
        checks.append(same(weighted(shares[:t], weights[:t]), first - r.moment))
    return worst(checks)


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
        "every round alike": lambda i: _compare(i, alike=True),
    },
    **PLAIN_ROUNDS,
)
