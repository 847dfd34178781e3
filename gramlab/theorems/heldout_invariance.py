"""A new point of class k is given the commonest label of class k, at every round."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import z3

from gramlab.theorems._block import (
    Block,
    Span,
    algebra,
    class_means,
    decide,
    draw_block,
    entails,
    heldout,
    reals,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem


def _prove() -> Proof:
    facts, objects = algebra()
    eigen = objects["eigenvalues"]
    one, zero = eigen[0] / eigen[0], eigen[0] - eigen[0]
    # The correlations of a new point are those of a sample without its own: G − s_A I.
    without_own = objects["combination"](eigen) + Span((-eigen[0], zero, zero, zero))
    new = objects["combination"]([(s - eigen[0]) * one for s in eigen])
    same = new.equals(without_own)

    q_b, q_c, x, y, m, k = reals("q_B q_C C_kj C_kl m K")
    s_a, s, s2, u, v = reals("s_A s s2 u v")
    base = [0 < q_b, q_b <= q_c, m >= 1, k >= m]

    def score(cls: Any, sup: Any) -> Any:
        return q_b * (cls - sup) + q_c * (sup - 1 / k)

    verdict, lines = decide(
        {
            "q = p^t (s − s_A)/s is positive and grows with s": entails(
                [0 < s_a, s_a < s, s <= s2, 0 < u, u <= v],
                z3.And(0 < u * (s - s_a) / s, u * (s - s_a) / s <= v * (s2 - s_a) / s2),
            ),
            "inside the superclass the order is that of C_k": entails(
                base, (score(x, 1 / m) >= score(y, 1 / m)) == (x >= y)
            ),
            "outside is behind": entails([*base, x >= 1 / m], score(x, 1 / m) > score(0, 0)),
        }
    )
    if verdict == "proved" and not (same and all(facts.values())):
        verdict = "unknown"
    return Proof(
        verdict=verdict,
        method="sympy for the algebra, z3 over the reals for the order",
        scope="symbolic n, m, S, c, d, e, μ, t and entries of C; no size is fixed",
        evidence=(
            *(f"{name}: {found}" for name, found in facts.items()),
            f"the correlations of a new point are a row of Σ (s_• − s_A) E_•: {same}",
            "so p(x) − 1/K = q_B (C_k − C̄_s) + q_C (C̄_s − 1/K), q_• = p_•^t (s_• − s_A)/s_•; "
            "C̄_s is 1/m on the superclass, 0 elsewhere, and p^t grows with s (label averaging)",
            *lines,
            "a row that sums to 1 over m classes has an entry of at least 1/m",
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    return {
        "block": draw_block(rng, clean=float(rng.uniform(0, 0.6))),
        "t": int(rng.integers(1, 5)),
    }


def _best(row: list[Fraction]) -> set[int]:
    return {j for j, x in enumerate(row) if x == max(row)}


def _compare(instance: Instance, variant: str = "") -> Check:
    """The sets of best labels, ties included; predictions come from dense exact solves."""
    b, t = instance["block"], instance["t"]
    c = class_means(b)
    if variant == "transposed":
        c = [list(column) for column in zip(*c, strict=True)]
    if variant == "true class":
        c = [[Fraction(i == j) for j in range(b.n_classes)] for i in range(b.n_classes)]
    found = heldout(b, t)
    gaps = [max(row) - sorted(row)[-2] for row in found]
    agree = all(_best(row) == _best(target) for row, target in zip(found, c, strict=True))
    return Check(agree, float(min(gaps)))


def _unbalanced(rng: np.random.Generator) -> Instance:
    b = Block(
        (5, 5), 2, Fraction(9, 10), Fraction(7, 10), Fraction(0), Fraction(20), ((3, 2), (0, 5))
    )
    return {"block": replace(b, mu=b.mu + int(rng.integers(5))), "t": 2}


def _crossing(rng: np.random.Generator) -> Instance:
    counts = ((2, 0, 3, 0), (0, 5, 0, 0), (3, 0, 2, 0), (0, 0, 0, 5))
    b = Block((5,) * 4, 2, Fraction(9, 10), Fraction(8, 10), Fraction(0), Fraction(1), counts)
    return {"block": replace(b, mu=1 + Fraction(int(rng.integers(5)), 100)), "t": 2}


def _disordered(rng: np.random.Generator) -> Instance:
    b = Block(
        (5, 5), 2, Fraction(3, 10), Fraction(2, 5), Fraction(0), Fraction(1), ((4, 1), (1, 4))
    )
    return {"block": replace(b, mu=Fraction(int(rng.integers(1, 9)))), "t": 2}


THEOREM = Theorem(
    name="heldout-invariance",
    title="Rounds do not change held-out predictions",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis("order", r"0 \le e \le d < c < 1,\ \mu > 0", _disordered),
        Hypothesis("balanced", r"\textstyle\sum_k C_{kj} = 1", _unbalanced),
        Hypothesis(
            "inside superclasses",
            r"C_{kj} = 0 \text{ unless } k, j \text{ share a superclass (void for } S = 1)",
            _crossing,
        ),
        Hypothesis(
            "new point of the model",
            r"\langle x, x_i \rangle = c, d \text{ or } e \text{ by the class of } i",
        ),
    ),
    statement=r"\operatorname{argmax}_l\, p^{(t)}(x)_l = \operatorname{argmax}_l\, C_{kl} "
    r"\quad \text{for every } t \ge 1 \text{ and every new } x \text{ of class } k, "
    r"\text{ ties included}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "the true class": lambda i: _compare(i, "true class"),
        "transposed C": lambda i: _compare(i, "transposed"),
    },
)
