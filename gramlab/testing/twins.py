"""Slow, obvious twins of the fast formulas: dense matrices and loops, no factorization shared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidSetting

__all__ = ["dense_closed_form", "dense_filter", "dense_gradient", "dense_hessian"]
__all__ += ["dense_newton_head", "dense_objective"]

Array = npt.NDArray[np.float64]


def dense_filter(gram: Array, mu: float, rounds: int = 1) -> Array:
    """h(G)ᵗ (N, N) of a dense Gram matrix G (N, N), h(s) = s/(s + μ), by a dense solve.

    Source: docs/objective.md, the closed form.

    Raises
    ------
    InvalidSetting
        If G is not square.
    """
    if np.ndim(gram) != 2 or len(gram) != np.shape(gram)[1]:
        raise InvalidSetting(
            f"gram must be of shape (N, N), got {np.shape(gram)}; pass x @ x.T of rows x (N, d)"
        )
    one = np.linalg.solve(gram + mu * np.eye(len(gram)), gram)
    return np.linalg.matrix_power(one, rounds)


def dense_closed_form(gram: Array, targets: Array, weight_decay: float, rounds: int = 1) -> Array:
    """Closed-form predictions (N, K) of round t: 1/K + h(G)ᵗ (Y − 1/K), with μ = K N λ.

    ``gram`` is G (N, N), of features x @ x.T, and ``targets`` are Y (N, K) of the first round.

    Raises
    ------
    InvalidSetting
        If G is not square, or the targets are not one row for each of its rows.
    """
    if np.ndim(targets) != 2 or len(targets) != len(gram):
        raise InvalidSetting(
            f"targets must be of shape (N, K) with N = {len(gram)} of the Gram matrix, got "
            f"{np.shape(targets)}; pass one row a sample"
        )
    n, k = targets.shape
    return 1 / k + dense_filter(gram, k * n * weight_decay, rounds) @ (targets - 1 / k)


def _probabilities(logits: Array) -> Array:
    e = np.exp(logits - logits.max())
    return e / e.sum()


def dense_objective(x: Array, targets: Array, weight_decay: float, weights: Array) -> float:
    """L(W; T) of rows x (N, d), targets (N, K) and weights (d, K), one row at a time."""
    total = 0.0
    for row, target in zip(x, targets, strict=True):
        v = weights.T @ row
        total += -np.dot(target, v - v.max() - np.log(np.exp(v - v.max()).sum()))
    return float(total / len(x) + 0.5 * weight_decay * np.sum(weights**2))


def dense_gradient(x: Array, targets: Array, weight_decay: float, weights: Array) -> Array:
    """∇L (d, K), one row at a time; arguments as in ``dense_objective``."""
    out = weight_decay * weights
    for row, target in zip(x, targets, strict=True):
        out = out + np.outer(row, _probabilities(weights.T @ row) - target) / len(x)
    return out


def dense_hessian(x: Array, weight_decay: float, weights: Array) -> Array:
    """∇²L as a dense (dK, dK) matrix, index (feature, class); targets have no part in it."""
    d, k = weights.shape
    out = weight_decay * np.eye(d * k)
    for row in x:
        p = _probabilities(weights.T @ row)
        out += np.kron(np.outer(row, row), np.diag(p) - np.outer(p, p)) / len(x)
    return out


def dense_newton_head(x: Array, targets: Array, weight_decay: float) -> Array:
    """The exact softmax head's W* (d, K) by damped dense Newton, to the last digits.

    Of rows x (N, d) and targets (N, K) on the simplex or its hull. (dK)³ operations a step: for
    small problems.
    """
    weights = np.zeros((x.shape[1], targets.shape[1]))
    for _ in range(200):
        g = dense_gradient(x, targets, weight_decay, weights)
        step = np.linalg.solve(dense_hessian(x, weight_decay, weights), g.ravel()).reshape(g.shape)
        size, value = 1.0, dense_objective(x, targets, weight_decay, weights)
        while (
            np.linalg.norm(step) > 1e-6
            and dense_objective(x, targets, weight_decay, weights - size * step) > value
        ):
            size /= 2
        weights = weights - size * step
        if np.linalg.norm(step) <= 1e-14 * (1 + np.linalg.norm(weights)):
            break
    return weights
