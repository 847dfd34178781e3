"""Slow independent route to the exact head: dense derivatives and damped dense Newton.

    L(W) = (f/N) Σ_i CE(T_i, softmax(Wᵀx_i/τ)) + ½ Σ_j a_j ‖W_j‖²,  W_j the rows of W (d, K)

f = τ = 1 and a_j = λ is the objective of the package; nothing of its code is used here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["DenseHead"]


@dataclass(frozen=True, eq=False)
class DenseHead:
    """The objective above for x (N, d) and targets (N, K); ``penalty`` is λ or one a_j per row."""

    x: np.ndarray
    targets: np.ndarray
    penalty: float | np.ndarray
    temperature: float = 1.0
    factor: float = 1.0

    @property
    def _penalties(self) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.penalty, dtype=float), self.x.shape[1:])

    def probabilities(self, weights: np.ndarray) -> np.ndarray:
        """softmax(XW/τ) by rows."""
        v = self.x @ weights / self.temperature
        e = np.exp(v - v.max(axis=1)[:, None])
        return e / e.sum(axis=1)[:, None]

    def value(self, weights: np.ndarray) -> float:
        """L(W)."""
        v = self.x @ weights / self.temperature
        v = v - v.max(axis=1)[:, None]
        logs = v - np.log(np.exp(v).sum(axis=1))[:, None]
        regularizer = 0.5 * float(self._penalties @ (weights**2).sum(axis=1))
        return float(-self.factor * np.mean((self.targets * logs).sum(axis=1)) + regularizer)

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """∇L(W) (d, K); a row of T that sums to m weighs its softmax by m."""
        mass = self.targets.sum(axis=1)[:, None]
        residual = mass * self.probabilities(weights) - self.targets
        scale = self.factor / (self.temperature * len(self.x))
        return scale * self.x.T @ residual + self._penalties[:, None] * weights

    def hessian(self, weights: np.ndarray) -> np.ndarray:
        """∇²L(W) (dK, dK), index (feature, class)."""
        p = self.probabilities(weights)
        inner = np.einsum("ia,ab->iab", p, np.eye(p.shape[1])) - np.einsum("ia,ib->iab", p, p)
        inner *= self.targets.sum(axis=1)[:, None, None]
        scale = self.factor / (self.temperature**2 * len(self.x))
        full = scale * np.einsum("ij,il,iab->jalb", self.x, self.x, inner)
        size = self.x.shape[1] * p.shape[1]
        return full.reshape(size, size) + np.diag(np.repeat(self._penalties, p.shape[1]))

    def minimum(self) -> np.ndarray:
        """W* to the last digits (the zero-sum one where a free row leaves a choice)."""
        weights = np.zeros((self.x.shape[1], self.targets.shape[1]))
        free = bool((self._penalties == 0).any())
        for _ in range(100):
            g, matrix = self.gradient(weights), self.hessian(weights)
            if free:
                step = np.linalg.lstsq(matrix, g.ravel(), rcond=1e-12)[0].reshape(g.shape)
            else:
                step = np.linalg.solve(matrix, g.ravel()).reshape(g.shape)
            size, norm = 1.0, np.linalg.norm(step)
            if norm > 1e-3:
                value = self.value(weights)
                while size > 1e-9 and self.value(weights - size * step) > value:
                    size /= 2
            weights = weights - size * step
            if norm <= 1e-13 * (1 + np.linalg.norm(weights)):
                break
        return weights
