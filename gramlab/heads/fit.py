"""Fit: what every head returns. Theory and truth are two values of this one type."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from gramlab import errors, memory, validation
from gramlab.certificate import Certificate
from gramlab.features import Features
from gramlab.heads.objective import SoftmaxObjective, softmax_deviations
from gramlab.rounding import UNIT_ROUNDOFF, gamma, norm_bound
from gramlab.spectrum import check_scale
from gramlab.targets import OneHotRows

__all__ = [
    "ClosedFormFit",
    "Fit",
    "MeasuredFit",
    "SolveStats",
    "Targets",
    "as_features",
    "mend_flushed",
    "stored_rounding",
    "target_deviations",
    "target_rows",
]


@dataclass(frozen=True, eq=False)
class Targets:
    """Soft targets carried as deviations T − 1/K (N, K), so that small signals are not lost.

    ``np.asarray(targets)`` is T = 1/K + deviations, with 0 where the sum of a vanishing
    probability's deviation and 1/K rounds below 0; anything more negative stays as it is. A fit's
    ``as_targets()`` makes the next round's targets.
    """

    deviations: np.ndarray

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """T = 1/K + deviations."""
        values = self.deviations + 1.0 / self.deviations.shape[1]
        values[(values < 0.0) & (values >= -4.0 * UNIT_ROUNDOFF)] = 0.0
        return values if dtype is None else values.astype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, K)."""
        return self.deviations.shape


