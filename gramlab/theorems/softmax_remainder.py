"""The softmax differs from its linearization by at most osc(v)²/4 in the 1-norm."""

import z3

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _softmax as softmax
from gramlab.theorems.form import Proof, Theorem
from gramlab.theorems.steps import implies, proof, reals, vanish


def _prove() -> Proof:
    x, m, second, y, mean = reals("x m second y mean")
    return proof(
        "sympy for the derivatives, z3 for the inequalities, integration by hand",
        "the inequalities hold for every law on a bounded interval, so for every K; the "
        "second derivative of the path is differentiated with all symbols at K = 4 (its "
        "form does not change with K)",
        vanish(
            "p(s) = softmax(sv): p'' = p((v − m)² − Var_p v) at K = 4",
            softmax.path_derivatives(),
        ),
        implies(
            "|y − E y| ≤ y + E y for y ≥ 0, so E|Y − E Y| ≤ 2 E Y",
            [y >= 0, mean >= 0],
            z3.And(y - mean <= y + mean, mean - y <= y + mean),
        ),
        implies("x² ≤ x on [0, 1], so E X² ≤ E X", [x >= 0, x <= 1], x * x <= x),
        implies(
            "E X² ≤ E X gives Var X ≤ 1/4", [m >= 0, m <= 1, second <= m], second - m * m <= 0.25
        ),
        "‖p''‖₁ = E|Y − E Y| with Y = (v − m)² ≤ 2 Var_p v ≤ osc²/2, after scaling to [0, 1]",
        "the remainder is ∫₀¹ (1 − s) p''(s) ds: a factor 1/2 (by hand)",
    )


THEOREM = Theorem(
    name="softmax-remainder",
    title="Remainder of the linearized softmax",
    source="D",
    kind="upper bound",
    hypotheses=(softmax.LOGITS,),
    statement=r"\Big\lVert \operatorname{softmax}(v) - \tfrac1K - \tfrac1K (v - \bar v) "
    r"\Big\rVert_1 \le \tfrac14 \operatorname{osc}(v)^2",
    prove=_prove,
    uses=("softmax-remainder-sharp",),
    draw=softmax.draw_logits,
    check=lambda i: softmax.compare_remainder(i, 1 / 4),
    planted={
        "an eleventh": lambda i: softmax.compare_remainder(i, 1 / 11),
        "linear in the spread": lambda i: softmax.compare_remainder(i, 1 / 4, power=1),
        "cubic in the spread": lambda i: softmax.compare_remainder(i, 1 / 4, power=3),
    },
    # The sharp constant is 1/(6√3) = 0.0962…, so the slack is never below 1 − 4/(6√3) = 0.615.
    tight_within=0.62,
    arguments=softmax.ARGUMENTS,
    instance=arguments.logits,
    runs=softmax.RUNS,
)
