"""The Gram matrix of the block model has four eigenvalues; here with multiplicities and spaces."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import flint
import numpy as np

from gramlab.theorems._block import (
    Block,
    algebra,
    decide,
    draw_block,
    eigenvalues,
    entails,
    gram,
    reals,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem


def _prove() -> Proof:
    facts, _ = algebra()
    n, m, big, c, d, e = reals("n m S c d e")
    order = [0 <= e, e <= d, d < c, c < 1, n >= 1, m >= 1, big >= 1]
    s_a, s_b = 1 - c, 1 - c + n * (c - d)
    s_c = s_b + n * m * (d - e)
    s_d = s_c + n * m * big * e
    verdict, lines = decide(
        {
            "0 < s_A": entails(order, s_a > 0),
            "s_A < s_B": entails(order, s_a < s_b),
            "s_B ≤ s_C": entails(order, s_b <= s_c),
            "s_C ≤ s_D": entails(order, s_c <= s_d),
        }
    )
    if not all(facts.values()):
        verdict = "unknown"
    return Proof(
        verdict=verdict,
        method="sympy for the algebra, z3 over the reals for the order",
        scope="symbolic n, m, S, c, d, e, K = mS; no size is fixed",
        evidence=(*(f"{name}: {found}" for name, found in facts.items()), *lines),
    )


def _draw(rng: np.random.Generator) -> Instance:
    return {"block": draw_block(rng)}


def _multiplicities(b: Block) -> tuple[int, int, int, int]:
    k, s = b.n_classes, b.n_classes // b.m
    return k * (b.sizes[0] - 1), k - s, s - 1, 1


def _contrasts(b: Block) -> list[list[list[int]]]:
    """Integer vectors that span the four spaces: neighbour differences at each level, and ones."""
    n, k, m = b.sizes[0], b.n_classes, b.m
    total = sum(b.sizes)

    def difference(size: int, outer: int) -> list[list[int]]:
        found = []
        for start in range(0, total - size, size):
            if outer and start // outer != (start + size) // outer:
                continue
            row = [0] * total
            row[start : start + size] = [1] * size
            row[start + size : start + 2 * size] = [-1] * size
            found.append(row)
        return found

    return [
        difference(1, n),
        difference(n, n * m),
        difference(n * m, n * k),
        [[1] * total],
    ]


def _compare(
    b: Block, values: tuple[Fraction, ...], counts: tuple[int, ...], spaces: bool = True
) -> Check:
    """Characteristic polynomial of the dense matrix, and G v = s v on each space; both exact."""
    g = gram(b)
    predicted = flint.fmpq_poly([1])
    for value, count in zip(values, counts, strict=True):
        root = flint.fmpq(value.numerator, value.denominator)
        predicted *= flint.fmpq_poly([-root, 1]) ** count
    good = g.charpoly() == predicted
    if spaces:
        for value, count, vectors in zip(values, counts, _contrasts(b), strict=True):
            v = flint.fmpq_mat(
                [[flint.fmpq(x) for x in row] for row in vectors or [[0] * g.nrows()]]
            )
            root = flint.fmpq(value.numerator, value.denominator)
            good = good and v.rank() == count and v * g == v * root
    ordered = 0 < values[0] < values[1] <= values[2] <= values[3]
    return Check(bool(good and ordered), float(not good))


def _check(instance: Instance) -> Check:
    b = instance["block"]
    return _compare(b, eigenvalues(b), _multiplicities(b))


def _unequal(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, superclasses=1)
    return {"block": replace(b, sizes=(*b.sizes[:-1], b.sizes[-1] + 2))}


def _disordered(rng: np.random.Generator) -> Instance:
    b = draw_block(rng)
    return {"block": replace(b, c=b.d, d=b.c)}


def _swapped(instance: Instance) -> Check:
    b = instance["block"]
    a, class_count, super_count, one = _multiplicities(b)
    return _compare(b, eigenvalues(b), (a, super_count, class_count, one), spaces=False)


def _against_else(instance: Instance) -> Check:
    b = instance["block"]
    s_a, _, s_c, s_d = eigenvalues(b)
    wrong = (s_a, s_a + b.sizes[0] * (b.c - b.e), s_c, s_d)
    return _compare(b, wrong, _multiplicities(b), spaces=False)


def _neighbours(instance: Instance) -> Check:
    b = instance["block"]
    s_a, _, _, _ = eigenvalues(b)
    n = b.sizes[0] - 1
    s_b = s_a + n * (b.c - b.d)
    s_c = s_b + n * b.m * (b.d - b.e)
    wrong = (s_a, s_b, s_c, s_c + n * b.n_classes * b.e)
    return _compare(b, wrong, _multiplicities(b), spaces=False)


THEOREM = Theorem(
    name="block-spectrum",
    title="Four eigenvalues of the block model",
    source="P (values D)",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "equal class sizes", r"n \text{ samples in each of } K = mS \text{ classes}", _unequal
        ),
        Hypothesis("order", r"0 \le e \le d < c < 1", _disordered),
    ),
    statement=r"G = \sum_\bullet s_\bullet E_\bullet:\quad "
    r"s_A = 1 - c \ (K(n-1)\text{-fold, inside a class}),\quad "
    r"s_B = s_A + n(c-d) \ (K-S,\text{ class differences inside a superclass}),\quad "
    r"s_C = s_B + nm(d-e) \ (S-1,\text{ superclass differences}),\quad "
    r"s_D = s_C + nKe \ (1,\text{ all ones});\qquad 0 < s_A < s_B \le s_C \le s_D",
    prove=_prove,
    draw=_draw,
    check=_check,
    planted={
        "multiplicities of B and C swapped": _swapped,
        "s_B with c − e": _against_else,
        "n − 1 neighbours instead of n": _neighbours,
    },
)