@dataclass(frozen=True)
class SolveStats:
    """How a fit was reached.

    Attributes
    ----------
    method
        Algorithm, in words.
    result
        ``"converged"``, ``"float64 floor"`` (the gradient is at the rounding level, no further
        progress is possible) or ``"pass limit"``.
    message
        Empty when converged; otherwise the reason and the remedy.
    passes
        Passes over the features; one pass is two matrix products, X·(d, K) and Xᵀ·(N, K).
    iterations
        Steps taken.
    bfloat16_passes
        Of the passes, those whose products were of bfloat16 numbers: several times as fast, and
        used for steps alone.
    polish
        Where a share of certified predictions was asked for beyond the tolerance: ``"share
        reached"``, ``"float64 floor"`` or ``"pass limit"``; else empty.
    """

    method: str
    result: str = "converged"
    message: str = ""
    passes: float = 0.0
    iterations: int = 0
    polish: str = ""
    bfloat16_passes: float = 0.0

    @property
    def converged(self) -> bool:
        """Whether the requested tolerance was met."""
        return self.result == "converged"


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted head on N rows, d features, K classes.

    Attributes
    ----------
    weights : (d, K)
        W; logits are xW.
    deviations : (N, K)
        P − 1/K on the training rows, accurate however small.
    probabilities : (N, K)
        P on the training rows; rows sum to 1 (linearized ones can leave [0, 1]).
    link
        Maps logits (n, K) to predictions: the softmax, or its linearization.
    weight_decay
        λ it was fitted with.
    stats
        How it was reached.
    certify
        Computes the certificate of given weights on this fit's own objective.
    linear
        Whether the link is linear, so that predictions can leave [0, 1].
    training_logits
        Computes XW (N, K) of the training rows, in float64; needed for temperatures alone.
    loss
        The regularized cross-entropy on this fit's targets, which ``certify`` is about; None where
        that is another loss. Rounds of fits that have one are certified through all rounds.
    """

    weights: np.ndarray
    deviations: np.ndarray
    probabilities: np.ndarray
    link: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    weight_decay: float
    stats: SolveStats
    certify: Callable[[np.ndarray], Certificate] = field(repr=False)
    linear: bool = False
    training_logits: Callable[[], np.ndarray] | None = field(default=None, repr=False)
    loss: SoftmaxObjective | None = field(default=None, repr=False)

    @property
    def labels(self) -> np.ndarray:
        """Predicted class of every training row (N,)."""
        return self.deviations.argmax(axis=1)

    @cached_property
    def certificate(self) -> Certificate:
        """Bounds on ‖W − W*‖ for the *exact* softmax objective, in float64 from W alone.

        A linearized fit has one too: it says how far the theory is from the truth, unsolved.
        """
        return self.certify(self.weights)

    def certified_by(self, certify: Callable[[np.ndarray], Certificate]) -> Fit:
        """The same fit, with another way to certify its weights."""
        other = copy.copy(self)
        other.__dict__.pop("certificate", None)
        other.__dict__["certify"] = certify
        return other

    def reported(self, stats: SolveStats) -> Fit:
        """The same fit, with other words on how it was reached."""
        other = copy.copy(self)
        other.__dict__["stats"] = stats
        return other

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Predictions (n, K) for new rows x (n, d).

        Raises
        ------
        InvalidFeatures
            If x is not finite, not two-dimensional, has another number of columns, or entries so
            large that a logit overflows.
        """
        return self.link(self._logits(x))

    def _logits(self, x: np.ndarray) -> np.ndarray:
        x = np.asarray(validation.check_features(x, name="x"), dtype=np.float64)
        if x.shape[1] != self.weights.shape[0]:
            raise errors.InvalidFeatures(
                f"x must have {self.weights.shape[0]} columns like the training features, got "
                f"{x.shape[1]}: apply the same extraction and preparation steps"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # judged by the next line
            return validation.check_logits(x @ self.weights)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Predicted classes (n,) for new rows x (n, d), by logits: probabilities round to ties."""
        return self._logits(x).argmax(axis=1)

    def margins(self, labels: np.ndarray) -> np.ndarray:
        """Probability of ``labels`` (N,) over the best other class, by training row (N,).

        Positive where the row is predicted as that label. With true labels and a linearized fit
        this is the instance-wise accuracy condition for any Gram matrix: row i is right at round t
        iff the margin of row i of 1/K + h(G)^t D is positive.
        """
        labels = validation.check_labels(
            labels, n_samples=len(self.deviations), n_classes=self.deviations.shape[1]
        )
        rows = np.arange(len(labels))
        others = self.deviations.copy()
        others[rows, labels] = -np.inf
        return self.deviations[rows, labels] - others.max(axis=1)

    def known_logits(self) -> np.ndarray:
        """XW (N, K) of the training rows.

        Raises
        ------
        InvalidSetting
            If the fit was made without ``training_logits``.
        """
        if self.training_logits is None:
            raise errors.InvalidSetting(
                "training_logits must be given to a fit that is read at another temperature than "
                "1, got none: make it with training_logits=lambda: x @ weights"
            )
        return self.training_logits()

    def as_targets(self, temperature: float = 1.0) -> Targets:
        """The training predictions, read at temperature τ, as the next round's targets.

        The softmax is read as softmax(v/τ) of the training logits v, which know how far apart two
        classes are where both probabilities vanish; a linear link to first order, deviations
        over τ.

        Raises
        ------
        InvalidSetting
            If τ is not above 0, or so small that what is divided by it overflows; for τ ≠ 1 also if
            the fit does not know its logits.
        """
        tau = validation.check_positive("temperature", temperature)
        if tau == 1.0:
            return Targets(self.deviations)
        read = self.deviations if self.linear else self.known_logits()
        if not self.linear:
            read = read - read.max(axis=1, keepdims=True)  # no softmax depends on the largest
        with np.errstate(over="ignore"):
            scaled = read / tau
        if not np.isfinite(scaled).all():
            kind = "deviations" if self.linear else "differences of logits"
            raise errors.InvalidSetting(
                f"temperature must be large enough for {kind} of {np.abs(read).max():.3g} divided "
                f"by it to stay in float64's range, got {tau:.3g}: raise it"
            )
        return Targets(scaled if self.linear else softmax_deviations(scaled))


class _Objective(Protocol):
    def value(self, weights: np.ndarray) -> float:
        """The objective at W (d, K)."""
        ...

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """Its gradient (d, K)."""
        ...


@dataclass(frozen=True, eq=False)
class MeasuredFit(Fit):
    """A fit that is no optimum of a convex objective: what there is to say is measured at W.

    Attributes
    ----------
    problem
        The objective, in NumPy and float64, that the numbers below are recomputed with.
    """

    problem: _Objective = field(kw_only=True, repr=False)

    @cached_property
    def gradient_norm(self) -> float:
        """Norm of the full objective's gradient at W."""
        return float(np.linalg.norm(self.problem.gradient(self.weights)))

    @cached_property
    def start_gradient_norm(self) -> float:
        """The same at W = 0, wherever the iteration began: the scale of the next."""
        return float(np.linalg.norm(self.problem.gradient(np.zeros_like(self.weights))))

    @property
    def relative_gradient_norm(self) -> float:
        """‖∇L(W)‖/‖∇L(0)‖ (0 when both vanish)."""
        if self.start_gradient_norm == 0.0:
            return 0.0 if self.gradient_norm == 0.0 else math.inf
        return self.gradient_norm / self.start_gradient_norm

    @cached_property
    def objective(self) -> float:
        """The full objective at W."""
        return self.problem.value(self.weights)


@dataclass(frozen=True, eq=False)
class ClosedFormFit(Fit):
    """A fit by a filter on the spectrum, which is exact but for rounding.

    Attributes
    ----------
    bound_error
        Computes ``closed_form_error``.
    """

    bound_error: Callable[[], float] = field(kw_only=True, repr=False)

    @cached_property
    def closed_form_error(self) -> float:
        """Bound on ‖A − A*‖_F, so on each row's norm too, when first asked for.

        A are ``deviations``, A* the closed form in exact arithmetic, of the targets that the fit
        was given, with this weight decay and, of ``rounds_at_once``, all its rounds. Another pass
        over the features for every round. Of ``probabilities`` adding 1/K rounds once more.
        """
        return self.bound_error()


def mend_flushed(
    features: Features,
    weights: np.ndarray,
    values: np.ndarray,
    link: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Predictions (N, K) from a device, those of rows anew that it took for smaller than they are.

    Devices flush what is below the normal range of a dtype to 0, entries and products. It matters
    to no fit, and decides the class of rows that hold nothing larger.
    """
    sizes = features._memo.once("row sizes", lambda: _row_sizes(features))
    narrow = np.finfo(features.x.dtype if features.x.dtype.itemsize > 2 else np.float64).tiny
    tiny = float(np.finfo(np.float64).tiny)
    least = max(float(narrow), tiny / max(min(norm_bound(weights), 1.0), tiny)) / UNIT_ROUNDOFF
    rows = np.flatnonzero((sizes > 0.0) & (sizes < least))
    if not len(rows):
        return values
    mended = np.array(values)
    mended[rows] = link(features.x[rows].astype(np.float64) @ weights)
    return mended


def _row_sizes(features: Features) -> np.ndarray:
    """Largest entry of each row in absolute value (N,)."""
    out = np.empty(features.n_samples)
    for rows, block in features.blocks(dtype=features.x.dtype):
        out[rows] = np.maximum(block.max(axis=1), -block.min(axis=1))
    return out


def as_features(
    features: Features | np.ndarray, targets: Targets | OneHotRows | np.ndarray
) -> Features:
    """Wrap a bare array x (N, d) as Features, of a scale that heads can serve.

    Heads read targets and never labels, so the labels are placeholders 0, …, K − 1, 0, …

    Raises
    ------
    InvalidFeatures
        If x is malformed, or too small or too large (``gramlab.spectrum.check_scale``).
    InvalidTargets
        If targets have no shape (N, K), K ≥ 2.
    """
    if isinstance(features, Features):
        check_scale(features)
        return features
    if isinstance(targets, OneHotRows):
        soft = targets[:]
    else:
        soft = validation.as_array(targets, "targets", errors.InvalidTargets)
    if soft.ndim != 2:
        raise errors.InvalidTargets(
            f"targets must be a 2-D array (N, K), got shape {soft.shape}: use "
            "gramlab.one_hot(labels, n_classes) for integer labels"
        )
    if soft.shape[1] < 2:
        raise errors.InvalidTargets(
            f"targets must have at least 2 classes (columns), got {soft.shape[1]}"
        )
    x = validation.check_features(features)
    wrapped = Features(x, np.arange(len(x)) % soft.shape[1], n_classes=soft.shape[1])
    check_scale(wrapped)
    return wrapped


def target_rows(
    targets: Targets | OneHotRows | np.ndarray,
    n_samples: int,
    *,
    signed: bool = False,
) -> np.ndarray | OneHotRows:
    """T − 1/K (N, K), checked and made exact; ``OneHotRows`` stay what they are.

    ``signed`` lets entries of T leave [0, 1]. Rows that miss the sum 1 by the rounding of what they
    came in are divided by it here, for every head alike (``validation.check_targets``).

    Raises
    ------
    InvalidTargets
        If they are no such rows.
    """
    if isinstance(targets, OneHotRows):
        validation.check_labels(targets.labels, n_samples=n_samples)
        return targets
    if isinstance(targets, Targets):
        checked = validation.check_targets(
            targets.deviations, n_samples, signed=signed, deviations=True
        )
    else:
        checked = validation.check_targets(targets, n_samples, signed=signed)
    if checked.shape[1] < 2:
        raise errors.InvalidTargets(
            f"targets must have at least 2 classes (columns), got {checked.shape[1]}: pass one "
            "column per class (gramlab.one_hot turns labels into rows)"
        )
    if isinstance(targets, Targets):
        return checked
    return np.subtract(checked, 1.0 / checked.shape[1], out=memory.aligned(checked.shape, float))


def target_deviations(
    targets: Targets | OneHotRows | np.ndarray, n_samples: int, *, signed: bool = False
) -> np.ndarray:
    """What ``target_rows`` are, as an array (N, K)."""
    return target_rows(targets, n_samples, signed=signed)[:]


def stored_rounding(targets: Targets | np.ndarray, deviations: np.ndarray) -> float:
    """Bound, in Frobenius norm, on the rounding of 1/K and of T − 1/K; 0 for ``Targets``."""
    if isinstance(targets, Targets):
        return 0.0
    return gamma(4) * norm_bound(np.abs(deviations) + 1.0 / deviations.shape[1])
