"""The leading eigenvectors of a Gram matrix, roughly, for a metric that costs next to nothing.

Features of images have few large eigenvalues. A metric that knows those, and of all others their
mean, takes conjugate gradients about as far as one that knows every eigenvalue, for a few products
with the features instead of a factorization: randomized subspace iteration, after Halko, Martinsson
and Tropp (SIAM Review 53, 2011), and a preconditioner of low rank, after Frangella, Tropp and Udell
(SIAM J. Matrix Anal. Appl. 44, 2023). What is rough in it costs iterations and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gramlab.heads import bfloat16
from gramlab.streams import stream

__all__ = ["Leading", "from_products", "from_some_rows", "gram_of_some_rows"]

_RANK = 32  # vectors at most, and a quarter of the features: more cost what they save
_POWERS = 2  # products with XᵀX before the last one, which tells the eigenvalues
_ROWS = 100  # for each feature, at least, that a Gram matrix of some rows is made from
_RANGE = (1e-15, 1e15)  # of ‖X‖_F²: what is made of it, squares of it included, is in float32's
_STREAM = int.from_bytes(b"leading1", "big")


class Leading(NamedTuple):
    """XᵀX as V diag(s) Vᵀ and a multiple of the identity on what the vectors leave out."""

    vectors: jax.Array  # Vᵀ (m, d), orthonormal
    eigenvalues: jax.Array  # (m,)
    rest: jax.Array  # the mean of the other d − m


def _rank(n_features: int) -> int:
    return max(1, min(_RANK, n_features // 4))


def _in_range(trace: float) -> bool:
    return _RANGE[0] < trace < _RANGE[1]


def _known(vectors: jax.Array, eigenvalues: jax.Array, trace: jax.Array) -> Leading:
    m, d = vectors.shape
    eigenvalues = jnp.maximum(eigenvalues, 0.0)
    rest = jnp.maximum(trace - eigenvalues.sum(), 0.0) / max(d - m, 1)
    return Leading(vectors, eigenvalues, rest)


def from_products(low: bfloat16.Rounded, n_features: int, trace: float) -> Leading | None:
    """By products with features (N, d) rounded to bfloat16, whose ‖X‖_F² is ``trace``.

    None where numbers might leave float32's range.
    """
    if not _in_range(trace):
        return None
    random = np.random.Generator(stream(0, _STREAM))
    begin = random.standard_normal((_rank(n_features), n_features))
    return _from_products(low, begin.astype(np.float32), np.float32(trace))


@jax.jit
def _from_products(low: bfloat16.Rounded, vectors: jax.Array, trace: jax.Array) -> Leading:
    for _ in range(_POWERS):
        vectors = bfloat16.times_columns(low, bfloat16.times_rows(low, vectors))
        vectors = jnp.linalg.qr(vectors.T)[0].T
    moved = bfloat16.times_rows(low, vectors)
    eigenvalues, turn = jnp.linalg.eigh(jnp.matmul(moved.T, moved, precision="highest"))
    return _known(jnp.matmul(turn.T, vectors, precision="highest"), eigenvalues, trace)


def from_some_rows(rows: jax.Array, trace: float) -> Leading | None:
    """By the Gram matrix of some rows of X (N, d) in float32: for few features."""
    return _from_some_rows(rows, np.float32(trace)) if _in_range(trace) else None


@jax.jit
def _from_some_rows(rows: jax.Array, trace: jax.Array) -> Leading:
    gram = gram_of_some_rows(rows)
    eigenvalues, vectors = jnp.linalg.eigh(gram)
    m = _rank(len(gram))
    total = jnp.trace(gram)  # 0 where just these rows are
    shares = eigenvalues[-m:] / jnp.where(total > 0.0, total, 1.0)
    return _known(vectors[:, -m:].T, shares * trace, trace)


def gram_of_some_rows(rows: jax.Array) -> jax.Array:
    """XᵀX (d, d) of the rows, or of enough of very many (N, d).

    Of n of them the Gram matrix is right to √(d/n) in every direction, however small its
    eigenvalue.
    """
    some = rows[:: max(1, len(rows) // (_ROWS * rows.shape[1]))]
    return jnp.matmul(some.T, some, precision="highest")
