"""Small heads: the whole iteration in one compiled call.

Where a pass takes microseconds, the way to the device and back takes longer than what is computed
there. So everything from the start to predictions in float64 is one call: the quasi-Newton
iteration of ``heads.solver`` in float32, in the scalar metric, and then one look in float64, which
alone says whether the goal was reached. If it was not, ``heads.corrections`` goes on from there.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gramlab import device
from gramlab.heads import points, solver
from gramlab.heads.coordinates import Coordinates, rows_on_device
from gramlab.heads.objective import SoftmaxObjective
from gramlab.heads.products import backward, forward
from gramlab.targets import OneHotRows

__all__ = ["ONE_CALL", "Attempt", "attempt", "is_small"]

ONE_CALL = "L-BFGS in one compiled call"
_WORK = 4e7  # operations of a pass up to which one call is quicker, where none are rough
_FEATURES = 256  # so few that their eigenbasis costs next to nothing
_MEMORY = 5  # quasi-Newton pairs
_SLOPE_RATIO = 0.5  # of the line search: looks at logits are not much cheaper than passes here
_AIM = 0.8  # of the goal, so that float32's rounding does not lift the result above it
_LEAST = 5e-6  # fall of the gradient norm that float32 manages
_LIMIT = 200  # iterations


class Attempt(NamedTuple):
    """What one call came to."""

    weights: np.ndarray  # (K, d)
    deviations: np.ndarray  # (N, K) P − 1/K, in float64 like all of these
    probabilities: np.ndarray  # (N, K)
    norm: float  # of the gradient there
    start_norm: float  # ... and at W = 0
    reached: bool  # whether the former is as small as was asked
    passes: float
    iterations: int


class _Basis(NamedTuple):
    """The Gram eigenbasis to solve in, of float32 accuracy."""

    vectors: np.ndarray  # (d, r)
    z: jax.Array  # (N, r) the rows in that basis
    eigenvalues: np.ndarray  # (r,)


class _Numbers(NamedTuple):
    """What the call is told about the problem, in float64."""

    samples: np.float64  # N
    weight_decay: np.float64
    fall: np.float64  # of the gradient norm from W = 0, to stop at
    limit: np.int64  # iterations


_Answer = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def is_small(n: int, d: int, k: int) -> bool:
    """Whether a head on N × d features and K classes is solved faster in one call."""
    return d <= min(n, _FEATURES) and 4.0 * n * d * k <= _WORK


def attempt(
    objective: SoftmaxObjective, start: np.ndarray | None, fall: float, max_passes: int
) -> Attempt | None:
    """Lower the gradient norm to ``fall`` times what it is at W = 0, in one call.

    None where that is not to be had in float32 or in ``max_passes``, where every row is uniform and
    the optimum W = 0, or where numbers leave float32's range. Else the norm is float64's, and may
    have missed it.
    """
    if fall < _LEAST or max_passes < 2 * _LIMIT:  # a tight budget is for those who count each pass
        return None
    with device.float64():
        features, k = objective.features, objective.n_classes
        x = rows_on_device(features, np.float64)
        numbers = _Numbers(
            np.float64(objective.n_samples),
            np.float64(objective.weight_decay),
            np.float64(_AIM * fall),
            np.int64(_LIMIT),
        )
        begin = start.T if start is not None and start.any() else None
        targets = objective.target_deviations
        if isinstance(targets, OneHotRows):
            targets = targets.labels
        asked = targets, begin, numbers, k
        found = Coordinates.of(features, objective.weight_decay, k)
        if found.basis is None or not found.quick:  # out of float32's range
            return None
        basis = _Basis(found.basis, found.resident(np.float32), found.eigenvalues)
        answer = _solve(x, basis, *asked)
        weights, deviations, probabilities, counts = map(np.asarray, answer)
    norm, start_norm, iterations = (float(c) for c in counts)
    if start_norm == 0.0 or not math.isfinite(norm):
        return None
    passes = iterations + 1.5 + 0.5 * (begin is not None)
    reached = norm <= fall * start_norm
    found = weights, deviations, probabilities, norm, start_norm, reached, passes
    return Attempt(*found, int(iterations))


@partial(jax.jit, static_argnames="k")
def _solve(
    x: jax.Array,
    basis: _Basis,
    targets: jax.Array,
    start: jax.Array | None,
    numbers: _Numbers,
    k: int,
) -> _Answer:
    """W (K, d), P − 1/K and P (N, K); the gradient's norm there and at W = 0, iterations."""
    x = x.astype(numbers.samples.dtype)
    z, vectors = basis.z, basis.vectors
    cast = partial(jnp.asarray, dtype=z.dtype)
    targets = points.deviations(targets, k, x.dtype)
    samples, weight_decay = cast(numbers.samples), cast(numbers.weight_decay)
    first = points.first_gradient(x, numbers.samples, targets)
    start_norm = jnp.linalg.norm(first)
    zero = cast(jnp.matmul(first, vectors, precision="highest"))
    at = jnp.zeros_like(zero), zero, jnp.full(targets.T.shape, 1.0 / k, z.dtype)
    if start is not None:
        # Of zero sum over classes, and without what lies outside the span of the rows.
        turned = jnp.matmul(start - start.mean(axis=0), vectors, precision="highest")
        at = _best_start(z, cast(targets), cast(turned), samples, weight_decay, at)
    begin, gradient, probabilities = at
    base = solver.Base(z, cast(basis.eigenvalues), weight_decay, samples, gradient, probabilities)
    goal = cast(numbers.fall * start_norm)

    def unfinished(state: solver.State):
        return (jnp.linalg.norm(state.gradient) > goal) & (state.iterations < numbers.limit)

    def step(state: solver.State):
        metric = solver.scalar_metric(base, state)
        return solver.iterate(base, metric, state, _SLOPE_RATIO, classes=0)

    state = jax.lax.while_loop(unfinished, step, solver.start(base, _MEMORY))
    weights = (begin + state.step).astype(x.dtype)
    weights = jnp.matmul(weights - weights.mean(axis=0), vectors.T, precision="highest")
    gradient, logits, deviations = points.evaluate(
        x, numbers.samples, targets, numbers.weight_decay, weights
    )
    norm = jnp.linalg.norm(gradient)
    counts = jnp.stack([norm, start_norm, state.iterations.astype(norm.dtype)])
    return weights, deviations, points.softmax(logits), counts


def _best_start(
    z: jax.Array,
    targets: jax.Array,
    start: jax.Array,
    samples: jax.Array,
    weight_decay: jax.Array,
    at_zero: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Weights (K, r), gradient and P (K, N) at the best multiple of ``start``.

    Or at W = 0, where the gradient there is smaller.
    """
    logits = forward(z, start)
    curvature = weight_decay * jnp.vdot(start, start)
    multiple = points.best_multiple(logits, targets, samples, curvature)
    deviations = points.centred_softmax(multiple * logits)
    weights = multiple * start
    gradient = backward(z, deviations - targets) / samples + weight_decay * weights
    closer = jnp.linalg.norm(gradient) <= jnp.linalg.norm(at_zero[1])
    there = weights, gradient, deviations.T + 1.0 / targets.shape[1]
    return jax.tree.map(partial(jnp.where, closer), there, at_zero)
