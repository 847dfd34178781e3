"""One student with a mixed target forgets the own label: as good as infinitely many rounds."""

from dataclasses import replace

import numpy as np

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import BALANCED, INSIDE, ORDER, POPULATION, draw_block, fixed
from gramlab.theorems.form import Check, Instance, Rocq, Theorem, variants


def _compare(instance: Instance, variant: str = "") -> Check:
    """Teacher and student by dense exact solves; no filter but the ξ of the statement."""
    b = instance["block"]
    p_a, p_b, _, _ = b.filters()
    xi = {"ξ = 1/(1 − p_B)": 1 / (1 - p_b), "ξ = 1/p_A": 1 / p_a}.get(variant, 1 / (1 - p_a))
    teacher = b.iterate(1)
    target = xi * teacher + (1 - xi) * b.one_hot
    student = b.iterate(1, target)
    first = np.searchsorted(b.true, b.true)  # of each sample's class
    forgotten = (target == target[first]).all() and (student == student[first]).all()
    recoverable = b.delta is None or b.delta > 0 or (variant == "Δ ≥ 0" and b.delta == 0)
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
        POPULATION,
        BALANCED,
        replace(INSIDE, without=fixed(_crossed, m=2, c=18, d=16, mu=(5, 10))),
    ),
    statement=r"\text{with the target } \xi P^{(1)} + (1 - \xi) Y,\ \xi = \frac{1}{1 - p_A}: "
    r"\text{ target and prediction are the same for all samples of a class, the target is a "
    r"distribution, and every label is recovered } \iff \Delta > 0 \text{ or no label is wrong}",
    kernel=Rocq("mixture.v", ("mixture",)),
    uses=("label-averaging",),
    draw=lambda rng: {"block": draw_block(rng, clean=float(rng.uniform(0, 0.9)))},
    check=_compare,
    planted=variants(_compare, "Δ ≥ 0", "ξ = 1/(1 − p_B)", "ξ = 1/p_A"),
    arguments=arguments.BLOCK,
    instance=arguments.block,
    runs=("gramlab.population.Population.linearized",),
)
