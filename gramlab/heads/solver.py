"""Minimizing the softmax objective: quasi-Newton corrections in a class-wise metric (JAX).

Everything is a correction to a base point W₀ whose gradient g₀ and predictions P₀ are known in
float64. For W = W₀ + D with logit change U = ZD,

    ∇L(W) = g₀ + Zᵀ ΔP/N + λD,      ΔP = P₀ ∘ (e − Σ P₀ e) / (1 + Σ P₀ e),   e = expm1(U − max U),

and every term is accurate relative to the *change*, so that an iteration in float32 reaches float64
gaps after one or two refreshed base points. Targets enter through g₀ alone.

The iteration is limited-memory BFGS. One iteration is one pass: Z·D for the change of the logits,
Zᵀ·ΔP for the gradient. The line search works on N×K logits and costs no pass. Its initial metric
is, in coordinates where XᵀX is diagonal (s_j):

* at first a s_j/N + λ, a the mean curvature of the predictions. From W = 0 that step is the closed
  form of the linearized theory;
* once the iteration has settled, class by class the Hessian's own block
  (1/N) Σ_i p_ik(1 − p_ik) z_i z_iᵀ + λ, in which the m largest curvatures of each class are kept
  exactly (Woodbury) and the others are replaced by their mean. A fitted head is uncertain about few
  samples per class, and these are what makes the scalar metric slow.

Both are followed by the projection on weights that sum to zero over classes, where the optimum
lies; without it the class blocks, which do not know of each other, would leave that space and
lose to it what they gain.

Weights are (K, r) here, so that both products of a pass run along contiguous rows. Logits are
(N, K), or (K, N) where a function is told that ``classes`` are axis 0, for N so small that samples
inside stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gramlab.heads.products import backward, forward

__all__ = [
    "Base",
    "Metric",
    "State",
    "advance",
    "apply_inverse",
    "at_step",
    "class_metric",
    "diagonal",
    "iterate",
    "kept_rows",
    "line_search",
    "rebase",
    "scalar_metric",
    "start",
]

_LINE_SEARCH_STEPS = 25
_CLASS_BYTES = 1_000_000_000  # of the rows that a class metric keeps, for all classes
_SLOPE_RATIO = 0.02  # accept a step once |φ'(τ)| ≤ this · |φ'(0)|; it costs no pass


class Base(NamedTuple):
    """One head around a base point, in one precision."""

    z: jax.Array  # (N, r) features in coordinates where their Gram matrix is diagonal
    eigenvalues: jax.Array  # (r,)
    weight_decay: jax.Array  # ()
    samples: jax.Array  # () N; rows of zeros that only fill up a shard do not count
    gradient: jax.Array  # (K, r) at the base point
    probabilities: jax.Array  # (N, K) at the base point


class Metric(NamedTuple):
    """M⁻¹ = (b_k s/N + λ)⁻¹ by class, minus BᵀSB by class."""

    curvature: jax.Array  # (K,) b_k
    factors: jax.Array  # (K, m, r) B; m = 0 leaves the diagonal alone
    inner: jax.Array  # (K, m, m) S


class State(NamedTuple):
    """Where the iteration stands, relative to the base point."""

    step: jax.Array  # (K, r) D
    logits: jax.Array  # (N, K) U
    change: jax.Array  # (N, K) ΔP
    gradient: jax.Array  # (K, r)
    steps: jax.Array  # (m, K, r) past steps, oldest overwritten first
    differences: jax.Array  # (m, K, r) past changes of the gradient
    curvatures: jax.Array  # (m,) 1/⟨step, difference⟩; 0 marks an empty slot
    iterations: jax.Array  # pairs ever stored; slot = iterations mod m


def _prediction_change(base: Base, logits: jax.Array, classes: int = 1) -> jax.Array:
    """softmax(v₀ + U) − softmax(v₀), with small relative error however small U is."""
    p = base.probabilities
    change = jnp.expm1(logits - logits.max(axis=classes, keepdims=True))
    factor = change + 1.0
    partition = (p * factor).sum(axis=classes, keepdims=True)
    mean = (p * change).sum(axis=classes, keepdims=True)
    # Where a class that was nearly impossible takes over, the change is as large as P itself and
    # the plain difference is the accurate one.
    return p * (jnp.where(partition > 0.5, change - mean, factor - partition) / partition)


@partial(jax.jit, static_argnames="memory")
def start(base: Base, memory: int) -> State:
    """At the base point, with an empty memory."""
    dtype = base.gradient.dtype
    pairs = (memory, *base.gradient.shape)
    return State(
        jnp.zeros_like(base.gradient),
        0.0 * base.probabilities,  # not zeros_like, which forgets that rows are over devices
        0.0 * base.probabilities,
        base.gradient + 0.0,
        jnp.zeros(pairs, dtype),
        jnp.zeros(pairs, dtype),
        jnp.zeros(memory, dtype),
        jnp.zeros((), jnp.int32),
    )


@jax.jit
def rebase(base: Base, state: State) -> State:
    """At a new base point, with the memory of ``state`` (in the new precision)."""
    dtype = base.gradient.dtype
    return State(
        jnp.zeros_like(base.gradient),
        0.0 * base.probabilities,  # not zeros_like, which forgets that rows are over devices
        0.0 * base.probabilities,
        base.gradient + 0.0,
        state.steps.astype(dtype),
        state.differences.astype(dtype),
        state.curvatures.astype(dtype),
        state.iterations,
    )


def at_step(base: Base, step: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """U (N, K), ΔP (N, K) and the gradient (K, r) at W₀ + ``step``, in one pass."""
    logits = forward(base.z, step)
    change = _prediction_change(base, logits)
    gradient = base.gradient + backward(base.z, change) / base.samples
    return logits, change, gradient + base.weight_decay * step


@jax.jit
def scalar_metric(base: Base, state: State) -> Metric:
    """The linearized Hessian with 1/K replaced by the mean curvature of the predictions.

    That is the mean eigenvalue of diag(p) − ppᵀ on zero-sum vectors; 1/K where p = 1/K.
    """
    p = base.probabilities + state.change
    k = len(base.gradient)
    # Rows that fill up a shard have p = 1/K and would shift the mean.
    filling = (len(base.z) - base.samples) / k
    curvature = (1.0 - (jnp.vdot(p, p) - filling) / base.samples) / (k - 1)
    factors = jnp.zeros((k, 0, base.z.shape[1]), p.dtype)
    return Metric(jnp.full(k, curvature, p.dtype), factors, jnp.zeros((k, 0, 0), p.dtype))


def kept_rows(base: Base, most: int) -> int:
    """Rows of each class that a class metric keeps: fewer where all of them take much memory."""
    (n, r), k = base.z.shape, base.gradient.shape[0]
    return min(most, n // 4, r, _CLASS_BYTES // (4 * k * r))


@partial(jax.jit, static_argnames="kept")
def class_metric(base: Base, state: State, kept: int) -> Metric:
    """Class-wise Hessian blocks with the ``kept`` largest curvatures of each class exact.

    With A the kept rows times √((p(1 − p) − b)/N) M^(−1/2), M = b s/N + λ, the inverse block is
    M⁻¹ − BᵀSB, B = A M^(−1/2), S = (I + AAᵀ)⁻¹.
    """
    p = base.probabilities + state.change
    curvatures = p * (1.0 - p)
    largest, rows = jax.lax.top_k(curvatures.T, kept)
    rest = (curvatures.sum(axis=0) - largest.sum(axis=1)) / jnp.maximum(base.samples - kept, 1.0)
    rest = jnp.maximum(rest, 0.0)

    identity = jnp.eye(kept, dtype=p.dtype)

    def of_class(of: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        largest, rows, rest = of
        half = jax.lax.rsqrt(rest * base.eigenvalues / base.samples + base.weight_decay)
        weights = jnp.sqrt(jnp.maximum(largest - rest, 0.0) / base.samples)
        a = base.z[rows] * weights[:, None] * half
        small = jnp.matmul(a, a.T, precision="highest") + identity
        # Two small inverses and their product: on CPUs faster than solving with every direction.
        inverse = jax.scipy.linalg.solve_triangular(
            jnp.linalg.cholesky(small), identity, lower=True
        )
        return a * half, jnp.matmul(inverse.T, inverse, precision="highest")

    # One class after the other: what is made on the way then stays in the cache.
    factors, inner = jax.lax.map(of_class, (largest, rows, rest))
    return Metric(rest, factors, inner)


def diagonal(base: Base, metric: Metric) -> jax.Array:
    """M (K, r), without the rows that a class metric keeps."""
    return metric.curvature[:, None] * base.eigenvalues / base.samples + base.weight_decay


def apply_inverse(base: Base, metric: Metric, q: jax.Array) -> jax.Array:
    """M⁻¹q (K, r), less its mean over classes."""
    out = q / diagonal(base, metric)
    if metric.factors.shape[1] > 0:
        inner = jnp.einsum("kmr,kr->km", metric.factors, q)
        inner = jnp.einsum("kml,kl->km", metric.inner, inner)
        out = out - jnp.einsum("kmr,km->kr", metric.factors, inner)
    return out - out.mean(axis=0)


class _Look(NamedTuple):
    """What a line search sees at one τ."""

    change: jax.Array  # ΔP
    slope: jax.Array  # φ'(τ)
    spread: jax.Array | None  # the predictions' part of φ''(τ); None if it is not yet known


def line_search(
    base: Base,
    state: State,
    direction: jax.Array,
    moved: jax.Array,
    slope_ratio: float = _SLOPE_RATIO,
    classes: int = 1,
    look: Callable[..., tuple[jax.Array, jax.Array, jax.Array]] | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Safeguarded Newton on the convex φ(τ) = L(W + τ·direction), from logits only.

    Returns τ and ΔP there. ``look``, if given, is ``heads.tiles.slope``.
    """
    # From the state's own gradient: that of rounded products does not follow from the base's.
    linear = jnp.vdot(state.gradient, direction)
    quadratic = base.weight_decay * jnp.vdot(direction, direction)

    def look_at(tau: jax.Array) -> _Look:
        if look is not None:
            given = base.probabilities, state.logits, moved, state.change, tau
            change, moment, spread = look(*given)
        else:
            change = _prediction_change(base, state.logits + tau * moved, classes)
            moment, spread = jnp.vdot(change - state.change, moved), None
        return _Look(change, moment / base.samples + linear + tau * quadratic, spread)

    def spread_of(seen: _Look) -> jax.Array:
        if seen.spread is not None:
            return seen.spread
        weighted = (base.probabilities + seen.change) * moved
        mean = weighted.sum(axis=classes)
        return jnp.vdot(weighted, moved) - jnp.vdot(mean, mean)

    initial = jnp.abs(linear)

    def unfinished(carry):
        *_, seen, count = carry
        return (jnp.abs(seen.slope) > slope_ratio * initial) & (count < _LINE_SEARCH_STEPS)

    def refine(carry):
        tau, low, high, seen, count = carry
        low = jnp.where(seen.slope < 0, tau, low)
        high = jnp.where(seen.slope < 0, high, tau)
        newton = tau - seen.slope / (spread_of(seen) / base.samples + quadratic)
        middle = jnp.where(jnp.isfinite(high), 0.5 * (low + high), 2.0 * tau)
        tau = jnp.where((newton > low) & (newton < high), newton, middle)
        return tau, low, high, look_at(tau), count + 1

    one = jnp.ones((), moved.dtype)
    carry = (one, jnp.zeros_like(one), jnp.full_like(one, jnp.inf), look_at(one), 0)
    tau, _, _, seen, _ = jax.lax.while_loop(unfinished, refine, carry)
    return tau, seen.change


