"""Rounds against one training at their total weight decay: it lies in a ball that rounds know."""

from collections.abc import Sequence

import numpy as np

from gramlab.theorems import _rounds as rounds
from gramlab.theorems._rounds import Known
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def ball(once: Known, shares: np.ndarray, weights: Sequence[Known], radius: float = 1.0) -> Check:
    """Whether ``once`` lies in the ball over the last weights and their mean by those shares."""
    mean = (1 / float(sum(shares))) * rounds.weighted(shares, weights)
    return rounds.shorter(once - 0.5 * (mean + weights[-1]), 0.5 * radius * (mean - weights[-1]))


def _compare(
    instance: Instance, radius: float = 1.0, weighted: bool = True, spent: float = 1.0
) -> Check:
    weights, checks = [r.weights for r in rounds.exact_rounds(instance)], []
    for t in range(2, len(weights) + 1):
        decays = instance["decays"][:t]
        once = rounds.trained_once(instance, spent * float(sum(decays))).weights
        shares = decays if weighted else np.ones(t)
        checks.append(ball(once, shares, weights[:t], radius))
    return rounds.worst(checks)


THEOREM = Theorem(
    name="the-ball",
    title="Rounds against one training at the total weight decay",
    source="D",
    kind="upper bound",
    statement=r"\Big\lVert V - \tfrac12 (\bar W_t + W_t) \Big\rVert_F \le "
    r"\tfrac12 \lVert \bar W_t - W_t \rVert_F, \quad \bar W_t = \frac{1}{\Lambda} \sum_{s \le t} "
    r"\lambda_s W_s, \quad \Lambda = \sum_{s \le t} \lambda_s, \quad V \text{ the head trained "
    r"once on } Y \text{ at } \Lambda; \quad \text{so } \lVert V - W_t \rVert_F \le "
    r"\lVert \bar W_t - W_t \rVert_F",
    kernel=Rocq("the_ball.v", ("the_ball",)),
    uses=("telescope",),
    check=_compare,
    planted={
        "half the radius": lambda i: _compare(i, radius=0.5),
        "every round alike": lambda i: _compare(i, weighted=False),
        "half the total weight decay": lambda i: _compare(i, spent=0.5),
    },
    tight_within=0.02,
    **rounds.PLAIN_ROUNDS,
)
