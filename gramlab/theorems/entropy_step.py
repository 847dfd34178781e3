"""Entropy grows in every round, by what the weights say, from below and from above."""

from itertools import pairwise

from gramlab.theorems._rounds import PLAIN_ROUNDS, at_most, exact_rounds, worst
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def _compare(instance: Instance, below: float = 1.0, above: float = 1.0) -> Check:
    checks = []
    for before, now in pairwise(exact_rounds(instance)):
        grown = now.entropy - before.entropy
        checks.append(at_most(below * now.decay * now.weights.square, grown))
        checks.append(at_most(grown, above * now.decay * before.weights.inner(now.weights)))
    return worst(checks)


THEOREM = Theorem(
    name="entropy-step",
    title="How much entropy one round adds",
    source="D",
    kind="lower bound",
    statement=r"\lambda_t \lVert W_t \rVert_F^2 \le \bar H_t - \bar H_{t-1} \le "
    r"\lambda_t \langle W_{t-1}, W_t \rangle, \quad t \ge 2, \quad "
    r"\bar H_t = -\tfrac1N \sum_{ik} P_{t,ik} \log P_{t,ik}",
    kernel=Rocq("entropy_step.v", ("entropy_step",)),
    check=_compare,
    planted={
        "twice from below": lambda i: _compare(i, below=2.0),
        "half from above": lambda i: _compare(i, above=0.5),
    },
    tight_within=0.01,
    **PLAIN_ROUNDS,
)
