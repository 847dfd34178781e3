"""What there is to know at given weights: gradient, logits and predictions, whole or in blocks.

Weights are (K, r) and targets deviations T − 1/K (N, K), or labels (N,), as in ``heads.solver``.
On accelerators memory is scarcer than time, so there float64 is made block by block of rows that
may be in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from gramlab.heads.products import backward, forward

__all__ = [
    "best_multiple",
    "centred_softmax",
    "deviations",
    "evaluate",
    "evaluate_blocks",
    "evaluate_multiple",
    "first_gradient",
    "identity",
    "logits",
    "predictions",
    "softmax",
]


def deviations(targets: jax.Array, k: int | None, dtype: DTypeLike) -> jax.Array:
    """T − 1/K (n, K) as ``dtype``, of those or of labels (n,) of ``k`` classes."""
    if k is not None and targets.ndim == 1:
        return jax.nn.one_hot(targets, k, dtype=dtype) - jnp.asarray(1.0 / k, dtype)
    return targets.astype(dtype)


@jax.jit
def centred_softmax(logits: jax.Array) -> jax.Array:
    """softmax(v) − 1/K by rows, accurate however small the logits are."""
    shifted = jnp.expm1(logits - logits.max(axis=1, keepdims=True))
    partition = (shifted + 1.0).sum(axis=1, keepdims=True)
    return (shifted - shifted.mean(axis=1, keepdims=True)) / partition


@partial(jax.jit, static_argnames="classes")
def first_gradient(
    z: jax.Array, samples: jax.Array, targets: jax.Array, classes: int | None = None
) -> jax.Array:
    """Gradient (K, r) at W = 0, where P − 1/K vanishes.

    Here and below targets are deviations T − 1/K (N, K), or labels (N,) of so many classes.
    """
    return -backward(z, deviations(targets, classes, z.dtype)) / samples


@jax.jit
def evaluate(
    z: jax.Array,
    samples: jax.Array,
    targets: jax.Array,
    weight_decay: jax.Array,
    weights: jax.Array,
    logits: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Gradient (K, r), logits (N, K) and P − 1/K (N, K) at ``weights`` (K, r).

    The logits may be given, which saves half a pass.
    """
    logits = forward(z, weights) if logits is None else logits
    predictions = centred_softmax(logits)
    residual = predictions - deviations(targets, weights.shape[0], z.dtype)
    gradient = backward(z, residual) / samples + weight_decay * weights
    return gradient, logits, predictions


@partial(jax.jit, static_argnames=("rows", "dtype"))
def evaluate_blocks(
    z: jax.Array,
    targets: jax.Array,
    weight_decay: jax.Array,
    weights: jax.Array,
    rows: int,
    dtype: DTypeLike,
) -> tuple[jax.Array, jax.Array]:
    """Gradient (K, r) in float64, and P (N, K) as ``dtype``, ``rows`` rows at a time.

    Nothing in float64 is larger than a block: features and labels may be of any precision that
    holds them exactly.
    """
    n, k = len(z), len(weights)
    rows = min(rows, n)

    def block(i, carry):
        gradient, probabilities = carry
        first = jnp.minimum(i * rows, n - rows)  # the last block begins in the one before
        some, soft = (jax.lax.dynamic_slice_in_dim(a, first, rows) for a in (z, targets))
        some = some.astype(jnp.float64)
        predictions = centred_softmax(forward(some, weights))
        new = first + jnp.arange(rows) >= i * rows
        residual = predictions - deviations(soft, k, jnp.float64)
        gradient += backward(some, jnp.where(new[:, None], residual, 0.0))
        found = (predictions + 1.0 / k).astype(dtype)
        return gradient, jax.lax.dynamic_update_slice_in_dim(probabilities, found, first, 0)

    carry = (jnp.zeros_like(weights), jnp.zeros((n, k), dtype))
    gradient, probabilities = jax.lax.fori_loop(0, -(-n // rows), block, carry)
    return gradient / n + weight_decay * weights, probabilities


@jax.jit
def softmax(logits: jax.Array) -> jax.Array:
    """P (N, K)."""
    return jax.nn.softmax(logits, axis=1)


def identity(logits: jax.Array) -> jax.Array:
    """The logits, as a link."""
    return logits


@partial(jax.jit, static_argnames=("rows", "link"))
def predictions(
    z: jax.Array, weights: jax.Array, rows: int, link: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    """``link`` of the logits (N, K), in the precision of ``weights``, ``rows`` rows at a time."""
    n = len(z)
    rows = min(rows, n)

    def block(i, found):
        first = jnp.minimum(i * rows, n - rows)
        some = jax.lax.dynamic_slice_in_dim(z, first, rows).astype(weights.dtype)
        return jax.lax.dynamic_update_slice_in_dim(found, link(forward(some, weights)), first, 0)

    return jax.lax.fori_loop(0, -(-n // rows), block, jnp.zeros((n, len(weights)), weights.dtype))


@jax.jit
def logits(z: jax.Array, weights: jax.Array) -> jax.Array:
    """Logits (N, K) at ``weights`` (K, r)."""
    return forward(z, weights)


@jax.jit
def evaluate_multiple(
    z: jax.Array,
    samples: jax.Array,
    targets: jax.Array,
    weight_decay: jax.Array,
    weights: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The best multiple s of ``weights`` (K, r), and what ``evaluate`` says at it.

    A ray of weights is a ray of logits, so that one pass is enough.
    """
    logits = forward(z, weights)
    curvature = weight_decay * jnp.vdot(weights, weights)
    multiple = best_multiple(logits, targets, samples, curvature)
    there = evaluate(z, samples, targets, weight_decay, multiple * weights, multiple * logits)
    return multiple, *there


@jax.jit
def best_multiple(
    logits: jax.Array, targets: jax.Array, samples: jax.Array, curvature: jax.Array
) -> jax.Array:
    """The s ≥ 0 with the least L(sW), near enough; ``curvature`` is λ‖W‖².

    Newton's method on a convex function of one number, kept within a factor of 2 a step. A student
    whose targets doubt what its start is sure of begins far better from less of it.
    """
    linear = jnp.vdot(deviations(targets, logits.shape[1], logits.dtype), logits) / samples

    def step(_, s):
        p = jax.nn.softmax(s * logits, axis=1)
        mean = (p * logits).sum(axis=1)
        # Σ_k logits = 0, so that targets and their deviations from 1/K are the same here.
        slope = mean.sum() / samples - linear + s * curvature
        spread = (jnp.vdot(p * logits, logits) - jnp.vdot(mean, mean)) / samples + curvature
        return jnp.clip(s - slope / spread, 0.5 * s, 2.0 * s)

    return jax.lax.fori_loop(0, 4, step, jnp.ones((), logits.dtype))
