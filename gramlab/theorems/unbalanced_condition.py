"""When a training label is recovered although some labels are given more often than others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import sympy as sp

from gramlab.theorems._block import Block, block, crossing, draw_block, smallest_difference, split
from gramlab.theorems._block_algebra import algebra
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import proof, zero


def _prove() -> Proof:
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
    cases = {"S = 1, so C̄_s = C̄": (p_c, all_), "d = e, so p_C = p_B": (p_b, sup)}
    return proof(
        "sympy",
        "symbolic n, K, c, d, μ, t and any given labels; no size is fixed",
        *algebra(),
        *(
            zero(
                f"{name}: P_ik − P_il minus the claim is {{}}",
                sp.expand(prediction(0, *case) - prediction(1, *case) - claim),
            )
            for name, case in cases.items()
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    t = int(rng.integers(1, 4))
    if rng.random() < 0.4:  # balanced, on the boundary where μ can be chosen so
        b = draw_block(rng, superclasses=1)
        return {"block": b.tied(1, smallest_difference(b.class_means())), "t": 1}
    b = draw_block(rng)
    b = replace(b, counts=split(rng, b.n_classes, b.n))
    return {"block": b if b.m == b.n_classes else replace(b, e=b.d), "t": t}


def _compare(instance: Instance, variant: str = "") -> Check:
    """Sample by sample: the condition against its margin found by dense exact solves."""
    b: Block = instance["block"]
    p_a, p_b, _, p_d = b.filters(instance["t"] + (variant == "a round more"))
    c = b.class_means().T if variant == "transposed" else b.class_means()
    m = {"sums": b.n_classes, "ignored": 0}.get(variant, 1) * b.overall_mean()
    # Rows of samples, columns of labels: what a label has that its rivals must fall short of.
    scores = p_a * b.one_hot + (p_b - p_a) * c[b.true] + (p_d - p_b) * m
    predicted = b.margins(scores)
    found = b.margins(b.iterate(instance["t"]))
    right = predicted >= 0 if variant == "non-strict" else predicted > 0
    return Check(bool((right == (found > 0)).all()), float(min(abs(found))))


def _unequal(rng: np.random.Generator) -> Instance:
    # The small class is drowned by the large one; the condition sees equal sizes.
    t = int(rng.integers(1, 3))
    return {"block": block(((4, 1), (0, 25)), m=2, c=18, d=10, mu=5), "t": t}


THEOREM = Theorem(
    name="unbalanced-condition",
    title="Recovery with unbalanced labels",
    source="D",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis(
            "equal class sizes", r"n \text{ samples in each of } K \text{ classes}", _unequal
        ),
        Hypothesis("no superclasses", r"S = 1 \text{ or } d = e", crossing),
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
