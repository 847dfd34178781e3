"""Rounds against one training at their total weight decay: it lies in a ball that rounds know."""

import sympy as sp

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    Known,
    Round,
    draw_rounds,
    exact_rounds,
    head_round,
    rounds_instance,
    total,
    worst,
)
from gramlab.theorems._softmax import variance_by_pairs
from gramlab.theorems.form import Check, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, zero


def _prove() -> Proof:
    v, last, mean = sp.symbols("v w_t w_mean", real=True)  # one entry of V, W_t and W̄
    total_, inner, grown = reals("Lambda i m")  # i = ⟨V − W̄, V − W_t⟩, m = ⟨M(V) − M(W_t), V − W_t⟩
    return proof(
        "sympy for the identities, z3 for the inequality; the steps named below by hand",
        "norms and inner products as scalars: every N, d, K, t and every schedule; Var_p(u) ≥ 0 "
        "expanded with all symbols at K = 4 (a sum over pairs of classes at every K)",
        zero("Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² = {}: F is convex", variance_by_pairs()),
        "by hand: M = ∇F is monotone; ΛV + M(V) = u_1 = ΛW̄ + M(W_t) (theorem telescope), so "
        "Λ⟨V − W̄, V − W_t⟩ = −⟨M(V) − M(W_t), V − W_t⟩",
        implies(
            "Λi = −m, m ≥ 0 and Λ > 0 give ⟨V − W̄, V − W_t⟩ ≤ 0",
            [total_ > 0, grown >= 0, total_ * inner == -grown],
            inner <= 0,
        ),
        zero(
            "‖V − (W̄ + W_t)/2‖² − ‖W̄ − W_t‖²/4 − ⟨V − W̄, V − W_t⟩ = {}, entry by entry",
            (v - (mean + last) / 2) ** 2 - (mean - last) ** 2 / 4 - (v - mean) * (v - last),
        ),
        zero(
            "‖V − W_t‖² + ‖V − W̄‖² − ‖W̄ − W_t‖² − 2⟨V − W̄, V − W_t⟩ = {}, entry by entry",
            (v - last) ** 2 + (v - mean) ** 2 - (mean - last) ** 2 - 2 * (v - mean) * (v - last),
        ),
    )


def mean_weights(rounds: list[Round], weighted: bool = True) -> Known:
    """W̄ = Σ λ_s W_s/Λ, or the plain mean."""
    shares = [r.decay if weighted else 1.0 for r in rounds]
    return (1 / sum(shares)) * total(
        share * r.weights for share, r in zip(shares, rounds, strict=True)
    )


def _compare(
    instance: Instance, radius: float = 1.0, weighted: bool = True, spent: float = 1.0
) -> Check:
    rounds = exact_rounds(instance)
    checks = []
    for t in range(2, len(rounds) + 1):
        last, mean = rounds[t - 1].weights, mean_weights(rounds[:t], weighted)
        decay = spent * float(sum(instance["decays"][:t]))
        head = head_round(instance["x"], instance["targets"], decay)
        away, across = head.weights - 0.5 * (mean + last), 0.5 * radius * (mean - last)
        checks.append(bound(away.norm, across.norm, away.error + across.error))
    return worst(checks)


THEOREM = Theorem(
    name="the-ball",
    title="Rounds against one training at the total weight decay",
    source="D",
    kind="upper bound",
    hypotheses=SUPPOSED,
    statement=r"\Big\lVert V - \tfrac12 (\bar W_t + W_t) \Big\rVert_F \le "
    r"\tfrac12 \lVert \bar W_t - W_t \rVert_F, \quad \bar W_t = \frac{1}{\Lambda} \sum_{s \le t} "
    r"\lambda_s W_s, \quad \Lambda = \sum_{s \le t} \lambda_s, \quad V \text{ the head trained "
    r"once on } Y \text{ at } \Lambda; \quad \text{so } \lVert V - W_t \rVert_F \le "
    r"\lVert \bar W_t - W_t \rVert_F",
    prove=_prove,
    draw=draw_rounds,
    check=_compare,
    planted={
        "half the radius": lambda i: _compare(i, radius=0.5),
        "every round alike": lambda i: _compare(i, weighted=False),
        "half the total weight decay": lambda i: _compare(i, spent=0.5),
    },
    tight_within=0.02,
    arguments=ARGUMENTS,
    instance=rounds_instance,
    runs=RUNS,
)
