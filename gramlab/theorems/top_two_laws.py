"""False: top-two rounds obey none of the laws of plain rounds that tie rounds together."""

from gramlab.theorems import _rounds as rounds
from gramlab.theorems.form import Check, Instance, Rocq, Theorem
from gramlab.theorems.the_ball import ball
from gramlab.theorems.top_two_rounds import TOP_TWO, TOP_TWO_ROUNDS

_LAWS = "telescope", "weights shrink", "entropy grows", "the ball"


def _compare(instance: Instance, laws: tuple[str, ...] = _LAWS) -> Check:
    """Of the last two rounds."""
    made = rounds.exact_rounds({"refine": "top2", **instance})
    before, last = made[-2:]
    weights, decays = [r.weights for r in made], instance["decays"]
    once = rounds.trained_once(instance, sum(decays))
    checks = {
        "telescope": rounds.same(rounds.weighted(decays, weights), made[0].given - last.moment),
        "weights shrink": rounds.shorter(last.weights, before.weights),
        "entropy grows": rounds.at_most(before.entropy, last.entropy),
        "the ball": ball(once.weights, decays, weights),
    }
    return rounds.worst([checks[law] for law in laws])


THEOREM = Theorem(
    name="top-two-laws",
    title="Top-two rounds obey the laws of plain rounds (false)",
    source="D",
    kind="sufficient",
    hypotheses=(rounds.TARGETS, rounds.DECAYS, TOP_TWO_ROUNDS),
    statement=r"\textstyle\sum_s \lambda_s W_s = \tfrac1N X^\top (Y - P_t),\ \lVert W_t \rVert \le "
    r"\lVert W_{t-1} \rVert,\ \bar H_t \ge \bar H_{t-1}, \text{ and the head trained once at } "
    r"\Lambda \text{ lies in the ball over } W_t \text{ and } \bar W_t",
    kernel=Rocq("top_two_laws.v", ("top_two_laws",)),
    draw=rounds.near(rounds.plain_rounds([[3], [2], [1]], [0, 1, 2], [1, 1])),
    check=_compare,
    planted={law: lambda i, law=law: _compare(i, (law,)) for law in _LAWS},
    expected="counterexample",
    arguments=TOP_TWO,
    runs=rounds.RUNS,
)
