"""False: top-two rounds obey none of the laws of plain rounds that tie rounds together."""

import operator

from gramlab.theorems._rounds import (
    DECAYS,
    RUNS,
    TARGETS,
    at_most,
    exact_rounds,
    near,
    plain_rounds,
    same,
    shorter,
    total,
    trained_once,
    worst,
)
from gramlab.theorems.form import Check, Instance, Rocq, Theorem
from gramlab.theorems.the_ball import ball
from gramlab.theorems.top_two_rounds import TOP_TWO, TOP_TWO_ROUNDS

_LAWS = "telescope", "weights shrink", "entropy grows", "the ball"


def _compare(instance: Instance, laws: tuple[str, ...] = _LAWS) -> Check:
    """Of the last two rounds."""
    rounds = exact_rounds({"refine": "top2", **instance})
    before, last = rounds[-2:]
    weights = [r.weights for r in rounds]
    taken = total(map(operator.mul, instance["decays"], weights))
    checks = {
        "telescope": same(taken, rounds[0].given - last.moment),
        "weights shrink": shorter(last.weights, before.weights),
        "entropy grows": at_most(before.entropy, last.entropy),
        "the ball": ball(trained_once(instance).weights, instance["decays"], weights),
    }
    return worst([checks[law] for law in laws])


THEOREM = Theorem(
    name="top-two-laws",
    title="Top-two rounds obey the laws of plain rounds (false)",
    source="D",
    kind="sufficient",
    hypotheses=(TARGETS, DECAYS, TOP_TWO_ROUNDS),
    statement=r"\textstyle\sum_s \lambda_s W_s = \tfrac1N X^\top (Y - P_t),\ \lVert W_t \rVert \le "
    r"\lVert W_{t-1} \rVert,\ \bar H_t \ge \bar H_{t-1}, \text{ and the head trained once at } "
    r"\Lambda \text{ lies in the ball over } W_t \text{ and } \bar W_t",
    kernel=Rocq("top_two_laws.v", ("top_two_laws",)),
    draw=near(plain_rounds([[3], [2], [1]], [0, 1, 2], [1, 1])),
    check=_compare,
    planted={law: lambda i, law=law: _compare(i, (law,)) for law in _LAWS},
    expected="counterexample",
    arguments=TOP_TWO,
    runs=RUNS,
)
