"""Mixed with the given labels, rounds go to the head trained once at λ/(1 − ξ)."""

import numpy as np

from gramlab.theorems import _rounds as rounds
from gramlab.theorems._arguments import DECAY, ROUNDS, number
from gramlab.theorems._hypotheses import above, equals
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    problem = rounds.draw_one_decay(rng, 1)
    return {**problem, "mixing": float(rng.choice([rng.uniform(0.1, 1), rng.uniform(-1.5, -0.1)]))}


def _sharpened(rng: np.random.Generator) -> Instance:
    return {**_draw(rng), "rounds": 5, "mixing": 0.9, "temperature": float(rng.uniform(0.05, 0.2))}


def _compare(instance: Instance, power: int = 0, spent: float = 1.0) -> Check:
    decay, xi, checks = instance["weight_decay"], instance["mixing"], []
    limit = rounds.trained_once(instance, spent * decay / (1 - xi))
    first = decay / (1 - xi) * limit.weights
    for t, r in enumerate(rounds.exact_rounds(instance), 1):
        weights, moments = decay * (r.weights - limit.weights), r.moment - limit.moment
        left = abs(xi) ** (t + power) * first
        error = weights.error + moments.error + left.error
        checks.append(bound(float(np.hypot(weights.norm, moments.norm)), left.norm, error))
    return rounds.worst(checks)


THEOREM = Theorem(
    name="mixing-limit",
    title="Rounds mixed with the given labels go to one training at λ/(1 − ξ)",
    source="D (squared loss: Borup & Andersen 2021)",
    kind="upper bound",
    hypotheses=(
        rounds.TARGETS,
        rounds.ONE_DECAY,
        Hypothesis(
            "mixing",
            r"T^{(t+1)} = \xi P_t + (1 - \xi) Y,\ \xi < 1",
            test=above("mixing", "ξ", -np.inf, 1.0),
        ),
        Hypothesis(
            "read at temperature 1",
            r"P_t = \operatorname{softmax}(X W_t)",
            _sharpened,
            equals("temperature", "temperature of the reading", lambda i: 1.0),
        ),
    ),
    statement=r"\lambda^2 \lVert W_t - V \rVert_F^2 + \lVert M(W_t) - M(V) \rVert_F^2 \le \Big("
    r"\frac{|\xi|^t}{1 - \xi} \lambda \lVert V \rVert_F \Big)^2, \quad M(W) = \tfrac1N X^\top "
    r"\operatorname{softmax}(XW), \quad V \text{ the head trained once on } Y \text{ at } "
    r"\frac{\lambda}{1 - \xi}; \quad \text{so } W_t \to V \text{ if } |\xi| < 1",
    kernel=Rocq("mixing_limit.v", ("mixing_limit", "mixing_converges")),
    draw=_draw,
    check=_compare,
    planted={
        "a round sooner": lambda i: _compare(i, power=1),
        "one training at λ/(1 − ξ)²": lambda i: _compare(i, spent=1 / (1 - i["mixing"])),
        "one training at half of it": lambda i: _compare(i, spent=0.5),
    },
    tight_within=0.02,
    arguments={
        **{name: rounds.ARGUMENTS[name] for name in ("features", "targets", "temperature")},
        "weight_decay": DECAY,
        "mixing": number("ξ < 1 of ξP + (1 − ξ)Y"),
        "rounds": ROUNDS,
    },
    runs=rounds.RUNS,
)
