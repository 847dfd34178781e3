"""False: to exact heads the order of weight decays matters, and no order is always the better."""

import math

import numpy as np

from gramlab.theorems._rounds import (
    ARGUMENTS,
    ASSUMED,
    RUNS,
    Known,
    draw_near,
    exact_rounds,
    plain_rounds,
)
from gramlab.theorems.form import Check, Instance, Rocq, Theorem

_TWO, _THREE = (plain_rounds([[1], [1]], np.eye(k)[[0, 0]].tolist(), [1, 2]) for k in (2, 3))


def _ahead(instance: Instance) -> Known:
    """Mean entropy of the last round, less that of the schedule told backwards."""
    back = {**instance, "decays": instance["decays"][::-1]}
    return exact_rounds(instance)[-1].entropy - exact_rounds(back)[-1].entropy


def _compare(instance: Instance, of_two: bool = False) -> Check:
    found = _ahead(instance)
    exempt = of_two and len(instance["decays"]) > 2
    value = float(found.value)
    return Check(bool(exempt or math.fabs(value) <= found.error), -math.fabs(value))


THEOREM = Theorem(
    name="schedule-symmetry",
    title="The order of weight decays does not matter (false)",
    source="D",
    kind="identity",
    hypotheses=ASSUMED,
    statement=r"\bar H_t \text{ at } \lambda_1, \dots, \lambda_t \text{ is } \bar H_t \text{ at } "
    r"\lambda_t, \dots, \lambda_1",
    kernel=Rocq("schedule_symmetry.v", ("schedule_symmetry",)),
    uses=("chain-certificate",),
    draw=lambda rng: draw_near(rng, _TWO),
    check=_compare,
    planted={"of two rounds": lambda i: _compare(i, of_two=True)},
    expected="counterexample",
    arguments=ARGUMENTS,
    runs=RUNS,
)
