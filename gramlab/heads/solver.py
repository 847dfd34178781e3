"""Limited-memory BFGS in a metric that is near the Hessian: the one iteration there is.

It runs on JAX's arrays, compiled, and on NumPy's as it stands. One iteration is one pass over the
rows, Z·D for the change of the logits and Zᵀ·Δρ for the gradient.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gramlab.heads.arrays import Array, compiled, namespace, repeat, store, while_loop
from gramlab.heads.objective import Objective, StreamedObjective
from gramlab.heads.preconditioner import Preconditioner, scalar

__all__ = ["State", "advance", "begin", "line_search", "move", "rebase"]


class State(NamedTuple):
    """Where the iteration stands, relative to the base point."""

    step: Array  # (K, r) D
    seen: Any  # by the objective there
    gradient: Array  # (K, r)
    norm: Array  # () its norm
    steps: Array  # (pairs, K, r) past steps, oldest overwritten first
    differences: Array  # (pairs, K, r) past changes of the gradient
    inverses: Array  # (pairs,) 1/⟨step, difference⟩; 0 marks an empty slot
    iterations: Array  # pairs ever stored; slot = iterations mod pairs
    halted: Array  # whether the last line search did not end by itself


@compiled(static_argnames="pairs")
def begin(objective: Objective | StreamedObjective, pairs: int) -> State:
    """At the base point, with an empty memory."""
    gradient = objective.gradient
    xp = namespace(gradient)
    memory = xp.zeros((pairs, *gradient.shape), gradient.dtype)
    return State(
        xp.zeros_like(gradient),
        objective.begin(),
        gradient + 0.0,
        xp.linalg.norm(gradient),
        memory,
        memory + 0.0,
        xp.zeros(pairs, gradient.dtype),
        xp.zeros((), "int32"),
        xp.zeros((), bool),
    )


def rebase(objective: Objective | StreamedObjective, state: State) -> State:
    """At a new base point, with the memory of ``state``."""
    new = begin(objective, len(state.inverses))
    return new._replace(
        steps=state.steps,
        differences=state.differences,
        inverses=state.inverses,
        iterations=state.iterations,
    )


def line_search(ray: Any, ratio: float, xp: Any, looks: int = 25) -> tuple[Array, Any, Array]:
    """A step length τ > 0 at which the slope has fallen to ``ratio`` of its start, and its look.

    Newton's method between lengths known to be too short and too long, and every third time their
    middle: Newton's steps alone can go in a circle. After ``looks`` of them it is the longest one
    known to be too short, 0 where there is none, and the third value says so.
    """
    short = ratio * ray.slope  # negative

    def unfinished(carry):
        _, _, _, look, count = carry
        return (look.long | (look.slope < short)) & (count < looks)

    def refine(carry):
        tau, low, high, look, count = carry
        low = xp.where(look.long, low, tau)
        high = xp.where(look.long, tau, high)
        newton = tau - look.slope / ray.curvature(tau, look)
        middle = xp.where(xp.isfinite(high), 0.5 * (low + high), 2.0 * tau)
        good = (newton > low) & (newton < high) & (count % 3 < 2)
        tau = xp.where(good, newton, middle)
        tau = xp.where(count + 1 < looks, tau, low)
        return tau, low, high, ray.look(tau), count + 1

    one = xp.ones((), ray.slope.dtype)
    carry = (one, 0.0 * one, np.inf * one, ray.look(one), 0)
    tau, _, _, look, count = while_loop(unfinished, refine, carry, xp)
    return tau, look, count >= looks


@compiled()
def move(objective: Any, state: State, direction: Array) -> State:
    """Along the ray to where the line search ends; the memory as it was."""
    xp = namespace(direction)
    ray = objective.along(state.seen, state.step, state.gradient, direction)
    tau, look, halted = line_search(ray, objective.slope_ratio, xp)
    seen, gradient = ray.land(tau, look)
    return state._replace(
        step=state.step + tau * direction,
        seen=seen,
        gradient=gradient,
        norm=xp.linalg.norm(gradient),
        halted=halted,
    )


def _iterate(objective: Any, metric: Preconditioner | None, state: State) -> State:
    """One quasi-Newton step, and the pair it teaches; without a metric, in the scalar one."""
    xp = namespace(state.step)
    if metric is None:
        metric = scalar(objective, state.seen)
    new = move(objective, state, -_two_loop(metric, state, xp))
    step, difference = new.step - state.step, new.gradient - state.gradient
    inner = xp.vdot(step, difference)
    # A convex loss has ⟨step, difference⟩ ≥ λ‖step‖², which rounding can void near the floor.
    valid = inner > 0.5 * objective.weight_decay * xp.vdot(step, step)
    valid &= inner > 4.0 * xp.finfo(inner.dtype).tiny  # so that its inverse is in range
    i = state.iterations % len(state.inverses)
    return new._replace(
        steps=store(state.steps, i, xp.where(valid, step, 0.0)),
        differences=store(state.differences, i, xp.where(valid, difference, 0.0)),
        inverses=store(state.inverses, i, xp.where(valid, 1.0 / xp.where(valid, inner, 1.0), 0.0)),
        iterations=state.iterations + 1,
    )


def _two_loop(metric: Preconditioner, state: State, xp: Any) -> Array:
    """The quasi-Newton inverse Hessian times the gradient, around the metric (Nocedal 1980)."""
    pairs = len(state.inverses)

    def newest_first(age, carry):
        q, coefficients = carry
        i = (state.iterations - 1 - age) % pairs
        c = state.inverses[i] * xp.vdot(state.steps[i], q)
        return q - c * state.differences[i], store(coefficients, i, c)

    carry = state.gradient, xp.zeros_like(state.inverses)
    q, coefficients = repeat(pairs, newest_first, carry, xp)

    def oldest_first(age, q):
        i = (state.iterations + age) % pairs
        return q + state.steps[i] * (
            coefficients[i] - state.inverses[i] * xp.vdot(state.differences[i], q)
        )

    return repeat(pairs, oldest_first, metric.inverted(q), xp)


@compiled(donate_argnums=2)
def advance(
    objective: Objective | StreamedObjective,
    metric: Preconditioner | None,
    state: State,
    target: float,
    limit: int,
) -> State:
    """Iterate to a gradient norm of ``target``, ``limit`` times at most; ``state`` is used up."""
    end, xp = state.iterations + limit, namespace(state.step)

    def unfinished(state: State):
        on = (state.norm > target) & (state.iterations < end)
        return on & xp.logical_not(state.halted)

    return while_loop(unfinished, partial(_iterate, objective, metric), state, xp)