def _direction(base: Base, metric: Metric, state: State) -> jax.Array:
    """Two-loop recursion around the metric."""
    memory = state.curvatures.shape[0]

    def slot(age):
        return (state.iterations - 1 - age) % memory

    def backward(age, carry):
        q, coefficients = carry
        i = slot(age)
        c = state.curvatures[i] * jnp.vdot(state.steps[i], q)
        return q - c * state.differences[i], coefficients.at[i].set(c)

    q, coefficients = jax.lax.fori_loop(
        0, memory, backward, (state.gradient, jnp.zeros_like(state.curvatures))
    )
    q = apply_inverse(base, metric, q)

    def forward(age, q):
        i = slot(memory - 1 - age)
        return q + state.steps[i] * (
            coefficients[i] - state.curvatures[i] * jnp.vdot(state.differences[i], q)
        )

    return -jax.lax.fori_loop(0, memory, forward, q)


def iterate(
    base: Base,
    metric: Metric,
    state: State,
    slope_ratio: float = _SLOPE_RATIO,
    classes: int = 1,
) -> State:
    """One quasi-Newton step in the given metric."""
    direction = _direction(base, metric, state)
    moved = forward(base.z, direction, classes)
    tau, change = line_search(base, state, direction, moved, slope_ratio, classes)
    step = tau * direction
    total = state.step + step
    moment = backward(base.z, change, classes)
    new = base.gradient + moment / base.samples + base.weight_decay * total
    difference = new - state.gradient
    inner = jnp.vdot(step, difference)
    # ⟨step, difference⟩ ≥ λ‖step‖² by strong convexity; rounding can void that near the floor.
    valid = inner > 0.5 * base.weight_decay * jnp.vdot(step, step)
    i = state.iterations % state.curvatures.shape[0]
    return State(
        total,
        state.logits + tau * moved,
        change,
        new,
        state.steps.at[i].set(jnp.where(valid, step, 0.0)),
        state.differences.at[i].set(jnp.where(valid, difference, 0.0)),
        state.curvatures.at[i].set(jnp.where(valid, 1.0 / jnp.where(valid, inner, 1.0), 0.0)),
        state.iterations + 1,
    )


@partial(jax.jit, donate_argnums=2)
def advance(base: Base, metric: Metric, state: State, target: jax.Array, limit: jax.Array) -> State:
    """Iterate until the gradient norm is at most ``target`` or ``limit`` iterations are done."""
    end = state.iterations + limit

    def unfinished(state: State):
        norm = jnp.linalg.norm(state.gradient)
        return (norm > target) & (state.iterations < end)

    return jax.lax.while_loop(unfinished, partial(iterate, base, metric), state)
