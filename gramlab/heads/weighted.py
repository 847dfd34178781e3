"""The exact head with a weight on every row: float64 on the host, in memory (NumPy).

    L(W; T, w) = (1/Σw) Σ_i w_i CE(T_i, softmax(Wᵀx_i)) + (λ/2) ‖W‖_F²

Whole-number weights count repeated rows, and only their ratios matter. Strong convexity, the
duality gap and the local bound carry over as they stand (docs/objective.md): the certificate is
the same one, computed from the weighted gradient and Hessian.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.heads.fit import Fit, SolveStats, Targets, as_features, target_deviations
from gramlab.heads.objective import (
    Evaluation,
    SoftmaxObjective,
    _losses,
    softmax,
    softmax_deviations,
)
from gramlab.heads.stopping import relative_gap
from gramlab.heads.streamed import minimize_streamed
from gramlab.rounding import frobenius_norm, gamma
from gramlab.spectrum import Spectrum

__all__ = ["WeightedObjective", "WeightedSoftmaxHead", "relative_weights"]

_SAFETY = 0.9  # aim below the tolerance, so that rounding cannot lift the result above it
_POLISH_PASSES = 50  # at least, beyond those that the tolerance took


def relative_weights(sample_weight: object, n_samples: int) -> np.ndarray:
    """N w_i/Σw (N,), of mean 1; each within 6 units of roundoff.

    Raises
    ------
    InvalidSetting
        If a weight is not finite or not above 0, or there is not one for every row.
    """
    weights = validation.as_array(sample_weight, "sample_weight", errors.InvalidSetting)
    if weights.shape != (n_samples,) or weights.dtype.kind not in "fiub":
        raise errors.InvalidSetting(
            f"sample_weight must be one real number per row, shape ({n_samples},), got shape "
            f"{weights.shape} and dtype {weights.dtype}"
        )
    weights = weights.astype(np.float64)
    bad = ~(np.isfinite(weights) & (weights > 0.0))
    if bad.any():
        row = int(np.argmax(bad))
        raise errors.InvalidSetting(
            f"sample_weight must be finite and above 0, got {weights[row]} at row {row}; "
            "a row of weight 0 takes no part: drop it"
        )
    weights = weights / weights.max()  # so that the sum neither overflows nor underflows
    return weights * (n_samples / math.fsum(weights))


@dataclass(frozen=True, eq=False)
class WeightedObjective(SoftmaxObjective):
    """L(·; T, w) on one feature matrix, in memory.

    Attributes
    ----------
    features
        Training rows x (N, d).
    target_deviations : (N, K)
        T − 1/K, an array.
    weight_decay
        λ > 0.
    row_weights : (N,)
        N w_i/Σw, as ``relative_weights`` gives them.
    """

    row_weights: np.ndarray

    @property
    def streams(self) -> bool:
        """False: logits (N, K) are held."""
        return False

    @cached_property
    def spectrum(self) -> Spectrum:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of √w_i x_i, kept with the features for the next objective on the same weights."""
        if (self.row_weights == 1.0).all():
            return Spectrum.of(self.features)

        def make() -> Spectrum:
            scaled = np.sqrt(self.row_weights)[:, None] * self.features.as_float64()
            return Spectrum.of(as_features(scaled, self.targets))

        return self.features._memo.once(("weighted spectrum", self.row_weights.tobytes()), make)

    @cached_property
    def mean_square_norm(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Σ_i w_i ‖x_i‖²/Σw, rounded up."""
        total = float(self.row_weights @ np.square(self.row_norms))
        return total / self.n_samples * (1.0 + gamma(self.n_samples + 16))

    def value(self, weights: np.ndarray) -> float:
        """L(W; T, w)."""
        return self.evaluate(weights).value + math.log(self.n_classes)

    def dual(self, probabilities: np.ndarray) -> float:
        """(1/Σw) Σ w_i H(q_i) − (λ/2) ‖Xᵀ diag(w)(T − Q)/(λ Σw)‖²; at most L(W) for all W, Q."""
        logs = np.log(np.where(probabilities > 0.0, probabilities, 1.0))  # 0 log 0 = 0
        entropies = -np.einsum("ij,ij->i", probabilities, logs)
        moment = self._transpose(self.targets - probabilities)
        fit = float(self.row_weights @ entropies) / self.n_samples
        return fit - 0.5 * float(np.vdot(moment, moment)) / self.weight_decay

    def evaluate(self, weights: np.ndarray) -> Evaluation:
        """Value, gradient and mean curvature at W (d, K)."""
        n, k, w = self.n_samples, self.n_classes, self.row_weights
        losses, deviations = _losses(self.logits(weights), self.target_deviations[:])
        squares = float(w @ np.einsum("ij,ij->i", deviations, deviations))
        deviations -= self.target_deviations[:]
        gradient = self._transpose(deviations) + self.weight_decay * weights
        value = float(w @ losses) / n + 0.5 * self.weight_decay * float(np.vdot(weights, weights))
        return Evaluation(value, gradient, (1.0 - 1.0 / k - squares / n) / (k - 1))

    def gradient_rounding(self, weights: np.ndarray, logits: np.ndarray | None = None) -> float:
        """Bound ‖computed ∇L(W) − ∇L(W)‖_F: the rows of the unweighted bound, weighted.

        The weights' own rounding and their product with a residual add γ_8 ‖x_i‖ ‖P_i − T_i‖.
        """
        probabilities = softmax(self.logits(weights) if logits is None else logits)
        rows = self._rounding_rows(self.row_norms, probabilities, self.targets, weights)
        residuals = np.linalg.norm(probabilities - self.targets, axis=1)
        rows = rows + gamma(8) * self.row_norms * residuals
        return self._rounding_of((1.0 + gamma(8)) * float(self.row_weights @ rows), weights)

    def _transpose(self, values: np.ndarray) -> np.ndarray:
        """Xᵀ diag(w) B/Σw (d, k) for B (N, k)."""
        return super()._transpose(self.row_weights[:, None] * values)


class WeightedSoftmaxHead:
    """Exact softmax head with weights on rows: argmin_W L(W; T, w), no intercept.

    It needs no compilation, which is what a small problem costs most elsewhere; a large one
    without weights is faster by ``SoftmaxHead``.

    Parameters
    ----------
    weight_decay
        λ > 0.
    sample_weight : (N,), optional
        Weights w > 0 of the rows of every fit; by default all equal. Drop rows of weight 0.
    tolerance
        Relative duality gap ‖g‖²/‖g(0)‖² to reach.
    polish
        A smaller relative gap to go on to from there, in as many passes as it took so far (50 at
        least); to miss it is no failure.
    max_passes
        Passes over the features after which the solver gives up, with a ``NotConvergedWarning``.
    signed_targets
        Accept target rows that sum to 1 with negative entries, as ``SoftmaxHead`` does.

    Raises
    ------
    InvalidSetting
        If a parameter is out of range.
    """

    def __init__(
        self,
        weight_decay: float,
        sample_weight: object = None,
        *,
        tolerance: float = 1e-8,
        polish: float | None = None,
        max_passes: int = 20_000,
        signed_targets: bool = False,
    ) -> None:
        self.weight_decay = validation.check_weight_decay(weight_decay)
        self.sample_weight = sample_weight
        self.tolerance = validation.check_positive("tolerance", tolerance)
        self.polish = None if polish is None else validation.check_positive("polish", polish)
        self.max_passes = validation.check_integer("max_passes", max_passes, 1)
        self.signed_targets = bool(signed_targets)

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | np.ndarray,
        start: np.ndarray | None = None,
    ) -> Fit:
        """Fit to soft targets T (N, K) with rows on the simplex.

        ``start`` (d, K) is where to begin; if its gradient is larger than that of W = 0, there.

        Raises
        ------
        InvalidTargets, InvalidFeatures, InvalidSetting
            On bad input, before any work is done.

        Warns
        -----
        NotConvergedWarning
            If the tolerance was not reached.
        """
        features = as_features(features, targets)
        deviations = target_deviations(targets, features.n_samples, signed=self.signed_targets)
        n = features.n_samples
        given = np.ones(n) if self.sample_weight is None else self.sample_weight
        objective = WeightedObjective(
            features, deviations, self.weight_decay, relative_weights(given, n)
        )
        weights, stats = self._solved(objective, start)
        logits = objective.logits(weights)
        if not stats.converged:
            warnings.warn(stats.message, errors.NotConvergedWarning, stacklevel=2)
        return Fit(
            weights=weights,
            deviations=softmax_deviations(logits),
            probabilities=softmax(logits),
            link=softmax,
            weight_decay=self.weight_decay,
            stats=stats,
            certify=objective.certificate,
            training_logits=partial(objective.logits, weights),
            loss=objective,
        )

    def _solved(
        self, objective: WeightedObjective, start: np.ndarray | None
    ) -> tuple[np.ndarray, SolveStats]:
        method = "Gram-metric L-BFGS, float64"
        zero = np.zeros((objective.features.n_features, objective.n_classes))
        norm = objective.start_norm
        if norm == 0.0:  # uniform targets: the optimum is W = 0
            return zero, SolveStats(method)
        if start is not None and not frobenius_norm(objective.gradient(start)) < norm:
            start = None
        target = _SAFETY * math.sqrt(self.tolerance) * norm
        found = minimize_streamed(objective, start, target, self.max_passes)
        passes, iterations, outcome = found.passes, found.iterations, found.outcome
        if outcome == "converged" and self.polish is not None:
            target, limit = math.sqrt(self.polish) * norm, max(_POLISH_PASSES, int(passes))
            found = minimize_streamed(objective, found.weights, target, limit)
            passes, iterations = passes + found.passes, iterations + found.iterations
        gap = relative_gap(frobenius_norm(objective.gradient(found.weights)), norm)
        if gap <= self.tolerance:
            outcome = "converged"
        message = _message(outcome, gap, passes)
        return found.weights, SolveStats(method, outcome, message, passes, iterations)


def _message(outcome: str, gap: float, passes: float) -> str:
    """Why the tolerance was missed and what to do; empty if it was met."""
    if outcome == "converged":
        return ""
    why = "the rounding floor of float64" if outcome == "float64 floor" else "max_passes"
    more = "" if outcome == "float64 floor" else "raise max_passes, "
    return (
        f"stopped at {why} with relative gap {gap:.1e} after {passes:.0f} passes: {more}"
        "loosen tolerance, or raise weight_decay"
    )
