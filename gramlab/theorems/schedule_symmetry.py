"""False: to exact heads the order of weight decays matters, and no order is always the better."""

import math

import flint
import numpy as np

from gramlab.theorems._rounds import (
    ARGUMENTS,
    ASSUMED,
    RUNS,
    Known,
    draw_near,
    exact_rounds,
    plain_rounds,
    rounds_instance,
)
from gramlab.theorems.form import Check, Instance, Proof, Theorem
from gramlab.theorems.steps import Step, positive, refutation

_TWO, _THREE = (plain_rounds([[1], [1]], np.eye(k)[[0, 0]].tolist(), [1, 2]) for k in (2, 3))


def _ahead(instance: Instance) -> Known:
    """Mean entropy of the last round, less that of the schedule told backwards."""
    back = {**instance, "decays": instance["decays"][::-1]}
    return exact_rounds(instance)[-1].entropy - exact_rounds(back)[-1].entropy


def _step(instance: Instance, told: str, sign: int) -> Step:
    found = _ahead(instance)
    value = float(found.value)
    return positive(
        f"x = 1 twice, label 0, {told}: the entropy of rounds at λ = 1, 2 is that at 2, 1 "
        f"{'plus' if sign > 0 else 'minus'} {abs(value):.6f}, within {found.error:.0e}: {{}}",
        flint.arb(sign * value, found.error),
    )


def _prove() -> Proof:
    return refutation(
        "exact heads with their certificates",
        "two fixed instances of one feature",
        _step(_TWO, "two classes", 1),
        _step(_THREE, "three classes", -1),
        "linear rounds do not see the order (theorem schedule-order)",
    )


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
    prove=_prove,
    draw=lambda rng: draw_near(rng, _TWO),
    check=_compare,
    planted={"of two rounds": lambda i: _compare(i, of_two=True)},
    expected="counterexample",
    arguments=ARGUMENTS,
    instance=rounds_instance,
    runs=RUNS,
)
