"""The checks that every input passes once, at the door.

Every message is one line and says what was expected, what came, where, and what to do about it.
"""

from __future__ import annotations

import math
import operator
import unicodedata
from collections.abc import Callable, Iterable
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

    Raises ``error`` for ragged lists, sparse matrices, masked entries, or tensors that do not
    convert.
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
    """float16/32/64 as they are (native byte order), integers and bool as float64, exactly."""
    kind = array.dtype.kind
    if kind == "f" and array.dtype.itemsize in (2, 4, 8):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if kind in "iu":  # float64 counts to 2**53, beyond which numbers would be rounded
        message = (
            f"{name} must hold whole numbers of at most 2**53, which float64 keeps, got {{entry}}; "
            "convert it with .astype(np.float64) if rounding is meant"
        )
        check_entries(array, lambda block: (block >= -(2**53)) & (block <= 2**53), message, error)
    if kind in "iub":
        return array.astype(np.float64)
    raise error(
        f"{name} must hold real numbers (float16, float32, float64, integers or bool), got dtype "
        f"{array.dtype}; convert it with .astype(np.float64)"
    )


def check_entries(
    array: np.ndarray,
    good: Callable[[np.ndarray], np.ndarray],
    message: str,
    error: type[GramlabError],
    shift: float = 0,
) -> None:
    """Raise ``error`` where ``good`` is not true of all entries, asked of blocks of rows.

    "{entry}" in ``message`` stands for the first such entry, plus ``shift``, and its place.
    """
    for part, block in row_blocks(array):
        fine = good(block)
        if not fine.all():
            row, *column = np.argwhere(~fine)[0].tolist()
            place = "".join(f", column {index}" for index in column)
            shown = block[row, *column] + shift
            entry = f"{shown!s} at row {part.start + row}{place}"
            raise error(message.replace("{entry}", entry))


def check_features(x: object, name: str = "x", *, finite: bool = True) -> np.ndarray:
    """Check a feature matrix (N, d), one sample per row, finite and real (InvalidFeatures).

    float16, float32 and float64 are kept without a copy; integers and bool become float64. Without
    ``finite`` NaN and infinite values pass.
    """
    array = as_array(x, name)
    if array.ndim != 2 or 0 in array.shape:
        fix = "pass at least one sample of at least one feature"
        if array.ndim == 1:
            fix = "reshape it (one sample: reshape(1, -1); one feature: reshape(-1, 1))"
        raise InvalidFeatures(
            f"{name} must be 2-D (samples, features), at least one of each, got shape "
            f"{array.shape}; {fix}"
        )
    array = _native_real(array, name, InvalidFeatures)
    message = f"{name} must be finite, got {{entry}} (shape {array.shape}); remove that row or "
    if finite:
        check_entries(array, np.isfinite, message + "replace the value", InvalidFeatures)
    return array


def check_weights(
    weights: object, shape: tuple[int, int], name: str = "weights"
) -> npt.NDArray[np.float64]:
    """Check weights (d, K) of a head, as float64: like features, and of that shape."""
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


def check_logits(logits: npt.NDArray[np.float64], name: str = "x") -> npt.NDArray[np.float64]:
    """Check that logits (n, K) computed from rows of `name` did not overflow (InvalidFeatures)."""
    message = (
        f"{name} must be small enough for its logits to stay in float64's range, got {{entry}} "
        "(its class): prepare its rows like those of the training features"
    )
    check_entries(logits, np.isfinite, message, InvalidFeatures)
    return logits


def check_labels(
    labels: object,
    n_samples: int | None = None,
    n_classes: int | None = None,
    name: str = "labels",
) -> npt.NDArray[np.int64]:
    """Check class labels (N,), whole numbers 0 .. K-1, and make them int64; or InvalidLabels.

    Without `n_classes` only the lower end of the range is checked, without `n_samples` any length
    will do.
    """
    array = as_array(labels, name, InvalidLabels)
    if array.ndim != 1:
        raise InvalidLabels(
            f"{name} must be 1-D (one integer per sample), got shape {array.shape}; "
            "a column can be flattened with .ravel(), one-hot rows with .argmax(axis=1)"
        )
    if array.shape[0] == 0:
        raise InvalidLabels(f"{name} must hold at least one label, got none; pass one per sample")
    if n_samples not in (None, array.shape[0]):
        raise InvalidLabels(
            f"{name} must have one entry per row: expected {n_samples}, got {array.shape[0]}; "
            "check that features and labels come from the same split"
        )
    if array.dtype.kind not in "iubf":
        raise InvalidLabels(
            f"{name} must hold integers, got dtype {array.dtype}; encode class names with "
            f"class_names, {name} = np.unique({name}, return_inverse=True)"
        )
    last, expected = 2**63 - 1, "from 0 on"
    if array.dtype.kind == "f":
        array, last = array.astype(np.float64, copy=False), 2**53  # counts exactly up to there
    if n_classes is not None:
        last, expected = n_classes - 1, f"in 0 .. {n_classes - 1}"
    check_entries(
        array,
        lambda block: (block >= 0) & (block <= last) & (np.floor(block) == block),
        f"{name} must be whole numbers {expected}, got {{entry}}; pass class numbers from 0 on, or "
        "raise n_classes",
        InvalidLabels,
    )
    return array.astype(np.int64, copy=False)


