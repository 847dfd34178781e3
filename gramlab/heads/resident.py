"""Rows on a device (JAX): in float64 at base points, in float32 between them while that helps.

Where weight decay dominates the features' curvature, no eigenbasis pays its price, and the
coordinates are the features as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gramlab import errors
from gramlab.features import Features
from gramlab.features.kernel import known_factors
from gramlab.features.sharded import ShardedFeatures, together
from gramlab.heads.arrays import Array
from gramlab.heads.carriers import MakeLoss
from gramlab.heads.loss import CrossEntropy
from gramlab.heads.objective import Objective
from gramlab.heads.preconditioner import metric_bytes
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.rows import Rows, backward, forward
from gramlab.machine import device
from gramlab.machine.backend import jax, jnp
from gramlab.spectrum import Spectrum
from gramlab.targets import OneHotRows

__all__ = ["ResidentRows", "ShardedRows", "bytes_needed"]

_CANCELLED = 1e-3  # of the features' scale: a gradient below it needs float64
_BLOCK_BYTES = 64_000_000  # of the float64 arrays of rows that are evaluated at once
_SMALL_WORK = 1e8  # operations of a pass up to which looks at progress and class metrics cost more


def bytes_needed(features: Features, n_classes: int) -> int:
    """What a head takes on the device, beside rows that are there already."""
    n, d = features.n_samples, features.n_features
    there = features.has_derived(_device_rows, n_classes)
    # 16 of each feature and 60 of each logit, with what is made on the way.
    return 16 * n * d * (not there) + 60 * n * n_classes + metric_bytes(min(n, d), n_classes)


def _padded(n: int) -> int:
    """``n`` rounded up to one number in a few, so that what is compiled serves others near it."""
    step = max(8, 2 ** (n.bit_length() - 5))
    return step * math.ceil(n / step)


class _Basis(NamedTuple):
    """The Gram eigenbasis, of float32 accuracy."""

    vectors: jax.Array  # (d, r) float64
    z: jax.Array  # (rows, r)
    squares: jax.Array  # (r,) Σ_i z_ij²


class ResidentRows:
    """Rows on the device, corrections in float32 while they help; ``loss`` is compiled in."""

    class_metric = True  # where it pays
    cancelled = False  # whether the gradient at W = 0 is small beside what it sums up
    context = staticmethod(device.float64)  # to solve in

    def __init__(self, referee: SoftmaxObjective, loss: MakeLoss) -> None:
        self.referee, self.features, self.loss = referee, referee.features, loss
        self.weight_decay = referee.weight_decay
        self.shape = referee.n_classes, referee.features.n_features
        self.x, self.blocks = self._rows()
        given = referee.target_deviations  # or labels, of which they are made on the device
        self.share = self._put(referee.shares)
        self.targets = self._put(given.labels if isinstance(given, OneHotRows) else given[:])
        k, d = self.shape
        self.one_call = 4.0 * len(self.x) * d * k <= _SMALL_WORK
        self.chunk = 200 if self.one_call else 8
        largest, trace = map(float, _sizes(self._float32(), self.share))
        self.scale = math.sqrt(trace)
        usable = 1e-12 < largest < 1e12 and self.weight_decay > 1e-25  # squares stay in range
        self.dtype: Any = np.float32 if usable else np.float64
        # An eigenbasis is a Gram matrix, its factors and a rotation, in units of a pass of 4NdK.
        price = 0.5 * d / k + 5.0 * d * d / (referee.n_samples * k)
        saved = 2.5 * math.sqrt(trace / (k * self.weight_decay))  # passes, as measured
        self.rows, self.basis = self._coordinates(easy=saved < price)

    def use_float64(self) -> None:
        """Go on in float64, in a basis of that accuracy, if it fits (else NotEnoughMemory)."""
        (k, d), n = self.shape, len(self.x) // self.x.sharding.num_devices
        if shortage := device.shortage(8 * n * (min(len(self.x), d) + 8 * k)):
            raise errors.NotEnoughMemory(f"corrections in float64: {shortage}")
        self.dtype = np.float64
        self.rows, self.basis = self._coordinates(easy=False)

    def at(self, weights: np.ndarray) -> tuple[float, Callable[[], Objective]]:
        """‖∇L‖ at ``weights`` (K, d), and what makes the objective around them; one pass."""
        found = _evaluate(
            (self.x, self.share, self.targets),
            weights,
            np.float64(self.weight_decay),
            loss=self.loss,
            blocks=self.blocks,
            dtype=np.dtype(self.dtype).name,
            axis=self.rows.axis,
        )
        return self._around(*found)

    def at_zero(self) -> tuple[float, Callable[[], Objective]]:
        """The same at W = 0, where the predictions are known: half a pass."""
        if self.dtype == np.float64 or self.loss != CrossEntropy.at:
            return self.at(np.zeros(self.shape))
        given = self._float32(), self.share, self.targets
        found = _at_zero(*given, k=self.shape[0], axis=self.rows.axis)
        if float(found[1]) < _CANCELLED * self.scale:  # rounding, for all that float32 knows
            self.cancelled = True
            return self.referee.start_norm, self.at(np.zeros(self.shape))[1]
        return self._around(*found)

    def _around(
        self, gradient: jax.Array, norm: jax.Array, loss: Any
    ) -> tuple[float, Callable[[], Objective]]:
        decay = np.dtype(self.dtype).type(self.weight_decay)
        return float(norm), lambda: Objective(
            self.rows, decay, self.put(self.to_coordinates(gradient)), loss
        )

    def to_coordinates(self, weights: Array) -> Array:
        """Weights (K, r) in the coordinates, from weights (K, d)."""
        return weights if self.basis is None else _rotated(weights, self.basis)

    def from_coordinates(self, step: Array) -> np.ndarray:
        """Weights (K, d) in float64 from weights (K, r) in the coordinates."""
        if self.basis is None:
            return np.asarray(step, dtype=np.float64)
        # Not by NumPy: the threads of its BLAS go on spinning, on cores that iterations need.
        return np.asarray(_rotated_back(step, self.basis))

    def put(self, step: Array) -> jax.Array:
        """A step (K, r) as the solver takes it."""
        with np.errstate(over="ignore"):  # infinite steps are seen as too long
            return jnp.asarray(step, self.dtype)

    # ---- Where rows, shares and targets are ------------------------------------------------------

    def _rows(self) -> tuple[jax.Array, int]:
        """X (rows, d) in a precision that holds it exactly, and its number of blocks."""
        return self.features.derived(_device_rows, self.shape[0])

    def _float32(self) -> jax.Array:
        return self.features.derived(_float32_rows, self.shape[0])

    def _put(self, values: np.ndarray) -> jax.Array:
        """Values by rows, where the rows are."""
        return device.put_rows(values, len(self.x))

    def _coordinates(self, *, easy: bool) -> tuple[Rows, jax.Array | None]:
        share = self.share.astype(self.dtype)
        n, d = self.features.n_samples, self.features.n_features
        if easy and d <= n:
            z, basis = self._float32(), None
            eigenvalues = jnp.full(d, _moments(z, share).mean())
        elif self.dtype == np.float32 and d <= n:
            basis, z, squares = self._float32_basis()
            weighted = self.referee.row_weights is not None
            eigenvalues = _moments(z, share) if weighted else squares / n
        else:
            basis = self._float64_basis()
            z = _rotated(self.x, basis, dtype=np.dtype(self.dtype).name)
            eigenvalues = _moments(z, share)
        cached = n * self.shape[0] <= 50_000  # logits stay in the cache, and are held as (K, N)
        return Rows(z, share.T if cached else share, eigenvalues), basis

    def _float32_basis(self) -> _Basis:
        return self.features.derived(_eigenbasis, self.shape[0])

    def _float64_basis(self) -> jax.Array:
        return jax.device_put(Spectrum.of(self.features).basis)


class ShardedRows(ResidentRows):
    """Rows of ``ShardedFeatures``: the same computation, XLA adds the collectives.

    In a run of many processes whatever decides whether a collective call comes next is the same
    number in all: norms from an all-reduce, and weights of process 0.
    """

    features: Any
    class_metric = False  # any shard may hold the largest curvatures: all would have to be gathered

    def use_float64(self) -> None:
        """Go on in float64, in all processes or in none."""
        together(super().use_float64)

    def _rows(self) -> tuple[jax.Array, int]:
        return self.features.x, 1

    def _float32(self) -> jax.Array:
        return self.features.derived(_float32_shards)

    def _put(self, values: np.ndarray) -> jax.Array:
        return together(lambda: self.features.put(values, "the targets in shards"))

    def _float32_basis(self) -> _Basis:
        vectors = self._float64_basis()
        z = _rotated(self.x, vectors, dtype="float32")
        return _Basis(vectors, z, jnp.asarray(Spectrum.of(self.features).eigenvalues, "float32"))

    def to_coordinates(self, weights: Array) -> Array:
        """Weights (K, r) from weights (K, d), those of process 0 in all."""
        return device.agreed(np.asarray(super().to_coordinates(weights)))

    def from_coordinates(self, step: Array) -> np.ndarray:
        """Weights (K, d) from weights (K, r), those of process 0 in all."""
        return device.agreed(super().from_coordinates(step))


def _device_rows(features: Features, k: int) -> tuple[jax.Array, int]:
    """X on the device with zero rows behind it, and the number of blocks it is evaluated in."""
    n, d = features.x.shape
    blocks = max(1, math.ceil(8 * n * (d + 4 * k) / _BLOCK_BYTES))
    dtype = np.float64 if features.x.dtype.itemsize == 8 else np.float32
    return device.put_rows(features.x, blocks * _padded(-(-n // blocks)), dtype), blocks


def _float32_rows(features: Features, k: int) -> jax.Array:
    return features.derived(_device_rows, k)[0].astype(np.float32)


def _float32_shards(features: ShardedFeatures) -> jax.Array:
    return features.x.astype(np.float32)


def _eigenbasis(features: Features, k: int) -> _Basis:
    rows, known = features.derived(_float32_rows, k), features.derived(known_factors)
    if known is None:
        return _Basis(*_factorized(rows))
    return _Basis(*_turned(rows, jax.device_put(known.basis)))


@jax.jit
def _factorized(rows: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Eigenvectors of XᵀX (d, d), Z and its columns' squares, which are never negative."""
    # Of 100 rows for each feature a Gram matrix is right to 10 % in every direction.
    some = rows[:: max(1, len(rows) // (100 * rows.shape[1]))]
    gram = jnp.matmul(some.T, some, precision="highest")
    return _turned(rows, jnp.linalg.eigh(gram)[1][:, ::-1])


@jax.jit
def _turned(rows: jax.Array, vectors: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    z = jnp.matmul(rows, vectors.astype(rows.dtype), precision="highest")
    return vectors.astype(jnp.float64), z, (z * z).sum(axis=0)


@jax.jit
def _sizes(rows: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest entry, and Σ ω‖x‖²."""
    return jnp.abs(rows).max(), _moments(rows, share.astype(rows.dtype)).sum()


@jax.jit
def _moments(z: jax.Array, share: jax.Array) -> jax.Array:
    return (share * z * z).sum(axis=0)


@partial(jax.jit, static_argnames="dtype")
def _rotated(x: jax.Array, basis: jax.Array, dtype: str = "float64") -> jax.Array:
    """XV (rows, r), summed in float64."""
    return jnp.matmul(x.astype(jnp.float64), basis).astype(dtype)


@jax.jit
def _rotated_back(step: jax.Array, basis: jax.Array) -> jax.Array:
    return jnp.matmul(step.astype(jnp.float64), basis.T)


def _deviations(targets: jax.Array, k: int, dtype: Any) -> jax.Array:
    """T − 1/K (n, K), of those or of labels (n,)."""
    if targets.ndim == 1:
        return jax.nn.one_hot(targets, k, dtype=dtype) - jnp.asarray(1.0 / k, dtype)
    return targets.astype(dtype)


@partial(jax.jit, static_argnames=("k", "axis"))
def _at_zero(rows: jax.Array, share: jax.Array, targets: jax.Array, k: int, axis: int) -> Any:
    """Gradient (K, d) in float64, its norm, and the cross entropy at logits 0."""
    share = share.astype(rows.dtype)
    gradient = -backward(rows, share * _deviations(targets, k, rows.dtype)).astype(jnp.float64)
    uniform = jnp.zeros_like(share) + jnp.full((1, k), 1.0 / k, rows.dtype)
    return gradient, jnp.linalg.norm(gradient), CrossEntropy(uniform if axis else uniform.T)


@partial(jax.jit, static_argnames=("loss", "blocks", "dtype", "axis"))
def _evaluate(
    rows: tuple[jax.Array, jax.Array, jax.Array],
    weights: jax.Array,
    weight_decay: jax.Array,
    *,
    loss: MakeLoss,
    blocks: int,
    dtype: str,
    axis: int,
) -> Any:
    """∇L (K, d) in float64, its norm, and the loss in ``dtype``; in float64 by blocks of rows.

    ``rows`` are X, shares and targets.
    """

    def block(gradient: jax.Array, of: tuple[jax.Array, ...]) -> tuple[jax.Array, Any]:
        x, share, targets = of
        x = x.astype(jnp.float64)
        deviations = _deviations(targets, len(weights), jnp.float64)
        residual, found = loss(forward(x, weights), deviations)
        gradient = gradient + backward(x, share * residual)
        return gradient, jax.tree.map(lambda leaf: leaf.astype(dtype), found)

    zero = jnp.zeros_like(weights)
    if blocks == 1:  # shards stay where they are
        gradient, found = block(zero, rows)
    else:
        split = jax.tree.map(lambda a: a.reshape(blocks, -1, *a.shape[1:]), rows)
        gradient, found = jax.lax.scan(block, zero, split)
        found = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)
    gradient = gradient + weight_decay * weights
    found = found if axis else jax.tree.map(jnp.transpose, found)
    return gradient, jnp.linalg.norm(gradient), found
