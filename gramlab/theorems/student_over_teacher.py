"""Two classes: the noise rates at which the teacher fails where the first student is perfect."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import z3

from gramlab.theorems._block import (
    Block,
    decide,
    draw_block,
    eigenvalues,
    entails,
    filters,
    given,
    iterate,
    margins,
    reals,
    tied,
    weight_decay_for,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem


def _prove() -> Proof:
    a, b, eta, rho = reals("a b eta rho")
    base = [0 < a, a < b, b < 1, 0 < eta, eta < 1, rho == b / a]
    gap = 1 - 2 * eta

    def right(own: int, x: Any, y: Any) -> Any:
        return x * (own - gap) + y * gap > 0  # own is +1 for a clean sample, −1 for a wrong label

    lower = (1 - 1 / (rho - 1)) / 2
    upper = (1 - 1 / (rho * rho - 1)) / 2
    student = z3.And(right(1, a * a, b * b), right(-1, a * a, b * b))
    verdict, lines = decide(
        {
            "teacher right on no wrong label iff η ≥ lower end": entails(
                base, z3.Not(right(-1, a, b)) == (eta >= lower)
            ),
            "at the lower end itself the teacher ties": entails(
                [*base, eta == lower], -a + (b - a) * gap == 0
            ),
            "first student right everywhere iff η < upper end": entails(
                base, student == (eta < upper)
            ),
            "the range is never empty before cutting at 0": entails([rho > 1], lower < upper),
            "its upper end is positive iff ρ² > 2": entails(
                [rho > 1], (upper > 0) == (rho * rho > 2)
            ),
        }
    )
    return Proof(
        verdict=verdict,
        method="z3 over the reals, from label averaging with a = p_A, b = p_B",
        scope="symbolic n, c, d, μ, η; K = 2 is part of the statement",
        evidence=("P_ik − P_il = p_A^t (±1 − (1 − 2η)) + p_B^t (1 − 2η)", *lines),
    )


def _draw(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, superclasses=1, classes=2, size=int(rng.choice([3, 10, 12])))
    b = replace(b, c=Fraction(19, 20), d=Fraction(int(rng.integers(0, 10)), 20), e=Fraction(0))
    n = b.sizes[0]
    kind = rng.random()
    wrong = int(rng.integers(1, n))
    if kind < 0.2:
        wrong = {3: 1, 10: 1, 12: 4}[n]  # Δ = 1/3 or 4/5, where ρ² = 1 + 1/Δ has a rational root
    b = replace(b, counts=((n - wrong, wrong), (wrong, n - wrong)))
    delta = Fraction(n - 2 * wrong, n)
    if kind < 0.2:
        b = tied(b, 2, delta)
    elif kind < 0.4:
        b = tied(b, 1, delta)
    elif kind < 0.8 and delta > 0:  # inside the range
        low, high = float(1 + 1 / delta) ** 0.5, float(1 + 1 / delta)
        ratio = Fraction(low + rng.uniform(0.05, 0.95) * (high - low)).limit_denominator(500)
        s_a, s_b = eigenvalues(b)[:2]
        if 1 < ratio < s_b / s_a:
            b = replace(b, mu=weight_decay_for(s_a, s_b, ratio))
    return {"block": b}


def _compare(
    instance: Instance, strict: bool = False, closed: bool = False, last: int = 2
) -> Check:
    """Both sides of the equivalence; the samples' margins come from dense exact solves."""
    b = instance["block"]
    p_a, p_b, _, _ = filters(b)
    rho, eta = p_b / p_a, Fraction(b.counts[0][1], b.sizes[0])
    lower = (1 - 1 / (rho - 1)) / 2
    upper = (1 - 1 / (rho**last - 1)) / 2
    above = eta > lower if strict else eta >= lower
    below = eta <= upper if closed else eta < upper
    teacher = margins(b, iterate(b, 1))
    wrong = [x for x, (k, j) in zip(teacher, given(b), strict=True) if k != j]
    student = min(margins(b, iterate(b, 2)))
    found = all(x <= 0 for x in wrong) and student > 0
    return Check(found == (above and below), float(student))


def _clean(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, superclasses=1, classes=2, size=4)
    b = replace(b, c=Fraction(3, 10), d=Fraction(1, 4), counts=((4, 0), (0, 4)))
    return {"block": replace(b, mu=Fraction(int(rng.integers(1, 9)), 100))}


def _lopsided(rng: np.random.Generator) -> Instance:
    b = Block(
        (9, 9), 2, Fraction(9, 10), Fraction(8, 10), Fraction(0), Fraction(1), ((5, 4), (1, 8))
    )
    return {"block": replace(b, mu=b.mu + int(rng.integers(5)))}


THEOREM = Theorem(
    name="student-over-teacher",
    title="Teacher wrong, first student perfect",
    source="P (ends of the range D)",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis("order", r"0 \le d < c < 1,\ \mu > 0"),
        Hypothesis("two balanced classes", r"K = 2,\ C_{12} = C_{21} = \eta", _lopsided),
        Hypothesis("some label wrong", r"0 < \eta < 1", _clean),
    ),
    statement=r"\text{the teacher is right on no wrong label and the first student on all samples} "
    r"\iff \tfrac12 \Bigl(1 - \frac{1}{\rho - 1}\Bigr) \le \eta "
    r"< \tfrac12 \Bigl(1 - \frac{1}{\rho^2 - 1}\Bigr); \quad \text{at the lower end it ties}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "a tie counted as right": lambda i: _compare(i, strict=True),
        "upper end included": lambda i: _compare(i, closed=True),
        "second student in place of the first": lambda i: _compare(i, last=3),
    },
)