def check_superclasses(superclasses: object, n_classes: int) -> npt.NDArray[np.int64]:
    """Check the superclass number of each class (K,), and make them int64; or InvalidLabels."""
    array = check_labels(superclasses, name="superclasses")
    if len(array) != n_classes:
        raise InvalidLabels(
            f"superclasses must have one entry per class: expected {n_classes}, got {len(array)}; "
            "give the superclass number of each class"
        )
    return array


def nfc(text: str) -> str:
    """Text in Unicode's form NFC, in which all spellings of one text are equal."""
    return unicodedata.normalize("NFC", text)


def check_different(
    names: Iterable[object], name: str, error: type[GramlabError] = InvalidSetting
) -> None:
    """Raise ``error`` if two names are equal, texts also if they are so in form NFC."""
    places: dict[object, tuple[int, object]] = {}
    for place, one in enumerate(names):
        earlier, other = places.setdefault(nfc(one) if isinstance(one, str) else one, (place, one))
        if one != other:
            raise error(
                f"{name} must differ, got {other!a} and {one!a}, which are one text in Unicode's "
                "form NFC; spell them alike, or rename one of them"
            )
        if earlier != place:
            raise error(
                f"{name} must differ, got {one!r} at positions {earlier} and {place}; "
                "rename one of them"
            )


def check_targets(
    targets: object,
    n_samples: int | None = None,
    n_classes: int | None = None,
    *,
    signed: bool = False,
    deviations: bool = False,
    name: str = "targets",
) -> npt.NDArray[np.float64]:
    """Check soft targets (N, K) and make them exact float64, or raise InvalidTargets.

    Rows are on the simplex, or on its hull when `signed`. Those that miss the sum 1 by their
    rounding are divided by it, once and here, so that every head solves the objective that its
    certificate is about. A row passes when ``|sum - 1| <= 1e-6 * scale``, or ``2e-3 * scale`` when
    every value is one of float16, whatever dtype holds it; the scale is
    ``max(1, sum of |entries|)``. Entries from -1e-12 to 0 are 0 unless `signed`. A row stays bit
    for bit as it is where its sum is 1 as far as float64 tells, ``|sum - 1| <= K * eps * scale``: a
    second check returns the array itself.

    With `deviations` the entries are D = T - 1/K, and so is the result. With row sums e of D the
    row divided by its sum is (D - e/K)/(1 + e), which keeps the digits of small deviations. In a
    dtype narrower than float64 an entry of T is 0 to the rounding of 1/K in that dtype.
    """
    array = as_array(targets, name, InvalidTargets)
    n, k = array.shape if array.ndim == 2 else (0, 0)
    if k == 0 or n_samples not in (None, n) or n_classes not in (None, k):
        raise InvalidTargets(
            f"{name} must have shape ({n_samples or 'N'}, {n_classes or 'K'}), got {array.shape}; "
            "pass one row of probabilities per sample, one column per class of the features "
            "(one_hot turns labels into rows)"
        )
    result = _native_real(array, name, InvalidTargets).astype(np.float64, copy=False)
    message = f"{name} must be finite, got {{entry}}; check what produced them"
    check_entries(result, np.isfinite, message, InvalidTargets)
    base = 1.0 / k if deviations else 0.0  # entries are T - base
    least = 0.0 - base
    if not signed:
        # Of deviations in a narrow dtype, 1/K is only known to its rounding.
        known = float(np.finfo(array.dtype).eps) if array.dtype.kind == "f" else 0.0
        below = (result < least) & (result >= least - max(1e-12, base * known))
        if below.any():
            result = np.where(below, least, result)
        message = (
            f"{name} must be nonnegative, got {{entry}}; linearized predictions and mixtures with "
            "a weight outside [0, 1] can be negative: pass signed_targets=True where accepted"
        )
        check_entries(result, lambda block: block >= least, message, InvalidTargets, base)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.einsum("nk->n", result)
        sizes = np.abs(result + base).sum(axis=1) if signed else sums + deviations
        scale = np.maximum(1.0, sizes)
    excess = sums if deviations else sums - 1.0
    # Deviations may carry the rounding of T - 1/K as well: rows left alone as T are so again as D.
    slack = (2.0 if deviations else 1.0) * k * np.finfo(np.float64).eps
    # An overflowed sum meets an overflowed scale.
    inexact = np.flatnonzero(~((np.abs(excess) <= slack * scale) & np.isfinite(sums)))
    if not inexact.size:
        return result
    rows, excess = result[inexact], excess[inexact]
    # Rows that hold nothing but float16 values, as they are or as T, to a rounding.
    with np.errstate(over="ignore", under="ignore"):
        missed = [np.abs(v.astype(np.float16) - v).max(axis=1) for v in (rows, rows + base)]
        totals = (rows + base).sum(axis=1)
    half = (np.minimum(*missed) <= np.finfo(np.float64).eps) | (array.dtype == np.float16)
    tolerance = np.where(half, 2e-3, 1e-6)
    # Where entries are so large that the sum may as well be 0, there is nothing to divide by.
    off = ~(np.abs(excess) <= np.minimum(tolerance * scale[inexact], 0.5))
    if off.any():
        first = int(np.argmax(off))
        raise InvalidTargets(
            f"{name} must have rows that sum to 1, got sum {float(totals[first])!r} "
            f"at row {int(inexact[first])} ({int(off.sum())} such rows); divide each row by its sum"
        )
    divided = (rows - base * excess[:, None]) / (1.0 + excess[:, None])
    result = result.copy()
    result[inexact] = divided if signed else np.maximum(divided, least)  # 0 - 1/K is rounded too
    return result


