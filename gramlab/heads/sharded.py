"""The softmax objective on rows over devices: the parts that the head and the referee need.

What is summed over rows is computed by compiled float64 functions of the shards; XLA ends them in
an all-reduce. No sum over N terms in any order has a larger rounding bound than γ_N, and a zero row
adds exactly nothing, so the bounds of ``gramlab.heads.objective`` hold as they stand, but for the
elementary functions: XLA's exp and expm1 in float64 are granted 32 units of roundoff, not 8.

In a run of many processes, choices that decide whether a collective call comes next are made by
process 0, or from numbers that an all-reduce has made equal: hosts that round differently would
wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from gramlab import device, errors
from gramlab.certificate import Certificate
from gramlab.heads.coordinates import Coordinates
from gramlab.heads.fit import Targets, target_deviations
from gramlab.heads.objective import Evaluation, SoftmaxObjective
from gramlab.rounding import gamma
from gramlab.sharded import ShardedFeatures, together
from gramlab.spectrum import Spectrum, check_scale
from gramlab.targets import OneHotRows

__all__ = ["ShardedCoordinates", "ShardedObjective", "sharded_objective"]


@dataclass(frozen=True, eq=False)
class ShardedCoordinates(Coordinates):
    """Coordinates whose rows stay where the rows of x are."""

    def rows(self, dtype: npt.DTypeLike) -> jax.Array:
        """X (rows of all shards, d) over the devices, made once per precision."""
        return self._kept("rows", dtype)

    def resident(self, dtype: npt.DTypeLike) -> jax.Array:
        """Z (rows of all shards, r) over the devices, made once per precision and basis."""
        return self._kept("rows" if self.basis is None else "eigenbasis", dtype)

    def _kept(self, what: str, dtype: npt.DTypeLike) -> jax.Array:
        sharded: Any = self.features
        name = np.dtype(dtype).name

        def make() -> jax.Array:
            with device.float64():
                if what == "rows" or self.basis is None:
                    return sharded.x.astype(dtype)
                return _rotated(sharded.x, self.basis, name)

        return sharded._memo.once(("device", what, name), make)

    def to_weights(self, a: np.ndarray) -> np.ndarray:
        """Weights (K, d) from weights a (K, r), those of process 0 in all: a collective call."""
        return device.agreed(super().to_weights(a))

    def from_weights(self, weights: np.ndarray) -> np.ndarray:
        """Weights (K, r) from those (K, d), of process 0 in all: a collective call."""
        return device.agreed(super().from_weights(weights))


@dataclass(frozen=True, eq=False)
class ShardedObjective(SoftmaxObjective):
    """L(·; T) on rows over devices; every method is a collective call.

    Attributes
    ----------
    features
        ``ShardedFeatures`` of N true rows.
    target_deviations : jax.Array
        T − 1/K in float64, laid out like the rows; 0 in the rows that fill up shards.
    weight_decay
        λ > 0.
    """

    features: Any
    target_deviations: Any

    exponential_units: ClassVar[int] = 32

    @property
    def streams(self) -> bool:
        """True: nothing of size (N, d) or (N, K) is brought to a host."""
        return True

    @property
    def max_row_norm(self) -> float:
        """max_i ‖x_i‖, rounded up."""
        return self.features.max_row_norm * (1.0 + gamma(self.features.n_features + 8))

    @property
    def mean_square_norm(self) -> float:
        """Σ_i ‖x_i‖²/N, rounded up."""
        length = self.n_samples + self.features.n_features
        return self.features._memo["trace"] / self.n_samples * (1.0 + gamma(length + 8))

    def evaluate(self, weights: np.ndarray) -> Evaluation:
        """Value, gradient and mean curvature at W (d, K), in one pass."""
        n, k = self.n_samples, self.n_classes
        with device.float64():
            sums = _evaluate(self.features.x, self.target_deviations, _float64(weights))
            fit, squares, moment = (np.asarray(part) for part in sums)
        value = float(fit) / n + 0.5 * self.weight_decay * float(np.vdot(weights, weights))
        gradient = moment / n + self.weight_decay * weights
        return Evaluation(value, gradient, (1.0 - 1.0 / k - float(squares) / n) / (k - 1))

    def gradient_rounding(self, weights: np.ndarray, logits: np.ndarray | None = None) -> float:
        """Bound ‖computed ∇L(W) − ∇L(W)‖_F, as the objective in memory does.

        ``logits`` are not used: they are computed from ``weights``.
        """
        with device.float64():
            total = _rounding_sum(
                self.features.x,
                self.target_deviations,
                _float64(weights),
                gamma(self.n_samples + 4),
                gamma(self.n_classes + self.exponential_units),
                self._logit_errors(1.0, weights),
            )
            total = float(total)
        return self._rounding_of(total, weights)

    def certificate(self, weights: np.ndarray) -> Certificate:
        """Certify W as in memory, all of it now: a process that asked later would wait alone."""
        found = super().certificate(weights)
        _ = found.newton_decrement
        return found

    def _start_gradient(self) -> np.ndarray:
        with device.float64():
            moment = np.asarray(_moment(self.features.x, self.target_deviations))
        return -moment / self.n_samples

    def _streamed_hessian_product(self, weights: np.ndarray, direction: np.ndarray) -> np.ndarray:
        with device.float64():
            product = _curved(self.features.x, _float64(weights), _float64(direction))
            product = np.asarray(product)
        return product / self.n_samples + self.weight_decay * direction

    def _newton_decrement(
        self,
        gradient: np.ndarray,
        product: Callable[[np.ndarray], np.ndarray],
        curvature: float,
    ) -> float:
        """As in memory, on process 0; the others take part in the products it asks for."""
        Spectrum.of(self.features)  # its preconditioner, which is a collective call at first
        index, count = device.process()
        if count == 1:
            return super()._newton_decrement(gradient, product, curvature)
        shape = gradient.shape

        def tell(word: float, values: np.ndarray | None = None) -> np.ndarray:
            message = np.zeros(1 + gradient.size)
            message[0] = word
            if values is not None:
                message[1:] = values.ravel()
            return device.agreed(message)

        if index == 0:

            def asked(direction: np.ndarray) -> np.ndarray:
                tell(-1.0, direction)
                return product(direction)

            return float(tell(super()._newton_decrement(gradient, asked, curvature))[0])
        while (message := tell(0.0))[0] < 0.0:
            product(message[1:].reshape(shape))
        return float(message[0])


def sharded_objective(
    features: ShardedFeatures,
    targets: Targets | OneHotRows | np.ndarray,
    weight_decay: float,
    settings: tuple[float, ...] = (),
) -> ShardedObjective:
    """Check this process's targets and spread them like its rows: a collective call.

    Parameters
    ----------
    features
        N rows over devices, n of them in this process.
    targets
        T (n, K) of this process's rows, as an array, ``OneHotRows``, or ``Targets`` of a fit.
    weight_decay
        λ > 0.
    settings
        Other numbers that have to be the same in all processes.

    Raises
    ------
    InvalidTargets, NotEnoughMemory
        If they are malformed, or do not fit.
    InvalidFeatures
        If another process refused its own, or all are too small or too large (``check_scale``).
    InvalidSetting
        If K, λ or ``settings`` differ between processes.
    """

    def checked() -> np.ndarray:
        deviations = target_deviations(targets, features.n_local)
        if deviations.shape[1] < 2:
            raise errors.InvalidTargets(
                f"targets must have at least 2 classes (columns), got {deviations.shape[1]}"
            )
        return deviations

    check_scale(features)
    deviations = together(checked)
    told = device.gathered([deviations.shape[1], weight_decay, *settings])
    if (told != told[0]).any():
        raise errors.InvalidSetting(
            "classes, weight_decay, tolerance, max_passes and start must be the same in all "
            f"processes, got {told.tolist()}: pass every process the same head"
        )
    rows = together(lambda: features.put(deviations, "the targets in shards"))
    return ShardedObjective(features, rows, weight_decay)


def _float64(values: npt.ArrayLike) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def _rotated(x: jax.Array, basis: np.ndarray, dtype: str) -> jax.Array:
    """XV in float64, held as ``dtype``."""
    return _product(x, basis).astype(dtype)


@jax.jit
def _product(x: jax.Array, basis: jax.Array) -> jax.Array:
    return x.astype(jnp.float64) @ basis


@jax.jit
def _moment(x: jax.Array, values: jax.Array) -> jax.Array:
    return x.astype(jnp.float64).T @ values


@jax.jit
def _evaluate(
    x: jax.Array, targets: jax.Array, weights: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Σ (CE − log K), ‖P − 1/K‖² and Xᵀ(P − T); a row of zeros has zero in each."""
    x = x.astype(jnp.float64)
    logits = x @ weights
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = -shifted.mean(axis=1) - (targets * shifted).sum(axis=1)
    change = jnp.expm1(shifted)
    losses = losses + jnp.log1p(change.mean(axis=1))
    partition = (change + 1.0).sum(axis=1, keepdims=True)
    deviations = (change - change.mean(axis=1, keepdims=True)) / partition
    return losses.sum(), jnp.vdot(deviations, deviations), x.T @ (deviations - targets)


