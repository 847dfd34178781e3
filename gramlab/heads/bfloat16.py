"""Products of bfloat16 numbers, which some processors do several times as fast as float32's.

Operands are rounded to eight bits, sums are float32's. Who uses such products must not need more
(see ``heads.newton``).
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gramlab import device

__all__ = ["Rounded", "gram", "nearest", "rounded", "times", "times_columns", "times_rows"]


class Rounded(NamedTuple):
    """Features rounded to bfloat16."""

    rows: jax.Array  # (N, r) Z̃
    # (r, N) the same: CPUs multiply such numbers fast along rows only. None on accelerators.
    columns: jax.Array | None


def rounded(z: jax.Array) -> Rounded:
    """Z (N, r) rounded to bfloat16; on a CPU by rows and by columns."""
    return _rounded(z, by_columns=not device.accelerated())


@partial(jax.jit, static_argnames="by_columns")
def _rounded(z: jax.Array, *, by_columns: bool) -> Rounded:
    rows = z.astype(jnp.bfloat16)
    return Rounded(rows, jax.lax.optimization_barrier(rows).T if by_columns else None)


def _dot(a: jax.Array, b: jax.Array, along: tuple[int, int]) -> jax.Array:
    """Sums along that axis of A and that of B, in float32."""
    axes = ((along[:1], along[1:]), ((), ()))
    return jax.lax.dot_general(a, b, axes, preferred_element_type=jnp.float32)


def times(a: jax.Array, b: jax.Array) -> jax.Array:
    """A·Bᵀ of A (m, n), which is rounded, and B (p, n) of bfloat16 numbers."""
    return _dot(nearest(a), b, (1, 1))


def times_rows(low: Rounded, weights: jax.Array) -> jax.Array:
    """Z̃·Wᵀ (N, K) of weights (K, r), which are rounded."""
    return _dot(low.rows, nearest(weights), (1, 1))


def times_columns(low: Rounded, values: jax.Array) -> jax.Array:
    """Valuesᵀ·Z̃ (K, r) of values (N, K), which are rounded."""
    if low.columns is None:
        return _dot(nearest(values), low.rows, (0, 0))
    return jax.lax.optimization_barrier(_dot(low.columns, nearest(values), (1, 0))).T


def nearest(a: jax.Array) -> jax.Array:
    """The nearest bfloat16 numbers."""
    # The barrier keeps the rounding out of a product, which would lose its fast kernel.
    return jax.lax.optimization_barrier(a.astype(jnp.bfloat16))


@jax.jit
def gram(low: Rounded) -> jax.Array:
    """Z̃ᵀZ̃ (r, r)."""
    if low.columns is None:
        return _dot(low.rows, low.rows, (0, 0))
    return times(low.columns, low.columns)
