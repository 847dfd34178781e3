"""β, the class offsets b and C together, climbed from where a search on a grid has ended.

p_i = softmax(β z_i + b). Heads without an intercept, or with a penalized one, misjudge how often
classes of unequal size come; b mends that. Both b and C can explain labels that are given more
often than heads expect, so the climb begins twice: at b = 0, and at the b that explains the labels
with scattered noise alone. What predicts best the labels of rows that C was not fitted to is kept.
b is shrunk to 0 as if each entry came from a standard normal distribution.

Source: scaling of logits as Guo et al. (ICML 2017), offsets as Saerens et al. (2002) [D].
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy

from gramlab.heads.referee import softmax
from gramlab.transition.mixture import (
    Mixture,
    expectation_maximization,
    fit_mixture,
    given_label_posterior,
    scattered_noise,
)

__all__ = ["calibrated"]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_ALTERNATIONS = 4  # of β and b with C held, and C with β and b held


def calibrated(logits: Array, given: Labels, mixture: Mixture, group: Labels) -> Mixture:
    """The mixture of out-of-fold logits (N, K) and given labels (N,), with class offsets.

    ``group`` (N,) is that of ``fit_mixture``.
    """
    k = logits.shape[1]
    sharpness, offsets = _scattered_offsets(logits, given)
    moved = fit_mixture(logits + offsets / sharpness, given, mixture, group=group)
    starts = (mixture, np.zeros(k)), (moved, moved.sharpness / sharpness * offsets)
    return max(
        (_climb(logits, given, *one, group) for one in starts), key=lambda m: m.log_likelihood
    )


def _climb(logits: Array, given: Labels, start: Mixture, offsets: Array, group: Labels) -> Mixture:
    """The nearest maximum over β, b and C, at the strength s of the start."""
    sharpness, matrix = start.sharpness, start.matrix
    for _ in range(_ALTERNATIONS):
        sharpness, offsets = _scaling(logits, given, matrix, sharpness, offsets)
        p = softmax(sharpness * logits + offsets)
        matrix = expectation_maximization(p, given, start.shrinkage, matrix)
    shifted, s = logits + offsets / sharpness, start.shrinkage
    found = fit_mixture(shifted, given, sharpness=sharpness, shrinkage=s, group=group)
    return found._replace(offsets=offsets)


def _scaling(
    logits: Array, given: Labels, matrix: Array, sharpness: float, offsets: Array
) -> tuple[float, Array]:
    """β and b that maximize Σ_i log Σ_y p_i(y) C[y, given_i] − ‖b‖²/2, from those given."""

    def cost(place: Array) -> tuple[float, Array]:
        beta, b = math.exp(place[0]), place[1:]
        p = softmax(beta * logits + b)
        q, likelihood = given_label_posterior(p, matrix, given)
        q -= p  # the gradient with respect to the logits of each row
        slope = np.r_[-beta * np.einsum("ij,ij->", q, logits), b - q.sum(axis=0)]
        return float(0.5 * b @ b - len(given) * likelihood), slope

    start = np.r_[math.log(sharpness), offsets]
    options = {"jac": True, "method": "L-BFGS-B", "options": {"maxiter": 50}}
    found = scipy.optimize.minimize(cost, start, **options)
    return math.exp(found.x[0]), found.x[1:]


def _scattered_offsets(logits: Array, given: Labels) -> tuple[float, Array]:
    """β and b with which scattered noise alone explains the labels best."""
    k = logits.shape[1]
    sharpness, offsets = 1.0, np.zeros(k)
    order, counts = np.argsort(given, kind="stable"), np.bincount(given, minlength=k)
    for _ in range(_ALTERNATIONS):
        p = softmax(sharpness * logits + offsets)
        noise = scattered_noise(p[order, given[order]], counts)
        sharpness, offsets = _scaling(logits, given, noise, sharpness, offsets)
    return sharpness, offsets
