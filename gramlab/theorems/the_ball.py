"""Rounds against one training at their total weight decay: it lies in a ball that rounds know."""

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    Known,
    Round,
    draw_rounds,
    exact_rounds,
    head_round,
    total,
    worst,
)
from gramlab.theorems.form import Check, Instance, Rocq, Theorem, bound


def mean_weights(rounds: list[Round], weighted: bool = True) -> Known:
    """W̄ = Σ λ_s W_s/Λ, or the plain mean."""
    shares = [r.decay if weighted else 1.0 for r in rounds]
    return (1 / sum(shares)) * total(
        share * r.weights for share, r in zip(shares, rounds, strict=True)
    )


def _compare(
    instance: Instance, radius: float = 1.0, weighted: bool = True, spent: float = 1.0
) -> Check:
    rounds = exact_rounds(instance)
    checks = []
    for t in range(2, len(rounds) + 1):
        last, mean = rounds[t - 1].weights, mean_weights(rounds[:t], weighted)
        decay = spent * float(sum(instance["decays"][:t]))
        head = head_round(instance["x"], instance["targets"], decay)
        away, across = head.weights - 0.5 * (mean + last), 0.5 * radius * (mean - last)
        checks.append(bound(away.norm, across.norm, away.error + across.error))
    return worst(checks)


THEOREM = Theorem(
    name="the-ball",
    title="Rounds against one training at the total weight decay",
    source="D",
    kind="upper bound",
    hypotheses=SUPPOSED,
    statement=r"\Big\lVert V - \tfrac12 (\bar W_t + W_t) \Big\rVert_F \le "
    r"\tfrac12 \lVert \bar W_t - W_t \rVert_F, \quad \bar W_t = \frac{1}{\Lambda} \sum_{s \le t} "
    r"\lambda_s W_s, \quad \Lambda = \sum_{s \le t} \lambda_s, \quad V \text{ the head trained "
    r"once on } Y \text{ at } \Lambda; \quad \text{so } \lVert V - W_t \rVert_F \le "
    r"\lVert \bar W_t - W_t \rVert_F",
    kernel=Rocq("the_ball.v", ("the_ball",)),
    uses=("telescope",),
    draw=draw_rounds,
    check=_compare,
    planted={
        "half the radius": lambda i: _compare(i, radius=0.5),
        "every round alike": lambda i: _compare(i, weighted=False),
        "half the total weight decay": lambda i: _compare(i, spent=0.5),
    },
    tight_within=0.02,
    arguments=ARGUMENTS,
    runs=RUNS,
)
