"""Exactly when every training label, clean or wrong, is recovered after t rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import z3

from gramlab.theorems._block import (
    Block,
    class_means,
    decide,
    draw_block,
    entails,
    filters,
    iterate,
    margins,
    reals,
    smallest_difference,
    tied,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem

_LOPSIDED = ((5, 4, 1, 0), (2, 6, 1, 1), (2, 0, 8, 0), (1, 0, 0, 9))


def _prove() -> Proof:
    # Only four entries of row k of C meet in one comparison: the true class k, the given label j,
    # the rival l. So three reals serve every K. Label averaging gives each prediction.
    a, b, g, w, x, y, z, m, k, delta, r = reals("a b g w C_kk C_kl C_kj m K Delta R")
    base = [0 < a, a < b, b <= g, g <= w, w < 1, m >= 1, k >= 2, x >= 0, y >= 0, z >= 0]

    def prediction(own: int, cls: Any, sup: Any) -> Any:
        return 1 / k + a * (own - cls) + b * (cls - sup) + g * (sup - 1 / k) + w * (1 / k - 1 / k)

    def ahead(own_true: int, own_rival: int, outside: bool) -> Any:
        rival = prediction(own_rival, 0 if outside else y, 0 if outside else 1 / m)
        return prediction(own_true, x, 1 / m) > rival

    def condition(entry: Any) -> Any:
        return z3.Implies(entry > 0, x - entry > a / (b - a))

    verdict, lines = decide(
        {
            "necessary: j = l": entails([*base, y > 0, ahead(0, 1, False)], condition(y)),
            "sufficient: j = l": entails([*base, y > 0, condition(y)], ahead(0, 1, False)),
            "sufficient: j = k, l inside": entails(
                [*base, x > 0, condition(y)], ahead(1, 0, False)
            ),
            "sufficient: j, k, l differ, l inside": entails(
                [*base, z > 0, condition(y), condition(z)], ahead(0, 0, False)
            ),
            "sufficient: j = k, l outside": entails([*base, x > 0], ahead(1, 0, True)),
            "sufficient: j ≠ k, l outside": entails(
                [*base, z > 0, condition(z)], ahead(0, 0, True)
            ),
            "a/(b−a) = 1/(R−1) at R = b/a": entails(
                [0 < a, a < b, r == b / a], a / (b - a) == 1 / (r - 1)
            ),
            "Δ > 1/(R−1) iff Δ > 0 and R > 1 + 1/Δ": entails(
                [r > 1], (delta > 1 / (r - 1)) == z3.And(delta > 0, r > 1 + 1 / delta)
            ),
        }
    )
    return Proof(
        verdict=verdict,
        method="z3 over the reals, from label averaging with a = p_A^t, b = p_B^t, g, w",
        scope="symbolic n, m, K, c, d, e, μ, t and entries of C: one comparison meets three "
        "entries of a row, so no size is fixed",
        evidence=(
            "inside a superclass C̄_s is 1/m on its classes, 0 elsewhere, and C̄ = 1/K",
            *lines,
            "ρ^t > 1 + 1/Δ iff t > ln(1 + 1/Δ)/ln ρ because ρ > 1",
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    b, t = draw_block(rng), int(rng.integers(1, 4))
    kind = rng.random()
    if kind < 0.1:
        n = b.sizes[0]
        clean = [[n * int(i == j) for j in range(b.n_classes)] for i in range(b.n_classes)]
        b = replace(b, counts=tuple(map(tuple, clean)))
    elif kind < 0.5:
        b = tied(b, t, smallest_difference(class_means(b)))
    elif kind < 0.65:  # C and its transpose differ in Δ, 1/10 and 1/5; ρ^t lies between
        b = replace(
            draw_block(rng, superclasses=1, classes=4, size=10),
            c=Fraction(17, 20),
            d=Fraction(1, 10),
            counts=_LOPSIDED,
        )
        b, t = tied(b, 1, Fraction(int(rng.integers(11, 20)), 100)), 1
    return {"block": b, "t": t}


def _compare(
    instance: Instance,
    holds: Callable[[Fraction, Fraction], bool] = lambda gap, power: gap * (power - 1) > 1,
    rounds: int = 0,
    transposed: bool = False,
    everywhere: bool = False,
) -> Check:
    """The condition against the smallest margin over all samples, found by dense exact solves."""
    b, t = instance["block"], instance["t"]
    c = instance.get("corruption", class_means(b))
    if transposed:
        c = [list(column) for column in zip(*c, strict=True)]
    p_a, p_b, _, _ = filters(b, t + rounds)
    power = p_b / p_a
    k = range(b.n_classes)
    pairs = [(i, j) for i in k for j in k if i != j and (everywhere or c[i][j] > 0)]
    if power > 1:
        predicted = all(holds(c[i][i] - c[i][j], power) for i, j in pairs)
    else:  # 1/(ρ^t − 1) is negative, or there is none
        predicted = power < 1 and all(c[i][i] - c[i][j] > 1 / (power - 1) for i, j in pairs)
    worst = min(margins(b, iterate(b, t)))
    return Check(predicted == (worst > 0), float(worst))


def _sampled(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, superclasses=1, classes=3, size=5)
    b = replace(b, c=Fraction(9, 10), d=Fraction(0), mu=Fraction(int(rng.integers(5, 20))))
    corruption = [[Fraction(3 if i == j else 1, 5) for j in range(3)] for i in range(3)]
    return {
        "block": replace(b, counts=((1, 3, 1), (1, 3, 1), (1, 1, 3))),
        "t": 1,
        "corruption": corruption,
    }


def _unbalanced(rng: np.random.Generator) -> Instance:
    b = Block(
        (5, 5), 2, Fraction(9, 10), Fraction(7, 10), Fraction(0), Fraction(20), ((3, 2), (0, 5))
    )
    return {"block": replace(b, mu=b.mu + int(rng.integers(5))), "t": 1}


def _crossing(rng: np.random.Generator) -> Instance:
    counts = ((3, 0, 2, 0), (0, 3, 0, 2), (2, 0, 3, 0), (0, 2, 0, 3))
    b = Block((5,) * 4, 2, Fraction(9, 10), Fraction(8, 10), Fraction(0), Fraction(1), counts)
    return {"block": replace(b, mu=1 + Fraction(int(rng.integers(5)), 100)), "t": 1}


def _disordered(rng: np.random.Generator) -> Instance:
    b = Block(
        (5, 5), 2, Fraction(3, 10), Fraction(2, 5), Fraction(0), Fraction(1), ((4, 1), (1, 4))
    )
    return {"block": replace(b, mu=Fraction(int(rng.integers(1, 9)))), "t": 2}


THEOREM = Theorem(
    name="population-accuracy",
    title="When all training labels are recovered",
    source="P (superclass case and both directions D)",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis("order", r"0 \le e \le d < c < 1,\ \mu > 0", _disordered),
        Hypothesis("equal class sizes", r"n \text{ samples in each of } K \text{ classes}"),
        Hypothesis(
            "population",
            r"\text{a fraction } C_{kj} \text{ of class } k \text{ is given the label } j",
            _sampled,
        ),
        Hypothesis("balanced", r"\textstyle\sum_k C_{kj} = 1", _unbalanced),
        Hypothesis(
            "inside superclasses",
            r"C_{kj} = 0 \text{ unless } k, j \text{ share a superclass (void for } S = 1)",
            _crossing,
        ),
    ),
    statement=r"\operatorname{argmax} P_i^{(t)} \text{ is unique and true for every } i \iff "
    r"C_{kk} - C_{kk'} > \frac{1}{\rho^t - 1} \text{ for all } k' \ne k \text{ with } C_{kk'} > 0 "
    r"\iff \Delta > 0,\ t > \frac{\ln(1 + 1/\Delta)}{\ln \rho} \text{ or no label is wrong}; "
    r"\quad \rho = p_B / p_A,\ \Delta = \min_{C_{kk'} > 0} (C_{kk} - C_{kk'})",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "non-strict": lambda i: _compare(i, lambda gap, power: gap * (power - 1) >= 1),
        "a round more": lambda i: _compare(i, rounds=1),
        "a lost factor 2": lambda i: _compare(i, lambda gap, power: gap * (power - 1) > 2),
        "ρ^t in place of ρ^t − 1": lambda i: _compare(i, lambda gap, power: gap * power > 1),
        "transposed C": lambda i: _compare(i, transposed=True),
        "labels that never occur count too": lambda i: _compare(i, everywhere=True),
    },
)
