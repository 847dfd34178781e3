"""With momentum, rounds count quadratically."""

import numpy as np

from gramlab.theorems import _rounds as rounds
from gramlab.theorems._arguments import PROBLEM, ROUNDS, flag
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem


def _without_momentum(rng: np.random.Generator) -> Instance:
    """Targets near 1/K, where F* is a parabola, as curved as plain rounds can bear least."""
    x = rng.uniform(1, 2) * np.ones((2, 1))
    targets, count = np.full((2, 2), (0.51, 0.49)), int(rng.integers(30, 40))
    decay = rounds.natural_decay(x, targets) / (2 * count - 1)
    return {"x": x, "targets": targets, "weight_decay": decay, "rounds": count, "momentum": False}


def _has_momentum(instance: Instance) -> Held:
    return Held(instance["momentum"], "with it" if instance["momentum"] else "without it")


def _compare(instance: Instance, rate: float = 0.5, cubed: bool = False) -> Check:
    x, targets = instance["x"], instance["targets"]
    start, least = rounds.start_gradient(x, targets), rounds.uniform_moment(x, targets)
    before, checks = rounds.moment(x, targets), []
    for t, r in enumerate(rounds.exact_rounds(instance), 1):
        ahead = before + 0.5 * (t + 1) * (r.moment - before) - least
        scale = rate * r.decay * ((t + 1) ** 3 / 2 if cubed else (t + 1) ** 2)
        left = scale * rounds.short_of_uniform(r) + ahead.square
        checks.append(rounds.at_most(left, start.square))
        before = r.moment
    return rounds.worst(checks)


THEOREM = Theorem(
    name="momentum-rate",
    title="With momentum, rounds count quadratically",
    source="D (accelerated proximal points: Güler 1992, Beck & Teboulle 2009)",
    kind="upper bound",
    hypotheses=(
        rounds.TARGETS,
        rounds.ONE_DECAY,
        Hypothesis(
            "momentum",
            r"T^{(1)} = Y,\ T^{(t+1)} = P_t + \frac{t - 1}{t + 2} (P_t - P_{t-1})",
            _without_momentum,
            _has_momentum,
        ),
    ),
    statement=r"\tfrac12 \lambda (t+1)^2 (\log K - \bar H_t) + \Big\lVert \tfrac1N X^\top \Big("
    r"P_{t-1} + \tfrac{t+1}{2} (P_t - P_{t-1}) - \tfrac1K \Big) \Big\rVert_F^2 \le "
    r"\lVert \nabla L(0) \rVert_F^2, \quad P_0 = Y, \quad \text{so } \log K - \bar H_t \le "
    r"\frac{2 \lVert \nabla L(0) \rVert_F^2}{\lambda (t+1)^2}",
    kernel=Rocq("momentum_rate.v", ("momentum_rate",)),
    draw=lambda rng: {**rounds.draw_one_decay(rng, 2), "momentum": True},
    check=_compare,
    planted={
        "four times the rate": lambda i: _compare(i, rate=2.0),
        "rounds that count with their cube": lambda i: _compare(i, cubed=True),
    },
    tight_within=0.02,
    arguments=PROBLEM
    | {
        "targets": rounds.ARGUMENTS["targets"],
        "rounds": ROUNDS,
        "momentum": flag("whether rounds have it; they do unless told", True),
    },
    runs=rounds.RUNS,
)
