"""Minimizing the softmax objective where the features do not fit in memory (NumPy, float64).

The iteration of ``gramlab.heads.solver`` under another price list: there the logits (N, K) are
held and a line search is free; here nothing of size (N, d) or (N, K) is, and what counts is how
often the file is read. So every iteration reads it once, at W + D, and gets value and gradient;
the step is taken if they show enough descent, and else shortened at the price of another read.

Coordinates are W = V A in the Gram eigenbasis, where the linearized Hessian is diagonal; V comes
from a d × d factorization, and Z = XV is never formed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from gramlab import memory
from gramlab.heads.fit import Fit, SolveStats
from gramlab.heads.objective import SoftmaxObjective, softmax, softmax_deviations
from gramlab.rounding import frobenius_norm

__all__ = ["StreamedFit", "StreamedSolution", "minimize_streamed"]

_MEMORY = 10  # quasi-Newton pairs
_DESCENT = 0.1  # share of the slope that a step must realize (δ of Hager and Zhang 2005)
_SHORTEST = 0.1  # a rejected step is shortened to between this and half of its length
_TRIALS = 12  # lengths tried along one direction
_STALL = 30  # iterations without the gradient falling by a third before the floor is looked at


class StreamedSolution(NamedTuple):
    """What the iteration ended with.

    Attributes
    ----------
    weights : (d, K)
        Float64, those with the smallest gradient norm that was met.
    outcome
        ``"converged"``, ``"pass limit"`` or ``"float64 floor"``.
    passes
        Reads of the features, two matrix products each; the two of the spectrum are not counted.
    iterations
        Steps taken.
    """

    weights: np.ndarray
    outcome: str
    passes: float
    iterations: int


class StreamedFit(Fit):
    """A fit whose predictions (N, K) are computed when they are asked for, and only then held.

    Attributes are those of ``Fit``. ``weights``, ``certificate`` and ``predict_proba`` need no more
    memory than the fit itself.
    """

    def __init__(self, objective: SoftmaxObjective, weights: np.ndarray, stats: SolveStats) -> None:
        # Not the dataclass's own: deviations and probabilities are computed, not stored.
        self.__dict__.update(
            weights=weights,
            link=softmax,
            weight_decay=objective.weight_decay,
            stats=stats,
            certify=objective.certificate,
            training_logits=partial(_training_logits, objective, weights),
            loss=objective,
        )

    @cached_property
    def deviations(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        """P − 1/K (N, K) on the training rows."""
        return softmax_deviations(self.known_logits())

    @cached_property
    def probabilities(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        """P (N, K) on the training rows."""
        return softmax(self.known_logits())


def _training_logits(objective: SoftmaxObjective, weights: np.ndarray) -> np.ndarray:
    n, k = objective.n_samples, objective.n_classes
    memory.check_memory(
        3 * 8 * n * k, f"the predictions ({n} x {k} float64)", "predict blocks of rows instead"
    )
    return objective.logits(weights)


class _Point(NamedTuple):
    """Where the iteration stands; ``a`` (r, K) are the weights in the eigenbasis."""

    a: np.ndarray
    weights: np.ndarray  # V a (d, K)
    value: float
    gradient: np.ndarray  # in the eigenbasis (r, K)
    norm: float  # of the whole gradient (d, K)
    curvature: float


def minimize_streamed(
    objective: SoftmaxObjective,
    start: np.ndarray | None,
    target: float,
    max_passes: int,
    progress: Callable[[float, float], None] | None = None,
) -> StreamedSolution:
    """Minimize L(W; T) in passes over blocks of rows, to a gradient norm of ``target``.

    Memory: one block with its logits, 20 arrays (min(N, d), K) and a few (d, d). The spectrum of
    the features, two more passes, is kept with them, so further fits do not pay for it again.

    Parameters
    ----------
    objective
        Features (N, d), mapped or not, and targets (N, K), an array or rows made on demand.
    start : (d, K), optional
        Weights to begin at, by default 0; their part orthogonal to every row is dropped.
    target
        ‖∇L(W)‖_F to reach, at least 0.
    max_passes
        Reads after which to give up, at least 1.
    progress
        Called after every pass with (passes so far, ‖∇L‖_F at the point the iteration stands at).

    Returns
    -------
    StreamedSolution
        (weights, outcome, passes, iterations).

    Raises
    ------
    ArithmeticError
        If the loss or its gradient at the start is not finite.
    """
    return _Minimization(objective, max_passes, progress).run(start, target)


class _Minimization:
    def __init__(
        self,
        objective: SoftmaxObjective,
        max_passes: int,
        progress: Callable[[float, float], None] | None,
    ) -> None:
        self.objective = objective
        self.max_passes = max_passes
        self.progress = progress
        self.spectrum = objective.spectrum
        self.passes = 0
        self.iterations = 0
        # (step, change of the gradient, 1/⟨step, change⟩), oldest first
        self.pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=_MEMORY)

    def run(self, start: np.ndarray | None, target: float) -> StreamedSolution:
        basis = self.spectrum.basis
        if start is None:
            a = np.zeros((basis.shape[1], self.objective.n_classes))
        else:
            a = basis.T @ np.asarray(start, dtype=np.float64)
        point = self._evaluate(a)
        if not (math.isfinite(point.value) and math.isfinite(point.norm)):
            raise ArithmeticError("the loss at the start is outside the range of float64")
        self._report(point)
        best = last_fall = point
        since = 0
        while best.norm > target:
            new = self._step(point)
            if new is None:
                if self.passes >= self.max_passes:
                    return self._solution(best, "pass limit")
                if self.pairs:  # an old metric may be at fault: once more from a fresh one
                    self.pairs.clear()
                    continue
                return self._solution(best, "float64 floor")
            point = new
            best = min(best, point, key=lambda p: p.norm)
            since += 1
            if point.norm < 0.67 * last_fall.norm:
                last_fall, since = point, 0
            elif since >= _STALL and best.norm > target:
                if self.passes < self.max_passes and self._at_floor(best):
                    return self._solution(best, "float64 floor")
                last_fall, since = best, 0
        return self._solution(best, "converged")

    def _step(self, point: _Point) -> _Point | None:
        """One accepted step, or None where none was found or the passes ran out."""
        direction = self._direction(point)
        slope = float(np.vdot(point.gradient, direction))
        if not slope < 0.0:
            return None
        length = 1.0
        for _ in range(_TRIALS):
            if self.passes >= self.max_passes:
                return None
            trial = self._evaluate(point.a + length * direction)
            new_slope = float(np.vdot(trial.gradient, direction))
            if self._accepted(point, trial, slope, new_slope, length):
                self._remember(point, trial)
                self.iterations += 1
                self._report(trial)
                return trial
            self._report(point)
            # The root of the secant of the slope; a useless one gives the shortest step.
            secant = slope / (slope - new_slope) if math.isfinite(new_slope) else 0.0
            length *= min(max(secant, _SHORTEST), 0.5)
        return None

    def _accepted(
        self, point: _Point, trial: _Point, slope: float, new_slope: float, length: float
    ) -> bool:
        """Armijo's condition, or its form in slopes where values differ by their rounding."""
        if not (math.isfinite(trial.value) and math.isfinite(trial.norm)):
            return False
        change = trial.value - point.value
        if change <= _DESCENT * length * slope:
            return True
        # Losses are O(1 + |value|), sums of N of them are accurate to a few units of roundoff.
        noise = 64.0 * np.finfo(np.float64).eps * (1.0 + abs(point.value))
        return change <= noise and new_slope <= (2.0 * _DESCENT - 1.0) * slope

    def _direction(self, point: _Point) -> np.ndarray:
        """Two-loop recursion with the scaled linearized Hessian as its initial metric."""
        q = point.gradient.copy()
        coefficients = []
        for step, change, inverse in reversed(self.pairs):
            coefficients.append(inverse * float(np.vdot(step, q)))
            q -= coefficients[-1] * change
        n = self.objective.n_samples
        metric = point.curvature * self.spectrum.eigenvalues / n + self.objective.weight_decay
        q /= metric[:, None]
        for (step, change, inverse), c in zip(self.pairs, reversed(coefficients), strict=True):
            q += (c - inverse * float(np.vdot(change, q))) * step
        return -q

    def _remember(self, point: _Point, trial: _Point) -> None:
        step, change = trial.a - point.a, trial.gradient - point.gradient
        inner = float(np.vdot(step, change))
        # ⟨step, change⟩ ≥ λ‖step‖² by strong convexity; rounding can void that near the floor.
        if inner > 0.5 * self.objective.weight_decay * float(np.vdot(step, step)):
            self.pairs.append((step, change, 1.0 / inner))

    def _evaluate(self, a: np.ndarray) -> _Point:
        """One pass."""
        weights = self.spectrum.basis @ a
        with np.errstate(over="ignore", invalid="ignore"):  # judged by the caller
            value, gradient, curvature = self.objective.evaluate(weights)
            norm = frobenius_norm(gradient)
            projected = self.spectrum.basis.T @ gradient
        self.passes += 1
        return _Point(a, weights, value, projected, norm, max(curvature, 0.0))

    def _at_floor(self, point: _Point) -> bool:
        """Whether the gradient is within the bound of its own rounding; one pass."""
        self.passes += 1
        return point.norm <= self.objective.gradient_rounding(point.weights)

    def _report(self, point: _Point) -> None:
        if self.progress is not None:
            self.progress(float(self.passes), point.norm)

    def _solution(self, point: _Point, outcome: str) -> StreamedSolution:
        return StreamedSolution(point.weights, outcome, float(self.passes), self.iterations)
