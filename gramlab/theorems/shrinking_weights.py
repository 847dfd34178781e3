"""Weights shrink from round to round, whatever the schedule, and into a ball."""

from itertools import pairwise

import sympy as sp

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    draw_rounds,
    exact_rounds,
    rounds_instance,
    worst,
)
from gramlab.theorems._softmax import variance_by_pairs
from gramlab.theorems.form import Check, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, zero


def _prove() -> Proof:
    before, now = sp.symbols("w_before w_now", real=True)
    # a = ‖W_(t−1)‖, b = ‖W_t‖, i = ⟨W_(t−1), W_t⟩.
    lam, a, b, inner = reals("lambda a b i")
    return proof(
        "sympy for the identities, z3 for the inequalities; the steps named below by hand",
        "norms and inner products as scalars: every N, d, K, t and every schedule; Var_p(u) ≥ 0 "
        "expanded with all symbols at K = 4 (a sum over pairs of classes at every K)",
        zero("Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² = {}: F is convex", variance_by_pairs()),
        "by hand: M = ∇F is monotone, and M(W_(t−1)) − M(W_t) = u_t − u_(t+1) = λ_t W_t, so "
        "⟨λ_t W_t, W_(t−1) − W_t⟩ ≥ 0",
        implies(
            "λ(⟨W_(t−1), W_t⟩ − ‖W_t‖²) ≥ 0 gives ‖W_t‖² ≤ ⟨W_(t−1), W_t⟩",
            [lam > 0, lam * (inner - b * b) >= 0],
            b * b <= inner,
        ),
        implies(
            "with ⟨W_(t−1), W_t⟩ ≤ ‖W_(t−1)‖ ‖W_t‖ it gives ‖W_t‖ ≤ ‖W_(t−1)‖",
            [a >= 0, b >= 0, b * b <= inner, inner <= a * b],
            b <= a,
        ),
        zero(
            "‖W_t − W_(t−1)/2‖² − ‖W_(t−1)/2‖² − (‖W_t‖² − ⟨W_(t−1), W_t⟩) = {}, entry by entry: "
            "it is the ball",
            (now - before / 2) ** 2 - before**2 / 4 - (now**2 - before * now),
        ),
    )


def _compare(instance: Instance, centre: float = 0.5, radius: float = 0.5) -> Check:
    weights = [r.weights for r in exact_rounds(instance)]
    checks = []
    for before, now in pairwise(weights):
        away = now - centre * before
        checks.append(bound(away.norm, radius * before.norm, away.error + radius * before.error))
    return worst(checks)


THEOREM = Theorem(
    name="shrinking-weights",
    title="Weights shrink from round to round",
    source="D",
    kind="upper bound",
    hypotheses=SUPPOSED,
    statement=r"\Big\lVert W_{t+1} - \tfrac12 W_t \Big\rVert_F \le \tfrac12 \lVert W_t \rVert_F, "
    r"\text{ that is } \lVert W_{t+1} \rVert_F^2 \le \langle W_t, W_{t+1} \rangle, \text{ so } "
    r"\lVert W_{t+1} \rVert_F \le \lVert W_t \rVert_F",
    prove=_prove,
    draw=draw_rounds,
    check=_compare,
    planted={
        "half the radius": lambda i: _compare(i, radius=0.25),
        "weights that shrink by a third": lambda i: _compare(i, centre=1 / 3, radius=1 / 3),
        "weights that stay": lambda i: _compare(i, centre=1.0, radius=1 / 3),
    },
    tight_within=0.01,
    arguments=ARGUMENTS,
    instance=rounds_instance,
    runs=RUNS,
)
