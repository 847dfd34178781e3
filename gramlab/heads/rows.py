"""The two products of a pass, Z·D and Zᵀ·B, laid out for what they are computed on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gramlab.heads.arrays import Array, namespace

__all__ = ["Rows", "backward", "forward"]


class Rows(NamedTuple):
    """Rows in the coordinates and the precision of corrections.

    Logits and what is made of them are (n, K), or (K, n) where ``share`` is a row: for few rows,
    which stay in the cache, elementwise work is quicker with rows inside.
    """

    z: Array  # (n, r)
    share: Array  # (n, 1) or (1, n) ω_i/Σω; 0 in rows that only fill up
    eigenvalues: Array  # (r,) Σ_i ω_i z_ij²

    @property
    def axis(self) -> int:
        """That of the classes."""
        return 0 if self.share.shape[0] == 1 else 1

    @property
    def shares(self) -> Array:
        """ω_i/Σω (n,)."""
        return self.share.reshape(-1)

    def forward(self, weights: Array) -> Array:
        """Logits for weights (K, r)."""
        return forward(self.z, weights, self.axis)

    def backward(self, values: Array) -> Array:
        """Σ_i ω_i b_i z_iᵀ (K, r) for values b."""
        return backward(self.z, self.share * values, self.axis)


def forward(z: Array, weights: Array, axis: int = 1) -> Array:
    """Z Wᵀ (n, K), or W Zᵀ (K, n)."""
    xp = namespace(z)
    if xp is np:
        return z @ weights.T
    if axis == 0:
        return xp.matmul(weights, z.T, precision="highest")
    if _columns_first():
        import jax

        # On CPUs a product with the classes outside is a third faster than one with rows outside,
        # the transposition included; elementwise work on many rows is the other way round.
        return jax.lax.optimization_barrier(xp.matmul(weights, z.T, precision="highest")).T
    return xp.matmul(z, weights.T, precision="highest")


def backward(z: Array, values: Array, axis: int = 1) -> Array:
    """Bᵀ Z (K, r) for B (n, K), or B Z for B (K, n)."""
    xp = namespace(z)
    if xp is np:
        return values.T @ z
    if axis == 1:
        values = values.T
        if _columns_first():
            import jax

            values = jax.lax.optimization_barrier(values)
    return xp.matmul(values, z, precision="highest")


def _columns_first() -> bool:
    from gramlab.machine import device

    return not device.accelerated()
