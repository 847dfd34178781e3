"""Without the factor τ², a temperature does what weight decay λτ² does."""

from __future__ import annotations

import numpy as np
import sympy as sp

from gramlab.theorems._temperature import chain, draw, loss, substituted
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, equal

_TOLERANCE = 1e-9  # of two Newton solutions, each good to about 1e-13/λ


def _prove() -> Proof:
    w, tau, lam = substituted()
    difference = sp.expand(loss(tau * w, lam, tau) - loss(w, lam * tau**2))
    return Proof(
        verdict="proved" if difference == 0 else "unknown",
        method="sympy for the substitution; minima and induction by hand",
        scope="all entries, τ and λ symbolic at N = 2, d = 2, K = 3; every term is a sum over "
        "rows and entries and sees W only through XW/τ and ‖W‖², so every size; every round by "
        "induction",
        evidence=(
            f"L_(τ,λ)(τW') − L_(1,λτ²)(W') with W = τW': {difference}",
            "W' ↦ τW' is a bijection and both sides have one minimum, so the tempered output is "
            "that of weight decay λτ² at τ = 1",
            "the next round gets the same targets on both sides",
        ),
    )


def _compare(instance: Instance, power: float = 2.0) -> Check:
    tau, lam = instance["temperature"], instance["weight_decay"]
    tempered = chain(instance, lam, tau, instance.get("factor", 1.0), instance["read_at"])
    return equal(tempered, chain(instance, lam * tau**power), _TOLERANCE)


def _with_factor(rng: np.random.Generator) -> Instance:
    instance = draw(rng)
    return {**instance, "factor": instance["temperature"] ** 2}


def _read_elsewhere(rng: np.random.Generator) -> Instance:
    return {**draw(rng), "read_at": 1.0}


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
            _read_elsewhere,
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
