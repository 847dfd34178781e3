"""What one row knows: the residual of its prediction, how it changes, and how it is curved.

A loss is held at base logits v₀, in the precision that corrections are computed in. Everything is
asked for at v₀ + u. The residual ρ is the loss's gradient in the logits, row by row. Arrays are
(N, K), or (K, N) where functions are told that classes are on ``axis`` 0.
"""

from __future__ import annotations

from typing import NamedTuple

from gramlab.heads.arrays import Array, namespace

__all__ = ["CrossEntropy", "GeneralizedCrossEntropy", "Loss"]


class CrossEntropy(NamedTuple):
    """CE(T, softmax(v)), whose residual is P − T: of changes the targets drop out."""

    probabilities: Array  # at the base logits

    convex = True
    slope_ratio = 0.1  # a line search ends at this share of its first slope
    float32_fall = 5e-6  # of the gradient norm, that float32 manages in one go

    @classmethod
    def at(cls, logits: Array, deviations: Array) -> tuple[Array, CrossEntropy]:
        """Residual (N, K) and loss at base logits, for targets T − 1/K (N, K)."""
        xp, logits = namespace(logits), logits - logits.max(axis=1, keepdims=True)
        e, shifted = xp.exp(logits), xp.expm1(logits)  # each without the other's lost digits
        partition = (shifted + 1.0).sum(axis=1, keepdims=True)
        found = (shifted - shifted.mean(axis=1, keepdims=True)) / partition  # P − 1/K
        return found - deviations, cls(e / e.sum(axis=1, keepdims=True))

    def change(self, u: Array, axis: int) -> Array:
        """ρ(v₀ + u) − ρ(v₀), with small relative error however small u is."""
        xp, p = namespace(u), self.probabilities
        shifted = u - u.max(axis=axis, keepdims=True)
        e, factor = xp.expm1(shifted), xp.exp(shifted)  # as above
        partition = (p * factor).sum(axis=axis, keepdims=True)
        mean = (p * e).sum(axis=axis, keepdims=True)
        # Where a class that was nearly impossible takes over, the change is as large as P itself
        # and the plain difference is the accurate one.
        return p * (xp.where(partition > 0.5, e - mean, factor - partition) / partition)

    def predictions(self, u: Array, change: Array, axis: int) -> Array:
        """softmax(v₀ + u), of which ``change`` is known."""
        return self.probabilities + change


class GeneralizedCrossEntropy(NamedTuple):
    """Σ_l T_l (1 − p_l^q)/q, with residual P ∘ c − T ∘ P^q, c = Σ_l T_l p_l^q; not convex."""

    logits: Array  # base
    residual: Array  # there
    targets: Array
    q: Array  # one for each row

    convex = False
    decrease = 1e-4  # of the slope, that a step has to realize (Armijo)
    slope_ratio = 0.9
    float32_fall = 2e-4  # differences of residuals lose digits

    @classmethod
    def at(
        cls, logits: Array, deviations: Array, q: float
    ) -> tuple[Array, GeneralizedCrossEntropy]:
        """Residual (N, K) and loss at base logits, for targets T − 1/K (N, K)."""
        xp = namespace(logits)
        # Deviations of one-hot rows carry a rounding of 1/K that would make zeros negative.
        targets = xp.maximum(deviations + 1.0 / logits.shape[1], 0.0)
        loss = cls(logits, 0.0 * logits, targets, xp.full_like(logits[:, :1], q))
        residual = loss.residuals(0.0 * logits, 1)
        return residual, loss._replace(residual=residual)

    def residuals(self, u: Array, axis: int) -> Array:
        """ρ(v₀ + u)."""
        logs = self._logs(u, axis)
        xp = namespace(u)
        pulls = self.targets * xp.exp(self.q * logs)
        return xp.exp(logs) * pulls.sum(axis=axis, keepdims=True) - pulls

    def change(self, u: Array, axis: int) -> Array:
        """ρ(v₀ + u) − ρ(v₀)."""
        return self.residuals(u, axis) - self.residual

    def predictions(self, u: Array, change: Array, axis: int) -> Array:
        """softmax(v₀ + u)."""
        return namespace(u).exp(self._logs(u, axis))

    def values(self, u: Array, axis: int) -> Array:
        """The loss by rows (N,), without the cancellation of 1 − p^q."""
        xp = namespace(u)
        losses = self.targets * xp.expm1(self.q * self._logs(u, axis)) / self.q
        return -losses.sum(axis=axis)

    def _logs(self, u: Array, axis: int) -> Array:
        v = self.logits + u
        xp = namespace(v)
        v = v - v.max(axis=axis, keepdims=True)
        return v - xp.log(xp.exp(v).sum(axis=axis, keepdims=True))


Loss = CrossEntropy | GeneralizedCrossEntropy
