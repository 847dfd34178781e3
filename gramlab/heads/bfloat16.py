"""Products of bfloat16 numbers, which some processors do several times as fast as float32's.

Operands are rounded to eight bits, sums are float32's. Who uses such products must not need more
(see ``heads.newton``). They are XLA's, or those of ``heads.tiles`` where they can be had.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gramlab import device
from gramlab.heads import tiles
from gramlab.heads.tiles import Packed

__all__ = [
    "Packed",
    "Rounded",
    "nearest",
    "plain",
    "rounded",
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


def nearest(a: jax.Array) -> jax.Array:
    """The nearest bfloat16 numbers."""
    # The barrier keeps the rounding out of a product, which would lose its fast kernel.
    return jax.lax.optimization_barrier(a.astype(jnp.bfloat16))
