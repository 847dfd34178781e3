"""One student with a mixed target forgets the own label: as good as infinitely many rounds."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import z3

from gramlab.theorems._block import (
    Block,
    algebra,
    class_means,
    decide,
    draw_block,
    entails,
    filters,
    given,
    iterate,
    margins,
    one_hot,
    reals,
    smallest_difference,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem


def _prove() -> Proof:
    facts, _ = algebra()
    a, b, g, w, x, y, m, k = reals("p_A p_B p_C p_D C_kk C_kl m K")
    base = [0 < a, a < b, b <= g, g <= w, w < 1, m >= 1, k >= 2, x >= 0, y >= 0]
    xi = 1 / (1 - a)

    def target(p: Any) -> Any:  # what the mixture keeps of a spectral part of the labels
        return xi * p + 1 - xi

    def score(cls: Any, sup: Any) -> Any:
        f_b, f_c = b * target(b), g * target(g)
        return f_b * (cls - sup) + f_c * (sup - 1 / k)

    inside = score(x, 1 / m) > score(y, 1 / m)
    verdict, lines = decide(
        {
            "the target keeps nothing of the own label": entails(base, target(a) == 0),
            "what it keeps grows with p and stays below 1": entails(
                base,
                z3.And(
                    0 < target(b), target(b) <= target(g), target(g) <= target(w), target(w) < 1
                ),
            ),
            "inside the superclass: ahead iff C_kk > C_kl": entails(base, inside == (x > y)),
            "outside: behind once C_kk > 0": entails([*base, x > 0], score(x, 1 / m) > score(0, 0)),
        }
    )
    if not all(facts.values()):
        verdict = "unknown"
    return Proof(
        verdict=verdict,
        method="sympy for the algebra, z3 over the reals for the filter p(ξp + 1 − ξ)",
        scope="symbolic n, m, S, c, d, e, μ and entries of C; no size is fixed",
        evidence=(
            *(f"{name}: {found}" for name, found in facts.items()),
            "target − 1/K = Σ (ξ p_• + 1 − ξ) E_• D, and the student applies p_• once more",
            *lines,
            "Δ > 0 iff C_kk > C_kl for all l ≠ k: a row with a wrong label has C_kk > C_kk' > 0, "
            "a row without has C_kk = 1",
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, clean=float(rng.uniform(0, 0.9)))
    return {"block": b}


def _compare(instance: Instance, variant: str = "") -> Check:
    """Teacher and student by dense exact solves; no filter but the ξ of the statement."""
    b = instance["block"]
    p_a, p_b, _, _ = filters(b)
    xi = 1 / (1 - (p_b if variant == "p_B" else p_a))
    if variant == "1/p_A":
        xi = 1 / p_a
    labels, teacher = one_hot(b), iterate(b, 1)
    target = [
        [xi * p + (1 - xi) * y for p, y in zip(row, hot, strict=True)]
        for row, hot in zip(teacher, labels, strict=True)
    ]
    student = iterate(b, 1, target)
    first = {k: i for i, (k, _) in reversed(list(enumerate(given(b))))}
    forgotten = all(
        target[i] == target[first[k]] and student[i] == student[first[k]]
        for i, (k, _) in enumerate(given(b))
    )
    simplex = all(x >= 0 for row in target for x in row)
    c = class_means(b)
    if variant == "transposed":
        c = [list(column) for column in zip(*c, strict=True)]
    delta = smallest_difference(c)
    recoverable = delta is None or delta > 0 or (variant == "non-strict" and delta == 0)
    worst = min(margins(b, student))
    perfect = (worst > 0) == recoverable
    return Check(forgotten and simplex and perfect, float(worst))


def _unbalanced(rng: np.random.Generator) -> Instance:
    b = Block(
        (5, 5), 2, Fraction(9, 10), Fraction(7, 10), Fraction(0), Fraction(20), ((3, 2), (0, 5))
    )
    return {"block": replace(b, mu=b.mu + int(rng.integers(5)))}


def _crossing(rng: np.random.Generator) -> Instance:
    # C_kk = 8/20 < 9/20, so Δ < 0; the superclass mean, filtered less, holds the true class up.
    counts = ((8, 3, 9, 0), (3, 8, 0, 9), (9, 0, 8, 3), (0, 9, 3, 8))
    b = Block((20,) * 4, 2, Fraction(9, 10), Fraction(8, 10), Fraction(0), Fraction(5), counts)
    return {"block": replace(b, mu=b.mu + int(rng.integers(5)))}


def _disordered(rng: np.random.Generator) -> Instance:
    b = Block(
        (5, 5), 2, Fraction(3, 10), Fraction(2, 5), Fraction(0), Fraction(1), ((4, 1), (1, 4))
    )
    return {"block": replace(b, mu=Fraction(int(rng.integers(1, 9))))}


THEOREM = Theorem(
    name="mixture",
    title="A mixed target forgets the own label",
    source="D",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis("order", r"0 \le e \le d < c < 1,\ \mu > 0", _disordered),
        Hypothesis(
            "population",
            r"n \text{ samples in each class, fractions } C_{kj} \text{ of class } k "
            r"\text{ given the label } j",
        ),
        Hypothesis("balanced", r"\textstyle\sum_k C_{kj} = 1", _unbalanced),
        Hypothesis(
            "inside superclasses",
            r"C_{kj} = 0 \text{ unless } k, j \text{ share a superclass (void for } S = 1)",
            _crossing,
        ),
    ),
    statement=r"\text{with the target } \xi P^{(1)} + (1 - \xi) Y,\ \xi = \frac{1}{1 - p_A}: "
    r"\text{ target and prediction are the same for all samples of a class, the target is a "
    r"distribution, and every label is recovered } \iff \Delta > 0 \text{ or no label is wrong}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "Δ ≥ 0": lambda i: _compare(i, "non-strict"),
        "ξ = 1/(1 − p_B)": lambda i: _compare(i, "p_B"),
        "ξ = 1/p_A": lambda i: _compare(i, "1/p_A"),
    },
)
