"""Exactly when a student of the teacher's two largest labels recovers every label of a class."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import z3

from gramlab.theorems._block import (
    Block,
    circulant,
    class_means,
    decide,
    draw_block,
    eigenvalues,
    entails,
    filters,
    given,
    iterate,
    margins,
    reals,
    two_hot,
    weight_decay_for,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem


def _prove() -> Proof:
    # k the true class, l its second label l*, q any other, j the given label.
    a, b, g, m, k, r = reals("p_A p_B p_C m K r")
    x, y, z, mean, mass = reals("C_kk C_kl C_kq T_kl C_kj")
    base = [0 < a, a < b, b <= g, g < 1, m >= 2, k >= m, x > y, y > z, z >= 0, r == a / (b - a)]

    def score(own: Any, cls: Any, inside: bool = True) -> Any:
        sup = 1 / m if inside else 0
        return a * (own - cls) + b * (cls - sup) + g * (sup - 1 / k)

    outside = score(0, 0, False)
    half = z3.Q(1, 2)
    added: Any = z3.If(mass + r > y, mass / 2, 0)
    student = [0 < a, a < b, b <= g, m >= 2, k >= m, 0 <= mean, mean <= half]
    verdict, lines = decide(
        {
            "teacher: only the given label can beat the true one": entails(
                base,
                z3.And(
                    score(0, x) > score(0, y),
                    score(0, x) > score(0, z),
                    score(1, x) > score(0, y),
                    score(0, x) > outside,
                ),
            ),
            "teacher: given k or l*, or q against q', the second label is l*": entails(
                base, z3.And(score(0, y) > score(0, z), score(1, y) > score(0, z))
            ),
            "teacher: given j = q, j comes before l* iff C_kq + r > C_kl": entails(
                base, (score(1, z) > score(0, y)) == (z + r > y)
            ),
            "teacher: other superclasses come after l* unless they tie with it": entails(
                [*base, z3.Or(y > 0, g > b)], score(0, y) > outside
            ),
            "each j adds C_kj/2 ≥ 0 to 1/2 − T_kl, and adds nothing iff C_kj = 0 or l* is second": (
                entails(
                    [mass >= 0, r > 0, y >= mass],
                    (added > 0) == z3.And(mass > 0, y - mass < r),
                )
            ),
            "student: T_kl < 1/2 puts every sample of the class ahead of l": entails(
                [*student, mean < half],
                z3.And(score(half, half) > score(half, mean), score(half, half) > score(0, mean)),
            ),
            "student: T_kl = 1/2 is a tie": entails(
                [*student, mean == half], score(half, half) == score(half, mean)
            ),
            "student: other superclasses are behind": entails(student, score(half, half) > outside),
        }
    )
    return Proof(
        verdict=verdict,
        method="z3 over the reals, from label averaging, for the teacher and for the student",
        scope="symbolic n, m, K, c, d, e, μ and entries of C: one comparison meets three entries "
        "of a row and 1/2 − T_kl is a sum over j, so no size is fixed",
        evidence=(
            "balanced two-hot means T = C̃ leave the student's superclass terms as the teacher's",
            *lines,
            "a label other than l* is second for no clean sample, so its T_kl < 1/2",
        ),
    )


def _row(rng: np.random.Generator, m: int) -> list[int]:
    """A strict maximum first, then a unique second largest entry where there is a choice."""
    while True:
        row = [int(x) for x in rng.integers(0, 5, m)]
        row[0] = max(row) + int(rng.integers(1, 5))
        rest = sorted(row[1:])
        if m == 2 or rest[-1] > rest[-2]:
            return row


def draw(rng: np.random.Generator) -> Instance:
    """A block in which no tie decides the top two; small and large ρ alike."""
    while True:
        superclasses = int(rng.integers(1, 3))
        m = int(rng.integers(2, 6 if superclasses == 1 else 4))
        row = _row(rng, m)
        b = draw_block(rng, superclasses=superclasses, classes=m, size=sum(row))
        b = replace(b, counts=circulant(rng, superclasses, row))
        if rng.random() < 0.5:
            s_a, s_b = eigenvalues(b)[:2]
            ratio = Fraction(int(rng.integers(20, 120)), 10)
            if ratio * s_a < s_b:
                b = replace(b, mu=weight_decay_for(s_a, s_b, ratio))
        if two_hot(b, iterate(b, 1))[1]:
            return {"block": b}


def _compare(instance: Instance, variant: str = "") -> Check:
    """Class by class: the condition on C and r, the one on C̃, and the student's margins."""
    b: Block = instance["block"]
    p_a, p_b, _, _ = filters(b)
    r = p_a / (p_b - p_a)
    if variant == "a round more":
        r = 1 / ((p_b / p_a) ** 2 - 1)
    c = class_means(b)
    targets, _ = two_hot(b, iterate(b, 1))
    student = margins(b, iterate(b, 1, targets))
    classes = [k for k, _ in given(b)]
    agree = []
    for k in range(b.n_classes):
        others = [j for j in range(b.n_classes) if j != k]
        second = max(others, key=lambda j: c[k][j])
        top = c[k][second]
        by_row = any(0 < c[k][j] and top - c[k][j] < r for j in others if j != second)
        if variant == "condition 3":
            by_row = c[k][k] + top < 1
        mine = [row for row, q in zip(targets, classes, strict=True) if q == k]
        means = [sum((row[j] for row in mine), Fraction(0)) / len(mine) for j in others]
        limit = Fraction(1, 2)
        by_mean = all(x <= limit if variant == "non-strict" else x < limit for x in means)
        right = min(x for x, q in zip(student, classes, strict=True) if q == k) > 0
        agree.append(right == by_row == by_mean)
    return Check(all(agree), float(min(student)))


