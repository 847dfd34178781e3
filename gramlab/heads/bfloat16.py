"""Products of bfloat16 numbers, which some processors do several times as fast as float32's.

Operands are rounded to eight bits, sums are float32's. Who uses such products must not need more
(see ``heads.newton``). They are XLA's, or those of ``heads.tiles`` where they can be had.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gramlab import device
from gramlab.heads import tiles
from gramlab.heads.tiles import Packed

__all__ = [
    "ByClass",
    "ByFeature",
    "Packed",
    "Rounded",
    "gram",
    "held",
    "nearest",
    "plain",
    "rounded",
    "times",
    "times_columns",
    "times_rows",
]


class _Plain(NamedTuple):
    """Features rounded to bfloat16."""

    rows: jax.Array  # (N, r) Z̃
    # (r, N) the same: CPUs multiply such numbers fast along rows only. None on accelerators.
    columns: jax.Array | None


Rounded = _Plain | Packed


def rounded(z: jax.Array) -> Rounded:
    """Z (N, r) rounded to bfloat16, packed where that can be used."""
    return tiles.pack(z) if tiles.available() else plain(z)


def plain(z: jax.Array) -> Rounded:
    """The same for XLA's products; on a CPU by rows and by columns."""
    return _rounded(z, by_columns=not device.accelerated())


@partial(jax.jit, static_argnames="by_columns")
def _rounded(z: jax.Array, *, by_columns: bool) -> _Plain:
    rows = z.astype(jnp.bfloat16)
    return _Plain(rows, jax.lax.optimization_barrier(rows).T if by_columns else None)


def _dot(a: jax.Array, b: jax.Array, along: tuple[int, int]) -> jax.Array:
    """Sums along that axis of A and that of B, in float32."""
    axes = ((along[:1], along[1:]), ((), ()))
    return jax.lax.dot_general(a, b, axes, preferred_element_type=jnp.float32)


def times(a: jax.Array, b: jax.Array) -> jax.Array:
    """A·Bᵀ of A (m, n), which is rounded, and B (p, n) of bfloat16 numbers."""
    return _dot(nearest(a), b, (1, 1))


def times_rows(low: Rounded, weights: jax.Array) -> jax.Array:
    """Z̃·Wᵀ (N, K) of weights (K, r), which are rounded."""
    if isinstance(low, Packed):
        return tiles.times_rows(low, weights)
    return _dot(low.rows, nearest(weights), (1, 1))


def times_columns(low: Rounded, values: jax.Array) -> jax.Array:
    """Valuesᵀ·Z̃ (K, r) of values (N, K), which are rounded."""
    if isinstance(low, Packed):
        return tiles.times_columns(low, values)
    if low.columns is None:
        return _dot(nearest(values), low.rows, (0, 0))
    return jax.lax.optimization_barrier(_dot(low.columns, nearest(values), (1, 0))).T


class ByClass(NamedTuple):
    """How conjugate gradients hold weights D: as they are (K, r)."""

    low: Rounded
    k: int

    def enter(self, weights: jax.Array) -> jax.Array:
        """What is held of (K, r)."""
        return weights

    def leave(self, held: jax.Array) -> jax.Array:
        """The (K, r) that is held."""
        return held

    def centred(self, held: jax.Array) -> jax.Array:
        """Less its mean over classes: rounding would otherwise leave what no step can remove."""
        return held - held.mean(axis=0)

    def times(self, held: jax.Array, matrix: jax.Array) -> jax.Array:
        """The product with a symmetric matrix of bfloat16 numbers (r, r)."""
        return times(held, matrix)

    def curvature(self, p: jax.Array) -> Callable[[jax.Array], jax.Array]:
        """D ↦ Z̃ᵀ S Z̃ D, where S v = p ∘ (v − ⟨p, v⟩) by rows of P (N, K)."""

        def product(d: jax.Array) -> jax.Array:
            weighted = p * times_rows(self.low, d)
            return times_columns(self.low, weighted - p * weighted.sum(axis=1, keepdims=True))

        return product


class ByFeature(NamedTuple):
    """The same in whole tiles (r', K'), as they come from one product and go to the next."""

    low: Packed
    k: int

    def enter(self, weights: jax.Array) -> jax.Array:
        """What is held of (K, r)."""
        return tiles.enter(self.low, weights)

    def leave(self, held: jax.Array) -> jax.Array:
        """The (K, r) that is held."""
        return tiles.leave(self.low, self.k, held)

    def centred(self, held: jax.Array) -> jax.Array:
        """Less its mean over classes; what fills up tiles stays zero."""
        mean = held.sum(axis=1, keepdims=True) / self.k
        return jnp.where(jnp.arange(held.shape[1]) < self.k, held - mean, 0.0)

    def times(self, held: jax.Array, matrix: jax.Array) -> jax.Array:
        """The product with a symmetric matrix of bfloat16 numbers (r, r)."""
        found = _dot(matrix, nearest(held[: self.low.d]), (1, 0))
        return jnp.pad(found, ((0, len(held) - self.low.d), (0, 0)))

    def curvature(self, p: jax.Array) -> Callable[[jax.Array], jax.Array]:
        """D ↦ Z̃ᵀ S Z̃ D, where S v = p ∘ (v − ⟨p, v⟩) by rows of P (N, K)."""
        return partial(tiles.curvature, self.low, tiles.padded(p), self.k)


def held(low: Rounded, k: int) -> ByClass | ByFeature:
    """How to hold weights of K classes between products with Z̃."""
    return ByFeature(low, k) if isinstance(low, Packed) else ByClass(low, k)


def nearest(a: jax.Array) -> jax.Array:
    """The nearest bfloat16 numbers."""
    # The barrier keeps the rounding out of a product, which would lose its fast kernel.
    return jax.lax.optimization_barrier(a.astype(jnp.bfloat16))


@jax.jit
def gram(low: Rounded) -> jax.Array:
    """Z̃ᵀZ̃ (r, r)."""
    if isinstance(low, Packed):
        columns = jax.lax.optimization_barrier(tiles.by_columns(low))
        return times(columns, columns)
    if low.columns is None:
        return _dot(low.rows, low.rows, (0, 0))
    return times(low.columns, low.columns)
