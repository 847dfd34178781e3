"""One student with a mixed target forgets the own label: as good as infinitely many rounds."""

from dataclasses import replace
from typing import Any

import numpy as np
import z3

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import BALANCED, INSIDE, ORDER, draw_block, fixed, smallest_difference
from gramlab.theorems._block_algebra import algebra
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import implications, implies, proof, reals


def _prove() -> Proof:
    a, b, g, w, x, y, m, k = reals("p_A p_B p_C p_D C_kk C_kl m K")
    base = [0 < a, a < b, b <= g, g <= w, w < 1, m >= 1, k >= 2, x >= 0, y >= 0]
    xi = 1 / (1 - a)

    def target(p: Any) -> Any:  # what the mixture keeps of a spectral part of the labels
        return xi * p + 1 - xi

    def score(cls: Any, sup: Any) -> Any:
        f_b, f_c = b * target(b), g * target(g)
        return f_b * (cls - sup) + f_c * (sup - 1 / k)

    inside = score(x, 1 / m)
    kept = z3.And(0 < target(b), target(b) <= target(g), target(g) <= target(w), target(w) < 1)
    claims = {
        "the target keeps nothing of the own label": target(a) == 0,
        "what it keeps grows with p and stays below 1": kept,
        "inside the superclass: ahead iff C_kk > C_kl": (inside > score(y, 1 / m)) == (x > y),
    }
    return proof(
        "sympy for the algebra, z3 over the reals for the filter p(ξp + 1 − ξ)",
        "symbolic n, m, S, c, d, e, μ and entries of C; no size is fixed",
        *algebra(),
        "target − 1/K = Σ (ξ p_• + 1 − ξ) E_• D, and the student applies p_• once more",
        *implications(base, claims),
        implies("outside: behind once C_kk > 0", [*base, x > 0], inside > score(0, 0)),
        "Δ > 0 iff C_kk > C_kl for all l ≠ k: a row with a wrong label has C_kk > C_kk' > 0, "
        "a row without has C_kk = 1",
    )


def _compare(instance: Instance, variant: str = "") -> Check:
    """Teacher and student by dense exact solves; no filter but the ξ of the statement."""
    b = instance["block"]
    p_a, p_b, _, _ = b.filters()
    xi = {"p_B": 1 / (1 - p_b), "1/p_A": 1 / p_a}.get(variant, 1 / (1 - p_a))
    teacher = b.iterate(1)
    target = xi * teacher + (1 - xi) * b.one_hot
    student = b.iterate(1, target)
    first = np.searchsorted(b.true, b.true)  # of each sample's class
    forgotten = (target == target[first]).all() and (student == student[first]).all()
    delta = smallest_difference(b.class_means())
    recoverable = delta is None or delta > 0 or (variant == "non-strict" and delta == 0)
    worst = min(b.margins(student))
    good = forgotten and target.min() >= 0 and (worst > 0) == recoverable
    return Check(bool(good), float(worst)).also(b.agrees(1, teacher))


# C_kk = 8/20 < 9/20, so Δ < 0; the superclass mean, filtered less, holds the true class up.
_crossed = ((8, 3, 9, 0), (3, 8, 0, 9), (9, 0, 8, 3), (0, 9, 3, 8))

THEOREM = Theorem(
    name="mixture",
    title="A mixed target forgets the own label",
    source="D",
    kind="necessary and sufficient",
    hypotheses=(
        ORDER,
        Hypothesis(
            "population",
            r"n \text{ samples in each class, fractions } C_{kj} \text{ of class } k "
            r"\text{ given the label } j",
        ),
        BALANCED,
        replace(INSIDE, without=fixed(_crossed, m=2, c=18, d=16, mu=(5, 10))),
    ),
    statement=r"\text{with the target } \xi P^{(1)} + (1 - \xi) Y,\ \xi = \frac{1}{1 - p_A}: "
    r"\text{ target and prediction are the same for all samples of a class, the target is a "
    r"distribution, and every label is recovered } \iff \Delta > 0 \text{ or no label is wrong}",
    prove=_prove,
    uses=("label-averaging",),
    draw=lambda rng: {"block": draw_block(rng, clean=float(rng.uniform(0, 0.9)))},
    check=_compare,
    planted={
        "Δ ≥ 0": lambda i: _compare(i, "non-strict"),
        "ξ = 1/(1 − p_B)": lambda i: _compare(i, "p_B"),
        "ξ = 1/p_A": lambda i: _compare(i, "1/p_A"),
    },
    arguments=arguments.BLOCK,
    instance=arguments.block,
    runs=("gramlab.population.Population.linearized",),
)
