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
from scipy.optimize import OptimizeResult, minimize

from gramlab import device, errors, validation
from gramlab.certificate import Certificate
from gramlab.features import Features
from gramlab.heads.coordinates import Coordinates
from gramlab.heads.fit import Fit, SolveStats, Targets, as_features, target_rows
from gramlab.heads.generalized import GeneralizedCrossEntropy, check_exponent, refuse_certificate
from gramlab.heads.objective import softmax, softmax_deviations
from gramlab.rounding import gamma
from gramlab.targets import OneHotRows

__all__ = ["GeneralizedCrossEntropyHead", "LocalFit"]

_MEMORY = 10  # quasi-Newton pairs, as in the exact head
_SAFETY = 0.9  # aim below the tolerance, so that the referee's rounding cannot lift it above


@dataclass(frozen=True, eq=False)
class LocalFit(Fit):
    """A fit to a non-convex objective: a stationary point that belongs to its start.

    Attributes
    ----------
    problem
        The objective, in NumPy and float64, that all numbers below are recomputed with.
    begun_at : (d, K) or None
        Weights the iteration started from; None is W = 0.
    """

    problem: GeneralizedCrossEntropy = field(kw_only=True, repr=False)
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
    def gradient_norm(self) -> float:
        """‖∇L_q(W)‖_F."""
        return float(np.linalg.norm(self.problem.gradient(self.weights)))

    @cached_property
    def start_gradient_norm(self) -> float:
        """‖∇L_q(0)‖_F, the scale of ``relative_gradient_norm``, wherever the iteration began."""
        return float(np.linalg.norm(self.problem.gradient(np.zeros_like(self.weights))))

    @property
    def relative_gradient_norm(self) -> float:
        """‖∇L_q(W)‖/‖∇L_q(0)‖ (0 when both vanish)."""
        if self.start_gradient_norm == 0.0:
            return 0.0 if self.gradient_norm == 0.0 else math.inf
        return self.gradient_norm / self.start_gradient_norm

    @cached_property
    def objective(self) -> float:
        """L_q(W; T)."""
        return self.problem.value(self.weights)

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
        deviations = np.asarray(target_rows(targets, features)[:])
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
            problem=problem,
            begun_at=begun,
        )
        if not stats.converged and fit.relative_gradient_norm**2 > self.tolerance:
            warnings.warn(stats.message, errors.NotConvergedWarning, stacklevel=2)
        return fit


class _Descent:
    """L-BFGS in coordinates in which the curvature of all directions is about 1.

    In the Gram eigenbasis the curvature of direction j is near a s_j/N + λ. Dividing by its root is
    a change of variables, so that SciPy's L-BFGS-B, whose first metric is a multiple of the
    identity, needs few evaluations. Its line search asks for decrease at every step. For a stands
    the mean curvature of the cross entropy at the start, which bounds that of the convex part
    Σ_l T_l p_l^q (diag(p) − ppᵀ) of this loss; it affects speed only.
    """

    def __init__(
        self,
        head: GeneralizedCrossEntropyHead,
        problem: GeneralizedCrossEntropy,
        begun: np.ndarray | None,
    ) -> None:
        self.head = head
        self.iterations = 0
        n, self.k = problem.targets.shape
        self.coordinates = Coordinates.of(problem.features, problem.weight_decay, self.k)
        with device.float64():
            constants = (
                self.coordinates.resident(np.float64),
                jnp.asarray(problem.targets),
                float(n),
                problem.weight_decay,
                problem.q,
            )
        self.evaluate = partial(_value_and_gradient, *constants)
        zero = np.zeros((self.k, self.coordinates.rank))
        self.start = zero if begun is None else self.coordinates.from_weights(begun)
        with device.float64():
            _, gradient, _ = self.evaluate(zero)
            _, begun_gradient, curvature = self.evaluate(self.start)
        self.passes, self.norm = 2, float(np.linalg.norm(begun_gradient))
        self.start_norm = float(np.linalg.norm(gradient))
        # Targets that pull nowhere leave rounding alone at W = 0, and no fraction of it to reach.
        largest = float(self.coordinates.eigenvalues.sum() / n) ** 0.5
        self.floor = gamma(self.k + 8) * largest
        eigenvalues = np.maximum(self.coordinates.eigenvalues, 0.0)
        self.scale = 1.0 / np.sqrt(float(curvature) * eigenvalues / n + problem.weight_decay)

    def run(self) -> tuple[np.ndarray, SolveStats]:
        target = max(_SAFETY * math.sqrt(self.head.tolerance) * self.start_norm, self.floor)
        if self.norm <= target:
            return self.coordinates.to_weights(self.start), self._stats(target)
        with device.float64():
            found = minimize(
                self._scaled,
                (self.start / self.scale).ravel(),
                jac=True,
                method="L-BFGS-B",
                callback=partial(self._watch, target),
                options={
                    "maxcor": _MEMORY,
                    "maxfun": self.head.max_passes,
                    "maxiter": self.head.max_passes,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
            weights = found.x.reshape(self.k, -1) * self.scale
            _, gradient, _ = self.evaluate(weights)
        self.norm = float(np.linalg.norm(gradient))
        return self.coordinates.to_weights(weights), self._stats(target)

    def _scaled(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient, _ = self.evaluate(flat.reshape(self.k, -1) * self.scale)
        gradient = np.asarray(gradient)
        self.passes += 1
        self.norm = float(np.linalg.norm(gradient))
        return float(value), (gradient * self.scale).ravel()

    def _watch(self, target: float, intermediate_result: OptimizeResult) -> None:
        """After an iteration, whose last evaluation was at the point it accepted."""
        self.iterations += 1
        if self.head.progress is not None:
            relative = self.norm / self.start_norm if self.start_norm else 0.0
            self.head.progress(float(self.passes), relative)
        if self.norm <= target:
            raise StopIteration

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
            "L-BFGS-B in the Gram metric", result, message, self.passes, self.iterations
        )


@jax.jit
def _value_and_gradient(
    z: jax.Array,
    targets: jax.Array,
    samples: float,
    weight_decay: float,
    q: float,
    weights: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """L_q, its gradient (K, r), and the mean curvature of the cross entropy, at W (K, r)."""
    logits = jnp.matmul(z, jax.lax.optimization_barrier(weights.T), precision="highest")
    logs = jax.nn.log_softmax(logits, axis=1)
    p = jnp.exp(logs)
    pulls = targets * jnp.exp(q * logs)
    pull = pulls.sum(axis=1, keepdims=True)
    value = -jnp.vdot(targets, jnp.expm1(q * logs)) / (q * samples)
    value += 0.5 * weight_decay * jnp.vdot(weights, weights)
    residual = jax.lax.optimization_barrier((p * pull - pulls).T)
    gradient = jnp.matmul(residual, z, precision="highest") / samples + weight_decay * weights
    return value, gradient, (1.0 - jnp.vdot(p, p) / samples) / (p.shape[1] - 1)