def _number(
    name: str, value: object, expected: str, fits: Callable[[float], bool], fix: str
) -> float:
    """A scalar as float; bool, text and arrays, which float() would read as well, are refused."""
    given: Any = value
    if getattr(given, "shape", None) == () and hasattr(given, "item"):
        given = given.item()
    try:
        refused = isinstance(given, (bool, str, bytes, bytearray, np.ndarray))
        number = math.nan if refused else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not fits(number):
        raise InvalidSetting(f"{name} must be {expected}, got {given!r}; {fix}")
    return number


def check_finite(name: str, value: object) -> float:
    """Check that a setting is a finite real number (else InvalidSetting)."""
    return _number(name, value, "finite and a number", math.isfinite, "pass a plain real number")


def check_positive(name: str, value: object) -> float:
    """Check that a setting is a finite real number above zero (else InvalidSetting)."""
    expected, fix = "finite and greater than 0", "pass a positive real number"
    return _number(name, value, expected, lambda v: 0 < v < math.inf, fix)


def check_rate(name: str, value: object) -> float:
    """Check that a setting is a share in [0, 1) (else InvalidSetting)."""
    expected, fix = "at least 0 and less than 1", "pass a fraction (0.5 for 50 %)"
    return _number(name, value, expected, lambda v: 0 <= v < 1, fix)


def check_share(name: str, value: object) -> float:
    """Check that a value is a share in [0, 1] (else InvalidSetting)."""
    expected, fix = "at least 0 and at most 1", "pass a fraction (0.5 for 50 %)"
    return _number(name, value, expected, lambda v: 0 <= v <= 1, fix)


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

    bool and floats are refused; `maximum` None stands for 2⁵³, to which float64 counts exactly.
    """
    try:
        number = operator.index(None if isinstance(value, (bool, np.bool_)) else value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    most = 2**53 if maximum is None else maximum
    if number is None or not minimum <= number <= most:
        told = maximum is not None or (number is not None and number > most)
        upper = f" and at most {most}" if told else ""
        raise InvalidSetting(
            f"{name} must be an integer of at least {minimum}{upper}, got "
            f"{repr(value) if number is None else number}; pass a whole number in that range"
        )
    return number


def missing_extra(what: str, extra: str, problem: ImportError) -> InvalidSetting:
    """The error to raise where ``what`` needs an optional group of packages that is not there."""
    return InvalidSetting(
        f'{what} needs the extra "{extra}", but: {problem}; run pip install ".[{extra}]" in a copy '
        "of gramlab's repository"
    )
