"""Entropy grows in every round, by what the weights say, from below and from above."""

from itertools import pairwise

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    draw_rounds,
    exact_rounds,
    worst,
)
from gramlab.theorems.form import Check, Instance, Rocq, Theorem, bound


def _compare(instance: Instance, below: float = 1.0, above: float = 1.0) -> Check:
    rounds = exact_rounds(instance)
    checks = []
    for before, now in pairwise(rounds):
        grown = now.entropy - before.entropy
        least = now.decay * now.weights.inner(now.weights)
        most = now.decay * before.weights.inner(now.weights)
        error = grown.error + least.error + most.error
        checks.append(bound(below * float(least.value), float(grown.value), error))
        checks.append(bound(float(grown.value), above * float(most.value), error))
    return worst(checks)


THEOREM = Theorem(
    name="entropy-step",
    title="How much entropy one round adds",
    source="D",
    kind="lower bound",
    hypotheses=SUPPOSED,
    statement=r"\lambda_t \lVert W_t \rVert_F^2 \le \bar H_t - \bar H_{t-1} \le "
    r"\lambda_t \langle W_{t-1}, W_t \rangle, \quad t \ge 2, \quad "
    r"\bar H_t = -\tfrac1N \sum_{ik} P_{t,ik} \log P_{t,ik}",
    kernel=Rocq("entropy_step.v", ("entropy_step",)),
    draw=draw_rounds,
    check=_compare,
    planted={
        "twice from below": lambda i: _compare(i, below=2.0),
        "half from above": lambda i: _compare(i, above=0.5),
    },
    tight_within=0.01,
    arguments=ARGUMENTS,
    runs=RUNS,
)
