"""Every round replaces given labels by nested averages of them; here with the four weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

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
    overall_mean,
    reals,
    split,
    superclass_means,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem


def _prove() -> Proof:
    facts, _ = algebra()
    s, r, mu, x, y, u, v = reals("s r mu x y u v")
    verdict, lines = decide(
        {
            "s ≤ r gives p(s) ≤ p(r) < 1": entails(
                [0 < s, s <= r, mu > 0],
                z3.And(s / (s + mu) <= r / (r + mu), r / (r + mu) < 1, s / (s + mu) > 0),
            ),
            "0 < x ≤ y < 1 is kept by powers, step from (u, v) = (x^t, y^t)": entails(
                [0 < x, x <= y, y < 1, 0 < u, u <= v, v <= 1],
                z3.And(0 < u * x, u * x <= v * y, v * y < 1),
            ),
        }
    )
    if not all(facts.values()):
        verdict = "unknown"
    return Proof(
        verdict=verdict,
        method="sympy for the algebra, z3 over the reals for the signs of the weights",
        scope="symbolic n, m, S, c, d, e, μ and t (induction over t); no size is fixed",
        evidence=(
            *(f"{name}: {found}" for name, found in facts.items()),
            "row i of E_A Y, E_B Y, E_C Y, E_D Y is y_i − C_k, C_k − C̄_s, C̄_s − C̄, C̄: averages",
            *lines,
            "the weights p_A^t, p_B^t − p_A^t, p_C^t − p_B^t, p_D^t − p_C^t, 1 − p_D^t telescope",
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    b = draw_block(rng)
    counts = split(rng, b.n_classes, b.sizes[0])
    return {"block": replace(b, counts=counts), "t": int(rng.integers(1, 5))}


def _compare(b: Block, t: int, powers: Sequence[Fraction], transposed: bool = False) -> Check:
    """Weights of own label, class, superclass, all and uniform, against t dense exact solves."""
    p_a, p_b, p_c, p_d = powers
    weights = (p_a, p_b - p_a, p_c - p_b, p_d - p_c, 1 - p_d)
    classes, supers, overall = class_means(b), superclass_means(b), overall_mean(b)
    if transposed:
        classes = [list(column) for column in zip(*classes, strict=True)]
    uniform = Fraction(1, b.n_classes)
    worst = Fraction(0)
    for (k, j), row in zip(given(b), iterate(b, t), strict=True):
        for q, found in enumerate(row):
            parts = (Fraction(q == j), classes[k][q], supers[k][q], overall[q], uniform)
            worst = max(worst, abs(found - sum(w * x for w, x in zip(weights, parts, strict=True))))
    convex = all(w >= 0 for w in weights) and sum(weights) == 1
    return Check(worst == 0 and convex, float(worst))


def _check(instance: Instance) -> Check:
    b, t = instance["block"], instance["t"]
    return _compare(b, t, filters(b, t))


def _unequal(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, superclasses=1)
    counts = [list(row) for row in b.counts]
    counts[-1][0] += 2
    sizes = (*b.sizes[:-1], b.sizes[-1] + 2)
    return {"block": replace(b, sizes=sizes, counts=tuple(map(tuple, counts))), "t": 2}


def _disordered(rng: np.random.Generator) -> Instance:
    b = draw_block(rng)
    return {"block": replace(b, c=b.d, d=b.c), "t": 2}


def _sampled(b: Block, t: int) -> Check:
    """The variant that takes one power for class and superclass differences."""
    p_a, p_b, _, p_d = filters(b, t)
    return _compare(b, t, (p_a, p_b, p_b, p_d))


THEOREM = Theorem(
    name="label-averaging",
    title="Predictions are nested averages of given labels",
    source="P (values and superclass terms D)",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "equal class sizes", r"n \text{ samples in each of } K \text{ classes}", _unequal
        ),
        Hypothesis("order", r"0 \le e \le d < c < 1,\ \mu > 0", _disordered),
        Hypothesis("labels", r"\text{any given labels, balanced or not}"),
    ),
    statement=r"P_i^{(t)} = \tfrac1K + p_A^t (y_i - C_k) + p_B^t (C_k - \bar C_s) "
    r"+ p_C^t (\bar C_s - \bar C) + p_D^t (\bar C - \tfrac1K), \quad "
    r"\text{an average of } y_i, C_k, \bar C_s, \bar C, \tfrac1K \text{ with weights } "
    r"p_A^t,\ p_B^t - p_A^t,\ p_C^t - p_B^t,\ p_D^t - p_C^t,\ 1 - p_D^t \ge 0",
    prove=_prove,
    draw=_draw,
    check=_check,
    planted={
        "a round more": lambda i: _compare(i["block"], i["t"], filters(i["block"], i["t"] + 1)),
        "transposed C": lambda i: _compare(
            i["block"], i["t"], filters(i["block"], i["t"]), transposed=True
        ),
        "no superclass term": lambda i: _sampled(i["block"], i["t"]),
    },
)
