"""The checks that every input passes once, at the door.

Every message is one line and says what was expected, what came, where, and what to do about it.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import (
    GramlabError,
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    InvalidTargets,
)
from gramlab.machine.memory import row_blocks


def as_array(value: object, name: str, error: type[GramlabError] = InvalidFeatures) -> np.ndarray:
    """Turn array-likes (lists, pandas, torch) into a plain numpy array; an array is not copied.

    Raises
    ------
    GramlabError
        Of class `error`, for ragged lists, sparse matrices, masked entries, or tensors that do
        not convert.
    """
    if hasattr(value, "toarray") and not isinstance(value, np.ndarray):
        raise error(
            f"{name} must be a dense array, got the sparse {type(value).__name__}; "
            f"pass {name}.toarray()"
        )
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise error(
            f"{name} must have no missing entries, got a masked array with "
            f"{int(np.ma.count_masked(value))} masked entries; fill or drop them first"
        )
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as problem:
        raise error(
            f"{name} must convert to a numpy array, got {type(value).__name__} ({problem}); "
            "pass a rectangular numpy array held in main memory"
        ) from problem


def _native_real(array: np.ndarray, name: str, error: type[GramlabError]) -> np.ndarray:
    """Return float16/32/64 as they are (native byte order), integers and bool as float64."""
    kind = array.dtype.kind
    if kind == "f" and array.dtype.itemsize in (2, 4, 8):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if kind in "iub":
        return array.astype(np.float64)
    raise error(
        f"{name} must hold real numbers (float16, float32, float64, integers or bool), got dtype "
        f"{array.dtype}; convert it with .astype(np.float64)"
    )


def first_nonfinite(array: np.ndarray) -> tuple[int, int] | None:
    """Row and column of the first nan or inf of a 2-D array, in row order, or None."""
    for part, block in row_blocks(array):
        finite = np.isfinite(block)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            return part.start + int(row), int(column)
    return None


def check_features(x: object, name: str = "x") -> np.ndarray:
    """Check a feature matrix (N, d), one sample per row.

    float16, float32 and float64 are kept without a copy; integers and bool become float64.

    Raises
    ------
    InvalidFeatures
        If `x` is not 2-D, has no row or no column, is not real, or holds nan or inf; the first
        such entry is named by row and column.
    """
    array = as_array(x, name)
    if array.ndim != 2:
        fix = " (one sample: reshape(1, -1); one feature: reshape(-1, 1))" if array.ndim < 2 else ""
        raise InvalidFeatures(
            f"{name} must be 2-D (samples, features), got shape {array.shape}; reshape it{fix}"
        )
    if 0 in array.shape:
        raise InvalidFeatures(
            f"{name} must have at least one row and one column, got shape {array.shape}; "
            "pass the features of at least one sample"
        )
    array = _native_real(array, name, InvalidFeatures)
    bad = first_nonfinite(array)
    if bad is not None:
        raise InvalidFeatures(
            f"{name} must be finite, got {array[bad]} at row {bad[0]}, column {bad[1]} "
            f"(shape {array.shape}); remove that row or replace the value"
        )
    return array


def check_labels(
    labels: object,
    n_samples: int | None = None,
    n_classes: int | None = None,
    name: str = "labels",
) -> npt.NDArray[np.int64]:
    """Check class labels (N,), integers 0 .. K-1, and make them int64.

    Floats are accepted when every one is a whole number. Without `n_classes` only the lower end of
    the range is checked, without `n_samples` any length will do.

    Raises
    ------
    InvalidLabels
        If the shape, length or kind is wrong, or a label is outside [0, K); the first such row
        is named.
    """
    array = as_array(labels, name, InvalidLabels)
    if array.ndim != 1:
        raise InvalidLabels(
            f"{name} must be 1-D (one integer per sample), got shape {array.shape}; "
            "a column can be flattened with .ravel(), one-hot rows with .argmax(axis=1)"
        )
    if array.shape[0] == 0:
        raise InvalidLabels(f"{name} must hold at least one label, got none; pass one per sample")
    if n_samples is not None and array.shape[0] != n_samples:
        raise InvalidLabels(
            f"{name} must have one entry per row: expected {n_samples}, got {array.shape[0]}; "
            "check that features and labels come from the same split"
        )
    if array.dtype.kind not in "iubf":
        raise InvalidLabels(
            f"{name} must hold integers, got dtype {array.dtype}; encode class names with "
            f"class_names, {name} = np.unique({name}, return_inverse=True)"
        )
    if array.dtype.kind == "f":
        array = array.astype(np.float64, copy=False)
        # nan equals nothing, so it fails too; 2**53 bounds what float64 counts exactly.
        whole = (np.floor(array) == array) & (np.abs(array) <= 2.0**53)
        if not whole.all():
            row = int(np.argmin(whole))
            raise InvalidLabels(
                f"{name} must hold integers, got {array[row]} at row {row}; "
                "pass class numbers, not values"
            )
    # Without K the upper end is what int64 holds, which only unsigned labels can pass.
    last = np.iinfo(np.int64).max if n_classes is None else n_classes - 1
    bad = (array < 0) | (array > last)
    if bad.any():
        row = int(np.argmax(bad))
        expected = "0 or more" if n_classes is None else f"in 0 .. {last}"
        raise InvalidLabels(
            f"{name} must be {expected}, got {array[row]} at row {row}; "
            "number the classes from 0, or raise n_classes"
        )
    return array.astype(np.int64, copy=False)


def check_targets(
    targets: object,
    n_samples: int | None = None,
    n_classes: int | None = None,
    *,
    signed: bool = False,
    deviations: bool = False,
    name: str = "targets",
) -> npt.NDArray[np.float64]:
    """Check soft targets and make them exact: rows on the simplex, or on its hull when `signed`.

    Rows that miss the sum 1 by their rounding are divided by it, once and here, so that every head
    solves the objective that its certificate is about. A row passes when
    ``|sum - 1| <= 1e-6 * scale``, or ``2e-3 * scale`` when every value is one of float16, whatever
    dtype holds it; the scale is ``max(1, sum of |entries|)``. Entries from -1e-12 to 0 are 0 unless
    `signed`. A row stays bit for bit as it is where its sum is 1 as far as float64 tells,
    ``|sum - 1| <= K * eps * scale``: a second check changes nothing.

    Parameters
    ----------
    targets : array-like of shape (N, K)
        Probabilities.
    n_samples, n_classes : int
        Expected N and K; without them any N, and any K >= 1.
    signed : bool
        Accept negative entries, which the linearized iterates produce.
    deviations : bool
        The entries are deviations D = T - 1/K, and so is the result. With row sums e of D the row
        divided by its sum is (D - e/K)/(1 + e), which keeps the digits of small deviations. In a
        dtype narrower than float64 an entry of T is 0 to the rounding of 1/K in that dtype.

    Returns
    -------
    np.ndarray of shape (N, K), float64
        The array itself where nothing was to be changed.

    Raises
    ------
    InvalidTargets
        If the shape or dtype is wrong, an entry is not finite or (unless `signed`) negative, or
        a row does not sum to one; the row and its sum are named.
    """
    array = as_array(targets, name, InvalidTargets)
    fits = array.ndim == 2 and array.shape[1] > 0 and n_samples in (None, array.shape[0])
    if not fits:
        raise InvalidTargets(
            f"{name} must have shape ({n_samples or 'N'}, {n_classes or 'K'}), got {array.shape}; "
            "pass one row of class probabilities per sample (one_hot turns labels into rows)"
        )
    if n_classes is not None and array.shape[1] != n_classes:
        raise InvalidTargets(
            f"{name} must have {n_classes} columns, one per class, got {array.shape[1]}; "
            "build them with the same n_classes as the features"
        )
    result = _native_real(array, name, InvalidTargets).astype(np.float64, copy=False)
    # Entries are T - base.
    base = 1.0 / array.shape[1] if deviations else 0.0
    least = 0.0 - base
    # Of deviations in a narrow dtype, 1/K is only known to its rounding.
    known = float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0
    slack = max(1e-12, base * known)
    if not signed and (below := (result < least) & (result >= least - slack)).any():
        result = np.where(below, least, result)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.einsum("nk->n", result)  # of short rows in a fifth of the time of .sum(axis=1)
        sizes = np.abs(result + base).sum(axis=1) if signed else sums + (1.0 if deviations else 0.0)
    # A row with an entry that is not finite has no finite sum.
    bad = None if np.isfinite(sums).all() else first_nonfinite(result)
    if bad is not None:
        raise InvalidTargets(
            f"{name} must be finite, got {result[bad]} at row {bad[0]}, column {bad[1]}; "
            "check what produced them"
        )
    if not signed and (result < least).any():
        row, column = np.argwhere(result < least)[0].tolist()
        raise InvalidTargets(
            f"{name} must be nonnegative, got {result[row, column] + base!s} at row {row}, column "
            f"{column}; linearized predictions and mixtures with a weight outside [0, 1] can be "
            "negative: pass signed_targets=True where accepted"
        )
    scale = np.maximum(1.0, sizes)
    excess = sums if deviations else sums - 1.0
    # Deviations may carry the rounding of T - 1/K as well: rows left alone as T are so again as D.
    slack = (2.0 if deviations else 1.0) * array.shape[1] * np.finfo(np.float64).eps
    exact = np.abs(excess) <= slack * scale
    exact &= np.isfinite(sums)  # an overflowed sum meets an overflowed scale
    inexact = np.flatnonzero(~exact)
    if not inexact.size:
        return result
    rows, excess = result[inexact], excess[inexact]
    # Rows that hold nothing but float16 values, as they are or as T, to a rounding.
    with np.errstate(over="ignore", under="ignore"):
        missed = [np.abs(v.astype(np.float16) - v).max(axis=1) for v in (rows, rows + base)]
    half = (np.minimum(*missed) <= np.finfo(np.float64).eps) | (array.dtype == np.float16)
    tolerance = np.where(half, 2e-3, 1e-6)
    # Where entries are so large that the sum may as well be 0, there is nothing to divide by.
    off = ~(np.abs(excess) <= np.minimum(tolerance * scale[inexact], 0.5))
    if off.any():
        first = int(np.argmax(off))
        with np.errstate(over="ignore"):
            total = float((rows[first] + base).sum())
        raise InvalidTargets(
            f"{name} must have rows that sum to 1, got sum {total!r} "
            f"at row {int(inexact[first])} ({int(off.sum())} such rows); divide each row by its sum"
        )
    divided = (rows - base * excess[:, None]) / (1.0 + excess[:, None])
    result = result.copy()
    result[inexact] = divided if signed else np.maximum(divided, least)  # 0 - 1/K is rounded too
    return result


def check_logits(logits: npt.NDArray[np.float64], name: str = "x") -> npt.NDArray[np.float64]:
    """Check that logits (n, K) computed from rows of `name` did not overflow.

    Raises
    ------
    InvalidFeatures
        If one did; its row is named.
    """
    bad = first_nonfinite(logits)
    if bad is not None:
        raise InvalidFeatures(
            f"{name} must be small enough for its logits to stay in float64's range, got "
            f"{logits[bad]} for class {bad[1]} at row {bad[0]}: prepare its rows like those of the "
            "training features"
        )
    return logits


def _real(name: str, value: object) -> float:
    """A scalar as float; bool, text and arrays, which float() would read as well, are refused."""
    number: Any = value
    if getattr(number, "shape", None) == () and hasattr(number, "item"):
        number = number.item()
    if not isinstance(number, (bool, str, bytes, bytearray, np.ndarray)):
        try:
            return float(number)
        except (TypeError, ValueError, OverflowError):
            pass
    raise InvalidSetting(f"{name} must be a real number, got {value!r}; pass a plain number")


def check_finite(name: str, value: object) -> float:
    """Check that a setting is a finite real number (else InvalidSetting)."""
    number = _real(name, value)
    if not math.isfinite(number):
        raise InvalidSetting(f"{name} must be finite, got {value!s}; pass a plain number")
    return number


def check_positive(name: str, value: object) -> float:
    """Check that a setting is a finite real number above zero (else InvalidSetting)."""
    number = _real(name, value)
    if not 0.0 < number < math.inf:
        raise InvalidSetting(
            f"{name} must be finite and greater than 0, got {value!s}; pass a positive number"
        )
    return number


def check_rate(name: str, value: object) -> float:
    """Check that a setting is a share in [0, 1) (else InvalidSetting)."""
    number = _real(name, value)
    if not 0.0 <= number < 1.0:
        raise InvalidSetting(
            f"{name} must be at least 0 and less than 1, got {value!s}; "
            "pass a fraction (0.5 for 50 %)"
        )
    return number


def check_weight_decay(value: object) -> float:
    """Check that a weight decay λ is in [1e-100, 1e100] (else InvalidSetting).

    Certificates square gradients and divide by λ; beyond this range float64 overflows.
    """
    number = check_positive("weight_decay", value)
    if not 1e-100 <= number <= 1e100:
        raise InvalidSetting(
            f"weight_decay must be between 1e-100 and 1e+100, got {number:g}; float64 cannot "
            "hold its certificates, choose a value that fits the scale of the features"
        )
    return number


def check_integer(name: str, value: object, minimum: int, maximum: int | None = None) -> int:
    """Check that a setting is an integer in [minimum, maximum] (else InvalidSetting).

    bool and floats are refused; there is no upper end when `maximum` is None.
    """
    upper = "" if maximum is None else f" and at most {maximum}"
    expected = f"{name} must be an integer of at least {minimum}{upper}"
    given: Any = None if isinstance(value, (bool, np.bool_)) else value
    try:
        number = operator.index(given)
    except TypeError as problem:
        raise InvalidSetting(f"{expected}, got {value!r}; pass a whole number") from problem
    if number < minimum or (maximum is not None and number > maximum):
        raise InvalidSetting(f"{expected}, got {number}; choose a value in that range")
    return number


def check_weights(
    weights: object, shape: tuple[int, int], name: str = "weights"
) -> npt.NDArray[np.float64]:
    """Check weights (d, K) of a head, as float64.

    Raises
    ------
    InvalidFeatures
        If an entry is not a finite real number.
    InvalidSetting
        If the shape is not `shape`.
    """
    checked = check_features(weights, name=name).astype(np.float64)
    if checked.shape != shape:
        raise InvalidSetting(
            f"{name} must have shape (d, K) = {shape}, got {checked.shape}: pass the weights "
            "of a fit on the same features and classes"
        )
    return checked


def check_start(start: object, shape: tuple[int, int]) -> npt.NDArray[np.float64] | None:
    """``check_weights`` of what an iteration is to start from; None passes."""
    return None if start is None else check_weights(start, shape, "start")
