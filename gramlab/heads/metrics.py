"""Metrics for conjugate gradients: near the Hessian, and quickly inverted.

H d = Zᵀ S Z d/N + λd with S = diag(p) − ppᵀ by rows. In the Gram eigenbasis a diagonal is near it.
In the features themselves the leading eigenvectors are, with one number for each class beyond them.
What is inverted sums to zero over classes, and so does what comes back.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gramlab.heads import solver
from gramlab.heads.leading import Leading

__all__ = [
    "Diagonal",
    "LowRank",
    "Metric",
    "by_class",
    "leading_by_class",
    "on_zero_sums",
    "scalar",
]

_SPREAD = 0.3  # power of a class's own curvature in a metric; the mean one has the rest
_SPREAD_ROWS = 256, 16_384  # rows that it is found from, at least and at most; else every sixteenth


def on_zero_sums(b: jax.Array, inverse: jax.Array, axis: int = 0) -> jax.Array:
    """M⁻¹b on what sums to zero over the classes of ``axis``, for a diagonal M⁻¹ = ``inverse``."""
    y = b * inverse
    share = y.sum(axis=axis, keepdims=True) / inverse.sum(axis=axis, keepdims=True)
    return y - share * inverse


class Diagonal(NamedTuple):
    """One number for each class and coordinate."""

    values: jax.Array  # (K, r)

    def inverted(self, b: jax.Array) -> jax.Array:
        """M⁻¹b (K, r)."""
        return on_zero_sums(b, 1.0 / self.values)


class LowRank(NamedTuple):
    """One number for each class and some directions, and for each class beyond those."""

    vectors: jax.Array  # (m, r), orthonormal
    within: jax.Array  # (K, m)
    beyond: jax.Array  # (K, 1)

    def inverted(self, b: jax.Array) -> jax.Array:
        """M⁻¹b (K, r)."""
        within, beyond = 1.0 / self.within, 1.0 / self.beyond
        along = jnp.matmul(b, self.vectors.T)
        more = on_zero_sums(along, within) - on_zero_sums(along, beyond)
        return on_zero_sums(b, beyond) + jnp.matmul(more, self.vectors)


Metric = solver.Metric | Diagonal | LowRank


def scalar(base: solver.Base, state: solver.State) -> Diagonal:
    """The linearized Hessian with the mean curvature of the predictions, in the eigenbasis."""
    return Diagonal(solver.diagonal(base, solver.scalar_metric(base, state)))


def _likely(base: solver.Base, state: solver.State) -> tuple[jax.Array, jax.Array]:
    """Of some rows Z: how curved a class is there, p(1 − p) K/((K − 1) n), and they themselves."""
    n, (least, most) = len(base.z), _SPREAD_ROWS
    every = max(1, min(16, n // least), n // most)
    p, z = (base.probabilities + state.change)[::every], base.z[::every]
    k = p.shape[1]
    return p * (1.0 - p) * (k / ((k - 1) * len(z))), z


def _between(mean: jax.Array, own: jax.Array) -> jax.Array:
    return mean * (own / mean) ** _SPREAD


@jax.jit
def by_class(base: solver.Base, state: solver.State) -> Diagonal:
    """The Hessian's own diagonal, in the Gram eigenbasis, between it and the scalar metric.

    Where a class has its curvature, in samples that it is likely for, features are not spread as
    they are in all. But what lies beside the diagonal takes part of that back: as it is, the
    diagonal is worse than the scalar metric, and its geometric mean with that is better. Some
    rows are enough to find it.
    """
    weights, z = _likely(base, state)
    own = jnp.matmul(weights.T, z * z) + base.weight_decay
    return Diagonal(_between(scalar(base, state).values, own))


def leading_by_class(base: solver.Base, state: solver.State, leading: Leading) -> LowRank:
    """The same of the leading eigenvectors, where coordinates are the features themselves."""
    weights, z = _likely(base, state)
    m, d = leading.vectors.shape
    moved = jnp.matmul(z, leading.vectors.T)
    along = jnp.matmul(weights.T, moved * moved)
    squares = (z * z).sum(axis=1, keepdims=True) - (moved * moved).sum(axis=1, keepdims=True)
    rest = jnp.matmul(weights.T, jnp.maximum(squares, 0.0)) / max(d - m, 1)
    mean = solver.scalar_metric(base, state).curvature[:1, None] / base.samples
    decay = base.weight_decay
    return LowRank(
        leading.vectors,
        _between(mean * leading.eigenvalues + decay, along + decay),
        _between(mean * leading.rest + decay, rest + decay),
    )
