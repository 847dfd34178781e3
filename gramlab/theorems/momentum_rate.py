"""With momentum, rounds count quadratically."""

import math

import numpy as np

from gramlab.theorems._arguments import PROBLEM, flag, whole
from gramlab.theorems._hypotheses import positive_decay
from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    TARGETS,
    draw_problem,
    exact_rounds,
    moment,
    natural_decay,
    start_gradient,
    uniform_moment,
    worst,
)
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    problem = draw_problem(rng)
    natural = natural_decay(problem["x"], problem["targets"].shape[1])
    decay = natural * float(10 ** rng.uniform(-3, 1))
    return {**problem, "weight_decay": decay, "rounds": int(rng.integers(2, 7)), "momentum": True}


def _without_momentum(rng: np.random.Generator) -> Instance:
    """Targets near 1/K, where F* is a parabola, as curved as plain rounds can bear least."""
    x = rng.uniform(1, 2) * np.ones((2, 1))
    targets, rounds = np.full((2, 2), (0.51, 0.49)), int(rng.integers(30, 40))
    decay = natural_decay(x, 2) / (2 * rounds - 1)
    return {"x": x, "targets": targets, "weight_decay": decay, "rounds": rounds, "momentum": False}


def _has_momentum(instance: Instance) -> Held:
    return Held(instance["momentum"], "with it" if instance["momentum"] else "without it")


def _compare(instance: Instance, rate: float = 0.5, cubed: bool = False) -> Check:
    x, k, decay = instance["x"], instance["targets"].shape[1], instance["weight_decay"]
    start, least = start_gradient(x, instance["targets"]), uniform_moment(x, k)
    before, checks = moment(x, instance["targets"]), []
    settings = {"decays": np.full(instance["rounds"], decay), "mixing": 1.0, "temperature": 1.0}
    for t, r in enumerate(exact_rounds({**instance, **settings}), 1):
        left = math.log(k) - float(r.entropy.value)
        ahead = before + 0.5 * (t + 1) * (r.moment - before) - least
        scale = rate * decay * ((t + 1) ** 3 / 2 if cubed else (t + 1) ** 2)
        error = scale * r.entropy.error + ahead.square_error + start.square_error
        checks.append(bound(scale * left + ahead.norm**2, start.norm**2, error))
        before = r.moment
    return worst(checks)


THEOREM = Theorem(
    name="momentum-rate",
    title="With momentum, rounds count quadratically",
    source="D (accelerated proximal points: Güler 1992, Beck & Teboulle 2009)",
    kind="upper bound",
    hypotheses=(
        TARGETS,
        Hypothesis("weight decay", r"\lambda > 0,\ \text{one for all}", test=positive_decay),
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
    draw=_draw,
    check=_compare,
    planted={
        "four times the rate": lambda i: _compare(i, rate=2.0),
        "rounds that count with their cube": lambda i: _compare(i, cubed=True),
    },
    tight_within=0.02,
    arguments=PROBLEM
    | {
        "targets": ARGUMENTS["targets"],
        "rounds": whole("t, a whole number of at least 1; 2 unless told", 1, default=2),
        "momentum": flag("whether rounds have it; they do unless told", True),
    },
    runs=RUNS,
)