@jax.jit
def _rounding_sum(
    x: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    of_rows: jax.Array,
    of_softmax: jax.Array,
    of_logits: jax.Array,
) -> jax.Array:
    """The sum over rows in ``SoftmaxObjective.gradient_rounding``; 0 for a row of zeros.

    Rows whose squares underflow are 1e80 times smaller than the largest: lost in what the sum is
    rounded up by.
    """
    x = x.astype(jnp.float64)
    k = weights.shape[1]
    p = jax.nn.softmax(x @ weights, axis=1)
    norms = jnp.linalg.norm(x, axis=1)
    residuals = jnp.linalg.norm(p - 1.0 / k - targets, axis=1)
    evaluation = of_softmax * (jnp.sqrt(float(k)) * p.max(axis=1) + 2.0)
    largest = (p * (1.0 - p)).max(axis=1) + of_softmax
    errors = of_logits * norms
    jacobian = jnp.minimum(0.5, 2.0 * largest * jnp.exp(2.0 * errors))
    moved = jnp.minimum(jnp.sqrt(2.0), jacobian * errors)
    return jnp.vdot(norms, of_rows * residuals + evaluation + moved)


@jax.jit
def _curved(x: jax.Array, weights: jax.Array, direction: jax.Array) -> jax.Array:
    """N times the data part of ∇²L(W) applied to D (d, K)."""
    x = x.astype(jnp.float64)
    p = jax.nn.softmax(x @ weights, axis=1)
    change = x @ direction
    change = p * (change - (p * change).sum(axis=1, keepdims=True))
    return x.T @ change
