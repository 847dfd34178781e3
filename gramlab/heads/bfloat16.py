"""Products of bfloat16 numbers, which some processors do several times as fast as float32's.

Operands are rounded to eight bits, sums are float32's. Who uses such products must not need more
(see ``heads.newton``).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Rounded", "gram", "nearest", "rounded", "times", "times_columns", "times_rows"]


class Rounded(NamedTuple):
    """Features rounded to bfloat16."""

    rows: jax.Array  # (N, r) Z̃
    columns: jax.Array  # (r, N) the same: CPUs multiply such numbers fast along rows only


@jax.jit
def rounded(z: jax.Array) -> Rounded:
    """Z (N, r) rounded to bfloat16, by rows and by columns."""
    rows = z.astype(jnp.bfloat16)
    return Rounded(rows, jax.lax.optimization_barrier(rows).T)


def _dot(a: jax.Array, b: jax.Array, axis: int) -> jax.Array:
    """Sums over the columns of A and that axis of B, in float32."""
    return jax.lax.dot_general(
        a, b, (((1,), (axis,)), ((), ())), preferred_element_type=jnp.float32
    )


def times(a: jax.Array, b: jax.Array) -> jax.Array:
    """A·Bᵀ of A (m, n), which is rounded, and B (p, n) of bfloat16 numbers."""
    return _dot(nearest(a), b, 1)


def times_rows(low: Rounded, weights: jax.Array) -> jax.Array:
    """Z̃·Wᵀ (N, K) of weights (K, r), which are rounded."""
    return _dot(low.rows, nearest(weights), 1)


def times_columns(low: Rounded, values: jax.Array) -> jax.Array:
    """Valuesᵀ·Z̃ (K, r) of values (N, K), which are rounded."""
    return jax.lax.optimization_barrier(_dot(low.columns, nearest(values), 0)).T


def nearest(a: jax.Array) -> jax.Array:
    """The nearest bfloat16 numbers."""
    # The barrier keeps the rounding out of a product, which would lose its fast kernel.
    return jax.lax.optimization_barrier(a.astype(jnp.bfloat16))


@jax.jit
def gram(low: Rounded) -> jax.Array:
    """Z̃ᵀZ̃ (r, r)."""
    return times(low.columns, low.columns)
