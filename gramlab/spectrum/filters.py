"""Filters on the Gram spectrum: h(s) = s/(s + μ), its powers, and label-averaging weights.

One round of linearized distillation multiplies the label deviations D = Y − 1/K by h(G)
(the paper's closed form; docs/objective.md), t rounds by h(G)^t. Everything
here is written with h(s)^t/s = s^{t−1}/(s + μ)^t, which needs no division by s: the limit at
s = 0 is 1/μ for t = 1 and 0 afterwards, and directions outside the row space contribute nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gramlab import validation
from gramlab.spectrum import Spectrum

__all__ = [
    "apply_filter",
    "class_averaging_weights",
    "filter_over_eigenvalue",
    "filter_power",
    "label_averaging_weights",
    "linear_mu",
    "perturbation_constant",
]


def linear_mu(n_classes: float, n_samples: int, weight_decay: float) -> float:
    """μ = K N λ, the one constant of the linearized theory."""
    return n_classes * n_samples * validation.check_weight_decay(weight_decay)


def filter_power(eigenvalues: np.ndarray, mu: float, rounds: int = 1) -> np.ndarray:
    """h(s)^t = (s/(s + μ))^t for eigenvalues s ≥ 0 of any shape; 0 at s = 0."""
    validation.check_positive("mu", mu)
    validation.check_integer("rounds", rounds, 1)
    s = np.asarray(eigenvalues, dtype=np.float64)
    return (s / (s + mu)) ** rounds


def filter_over_eigenvalue(eigenvalues: np.ndarray, mu: float, rounds: int = 1) -> np.ndarray:
    """h(s)^t/s = s^{t−1}/(s + μ)^t with its limit at s = 0 (1/μ for t = 1, else 0)."""
    validation.check_positive("mu", mu)
    validation.check_integer("rounds", rounds, 1)
    s = np.asarray(eigenvalues, dtype=np.float64)
    return (s / (s + mu)) ** (rounds - 1) / (s + mu)


def perturbation_constant(rounds: int) -> float:
    """κ_t ≤ 1 with ‖h(G)^t − h(G')^t‖₂ ≤ κ_t ‖G − G'‖₂/μ for all Gram matrices G and G'.

    The least over α of max (1 − p)² Σ_i y_i p^{2i} over 0 ≤ p < 1, y_i = (i + α)/(t − 1 − i + α):
    1, .300, .196, .148, .121 for t = 1 to 5, then less: averaging forgets where two Gram matrices
    differ (theorem ``perturbation``). InvalidSetting if ``rounds`` is no integer of at least 1.
    """
    from scipy.optimize import minimize_scalar  # slow to import, and needed nowhere else

    validation.check_integer("rounds", rounds, 1)
    i = np.arange(rounds)
    ratios = np.r_[0.0, np.geomspace(1e-3, 1e3 * rounds, 512)]  # s/μ, to far beyond the maximum
    grid = ratios / (1 + ratios)

    def heights(p: np.ndarray, alpha: float) -> np.ndarray:
        y = (i + alpha) / (rounds - 1 - i + alpha)
        return (1 - p) ** 2 * (y @ p ** (2.0 * i[:, None]))

    def largest(alpha: float) -> float:
        found = heights(grid, alpha)
        k = int(found.argmax())
        around = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
        peak: Any = minimize_scalar(
            lambda p: -heights(np.array([p]), alpha)[0], bounds=around, method="bounded"
        )
        return max(-float(peak.fun), float(found[k]))

    best: Any = minimize_scalar(largest, bounds=(0.3, 1.5), method="bounded")
    return float(best.fun)


def apply_filter(spectrum: Spectrum, values: np.ndarray, mu: float, rounds: int = 1) -> np.ndarray:
    """h(G)^t B for B (N, k), without forming G: Z diag(s^{t−1}/(s+μ)^t) Zᵀ B.

    Of a spectrum with weights Ω on rows it is H^t B, H = X(XᵀΩX + μ)⁻¹XᵀΩ: Zᵀ Ω B takes the place
    of Zᵀ B (docs/objective.md).
    """
    z = spectrum.coordinates
    scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, rounds)
    return z @ (scale[:, None] * (z.T @ spectrum.weighted(values)))


def label_averaging_weights(
    spectrum: Spectrum, rows: np.ndarray | list[int] | int, mu: float, rounds: int = 1
) -> np.ndarray:
    """Rows of h(G)^t, or H^t: how much every given label contributes to each prediction.

    Weights (m, N) of ``rows``, an index or m of them, at μ = K N λ and round t ≥ 1: prediction
    deviations of row i are ``weights[i] @ (Y − 1/K)``. For one round this is the representer-point
    explanation (arXiv 1811.09720); rounds carry it on.
    """
    z = spectrum.coordinates
    scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, rounds)
    return (z[np.atleast_1d(np.asarray(rows))] * scale) @ spectrum.weighted(z).T


def class_averaging_weights(
    spectrum: Spectrum, labels: np.ndarray, mu: float, rounds: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Sum each row of h(G)^t over the classes, without forming any row of it.

    Of classes ``labels`` (N,) it returns ``own`` (N,), h(G)^t[i, i], the weight of row i's own
    given label, and ``by_class`` (N, K), Σ_{j in class k} h(G)^t[i, j], own label included.
    """
    labels = validation.check_labels(labels, n_samples=spectrum.n_samples)
    z = spectrum.coordinates
    scaled = z * filter_over_eigenvalue(spectrum.eigenvalues, mu, rounds)
    given = spectrum.weighted(z)
    sums = np.zeros((int(labels.max()) + 1, z.shape[1]))
    np.add.at(sums, labels, given)
    return np.einsum("ij,ij->i", scaled, given), scaled @ sums.T
