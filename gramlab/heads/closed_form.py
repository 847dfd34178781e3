"""The closed-form heads: one factorization for all rounds and weight decays, two readings of it.

With ω the relative weights of the rows, Ω = diag(ω), and G the Gram matrix of the rows √ω x:

* ``LinearizedHead``: softmax(v) ≈ 1/K + (v − v̄)/K turns stationarity of the cross-entropy into a
  ridge problem with μ = K N λ (paper; docs/objective.md):
  P − 1/K = H D,  W = K V diag(1/(s + μ)) ZᵀΩD,  Z = XV,  D = T − 1/K,  H = X(XᵀΩX + μ)⁻¹XᵀΩ,
  which for equal weights is h(G), h(s) = s/(s + μ).
  With ``slope="secant"`` the slope a of a round's own predictions stands for 1/K
  (``gramlab.heads.secant``);
* ``RidgeHead``: (1/2N) Σ_i ω_i ‖D_i − Wᵀx_i‖² + (λ/2) ‖W‖_F² has XW = H D with μ = N λ (no K). It
  is its own exact head: what the linearized softmax only approximates holds here to rounding, so
  results on self-distillation of ridge regression (arXiv 2002.05715, 2102.13088, 2301.13304) can
  be reproduced through the same recursion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import ClassVar

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.heads.fit import ClosedFormFit, SolveStats
from gramlab.heads.problem import Problem
from gramlab.heads.referee import SoftmaxObjective, softmax, softmax_deviations
from gramlab.heads.secant import SecantFit, find_secant, secant_slope, softmax_error
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import UNDERFLOW, frobenius_norm, gamma, norm_bound
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import filter_over_eigenvalue, linear_mu
from gramlab.targets import Targets, stored_rounding

__all__ = ["LinearizedHead", "RidgeHead", "RidgeObjective", "closed_form_error"]


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
        self.weight_decay: float = validation.check_weight_decay(weight_decay)
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
        loss = SoftmaxObjective.of(
            features, targets, self.weight_decay, self.sample_weight, signed=True
        )
        k = loss.n_classes
        c = k if self._softmax else 1
        path = _Path.of(loss, targets, c)
        slopes, found = path.at(rounds)
        # The certificate is about this round's own targets H^{t−1} D.
        own = loss.target_deviations[:] if rounds == 1 else path.at(rounds - 1)[1]
        certified = replace(loss if self._softmax else path.ridge, target_deviations=own)
        return ClosedFormFit(
            weights=c * slopes,
            deviations=found,
            probabilities=found + 1.0 / k,
            link=_linear_link if self._softmax else _shifted,
            weight_decay=self.weight_decay,
            stats=SolveStats(method="closed form", passes=1.0),
            certify=certified.certificate,
            training_logits=partial(np.multiply, c, found),
            linear=True,
            loss=certified if isinstance(certified, SoftmaxObjective) else None,
            row_weights=loss.row_weights,
            bound_error=partial(path.error, rounds),
            slope=1.0 / c,
        )


class LinearizedHead(_ClosedFormHead):
    """Closed-form head of the linearized softmax, softmax(v) − 1/K ≈ a (v − v̄).

    Parameters
    ----------
    weight_decay
        λ > 0 of the objective in ``gramlab.heads.referee``.
    slope
        a: that of the ``"tangent"`` at 0, 1/K, with which all rounds are a filter of the given
        labels, or of the ``"secant"`` of the round's own predictions (``gramlab.heads.secant``).
        Predictions are then softmax(V), V = (1/a) h_μ(G) D with μ = N λ/a. One round is a filter,
        as of weight decay λ/(K a); rounds are none.
    sample_weight : (N,), optional
        Weights w ≥ 0 of the rows of every fit, of which only ratios matter; a row of weight 0
        takes no part, and has predictions all the same. By default all are equal.
    """

    _softmax = True

    def __init__(
        self, weight_decay: float, *, slope: str = "tangent", sample_weight: object = None
    ) -> None:
        super().__init__(weight_decay, sample_weight=sample_weight)
        if slope not in ("tangent", "secant"):
            raise errors.InvalidSetting(f'slope must be "tangent" or "secant", got {slope!r}')
        self.slope: str = slope

    def __repr__(self) -> str:
        """Constructor call."""
        slope = "" if self.slope == "tangent" else f", slope={self.slope!r}"
        weights = "" if self.sample_weight is None else ", sample_weight=..."
        return f"LinearizedHead(weight_decay={self.weight_decay!r}{slope}{weights})"

    def rounds_at_once(
        self, features: Features | np.ndarray, targets: Targets | np.ndarray, rounds: int
    ) -> ClosedFormFit:
        """Closed form of round t directly: P − 1/K = H^t D, W = K V s^{t−1}/(s+μ)^t ZᵀΩD.

        Equals t rounds of ``fit`` on its own predictions (H^t is the t-fold filter).

        Raises
        ------
        InvalidSetting
            With ``slope="secant"`` if ``rounds`` is not 1; and as ``fit``.
        """
        if self.slope == "tangent":
            return super().rounds_at_once(features, targets, rounds)
        if rounds != 1:
            raise errors.InvalidSetting(
                f'rounds must be 1 with slope="secant", whose rounds are no filter, got {rounds}: '
                "use gramlab.distill"
            )
        loss = SoftmaxObjective.of(
            features, targets, self.weight_decay, self.sample_weight, signed=True
        )
        # No slope is above ½, so this is the least μ of any.
        spectral = _Path.of(loss, targets, 2.0)
        decay = loss.n_samples * self.weight_decay
        eigenvalues, z = spectral.spectrum.eigenvalues, spectral.spectrum.coordinates

        def logits(a: float) -> np.ndarray:
            return z @ (spectral.projected / (a * eigenvalues + decay)[:, None])

        slope, bracket = find_secant(spectral.spectrum, logits)
        path = _Path.of(loss, targets, 1.0 / slope)
        slopes, found = path.at(1)
        made = found / slope
        return SecantFit(
            weights=slopes / slope,
            deviations=softmax_deviations(made),
            probabilities=softmax(made),
            link=softmax,
            weight_decay=self.weight_decay,
            stats=SolveStats(method="secant closed form", passes=1.0),
            certify=loss.certificate,
            training_logits=lambda: made,
            loss=loss,
            row_weights=loss.row_weights,
            # The quotient rounds once.
            bound_error=lambda: softmax_error(
                made, (path.error(1) / slope + gamma(2) * norm_bound(made)) * (1.0 + gamma(8))
            ),
            slope=slope,
            slope_bracket=bracket,
            slope_residual=abs(secant_slope(path.spectrum, made) - slope),
        )


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


@dataclass(frozen=True, eq=False, repr=False)
class RidgeObjective(Problem):
    """(1/2N) Σ_i ω_i ‖D_i − Wᵀx_i‖² + (λ/2) ‖W‖_F² on one feature matrix (see ``Problem``)."""

    def gradient(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """XᵀΩ(XW − D)/N + λW (d, K), and the Frobenius norm of its rounding.

        With R = XW − D the rounding is at most, entry by entry,
        |X|ᵀΩ(γ_{d+2}(|X||W| + |D|) + γ_{N+4}|R|)/N + γ_4 λ|W| and what underflows; weights add
        their own, γ_8|R|. Columns of very different lengths keep their own scales.
        """
        n, d = self.n_samples, self.features.n_features
        out, rounding = np.zeros_like(weights), np.zeros_like(weights)
        for rows, block in self.features.blocks():
            given, sizes = self.target_deviations[rows], np.abs(block)
            residual = block @ weights - given
            errors = gamma(d + 2) * (sizes @ np.abs(weights) + np.abs(given))
            errors += gamma(n + 4) * np.abs(residual) + d * UNDERFLOW
            if self.row_weights is not None:
                w = self.row_weights[rows, None]
                errors = w * (errors + gamma(8) * np.abs(residual))
                errors += UNDERFLOW * (1.0 + np.abs(residual))
                residual *= w
            out += block.T @ residual
            rounding += sizes.T @ errors
        out = out / n + self.weight_decay * weights
        rounding = (1.0 + gamma(n + d + 24)) * rounding / n + 4.0 * UNDERFLOW
        rounding += gamma(4) * self.weight_decay * np.abs(weights)
        return out, norm_bound(rounding)

    def certificate(self, weights: np.ndarray) -> Certificate:
        """Bounds from the gradient; strongly convex with the modulus of the cross-entropy."""
        gradient, rounding = self.gradient(weights)
        size = frobenius_norm(gradient)
        return Certificate(
            gradient_norm=size,
            gradient_rounding=rounding + 2.0 * gamma(gradient.size + 8) * size,
            start_gradient_norm=frobenius_norm(self.gradient(np.zeros_like(weights))[0]),
            decrement=float("inf"),
            weight_decay=self.weight_decay,
            max_row_norm=float(self.row_norms.max()),
            logit_rounding=2.0 * gamma(self.features.n_features) * norm_bound(weights),
        )


@dataclass(frozen=True, eq=False)
class _Path:
    """All rounds of a ridge problem, by one factorization."""

    ridge: RidgeObjective
    spectrum: Spectrum
    mu: float
    stored: float  # what its targets are off by, in norm

    @classmethod
    def of(cls, loss: SoftmaxObjective, targets: Targets | np.ndarray, c: float) -> _Path:
        """Of weights W = c (XᵀΩX + c N λ)⁻¹ XᵀΩD."""
        deviations = loss.target_deviations[:]
        mu = linear_mu(c, loss.n_samples, loss.weight_decay)
        spectrum = Spectrum.of(loss.features, mu, loss.row_weights)
        ridge = RidgeObjective(loss.features, deviations, c * loss.weight_decay, loss.row_weights)
        return cls(ridge, spectrum, mu, stored_rounding(targets, deviations))

    @cached_property
    def projected(self) -> np.ndarray:
        """ZᵀΩD (r, K)."""
        deviations = self.ridge.target_deviations[:]
        return self.spectrum.coordinates.T @ self.spectrum.weighted(deviations)

    def at(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Weights (d, K) of round t, and their predictions (N, K)."""
        scale = filter_over_eigenvalue(self.spectrum.eigenvalues, self.mu, t)
        coefficients = scale[:, None] * self.projected
        return self.spectrum.basis @ coefficients, self.spectrum.coordinates @ coefficients

    def error(self, rounds: int) -> float:
        """Bound on how far, in norm, predictions are off after so many."""
        problem, shown, weights = self.ridge, 0.0, self.ridge.row_weights
        error = self.stored * (1.0 if weights is None else float(np.sqrt(weights.max())))
        for t in range(1, rounds + 1):
            slopes, made = self.at(t)
            shown, error = closed_form_error(problem, self.spectrum, slopes, made, error)
            problem = replace(problem, target_deviations=made)
        return shown


