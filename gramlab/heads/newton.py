"""Newton's method with products of bfloat16 numbers, for processors that multiply them much faster.

Steps only have to point the right way, so the products that find them may be rough. From a base
point (see ``heads.solver``) one iteration is

* conjugate gradients on the Newton equation H d = −∇L, in one of ``heads.metrics``. H takes two
  products with Z̃, the features Z rounded to bfloat16; the direction and what comes back are
  rounded too. In the Gram eigenbasis rounding is relative to each coordinate's own scale, so Z̃ᵀZ̃
  is near ZᵀZ in every direction, however small its eigenvalue: with u = 2⁻⁸,
  |dᵀZ̃ᵀZ̃d/dᵀZᵀZd − 1| ≤ 2u√r + u²r at worst, and far less as errors do not add up;
* a line search on the logits, moved by Z̃ d;
* the gradient, moved by Z̃ᵀ times the change of the predictions.

The step is what rounding left of d, so that logits, step and gradient belong to the same point of
the rounded problem. Its gradient is wrong by a small part of its *change* since it was last known;
before it has fallen that far, logits and gradient are made anew with Z in float32. How far the two
were apart then is the measure for the next time. One to four such refreshments take the gradient
to 1e-5 of its start.

How far the conjugate gradients go is decided by Eisenstat and Walker's first rule (SIAM J. Sci.
Comput. 17, 1996): not further than the quadratic model, rounding included, was seen to be right.

Where that does not lead on, it says so, and ``heads.solver`` does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from gramlab import device
from gramlab.heads import metrics, solver, tiles
from gramlab.heads.bfloat16 import Packed, Rounded, nearest, times_columns, times_rows
from gramlab.heads.leading import Leading

__all__ = ["Descent", "descend"]

_FORCING = (0.005, 0.3)  # least and largest residual that conjugate gradients stop at, of ‖∇L‖
_GOLDEN = 0.5 * (1.0 + math.sqrt(5.0))  # safeguard of the rule: η falls no faster than η^this
_AIM = 0.7  # of the goal, for the last residual
_SOLVE = 200  # products with H for one step, at most
_STEPS = 100  # steps from one base point, at most
_SLOPE_RATIO = 0.1  # of the line search: steps are no more accurate than that
_REFRESH = (1e-3, 0.03)  # least and largest fall of the rounded gradient before it is made anew:
_TRUSTED = 5.0  # ... to this multiple of its error, which is
_ERROR = 0.01  # ... of what it was when last made anew, this at first
_DOUBT = 2.0  # ... and this times what was found the last time later
_NO_FALL = 0.9  # ... or where a step lowered it to no less than this
_WRONG = 1.5  # a refreshed gradient that is this much larger than the rounded one has not ...
_STALLED = 0.5  # ... fallen to this since it was last refreshed: a failure
_FAILURES = 2
_SPREAD_SOLVE = 8  # products with H for one step from which a diagonal by class is worth its price
_SPREAD_AGAIN = 0.1  # ... and made anew where the norm has fallen to this since
_CLASS_SOLVE = 25  # products with H for one step from which a class metric is worth its price
_CLASS_ROWS = 48  # rows of each class whose curvature it keeps exactly
_CLASS_AGAIN = 0.1  # ... and made anew where the norm has fallen to this since


class Descent(NamedTuple):
    """What a run of steps from a base point came to."""

    step: jax.Array  # (K, r) D
    gradient: jax.Array  # (K, r) there, as far as it is known
    change: jax.Array  # (N, K) of the predictions, likewise
    reached: bool  # whether the goal was reached
    passes: float  # products with Z or Z̃, by pairs
    rough: float  # ... and with Z̃ alone
    iterations: int  # steps taken


class _Limits(NamedTuple):
    """What one step may do."""

    forcing: ArrayLike  # conjugate gradients stop at this residual, of ‖∇L‖
    products: ArrayLike  # ... or after so many products with H
    goal: ArrayLike  # a gradient norm that is reached is made anew
    refresh: ArrayLike  # ... as is one that fell to this
    error: ArrayLike  # ... but not the goal, if it is reached for all this error of the gradient


def _zero_sum(a: jax.Array) -> jax.Array:
    # Of (K, r): rounding would otherwise leave a part that no step can remove.
    return a - a.mean(axis=0)


def _direction(
    base: solver.Base,
    low: Rounded,
    metric: metrics.Metric,
    state: solver.State,
    residual: jax.Array,
    most: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Conjugate gradients to ‖H d + ∇L‖ ≤ ``residual``: d (K, r), products with H, the residual."""
    if isinstance(low, Packed) and not isinstance(metric, solver.Metric):
        return _direction_in_tiles(base, low, metric, state, residual, most)
    p = base.probabilities + state.change

    def times_hessian(d: jax.Array) -> jax.Array:
        weighted = p * times_rows(low, d)
        curved = weighted - p * weighted.sum(axis=1, keepdims=True)
        return times_columns(low, curved) / base.samples + base.weight_decay * d

    def preconditioned(r: jax.Array) -> jax.Array:
        if isinstance(metric, solver.Metric):
            return solver.apply_inverse(base, metric, r)
        return metric.inverted(r)

    def unfinished(carry):
        *_, squares, count = carry
        return (squares > residual**2) & (count < most)

    def step(carry):
        x, r, d, product, _, count = carry
        hd = times_hessian(d)
        length = product / jnp.vdot(d, hd)
        x = x + length * d
        r = _zero_sum(r - length * hd)
        y = preconditioned(r)
        new = jnp.vdot(r, y)
        return x, r, y + (new / product) * d, new, jnp.vdot(r, r), count + 1

    r = -_zero_sum(state.gradient)
    y = preconditioned(r)
    product = jnp.vdot(r, y)
    carry = (jnp.zeros_like(r), r, y, product, jnp.vdot(r, r), jnp.zeros((), jnp.int32))
    x, _, _, _, squares, count = jax.lax.while_loop(unfinished, step, carry)
    return x, count, jnp.sqrt(squares)


