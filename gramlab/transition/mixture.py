"""The noise model: given labels as a mixture over true classes, fitted by EM and a search."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Mixture", "fit_mixture", "softmax"]

Array = npt.NDArray[np.float64]

_SHARPNESS = 2.0 ** np.arange(-1.0, 8.25, 0.5)  # β tried
_SHARPNESS_START = 5  # β = 2.8
_SMOOTHING = 0.1  # of the start of EM towards uniform: it cannot leave an exact zero
_EM_SHORT, _EM_LONG = 40, 400  # iterations while β is searched, and at the end
_EM_CHANGE = 1e-5  # of the largest entry, at which EM ends


class Mixture(NamedTuple):
    """C and β that maximize the likelihood of the given labels, given out-of-fold logits."""

    matrix: Array
    sharpness: float
    log_likelihood: float
    probabilities: Array  # (N, K), p_i


def softmax(logits: Array) -> Array:
    """Rows of the softmax of ``logits`` (N, K)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def fit_mixture(
    logits: Array,
    given: npt.NDArray[np.int64],
    start: Array | None = None,
    sharpness: float | None = None,
) -> Mixture:
    """Maximize Σ_i log Σ_y softmax(β z_i)(y) C[y, given_i] over C and a grid of β.

    Parameters
    ----------
    logits : np.ndarray of shape (N, K)
        z_i, out of fold.
    given : np.ndarray of shape (N,)
        Given labels.
    start : np.ndarray of shape (K, K), optional
        C to begin at; by default the given labels among the surer half of the rows predicted k.
    sharpness : float, optional
        β, if it is not to be searched.
    """
    order = np.argsort(given, kind="stable")
    z = logits[order]
    counts = np.bincount(given, minlength=logits.shape[1])
    begin = _surer_half(logits, given) if start is None else start
    begin = (1.0 - _SMOOTHING) * begin + _SMOOTHING / logits.shape[1]
    tried: dict[int, tuple[float, Array]] = {}

    def value(index: int) -> float:
        if index not in tried:
            p = softmax(_SHARPNESS[index] * z)
            tried[index] = _em(p, counts, begin, _EM_SHORT)
        return tried[index][0]

    if sharpness is not None:
        likelihood, matrix = _em(softmax(sharpness * z), counts, begin, _EM_LONG)
        return Mixture(matrix, sharpness, likelihood, softmax(sharpness * logits))
    at = _SHARPNESS_START
    while at + 1 < len(_SHARPNESS) and value(at + 1) > value(at):
        at += 1
    while at > 0 and value(at - 1) > value(at):
        at -= 1
    beta = float(_SHARPNESS[at])
    value(at)
    likelihood, matrix = _em(softmax(beta * z), counts, tried[at][1], _EM_LONG)
    return Mixture(matrix, beta, likelihood, softmax(beta * logits))


def _surer_half(logits: Array, given: npt.NDArray[np.int64]) -> Array:
    """Given labels among the surer half of the rows predicted k, as shares; uniform if none."""
    k = logits.shape[1]
    predicted = logits.argmax(axis=1)
    top = np.partition(logits, -2, axis=1)[:, -2:]
    margin = top[:, 1] - top[:, 0]
    matrix = np.full((k, k), 1.0 / k)
    for label in np.unique(predicted):
        rows = np.flatnonzero(predicted == label)
        rows = rows[np.argsort(-margin[rows], kind="stable")][: (len(rows) + 1) // 2]
        matrix[label] = np.bincount(given[rows], minlength=k) / len(rows)
    return matrix


def _em(p: Array, counts: npt.NDArray[np.int64], start: Array, most: int) -> tuple[float, Array]:
    """EM for C with p (N, K) fixed; rows are ordered by given label, ``counts`` of each.

    A fixed p makes the likelihood concave in C, so where EM ends does not depend on its start.
    """
    ends = np.cumsum(counts)
    # Rows of one given label share a column of C, so that two products do without arrays (N, K).
    groups = [(j, p[ends[j] - counts[j] : ends[j]]) for j in np.flatnonzero(counts)]
    tiny = np.finfo(np.float64).tiny
    matrix = start
    for _ in range(most):
        new = np.zeros_like(matrix)
        for j, rows in groups:
            column = matrix[:, j]
            new[:, j] = column * ((1.0 / np.maximum(rows @ column, tiny)) @ rows)
        mass = new.sum(axis=1, keepdims=True)
        # A class that no row can be of has no data: its row stays where it began.
        new = np.where(mass > 0.0, new / np.where(mass > 0.0, mass, 1.0), start)
        change = float(np.abs(new - matrix).max())
        matrix = new
        if change < _EM_CHANGE:
            break
    total = np.concatenate([rows @ matrix[:, j] for j, rows in groups])
    return float(np.log(np.maximum(total, tiny)).mean()), matrix
