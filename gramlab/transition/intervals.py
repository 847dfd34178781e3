"""Intervals of C from counts: binomial limits, and an allowance for rows of other classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, gammaincinv

from gramlab.transition.margins import MarginTest

__all__ = ["Limits", "NoiseRate", "clopper_pearson", "intervals", "noise_rate_of"]

Array = npt.NDArray[np.float64]

_TINY = np.finfo(np.float64).tiny


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
    held_out: Array,
    given: npt.NDArray[np.int64],
    matrix: Array,
    confidence: float,
    allowance: float = 1.0,
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
    held_out : np.ndarray of shape (N, K)
        p_i, made without the row's own label, from which A and a_j are summed.
    given : np.ndarray of shape (N,)
        Given labels.
    matrix : np.ndarray of shape (K, K)
        Estimate of C; only for the contamination's given labels and for choosing how many rows
        to count.
    confidence : float
        Level of each interval by itself.
    allowance : float
        How many times as often as they expect heads may err.
    labelled : np.ndarray of shape (N,), optional
        Numbers that rows labelled together share; by default each row was labelled for itself.
    """
    if labelled is None:
        labelled = np.arange(len(given))
    p, k = held_out, held_out.shape[1]
    predicted = p.argmax(axis=1)
    sure = p[np.arange(len(p)), predicted]
    rows, trials = np.zeros(k, dtype=np.int64), np.zeros(k)
    found = np.zeros((k, k), dtype=np.int64)
    others, others_given = np.zeros(k), np.zeros((k, k))
    for label in np.unique(predicted):
        members = np.flatnonzero(predicted == label)
        members = members[np.argsort(-sure[members], kind="stable")]
        unsure, effect = allowance * (1.0 - sure[members]), _design_effect(labelled[members])
        members = members[: _how_many(unsure, float(matrix[label, label]), effect)]
        rest = allowance * p[members].sum(axis=0)
        rest[label] = 0.0
        rest /= max(1.0, rest.sum() / len(members))
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


def _how_many(unsure: Array, diagonal: float, effect: float) -> int:
    """How many of the rows, surest first, make the narrowest interval of the diagonal entry.

    Decided by predictions alone (and the estimate of C): the given labels that are going to be
    counted have no say. ``effect`` is the number of rows to one independent label.
    """
    sizes = np.unique(np.ceil(np.arange(0.1, 1.01, 0.1) * len(unsure)).astype(np.int64))
    others = np.cumsum(unsure)[sizes - 1]
    share = min(max(diagonal, 0.1), 0.9)
    sampling = np.sqrt(share * (1.0 - share) * effect / sizes)
    width = 2.0 * sampling + share * others / sizes
    return int(sizes[np.argmin(width)])


def noise_rate_of(
    held_out: Array,
    given: npt.NDArray[np.int64],
    matrix: Array,
    limits: Limits,
    confidence: float,
    allowance: float,
    labelled: npt.NDArray[np.int64],
    test: MarginTest,
) -> NoiseRate:
    """1 − Σ prior_k C[k, k], with an interval that does not rest on how p (N, K) divides the rest.

    The rows that disagree, a share d of all, are wrong labels or wrong heads. The surest rows of
    each class show how many labels are wrong at least, if noise is by class; d is how many there
    can be, if heads are right. Unsupported classes count as anything. Where noise is not by class,
    or the surest rows show none, labels may be wrong where heads are, and the other way round:
    then the rate is between d − e and d + e, for a share e of rows in which heads err.
    """
    n = len(given)
    prior, unsupported = held_out.mean(axis=0), limits.unsupported
    value = float(1.0 - prior @ np.diag(matrix) / prior.sum())
    likeliest = held_out.argmax(axis=1)
    disagree = given != likeliest
    unsure = np.minimum(allowance * (1.0 - held_out[np.arange(n), likeliest]), 1.0)
    d, trials = float(disagree.mean()), n / _design_effect(labelled)
    # Each end is at the level by itself: where one of them can fail, the other is far off.
    once = 2.0 * confidence - 1.0
    _, most = (float(v) for v in clopper_pearson(d * trials, trials, once))
    high = most + float((unsure * unsupported[likeliest]).mean())
    low = (1.0 - float(prior[unsupported].sum())) * _floor(
        unsure, likeliest, given, matrix, unsupported, once, labelled
    )
    if test.raised:  # C, and what it does not explain by margin
        value += (1.0 - value) * float(test.rows @ test.excess) / n
    if test.raised or low == 0.0:
        e = float(1.0 - held_out.max(axis=1).mean())
        low, high = min(low, d - e), max(high, most + e)
    return NoiseRate(value, max(0.0, min(low, value)), min(1.0, max(high, value)))


def _floor(
    unsure: Array,
    likeliest: npt.NDArray[np.int64],
    given: npt.NDArray[np.int64],
    matrix: Array,
    unsupported: npt.NDArray[np.bool_],
    confidence: float,
    labelled: npt.NDArray[np.int64],
) -> float:
    """Lower limit of the noise rate, from the surest rows of each class that is supported.

    The same share of each class is counted, the one whose limit is expected to be the highest by
    predictions and C. Sampling is that of a binomial of equal variance.
    """
    order = np.lexsort((unsure, likeliest))
    order = order[~unsupported[likeliest[order]]]
    if not len(order):
        return 0.0
    label, rank = likeliest[order], np.arange(len(order))
    first = np.searchsorted(label, label)
    size = np.searchsorted(label, label, side="right") - first
    place = (rank - first) / size  # of each row among those of its class, the surest first
    best = (-np.inf, 0.0)
    for share in np.arange(0.1, 1.01, 0.1):
        rows = order[place < share]
        weight = size[place < share] / np.bincount(label[place < share])[label[place < share]]
        weight = weight / weight.sum()
        expected = 1.0 - np.diag(matrix)[likeliest[rows]]
        others, mean = float(weight @ unsure[rows]), float(weight @ expected)
        trials = 1.0 / (_design_effect(labelled[rows]) * float(weight @ weight))
        spread = np.sqrt(max(mean * (1.0 - mean), 1e-12) / trials)
        if (aim := mean - 2.0 * spread - others) > best[0]:
            wrong = (given[rows] != likeliest[rows]).astype(np.float64)
            pooled = float(weight @ wrong)
            low, _ = (float(v) for v in clopper_pearson(pooled * trials, trials, confidence))
            # As many errors as a Poisson law of that mean allows at the same level.
            most = float(gammaincinv(others * trials + 1.0, 0.5 * (1.0 + confidence))) / trials
            best = (aim, low - most)
    return max(best[1], 0.0)


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
