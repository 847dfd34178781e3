"""The softmax remainder is at most osc(v)²/(6√3), and no smaller constant serves every K."""

import math

import flint

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _softmax as softmax
from gramlab.theorems.form import Proof, Theorem
from gramlab.theorems.steps import implies, proof, reals, vanish

_CONSTANT = 1 / (6 * math.sqrt(3))


def _prove() -> Proof:
    # α = P(A), A = {(X − m)² < Var}; E(X − m; A) = −c, E(X − m; not A) = c.
    a, m, c, k, x, p = reals("alpha m c k x p")
    inside = [
        *(0 < a, a < 1, 0 <= m, m <= 1),
        *(c <= a * m, c >= -a * (1 - m)),  # mean on A in [−m, 1 − m]
        *(c <= (1 - a) * (1 - m), c >= -(1 - a) * m),  # mean off A in [−m, 1 − m]
    ]
    # α times 2α(1 − α)((1 − 2m) b + m(1 − m) − a²) with a = −c/α, b = c/(1 − α).
    value = 2 * a * a * (1 - a) * m * (1 - m) + 2 * a * a * (1 - 2 * m) * c - 2 * (1 - a) * c * c
    near = flint.arb(2) * flint.fmpq(4, 19) * flint.fmpq(15, 19) * flint.fmpq(11, 19)
    return proof(
        "sympy for the derivatives, z3 for the extremal problem, its reduction by hand",
        "every law on a bounded interval, so every K; the second derivative of the path is "
        "differentiated with all symbols at K = 4 (its form does not change with K)",
        vanish(
            "p(s) = softmax(sv): p'' = p((v − m)² − Var_p v) at K = 4: {}; the "
            "remainder is ∫₀¹ (1 − s) p''(s) ds (by hand), so half of sup E|(X − m)² − Var X|",
            softmax.path_derivatives(),
        ),
        "by hand, X in [0, 1], y = X − m, A = {y² < Var}, α = P(A): E|y² − Var| = "
        "2 E(Var − y²; A) = 2α(1 − α)(E[y² | not A] − E[y² | A])",
        "by hand: E[y² | A] ≥ a² with a = E[y | A] (Jensen); the chord of y² bounds "
        "E[y² | not A] through b = E[y | not A]; αa + (1 − α)b = 0",
        implies(
            "y² ≤ (1 − 2m) y + m(1 − m) for y = x − m, x in [0, 1]",
            [0 <= x, x <= 1],
            (x - m) * (x - m) <= (1 - 2 * m) * (x - m) + m * (1 - m),
        ),
        implies(
            "2α(1 − α)((1 − 2m)b + m(1 − m) − a²) ≤ k with 27k² = 1",
            [*inside, k > 0, 27 * k * k == 1],
            value <= k * a,
        ),
        "α in {0, 1} gives zero, because then y² = Var almost surely",
        # The two-point law: P(1) = p, q = p(1 − p) = 1/6.
        implies(
            "the law on {0, 1} with p(1 − p) = 1/6 has E|(X − m)² − Var| = k",
            [0 < p, 2 * p < 1, 6 * p * (1 - p) == 1, k > 0, 27 * k * k == 1],
            2 * p * (1 - p) * (1 - 2 * p) == k,
        ),
        "sharp over all K: at s = 0 the law is uniform over the classes; with 4 of 19 classes "
        f"ahead, osc → 0 gives the ratio {near / 2} against 1/(6√3) = {_CONSTANT:.10f}, and "
        "shares tending to (3 − √3)/6 give the limit",
    )


THEOREM = Theorem(
    name="softmax-remainder-sharp",
    title="Remainder of the linearized softmax, sharp constant",
    source="D",
    kind="upper bound",
    hypotheses=(softmax.LOGITS,),
    statement=r"\Big\lVert \operatorname{softmax}(v) - \tfrac1K - \tfrac1K (v - \bar v) "
    r"\Big\rVert_1 \le \frac{\operatorname{osc}(v)^2}{6\sqrt3}, \quad "
    r"\text{and no smaller constant serves every } K",
    prove=_prove,
    draw=softmax.draw_logits,
    check=lambda i: softmax.compare_remainder(i, _CONSTANT),
    planted={
        "an eleventh": lambda i: softmax.compare_remainder(i, 1 / 11),
        "one per cent less": lambda i: softmax.compare_remainder(i, 0.99 * _CONSTANT),
    },
    tight_within=0.01,
    arguments=softmax.ARGUMENTS,
    instance=arguments.logits,
    runs=softmax.RUNS,
)
