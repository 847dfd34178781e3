"""What the theorems on temperature share: substitution in the loss, and chains of dense heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy as sp

from gramlab.theorems._dense_head import DenseHead
from gramlab.theorems.form import Instance

__all__ = ["chain", "draw", "loss", "substituted"]

_SIZES = 2, 2, 3  # N, d, K of the symbolic loss


def loss(weights: Any, weight_decay: Any, temperature: Any = 1, factor: Any = 1) -> Any:
    """(f/N) Σ CE(T_i, softmax(Wᵀx_i/τ)) + (λ/2)‖W‖², every entry of x and T a symbol."""
    n, d, k = _SIZES
    x = sp.Matrix(n, d, sp.symbols(f"x:{n * d}", real=True))
    targets = sp.Matrix(n, k, sp.symbols(f"t:{n * k}", nonnegative=True))
    v = (x * weights / temperature).applyfunc(sp.expand)
    entropy = sum(
        targets[i, j] * (sp.log(sum(sp.exp(v[i, a]) for a in range(k))) - v[i, j])
        for i in range(n)
        for j in range(k)
    )
    return factor * entropy / n + weight_decay / 2 * sum(e**2 for e in weights)


def substituted() -> tuple[Any, Any, Any]:
    """W' (d, K) of symbols, τ and λ."""
    _, d, k = _SIZES
    weights = sp.Matrix(d, k, sp.symbols(f"w:{d * k}", real=True))
    tau, lam = sp.symbols("tau lambda", positive=True)
    return weights, tau, lam


def draw(rng: np.random.Generator) -> Instance:
    """Data, a temperature away from 1, and one or two rounds."""
    n, d, k = int(rng.integers(2, 8)), int(rng.integers(1, 4)), int(rng.integers(2, 4))
    temperature = float(np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 1.4)))
    return {
        "x": rng.standard_normal((n, d)),
        "targets": rng.dirichlet(np.full(k, 0.3), n),
        "weight_decay": float(10 ** rng.uniform(-2, 0)),
        "temperature": temperature,
        "read_at": temperature,
        "rounds": int(rng.integers(1, 3)),
    }


def chain(
    instance: Instance,
    weight_decay: float,
    temperature: float = 1.0,
    factor: float = 1.0,
    read_at: float = 1.0,
) -> np.ndarray:
    """Predictions (N, K) read at ``read_at`` after the rounds, each trained on those before."""
    targets = instance["targets"]
    for _ in range(instance["rounds"]):
        head = DenseHead(instance["x"], targets, weight_decay, temperature, factor)
        reader = DenseHead(instance["x"], targets, weight_decay, read_at)
        targets = reader.probabilities(head.minimum())
    return targets
