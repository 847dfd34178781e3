"""Rows spread over devices and processes: the same computation, XLA adds the collectives.

In a run of many processes whatever decides whether a collective call comes next is the same number
in all: norms from an all-reduce, and weights of process 0.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gramlab import device
from gramlab.heads.arrays import Array
from gramlab.heads.resident import Basis, ResidentRows, rotated
from gramlab.sharded import ShardedFeatures, together
from gramlab.spectrum import Spectrum

__all__ = ["ShardedRows"]


class ShardedRows(ResidentRows):
    """``ResidentRows`` of ``ShardedFeatures``; every call is a collective call."""

    features: Any
    class_metric = False  # any shard may hold the largest curvatures: all would have to be gathered

    def widen(self) -> None:
        """Go on in float64, in all processes or in none."""
        together(super().widen)

    def _rows(self) -> tuple[jax.Array, int]:
        return self.features.x, 1

    def _narrow(self) -> jax.Array:
        return self.features.derived(_narrow_shards)

    def _share(self) -> jax.Array:
        weights, n = self.referee.row_weights, self.features.n_samples
        weights = np.ones(self.features.n_local) if weights is None else weights
        return self._put(weights[:, None] / n)

    def _targets(self) -> jax.Array:
        return self._put(self.referee.target_deviations[:])

    def _put(self, values: np.ndarray) -> jax.Array:
        return together(lambda: self.features.put(values, "the targets in shards"))

    def _narrow_basis(self) -> Basis:
        vectors = self._exact_basis()
        z = rotated(self.x, vectors, dtype="float32")
        return Basis(vectors, z, jnp.asarray(Spectrum.of(self.features).eigenvalues, "float32"))

    def inside(self, weights: Array) -> Array:
        """Weights (K, r) from weights (K, d), those of process 0 in all."""
        return device.agreed(np.asarray(super().inside(weights)))

    def outside(self, step: Array) -> np.ndarray:
        """Weights (K, d) from weights (K, r), those of process 0 in all."""
        return device.agreed(super().outside(step))


def _narrow_shards(features: ShardedFeatures) -> jax.Array:
    return features.x.astype(np.float32)
