"""The exact head: multinomial cross-entropy with soft targets, solved and certified in float64."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.features.sharded import ShardedFeatures
from gramlab.heads.carriers import FileRows, HostRows, is_small
from gramlab.heads.fit import Fit
from gramlab.heads.loss import CrossEntropy
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.refinement import Refinement, SolverOptions
from gramlab.numerics.rounding import frobenius_norm
from gramlab.targets import OneHotRows, Targets

__all__ = ["SoftmaxHead"]

_METHOD = "L-BFGS corrections"
_READ = f"{_METHOD}, rows read in blocks"


@dataclass(eq=False)
class SoftmaxHead:
    """Exact softmax head: argmin_W L(W; T), no intercept (see ``gramlab.heads.referee``).

    Parameters
    ----------
    weight_decay
        λ > 0.
    sample_weight : (N,), optional
        Weights w ≥ 0 of the rows of every fit; only their ratios matter, whole numbers count
        repeated rows, and a row of weight 0 takes no part. By default all are equal.
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

    weight_decay: float
    _: KW_ONLY
    sample_weight: object = field(default=None, repr=False)
    tolerance: float = 1e-8
    certified_share: float | None = field(default=None, repr=False)
    max_passes: int = field(default=20_000, repr=False)
    progress: Callable[[float, float], None] | None = field(default=None, repr=False)
    signed_targets: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self.weight_decay = validation.check_weight_decay(self.weight_decay)
        self.tolerance = validation.check_positive("tolerance", self.tolerance)
        share = self.certified_share
        if share is not None and not 0.0 < share <= 1.0:
            raise errors.InvalidSetting(
                f"certified_share must be in (0, 1], got {share!r}: 0.99 asks for 99 % of the "
                "training predictions"
            )
        self.max_passes = validation.check_integer("max_passes", self.max_passes, 1)

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
            Features, a bare array x (N, d), or ``ShardedFeatures``. With the last, targets, weights
            and predictions are those of this process's rows, the settings and ``start`` are the
            same in all processes, and all of them call.
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
        given, signed = (targets, self.weight_decay, self.sample_weight), self.signed_targets
        if isinstance(features, ShardedFeatures):
            from gramlab.heads.sharded import ShardedObjective

            begin = 0 if start is None else zlib.crc32(np.array(start, dtype=np.float64).tobytes())
            settings = (self.tolerance, self.max_passes, begin)
            referee = ShardedObjective.of(features, *given, signed=signed, settings=settings)
        else:
            referee = SoftmaxObjective.of(features, *given, signed=signed)
        start = validation.check_start(start, (referee.features.n_features, referee.n_classes))
        fit = self.minimize(referee, start)
        if isinstance(referee.features, ShardedFeatures):
            _ = fit.certificate  # now, in all processes: one that asked alone would wait
        # The referee decides whether the tolerance itself was missed.
        if not fit.stats.converged and fit.certificate.relative_gap > self.tolerance:
            warnings.warn(fit.stats.message, errors.NotConvergedWarning, stacklevel=2)
        return fit

    def minimize(self, referee: SoftmaxObjective, start: np.ndarray | None = None) -> Fit:
        """Minimize an objective that is made already; whoever calls looks at ``Fit.stats``.

        Raises
        ------
        InvalidSetting, NotEnoughMemory
            If a share of certified predictions is asked for that cannot be had, or nothing fits.
        """
        features, share = referee.features, self.certified_share
        sharded = isinstance(features, ShardedFeatures)
        if share is not None and (sharded or features.is_mapped):
            where = "sharded features" if sharded else "features mapped from a file"
            raise errors.InvalidSetting(
                f"certified_share must be None for {where}, got {share}: it needs all logits in "
                "memory; ask for a smaller tolerance instead"
            )
        kind, method = _carrier(referee)
        try:
            return self._solved_by(kind, method, referee, start)
        except errors.NotEnoughMemory as shortage:
            if sharded or kind is FileRows:
                raise
            return self._solved_by(FileRows, f"{_READ} ({shortage})", referee, start)

    def _solved_by(
        self, kind: Any, method: str, referee: SoftmaxObjective, start: np.ndarray | None
    ) -> Fit:
        options = SolverOptions(self.max_passes, self.progress)
        with kind.context():
            rows = kind(referee, CrossEntropy.at)
            run = Refinement(rows, options, None if start is None else start.T)
            if run.start_norm > 0.0:
                outcome = run.to(run.norm_for(self.tolerance))
                polish = self._polish(referee, run) if outcome == "converged" else ""
                gap = run.relative_gap(run.norm)
                if rows.cancelled and outcome == "converged":  # within rounding of the referee's
                    gap = run.relative_gap(frobenius_norm(referee.gradient(run.weights.T)))
                    outcome = "converged" if gap <= self.tolerance else "float64 floor"
            else:
                # Uniform targets have the optimum W = 0; those that are almost so, an unknown one.
                uniform, polish = referee.start_norm == 0.0, ""
                outcome, gap = ("converged", 0.0) if uniform else ("float64 floor", 1.0)
            weights = np.ascontiguousarray(run.weights.T)
        stats = run.stats(method, outcome, f"relative gap {gap:.1e}", polish)
        return Fit.at(referee, weights, stats)

    def _polish(self, referee: SoftmaxObjective, run: Refinement) -> str:
        """Go on until the asked share of predictions is certified; the outcome in words."""
        if self.certified_share is None:
            return ""
        while True:
            weights = run.weights.T
            logits = referee.logits(weights)
            rounding = referee.gradient_rounding(weights, logits)
            target = _tighter_target(referee, logits, run.norm, rounding, self.certified_share)
            if target is None:
                return "share reached"
            if run.norm <= rounding:
                return "float64 floor"
            outcome = run.to(target)
            if outcome != "converged":
                return outcome


def _carrier(referee: SoftmaxObjective) -> tuple[Any, str]:
    """Where to solve, and the method in words."""
    features, k = referee.features, referee.n_classes
    if isinstance(features, ShardedFeatures):
        from gramlab.heads.resident import ShardedRows

        return ShardedRows, f"{_METHOD} on shards"
    if features.is_mapped:
        return FileRows, _READ
    if is_small(features, k):
        return HostRows, f"{_METHOD} by NumPy"
    from gramlab.heads.resident import ResidentRows, bytes_needed
    from gramlab.machine import device  # and JAX with it

    if shortage := device.shortage(bytes_needed(features, k)):
        return FileRows, f"{_READ} ({shortage})"
    return ResidentRows, _METHOD


def _tighter_target(
    referee: SoftmaxObjective, logits: np.ndarray, norm: float, rounding: float, share: float
) -> float | None:
    """The gradient norm that certifies ``share`` of the rows, or None when it is reached."""
    # By the global bound (‖g‖ + rounding)/λ: the local one costs as many passes as going on to it.
    top = np.partition(logits, -2, axis=1)[:, -2:]
    # A zero row has zero logits at every W: its tie is real and never certified.
    norms = np.where(referee.row_norms > 0.0, referee.row_norms, np.inf)
    ratios = np.sort((top[:, 1] - top[:, 0]) / (math.sqrt(2.0) * norms))
    worst = float(ratios[min(int((1.0 - share) * len(ratios)), len(ratios) - 1)])
    needed = referee.weight_decay * worst
    if norm + rounding < needed:
        return None
    return max(0.5 * (needed - rounding), 0.5 * rounding)
