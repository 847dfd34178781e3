"""Minimizing the softmax objective in the Gram eigenbasis (JAX, float64).

In coordinates W = V A, Z = XV the linearized Hessian is diagonal, s_j/(KN) + λ, so the closed form
is one diagonal scaling of the first gradient, and exactly the first Newton step from W = 0. The
same scaling with 1/K replaced by the mean curvature of the current predictions is the initial
metric of a limited-memory BFGS iteration. One iteration costs one pass: Z·D for the change of the
logits, Zᵀ·(P − T) for the gradient. The line search works on N×K logits alone and costs no pass.

Where rounding stalls that iteration, Newton steps (conjugate gradients in the same metric) from
freshly computed logits close the last digits.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["Problem", "State", "advance", "newton_step", "start_state"]

_LINE_SEARCH_STEPS = 25
_SLOPE_RATIO = 0.1  # accept a step once |φ'(τ)| ≤ this · |φ'(0)|


class Problem(NamedTuple):
    """One head: Z (N, r), eigenvalues (r,), target deviations (N, K), weight decay ()."""

    z: jax.Array
    eigenvalues: jax.Array
    targets: jax.Array
    weight_decay: jax.Array


class State(NamedTuple):
    """Where the iteration stands; ``a`` (r, K) are the weights in the eigenbasis."""

    a: jax.Array
    logits: jax.Array
    predictions: jax.Array  # deviations P − 1/K (N, K)
    gradient: jax.Array
    steps: jax.Array  # (m, r, K) past changes of a, oldest overwritten first
    changes: jax.Array  # (m, r, K) past changes of the gradient
    curvatures: jax.Array  # (m,) 1/⟨step, change⟩; 0 marks an empty slot
    iterations: jax.Array  # pairs ever stored; slot = iterations mod m


def deviations(logits: jax.Array) -> jax.Array:
    """softmax(v) − 1/K by rows, accurate for small logits."""
    shifted = jnp.expm1(logits - logits.max(axis=1, keepdims=True))
    partition = (shifted + 1.0).sum(axis=1, keepdims=True)
    return (shifted - shifted.mean(axis=1, keepdims=True)) / partition


def gradient(problem: Problem, a: jax.Array, predictions: jax.Array) -> jax.Array:
    """Zᵀ(P − T)/N + λA."""
    n = problem.z.shape[0]
    return problem.z.T @ (predictions - problem.targets) / n + problem.weight_decay * a


def _metric(problem: Problem, predictions: jax.Array) -> jax.Array:
    """Diagonal of the scaled linearized Hessian, a·s_j/N + λ, as (r, 1).

    a is the mean eigenvalue of diag(p) − ppᵀ on zero-sum vectors; 1/K where p = 1/K.
    """
    n, k = predictions.shape
    curvature = (1.0 - 1.0 / k - jnp.vdot(predictions, predictions) / n) / (k - 1)
    return (curvature * problem.eigenvalues / n + problem.weight_decay)[:, None]


@partial(jax.jit, static_argnames="memory")
def start_state(problem: Problem, a: jax.Array, memory: int) -> State:
    """Begin at weights ``a``, with an empty memory."""
    logits = problem.z @ a
    predictions = deviations(logits)
    history = jnp.zeros((memory, *a.shape), a.dtype)
    return State(
        a,
        logits,
        predictions,
        gradient(problem, a, predictions),
        history,
        history,
        jnp.zeros(memory, a.dtype),
        jnp.zeros((), jnp.int32),
    )


def _line_search(problem: Problem, state: State, direction: jax.Array, change: jax.Array):
    """Safeguarded Newton on the convex φ(τ) = L(A + τD), from logits only.

    Returns τ and the prediction deviations at τ.
    """
    n = problem.z.shape[0]
    lam = problem.weight_decay
    linear = lam * jnp.vdot(state.a, direction) - jnp.vdot(problem.targets, change) / n
    # Targets enter through T − 1/K; the logits' change may have a mean, whose part cancels here.
    quadratic = lam * jnp.vdot(direction, direction)

    def derivatives(tau):
        p = deviations(state.logits + tau * change)
        mean = jnp.einsum("ij,ij->i", p, change)
        slope = mean.sum() / n + linear + tau * quadratic
        row_mean = change.mean(axis=1)
        second = jnp.vdot(p * change, change) + (change**2).mean(axis=1).sum()
        spread = second - jnp.vdot(mean + row_mean, mean + row_mean)
        return p, slope, spread / n + quadratic

    initial = jnp.abs(jnp.vdot(state.gradient, direction))

    def unfinished(carry):
        _, _, _, _, slope, _, count = carry
        return (jnp.abs(slope) > _SLOPE_RATIO * initial) & (count < _LINE_SEARCH_STEPS)

    def refine(carry):
        tau, low, high, _, slope, curvature, count = carry
        low = jnp.where(slope < 0, tau, low)
        high = jnp.where(slope < 0, high, tau)
        newton = tau - slope / curvature
        middle = jnp.where(jnp.isfinite(high), 0.5 * (low + high), 2.0 * tau)
        tau = jnp.where((newton > low) & (newton < high), newton, middle)
        return (tau, low, high, *derivatives(tau), count + 1)

    one = jnp.ones((), state.a.dtype)
    carry = (one, jnp.zeros_like(one), jnp.full_like(one, jnp.inf), *derivatives(one), 0)
    tau, _, _, p, _, _, _ = jax.lax.while_loop(unfinished, refine, carry)
    return tau, p


def _direction(problem: Problem, state: State) -> jax.Array:
    """Two-loop recursion with the scaled linearized Hessian as its initial metric."""
    memory = state.curvatures.shape[0]

    def slot(age):
        return (state.iterations - 1 - age) % memory

    def backward(age, carry):
        q, coefficients = carry
        i = slot(age)
        c = state.curvatures[i] * jnp.vdot(state.steps[i], q)
        return q - c * state.changes[i], coefficients.at[i].set(c)

    q, coefficients = jax.lax.fori_loop(
        0, memory, backward, (state.gradient, jnp.zeros_like(state.curvatures))
    )
    q = q / _metric(problem, state.predictions)

    def forward(age, q):
        i = slot(memory - 1 - age)
        return q + state.steps[i] * (
            coefficients[i] - state.curvatures[i] * jnp.vdot(state.changes[i], q)
        )

    return -jax.lax.fori_loop(0, memory, forward, q)


def _iterate(problem: Problem, state: State) -> State:
    direction = _direction(problem, state)
    change = problem.z @ direction
    tau, predictions = _line_search(problem, state, direction, change)
    step = tau * direction
    a = state.a + step
    new = gradient(problem, a, predictions)
    difference = new - state.gradient
    inner = jnp.vdot(step, difference)
    # ⟨step, change⟩ ≥ λ‖step‖² by strong convexity; rounding can void that near the floor.
    valid = inner > 0.5 * problem.weight_decay * jnp.vdot(step, step)
    i = state.iterations % state.curvatures.shape[0]
    return State(
        a,
        state.logits + tau * change,
        predictions,
        new,
        state.steps.at[i].set(jnp.where(valid, step, 0.0)),
        state.changes.at[i].set(jnp.where(valid, difference, 0.0)),
        state.curvatures.at[i].set(jnp.where(valid, 1.0 / jnp.where(valid, inner, 1.0), 0.0)),
        state.iterations + 1,
    )


@partial(jax.jit, donate_argnums=1)
def advance(problem: Problem, state: State, target: jax.Array, limit: jax.Array) -> State:
    """Iterate until the gradient norm is at most ``target`` or ``limit`` iterations are done."""
    end = state.iterations + limit

    def unfinished(state: State):
        norm = jnp.linalg.norm(state.gradient)
        return (norm > target) & (state.iterations < end)

    return jax.lax.while_loop(unfinished, partial(_iterate, problem), state)


@jax.jit
def refresh(problem: Problem, state: State) -> State:
    """Recompute logits, predictions and gradient from the weights, dropping rounding drift."""
    logits = problem.z @ state.a
    predictions = deviations(logits)
    return state._replace(
        logits=logits,
        predictions=predictions,
        gradient=gradient(problem, state.a, predictions),
    )


@jax.jit
def newton_step(problem: Problem, state: State, forcing: jax.Array, limit: jax.Array):
    """One Newton step by conjugate gradients to relative residual ``forcing``.

    Returns the refreshed state and the number of Hessian products.
    """
    n, k = state.predictions.shape
    scale = _metric(problem, state.predictions)
    p = state.predictions + 1.0 / k

    def product(d):
        change = problem.z @ d
        change = p * (change - jnp.einsum("ij,ij->i", p, change)[:, None])
        return problem.z.T @ change / n + problem.weight_decay * d

    def unfinished(carry):
        _, residual, _, _, count = carry
        return (jnp.linalg.norm(residual) > forcing * jnp.linalg.norm(state.gradient)) & (
            count < limit
        )

    def refine(carry):
        d, residual, search, rho, count = carry
        curved = product(search)
        step = rho / jnp.vdot(search, curved)
        d, residual = d + step * search, residual - step * curved
        scaled = residual / scale
        new = jnp.vdot(residual, scaled)
        return d, residual, scaled + (new / rho) * search, new, count + 1

    residual = -state.gradient
    scaled = residual / scale
    carry = (jnp.zeros_like(residual), residual, scaled, jnp.vdot(residual, scaled), 0)
    d, _, _, _, count = jax.lax.while_loop(unfinished, refine, carry)
    return refresh(problem, state._replace(a=state.a + d)), count
