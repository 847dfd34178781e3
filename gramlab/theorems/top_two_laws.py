"""False: top-two rounds obey none of the laws of plain rounds that tie rounds together."""

import numpy as np

from gramlab.theorems._rounds import (
    DECAYS,
    RUNS,
    TARGETS,
    Known,
    draw_near,
    exact_rounds,
    head_round,
    plain_rounds,
    total,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem
from gramlab.theorems.top_two_rounds import TOP_TWO, only_top_two

_FOUND = plain_rounds([[3], [2], [1]], [0, 1, 2], [1, 1])


def _beyond(instance: Instance) -> dict[str, tuple[float, float]]:
    """By law, by how much the last two rounds break it, and how far that can be off.

    Above 0 it is broken: a residual, a norm that grows, an entropy that falls, a point outside.
    """
    rounds = exact_rounds({"mixing": 1.0, "temperature": 1.0, "refine": "top2", **instance})
    before, last = rounds[-2:]
    spent = total(r.decay * r.weights for r in rounds)
    whole = float(np.sum(instance["decays"]))
    mean = (1 / whole) * spent
    once = head_round(instance["x"], instance["targets"], whole).weights
    residual = spent - (rounds[0].given - last.moment)
    away, across = once - 0.5 * (mean + last.weights), 0.5 * (mean - last.weights)

    def longer(a: Known, b: Known) -> tuple[float, float]:
        return a.norm - b.norm, a.error + b.error

    return {
        "telescope": (residual.norm, residual.error),
        "weights shrink": longer(last.weights, before.weights),
        "entropy grows": (
            float(before.entropy.value - last.entropy.value),
            before.entropy.error + last.entropy.error,
        ),
        "the ball": longer(away, across),
    }


def _draw(rng: np.random.Generator) -> Instance:
    return only_top_two(draw_near(rng, _FOUND))


def _compare(instance: Instance, laws: tuple[str, ...] = ()) -> Check:
    found = _beyond(instance)
    told = [found[law] for law in laws or tuple(found)]
    least = min(error - value for value, error in told)
    return Check(least >= 0, float(least))


THEOREM = Theorem(
    name="top-two-laws",
    title="Top-two rounds obey the laws of plain rounds (false)",
    source="D",
    kind="sufficient",
    hypotheses=(
        TARGETS,
        DECAYS,
        Hypothesis(
            "top-two rounds",
            r"T^{(1)} = Y,\ T^{(t+1)} = \tfrac12 \text{ on the two largest classes of each row of "
            r"} P_t",
        ),
    ),
    statement=r"\textstyle\sum_s \lambda_s W_s = \tfrac1N X^\top (Y - P_t),\ \lVert W_t \rVert \le "
    r"\lVert W_{t-1} \rVert,\ \bar H_t \ge \bar H_{t-1}, \text{ and the head trained once at } "
    r"\Lambda \text{ lies in the ball over } W_t \text{ and } \bar W_t",
    kernel=Rocq("top_two_laws.v", ("top_two_laws",)),
    draw=_draw,
    check=_compare,
    planted={
        law: lambda i, law=law: _compare(i, (law,))
        for law in ("telescope", "weights shrink", "entropy grows", "the ball")
    },
    expected="counterexample",
    arguments=TOP_TWO,
    runs=RUNS,
)
