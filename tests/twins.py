"""Slow, obvious twins of the fast formulas: dense matrices, loops, no factorization shared."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax as scipy_softmax


def gram_filter(x: np.ndarray, mu: float, rounds: int = 1) -> np.ndarray:
    """h(G)^t through the dense eigendecomposition of G."""
    gram = x @ x.T
    one = np.linalg.solve(gram + mu * np.eye(len(gram)), gram)
    return np.linalg.matrix_power(one, rounds)


def linear_probabilities(x, targets, weight_decay, rounds=1):
    """P_lin^(t) = 1/K + h(G)^t (Y − 1/K)."""
    n, k = targets.shape
    return 1 / k + gram_filter(x, k * n * weight_decay, rounds) @ (targets - 1 / k)


def linear_weights(x, targets, weight_decay, rounds=1):
    """W_lin^(t) = K X⁺ h(G)^t D."""
    n, k = targets.shape
    filtered = gram_filter(x, k * n * weight_decay, rounds) @ (targets - 1 / k)
    return k * np.linalg.pinv(x) @ filtered


def objective(x, targets, weight_decay, weights):
    """L(W; T), one row at a time."""
    total = 0.0
    for row, target in zip(x, targets, strict=True):
        v = weights.T @ row
        total += -np.dot(target, v - v.max() - np.log(np.exp(v - v.max()).sum()))
    return total / len(x) + 0.5 * weight_decay * np.sum(weights**2)


def gradient(x, targets, weight_decay, weights):
    """∇L, one row at a time."""
    out = weight_decay * weights
    for row, target in zip(x, targets, strict=True):
        out = out + np.outer(row, scipy_softmax(weights.T @ row) - target) / len(x)
    return out


def hessian(x, weight_decay, weights):
    """∇²L as a dense (dK, dK) matrix, index (feature, class)."""
    d, k = weights.shape
    out = weight_decay * np.eye(d * k)
    for row in x:
        p = scipy_softmax(weights.T @ row)
        out += np.kron(np.outer(row, row), np.diag(p) - np.outer(p, p)) / len(x)
    return out


def exact_head(x, targets, weight_decay):
    """W* by damped dense Newton, to the last digits."""
    weights = np.zeros((x.shape[1], targets.shape[1]))
    for _ in range(200):
        g = gradient(x, targets, weight_decay, weights)
        step = np.linalg.solve(hessian(x, weight_decay, weights), g.ravel()).reshape(g.shape)
        size, value = 1.0, objective(x, targets, weight_decay, weights)
        while (
            np.linalg.norm(step) > 1e-6
            and objective(x, targets, weight_decay, weights - size * step) > value
        ):
            size /= 2
        weights = weights - size * step
        if np.linalg.norm(step) <= 1e-14 * (1 + np.linalg.norm(weights)):
            break
    return weights
