"""The norm of a gradient that rough products found, estimated from samples.

A whole evaluation in float64 takes as long as tens of rough products, and most often only
confirms what is known. With G what was found, P̂ predictions that are near P, the true ones at W,

    ∇L(W) = Ĝ + Xᵀ(P − P̂)/N,      Ĝ = Xᵀ(P̂ − T)/N + λW.

* Ĝ is multiplied by s Gaussian directions v, which takes (P̂ − T)ᵀ(Xv)/N, summed in float64. As in
  Freivalds' check of a product (1977), E‖Ĝv‖² = ‖Ĝ‖_F². That G is near makes it sharp: of
  ‖Ĝv‖² − ‖Gv‖² the mean is ‖Ĝ‖² − ‖G‖², and its deviation is in proportion to ‖Ĝ − G‖.
* The rest is a mean of N terms. Those of m rows, drawn with chances as their norms are, are
  computed in float64 from the features themselves. Their weighted mean M has a mean square that is
  too large by V/m, where V is the variance of a term. So V/m is taken off again; a quarter of it
  stays, for what so few rows cannot tell.

P̂ may be anything. The predictions that rough products end with cost nothing, and most often are
near enough; those of float32 cost half a pass. None of this is a bound, so a head that ends by it
can miss its tolerance, by what the estimate missed. Nothing else depends on it: certificates are
computed from W alone.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gramlab import device
from gramlab.features import Features
from gramlab.heads import points
from gramlab.heads.coordinates import Coordinates, row_squares, rows_on_device
from gramlab.heads.products import backward, forward
from gramlab.streams import stream

__all__ = ["Found", "gradient_norm"]

_DIRECTIONS = 16
_ROWS = 256
_STREAM = int.from_bytes(b"gradient", "big")


class Found(NamedTuple):
    """What rough products have at some weights: the gradient, and predictions if they are P̂."""

    gradient: jax.Array  # G (K, r), in the coordinates
    probabilities: jax.Array | None = None  # (N, K) at a base point
    change: jax.Array | None = None  # (N, K) of these, from there


class _Sample(NamedTuple):
    """What is drawn for a feature matrix, once: all its heads can share it."""

    directions: np.ndarray  # (s, d) V
    moved: jax.Array  # (N, s) XVᵀ
    rows: np.ndarray  # (m,) numbers of rows
    values: jax.Array  # (m, d) those rows of X in float64
    shares: np.ndarray  # (m,) their weights in a sum over all rows


def _sample(features: Features) -> _Sample:
    def make() -> _Sample:
        random = np.random.Generator(stream(0, _STREAM))
        n, d = features.n_samples, features.n_features
        directions = random.standard_normal((_DIRECTIONS, d))
        norms = np.sqrt(np.asarray(row_squares(features), dtype=np.float64))
        until = np.cumsum(norms)
        drawn = np.searchsorted(until, until[-1] * random.random(_ROWS), side="right")
        rows = np.minimum(drawn, n - 1)
        with device.float64():
            moved = _moved(rows_on_device(features, np.float32), directions)
            values = jnp.asarray(features.x[rows], dtype=np.float64)
        shares = until[-1] / (_ROWS * norms[rows])
        return _Sample(directions, moved, rows, values, shares)

    return features._memo.once("sample", make)


def _along(coordinates: Coordinates, directions: np.ndarray) -> np.ndarray:
    """The directions (s, r) as the coordinates have them."""
    if coordinates.basis is None:
        return directions
    return coordinates.features._memo.once(
        ("sample", coordinates.quick), lambda: coordinates.from_weights(directions)
    )


@jax.jit
def _moved(rows: jax.Array, directions: jax.Array) -> jax.Array:
    return forward(rows, directions.astype(rows.dtype)).astype(directions.dtype)


def gradient_norm(
    coordinates: Coordinates,
    targets: jax.Array,
    weight_decay: float,
    weights: np.ndarray,
    found: Found,
) -> tuple[float, float]:
    """About ‖∇L(W)‖_F, and how far off that may be (one standard deviation, or somewhat more).

    Targets are deviations T − 1/K (N, K), or labels (N,); weights those (K, d) of the features.
    Where there are no predictions in what was ``found``, P̂ is float32's.
    """
    sample = _sample(coordinates.features)
    along = _along(coordinates, sample.directions)
    numbers = _estimated(
        coordinates.rows(np.float32), targets, weight_decay, weights, found, along, sample
    )
    square, apart, rest, spread = (float(number) for number in np.asarray(numbers))
    rows = len(sample.rows)
    unbiased = (rest - spread / rows) * rows / (rows - 1.0)
    error = 2.0 * apart / len(along) + max(unbiased, 0.25 * spread / rows)
    return math.sqrt(max(square, 0.0)), math.sqrt(error)


@jax.jit
def _estimated(
    x: jax.Array,
    targets: jax.Array,
    weight_decay: jax.Array,
    weights: jax.Array,
    found: Found,
    along: jax.Array,
    sample: _Sample,
) -> jax.Array:
    """Estimates of ‖Ĝ‖², ‖Ĝ − G‖²; ‖M‖² and V. X is in float32, ``along`` V as G sees it."""
    n, cast = len(x), partial(jnp.asarray, dtype=weights.dtype)
    if found.probabilities is None or found.change is None:
        predictions = cast(points.centred_softmax(forward(x, weights.astype(x.dtype))))
    else:
        predictions = cast(found.probabilities + found.change) - 1.0 / len(weights)
    gradient = cast(found.gradient)
    soft = points.deviations(targets, len(weights), predictions.dtype)
    moved = backward(sample.moved, predictions - soft) / n  # Ĝ Vᵀ (K, s)
    moved += weight_decay * jnp.matmul(weights, sample.directions.T)
    known = jnp.matmul(gradient, along.T)
    squares = [(a * a).sum() / len(along) for a in (moved, known, moved - known)]
    exact = points.centred_softmax(forward(sample.values, weights))
    change = sample.shares[:, None] * (exact - predictions[sample.rows]) / n
    mean = backward(sample.values, change)
    spread = (sample.values**2).sum(axis=1) @ (change**2).sum(axis=1) * len(sample.rows)
    square = jnp.vdot(gradient, gradient) + squares[0] - squares[1]
    return jnp.stack([square, squares[2], jnp.vdot(mean, mean), spread])
