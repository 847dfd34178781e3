"""Facts on the softmax that several theorems rest on, and instances for its remainder."""

from typing import Any

import flint
import numpy as np
import sympy as sp

from gramlab.heads.referee import softmax_remainder
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, bound

LOGITS = Hypothesis(
    "logits",
    r"v \in \mathbb{R}^K,\ \operatorname{osc}(v) = \max_k v_k - \min_k v_k",
    test=lambda i: Held(
        bool(np.isfinite(i["logits"]).all()), f"osc(v) = {np.ptp(i['logits']):.6g}"
    ),
)
ARGUMENTS = {"logits": "(K,), the logits v of one row"}
RUNS = ("gramlab.heads.referee.softmax_remainder",)

# Symbols p and v at K = 4, the last p by the others, mean and variance of v.
_p, _v = sp.symbols("p:4", positive=True), sp.symbols("v:4", real=True)
_unit = {_p[-1]: 1 - sum(_p[:-1])}
_mean: Any = sum(a * b for a, b in zip(_p, _v, strict=True))
_variance: Any = sum(a * b**2 for a, b in zip(_p, _v, strict=True)) - _mean**2


def path_derivatives() -> list[Any]:
    """Residuals of p'' = p((v − m)² − Var) on the path softmax(sv), differentiated at K = 4."""
    s = sp.Symbol("s", real=True)
    weights = [sp.exp(s * e) for e in _v]
    total = sum(weights)
    mean = sum(w * e for w, e in zip(weights, _v, strict=True)) / total
    first = [
        sp.diff(w / total, s) - w / total * (e - mean) for w, e in zip(weights, _v, strict=True)
    ]
    # The second derivative by the product rule in p, from dp_j/ds = p_j (v_j − m).
    slopes = sp.Matrix([a * (b - _mean) for a, b in zip(_p, _v, strict=True)])
    stated = sp.Matrix([a * ((b - _mean) ** 2 - _variance) for a, b in zip(_p, _v, strict=True)])
    return [*first, *(slopes.jacobian(_p) * slopes - stated).subs(_unit)]


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
