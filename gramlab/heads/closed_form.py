"""The closed-form heads: one factorization for all rounds and weight decays, two readings of it.

With ω the relative weights of the rows, Ω = diag(ω), and G the Gram matrix of the rows √ω x:

* ``LinearizedHead``: softmax(v) ≈ 1/K + (v − v̄)/K turns stationarity of the cross-entropy into a
  ridge problem with μ = K N λ (paper; docs/objective.md):
  P − 1/K = H D,  W = K V diag(1/(s + μ)) ZᵀΩD,  Z = XV,  D = T − 1/K,  H = X(XᵀΩX + μ)⁻¹XᵀΩ,
  which for equal weights is h(G), h(s) = s/(s + μ);
* ``RidgeHead``: (1/2N) Σ_i ω_i ‖D_i − Wᵀx_i‖² + (λ/2) ‖W‖_F² has XW = H D with μ = N λ (no K). It
  is its own exact head: what the linearized softmax only approximates holds here to rounding, so
  results on self-distillation of ridge regression (arXiv 2002.05715, 2102.13088, 2301.13304) can
  be reproduced through the same recursion.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np

from gramlab import validation
from gramlab.certificate import Certificate
from gramlab.features import Features
from gramlab.filters import filter_over_eigenvalue, linear_mu
from gramlab.heads.fit import ClosedFormFit, SolveStats, as_features
from gramlab.heads.referee import SoftmaxObjective, row_norms
from gramlab.rounding import UNDERFLOW, frobenius_norm, gamma, norm_bound
from gramlab.row_weights import relative_weights
from gramlab.spectrum import Spectrum
from gramlab.targets import Targets, stored_rounding, target_deviations

__all__ = ["LinearizedHead", "RidgeHead", "closed_form_error", "ridge_gradient"]


def _linear_link(logits: np.ndarray) -> np.ndarray:
    """1/K + (v − v̄)/K, the softmax to first order."""
    return (1.0 + logits - logits.mean(axis=1, keepdims=True)) / logits.shape[1]


def _shifted(logits: np.ndarray) -> np.ndarray:
    """1/K + v: regression predictions of the deviations."""
    return logits + 1.0 / logits.shape[1]


class _ClosedFormHead:
    """Both heads: W = c (XᵀΩX + c N λ)⁻¹ XᵀΩD with c = K for the linearized softmax, else 1."""

    _softmax: ClassVar[bool]

    def __init__(self, weight_decay: float, *, sample_weight: object = None) -> None:
        self.weight_decay = validation.check_weight_decay(weight_decay)
        self.sample_weight = sample_weight

    def __repr__(self) -> str:
        """Constructor call."""
        weights = "" if self.sample_weight is None else ", sample_weight=..."
        return f"{type(self).__name__}(weight_decay={self.weight_decay!r}{weights})"

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | np.ndarray,
        start: np.ndarray | None = None,
    ) -> ClosedFormFit:
        """Fit one round to targets T (N, K) whose rows sum to 1.

        ``start`` is accepted for symmetry with the exact head and not needed. The targets may
        leave [0, 1] by rows that still sum to 1, as linearized predictions do.

        Raises
        ------
        InvalidTargets
            If a row does not sum to 1, or the shapes do not match.
        InvalidSetting
            If ``sample_weight`` is not one number ≥ 0 per row, one of them positive.
        """
        return self.rounds_at_once(features, targets, 1)

    def rounds_at_once(
        self, features: Features | np.ndarray, targets: Targets | np.ndarray, rounds: int
    ) -> ClosedFormFit:
        """Closed form of round t directly: XW/c = H^t D, W = c V s^{t−1}/(s+μ)^t ZᵀΩD.

        Equals t rounds of ``fit`` on its own predictions (H^t is the t-fold filter).
        """
        features = as_features(features, targets)
        deviations = target_deviations(targets, features.n_samples, signed=True)
        n, k = deviations.shape
        weights, c = relative_weights(self.sample_weight, n), k if self._softmax else 1
        mu = linear_mu(c, n, self.weight_decay)
        spectrum = Spectrum.of(features, mu, weights)
        z = spectrum.coordinates
        projected = z.T @ spectrum.weighted(deviations)

        def closed_form(t: int) -> tuple[np.ndarray, np.ndarray]:
            scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, t)
            coefficients = scale[:, None] * projected
            return spectrum.basis @ coefficients, z @ coefficients

        def bound_error() -> float:
            shown, given = 0.0, deviations
            error = stored_rounding(targets, deviations)
            error *= 1.0 if weights is None else float(np.sqrt(weights.max()))
            for t in range(1, rounds + 1):
                slopes, made = closed_form(t)
                shown, error = closed_form_error(
                    spectrum, given, c * self.weight_decay, slopes, made, error
                )
                given = made
            return shown

        slopes, found = closed_form(rounds)
        # The certificate is about this round's own targets H^{t−1} D.
        own = deviations if rounds == 1 else closed_form(rounds - 1)[1]
        loss = SoftmaxObjective(features, own, self.weight_decay, weights)
        ridge = partial(_certificate, features, own, self.weight_decay, weights)
        return ClosedFormFit(
            weights=c * slopes,
            deviations=found,
            probabilities=found + 1.0 / k,
            link=_linear_link if self._softmax else _shifted,
            weight_decay=self.weight_decay,
            stats=SolveStats(method="closed form", passes=1.0),
            certify=loss.certificate if self._softmax else ridge,
            training_logits=lambda: c * found,
            linear=True,
            loss=loss if self._softmax else None,
            row_weights=weights,
            bound_error=bound_error,
        )


class LinearizedHead(_ClosedFormHead):
    """Closed-form head of the linearized softmax.

    Parameters
    ----------
    weight_decay
        λ > 0 of the objective in ``gramlab.heads.referee``.
    sample_weight : (N,), optional
        Weights w ≥ 0 of the rows of every fit, of which only ratios matter; a row of weight 0
        takes no part, and has predictions all the same. By default all are equal.
    """

    _softmax = True


class RidgeHead(_ClosedFormHead):
    """Closed-form ridge regression of T − 1/K on the features.

    Parameters
    ----------
    weight_decay
        λ > 0 of the objective above; scikit-learn's ``Ridge(alpha=N λ, fit_intercept=False)``,
        with ``sample_weight`` of mean 1.
    sample_weight : (N,), optional
        As of ``LinearizedHead``.
    """

    _softmax = False


def _certificate(
    features: Features,
    deviations: np.ndarray,
    weight_decay: float,
    row_weights: np.ndarray | None,
    weights: np.ndarray,
) -> Certificate:
    """Bounds from the gradient of the ridge objective; strongly convex with the same modulus."""
    gradient_of = partial(ridge_gradient, features, deviations, weight_decay)
    gradient, rounding = gradient_of(weights, row_weights)
    size = frobenius_norm(gradient)
    return Certificate(
        gradient_norm=size,
        gradient_rounding=rounding + 2.0 * gamma(gradient.size + 8) * size,
        start_gradient_norm=frobenius_norm(gradient_of(np.zeros_like(weights), row_weights)[0]),
        decrement=float("inf"),
        weight_decay=weight_decay,
        max_row_norm=float(row_norms(features).max()),
        logit_rounding=2.0 * gamma(features.n_features) * norm_bound(weights),
    )


def ridge_gradient(
    features: Features,
    deviations: np.ndarray,
    weight_decay: float,
    weights: np.ndarray,
    row_weights: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """XᵀΩ(XW − D)/N + λW (d, K), the gradient of the squared-loss objective, and its rounding.

    With R = XW − D the rounding is at most, entry by entry,
    |X|ᵀΩ(γ_{d+2}(|X||W| + |D|) + γ_{N+4}|R|)/N + γ_4 λ|W| and what underflows; weights add their
    own, γ_8|R|. The second number returned is the Frobenius norm of that. Columns of very
    different lengths keep their own scales.
    """
    n, d = features.n_samples, features.n_features
    out, rounding = np.zeros_like(weights), np.zeros_like(weights)
    for rows, block in features.blocks():
        given, sizes = deviations[rows], np.abs(block)
        residual = block @ weights - given
        errors = gamma(d + 2) * (sizes @ np.abs(weights) + np.abs(given))
        errors += gamma(n + 4) * np.abs(residual) + d * UNDERFLOW
        if row_weights is not None:
            w = row_weights[rows, None]
            errors = w * (errors + gamma(8) * np.abs(residual))
            errors += UNDERFLOW * (1.0 + np.abs(residual))
            residual *= w
        out += block.T @ residual
        rounding += sizes.T @ errors
    out = out / n + weight_decay * weights
    rounding = (1.0 + gamma(n + d + 24)) * rounding / n + 4.0 * UNDERFLOW
    rounding += gamma(4) * weight_decay * np.abs(weights)
    return out, norm_bound(rounding)


def closed_form_error(
    spectrum: Spectrum,
    deviations: np.ndarray,
    weight_decay: float,
    weights: np.ndarray,
    found: np.ndarray,
    given_error: float = 0.0,
) -> tuple[float, float]:
    """Bound ‖F − H D‖_F and ‖√Ω(F − H D)‖_F, for any F (N, K) and weights W near those of F.

    H = X(XᵀΩX + Nλ)⁻¹XᵀΩ, with Ω the weights of ``spectrum``, which for equal weights is h(G); the
    linearized head is this with Kλ for λ and W/K for W. ``given_error`` bounds, in the second norm,
    how far ``deviations`` are from D. For every W, with the gradient g of ``ridge_gradient``,
    XW − HD = X(XᵀΩX + Nλ)⁻¹ N g, and Nσ/(σ² + Nλ) ≤ ½√(N/λ), so

        ‖√Ω(F − HD)‖ ≤ ‖√Ω(F − XW)‖ + ½√(N/λ) ‖g‖ + ``given_error``,

    and the same without √Ω, with the factors of ``_over_all_rows``. It is used at W after a Newton
    step by ``spectrum``, which decides how tight this is and no more.
    """
    features, omega = spectrum.features, spectrum.row_weights
    n, d = features.n_samples, features.n_features
    step = ridge_gradient(features, deviations, weight_decay, weights, omega)[0]
    step = spectrum.basis.T @ step
    step /= (spectrum.eigenvalues / n + weight_decay)[:, None]
    weights = weights - spectrum.basis @ step
    gradient, rounding = ridge_gradient(features, deviations, weight_decay, weights, omega)
    apart = np.empty_like(found)
    for rows, block in features.blocks():
        sizes = np.abs(block) @ np.abs(weights) + np.abs(found[rows])
        apart[rows] = np.abs(found[rows] - block @ weights)
        apart[rows] += gamma(d + 2) * sizes + d * UNDERFLOW
    slope, left = 0.5 * float(np.sqrt(n / weight_decay)), norm_bound(gradient) + rounding
    root = 1.0 if omega is None else np.sqrt(omega)[:, None] * (1.0 + gamma(8))
    given = norm_bound(root * deviations)
    up = 1.0 + gamma(d + 24)
    # ‖√ΩHD‖ ≤ ‖√ΩD‖
    heard = min(up * (slope * left + norm_bound(root * apart)), norm_bound(root * found) + given)
    heard += given_error
    if omega is None:
        return heard, heard
    slope, gain = _over_all_rows(row_norms(features), omega, n * weight_decay)
    shown = up * (n * slope * left + norm_bound(apart))
    shown = min(shown, norm_bound(found) + up * gain * given) + up * gain * given_error
    return shown, up * heard


def _over_all_rows(norms: np.ndarray, omega: np.ndarray, mu: float) -> tuple[float, float]:
    """Bounds on ‖X(XᵀΩX + μ)⁻¹‖ and ‖X(XᵀΩX + μ)⁻¹Xᵀ√Ω‖, over rows of any weight ω ≥ 0.

    Of rows with ω_i ≥ τ they are 1/(2√(μτ)) and 1/√τ, as are those of √ΩX times 1/√τ. Of a single
    row, with S = (XᵀΩX + μ)⁻¹ and a = ‖x‖²/(μ + ω‖x‖²) ≥ xᵀSx, ‖Sx‖² ≤ a/μ and
    ‖√ΩXSx‖² ≤ min(a, ‖x‖²/(4μ)). The best τ is taken, and single rows below it.
    """
    order = np.argsort(-omega)
    omega, norms = omega[order], norms[order]
    with np.errstate(all="ignore"):  # what overflows is the worse of two
        squares = np.square(norms)
        single = np.where(squares < np.inf, squares / (mu + omega * squares), np.inf)

        def best(heads: np.ndarray, rows: np.ndarray) -> float:
            rest = np.append(np.cumsum(rows[::-1])[::-1], 0.0)
            least = np.nanmin(np.append(0.0, heads) + rest)
            return float(np.sqrt(least)) * (1.0 + gamma(len(rows) + 24))

        slope = best(1.0 / (4.0 * mu * omega), single / mu)
        return slope, best(1.0 / omega, np.minimum(single, squares / (4.0 * mu)))
