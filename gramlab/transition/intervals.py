"""Intervals of C from counts: binomial limits, and an allowance for rows of other classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, softmax

__all__ = ["Limits", "NoiseRate", "clopper_pearson", "intervals", "noise_rate_of"]

Array = npt.NDArray[np.float64]


class NoiseRate(NamedTuple):
    """Share of labels that are wrong, P(given ≠ true), with an interval."""

    value: float
    low: float
    high: float


class Limits(NamedTuple):
    """Intervals of the entries of C and the counts that they rest on."""

    lower: Array  # (K, K)
    upper: Array  # (K, K)
    rows: npt.NDArray[np.int64]  # (K,) confident rows predicted k
    trials: Array  # (K,) of those, as many as were labelled independently
    found: npt.NDArray[np.int64]  # (K, K) of those, given j
    others: Array  # (K,) of those, expected to be of another class
    others_given: Array  # (K, K) of those, expected to be of another class and given j
    unsupported: npt.NDArray[np.bool_]  # (K,)


def intervals(
    logits: Array,
    given: npt.NDArray[np.int64],
    matrix: Array,
    confidence: float,
    labelled: npt.NDArray[np.int64] | None = None,
) -> Limits:
    """Intervals of C[k, j] from the given labels of the confident rows predicted k.

    With n rows, of which t A are of another class and t a_j of another class and given j, the
    share q of rows given j is ((n − t A) C[k, j] + t a_j)/n. Clopper-Pearson limits of q are
    solved for C[k, j], and the extremes over 0 <= t <= 1 are taken (the expression is monotone in
    t, so they are at the ends).

    Rows that were labelled together are one draw of a label and not several: of s_g such rows each,
    n counts as n over Σ s_g²/Σ s_g trials, the design effect of Kish (Survey Sampling, 1965).

    Parameters
    ----------
    logits : np.ndarray of shape (N, K)
        z_i β / allowance, made without the row's own label: softmax of them gives A and a_j.
    given : np.ndarray of shape (N,)
        Given labels.
    matrix : np.ndarray of shape (K, K)
        Estimate of C; only for the contamination's given labels and for choosing how many rows
        to count.
    confidence : float
        Level of each interval by itself.
    labelled : np.ndarray of shape (N,), optional
        Numbers that rows labelled together share; by default each row was labelled for itself.
    """
    if labelled is None:
        labelled = np.arange(len(given))
    p = softmax(logits, axis=1)
    k = p.shape[1]
    predicted = p.argmax(axis=1)
    sure = p[np.arange(len(p)), predicted]
    rows, trials = np.zeros(k, dtype=np.int64), np.zeros(k)
    found = np.zeros((k, k), dtype=np.int64)
    others, others_given = np.zeros(k), np.zeros((k, k))
    for label in np.unique(predicted):
        members = np.flatnonzero(predicted == label)
        members = members[np.argsort(-sure[members], kind="stable")]
        effect = _design_effect(labelled[members])
        members = members[: _how_many(sure[members], float(matrix[label, label]), effect)]
        rest = p[members].sum(axis=0)
        rest[label] = 0.0
        rows[label] = len(members)
        trials[label] = len(members) / _design_effect(labelled[members])
        found[label] = np.bincount(given[members], minlength=k)
        others[label] = rest.sum()
        others_given[label] = rest @ matrix
    share = (trials / np.maximum(rows, 1))[:, None]
    low, high = clopper_pearson(found * share, trials[:, None], confidence)
    n = rows[:, None].astype(np.float64)
    # Where half of the rows or more may be of other classes, they say little about this one.
    unsupported = others >= 0.5 * rows
    left = np.where(unsupported[:, None], 1.0, n - others[:, None])
    lower = np.minimum(low, (n * low - others_given) / left)
    upper = np.maximum(high, (n * high - others_given) / left)
    lower[unsupported], upper[unsupported] = 0.0, 1.0
    lower, upper = np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)
    return Limits(lower, upper, rows, trials, found, others, others_given, unsupported)


def _design_effect(labelled: npt.NDArray[np.int64]) -> float:
    """Rows per independent label, Σ s²/Σ s of s rows that were labelled together; 1 at least."""
    together = np.unique(labelled, return_counts=True)[1]
    return float(np.sum(together**2) / np.sum(together))


def _how_many(sure: Array, diagonal: float, effect: float) -> int:
    """How many of the rows, surest first, make the narrowest interval of the diagonal entry.

    Decided by predictions alone (and the estimate of C): the given labels that are going to be
    counted have no say. ``effect`` is the number of rows to one independent label.
    """
    sizes = np.unique(np.ceil(np.arange(0.1, 1.01, 0.1) * len(sure)).astype(np.int64))
    others = np.cumsum(1.0 - sure)[sizes - 1]
    share = min(max(diagonal, 0.1), 0.9)
    sampling = np.sqrt(share * (1.0 - share) * effect / sizes)
    width = 2.0 * sampling + share * others / sizes
    return int(sizes[np.argmin(width)])


def noise_rate_of(limits: Limits, matrix: Array, prior: Array, confidence: float) -> NoiseRate:
    """1 − Σ prior_k C[k, k]; sampling by a binomial of equal variance, contamination by extremes.

    Unsupported classes count as anything from wholly right to wholly wrong.
    """
    value = float(1.0 - prior @ np.diag(matrix))
    fine = ~limits.unsupported
    n, weight = limits.rows[fine].astype(np.float64), prior[fine]
    independent = limits.trials[fine]
    if not fine.any():
        return NoiseRate(value, 0.0, 1.0)
    weight = weight / weight.sum()
    wrong = 1.0 - np.diag(limits.found)[fine] / n
    pooled = float(weight @ wrong)
    variance = float((weight**2 / independent) @ (wrong * (1.0 - wrong)))
    # The binomial with this mean and variance; where nothing varies, the one of the design.
    design = 1.0 / float((weight**2 / independent).sum())
    trials = pooled * (1.0 - pooled) / variance if variance > 0.0 else design
    low, high = (float(v) for v in clopper_pearson(pooled * trials, trials, confidence))
    right = np.diag(limits.found)[fine] - np.diag(limits.others_given)[fine]
    ends = pooled, float(1.0 - weight @ (right / (n - limits.others[fine])))
    unknown = float(prior[~fine].sum())
    low = (1.0 - unknown) * (low + min(ends) - pooled)
    high = (1.0 - unknown) * (high + max(ends) - pooled) + unknown
    return NoiseRate(value, max(0.0, min(low, value)), min(1.0, max(high, value)))


def clopper_pearson(
    successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float
) -> tuple[Array, Array]:
    """Two-sided Clopper-Pearson limits of a binomial share, elementwise.

    Coverage is at least ``confidence`` for any share. Fractional counts are accepted (the limits
    are quantiles of beta distributions); no trials give 0 and 1.
    """
    x, rest = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    rest, tail = np.maximum(rest - x, 0.0), 0.5 * (1.0 - confidence)
    low = np.where(x > 0.0, betaincinv(np.where(x > 0.0, x, 1.0), rest + 1.0, tail), 0.0)
    high = betaincinv(x + 1.0, np.where(rest > 0.0, rest, 1.0), 1.0 - tail)
    return low, np.where(rest > 0.0, high, 1.0)
