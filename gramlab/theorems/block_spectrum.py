"""The Gram matrix of the block model has four eigenvalues; here with multiplicities and spaces."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from flint import fmpq, fmpq_mat, fmpq_poly

from gramlab.theorems._arguments import MODEL, block
from gramlab.theorems._block import EQUAL_SIZES, Block, disordered, draw_block, in_order
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, variants


def _differences(b: Block, size: int, outer: int) -> np.ndarray:
    """Differences of neighbouring groups of ``size`` samples inside each ``outer`` samples."""
    groups = np.kron(np.eye(len(b.true) // size, dtype=int), np.ones(size, dtype=int))
    inside = np.arange(1, len(groups)) * size % outer > 0
    return (groups[:-1] - groups[1:])[inside] if inside.any() else 0 * groups[:1]


def _agrees(b: Block) -> bool:
    """Whether the package's model has these eigenvalues, multiplicities and Gram matrix."""
    if b.population is None:
        return True
    model, groups = b.population.model, b.n_classes // b.m
    counts = b.n_classes * (b.n - 1), b.n_classes - groups, groups - 1, 1
    told = [(float(s), count) for s, count in zip(b.eigenvalues(), counts, strict=True) if count]
    exact = [fmpq(s.numerator, s.denominator) for s in model.exact_spectrum]
    return (
        [(one.value, one.multiplicity) for one in model.eigenvalues()] == told
        and tuple(exact) == b.eigenvalues()
        and np.array_equal(model.gram(), b.gram.astype(float))
    )


def _check(instance: Instance, variant: str = "") -> Check:
    """Characteristic polynomial of the dense matrix, and G v = s v on each space; both exact."""
    b = instance["block"]
    n, k, groups = b.n, b.n_classes, b.n_classes // b.m
    counts = [k * (n - 1), k - groups, groups - 1, 1]
    values = s_a, _, s_c, s_d = b.eigenvalues()
    if variant == "multiplicities of B and C swapped":
        counts[1:3] = counts[2], counts[1]
    elif variant == "s_B with c − e":
        values = (s_a, s_a + n * (b.c - b.e), s_c, s_d)
    elif variant == "n − 1 neighbours instead of n":
        values = tuple(s_a + (s - s_a) * (n - 1) / n for s in values)
    levels = [1, n, n * b.m, len(b.true)]
    spaces = [_differences(b, *level) for level in pairwise(levels)]
    spaces.append(np.ones((1, len(b.true)), dtype=int))
    g, predicted, good = fmpq_mat(b.gram.tolist()), fmpq_poly([1]), True
    for value, count, vectors in zip(values, counts, spaces, strict=True):
        v = fmpq_mat(vectors.tolist())
        predicted *= fmpq_poly([-value, 1]) ** count
        good = good and v.rank() == count and v * g == v * value
    good = good and g.charpoly() == predicted
    ordered = 0 < values[0] < values[1] <= values[2] <= values[3]
    return Check(bool(good and ordered), float(not good)).also(_agrees(b))


THEOREM = Theorem(
    name="block-spectrum",
    title="Four eigenvalues of the block model",
    source="P (values D)",
    kind="identity",
    hypotheses=(
        replace(EQUAL_SIZES, statement=r"n \text{ samples in each of } K = mS \text{ classes}"),
        Hypothesis("order", r"0 \le e \le d < c < 1", disordered, in_order),
    ),
    statement=r"G = \sum_\bullet s_\bullet E_\bullet:\quad s_A = 1 - c \ (K(n-1)\text{-fold, "
    r"inside a class}),\quad s_B = s_A + n(c-d) \ (K-S,\text{ class differences inside a "
    r"superclass}),\quad s_C = s_B + nm(d-e) \ (S-1,\text{ superclass differences}),\quad s_D = "
    r"s_C + nKe \ (1,\text{ all ones});\qquad 0 < s_A < s_B \le s_C \le s_D",
    kernel=Rocq("block_spectrum.v", ("block_spectrum",)),
    draw=lambda rng: {"block": draw_block(rng)},
    check=_check,
    planted=variants(
        _check,
        "multiplicities of B and C swapped",
        "s_B with c − e",
        "n − 1 neighbours instead of n",
    ),
    paper=("eq. (7)",),
    arguments={"model": MODEL},
    # Labels and μ play no part.
    instance=lambda model: block(model, np.eye(model.n_classes), mu=1),
    runs=(
        "gramlab.ClassBlockModel.eigenvalues",
        "gramlab.ClassBlockModel.exact_spectrum",
        "gramlab.ClassBlockModel.gram",
    ),
)
