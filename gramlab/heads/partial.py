"""The partial-label head as published: generalized cross entropy, solved to a local optimum.

The objective is ``gramlab.heads.generalized``'s. It is not convex, so what comes out depends on
where the iteration began: a ``LocalFit`` says where that was, how far the objective fell from
there, and how small its gradient is now, all recomputed from the weights.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np

from gramlab import device, errors, validation
from gramlab.certificate import Certificate
from gramlab.features import Features
from gramlab.heads import descent, solver
from gramlab.heads.coordinates import Coordinates
from gramlab.heads.fit import MeasuredFit, SolveStats, Targets, as_features, target_deviations
from gramlab.heads.generalized import GeneralizedCrossEntropy, check_exponent, refuse_certificate
from gramlab.heads.objective import softmax, softmax_deviations
from gramlab.rounding import gamma
from gramlab.targets import OneHotRows

__all__ = ["GeneralizedCrossEntropyHead", "LocalFit"]

_MEMORY = 10  # quasi-Newton pairs, as in the exact head
_CHUNK = 16  # iterations between two looks at progress
_LARGE = 1e8  # operations of a pass from which float32 is worth beginning with
_FLOAT32_FALL = 2e-4  # of the gradient norm, from that at W = 0, that float32 can see reached
_SAFETY = 0.9  # aim below the tolerance, so that the referee's rounding cannot lift it above


@dataclass(frozen=True, eq=False)
class LocalFit(MeasuredFit):
    """A fit to a non-convex objective: a stationary point that belongs to its start.

    Attributes
    ----------
    begun_at : (d, K) or None
        Weights the iteration started from; None is W = 0.
    """

    begun_at: np.ndarray | None = field(kw_only=True, repr=False, default=None)

    @property
    def certificate(self) -> Certificate:  # pyright: ignore[reportIncompatibleVariableOverride]
        """There is none.

        Raises
        ------
        NoCertificate
            Always, with the reason.
        """
        refuse_certificate(self.weights)

    @property
    def start(self) -> str:
        """``"zero"`` or ``"given weights"``."""
        return "zero" if self.begun_at is None else "given weights"

    @cached_property
    def start_objective(self) -> float:
        """L_q at the start; never below ``objective``."""
        begun = np.zeros_like(self.weights) if self.begun_at is None else self.begun_at
        return self.problem.value(begun)


class GeneralizedCrossEntropyHead:
    """Softmax head with the generalized cross entropy, no intercept; a local optimum.

    Parameters
    ----------
    weight_decay
        λ > 0.
    q
        Exponent in (0, 1]; 0.7 is the paper's.
    tolerance
        ‖∇L_q(W)‖²/‖∇L_q(0)‖² to reach, the square of the relative gradient norm, as for the exact
        head; 1e-6 is a gradient norm of 1e-3 of that at W = 0.
    max_passes
        Evaluations of the objective (two matrix products each) after which the solver gives up,
        with a ``NotConvergedWarning`` and a fit whose ``stats`` hold the reason and the remedy.
    progress
        Called after each iteration with (passes so far, relative gradient norm).

    Raises
    ------
    InvalidSetting
        If a parameter is out of range.
    """

    def __init__(
        self,
        weight_decay: float,
        *,
        q: float = 0.7,
        tolerance: float = 1e-6,
        max_passes: int = 5_000,
        progress: Callable[[float, float], None] | None = None,
    ) -> None:
        self.weight_decay = validation.check_weight_decay(weight_decay)
        self.q = check_exponent(q)
        self.tolerance = validation.check_positive("tolerance", tolerance)
        self.max_passes = validation.check_integer("max_passes", max_passes, 1)
        self.progress = progress

    def __repr__(self) -> str:
        """Constructor call."""
        return (
            f"GeneralizedCrossEntropyHead(weight_decay={self.weight_decay!r}, q={self.q!r}, "
            f"tolerance={self.tolerance!r})"
        )

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | OneHotRows | np.ndarray,
        start: np.ndarray | None = None,
    ) -> LocalFit:
        """Descend from ``start`` to a stationary point.

        Parameters
        ----------
        features
            Features in memory, or a bare array x (N, d).
        targets
            T (N, K) with rows on the simplex; ½ on each of two labels gives the mean over both.
        start
            Weights (d, K) to start from; None is W = 0. The objective never rises on the way, so
            that the optimum belongs to the start.

        Raises
        ------
        InvalidTargets, InvalidFeatures, InvalidSetting, NotEnoughMemory
            On bad input, before any work is done.

        Warns
        -----
        NotConvergedWarning
            If the tolerance was not reached.
        """
        features = as_features(features, targets)
        if features.is_mapped:
            raise errors.InvalidSetting(
                "features must be in memory for the generalized cross entropy, got features "
                "mapped from a file: open them with gramlab.load_features"
            )
        deviations = target_deviations(targets, features.n_samples)
        k = deviations.shape[1]
        begun = validation.check_start(start, (features.n_features, k))
        # Deviations of one-hot rows carry a rounding of 1/K that would make zeros negative.
        soft = np.maximum(deviations + 1.0 / k, 0.0)
        problem = GeneralizedCrossEntropy(features, soft, self.weight_decay, self.q)
        descent = _Descent(self, problem, begun)
        weights, stats = descent.run()
        logits = features.as_float64() @ weights
        fit = LocalFit(
            weights=weights,
            deviations=softmax_deviations(logits),
            probabilities=softmax(logits),
            link=softmax,
            weight_decay=self.weight_decay,
            stats=stats,
            certify=refuse_certificate,
            training_logits=lambda: features.as_float64() @ weights,
            problem=problem,
            begun_at=begun,
        )
        if not stats.converged and fit.relative_gradient_norm**2 > self.tolerance:
            warnings.warn(stats.message, errors.NotConvergedWarning, stacklevel=2)
        return fit


class _Descent:
    """One run: float32 while it helps, then float64, in the metric of the linearized Hessian.

    In the Gram eigenbasis the curvature of direction j is near a s_j/N + λ. For a stands the mean
    curvature of the cross entropy at the start, which bounds that of the convex part
    Σ_l T_l p_l^q (diag(p) − ppᵀ) of this loss; it affects speed only.
    """

    def __init__(
        self,
        head: GeneralizedCrossEntropyHead,
        problem: GeneralizedCrossEntropy,
        begun: np.ndarray | None,
    ) -> None:
        self.head, self.problem = head, problem
        self.passes = self.iterations = 0
        n, k = problem.targets.shape
        found = Coordinates.of(problem.features, problem.weight_decay, k)
        # What float32 leaves to do is done in float64, in the same coordinates.
        self.coordinates = found.exact(problem.features) if found.quick else found
        zero = np.zeros((k, self.coordinates.rank))
        self.a = zero if begun is None else self.coordinates.from_weights(begun.T)
        self.a = self.a - self.a.mean(axis=0)  # costs weight decay and does nothing
        with device.float64():
            self.start_norm = self._norm(self._begin(zero, np.float64))
            self.walk = self._begin(self.a, np.float64)
            self.norm = self._norm(self.walk)
        # Targets that pull nowhere leave rounding alone at W = 0, and no fraction of it to reach.
        largest = float(self.coordinates.eigenvalues.sum() / n) ** 0.5
        self.floor = gamma(k + 8) * largest

    def run(self) -> tuple[np.ndarray, SolveStats]:
        target = max(_SAFETY * math.sqrt(self.head.tolerance) * self.start_norm, self.floor)
        with device.float64():
            if self.norm > target and self._float32_helps(target):
                self.walk = self._begin(self.a, np.float32)
                self._descend(target)
                lowered = np.asarray(self.walk.state.step, dtype=np.float64)
                walk = self._begin(lowered, np.float64)
                # What float32 calls lower, float64 may not.
                if float(walk.value) <= float(self._begin(self.a, np.float64).value):
                    self.a = lowered
                else:
                    walk = self._begin(self.a, np.float64)
                self.walk, self.norm = walk, self._norm(walk)
            if self.norm > target:
                self._descend(target)
            self.a = np.asarray(self.walk.state.step)
        weights = np.ascontiguousarray(self.coordinates.to_weights(self.a).T)
        return weights, self._stats(target)

    def _float32_helps(self, target: float) -> bool:
        """Whether the problem is large and its numbers within float32's range and accuracy."""
        n, k = self.problem.targets.shape
        largest = float(self.coordinates.eigenvalues[0])
        work = 4.0 * n * k * self.coordinates.rank
        in_range = 1e-25 < self.start_norm < 1e25 and 1e-25 < largest < 1e25
        return work >= _LARGE and in_range and target >= _FLOAT32_FALL * self.start_norm

    def _begin(self, a: np.ndarray, dtype: type[np.floating]) -> descent.Walk:
        cast = partial(jnp.asarray, dtype=dtype)
        n, k = self.problem.targets.shape
        z = self.coordinates.resident(dtype)
        none = cast(np.zeros((0, 0)))
        base = solver.Base(
            z,
            cast(self.coordinates.eigenvalues),
            cast(self.problem.weight_decay),
            cast(n),
            none,
            none,
        )
        factors, inner = np.zeros((k, 0, self.coordinates.rank)), np.zeros((k, 0, 0))
        metric = solver.Metric(cast(np.zeros(k)), cast(factors), cast(inner))
        self.setting = descent.Problem(
            base, metric, cast(self.problem.targets), cast(self.problem.q)
        )
        walk = descent.begin(self.setting, cast(a), _MEMORY)
        self.passes += 1
        p = jax.nn.softmax(walk.state.logits, axis=1)
        curvature = (1.0 - jnp.vdot(p, p) / n) / (k - 1)
        metric = metric._replace(curvature=jnp.full(k, curvature, dtype=dtype))
        self.setting = self.setting._replace(metric=metric)
        return walk

    def _descend(self, target: float) -> None:
        """Walk until the gradient norm is at most ``target``, the passes are up, or it halts."""
        dtype = self.walk.state.step.dtype
        while self.norm > target and not bool(self.walk.stuck):
            left = int(min(_CHUNK, self.head.max_passes - self.passes))
            if left < 1:
                return
            before = int(self.walk.state.iterations)
            self.walk = descent.advance(
                self.setting, self.walk, jnp.asarray(target, dtype=dtype), left
            )
            done = int(self.walk.state.iterations) - before
            self.passes += done
            self.iterations += done
            self.norm = self._norm(self.walk)
            if self.head.progress is not None:
                relative = self.norm / self.start_norm if self.start_norm else 0.0
                self.head.progress(float(self.passes), relative)

    def _norm(self, walk: descent.Walk) -> float:
        return float(jnp.linalg.norm(walk.state.gradient))

    def _stats(self, target: float) -> SolveStats:
        result, message = "converged", ""
        reached = self.norm / self.start_norm if self.start_norm else self.norm
        if self.norm > target:
            where = f"relative gradient norm {reached:.1e} after {self.passes} passes"
            if self.passes >= self.head.max_passes:
                result = "pass limit"
                message = (
                    f"stopped at max_passes={self.head.max_passes} with {where}: raise "
                    "max_passes, loosen tolerance, or raise weight_decay"
                )
            else:
                result = "float64 floor"
                message = (
                    f"no step lowers the objective in float64 any more at {where}: loosen "
                    "tolerance, or raise weight_decay"
                )
        return SolveStats(
            "Gram-metric L-BFGS descent", result, message, self.passes, self.iterations
        )
