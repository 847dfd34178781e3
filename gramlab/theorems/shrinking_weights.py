"""Weights shrink from round to round, whatever the schedule, and into a ball."""

from itertools import pairwise

from gramlab.theorems._rounds import PLAIN_ROUNDS, exact_rounds, shorter, worst
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def _compare(instance: Instance, centre: float = 0.5, radius: float = 0.5) -> Check:
    weights = [r.weights for r in exact_rounds(instance)]
    return worst([shorter(now - centre * w, radius * w) for w, now in pairwise(weights)])


THEOREM = Theorem(
    name="shrinking-weights",
    title="Weights shrink from round to round",
    source="D",
    kind="upper bound",
    statement=r"\Big\lVert W_{t+1} - \tfrac12 W_t \Big\rVert_F \le \tfrac12 \lVert W_t \rVert_F, "
    r"\text{ that is } \lVert W_{t+1} \rVert_F^2 \le \langle W_t, W_{t+1} \rangle, \text{ so } "
    r"\lVert W_{t+1} \rVert_F \le \lVert W_t \rVert_F",
    kernel=Rocq("shrinking_weights.v", ("shrinking_weights",)),
    check=_compare,
    planted={
        "half the radius": lambda i: _compare(i, radius=0.25),
        "weights that shrink by a third": lambda i: _compare(i, centre=1 / 3, radius=1 / 3),
        "weights that stay": lambda i: _compare(i, centre=1.0, radius=1 / 3),
    },
    tight_within=0.01,
    **PLAIN_ROUNDS,
)
