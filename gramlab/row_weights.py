"""Weights of rows: checked, and made relative, so that only their ratios matter."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gramlab.errors import InvalidSetting
from gramlab.rounding import UNDERFLOW
from gramlab.validation import as_array

__all__ = ["check_sample_weight", "equal_weights", "relative_weights"]


def check_sample_weight(sample_weight: object, n_samples: int) -> np.ndarray | None:
    """Weights w (N,) ≥ 0 of rows in float64; None where none are given.

    Raises
    ------
    InvalidSetting
        If one is negative or not finite, or there is not one for every row.
    """
    if sample_weight is None:
        return None
    weights = as_array(sample_weight, "sample_weight", InvalidSetting)
    if weights.shape != (n_samples,) or weights.dtype.kind not in "fiub":
        raise InvalidSetting(
            f"sample_weight must be one real number per row, shape ({n_samples},), got shape "
            f"{weights.shape} and dtype {weights.dtype}"
        )
    weights = weights.astype(np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0.0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InvalidSetting(
            f"sample_weight must be finite and at least 0, got {weights[row]} at row {row}; "
            "a row of weight 0 takes no part"
        )
    return weights


def relative_weights(
    sample_weight: object,
    n_samples: int,
    gathered: Callable[[float], np.ndarray] = np.atleast_1d,
) -> np.ndarray | None:
    """ω_i = N w_i/Σw (N,), of mean 1; None where all are equal, or none are given.

    Each is within 6 units of roundoff of its exact value, or of the least normal number, which is
    the smallest that a positive weight becomes: ω_i = 0 only where w_i = 0.

    Parameters
    ----------
    sample_weight
        Weights w ≥ 0 of rows, of which only ratios matter; a row of weight 0 takes no part.
    n_samples
        How many; where rows are spread over processes, of this one's.
    gathered
        One number of every process, of that of this one: then a collective call.

    Raises
    ------
    InvalidSetting
        As ``check_sample_weight``, or if all weights are 0.
    """
    weights = check_sample_weight(sample_weight, n_samples)
    if weights is None:
        return None
    largest, least = gathered(weights.max()).max(), gathered(weights.min()).min()
    if largest == 0.0:
        raise InvalidSetting(
            "sample_weight must be above 0 for at least one row, got all zeros: leave it out for "
            "equal weights"
        )
    if least == largest:
        return None
    shares = weights / largest  # so that the sum neither overflows nor underflows
    total, n = math.fsum(gathered(math.fsum(shares))), gathered(n_samples).sum()
    return np.where(weights > 0.0, np.maximum(shares * (n / total), UNDERFLOW), 0.0)


def equal_weights(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Whether relative weights (N,) are the same; None are all equal."""
    return a is b or (a is not None and b is not None and np.array_equal(a, b))
