"""Facts on the softmax that several theorems rest on, and instances for its remainder."""

from __future__ import annotations

from typing import Any

import flint
import numpy as np
import sympy as sp

from gramlab.heads.referee import softmax_remainder
from gramlab.theorems.form import Check, Instance, bound


def _law() -> tuple[Any, Any, Any, dict[Any, Any]]:
    """Symbols p and v at K = 4, the mean of v, and the last p by the others."""
    p, v = sp.symbols("p:4", positive=True), sp.symbols("v:4", real=True)
    return p, v, sum(a * b for a, b in zip(p, v, strict=True)), {p[-1]: 1 - sum(p[:-1])}


def variance_by_pairs() -> Any:
    """Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² at K = 4: 0, so lse is convex."""
    p, u, mean, unit = _law()
    variance = sum(a * b**2 for a, b in zip(p, u, strict=True)) - mean**2
    pairs = sum(p[i] * p[j] * (u[i] - u[j]) ** 2 for i in range(4) for j in range(i))
    return sp.expand((variance - pairs).subs(unit))


def path_derivatives_hold() -> bool:
    """Whether p'' = p((v − m)² − Var) on the path softmax(sv), by differentiating at K = 4."""
    p, v, m, unit = _law()
    s = sp.Symbol("s", real=True)
    weights = [sp.exp(s * e) for e in v]
    total = sum(weights)
    mean = sum(w * e for w, e in zip(weights, v, strict=True)) / total
    first = [
        sp.simplify(sp.diff(w / total, s) - w / total * (e - mean))
        for w, e in zip(weights, v, strict=True)
    ]
    # The second derivative by the product rule in p, from dp_j/ds = p_j (v_j − m).
    slopes = [a * (b - m) for a, b in zip(p, v, strict=True)]
    variance = sum(a * b**2 for a, b in zip(p, v, strict=True)) - m**2
    second = [
        sum(sp.diff(slope, a) * along for a, along in zip(p, slopes, strict=True))
        - p[j] * ((v[j] - m) ** 2 - variance)
        for j, slope in enumerate(slopes)
    ]
    return all(residual == 0 for residual in [*first, *(sp.expand(x.subs(unit)) for x in second)])


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
