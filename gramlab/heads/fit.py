"""Fit: what every head returns. Theory and truth are two values of this one type."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from gramlab import errors, validation
from gramlab.heads.problem import Problem
from gramlab.heads.referee import SoftmaxObjective, softmax, softmax_deviations
from gramlab.machine import memory
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.text import short_repr
from gramlab.targets import Targets

__all__ = ["ClosedFormFit", "Fit", "MeasuredFit", "SolveStats", "check_rows"]


def check_rows(x: object, n_features: int, name: str = "x") -> np.ndarray:
    """Check that new rows (n, d) fit a head of ``n_features`` (else InvalidFeatures); float64."""
    rows = np.asarray(validation.check_features(x, name=name), dtype=np.float64)
    if rows.shape[1] != n_features:
        raise errors.InvalidFeatures(
            f"{name} must have {n_features} columns like the training features, got "
            f"{rows.shape[1]}: apply the same extraction and preparation steps"
        )
    return rows


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

    @property
    def converged(self) -> bool:
        """Whether the requested tolerance was met."""
        return self.result == "converged"


class _Predictions:
    """Of a softmax at W, on the training rows, from logits that are made once."""

    def __init__(self, problem: Problem, weights: np.ndarray) -> None:
        self.problem, self.weights, self.made = problem, weights, None

    def logits(self) -> np.ndarray:
        if self.made is None:
            n, k = self.problem.n_samples, self.problem.n_classes
            memory.check_memory(
                3 * 8 * n * k,
                f"the predictions ({n} x {k} float64)",
                "predict blocks of rows instead",
            )
            self.made = self.problem.logits(self.weights)
        return self.made

    def deviations(self) -> np.ndarray:
        return softmax_deviations(self.logits())

    def probabilities(self) -> np.ndarray:
        return softmax(self.logits())


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted head on N rows, d features, K classes.

    ``deviations`` and ``probabilities`` may be given as functions that make them: they are called
    when they are first read, and once.

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
    row_weights : (N,), optional
        Relative weights of the rows it was fitted with, of mean 1; None where all are equal.
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
    row_weights: np.ndarray | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return short_repr(self)

    @classmethod
    def at(cls, problem: Any, weights: np.ndarray, stats: SolveStats, /, **more: Any) -> Self:
        """Softmax fit at W (d, K) on the rows of a ``Problem`` that can certify weights, or refuse.

        Predictions are made when they are first read; ``more`` are fields of subclasses.
        """
        made: Any = _Predictions(problem, weights)
        return cls(
            weights=weights,
            deviations=made.deviations,
            probabilities=made.probabilities,
            link=softmax,
            weight_decay=problem.weight_decay,
            stats=stats,
            certify=problem.certificate,
            training_logits=made.logits,
            loss=problem if isinstance(problem, SoftmaxObjective) else None,
            row_weights=problem.row_weights,
            **more,
        )

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
        other = self._with("certify", certify)
        other.__dict__.pop("certificate", None)
        return other

    def reported(self, stats: SolveStats) -> Fit:
        """The same fit, with other words on how it was reached."""
        return self._with("stats", stats)

    def _with(self, name: str, value: Any) -> Fit:
        other = copy.copy(self)  # dataclasses.replace would make the predictions
        other.__dict__[name] = value
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
        x = check_rows(x, self.weights.shape[0])
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
        """XW (N, K) of the training rows (InvalidSetting if made without ``training_logits``)."""
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
        if self.linear:
            read, kind = self.deviations, "deviations"
        else:
            read, kind = self.known_logits(), "differences of logits"
            read = read - read.max(axis=1, keepdims=True)  # no softmax depends on the largest
        with np.errstate(over="ignore"):
            scaled = read / tau
        if not np.isfinite(scaled).all():
            raise errors.InvalidSetting(
                f"temperature must be large enough for {kind} of {np.abs(read).max():.3g} divided "
                f"by it to stay in float64's range, got {tau:.3g}: raise it"
            )
        return Targets(scaled if self.linear else softmax_deviations(scaled))


class _MadeOnce:
    """A field that is an array, or a function that makes it when it is first read."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, fit: Any, owner: type | None = None) -> Any:
        if fit is None:
            return self
        value = fit.__dict__[self.name]
        if callable(value):
            value = fit.__dict__[self.name] = value()
        return value

    def __set__(self, fit: Any, value: Any) -> None:
        fit.__dict__[self.name] = value


for _name in ("deviations", "probabilities"):
    setattr(Fit, _name, _MadeOnce(_name))


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredFit(Fit):
    """A fit that is no optimum of a convex objective: what there is to say is measured at W.

    Attributes
    ----------
    problem
        The objective, in NumPy and float64: ``value`` and ``gradient`` at W (d, K).
    """

    problem: Any = field(kw_only=True, repr=False)

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


@dataclass(frozen=True, eq=False, repr=False)
class ClosedFormFit(Fit):
    """A fit by a filter on the spectrum, which is exact but for rounding.

    Attributes
    ----------
    bound_error
        Computes ``closed_form_error``.
    slope
        a > 0 of P − 1/K ≈ a XW that the filter has, μ = N λ/a: 1/K of the linearized softmax, 1 of
        ridge regression, and of a secant what solves its equation.
    """

    bound_error: Callable[[], float] = field(kw_only=True, repr=False)
    slope: float = field(kw_only=True)

    @property
    def effective_weight_decay(self) -> float:
        """λ/(K a), at which the linearized softmax has the same filter."""
        return self.weight_decay / (self.weights.shape[1] * self.slope)

    @cached_property
    def closed_form_error(self) -> float:
        """Bound on ‖A − A*‖_F, so on each row's norm too, when first asked for.

        A are ``deviations``, A* the closed form in exact arithmetic, of the targets that the fit
        was given, with this weight decay and slope and, of ``rounds_at_once``, all its rounds.
        Another pass over the features for every round. Of ``probabilities`` adding 1/K rounds once
        more.
        """
        return self.bound_error()
