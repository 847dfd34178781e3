"""The softmax remainder is at most osc(v)²/(6√3), and no smaller constant serves every K."""

import math

import flint
import numpy as np

from gramlab.heads.referee import softmax_remainder
from gramlab.theorems._arguments import array
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, bound

_CONSTANT = 1 / (6 * math.sqrt(3))


def _draw(rng: np.random.Generator) -> Instance:
    """Logits of any spread; every third draw sits at the two-point law that is worst."""
    k = int(rng.integers(2, 40))
    if rng.random() < 1 / 3:
        ones = max(1, round(k * (3 - np.sqrt(3)) / 6))
        v = np.where(np.arange(k) < ones, 1.0, 0.0) * 10 ** rng.uniform(-3, -1)
    else:
        v = 10 ** rng.uniform(-3, 1.5) * rng.standard_normal(k)
    return {"logits": v if rng.random() < 0.5 else -v}


def compare_remainder(instance: Instance, constant: float, power: int = 2) -> Check:
    """The bound constant · osc(v)^power, and that the package's remainder is the true one."""
    v = instance["logits"]
    with flint.ctx.workprec(113):
        logits = [flint.arb(float(e)) for e in v]
        weights = [e.exp() for e in logits]
        total, mean = sum(weights, flint.arb(0)), sum(logits, flint.arb(0)) / len(v)
        terms = [
            abs(w / total - (1 + e - mean) / len(v)) for w, e in zip(weights, logits, strict=True)
        ]
        value = float(sum(terms, flint.arb(0)).mid())
    fast = float(np.abs(softmax_remainder(v[None])).sum())
    agrees = abs(fast - value) <= 1e-15 * (1 + np.ptp(v)) * len(v)
    return bound(value, constant * float(np.ptp(v)) ** power, 1e-30).also(agrees)


THEOREM = Theorem(
    name="softmax-remainder-sharp",
    title="Remainder of the linearized softmax, sharp constant",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "logits",
            r"v \in \mathbb{R}^K,\ \operatorname{osc}(v) = \max_k v_k - \min_k v_k",
            test=lambda i: Held(
                bool(np.isfinite(i["logits"]).all()), f"osc(v) = {np.ptp(i['logits']):.6g}"
            ),
        ),
    ),
    statement=r"\Big\lVert \operatorname{softmax}(v) - \tfrac1K - \tfrac1K (v - \bar v) "
    r"\Big\rVert_1 \le \frac{\operatorname{osc}(v)^2}{6\sqrt3}, \quad "
    r"\text{and no smaller constant serves every } K",
    kernel=Rocq("softmax_remainder.v", ("softmax_remainder_sharp",)),
    draw=_draw,
    check=lambda i: compare_remainder(i, _CONSTANT),
    planted={
        "an eleventh": lambda i: compare_remainder(i, 1 / 11),
        "one per cent less": lambda i: compare_remainder(i, 0.99 * _CONSTANT),
    },
    tight_within=0.01,
    arguments={"logits": array("the logits v of one row", "K")},
    runs=("gramlab.heads.referee.softmax_remainder",),
)