def _second(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, superclasses=1, classes=3, size=10)
    b = replace(b, c=Fraction(3, 5), d=Fraction(1, 2), mu=Fraction(1, 100))
    return {"block": replace(b, counts=circulant(rng, 1, (2, 5, 3)))}


def _unbalanced(rng: np.random.Generator) -> Instance:
    counts = ((5, 4, 1), (3, 6, 1), (1, 2, 7))
    b = Block((10,) * 3, 3, Fraction(1, 5), Fraction(1, 10), Fraction(0), Fraction(15, 4), counts)
    return {"block": replace(b, e=Fraction(int(rng.integers(3)), 100))}


def _unbalanced_means(rng: np.random.Generator) -> Instance:
    counts = ((6, 1, 3, 0), (3, 4, 2, 1), (1, 1, 5, 3), (0, 4, 0, 6))
    b = Block((10,) * 4, 4, Fraction(3, 10), Fraction(1, 5), Fraction(0), Fraction(5), counts)
    return {"block": replace(b, mu=b.mu + Fraction(int(rng.integers(9)), 100))}


THEOREM = Theorem(
    name="partial-labels",
    title="When the top-two student recovers a class",
    source="P (conditions D)",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis("order", r"0 \le e \le d < c < 1,\ \mu > 0"),
        Hypothesis(
            "balanced",
            r"\text{class fractions } C,\ \textstyle\sum_k C_{kj} = 1, "
            r"\text{ corruption inside superclasses of } m \ge 2 \text{ classes}",
            _unbalanced,
        ),
        Hypothesis("strict row maximum", r"C_{kk} > C_{kl} \text{ for all } l \ne k", _second),
        Hypothesis(
            "balanced two-hot means",
            r"\textstyle\sum_k \tilde C_{kj} = 1 \text{ for the class means } \tilde C "
            r"\text{ of the two-hot targets}",
            _unbalanced_means,
        ),
        Hypothesis("clear second place", r"\text{no tie decides the teacher's top two}"),
    ),
    statement=r"\text{the student is right on all of class } k \iff \tilde C_{kl} < \tfrac12 "
    r"\text{ for all } l \ne k \iff \text{some } j \notin \{k, l^*\} \text{ has } C_{kj} > 0, \ "
    r"C_{kl^*} - C_{kj} < r; \quad l^* = \operatorname{argmax}_{l \ne k} C_{kl},\ "
    r"r = \frac{1}{\rho - 1}; \text{ otherwise it ties}",
    prove=_prove,
    draw=draw,
    check=_compare,
    planted={
        "C_kk + C_kl* < 1 suffices": lambda i: _compare(i, "condition 3"),
        "non-strict": lambda i: _compare(i, "non-strict"),
        "r of the second round": lambda i: _compare(i, "a round more"),
    },
)
