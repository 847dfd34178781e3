"""Metrics near the Hessian that are quickly inverted.

In coordinates where Xᵀ diag(ω) X is diagonal, s, the linearized Hessian is b s + λ with one
curvature b; from W = 0 that step is the closed form of the linearized theory. A fitted head is sure
of most rows and unsure of few, and these differ from class to class. So the class metric has, for
each class, the rows of largest curvature exactly (Woodbury):

    M_k = b s + λ + Z_kᵀ C_k Z_k,   C_k = diag(ω_i (p_ik (1 − p_ik) − b)) over the kept rows,

b the mean curvature of the others. The optimum's weights sum to zero over the classes; the blocks
do not know it, and without the projection on it they lose most of what they gain.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from gramlab.heads.arrays import Array, compiled, namespace

if TYPE_CHECKING:
    from gramlab.heads.objective import Objective

__all__ = ["Preconditioner", "by_class", "kept_rows", "metric_bytes", "scalar"]

_STEP = 64  # kept rows come in steps of it: each number of them is compiled anew
_MOST = 256  # rows of a class: more cost more than they save
_BLOCK = 16  # of a sweep; _STEP is a multiple


class Preconditioner(NamedTuple):
    """M⁻¹ = D⁻¹ − D⁻¹ Z_kᵀ S_k Z_k D⁻¹ by class, D = b s + λ."""

    diagonal: Array  # (r,) D
    kept: tuple[Array, Array] | None = None  # Z_k (K, m, r) and S_k (K, m, m)

    def inverted(self, q: Array) -> Array:
        """M⁻¹q (K, r), less its mean over classes."""
        y = q / self.diagonal
        if self.kept is not None:
            xp, (rows, inner) = namespace(q), self.kept
            t = xp.einsum("kmr,kr->km", rows, y)
            t = xp.einsum("kml,kl->km", inner, t)
            y = y - xp.einsum("kmr,km->kr", rows, t) / self.diagonal
        return y - y.mean(axis=0)


@compiled()
def scalar(objective: Any, seen: Any) -> Preconditioner:
    """The linearized Hessian, with the mean curvature of the predictions for 1/K."""
    curvature = objective.curvature(seen)
    return Preconditioner(curvature * objective.rows.eigenvalues + objective.weight_decay)


def kept_rows(objective: Objective, seen: Any) -> int:
    """How many rows of a class are worth keeping, read off the predictions; 0 where none is."""
    (n, r), k = objective.rows.z.shape, objective.gradient.shape[0]
    uncertain = float(_uncertain(objective, seen)) / k
    wanted = _STEP * math.ceil(min(2.0 * uncertain, math.sqrt(8.0 * n)) / _STEP)
    return min(wanted, _MOST, _BLOCK * (min(n // 4, r) // _BLOCK))


def metric_bytes(r: int, k: int) -> int:
    """What a class metric of the most rows takes, in float32."""
    return 4 * k * _MOST * (r + _MOST)


def _curvatures(objective: Objective, seen: Any) -> Array:
    """ω_i p_ik (1 − p_ik) (K, N)."""
    p = objective.loss.predictions(seen.logits, seen.change, objective.rows.axis)
    curvatures = objective.rows.share * p * (1.0 - p)
    return curvatures.T if objective.rows.axis else curvatures


@compiled()
def _uncertain(objective: Objective, seen: Any) -> Array:
    """Entries (i, k) above four times the mean curvature."""
    curvatures = _curvatures(objective, seen)
    filled = (objective.rows.share > 0.0).mean()
    return (curvatures * filled > 4.0 * curvatures.mean()).sum()


@compiled(static_argnames="kept")
def by_class(objective: Objective, seen: Any, kept: int) -> Preconditioner:
    """The class metric of ``kept`` rows of each class."""
    import jax
    import jax.numpy as jnp

    z, share = objective.rows.z, objective.rows.shares
    curvatures = _curvatures(objective, seen)
    largest, rows = jax.lax.top_k(curvatures, kept)
    rest = len(curvatures) * share.sum() - share[rows].sum()
    b = (curvatures.sum() - largest.sum()) / rest
    diagonal = b * objective.rows.eigenvalues + objective.weight_decay

    def of_class(of: tuple[Array, Array]) -> tuple[Array, Array]:
        largest, rows = of
        some = z[rows]
        root = jnp.sqrt(jnp.maximum(largest - b * share[rows], 0.0))
        gram = jnp.matmul(some / diagonal, some.T, precision="highest")
        inner = _inverse(root[:, None] * gram * root + jnp.eye(kept, dtype=z.dtype))
        return some, root[:, None] * inner * root

    # One class after the other: what is made on the way then stays in the cache.
    return Preconditioner(diagonal, jax.lax.map(of_class, (largest, rows)))


def _inverse(a: Array) -> Array:
    """A⁻¹ (m, m) of a positive definite A, by sweeps over its diagonal blocks (Goodnight 1979)."""
    # LAPACK's threads spin for much longer than it takes to factor so small a matrix.
    import jax
    import jax.numpy as jnp

    def sweep(j: Array, a: Array) -> Array:
        first = j * _BLOCK
        row = jax.lax.dynamic_slice_in_dim(a, first, _BLOCK, 0)
        pivot = jnp.linalg.inv(jax.lax.dynamic_slice_in_dim(row, first, _BLOCK, 1))
        scaled = jnp.matmul(pivot, row, precision="highest")
        a = a - jnp.matmul(row.T, scaled, precision="highest")
        scaled = jax.lax.dynamic_update_slice_in_dim(scaled, -pivot, first, 1)
        a = jax.lax.dynamic_update_slice_in_dim(a, scaled.T, first, 1)
        return jax.lax.dynamic_update_slice_in_dim(a, scaled, first, 0)

    return -jax.lax.fori_loop(0, len(a) // _BLOCK, sweep, a)
