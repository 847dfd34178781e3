"""Rows on a device (JAX): in float64 at base points, in float32 between them while that helps.

Where weight decay dominates the features' curvature, no eigenbasis pays its price, and the
coordinates are the features as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gramlab import device, errors
from gramlab.features import Features
from gramlab.heads.arrays import Array
from gramlab.heads.carriers import MakeLoss, relative_shares
from gramlab.heads.loss import CrossEntropy
from gramlab.heads.objective import Objective
from gramlab.heads.preconditioner import metric_bytes
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.rows import Rows, backward, forward
from gramlab.spectrum import Spectrum
from gramlab.targets import OneHotRows

__all__ = ["Basis", "ResidentRows", "bytes_needed", "padded", "rotated"]

_BYTES = 16, 60  # of each feature and each logit, what is made on the way included
_CANCELLED = 1e-3  # of the features' scale: a gradient below it needs float64
_BLOCK_BYTES = 64_000_000  # of the float64 arrays of rows that are evaluated at once
_SAVED = 2.5  # passes that an eigenbasis saves, times the root of mean‖x‖²/(Kλ)
_RANGE = 1e-12, 1e12  # of the largest feature: float32 squares and sums stay in range
_GRAM_ROWS = 100  # for each feature: of them a Gram matrix is right to 10 % in every direction
_ROWS_INSIDE = 50_000  # logits that stay in the cache, where they are held as (K, N)
_SMALL_WORK = 1e8  # operations of a pass up to which looks at progress and class metrics cost more


def bytes_needed(features: Features, n_classes: int) -> int:
    """What a head takes on the device, beside rows that are there already."""
    n, d = features.n_samples, features.n_features
    there = features.has_derived(_device_rows, n_classes)
    rows = 0 if there else _BYTES[0] * n * d
    return rows + _BYTES[1] * n * n_classes + metric_bytes(min(n, d), n_classes)


def padded(n: int) -> int:
    """The number of rows, zero rows included, that ``n`` rows are held as: one in a few.

    What is compiled for one number of rows then serves others near it.
    """
    step = max(8, 2 ** (n.bit_length() - 5))
    return step * math.ceil(n / step)


class Basis(NamedTuple):
    """The Gram eigenbasis, of float32 accuracy."""

    vectors: jax.Array  # (d, r) float64
    z: jax.Array  # (rows, r)
    squares: jax.Array  # (r,) Σ_i z_ij²


class ResidentRows:
    """Rows on the device, corrections in float32 while they help.

    Parameters
    ----------
    referee
        Features (N, d), targets (N, K), λ and row weights.
    loss
        Makes the loss at logits (N, K), with the residual there; hashable, for it is compiled in.
    """

    class_metric = True  # where it pays
    cancelled = False  # whether the gradient at W = 0 is small beside what it sums up
    context = staticmethod(device.float64)  # to solve in

    def __init__(self, referee: SoftmaxObjective, loss: MakeLoss) -> None:
        self.referee, self.features, self.loss = referee, referee.features, loss
        self.weight_decay = referee.weight_decay
        self.shape = referee.n_classes, referee.features.n_features
        self.x, self.blocks = self._rows()
        self.share, self.targets = self._share(), self._targets()
        k, d = self.shape
        self.one_call = 4.0 * len(self.x) * d * k <= _SMALL_WORK
        self.chunk = 200 if self.one_call else 8
        largest, trace = map(float, _sizes(self._narrow(), self.share))
        self.scale = math.sqrt(trace)
        usable = _RANGE[0] < largest < _RANGE[1] and self.weight_decay > 1e-25
        self.dtype: Any = np.float32 if usable else np.float64
        # An eigenbasis is a Gram matrix, its factors and a rotation, in units of a pass of 4NdK.
        price = 0.5 * d / k + 5.0 * d * d / (referee.n_samples * k)
        easy = _SAVED * math.sqrt(trace / (k * self.weight_decay)) < price
        self.rows, self.basis = self._coordinates(easy=easy)

    def widen(self) -> None:
        """Go on in float64, in a basis of that accuracy.

        Raises
        ------
        NotEnoughMemory
            If what that takes beside the rest does not fit.
        """
        (k, d), n = self.shape, len(self.x) // self.x.sharding.num_devices
        if shortage := device.shortage(8 * n * (min(len(self.x), d) + 8 * k)):
            raise errors.NotEnoughMemory(f"corrections in float64: {shortage}")
        self.dtype = np.float64
        self.rows, self.basis = self._coordinates(easy=False)

    def at(self, weights: np.ndarray) -> tuple[float, Callable[[], Objective]]:
        """‖∇L‖ at ``weights`` (K, d), and what makes the objective around them; one pass."""
        given = self.x, self.share, self.targets, weights, np.float64(self.weight_decay)
        return self._around(*_evaluate(*given, loss=self.loss, blocks=self.blocks, **self._form()))

    def at_zero(self) -> tuple[float, Callable[[], Objective]]:
        """The same at W = 0, where the predictions are known: half a pass."""
        if self.dtype == np.float64 or self.loss != CrossEntropy.at:
            return self.at(np.zeros(self.shape))
        given = self._narrow(), self.share, self.targets
        found = _at_zero(*given, k=self.shape[0], axis=self.rows.axis)
        if float(found[1]) < _CANCELLED * self.scale:  # rounding, for all that float32 knows
            self.cancelled = True
            return self.referee.start_norm, self.at(np.zeros(self.shape))[1]
        return self._around(*found)

    def _form(self) -> dict[str, Any]:
        return {"dtype": np.dtype(self.dtype).name, "axis": self.rows.axis}

    def _around(
        self, gradient: jax.Array, norm: jax.Array, loss: Any
    ) -> tuple[float, Callable[[], Objective]]:
        decay = np.dtype(self.dtype).type(self.weight_decay)
        return float(norm), lambda: Objective(
            self.rows, decay, self.put(self.inside(gradient)), loss
        )

    def inside(self, weights: Array) -> Array:
        """Weights (K, r) in the coordinates, from weights (K, d)."""
        return weights if self.basis is None else _turn(weights, self.basis)

    def outside(self, step: Array) -> np.ndarray:
        """Weights (K, d) in float64 from weights (K, r) in the coordinates."""
        # Not by NumPy: the threads of its BLAS go on spinning, on cores that iterations need.
        return np.asarray(_widened(step) if self.basis is None else _turn_back(step, self.basis))

    def put(self, step: Array) -> jax.Array:
        """A step (K, r) as the solver takes it."""
        with np.errstate(over="ignore"):  # infinite steps are seen as too long
            return jnp.asarray(step, self.dtype)

    # ---- Where rows, shares and targets are ------------------------------------------------------

    def _rows(self) -> tuple[jax.Array, int]:
        """X (rows, d) in a precision that holds it exactly, and its number of blocks."""
        return self.features.derived(_device_rows, self.shape[0])

    def _narrow(self) -> jax.Array:
        return self.features.derived(_narrow_rows, self.shape[0])

    def _share(self) -> jax.Array:
        return device.put_rows(relative_shares(self.referee), len(self.x))

    def _targets(self) -> jax.Array:
        """T − 1/K (rows, K) in float64, or labels (rows,)."""
        given = self.referee.target_deviations
        if isinstance(given, OneHotRows):
            return device.put_rows(given.labels, len(self.x))
        return device.put_rows(given[:], len(self.x))

    def _coordinates(self, *, easy: bool) -> tuple[Rows, jax.Array | None]:
        share = self.share.astype(self.dtype)
        n, d = self.features.n_samples, self.features.n_features
        if easy and d <= n:
            z, basis = self._narrow(), None
            eigenvalues = jnp.full(d, _moments(z, share).mean())
        elif self.dtype == np.float32 and d <= n:
            basis, z, squares = self._narrow_basis()
            weighted = self.referee.row_weights is not None
            eigenvalues = _moments(z, share) if weighted else squares / n
        else:
            basis = self._exact_basis()
            z = rotated(self.x, basis, dtype=np.dtype(self.dtype).name)
            eigenvalues = _moments(z, share)
        inside = n * self.shape[0] <= _ROWS_INSIDE
        return Rows(z, share.T if inside else share, eigenvalues), basis

    def _narrow_basis(self) -> Basis:
        return self.features.derived(_eigenbasis, self.shape[0])

    def _exact_basis(self) -> jax.Array:
        return jax.device_put(Spectrum.of(self.features).basis)


def _block_count(n: int, d: int, k: int) -> int:
    return max(1, math.ceil(8 * n * (d + 4 * k) / _BLOCK_BYTES))


def _device_rows(features: Features, k: int) -> tuple[jax.Array, int]:
    """X on the device with zero rows behind it, and the number of blocks it is evaluated in."""
    n, d = features.x.shape
    blocks = _block_count(n, d, k)
    dtype = np.float64 if features.x.dtype.itemsize == 8 else np.float32
    return device.put_rows(features.x, blocks * padded(-(-n // blocks)), dtype), blocks


def _narrow_rows(features: Features, k: int) -> jax.Array:
    return features.derived(_device_rows, k)[0].astype(np.float32)


def _eigenbasis(features: Features, k: int) -> Basis:
    return Basis(*_factorized(features.derived(_narrow_rows, k)))


@jax.jit
def _factorized(rows: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Eigenvectors of XᵀX (d, d), Z and its columns' squares; of many rows, from some of them.

    Eigenvalues are quotients, not the factorization's: they are never negative. Their order, which
    may differ where they are rounding, matters to nobody here.
    """
    some = rows[:: max(1, len(rows) // (_GRAM_ROWS * rows.shape[1]))]
    gram = jnp.matmul(some.T, some, precision="highest")
    vectors = jnp.linalg.eigh(gram)[1][:, ::-1]
    z = jnp.matmul(rows, vectors, precision="highest")
    return vectors.astype(jnp.float64), z, (z * z).sum(axis=0)


@jax.jit
def _sizes(rows: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The largest entry, and Σ ω‖x‖²."""
    return jnp.abs(rows).max(), _moments(rows, share.astype(rows.dtype)).sum()


@jax.jit
def _moments(z: jax.Array, share: jax.Array) -> jax.Array:
    return (share * z * z).sum(axis=0)


@partial(jax.jit, static_argnames="dtype")
def rotated(x: jax.Array, basis: jax.Array, dtype: str) -> jax.Array:
    """XV (rows, r), summed in float64."""
    return jnp.matmul(x.astype(jnp.float64), basis).astype(dtype)


@jax.jit
def _turn(weights: jax.Array, basis: jax.Array) -> jax.Array:
    return jnp.matmul(weights.astype(jnp.float64), basis)


@jax.jit
def _turn_back(step: jax.Array, basis: jax.Array) -> jax.Array:
    return jnp.matmul(step.astype(jnp.float64), basis.T)


@jax.jit
def _widened(step: jax.Array) -> jax.Array:
    return step.astype(jnp.float64)


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
    x: jax.Array,
    share: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    weight_decay: jax.Array,
    *,
    loss: MakeLoss,
    blocks: int,
    dtype: str,
    axis: int,
) -> Any:
    """∇L (K, d) in float64, its norm, and the loss in ``dtype``; in blocks of rows.

    Nothing in float64 is larger than a block, but soft targets.
    """

    def block(gradient: jax.Array, of: tuple[jax.Array, ...]) -> tuple[jax.Array, Any]:
        x, share, targets = of
        x = x.astype(jnp.float64)
        deviations = _deviations(targets, len(weights), jnp.float64)
        residual, found = loss(forward(x, weights), deviations)
        gradient = gradient + backward(x, share * residual)
        return gradient, jax.tree.map(lambda leaf: leaf.astype(dtype), found)

    gradient, found = _in_blocks(block, jnp.zeros_like(weights), (x, share, targets), blocks)
    gradient = gradient + weight_decay * weights
    return (
        gradient,
        jnp.linalg.norm(gradient),
        found if axis else jax.tree.map(jnp.transpose, found),
    )


def _in_blocks(block: Any, carry: Any, rows: Any, blocks: int) -> tuple[Any, Any]:
    """``block`` on one block of rows after the other; of one alone, shards stay where they are."""
    if blocks == 1:
        return block(carry, rows)
    split = jax.tree.map(lambda a: a.reshape(blocks, -1, *a.shape[1:]), rows)
    carry, found = jax.lax.scan(block, carry, split)
    return carry, jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)
