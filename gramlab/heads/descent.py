"""Descent on a loss of the logits that need not be convex: limited-memory BFGS (JAX).

One iteration is one pass, two products with the features. The line search moves along a ray of
logits, costs none, and ends where the weak Wolfe conditions hold: the objective has fallen, and the
slope has risen by enough for the pair of steps to have positive curvature. So every direction is
one of descent, and the stationary point that is reached belongs to the start.

Directions, memory and metric are those of ``gramlab.heads.solver``.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gramlab.heads import products, solver

__all__ = ["Problem", "Walk", "advance", "begin", "value_and_residual"]

_LINE_SEARCH_STEPS = 40
_DECREASE, _SLOPE = 1e-4, 0.9  # of the weak Wolfe conditions


class Problem(NamedTuple):
    """The generalized cross entropy in coordinates where the Gram matrix is diagonal."""

    base: solver.Base  # features, eigenvalues, weight decay, samples; the rest is not used
    metric: solver.Metric
    targets: jax.Array  # (N, K)
    q: jax.Array  # ()


class Walk(NamedTuple):
    """Where the descent stands."""

    state: solver.State  # step: weights (K, r); logits and residual (N, K); memory
    value: jax.Array  # () the objective, summed in float64
    stuck: jax.Array  # () whether no step lowers the objective in this precision


def value_and_residual(problem: Problem, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean loss and P ∘ c − T ∘ P^q (N, K), N times its gradient, at logits (N, K)."""
    logs = jax.nn.log_softmax(logits, axis=1)
    pulls = problem.targets * jnp.exp(problem.q * logs)
    residual = jnp.exp(logs) * pulls.sum(axis=1, keepdims=True) - pulls
    losses = problem.targets * jnp.expm1(problem.q * logs)
    # Line searches compare values that differ in their last digits.
    total = losses.sum(axis=1).astype(jnp.float64).sum()
    return -total / (problem.q * problem.base.samples), residual


def _at(problem: Problem, weights: jax.Array, logits: jax.Array):
    """Objective, residual and gradient (K, r)."""
    base = problem.base
    loss, residual = value_and_residual(problem, logits)
    gradient = products.backward(base.z, residual) / base.samples + base.weight_decay * weights
    return loss + 0.5 * base.weight_decay * jnp.vdot(weights, weights), residual, gradient


@partial(jax.jit, static_argnames="memory")
def begin(problem: Problem, weights: jax.Array, memory: int) -> Walk:
    """At ``weights`` (K, r), with an empty memory; one pass."""
    logits = products.forward(problem.base.z, weights)
    value, residual, gradient = _at(problem, weights, logits)
    pairs = jnp.zeros((memory, *weights.shape), weights.dtype)
    state = solver.State(
        weights + 0.0,
        logits,
        residual,
        gradient,
        pairs,
        pairs + 0.0,
        jnp.zeros(memory, weights.dtype),
        jnp.zeros((), jnp.int32),
    )
    return Walk(state, value, jnp.zeros((), bool))


def _slack(value: jax.Array) -> jax.Array:
    """Rounding of an objective, below which slopes alone tell up from down."""
    return 8.0 * jnp.finfo(jnp.float64).eps * jnp.abs(value)


def _line_search(problem: Problem, walk: Walk, direction: jax.Array, moved: jax.Array):
    """A step τ on which the weak Wolfe conditions hold, by bisection; 0 where none was found."""
    base, state = problem.base, walk.state
    linear = base.weight_decay * jnp.vdot(state.step, direction)
    quadratic = base.weight_decay * jnp.vdot(direction, direction)
    initial = jnp.vdot(state.gradient, direction)
    ridge = 0.5 * base.weight_decay * jnp.vdot(state.step, state.step)

    def at(tau):
        loss, residual = value_and_residual(problem, state.logits + tau * moved)
        value = loss + ridge + tau * linear + 0.5 * tau**2 * quadratic
        return value, jnp.vdot(residual, moved) / base.samples + linear + tau * quadratic

    def verdict(tau, value, slope):
        """−1: τ is too long, 1: too short, 0: right."""
        long = ~(value <= walk.value + _slack(walk.value) + _DECREASE * tau * initial)
        return jnp.where(long, -1, jnp.where(slope < _SLOPE * initial, 1, 0))

    def unfinished(carry):
        *_, found, count = carry
        return (found != 0) & (count < _LINE_SEARCH_STEPS)

    def refine(carry):
        tau, low, high, found, count = carry
        low, high = jnp.where(found > 0, tau, low), jnp.where(found < 0, tau, high)
        tau = jnp.where(jnp.isfinite(high), 0.5 * (low + high), 2.0 * tau)
        return tau, low, high, verdict(tau, *at(tau)), count + 1

    one = jnp.ones((), moved.dtype)
    first = (one, jnp.zeros_like(one), jnp.full_like(one, jnp.inf), verdict(one, *at(one)), 0)
    tau, low, _, found, _ = jax.lax.while_loop(unfinished, refine, first)
    # What is too short has lowered the objective all the same.
    return jnp.where(found == 0, tau, low)


def _iterate(problem: Problem, walk: Walk) -> Walk:
    base, state = problem.base, walk.state
    direction = solver._direction(base, problem.metric, state)
    moved = products.forward(base.z, direction)
    tau = _line_search(problem, walk, direction, moved)
    step = tau * direction
    weights, logits = state.step + step, state.logits + tau * moved
    value, residual, gradient = _at(problem, weights, logits)
    difference = gradient - state.gradient
    inner = jnp.vdot(step, difference)
    valid = (inner > 0.0) & jnp.isfinite(inner)
    i = state.iterations % state.curvatures.shape[0]
    moved_on = solver.State(
        weights,
        logits,
        residual,
        gradient,
        state.steps.at[i].set(jnp.where(valid, step, 0.0)),
        state.differences.at[i].set(jnp.where(valid, difference, 0.0)),
        state.curvatures.at[i].set(jnp.where(valid, 1.0 / jnp.where(valid, inner, 1.0), 0.0)),
        state.iterations + 1,
    )
    halted = (tau == 0.0) | ~(value <= walk.value + _slack(walk.value))
    return Walk(moved_on, value, halted)


@partial(jax.jit, donate_argnums=1)
def advance(problem: Problem, walk: Walk, target: jax.Array, limit: jax.Array) -> Walk:
    """Iterate until the gradient norm is at most ``target``, or ``limit`` times, or to a halt."""
    end = walk.state.iterations + limit

    def unfinished(walk: Walk):
        norm = jnp.linalg.norm(walk.state.gradient)
        return (norm > target) & (walk.state.iterations < end) & ~walk.stuck

    return jax.lax.while_loop(unfinished, partial(_iterate, problem), walk)
