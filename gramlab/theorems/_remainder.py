"""What the two bounds on the softmax remainder share: the instances and the derivatives."""

from __future__ import annotations

import flint
import numpy as np
import sympy as sp

from gramlab.heads.referee import softmax_remainder
from gramlab.theorems.form import Check, Instance, bound

__all__ = ["compare", "draw", "path_derivatives_hold"]

_DIGITS = 113


def path_derivatives_hold(k: int = 4) -> bool:
    """Whether p'' = p((v − m)² − Var) on the path softmax(sv), by differentiating at K = k."""
    v = sp.symbols(f"v:{k}", real=True)
    s = sp.Symbol("s", real=True)
    p = sp.symbols(f"p:{k}", positive=True)
    weights = [sp.exp(s * e) for e in v]
    path = [w / sum(weights) for w in weights]
    m = sum(a * b for a, b in zip(p, v, strict=True))
    first = [a * (b - m) for a, b in zip(p, v, strict=True)]
    # dp_j/ds from the quotient itself, then d/ds of p_j (v_j − m) by the product rule in p.
    total = sum(weights)
    quotient = all(
        sp.simplify(
            sp.diff(q, s) - q * (e - sum(w * u for w, u in zip(weights, v, strict=True)) / total)
        )
        == 0
        for q, e in zip(path, v, strict=True)
    )
    variance = sum(a * b**2 for a, b in zip(p, v, strict=True)) - m**2
    unit = {p[-1]: 1 - sum(p[:-1])}
    second = all(
        sp.expand(
            (
                sum(sp.diff(first[j], p[i]) * first[i] for i in range(k))
                - p[j] * ((v[j] - m) ** 2 - variance)
            ).subs(unit)
        )
        == 0
        for j in range(k)
    )
    return quotient and second


def draw(rng: np.random.Generator) -> Instance:
    """Logits of any spread; every third draw sits at the two-point law that is worst."""
    k = int(rng.integers(2, 40))
    if rng.random() < 1 / 3:
        ones = max(1, round(k * (3 - np.sqrt(3)) / 6))
        v = np.where(np.arange(k) < ones, 1.0, 0.0) * 10 ** rng.uniform(-3, -1)
    else:
        v = 10 ** rng.uniform(-3, 1.5) * rng.standard_normal(k)
    return {"logits": v if rng.random() < 0.5 else -v}


def _remainder_norm(v: np.ndarray) -> float:
    """‖softmax(v) − 1/K − (v − v̄)/K‖₁ from the definition, in 113-bit balls."""
    precision, flint.ctx.prec = flint.ctx.prec, _DIGITS
    try:
        logits = [flint.arb(float(e)) for e in v]
        k, weights = len(v), [e.exp() for e in logits]
        total, mean = sum(weights, flint.arb(0)), sum(logits, flint.arb(0)) / len(v)
        terms = [abs(w / total - (1 + e - mean) / k) for w, e in zip(weights, logits, strict=True)]
        return float(sum(terms, flint.arb(0)).mid())
    finally:
        flint.ctx.prec = precision


def compare(instance: Instance, constant: float, power: int = 2) -> Check:
    """The bound constant · osc(v)^power, and that the package's remainder is the true one."""
    v = instance["logits"]
    value = _remainder_norm(v)
    fast = float(np.abs(softmax_remainder(v[None])).sum())
    agrees = abs(fast - value) <= 1e-15 * (1 + np.ptp(v)) * len(v)
    found = bound(value, constant * float(np.ptp(v)) ** power, 1e-30)
    return Check(found.holds and bool(agrees), found.slack)
