"""Without the factor τ², a temperature does what weight decay λτ² does."""

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
            "L_(τ,λ)(τW') − L_(1,λτ²)(W') with W = τW': {}",
            substituted(lambda loss, w, tau, lam: loss(tau * w, lam, tau) - loss(w, lam * tau**2)),
        ),
        "W' ↦ τW' is a bijection and both sides have one minimum, so the tempered output is "
        "that of weight decay λτ² at τ = 1",
        "the next round gets the same targets on both sides",
    )


def _compare(instance: Instance, power: float = 2.0) -> Check:
    plain_decay = instance["weight_decay"] * instance["temperature"] ** power
    return compare(instance, instance.get("factor", 1.0), plain_decay, instance["read_at"])


def _with_factor(rng: np.random.Generator) -> Instance:
    instance = draw(rng)
    return {**instance, "factor": instance["temperature"] ** 2}


THEOREM = Theorem(
    name="temperature-unscaled",
    title="Temperature without the factor τ²",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis("no factor", r"L_\tau = \operatorname{CE} + \dots", _with_factor),
        Hypothesis(
            "read at τ",
            r"P = \operatorname{softmax}(XW/\tau) \text{ is passed on}",
            read_at_one,
        ),
        Hypothesis("weight decay", r"\lambda > 0,\ \tau > 0"),
    ),
    statement=r"L_{\tau,\lambda}(W) = \tfrac1N \sum_i \operatorname{CE}\big(T_i, "
    r"\operatorname{softmax}(W^\top x_i / \tau)\big) + \tfrac\lambda2 \lVert W \rVert_F^2: \quad "
    r"\operatorname{softmax}(X W_{\tau,\lambda}^\star / \tau) "
    r"= \operatorname{softmax}(X W_{1,\lambda\tau^2}^\star) \text{ in every round}",
    prove=_prove,
    draw=draw,
    check=_compare,
    planted={
        "λτ": lambda instance: _compare(instance, power=1.0),
        "λ/τ²": lambda instance: _compare(instance, power=-2.0),
        "λ unchanged": lambda instance: _compare(instance, power=0.0),
    },
)
