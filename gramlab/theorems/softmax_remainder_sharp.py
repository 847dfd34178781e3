"""The softmax remainder is at most osc(v)²/(6√3), and no smaller constant serves every K."""

from __future__ import annotations

import math

import flint

from gramlab.theorems._decide_inequality import decide, reals, weakest
from gramlab.theorems._remainder import compare, draw, path_derivatives_hold
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem

_CONSTANT = 1 / (6 * math.sqrt(3))


def _prove() -> Proof:
    derivatives = path_derivatives_hold()
    # α = P(A), A = {(X − m)² < Var}; E(X − m; A) = −c, E(X − m; not A) = c.
    a, m, c, k = reals("alpha m c k")
    inside = [
        *(0 < a, a < 1, 0 <= m, m <= 1),
        *(c <= a * m, c >= -a * (1 - m)),  # mean on A in [−m, 1 − m]
        *(c <= (1 - a) * (1 - m), c >= -(1 - a) * m),  # mean off A in [−m, 1 − m]
    ]
    # α times 2α(1 − α)((1 − 2m) b + m(1 − m) − a²) with a = −c/α, b = c/(1 − α).
    value = 2 * a * a * (1 - a) * m * (1 - m) + 2 * a * a * (1 - 2 * m) * c - 2 * (1 - a) * c * c
    top, upper = decide(
        "2α(1 − α)((1 − 2m)b + m(1 − m) − a²) ≤ k with 27k² = 1",
        [*inside, k > 0, 27 * k * k == 1],
        value <= k * a,
    )
    (x,) = reals("x")
    chord, above = decide(
        "y² ≤ (1 − 2m) y + m(1 − m) for y = x − m, x in [0, 1]",
        [0 <= x, x <= 1],
        (x - m) * (x - m) <= (1 - 2 * m) * (x - m) + m * (1 - m),
    )
    # The two-point law: P(1) = p, q = p(1 − p) = 1/6.
    (p,) = reals("p")
    at = 2 * p * (1 - p) * (1 - 2 * p)
    reached, equality = decide(
        "the law on {0, 1} with p(1 − p) = 1/6 has E|(X − m)² − Var| = k",
        [0 < p, 2 * p < 1, 6 * p * (1 - p) == 1, k > 0, 27 * k * k == 1],
        at == k,
    )
    near = flint.arb(2) * flint.fmpq(4, 19) * flint.fmpq(15, 19) * flint.fmpq(11, 19)
    return Proof(
        verdict=weakest(top, chord, reached) if derivatives else "unknown",
        method="sympy for the derivatives, z3 for the extremal problem, its reduction by hand",
        scope="every law on a bounded interval, so every K; the second derivative of the path is "
        "differentiated with all symbols at K = 4 (its form does not change with K)",
        evidence=(
            f"p(s) = softmax(sv): p'' = p((v − m)² − Var_p v) at K = 4: {derivatives}; the "
            "remainder is ∫₀¹ (1 − s) p''(s) ds (by hand), so half of sup E|(X − m)² − Var X|",
            "by hand, X in [0, 1], y = X − m, A = {y² < Var}, α = P(A): E|y² − Var| = "
            "2 E(Var − y²; A) = 2α(1 − α)(E[y² | not A] − E[y² | A])",
            "by hand: E[y² | A] ≥ a² with a = E[y | A] (Jensen); the chord of y² bounds "
            "E[y² | not A] through b = E[y | not A]; αa + (1 − α)b = 0",
            above,
            upper,
            "α in {0, 1} gives zero, because then y² = Var almost surely",
            equality,
            "sharp over all K: at s = 0 the law is uniform over the classes; with 4 of 19 classes "
            f"ahead, osc → 0 gives the ratio {near / 2} against 1/(6√3) = {_CONSTANT:.10f}, and "
            "shares tending to (3 − √3)/6 give the limit",
        ),
    )


def _check(instance: Instance) -> Check:
    return compare(instance, _CONSTANT)


THEOREM = Theorem(
    name="softmax-remainder-sharp",
    title="Remainder of the linearized softmax, sharp constant",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "logits", r"v \in \mathbb{R}^K,\ \operatorname{osc}(v) = \max_k v_k - \min_k v_k"
        ),
    ),
    statement=r"\Big\lVert \operatorname{softmax}(v) - \tfrac1K - \tfrac1K (v - \bar v) "
    r"\Big\rVert_1 \le \frac{\operatorname{osc}(v)^2}{6\sqrt3}, \quad "
    r"\text{and no smaller constant serves every } K",
    prove=_prove,
    draw=draw,
    check=_check,
    planted={
        "an eleventh": lambda instance: compare(instance, 1 / 11),
        "one per cent less": lambda instance: compare(instance, 0.99 * _CONSTANT),
    },
    tight_within=0.01,
)
