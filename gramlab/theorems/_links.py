"""Heads of canonical links by dense Newton, as oracles: λW + XᵀA'(XW)/N = u, with what is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from gramlab.numerics.rounding import gamma
from gramlab.theorems._heads import newton
from gramlab.theorems._rounds import Known

Values = Callable[[np.ndarray], np.ndarray]


class Link(NamedTuple):
    """A(v), its derivative, the mean, and the derivative of that, the variance."""

    partition: Values
    mean: Values
    variance: Values


LINKS = {
    "squared": Link(lambda v: v * v / 2, lambda v: v, np.ones_like),
    "logistic": Link(lambda v: np.logaddexp(0, v), expit, lambda v: expit(v) * expit(-v)),
    "poisson": Link(np.exp, np.exp, np.exp),
    "concave": Link(lambda v: -v * v / 2, lambda v: -v, lambda v: -np.ones_like(v)),
}


def link_head(x: np.ndarray, link: Link, decay: float, given: Known) -> tuple[Known, Known]:
    """W (d, m) for the moment u = ``given``, and M(W); what is given wrongly is passed on whole."""
    weights = np.stack([_column(x, link, decay, u) for u in given.value.T], axis=1)
    logits = x @ weights
    made = x.T @ link.mean(logits) / len(x)
    left = float(np.linalg.norm(decay * weights + made - given.value))
    # Sums of N products; a mean is as far off as its argument, a sum of d products, can move it.
    moved = np.abs(link.variance(logits)) * (np.abs(x) @ np.abs(weights))
    sizes = np.linalg.norm(x, axis=1)[:, None] * (np.abs(link.mean(logits)) + moved)
    size = float(np.linalg.norm(sizes.mean(axis=0))) + float(np.linalg.norm(given.value))
    rounding = gamma(x.size + 8) * (size + decay * float(np.linalg.norm(weights)))
    error = left + rounding + given.error
    return Known(weights, error / decay), Known(made, error)


def _column(x: np.ndarray, link: Link, decay: float, u: np.ndarray) -> np.ndarray:
    """One column of W."""

    def value(w: np.ndarray) -> float:
        return float(link.partition(x @ w).mean() + decay * w @ w / 2 - u @ w)

    def step(w: np.ndarray) -> np.ndarray:
        gradient = x.T @ link.mean(x @ w) / len(x) + decay * w - u
        hessian = x.T @ (link.variance(x @ w)[:, None] * x) / len(x) + decay * np.eye(len(u))
        return np.linalg.solve(hessian, gradient)

    return newton(value, step, np.zeros(len(u)))
