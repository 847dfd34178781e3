"""Corrections to base points: the loop around the solver, and its choice of precision and metric.

A base point is known in float64. From there ``heads.solver`` iterates in float32 while that brings
progress, then in float64, in a metric that is made anew as the predictions settle.

On an accelerator nothing of size (N, d) or (N, K) is held in float64, but targets that are soft.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gramlab import device, errors
from gramlab.heads import newton, points, sampling, solver, tiles
from gramlab.heads.coordinates import Coordinates
from gramlab.heads.fit import SolveStats
from gramlab.heads.objective import SoftmaxObjective
from gramlab.heads.resident import Moment, ResidentTargets, block_rows
from gramlab.heads.sharded import ShardedCoordinates, ShardedObjective
from gramlab.heads.stopping import relative_gap, stopped, tighter_target
from gramlab.targets import OneHotRows, labels_of

__all__ = ["SAFETY", "Asked", "Corrections", "rough_products_help"]

_PRECISELY = "class-metric L-BFGS corrections"
_ROUGHLY = "Newton-CG corrections in bfloat16"
_MEMORY = 10  # quasi-Newton pairs; 40 saves 15 % of the passes but costs as much in vector work
_FIRST_CHUNK, _CHUNK = 4, 8  # iterations between two looks at progress
_STALLED = 200  # iterations without the gradient falling by a third before the base point moves
SAFETY = 0.9  # aim below the tolerance, so that rounding cannot lift the result above it
_FLOAT32_GAIN = 5e-6  # fall of the gradient norm that float32 corrections to one base point manage
_FLOAT32_CONDITION = 1e6  # of the linearized Hessian, above which corrections are float64
_START_KNOWN = 1e-3  # gradient norm, of that at W = 0, up to which float32 knows a start
_CLASS_LEVEL = 2e-2  # gradient norm (of the start) from which a class metric is worth its price
# ... if at the present rate more than this, times kept rows of a class over N, iterations are to
# come: it takes the time of 300 (kept rows/N) passes, and later iterations are slower than earlier.
_CLASS_ITERATIONS = 600.0
_CLASS_AGAIN = 0.1  # ... and made anew where the norm has fallen to this since
_CLASS_ROWS = 96  # rows of each class whose curvature is kept exactly
_CLASS_WORK = 2e8  # ... where a pass costs fewer operations than this, iterations are cheaper
_SURE = 2.0  # standard errors that an estimated norm must be below what is wanted
_FLOAT64_BYTES = 72  # of each logit in float64 corrections
_LABELS_WORK = 3e8  # operations of half a pass from which labels are worth looking for
_NEWTON_WORK = 1e7  # operations of a pass from which rough products are worth their overhead


class Asked(NamedTuple):
    """What a head asks of a run: parameters of ``SoftmaxHead``."""

    tolerance: float
    certified_share: float | None
    max_passes: int
    progress: Callable[[float, float], None] | None


class Corrections:
    """One run: corrections to base points, in float32 while they help, then in float64."""

    def __init__(
        self,
        asked: Asked,
        objective: SoftmaxObjective,
        start: np.ndarray | None,
        moment: Moment | None = None,
    ) -> None:
        self.asked = asked
        self.objective = objective
        self.passes = 0.0
        self.iterations = 0
        self.class_metric: solver.Metric | None = None
        self.class_metric_made = (0.0, 0)  # at which gradient norm and iteration
        self.estimated = False  # whether it ended by an estimate, without predictions
        k = objective.n_classes
        with device.float64():
            self.sharded = isinstance(objective, ShardedObjective)
            self.in_blocks = device.accelerated() and not self.sharded
            kind = ShardedCoordinates if self.sharded else Coordinates
            # Of shards, no processor with such products has been measured.
            rough = not self.sharded and rough_products_help(
                objective.n_samples, objective.features.n_features, k
            )
            self.dtype: type[np.floating] = np.float32
            self.targets = self._targets_on_device()
            self._choose = partial(kind.of, objective.features, objective.weight_decay, k)
            self.coordinates = self._choose(rough=rough)
            conditioned = self._float32_conditioned()
            # Steps from the start are float32's at best, so that is enough for the start as well.
            if conditioned and moment is not None and moment.is_known():
                self.seen_in, self.moment, self.start_norm = np.float32, moment, moment.norm()
            else:
                self._look_from(np.float32 if conditioned and not self.sharded else np.float64)
            in_range = all(1e-25 < size < 1e25 for size in (self.start_norm, self._largest()))
            self.dtype = np.float32 if conditioned and in_range else np.float64
            if self.dtype == np.float64:
                self._exact_coordinates()
                self._make_room()
                self._look_from(np.float64)
            self.rough = rough and self.dtype == np.float32
            self.rough_passes = 0.0
            if start is not None and start.any():
                self._begin_at(start)
                if self.norm <= _START_KNOWN * self.start_norm:
                    self._evaluate()
                if self.norm <= self.start_norm:
                    return
            self._begin_at_zero()  # no start, or worse than none

    def run(self) -> tuple[np.ndarray, SolveStats]:
        """Weights (d, K), and how they were found."""
        with device.float64():
            if self.start_norm == 0.0:  # in float64: a norm of zero is out of float32's range
                self._begin_at_zero()
                # Uniform targets have the optimum W = 0; those that are almost so, an unknown one.
                outcome = "converged" if self._uniform else "float64 floor"
                return self._weights(), self._stats(outcome, "")
            target = SAFETY * math.sqrt(self.asked.tolerance) * self.start_norm
            outcome = self._descend(target)
            # Where not even a step was needed, or allowed.
            if self.seen_in != np.float64 and not self.estimated:
                self._evaluate()
            polish = self._polish() if outcome == "converged" else ""
            return self._weights(), self._stats(outcome, polish)

    def _polish(self) -> str:
        """Go on until the asked share of predictions is certified; the outcome in words."""
        if self.asked.certified_share is None:
            return ""
        while (target := self._tighter_target(self.asked.certified_share)) is not None:
            if self._at_floor():
                return "float64 floor"
            outcome = self._descend(target)
            if outcome != "converged":
                return outcome
        return "share reached"

    def _largest(self) -> float:
        return float(self.coordinates.eigenvalues[0])

    def _float32_conditioned(self) -> bool:
        """Whether conditioning and weight decay leave float32 room."""
        n, k, lam = self.objective.n_samples, self.objective.n_classes, self.objective.weight_decay
        return lam > 1e-25 and self._largest() <= _FLOAT32_CONDITION * k * n * lam

    def _look_from(self, dtype: type[np.floating]) -> None:
        """The gradient at W = 0, whose norm is the measure of the tolerance, in a precision."""
        self.seen_in, k = dtype, self.objective.n_classes
        x, n = self.coordinates.rows(dtype), self.objective.n_samples
        labels = self._labels() if dtype == np.float32 else None
        if labels is None:
            gradient = points.first_gradient(x, dtype(n), self.targets, k)
        else:
            sums = tiles.by_label(x, jnp.asarray(labels), k)
            gradient = (sums.mean(axis=0) - sums) / n
        self.passes += 0.5
        self.moment = Moment(-np.asarray(gradient, dtype=np.float64))
        self.start_norm = float(jnp.linalg.norm(gradient))

    def _labels(self) -> np.ndarray | None:
        """Labels (N,), where targets are labels and sums by label take less than a product."""
        n, k = self.objective.n_samples, self.objective.n_classes
        d = self.objective.features.n_features
        targets = self.objective.target_deviations
        if self.sharded or not tiles.available():
            return None
        if isinstance(targets, OneHotRows):
            return targets.labels
        if not isinstance(targets, np.ndarray) or 2.0 * n * d * k < _LABELS_WORK:
            return None
        return labels_of(targets)

    def _targets_on_device(self) -> jax.Array:
        """Deviations (N, K) in float64, or labels (N,): what reads them casts them."""
        targets = self.objective.target_deviations
        if isinstance(targets, ResidentTargets):
            return targets.on_device()
        if isinstance(targets, OneHotRows):
            return jnp.asarray(targets.labels)
        return targets if isinstance(targets, jax.Array) else jax.device_put(targets)

    def _exact_coordinates(self) -> None:
        """Float64 corrections need a basis of their precision."""
        if self.coordinates.quick or self.coordinates.leading is not None:
            self.coordinates = self.coordinates.exact(self.objective.features)

    def _evaluate(self) -> None:
        """Gradient, logits and predictions at the base point, from the weights, in float64."""
        self.seen_in = np.float64
        weights = jnp.asarray(self.w)
        if self.in_blocks:
            self.logits = self.deviations = None
            gradient, self.probabilities = points.evaluate_blocks(
                self.coordinates.rows_exactly(),
                self.targets,
                np.float64(self.objective.weight_decay),
                weights,
                block_rows(self.objective.features.n_features, self.objective.n_classes),
                self.dtype,
            )
        else:
            gradient, self.logits, self.deviations = points.evaluate(
                self.coordinates.rows(np.float64),
                np.float64(self.objective.n_samples),
                self.targets,
                np.float64(self.objective.weight_decay),
                weights,
            )
        self._know(gradient)
        self.passes += 1.0

    def _know(self, gradient: jax.Array) -> None:
        self.gradient = np.asarray(gradient, dtype=np.float64)
        # Of the device's copy: hosts might round it differently and take different branches.
        self.norm = float(jnp.linalg.norm(gradient))

    def _begin_at(self, start: np.ndarray) -> None:
        """The best multiple of the start."""
        self.w = _zero_sum(self.coordinates.in_span(start.T))
        dtype = self.seen_in
        multiple, gradient, self.logits, self.deviations = points.evaluate_multiple(
            self.coordinates.rows(dtype),
            dtype(self.objective.n_samples),
            self.targets,
            dtype(self.objective.weight_decay),
            jnp.asarray(self.w, dtype=dtype),
        )
        self.w = self.w * float(multiple)
        self._know(gradient)
        self.passes += 1.0

    def _begin_at_zero(self) -> None:
        """W = 0, where everything is known without a pass."""
        n, k = self.objective.n_samples, self.objective.n_classes
        self.w = np.zeros((k, self.objective.features.n_features))
        if self.moment.error > 0.0:  # enough for the norm, not for a step
            self._look_from(self.seen_in)
        self.gradient, self.norm = -self.moment.values, self.start_norm
        if self.sharded:  # not zeros, which forget that rows are over devices
            self.logits = self.deviations = 0.0 * self.targets
        else:
            self.logits = self.deviations = None
            self.probabilities = jnp.full((n, k), 1.0 / k, self.dtype)

    def next_moment(self) -> Moment:
        """DᵀX/N of the predictions' deviations D, from the targets', as ∇L(W) nearly vanishes."""
        values = self.moment.values - self.objective.weight_decay * self.w
        return Moment(values, self.moment.error + self.norm)

    def predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """P − 1/K and P (N, K) at the weights in float64; not of shards, nor where in blocks."""
        if self.logits is None:  # at W = 0
            shape = self.objective.n_samples, self.objective.n_classes
            return np.zeros(shape), np.full(shape, 1.0 / shape[1])
        with device.float64():
            return np.asarray(self.deviations), np.asarray(points.softmax(self.logits))

    def _base(self) -> solver.Base:
        cast = partial(jnp.asarray, dtype=self.dtype)
        return solver.Base(
            self.coordinates.resident(self.dtype),
            cast(self.coordinates.eigenvalues),
            cast(self.objective.weight_decay),
            cast(self.objective.n_samples),
            cast(self.coordinates.from_weights(self.gradient)),
            cast(
                self.probabilities
                if self.deviations is None
                else self.deviations + 1.0 / self.objective.n_classes
            ),
        )

    def _descend(self, target: float) -> str:
        """Move the base point until its gradient norm is at most ``target``; the outcome."""
        state, failures = None, 0
        while self.norm > target:
            if self.passes + 2.0 > self.asked.max_passes:
                return "pass limit"
            base = self._base()
            gain = _FLOAT32_GAIN if self.dtype == np.float32 else 0.0
            goal, rough, there = max(target, gain * self.norm), self.rough, None
            if rough:
                step, there = self._correct_roughly(base, goal)
            else:
                state = solver.start(base, _MEMORY) if state is None else solver.rebase(base, state)
                state = self._correct(base, state, goal)
                step = self._to_weights(state.step)
            before, norm_before = self.w, self.norm
            self.w = _zero_sum(self.w + step)
            if there is not None and goal == target and self._surely(there, target):
                self._report(self.norm)
                break
            self._evaluate()
            if not self.norm < norm_before:
                self.w = before
                self._evaluate()
            self._report(self.norm)
            if self.norm > max(target, 0.67 * norm_before):
                if rough:
                    self._go_on_precisely()
                    continue
                failures += self.dtype == np.float64
                if failures == 2:
                    return "float64 floor"
                self.dtype, state = np.float64, None
                self._exact_coordinates()
                self.class_metric = None
                if self.in_blocks:
                    self._make_room()
                    self._evaluate()  # predictions in the new precision
        return "converged"

    def _make_room(self) -> None:
        """Refuse corrections in float64 that would not fit on an accelerator."""
        if not self.in_blocks:
            return
        n, r, k = self.objective.n_samples, self.coordinates.rank, self.objective.n_classes
        if shortage := device.shortage(8 * n * r + _FLOAT64_BYTES * n * k):
            raise errors.NotEnoughMemory(f"corrections in float64: {shortage}")

    def _to_weights(self, step: jax.Array) -> np.ndarray:
        return self.coordinates.to_weights(np.asarray(step, dtype=np.float64))

    def _correct_roughly(
        self, base: solver.Base, goal: float
    ) -> tuple[np.ndarray, sampling.Found | None]:
        """A step (K, d) to a gradient norm of ``goal`` by Newton's method in rough products.

        Also what such products know there; None where it has not reached the goal.
        """
        before = self.passes

        def report(passes: float, norm: float) -> None:
            self.passes = before + passes
            self._report(norm)

        left = self.asked.max_passes - before - 1.0
        settled = _CLASS_LEVEL * self.start_norm
        low, leading = self.coordinates.rounded(), self.coordinates.leading
        found = newton.descend(base, low, goal, settled, left, report, leading)
        self.passes = before + found.passes
        self.rough_passes += found.rough
        self.iterations += found.iterations
        step = self._to_weights(found.step)
        if not found.reached:
            self._go_on_precisely()
            return step, None
        return step, sampling.Found(found.gradient, base.probabilities, found.change)

    def _surely(self, there: sampling.Found, target: float) -> bool:
        """Whether what is known at the weights is enough to end by it."""
        if self.in_blocks or self.asked.certified_share is not None:
            return False
        wanted = target / SAFETY
        for found in (there, sampling.Found(there.gradient)):
            norm, error = sampling.gradient_norm(
                self.coordinates, self.targets, self.objective.weight_decay, self.w, found
            )
            self.passes += 0.5 * (found is not there)
            if norm + _SURE * error <= wanted:
                self.norm, self.estimated = norm, True
                return True
            if norm > wanted + _SURE * error:
                break
        return False

    def _go_on_precisely(self) -> None:
        """No more rough products; the quasi-Newton iteration has a metric of its own to ask for."""
        self.rough = False
        if self.coordinates.leading is not None:
            self.coordinates = self._choose()

    def _correct(self, base: solver.Base, state: solver.State, target: float) -> solver.State:
        """Iterate from the base point to a gradient norm of ``target``, or until that stalls."""
        best, since, first = math.inf, 0, self.iterations
        while True:
            metric = self._metric(base, state, target, first)
            before = int(state.iterations)
            chunk = _FIRST_CHUNK if self.iterations - first < 16 else _CHUNK
            left = int(min(chunk, self.asked.max_passes - self.passes - 1.0))
            if left < 1:
                return state
            previous = state.step + 0.0
            state = solver.advance(base, metric, state, self.dtype(target), left)
            done = int(state.iterations) - before
            self.passes += done
            self.iterations += done
            norm = float(jnp.linalg.norm(state.gradient))
            if not math.isfinite(norm):  # out of float32's range: keep what was good
                return state._replace(step=previous)
            self._report(norm)
            if norm <= target:
                return state
            since += done
            if norm < 0.67 * best:
                best, since = norm, 0
            if since >= _STALLED:
                return state

    def _metric(
        self, base: solver.Base, state: solver.State, target: float, first: int
    ) -> solver.Metric:
        """The metric to go on with: class-wise once the iteration has settled, if it is slow."""
        n, r = self.objective.n_samples, self.coordinates.rank
        k = self.objective.n_classes
        kept = solver.kept_rows(base, _CLASS_ROWS)
        # Of shards, the largest curvatures of each class would have to be looked for in all.
        if kept and not self.sharded and 4.0 * n * r * k >= _CLASS_WORK:
            norm = float(jnp.linalg.norm(state.gradient))
            made_at, done = self.class_metric_made if self.class_metric else (self.norm, first)
            done = self.iterations - done
            rate = math.log(made_at / norm) / done if done and 0.0 < norm < made_at else 0.0
            worth = rate * _CLASS_ITERATIONS * kept / n
            slow = done and math.log(norm / target) > worth
            if self.class_metric:  # another where predictions have changed since
                slow = slow and norm <= _CLASS_AGAIN * made_at
            if slow and norm <= _CLASS_LEVEL * self.start_norm:
                self.passes += 0.5 * kept**2 / n  # its products, in units of a pass
                self.class_metric = solver.class_metric(base, state, kept)
                self.class_metric_made = (norm, self.iterations)
        return self.class_metric or solver.scalar_metric(base, state)

    def _tighter_target(self, share: float) -> float | None:
        logits = self._logits()
        return tighter_target(self.objective, self._weights(), logits, self.norm, share)

    def _at_floor(self) -> bool:
        return self.norm <= self._rounding()

    def _rounding(self) -> float:
        return self.objective.gradient_rounding(self._weights(), self._logits())

    def _logits(self) -> np.ndarray:
        """Logits (N, K) at the base point, in float64."""
        if self.logits is not None:
            return np.asarray(self.logits)
        x, weights = self.coordinates.rows_exactly(), jnp.asarray(self.w, dtype=np.float64)
        rows = block_rows(self.objective.features.n_features, self.objective.n_classes)
        return np.asarray(points.predictions(x, weights, rows, points.identity))

    def _weights(self) -> np.ndarray:
        return np.ascontiguousarray(self.w.T)

    def _report(self, norm: float) -> None:
        if self.asked.progress is not None:
            self.asked.progress(self.passes, norm / self.start_norm if self.start_norm else 0.0)

    @property
    def _uniform(self) -> bool:
        """Whether ∇L(0) is 0, and not what a device flushes to 0."""
        if isinstance(self.objective.target_deviations, np.ndarray) and not self.sharded:
            return self.objective.start_norm == 0.0
        return not self.moment.values.any()

    def _stats(self, outcome: str, polish: str) -> SolveStats:
        if self.start_norm:
            reached = relative_gap(self.norm, self.start_norm)
        else:
            reached = float(not self._uniform)
        return SolveStats(
            method=_ROUGHLY if self.rough_passes else _PRECISELY,
            result=outcome,
            message=stopped(outcome, reached, self.passes, self.asked.max_passes),
            passes=self.passes,
            iterations=self.iterations,
            polish=polish,
            bfloat16_passes=self.rough_passes,
        )


def rough_products_help(n: int, d: int, k: int) -> bool:
    """Whether products of bfloat16 numbers are fast here, and N × d by K work enough for them."""
    return 4.0 * n * min(n, d) * k >= _NEWTON_WORK and device.multiplies_bfloat16()


def _zero_sum(a: np.ndarray) -> np.ndarray:
    """Weights (K, r) less their mean over classes: the optimum has none, no step changes it."""
    return a - a.mean(axis=0)
