"""The regularized loss around a base point, and along a ray from it.

    L(W) = Σ_i ω_i ℓ_i(Wᵀx_i) + (λ/2) ‖W‖²,    Σ_i ω_i = 1

At a base point W₀ gradient g₀ and predictions are known in float64. For W = W₀ + D, U = ZD,

    ∇L(W) = g₀ + Zᵀ diag(ω) Δρ + λD,    Δρ = ρ(V₀ + U) − ρ(V₀),

and every term is accurate relative to the *change*, in whatever precision it is computed. Weights
are (K, r), so that both products of a pass run along contiguous rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gramlab.heads.arrays import Array, namespace
from gramlab.heads.loss import CrossEntropy
from gramlab.heads.rows import Rows

__all__ = ["Look", "Objective", "Ray", "StreamedObjective"]


class Look(NamedTuple):
    """What a line search sees at one step length τ."""

    slope: Array  # φ'(τ)
    long: Array  # whether τ is too long
    change: Any  # Δρ there; of streamed rows gradient and mean curvature


class Ray(NamedTuple):
    """φ(τ) = L(W + τ·direction)."""

    slope: Array  # φ'(0)
    look: Callable[[Array], Look]
    curvature: Callable[[Array, Look], Array]  # φ''(τ), for Newton's step
    land: Callable[[Array, Look], tuple[Any, Array]]  # what is seen at τ, and the gradient there


class Seen(NamedTuple):
    """What is known at W₀ + D."""

    logits: Array  # U
    change: Array  # Δρ


class Objective(NamedTuple):
    """L around a base point, on resident rows: a ray costs half a pass, looks along it none."""

    rows: Rows
    weight_decay: Array
    gradient: Array  # (K, r) at the base point
    loss: Any  # of ``gramlab.heads.loss``

    @property
    def slope_ratio(self) -> float:
        """Of the first slope, at which a line search ends; looks at few rows cost like passes."""
        return self.loss.slope_ratio if self.rows.axis else max(self.loss.slope_ratio, 0.3)

    def begin(self) -> Seen:
        """What is seen at the base point."""
        none = 0.0 * self.loss[0]  # keeps the layout of rows over devices, as zeros would not
        return Seen(none, none)

    def curvature(self, seen: Seen) -> Array:
        """Mean eigenvalue of diag(p) − ppᵀ on zero-sum vectors, over the rows; 1/K at p = 1/K."""
        axis = self.rows.axis
        p = self.loss.predictions(*seen, axis)
        squares = (self.rows.shares * (p * p).sum(axis=axis)).sum()
        return (1.0 - squares) / (p.shape[axis] - 1)

    def along(self, seen: Seen, step: Array, gradient: Array, direction: Array) -> Ray:
        """The ray from W₀ + ``step``, where ``gradient`` is the gradient."""
        xp, loss = namespace(step), self.loss
        share, axis = self.rows.shares, self.rows.axis
        moved = self.rows.forward(direction)
        slope = xp.vdot(gradient, direction)
        quadratic = self.weight_decay * xp.vdot(direction, direction)

        def value(tau: Array, u: Array) -> Array:
            # Line searches compare values that differ in their last digits.
            total = xp.vdot(share.astype("float64"), loss.values(u, axis).astype("float64"))
            return total + tau * ridge + 0.5 * tau**2 * quadratic

        begun = None
        if not loss.convex:
            # The penalty's share of the slope, base point included, is what the data leave of it.
            residual = loss.residual + seen.change
            ridge = slope - xp.vdot(share, (residual * moved).sum(axis=axis))
            begun = value(0.0, seen.logits)

        def look(tau: Array) -> Look:
            u = seen.logits + tau * moved
            change = loss.change(u, axis)
            moment = xp.vdot(share, ((change - seen.change) * moved).sum(axis=axis))
            found = slope + moment + tau * quadratic
            if begun is None:
                long = ~(found <= -loss.slope_ratio * slope)
            else:
                slack = 8.0 * np.finfo(np.float64).eps * abs(begun)
                long = ~(value(tau, u) <= begun + slack + loss.decrease * tau * slope)
            return Look(found, long, change)

        def curvature(tau: Array, look: Look) -> Array:
            if not loss.convex:  # Newton's step may lead to a maximum: halve or double
                return xp.full_like(slope, np.inf)
            p = loss.predictions(seen.logits + tau * moved, look.change, axis)
            mean = (p * moved).sum(axis=axis)
            return xp.vdot(share, (p * moved * moved).sum(axis=axis) - mean * mean) + quadratic

        def land(tau: Array, look: Look) -> tuple[Seen, Array]:
            new = self.gradient + self.rows.backward(look.change)
            new = new + self.weight_decay * (step + tau * direction)
            return Seen(seen.logits + tau * moved, look.change), new

        return Ray(slope, look, curvature, land)


class StreamedObjective(NamedTuple):
    """L on rows that are read from a file: every look is a read, and tells the gradient."""

    evaluate: Callable[[Array], tuple[Array, float]]  # gradient (K, r), mean curvature at W₀ + D
    rows: Rows  # none of them, but their eigenvalues
    weight_decay: float
    gradient: Array  # (K, r) at the base point, as ``evaluate`` says
    mean_curvature: float

    loss = CrossEntropy  # of which ``evaluate`` tells
    slope_ratio = 0.9  # a second look costs as much as an iteration

    def begin(self) -> float:
        """What is seen at the base point: the mean curvature there."""
        return self.mean_curvature

    def curvature(self, seen: float) -> float:
        """The mean curvature where that was seen."""
        return seen

    def along(self, seen: float, step: Array, gradient: Array, direction: Array) -> Ray:
        """The ray from W₀ + ``step``."""
        slope = np.vdot(gradient, direction)

        def look(tau: Array) -> Look:
            found = self.evaluate(step + tau * direction)
            there = np.vdot(found[0], direction)
            return Look(there, ~(there <= -self.slope_ratio * slope), found)

        def curvature(tau: Array, look: Look) -> Array:
            return (look.slope - slope) / tau

        def land(tau: Array, look: Look) -> tuple[float, Array]:
            return look.change[1], look.change[0]

        return Ray(slope, look, curvature, land)