def _direction_in_tiles(
    base: solver.Base,
    low: Packed,
    metric: metrics.Diagonal | metrics.LowRank,
    state: solver.State,
    residual: jax.Array,
    most: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The same where all that lies between two products is one call, but for a few directions."""
    k = len(state.gradient)
    p = tiles.padded(base.probabilities + state.change)
    if isinstance(metric, metrics.Diagonal):
        scale, vectors = 1.0 / metric.values, None
    else:
        scale = jnp.broadcast_to(1.0 / metric.beyond, state.gradient.shape)
        vectors = jnp.pad(metric.vectors, ((0, 0), (0, -low.d % 32)))
        within, beyond = (tiles.padded(1.0 / a.T) for a in (metric.within, metric.beyond))

    def finished(at: tiles.Step, product: jax.Array) -> tuple[tiles.Step, jax.Array]:
        """With what the directions add to M⁻¹R and ⟨R, M⁻¹R⟩."""
        if vectors is None:
            return at, product
        b = jnp.matmul(vectors, at.residual)
        more = metrics.on_zero_sums(b, within, axis=1) - metrics.on_zero_sums(b, beyond, axis=1)
        y = at.preconditioned + jnp.matmul(vectors.T, more)
        return at._replace(preconditioned=y), product + jnp.vdot(b, more)

    def unfinished(carry):
        *_, squares, count = carry
        return (squares > residual**2) & (count < most)

    def step(carry):
        at, beta, product, _, count = carry
        parts, curvature, square = tiles.along(low, p, k, at.preconditioned, at.direction, beta)
        length = product / (curvature / base.samples + base.weight_decay * square)
        numbers = jnp.stack([length, beta, base.weight_decay, 1.0 / base.samples])
        at, new, squares = tiles.updated(low, k, at, parts, scale, numbers)
        at, new = finished(at, new)
        return at, new / product, new, squares, count + 1

    r = -_zero_sum(state.gradient)
    y = tiles.enter(low, metrics.on_zero_sums(r, scale))
    r, scale = tiles.enter(low, r), tiles.enter(low, scale)
    zero, nothing = jnp.zeros_like(r), jnp.zeros((), r.dtype)
    at, product = finished(tiles.Step(zero, r, y, zero), jnp.vdot(r, y))
    carry = at, nothing, product, jnp.vdot(r, r), jnp.zeros((), jnp.int32)
    at, _, _, squares, count = jax.lax.while_loop(unfinished, step, carry)
    return tiles.leave(low, k, at.x), count, jnp.sqrt(squares)


@jax.jit
def _take(
    base: solver.Base,
    low: Rounded,
    metric: metrics.Metric | Leading | None,
    state: solver.State,
    limits: _Limits,
) -> tuple[solver.State, jax.Array]:
    """One step, in the given metric or the scalar one of this point.

    In numbers, which come to the host together: products with H; ‖H d + ∇L‖ as conjugate gradients
    left it; ‖∇L‖ as the rounded products have it, and as it is handed on; whether that is
    float32's, and how far from the other.
    """
    norm = jnp.linalg.norm(state.gradient)
    if metric is None:
        metric = metrics.scalar(base, state)
    elif isinstance(metric, Leading):
        metric = metrics.leading_by_class(base, state, metric)
    asked = limits.forcing * norm
    found, count, residual = _direction(
        base, low, metric, state, asked, jnp.asarray(limits.products)
    )
    kept = nearest(found).astype(found.dtype)
    moved = times_rows(low, kept)
    direction = _zero_sum(kept)  # the same predictions
    look = tiles.slope if isinstance(low, Packed) else None
    tau, change = solver.line_search(base, state, direction, moved, _SLOPE_RATIO, look=look)
    step = state.step + tau * direction
    gradient = (
        state.gradient
        + _zero_sum(times_columns(low, change - state.change)) / base.samples
        + base.weight_decay * tau * direction
    )
    rounded = jnp.linalg.norm(gradient)
    anew = jnp.where(
        rounded <= limits.goal,
        rounded + limits.error > limits.goal,
        (rounded <= limits.refresh) | ~(rounded <= _NO_FALL * norm),
    )
    logits, change, known = jax.lax.cond(
        anew,
        lambda: solver.at_step(base, step),
        lambda: (state.logits + tau * moved, change, gradient),
    )
    error = jnp.linalg.norm(known - gradient)
    new = state._replace(
        step=step,
        logits=logits,
        change=change,
        gradient=known,
        iterations=state.iterations + 1,
    )
    numbers = (count, residual, rounded, jnp.linalg.norm(known), anew, error)
    return new, jnp.stack([number.astype(residual.dtype) for number in numbers])


def descend(
    base: solver.Base,
    low: Rounded,
    goal: float,
    settled: float,
    max_passes: float,
    report: Callable[[float, float], None],
    leading: Leading | None = None,
) -> Descent:
    """Steps from the base point until the gradient norm is at most ``goal``.

    Conjugate gradients are preconditioned by what the ``leading`` eigenvectors tell of the Hessian,
    or its diagonal in the base's coordinates; below the norm ``settled`` predictions change so
    little that instead of that a class metric is worth making.
    ``report`` is called with (passes, gradient norm) after each step. The descent ends early where
    refreshed gradients do not fall, numbers leave float32's range, or ``max_passes`` are nearly
    used.
    """
    state, metric = solver.start(base, 0), leading
    made, spread, slow, some = math.inf, math.inf, False, False
    known = norm = float(jnp.linalg.norm(base.gradient))  # known: when last refreshed
    done = 0
    failures, passes, rough = 0, 0.0, 0.0
    forcing, doubt = _FORCING[1], _ERROR
    while norm > goal:  # a rounded gradient that met it was made anew, or known well enough
        most = min(_SOLVE, math.floor(max_passes - passes) - 2)
        if most < 1 or failures == _FAILURES or done == _STEPS:
            return Descent(state.step, state.gradient, state.change, False, passes, rough, done)
        if slow and norm <= min(settled, _CLASS_AGAIN * made):
            kept = solver.kept_rows(base, _CLASS_ROWS)
            metric, made = solver.class_metric(base, state, kept) if kept else None, norm
            passes += 0.5 * kept**2 / float(base.samples)  # its products, in units of a pass
        elif some and norm <= _SPREAD_AGAIN * spread:
            metric, spread = metrics.by_class(base, state), norm
        asked = max(forcing, _AIM * goal / norm)
        fall = min(max(_TRUSTED * doubt, _REFRESH[0]), _REFRESH[1])
        limits = _Limits(asked, most, goal, fall * known, doubt * known)
        before = state
        state, taken = _take(base, low, metric, state, limits)
        count, residual, rounded, new, anew, error = (float(number) for number in np.asarray(taken))
        if not math.isfinite(new):
            return Descent(before.step, before.gradient, before.change, False, passes, rough, done)
        done += 1
        passes += count + 1.0 + anew
        rough += count + 1.0
        report(passes, new)
        # Of many small factors, which suits CPUs; on accelerators it was not measured. Where
        # products are those of tiles, an iteration in it takes twice a plain one.
        free = leading is None and not device.accelerated()
        slow = free and count >= _CLASS_SOLVE and not isinstance(low, Packed)
        some = free and count >= _SPREAD_SOLVE and made == math.inf
        forcing = _next_forcing(forcing, abs(rounded - residual) / norm)
        norm = new
        if anew:
            failures += norm > max(_STALLED * known, _WRONG * rounded)
            doubt, known = _DOUBT * error / known, norm
    return Descent(state.step, state.gradient, state.change, True, passes, rough, done)


def _next_forcing(forcing: float, model_error: float) -> float:
    slowest = forcing**_GOLDEN
    wanted = max(model_error, slowest) if slowest > 0.1 else model_error
    return min(max(wanted, _FORCING[0]), _FORCING[1])
