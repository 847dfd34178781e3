"""The softmax differs from its linearization by at most osc(v)²/4 in the 1-norm."""

from dataclasses import replace

from gramlab.theorems.form import Rocq
from gramlab.theorems.softmax_remainder_sharp import THEOREM as SHARP
from gramlab.theorems.softmax_remainder_sharp import compare_remainder

THEOREM = replace(
    SHARP,
    name="softmax-remainder",
    title="Remainder of the linearized softmax",
    statement=r"\Big\lVert \operatorname{softmax}(v) - \tfrac1K - \tfrac1K (v - \bar v) "
    r"\Big\rVert_1 \le \tfrac14 \operatorname{osc}(v)^2",
    kernel=Rocq("softmax_remainder.v", ("softmax_remainder",)),
    uses=("softmax-remainder-sharp",),
    check=lambda i: compare_remainder(i, 1 / 4),
    planted={
        "an eleventh": lambda i: compare_remainder(i, 1 / 11),
        "linear in the spread": lambda i: compare_remainder(i, 1 / 4, power=1),
        "cubic in the spread": lambda i: compare_remainder(i, 1 / 4, power=3),
    },
    # The sharp constant is 1/(6√3) = 0.0962…, so the slack is never below 1 − 4/(6√3) = 0.615.
    tight_within=0.62,
)
