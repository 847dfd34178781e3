"""Centring and unit norm of rows, a block at a time, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidFeatures

__all__ = ["column_mean", "unit_rows"]


def column_mean(
    blocks: Callable[[], Iterable[tuple[slice, np.ndarray]]], n_samples: int
) -> npt.NDArray[np.float64]:
    """Mean of each column (d,), as exact for many rows as for few.

    `blocks` gives the `n_samples` rows, a float64 block (n, d) at a time, and is called twice.

    Raises
    ------
    InvalidFeatures
        If values are so large that they overflow; the column is named.
    """
    mean: npt.NDArray[np.float64] = np.zeros(1)
    with np.errstate(over="ignore", invalid="ignore"):
        # A second pass removes the rounding of the long sums of the first.
        for _ in range(2):
            rest = sum((block - mean).sum(axis=0) for _, block in blocks())
            mean = mean + rest / n_samples
    if not np.isfinite(mean).all():
        column = int(np.argmin(np.isfinite(mean)))
        raise InvalidFeatures(
            f"x must have a finite mean, got {mean[column]} in column {column}; scale the features "
            "down first"
        )
    return mean


def unit_rows(
    block: npt.NDArray[np.float64], first: int, name: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Rows (n, d) divided by their Euclidean norms, and the norms (n,), inf where they overflow.

    Raises
    ------
    InvalidFeatures
        If a row is zero; it is named by its number, counted from `first`, in the matrix `name`.
    """
    # Scaling by the largest entry first keeps tiny and huge rows from under- and overflowing.
    largest = np.abs(block).max(axis=1)
    if (largest == 0.0).any():
        row = first + int(np.argmax(largest == 0.0))
        raise InvalidFeatures(
            f"{name} must have no zero row for unit_norm, got norm 0 at row {row}; "
            "remove that row, or center after unit_norm instead of before"
        )
    scaled = block / largest[:, None]
    lengths = np.sqrt(np.square(scaled).sum(axis=1))
    scaled /= lengths[:, None]
    with np.errstate(over="ignore"):
        return scaled, largest * lengths
