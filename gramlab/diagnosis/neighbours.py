"""Nearest training rows by inner product, and how their given labels vote.

A row's neighbours say something about its class that no linear head can, and they say it without
the row's own label. Rows are compared block by block; no N×N matrix is held.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gramlab.features import Features
from gramlab.memory import check_memory
from gramlab.validation import check_integer

__all__ = ["nearest_rows", "neighbour_votes"]

_BLOCK_VALUES = 1 << 22  # inner products held at once


def nearest_rows(features: Features, count: int) -> npt.NDArray[np.int64]:
    """The rows with the largest inner products with each row, itself left out.

    Parameters
    ----------
    features : Features
        N rows; unit rows make the inner product a cosine.
    count : int
        1 .. N − 1.

    Returns
    -------
    np.ndarray of shape (N, count), int64
        Nearest first; among equal products the lower row first.

    Raises
    ------
    InvalidSetting
        If ``count`` is out of range.
    NotEnoughMemory
        If N × count indices would not fit.
    """
    count = check_integer("count", count, 1, features.n_samples - 1)
    return features.derived(_nearest, count)


def _nearest(features: Features, count: int) -> npt.NDArray[np.int64]:
    n = features.n_samples
    check_memory(8 * n * count, f"{count} neighbours of {n} rows", "ask for fewer neighbours")
    x = features.as_float64()
    step = max(1, _BLOCK_VALUES // n)
    found = np.empty((n, count), dtype=np.int64)
    for start in range(0, n, step):
        products = x[start : start + step] @ x.T
        rows = np.arange(len(products))
        products[rows, start + rows] = -np.inf
        # Partitioning values alone is several times faster than partitioning their indices.
        least = np.partition(products, n - count, axis=1)[:, n - count]
        row, column = np.nonzero(products >= least[:, None])  # more than count of them where tied
        order = np.lexsort((column, -products[row, column], row))
        row, column = row[order], column[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        found[start : start + step] = column[place < count].reshape(-1, count)
    found.setflags(write=False)
    return found


def neighbour_votes(
    nearest: npt.NDArray[np.int64], given: npt.NDArray[np.int64], n_classes: int
) -> npt.NDArray[np.float64]:
    """How many of a row's neighbours were given each label, shape (N, K).

    Parameters
    ----------
    nearest : np.ndarray of shape (N, k)
        Neighbours, from :func:`nearest_rows`.
    given : np.ndarray of shape (N,)
        Given labels.
    n_classes : int
        K.
    """
    votes = np.zeros((len(nearest), n_classes))
    rows = np.arange(len(nearest))
    for column in nearest.T:
        votes[rows, given[column]] += 1.0
    return votes
