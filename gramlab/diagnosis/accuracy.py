"""Accuracy on true labels that nobody has.

Two estimates, from different assumptions:

``expected``
    mean_i q_i(a_i), q_i the posterior of row i's true label and a_i its prediction. It holds for
    any predictions, also in sample, as far as q is right, and two settings are compared on the
    rows where they differ. Its standard errors treat true labels as draws from q.
``corrected``
    mean_i C⁻¹[given_i, a_i], the backward correction. With A[a, given] the table of predictions
    and given labels, A = M C for the table M of predictions and true labels, and the accuracy is
    the trace of M = A C⁻¹. It needs C alone, but predictions that did not see the row's own label.

Their faults point in different directions (q favours heads like those that it was made from, C⁻¹
multiplies the noise of few rows), so settings are scored by the mean of the two where C can be
inverted, and compared with the paired standard error of the first.

Source: the correction as Natarajan et al. (NeurIPS 2013) and Patrini et al. (CVPR 2017), read for
the 0-1 loss; the paired variance is that of McNemar (1947), in expectation under q [D].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Accuracy",
    "Difference",
    "combined_accuracy",
    "corrected_accuracy",
    "expected_accuracy",
    "paired_difference",
]

Array = npt.NDArray[np.float64]


class Accuracy(NamedTuple):
    """An estimated accuracy, a share, and its standard error."""

    value: float
    standard_error: float


class Difference(NamedTuple):
    """Accuracy of one setting less that of another, on the same rows."""

    value: float
    standard_error: float


def expected_accuracy(predicted: npt.NDArray[np.int64], posterior: Array) -> Accuracy:
    """mean_i q_i(a_i), with the binomial standard error of as many rows.

    Parameters
    ----------
    predicted : np.ndarray of shape (N,)
        a_i.
    posterior : np.ndarray of shape (N, K)
        q_i; rows sum to one.
    """
    value = float(posterior[np.arange(len(predicted)), predicted].mean())
    return Accuracy(value, math.sqrt(max(value * (1.0 - value), 0.0) / len(predicted)))


def corrected_accuracy(
    predicted: npt.NDArray[np.int64], given: npt.NDArray[np.int64], matrix: Array
) -> Accuracy | None:
    """Agreement with given labels, corrected by the inverse of C[true, given].

    Parameters
    ----------
    predicted : np.ndarray of shape (N,)
        a_i, from heads that did not see given_i.
    given : np.ndarray of shape (N,)
        Given labels.
    matrix : np.ndarray of shape (K, K)
        C; rows sum to one.

    Returns
    -------
    Accuracy or None
        None where C cannot be inverted in float64. Unbiased for C known, so it can leave [0, 1].
    """
    with np.errstate(all="ignore"):
        condition = np.linalg.cond(matrix)
    if not condition < 1.0 / np.sqrt(np.finfo(np.float64).eps):
        return None
    values = np.linalg.inv(matrix)[given, predicted]
    spread = float(values.std(ddof=1)) if len(values) > 1 else math.inf
    return Accuracy(float(values.mean()), spread / math.sqrt(len(values)))


def combined_accuracy(expected: Accuracy, corrected: Accuracy | None) -> Accuracy:
    """The mean of both estimates, or the first alone; with the standard error of the first."""
    if corrected is None:
        return expected
    return Accuracy(0.5 * (expected.value + corrected.value), expected.standard_error)


def paired_difference(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], posterior: Array
) -> Difference:
    """Expected accuracy of ``first`` less that of ``second``; only rows where they differ count.

    The standard error is that of the difference of two accuracies measured on the same N rows with
    true labels drawn from q: √((mean of q(a) + q(b) where they differ − value²)/N).

    Parameters
    ----------
    first, second : np.ndarray of shape (N,)
        Predictions.
    posterior : np.ndarray of shape (N, K)
        q_i; rows sum to one.
    """
    n = len(first)
    rows = np.flatnonzero(first != second)
    a, b = posterior[rows, first[rows]], posterior[rows, second[rows]]
    value = float((a - b).sum() / n)
    variance = max(float((a + b).sum() / n) - value**2, 0.0) / n
    return Difference(value, math.sqrt(variance))
