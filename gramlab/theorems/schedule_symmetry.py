"""False: to exact heads the order of weight decays matters, and no order is always the better."""

from gramlab.theorems._rounds import exact_rounds, false_near, plain_rounds
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def _compare(instance: Instance, of_two: bool = False) -> Check:
    """The mean entropy of the last round beside that of the schedule told backwards."""
    back = {**instance, "decays": instance["decays"][::-1]}
    ahead = exact_rounds(instance)[-1].entropy - exact_rounds(back)[-1].entropy
    exempt = of_two and len(instance["decays"]) > 2
    return Check(bool(exempt or ahead.norm <= ahead.error), -ahead.norm)


THEOREM = Theorem(
    name="schedule-symmetry",
    title="The order of weight decays does not matter (false)",
    source="D",
    kind="identity",
    statement=r"\bar H_t \text{ at } \lambda_1, \dots, \lambda_t \text{ is } \bar H_t \text{ at } "
    r"\lambda_t, \dots, \lambda_1",
    kernel=Rocq("schedule_symmetry.v", ("schedule_symmetry",)),
    check=_compare,
    planted={"of two rounds": lambda i: _compare(i, of_two=True)},
    **false_near(plain_rounds([[1], [1]], [[1, 0], [1, 0]], [1, 2])),
)
