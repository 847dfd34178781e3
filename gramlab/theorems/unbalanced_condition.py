"""When a training label is recovered although some labels are given more often than others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import sympy as sp

from gramlab.theorems._block import (
    Block,
    algebra,
    class_means,
    draw_block,
    filters,
    given,
    iterate,
    margins,
    overall_mean,
    smallest_difference,
    split,
    tied,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem


def _prove() -> Proof:
    facts, _ = algebra()
    p_a, p_b, p_c, p_d, k = sp.symbols("p_A p_B p_C p_D K", positive=True)
    t = sp.Symbol("t", integer=True, positive=True)
    own, cls, sup, all_ = (sp.symbols(f"{x}_k {x}_l", real=True) for x in ("y", "C", "s", "m"))

    def prediction(i: int, power_c: sp.Expr, average: Sequence[sp.Expr]) -> sp.Expr:
        return (
            1 / k
            + p_a**t * (own[i] - cls[i])
            + p_b**t * (cls[i] - average[i])
            + power_c**t * (average[i] - all_[i])
            + p_d**t * (all_[i] - 1 / k)
        )

    claim = (
        p_a**t * (own[0] - own[1])
        + (p_b**t - p_a**t) * (cls[0] - cls[1])
        + (p_d**t - p_b**t) * (all_[0] - all_[1])
    )
    rests = {
        name: sp.expand(prediction(0, *case) - prediction(1, *case) - claim)
        for name, case in {
            "S = 1, so C̄_s = C̄": (p_c, all_),
            "d = e, so p_C = p_B": (p_b, sup),
        }.items()
    }
    proved = all(facts.values()) and all(rest == 0 for rest in rests.values())
    return Proof(
        verdict="proved" if proved else "unknown",
        method="sympy",
        scope="symbolic n, K, c, d, μ, t and any given labels; no size is fixed",
        evidence=(
            *(f"{name}: {found}" for name, found in facts.items()),
            *(f"{name}: P_ik − P_il minus the claim is {rest}" for name, rest in rests.items()),
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    t = int(rng.integers(1, 4))
    if rng.random() < 0.4:  # balanced, on the boundary where μ can be chosen so
        b = draw_block(rng, superclasses=1)
        return {"block": tied(b, 1, smallest_difference(class_means(b))), "t": 1}
    b = draw_block(rng)
    b = replace(b, counts=split(rng, b.n_classes, b.sizes[0]))
    return {"block": b if b.m == b.n_classes else replace(b, e=b.d), "t": t}


def _compare(instance: Instance, variant: str = "") -> Check:
    """Sample by sample: the condition against its margin found by dense exact solves."""
    b: Block = instance["block"]
    t = instance["t"] + (variant == "a round more")
    p_a, p_b, _, p_d = filters(b, t)
    c, m = class_means(b), overall_mean(b)
    if variant == "transposed":
        c = [list(column) for column in zip(*c, strict=True)]
    if variant == "sums":
        m = [b.n_classes * x for x in m]
    if variant == "ignored":
        m = [Fraction(0)] * b.n_classes
    found = margins(b, iterate(b, instance["t"]))
    agree = []
    for (k, j), margin in zip(given(b), found, strict=True):
        rivals = [
            p_a * (int(j == k) - int(j == q))
            + (p_b - p_a) * (c[k][k] - c[k][q])
            + (p_d - p_b) * (m[k] - m[q])
            for q in range(b.n_classes)
            if q != k
        ]
        right = all(x >= 0 for x in rivals) if variant == "non-strict" else min(rivals) > 0
        agree.append(right == (margin > 0))
    return Check(all(agree), float(min(abs(x) for x in found)))


def _superclasses(rng: np.random.Generator) -> Instance:
    counts = ((3, 0, 2, 0), (0, 3, 0, 2), (2, 0, 3, 0), (0, 2, 0, 3))
    b = Block((5,) * 4, 2, Fraction(9, 10), Fraction(8, 10), Fraction(0), Fraction(1), counts)
    return {"block": replace(b, mu=1 + Fraction(int(rng.integers(5)), 100)), "t": 1}


def _unequal(rng: np.random.Generator) -> Instance:
    # The small class is drowned by the large one; the condition sees equal sizes.
    b = Block(
        (5, 25), 2, Fraction(9, 10), Fraction(1, 2), Fraction(0), Fraction(5), ((4, 1), (0, 25))
    )
    return {"block": b, "t": int(rng.integers(1, 3))}


THEOREM = Theorem(
    name="unbalanced-condition",
    title="Recovery with unbalanced labels",
    source="D",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis(
            "equal class sizes", r"n \text{ samples in each of } K \text{ classes}", _unequal
        ),
        Hypothesis("no superclasses", r"S = 1 \text{ or } d = e", _superclasses),
        Hypothesis(
            "class fractions",
            r"C_{kj} \text{ is the fraction of class } k \text{ given the label } j, \quad "
            r"m_j = \tfrac1K \textstyle\sum_k C_{kj}",
        ),
    ),
    statement=r"\text{a sample of class } k \text{ given the label } j "
    r"\text{ is right at round } t "
    r"\iff p_A^t (1[j=k] - 1[j=l]) + (p_B^t - p_A^t)(C_{kk} - C_{kl}) "
    r"+ (p_D^t - p_B^t)(m_k - m_l) > 0 \text{ for all } l \ne k",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "non-strict": lambda i: _compare(i, "non-strict"),
        "transposed C": lambda i: _compare(i, "transposed"),
        "column sums in place of means": lambda i: _compare(i, "sums"),
        "no column means": lambda i: _compare(i, "ignored"),
        "a round more": lambda i: _compare(i, "a round more"),
    },
)
