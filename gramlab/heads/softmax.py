"""The exact head: multinomial cross-entropy with soft targets, solved and certified in float64."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np

from gramlab import device, errors, validation
from gramlab.features import Features
from gramlab.heads import tiles
from gramlab.heads.coordinates import fetch
from gramlab.heads.corrections import SAFETY, Asked, Corrections, rough_products_help
from gramlab.heads.fit import (
    Fit,
    SolveStats,
    Targets,
    as_features,
    mend_flushed,
    target_rows,
)
from gramlab.heads.objective import SoftmaxObjective, softmax, softmax_deviations
from gramlab.heads.resident import Moment, ResidentFit, ResidentTargets, TaughtTargets
from gramlab.heads.sharded import ShardedObjective, sharded_objective
from gramlab.heads.small import ONE_CALL, Attempt, attempt, is_small
from gramlab.heads.stopping import relative_gap, stopped, tighter_target
from gramlab.heads.streamed import StreamedFit, minimize_streamed
from gramlab.rounding import frobenius_norm
from gramlab.sharded import ShardedFeatures
from gramlab.targets import OneHotRows

__all__ = ["SoftmaxHead", "keeps_cores_busy"]

# Of each feature and each logit. Features in float64 and float32, coordinates also in bfloat16,
# twice; targets, logits, predictions and their changes in either.
_BYTES_HERE = 28, 80
_BYTES_THERE = 14, 40  # on an accelerator: once, and of float64 targets alone
_BUSY_WORK = 2e9  # operations of a pass whose products in tiles leave little between them
_STREAMED = "streamed Gram-metric L-BFGS"


class SoftmaxHead:
    """Exact softmax head: argmin_W L(W; T), no intercept (see ``gramlab.heads.objective``).

    Parameters
    ----------
    weight_decay
        λ > 0.
    tolerance
        Relative duality gap ‖g‖²/‖g(0)‖² to reach; 1e-8 is a gradient norm of 1e-4 of the start.
    certified_share
        If given, go on past ``tolerance`` until this share of the training predictions is
        certified (their class cannot change between W and W*), or the float64 floor is reached;
        ``Fit.stats.polish`` says which.
    max_passes
        Passes over the features (two matrix products each) after which the solver gives up, with
        a ``NotConvergedWarning`` and a ``Fit`` whose ``stats`` hold the reason and the remedy.
    progress
        Called now and then with (passes so far, ‖g‖/‖g(0)‖).
    signed_targets
        Accept target rows that sum to 1 with negative entries, such as ξP + (1 − ξ)Y with ξ > 1:
        the targets enter the objective linearly, so it stays strongly convex and its certificates
        hold as they are.

    Raises
    ------
    InvalidSetting
        If a parameter is out of range.
    """

    def __init__(
        self,
        weight_decay: float,
        *,
        tolerance: float = 1e-8,
        certified_share: float | None = None,
        max_passes: int = 20_000,
        progress: Callable[[float, float], None] | None = None,
        signed_targets: bool = False,
    ) -> None:
        self.weight_decay = validation.check_weight_decay(weight_decay)
        self.tolerance = validation.check_positive("tolerance", tolerance)
        if certified_share is not None and not 0.0 < certified_share <= 1.0:
            raise errors.InvalidSetting(
                f"certified_share must be in (0, 1], got {certified_share!r}: 0.99 asks for 99 % "
                "of the training predictions"
            )
        self.certified_share = certified_share
        self.max_passes = validation.check_integer("max_passes", max_passes, 1)
        self.progress = progress
        self.signed_targets = bool(signed_targets)

    def __repr__(self) -> str:
        """Constructor call."""
        return f"SoftmaxHead(weight_decay={self.weight_decay!r}, tolerance={self.tolerance!r})"

    def fit(
        self,
        features: Features | ShardedFeatures | np.ndarray,
        targets: Targets | OneHotRows | np.ndarray,
        start: np.ndarray | None = None,
    ) -> Fit:
        """Fit to soft targets T (N, K) with rows on the simplex.

        Parameters
        ----------
        features
            Features, a bare array x (N, d), or ``ShardedFeatures``. With the last, targets and
            predictions are those of this process's rows, the settings and ``start`` are the same
            in all processes, and all of them call.
        targets
            T (N, K), or ``Targets`` from a previous fit, or ``OneHotRows``.
        start
            Weights (d, K) to start from; the optimum does not depend on them. A start whose
            gradient is larger than that of W = 0 is not used.

        Raises
        ------
        InvalidTargets, InvalidFeatures, InvalidSetting, NotEnoughMemory
            On bad input, before any work is done.

        Warns
        -----
        NotConvergedWarning
            If the tolerance was not reached.
        """
        objective = self._objective(features, targets, start)
        start = validation.check_start(start, (objective.features.n_features, objective.n_classes))
        shortage = self._shortage(objective)
        if shortage is None:
            taught = isinstance(targets, TaughtTargets)
            moment = targets.moment(objective.features) if taught else None
            fit = self._solved(objective, start, moment)
        else:
            fit = self._streamed(objective, start, shortage)
        stats = fit.stats
        if not stats.converged:
            # The float64 referee decides whether the tolerance itself was missed.
            if fit.certificate.relative_gap > self.tolerance:
                warnings.warn(stats.message, errors.NotConvergedWarning, stacklevel=2)
        return fit

    def _objective(
        self,
        features: Features | ShardedFeatures | np.ndarray,
        targets: Targets | OneHotRows | np.ndarray,
        start: np.ndarray | None,
    ) -> SoftmaxObjective:
        if not isinstance(features, ShardedFeatures):
            features = as_features(features, targets)
            if device.accelerated():
                fetch(features)
            if isinstance(targets, ResidentTargets) and targets.shape[0] == features.n_samples:
                return SoftmaxObjective(features, targets, self.weight_decay)
            rows = target_rows(targets, features.n_samples, signed=self.signed_targets)
            return SoftmaxObjective(features, rows, self.weight_decay)
        if self.certified_share is not None:
            raise errors.InvalidSetting(
                f"certified_share must be None for sharded features, got {self.certified_share}: "
                "no process has all rows; ask for a smaller tolerance instead"
            )
        begin = 0 if start is None else zlib.crc32(np.array(start, dtype=np.float64).tobytes())
        settings = (self.tolerance, self.max_passes, begin)
        return sharded_objective(features, targets, self.weight_decay, settings)

    def _shortage(self, objective: SoftmaxObjective) -> str | None:
        """Why to read the features in blocks, in words; None where they can be on the device."""
        if isinstance(objective, ShardedObjective):
            return None
        if objective.features.is_mapped:
            return ""
        n, k = objective.n_samples, objective.n_classes
        d = objective.features.n_features
        derived = objective.features._memo.copy()  # others may be adding to it
        known = any(isinstance(key, tuple) and key[0] == "device" for key in derived)
        per_feature, per_logit = _BYTES_THERE if device.accelerated() else _BYTES_HERE
        needed = per_logit * n * k + (0 if known else per_feature * n * d)
        return device.shortage(needed) or None

    def _solved(
        self, objective: SoftmaxObjective, start: np.ndarray | None, moment: Moment | None
    ) -> Fit:
        found = self._attempt(objective, start)
        if found is not None and found.reached and self.certified_share is None:
            stats = SolveStats(ONE_CALL, passes=found.passes, iterations=found.iterations)
            weights = np.ascontiguousarray(found.weights.T)
            return self._fit(objective, weights, found.deviations, found.probabilities, stats)
        asked = Asked(self.tolerance, self.certified_share, self.max_passes, self.progress)
        try:
            begin = start if found is None else found.weights.T
            solve = Corrections(asked, objective, begin, moment)
            if found is not None:
                solve.passes += found.passes
                solve.iterations += found.iterations
            weights, stats = solve.run()
        except errors.NotEnoughMemory as shortage:
            if not device.accelerated():
                raise
            return self._streamed(objective, start, str(shortage))
        sharded = isinstance(objective, ShardedObjective)
        if solve.in_blocks:
            return ResidentFit(objective, weights, stats, solve.coordinates)
        if solve.estimated:
            moment = solve.next_moment()
            return ResidentFit(objective, weights, stats, solve.coordinates, moment)
        if sharded:
            deviations = objective.features.own_rows(solve.deviations)
            logits = objective.features.own_rows(solve.logits)
            probabilities = softmax(logits)
        else:
            logits = None
            deviations, probabilities = solve.predictions()
        fit = self._fit(objective, weights, deviations, probabilities, stats, logits)
        if sharded:
            _ = fit.certificate  # now, in all processes: one that asked alone would wait
        return fit

    def _attempt(self, objective: SoftmaxObjective, start: np.ndarray | None) -> Attempt | None:
        """A small head in one call; None where it is not small, or nothing came of it."""
        n, d, k = objective.n_samples, objective.features.n_features, objective.n_classes
        if isinstance(objective, ShardedObjective) or device.accelerated():
            return None
        if rough_products_help(n, d, k) or not is_small(n, d, k):
            return None
        fall = SAFETY * math.sqrt(self.tolerance)
        found = attempt(objective, start, fall, self.max_passes)
        if found is not None and self.progress is not None:
            self.progress(found.passes, found.norm / found.start_norm)
        return found

    def _fit(
        self,
        objective: SoftmaxObjective,
        weights: np.ndarray,
        deviations: np.ndarray,
        probabilities: np.ndarray,
        stats: SolveStats,
        logits: np.ndarray | None = None,
    ) -> Fit:
        compute = partial(objective.logits, weights) if logits is None else lambda: logits
        if logits is None:
            features = objective.features
            deviations = mend_flushed(features, weights, deviations, softmax_deviations)
            probabilities = mend_flushed(features, weights, probabilities, softmax)
        return Fit(
            weights=weights,
            deviations=deviations,
            probabilities=probabilities,
            link=softmax,
            weight_decay=self.weight_decay,
            stats=stats,
            certify=objective.certificate,
            training_logits=compute,
            loss=objective,
        )

    def _streamed(
        self, objective: SoftmaxObjective, start: np.ndarray | None, shortage: str
    ) -> Fit:
        """Fit in passes over blocks of rows, putting nothing of size (N, d) on the device."""
        share = self.certified_share
        if share is not None and objective.features.is_mapped:
            raise errors.InvalidSetting(
                "certified_share must be None for features mapped from a file, got "
                f"{share}: it needs all logits in memory; ask for a smaller "
                "tolerance instead"
            )
        shape = (objective.features.n_features, objective.n_classes)
        start_norm = frobenius_norm(objective.gradient(np.zeros(shape)))
        method = f"{_STREAMED} ({shortage})" if shortage else _STREAMED
        if start_norm == 0.0:
            stats = SolveStats(method, passes=1.0)
            return StreamedFit(objective, np.zeros(shape), stats)

        def report(passes: float, norm: float) -> None:
            if self.progress is not None:
                self.progress(passes, norm / start_norm)

        target = SAFETY * math.sqrt(self.tolerance) * start_norm
        looked = 2.0
        if start is not None:
            looked += 1.0
            if not frobenius_norm(objective.gradient(start)) < start_norm:
                start = None
        found = minimize_streamed(objective, start, target, self.max_passes, report)
        weights, outcome, polish = found.weights, found.outcome, ""
        passes, iterations = found.passes + looked, found.iterations
        norm = frobenius_norm(objective.gradient(weights))
        while share is not None and outcome == "converged":
            logits = objective.logits(weights)
            tighter = tighter_target(objective, weights, logits, norm, share)
            passes += 0.5
            if tighter is None:
                polish = "share reached"
                break
            if norm <= objective.gradient_rounding(weights, logits):
                polish = "float64 floor"
                break
            left = int(self.max_passes - passes)
            if left < 1:
                polish = "pass limit"
                break
            found = minimize_streamed(objective, weights, tighter, left, report)
            passes, iterations = passes + found.passes, iterations + found.iterations
            weights, norm = found.weights, frobenius_norm(objective.gradient(found.weights))
            if found.outcome != "converged":
                polish = found.outcome
                break
        message = stopped(outcome, relative_gap(norm, start_norm), passes, self.max_passes)
        stats = SolveStats(method, outcome, message, passes, iterations, polish)
        return StreamedFit(objective, weights, stats)


def keeps_cores_busy(n: int, d: int, k: int) -> bool:
    """Whether a head on N × d features and K classes leaves no core idle: products in large tiles.

    Then a second head at the same time takes longer than one after the other.
    """
    large = 4.0 * n * min(n, d) * k >= _BUSY_WORK
    return large and rough_products_help(n, d, k) and tiles.available()
