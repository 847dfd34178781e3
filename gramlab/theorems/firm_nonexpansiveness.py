"""Two sets of labels come nearer in every round, by what their weights differ."""

from dataclasses import replace

import numpy as np
import sympy as sp

from gramlab.theorems._arguments import array
from gramlab.theorems._rounds import (
    ARGUMENTS,
    DECAYS,
    PLAIN,
    RUNS,
    TARGETS,
    draw_rounds,
    draw_targets,
    exact_rounds,
    rounds_instance,
    sharpened,
    worst,
)
from gramlab.theorems._softmax import variance_by_pairs
from gramlab.theorems.form import Check, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, zero


def _prove() -> Proof:
    lam, w, m = sp.symbols("lambda w m", real=True)  # one entry of ΔW and ΔM
    # a = ‖ΔW‖, b = ‖ΔM‖, i = ⟨ΔM, ΔW⟩, v = ‖Δu_t‖.
    decay, a, b, inner, v = reals("lambda a b i v")
    given = [decay > 0, a >= 0, b >= 0, v >= 0, inner >= 0]
    return proof(
        "sympy for the identities, z3 for the inequality; the steps named below by hand",
        "norms and inner products as scalars: every N, d, K, t; Var_p(u) ≥ 0 expanded with all "
        "symbols at K = 4 (a sum over pairs of classes at every K)",
        zero("Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² = {}: F is convex", variance_by_pairs()),
        "by hand: M = ∇F is monotone, ⟨ΔM, ΔW⟩ ≥ 0",
        zero(
            "‖λΔW + ΔM‖² − λ²‖ΔW‖² − ‖ΔM‖² − 2λ⟨ΔM, ΔW⟩ = {}, entry by entry; λΔW + ΔM = Δu_t",
            (lam * w + m) ** 2 - lam**2 * w**2 - m**2 - 2 * lam * m * w,
        ),
        implies(
            "so λ²‖ΔW‖² + ‖ΔM‖² ≤ ‖Δu_t‖²",
            [*given, v * v == decay * decay * a * a + b * b + 2 * decay * inner],
            decay * decay * a * a + b * b <= v * v,
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    instance = draw_rounds(rng)
    others = instance["targets"]
    while np.array_equal(others, instance["targets"]):
        others = draw_targets(rng, *others.shape)
    return {**instance, "others": others}


def _sharpened(rng: np.random.Generator) -> Instance:
    """Soft labels that differ little: each round parts them."""
    instance = sharpened(rng)
    others = instance["targets"] + 1e-3 * draw_targets(rng, *instance["targets"].shape)
    return {**instance, "others": others / others.sum(axis=1, keepdims=True)}


def _instance(
    features: object,
    targets: object,
    others: object,
    weight_decays: object,
    mixing: object = 1.0,
    temperature: object = 1.0,
) -> Instance:
    made = rounds_instance(features, targets, weight_decays, mixing, temperature)
    return {**made, "others": array("others", others, *made["targets"].shape)}


def _compare(instance: Instance, weights: float = 1.0, moments: float = 1.0) -> Check:
    first = exact_rounds(instance)
    second = exact_rounds({**instance, "targets": instance["others"]})
    checks = []
    for t, (one, other) in enumerate(zip(first, second, strict=True)):
        given, apart = one.given - other.given, one.decay * (one.weights - other.weights)
        last = t + 1 == len(first)
        passed = one.moment - other.moment if last else first[t + 1].given - second[t + 1].given
        value = float(np.hypot(weights * apart.norm, moments * passed.norm))
        tolerance = given.error + weights * apart.error + moments * passed.error
        checks.append(bound(value, given.norm, tolerance))
    return worst(checks)


THEOREM = Theorem(
    name="firm-nonexpansiveness",
    title="Rounds are firmly nonexpansive in the moments",
    source="D (proximal steps: Rockafellar 1976)",
    kind="upper bound",
    hypotheses=(
        TARGETS,
        DECAYS,
        replace(PLAIN, without=_sharpened),
    ),
    statement=r"\lVert u_{t+1} - u'_{t+1} \rVert_F^2 + \lambda_t^2 \lVert W_t - W'_t \rVert_F^2 "
    r"\le \lVert u_t - u'_t \rVert_F^2, \quad u_t = \tfrac1N X^\top T^{(t)}, \quad "
    r"\text{for any given targets } Y, Y'",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "twice the weights": lambda i: _compare(i, weights=2.0),
        "twice the moments": lambda i: _compare(i, moments=2.0),
    },
    tight_within=0.01,
    arguments=ARGUMENTS | {"others": "(N, K), another set of targets"},
    instance=_instance,
    runs=RUNS,
)
