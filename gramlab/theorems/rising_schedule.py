"""With one feature and two classes, exact rounds average most if weight decays rise."""

from itertools import pairwise
from typing import Any

import numpy as np
import sympy as sp

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    Known,
    draw_rounds,
    exact_rounds,
    plain_rounds,
    rounds_instance,
    uniform_moment,
    worst,
)
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, positive, proof, reals, vanish


def _prove() -> Proof:
    x, w = sp.symbols("x w", positive=True)
    mean = x * sp.tanh(x * w / 2)  # of a row, first class less second
    bent = x**3 / 2 * sp.tanh(x * w / 2) * (1 - sp.tanh(x * w / 2) ** 2)
    a, b, slope, near, far = reals("a b A(q) A(q+aα) A(q+bα)")
    return proof(
        "sympy for concavity, z3 for two rounds; the order of more rounds by hand",
        "every N, every row of one feature, any targets, every schedule",
        vanish(
            "M of a row is concave for w ≥ 0: its second derivative in w = w_1 − w_2 is −x³/2 "
            "tanh(xw/2)(1 − tanh²(xw/2))",
            [sp.diff(mean, w, 2) + bent],
        ),
        positive("which is below 0", x**3, sp.tanh(x * w / 2), 1 / sp.cosh(x * w / 2) ** 2),
        "by hand: M is odd and rises, so on u ≥ 0 its inverse A is convex, rises, and A(0) = 0; a "
        "round is u = v + λA(v), and v has the sign of u, so let u ≥ 0",
        "by hand: rounds at a and then at b lead to q from q + bα + aA(q + bα), α = A(q)",
        implies(
            "the slope of A between q and q + bα is no less than between q and q + aα, b ≥ a > 0, "
            "so rounds at a, b need a start no less than rounds at b, a to end in q",
            [a > 0, b >= a, slope >= 0, (far - slope) * a >= (near - slope) * b],
            b * slope + a * far >= a * slope + b * near,
        ),
        "by hand: starts and ends are in one order, so from one start rounds at a, b end no "
        "further from 0 than rounds at b, a; later rounds keep the order, and sorting a schedule "
        "exchanges neighbours",
    )


def _draw(rng: np.random.Generator) -> Instance:
    """One feature, two classes; schedules over decades."""
    while True:
        drawn = draw_rounds(rng, (2, 5), spread=(-2.0, 1.0))
        x, targets = np.ascontiguousarray(drawn["x"][:, :1]), drawn["targets"]
        if targets.shape[1] == 2 and x.any():
            return {**drawn, "x": x}


def _two_features(rng: np.random.Generator) -> Instance:
    x = np.array([[2.0, 1.0], [-1.0, -2.0], [-3.0, -4.0]])
    turn = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    return plain_rounds((x @ turn).tolist(), [1, 0, 1], [0.25, 0.5])


def _three_classes(rng: np.random.Generator) -> Instance:
    return plain_rounds([[1], [1]], [[1, 0, 0]] * 2, [1.0, float(rng.uniform(2, 4))])


def _shape(axis: int, key: str, wanted: int, word: str) -> Any:
    def test(instance: Instance) -> Held:
        found = instance[key].shape[axis]
        return Held(found == wanted, f"{found} {word}")

    return test


def _left(instance: Instance, decays: np.ndarray) -> Known:
    """M(W_t) − M(0) of the last round of a schedule."""
    x, k = instance["x"], instance["targets"].shape[1]
    last = exact_rounds({**instance, "decays": decays})[-1]
    return last.moment - uniform_moment(x, k)


def _compare(instance: Instance, reverse: bool = False, scale: float = 1.0) -> Check:
    """The last moments of the rising, the given and the falling order of a schedule."""
    rising = np.sort(instance["decays"])
    orders = [scale * rising, instance["decays"], rising[::-1]]
    left = [_left(instance, one) for one in (orders[::-1] if reverse else orders)]
    return worst([bound(a.norm, b.norm, a.error + b.error) for a, b in pairwise(left)])


THEOREM = Theorem(
    name="rising-schedule",
    title="With two classes and one feature, rising weight decays average most",
    source="D",
    kind="upper bound",
    hypotheses=(
        *SUPPOSED[:2],
        Hypothesis("plain rounds", SUPPOSED[2].statement, None, SUPPOSED[2].test),
        Hypothesis("one feature", r"d = 1", _two_features, _shape(1, "x", 1, "features")),
        Hypothesis("two classes", r"K = 2", _three_classes, _shape(1, "targets", 2, "classes")),
    ),
    statement=r"\lVert M(W_t) - M(0) \rVert \text{ of the last of } t \text{ exact rounds, of all "
    r"orders of } \lambda_1, \dots, \lambda_t, \text{ is least where they rise and largest where "
    r"they fall}; \quad M(W) = \tfrac1N X^\top \operatorname{softmax}(XW)",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "falling weight decays average most": lambda i: _compare(i, reverse=True),
        "rising at nine tenths": lambda i: _compare(i, scale=0.9),
    },
    tight_within=1e-3,
    arguments=ARGUMENTS,
    instance=rounds_instance,
    runs=RUNS,
)
