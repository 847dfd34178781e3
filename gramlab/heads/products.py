"""The two products of a pass, laid out for the device they run on.

They ask for full precision: accelerators would otherwise round float32 operands to a third of the
digits.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from gramlab import device

__all__ = ["backward", "forward"]


def forward(z: jax.Array, weights: jax.Array, classes: int = 1) -> jax.Array:
    """Z·Wᵀ (N, K), or (K, N) where ``classes`` are axis 0."""
    if classes == 0:
        return jnp.matmul(weights, z.T, precision="highest")
    if device.accelerated():
        return jnp.matmul(z, weights.T, precision="highest")
    # On CPUs a product with the classes outside is a third faster than one with samples outside,
    # the transposition included; elementwise work is the other way round. The barrier keeps the
    # two apart.
    return jax.lax.optimization_barrier(jnp.matmul(weights, z.T, precision="highest")).T


def backward(z: jax.Array, values: jax.Array, classes: int = 1) -> jax.Array:
    """Valuesᵀ·Z (K, r) of values (N, K), or (K, N) where ``classes`` are axis 0."""
    if classes == 0:
        return jnp.matmul(values, z, precision="highest")
    if device.accelerated():
        return jnp.matmul(values.T, z, precision="highest")
    return jnp.matmul(jax.lax.optimization_barrier(values.T), z, precision="highest")
