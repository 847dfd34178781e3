"""What the theorems on the remainder of the softmax share."""

from typing import Any

import flint
import numpy as np

from gramlab.heads.referee import softmax_remainder
from gramlab.theorems._arguments import array
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, bound


def draw_logits(rng: np.random.Generator) -> Instance:
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


LOGITS = Hypothesis(
    "logits",
    r"v \in \mathbb{R}^K,\ \operatorname{osc}(v) = \max_k v_k - \min_k v_k",
    test=lambda i: Held(
        bool(np.isfinite(i["logits"]).all()), f"osc(v) = {np.ptp(i['logits']):.6g}"
    ),
)
OF_LOGITS: dict[str, Any] = {
    "hypotheses": (LOGITS,),
    "draw": draw_logits,
    "arguments": {"logits": array("the logits v of one row", "K")},
    "runs": ("gramlab.heads.referee.softmax_remainder",),
}
"""What both have in common."""