def closed_form_error(
    problem: RidgeObjective,
    spectrum: Spectrum,
    weights: np.ndarray,
    found: np.ndarray,
    given_error: float = 0.0,
) -> tuple[float, float]:
    """Bound ‖F − H D‖_F and ‖√Ω(F − H D)‖_F, for any F (N, K) and weights W near those of F.

    H = X(XᵀΩX + Nλ)⁻¹XᵀΩ, which for equal weights is h(G); the linearized head is this with Kλ for
    λ and W/K for W. ``given_error`` bounds, in the second norm, how far the problem's targets are
    from D. For every W, with the gradient g of ``problem``,
    XW − HD = X(XᵀΩX + Nλ)⁻¹ N g, and Nσ/(σ² + Nλ) ≤ ½√(N/λ), so

        ‖√Ω(F − HD)‖ ≤ ‖√Ω(F − XW)‖ + ½√(N/λ) ‖g‖ + ``given_error``,

    and the same without √Ω, with the factors of ``_over_all_rows``. It is used at W after a Newton
    step by ``spectrum``, which decides how tight this is and no more.
    """
    features, omega, weight_decay = problem.features, problem.row_weights, problem.weight_decay
    n, d = features.n_samples, features.n_features
    step = spectrum.basis.T @ problem.gradient(weights)[0]
    step /= (spectrum.eigenvalues / n + weight_decay)[:, None]
    weights = weights - spectrum.basis @ step
    gradient, rounding = problem.gradient(weights)
    apart = np.empty_like(found)
    for rows, block in features.blocks():
        sizes = np.abs(block) @ np.abs(weights) + np.abs(found[rows])
        apart[rows] = np.abs(found[rows] - block @ weights)
        apart[rows] += gamma(d + 2) * sizes + d * UNDERFLOW
    slope, left = 0.5 * float(np.sqrt(n / weight_decay)), norm_bound(gradient) + rounding
    root = 1.0 if omega is None else np.sqrt(omega)[:, None] * (1.0 + gamma(8))
    given = norm_bound(root * problem.target_deviations[:])
    up = 1.0 + gamma(d + 24)
    # ‖√ΩHD‖ ≤ ‖√ΩD‖
    heard = min(up * (slope * left + norm_bound(root * apart)), norm_bound(root * found) + given)
    heard += given_error
    if omega is None:
        return heard, heard
    slope, gain = _over_all_rows(problem.row_norms, omega, n * weight_decay)
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
