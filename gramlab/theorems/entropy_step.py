"""Entropy grows in every round, by what the weights say, from below and from above."""

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


def entropy_is_conjugate() -> sp.Expr:
    """−H(p) − (⟨p, v⟩ − log Σ e^v) at p = softmax(v), K = 3: F* at moments of heads."""
    v = sp.symbols("v:3", real=True)
    total = sum(sp.exp(e) for e in v)
    p = [sp.exp(e) / total for e in v]
    logs = [e - sp.log(total) for e in v]
    entropy = -sum(a * b for a, b in zip(p, logs, strict=True))
    return -entropy - (sum(a * b for a, b in zip(p, v, strict=True)) - sp.log(total))


def _prove() -> Proof:
    # f, g: F* at M(W_(t−1)) and at M(W_t); x = λ_t ‖W_t‖², y = λ_t ⟨W_(t−1), W_t⟩.
    f, g, x, y = reals("f g x y")
    return proof(
        "sympy for the conjugate and the convexity, z3 for the step; the steps named below by hand",
        "scalars: every N, d, K, t and every schedule; the conjugate of log Σ exp at K = 3 and "
        "Var_p(u) ≥ 0 at K = 4 with all symbols (neither form changes with K)",
        zero("Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² = {}: F is convex", variance_by_pairs()),
        zero("⟨p, v⟩ − log Σ e^v + H(p) at p = softmax(v) is {}", -entropy_is_conjugate()),
        "by hand: for convex F, F(V) ≥ F(W) + ⟨M(W), V − W⟩ for every V says F*(M(W)) = "
        "⟨M(W), W⟩ − F(W) = −H̄(P(W)) and F*(u) ≥ F*(M(W)) + ⟨W, u − M(W)⟩ for every u",
        "by hand: at u_t = M(W_(t−1)), M(W_t) = u_t − λ_t W_t, each about the other, this is the "
        "hypothesis of the next line",
        implies(
            "F*(u_t) ≥ F*(u_(t+1)) + λ‖W_t‖² and F*(u_(t+1)) ≥ F*(u_t) − λ⟨W_(t−1), W_t⟩ give "
            "the bound from below",
            [f >= g + x, g >= f - y],
            x <= f - g,
        ),
        implies("and the one from above", [f >= g + x, g >= f - y], f - g <= y),
    )


def _compare(instance: Instance, below: float = 1.0, above: float = 1.0) -> Check:
    rounds = exact_rounds(instance)
    checks = []
    for before, now in pairwise(rounds):
        grown = now.entropy - before.entropy
        least = now.decay * now.weights.inner(now.weights)
        most = now.decay * before.weights.inner(now.weights)
        error = grown.error + least.error + most.error
        checks.append(bound(below * float(least.value), float(grown.value), error))
        checks.append(bound(float(grown.value), above * float(most.value), error))
    return worst(checks)


THEOREM = Theorem(
    name="entropy-step",
    title="How much entropy one round adds",
    source="D",
    kind="lower bound",
    hypotheses=SUPPOSED,
    statement=r"\lambda_t \lVert W_t \rVert_F^2 \le \bar H_t - \bar H_{t-1} \le "
    r"\lambda_t \langle W_{t-1}, W_t \rangle, \quad t \ge 2, \quad "
    r"\bar H_t = -\tfrac1N \sum_{ik} P_{t,ik} \log P_{t,ik}",
    prove=_prove,
    draw=draw_rounds,
    check=_compare,
    planted={
        "twice from below": lambda i: _compare(i, below=2.0),
        "half from above": lambda i: _compare(i, above=0.5),
    },
    tight_within=0.01,
    arguments=ARGUMENTS,
    instance=rounds_instance,
    runs=RUNS,
)
