"""The Newton decrement ‖g‖_{H⁻¹}, bounded by conjugate gradients in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gramlab.numerics.rounding import UNDERFLOW, gamma, norm_bound

__all__ = ["bound", "bound_along"]

_LEAST_EXPONENT = 746  # e^{−s} is 0 in float64 from there on: s is known to s u, so e^{−s} to 746 u


def bound(
    objective: Any,
    gradient: np.ndarray,
    product: Callable[[np.ndarray], np.ndarray],
    curvature: float,
    products: int = 40,
    tightness: float = 1.1,
) -> float:
    """Bound ‖g‖_{H⁻¹}, H at the computed logits.

    Conjugate gradients make a direction D; for any D and its residual ρ = g − HD
    ν² = gᵀD + ρᵀD + ‖ρ‖²_{H⁻¹} ≤ gᵀD + ρᵀD + ‖ρ‖²/λ, evaluated with one more product.

    Parameters
    ----------
    objective
        The ``SoftmaxObjective``.
    gradient : (d, K)
        g.
    product
        HD for D (d, K).
    curvature
        Mean curvature of the softmax; it affects speed only.
    products, tightness
        How many products are made at most; fewer where the decrement is known within that factor.
    """
    lam, longest = objective.weight_decay, objective.counted_row_norm
    useful = np.sqrt(lam) / (np.sqrt(2.0) * longest) if longest else np.inf
    precondition = _preconditioner(objective, curvature)
    direction = np.zeros_like(gradient)
    residual = gradient.copy()
    scaled = precondition(residual)
    search = scaled
    rho = float(np.vdot(residual, scaled))
    at_zero = best = norm_bound(gradient) / float(np.sqrt(lam))  # D = 0
    kept = None
    for _ in range(products):
        curved = product(search)
        along = float(np.vdot(search, curved))
        if not along > 0.0 or rho == 0.0:
            break
        step = rho / along
        direction += step * search
        residual -= step * curved
        lower = float(np.vdot(gradient, direction) + np.vdot(residual, direction))
        upper = np.sqrt(max(lower, 0.0) + float(np.vdot(residual, residual)) / lam)
        if upper < best:
            best, kept = float(upper), direction.copy()
        # ``lower`` ≤ ν² grows with every product: past ``useful`` no local bound exists.
        if lower >= useful**2:
            return float("inf")
        if best <= tightness * np.sqrt(max(lower, 0.0)):
            break
        scaled = precondition(residual)
        previous, rho = rho, float(np.vdot(residual, scaled))
        search = scaled + (rho / previous) * search
    if kept is None:
        return at_zero
    return min(at_zero, bound_along(objective, gradient, kept, product(kept)))


def bound_along(
    objective: Any, gradient: np.ndarray, direction: np.ndarray, curved: np.ndarray
) -> float:
    """Bound ν by the direction D (d, K) and the computed HD, whose rounding counts as residual.

    Of HD = XᵀΩC/N + λD with rows C_i = J_i Dᵀx_i, ‖J_i‖ ≤ ½, the sum over rows costs γ_{N+4},
    weights γ_8, Dᵀx_i γ_d; and p_k, known to γ_{K+8+746} of itself, J_i four times that
    (docs/objective.md).
    """
    (d, k), weight_decay = gradient.shape, objective.weight_decay
    units = 4.0 * gamma(k + objective.exponential_units + _LEAST_EXPONENT)
    units += objective.sum_rounding + gamma(d)
    size = norm_bound(direction)
    error = (objective.mean_square_norm * units + gamma(4) * weight_decay) * size
    error += objective.underflow
    residual = gradient - curved
    rest = norm_bound(residual)
    square = float(np.vdot(gradient, direction) + np.vdot(residual, direction))
    square += gamma(d * k + 4) * (norm_bound(gradient) + rest) * size + d * k * UNDERFLOW
    square += error * size
    rest = (rest + error) / float(np.sqrt(weight_decay))
    return (1.0 + gamma(16)) * float(np.sqrt(max(square, 0.0) + rest * rest))


def _preconditioner(objective: Any, curvature: float) -> Callable[[np.ndarray], np.ndarray]:
    """(a XᵀΩX/N + λ)⁻¹ with a the mean curvature of the softmax."""
    spectrum, weight_decay = objective.spectrum, objective.weight_decay
    scale = curvature * spectrum.eigenvalues / objective.n_samples + weight_decay
    correction = (1.0 / scale - 1.0 / weight_decay)[:, None]

    def apply(residual: np.ndarray) -> np.ndarray:
        basis = spectrum.basis
        return residual / weight_decay + basis @ (correction * (basis.T @ residual))

    return apply
