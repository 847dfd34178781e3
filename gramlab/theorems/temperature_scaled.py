"""With the factor τ² on the tempered loss, the tempered outputs do not depend on τ at all."""

from __future__ import annotations

import numpy as np

from gramlab.theorems._temperature import compare, draw, read_at_one, substituted
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import proof, zero


def _prove() -> Proof:
    return proof(
        "sympy for the substitution; minima and induction by hand",
        "all entries, τ and λ symbolic at N = 2, d = 2, K = 3; every term is a sum over "
        "rows and entries and sees W only through XW/τ and ‖W‖², so every size; every round by "
        "induction",
        zero(
            "L_τ(τW') − τ² L_1(W') with W = τW': {}",
            substituted(
                lambda loss, w, tau, lam: loss(tau * w, lam, tau, tau**2) - tau**2 * loss(w, lam)
            ),
        ),
        "W' ↦ τW' is a bijection and L_1 has one minimum (λ > 0), so W*_τ = τ W*_1 and "
        "softmax(XW*_τ/τ) = softmax(XW*_1)",
        "the next round gets the same targets as at τ = 1",
    )


def _compare(instance: Instance, power: float = 2.0, read_at: float | None = None) -> Check:
    factor = instance.get("factor", instance["temperature"] ** power)
    read = instance["read_at"] if read_at is None else read_at
    return compare(instance, factor, instance["weight_decay"], read)


def _without_factor(rng: np.random.Generator) -> Instance:
    return {**draw(rng), "factor": 1.0}


THEOREM = Theorem(
    name="temperature-scaled",
    title="Temperature with the factor τ²",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis("factor", r"L_\tau = \tau^2 \operatorname{CE} + \dots", _without_factor),
        Hypothesis(
            "read at τ",
            r"P = \operatorname{softmax}(XW/\tau) \text{ is passed on}",
            read_at_one,
        ),
        Hypothesis("weight decay", r"\lambda > 0,\ \tau > 0"),
    ),
    statement=r"L_\tau(W) = \tfrac{\tau^2}{N} \sum_i \operatorname{CE}\big(T_i, "
    r"\operatorname{softmax}(W^\top x_i / \tau)\big) + \tfrac\lambda2 \lVert W \rVert_F^2: \quad "
    r"W_\tau^\star = \tau W_1^\star,\quad \operatorname{softmax}(X W_\tau^\star / \tau) "
    r"= \operatorname{softmax}(X W_1^\star) \text{ in every round}",
    prove=_prove,
    draw=draw,
    check=_compare,
    planted={
        "factor τ": lambda instance: _compare(instance, power=1.0),
        "factor τ³": lambda instance: _compare(instance, power=3.0),
        "read at 1": lambda instance: _compare(instance, read_at=1.0),
    },
)
