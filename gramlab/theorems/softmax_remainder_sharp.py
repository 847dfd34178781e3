"""The softmax remainder is at most osc(v)²/(6√3), and no smaller constant serves every K."""

import math

from gramlab.theorems._softmax import OF_LOGITS, compare_remainder
from gramlab.theorems.form import Rocq, Theorem

_CONSTANT = 1 / (6 * math.sqrt(3))

THEOREM = Theorem(
    name="softmax-remainder-sharp",
    title="Remainder of the linearized softmax, sharp constant",
    source="D",
    kind="upper bound",
    statement=r"\Big\lVert \operatorname{softmax}(v) - \tfrac1K - \tfrac1K (v - \bar v) "
    r"\Big\rVert_1 \le \frac{\operatorname{osc}(v)^2}{6\sqrt3}, \quad "
    r"\text{and no smaller constant serves every } K",
    kernel=Rocq("softmax_remainder.v", ("softmax_remainder_sharp",)),
    check=lambda i: compare_remainder(i, _CONSTANT),
    planted={
        "an eleventh": lambda i: compare_remainder(i, 1 / 11),
        "one per cent less": lambda i: compare_remainder(i, 0.99 * _CONSTANT),
    },
    tight_within=0.01,
    **OF_LOGITS,
)
