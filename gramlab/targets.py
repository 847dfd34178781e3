"""What heads are fitted to: one-hot rows, partial labels, mixtures; and how much each row counts.

Targets are rows on the simplex. Weights of rows are relative: only their ratios matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidLabels, InvalidSetting, InvalidTargets
from gramlab.machine.memory import aligned, row_blocks
from gramlab.numerics.rounding import UNDERFLOW, UNIT_ROUNDOFF, gamma, norm_bound
from gramlab.numerics.streams import MAX_SEED, stream
from gramlab.numerics.text import short_repr
from gramlab.validation import (
    as_array,
    check_entries,
    check_finite,
    check_integer,
    check_labels,
    check_targets,
)

# Second half of the Philox key: one stream per purpose, so that one seed can serve several.
_PARTIAL_STREAM = int.from_bytes(b"partial1", "big")


def one_hot(labels: object, n_classes: int) -> npt.NDArray[np.float64]:
    """Turn labels (N,), 0 .. K-1, into target rows (N, K): 1 in the column of the label, else 0.

    Raises
    ------
    InvalidLabels, InvalidSetting
        If a label is outside the range, or `n_classes` is no positive integer.
    """
    size = check_integer("n_classes", n_classes, 1)
    checked = check_labels(labels, n_classes=size)
    return (checked[:, None] == np.arange(size)).astype(np.float64)


def candidate_targets(candidates: object, n_classes: int | None = None) -> npt.NDArray[np.float64]:
    """Turn the candidate labels of each row, one of which is true, into targets (N, K).

    1/m on each of the m candidates of a row, 0 elsewhere: the average loss over candidates, as in
    partial label learning. With one candidate each this is ``one_hot``.

    Parameters
    ----------
    candidates : (N, K) bool, or N sequences of labels
        Whether a class is a candidate of a row; or the candidate labels, 0 .. K-1, of each row, as
        many as there are.
    n_classes
        K. Needed with sequences of labels; with booleans it is the number of columns.

    Raises
    ------
    InvalidLabels
        If a row has no candidate or the same one twice, or a label is outside the range.
    InvalidSetting
        If `n_classes` is no positive integer, is missing, or is not the number of columns.
    """
    size = None if n_classes is None else check_integer("n_classes", n_classes, 1)
    whole = hasattr(candidates, "__array__")  # an array, a table, a tensor
    marked: Any = as_array(candidates, "candidates", InvalidLabels) if whole else candidates
    if not whole or marked.dtype != bool:
        marked = _marked(marked, size)
    elif marked.ndim != 2:
        raise InvalidLabels(
            f"candidates must be boolean of shape (N, K), got shape {marked.shape}; mark the "
            "candidates of each row in one column for each class"
        )
    elif size not in (None, marked.shape[1]):
        raise InvalidSetting(
            f"n_classes must be the number of columns of candidates, {marked.shape[1]}, got {size};"
            " leave it out"
        )
    counts = marked.sum(axis=1)
    if not counts.all():
        raise InvalidLabels(
            f"candidates must hold at least one label in every row, got none in row "
            f"{int((counts == 0).argmax())}; leave that row out, or mark all classes"
        )
    return marked / counts[:, None]


def _marked(candidates: Any, n_classes: int | None) -> npt.NDArray[np.bool_]:
    """Sequences of labels as booleans (N, K)."""
    if n_classes is None:
        raise InvalidSetting(
            "n_classes must be given with candidates as sequences of labels, got None: pass "
            "candidate_targets(candidates, n_classes), or booleans of shape (N, K)"
        )
    if not isinstance(candidates, Iterable):
        raise InvalidLabels(
            "candidates must be booleans of shape (N, K) or a sequence of labels for each row, got "
            f"{type(candidates).__name__}; for one label each use one_hot"
        )
    rows = list(candidates)
    marked = np.zeros((len(rows), n_classes), dtype=bool)
    for row, labels in enumerate(rows):
        if np.size(labels) == 0:
            continue
        if np.asarray(labels).dtype == bool:
            raise InvalidLabels(
                f"candidates must hold labels where they are sequences, got booleans in row {row}; "
                "pass booleans as one array, numpy.array(candidates)"
            )
        found = check_labels(labels, n_classes=n_classes, name=f"candidates of row {row}")
        marked[row, found] = True
        if marked[row].sum() < len(found):
            raise InvalidLabels(
                f"candidates must differ in each row, got {found.tolist()} in row {row}; a matrix "
                "of 0 and 1 is passed with astype(bool)"
            )
    return marked


class OneHotRows:
    """One-hot targets as deviations T − 1/K (N, K), made row block by row block from the labels.

    Equal to ``one_hot(labels, n_classes) - 1 / n_classes`` bit for bit, in 8 bytes per row: kept
    are ``labels`` (N,), int64, and the ``shape`` (N, K). Raises what ``one_hot`` does; K ≥ 2.
    """

    def __init__(self, labels: object, n_classes: int) -> None:
        size = check_integer("n_classes", n_classes, 2)
        self.labels: npt.NDArray[np.int64] = check_labels(labels, n_classes=size)
        self.shape: tuple[int, int] = (len(self.labels), size)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float64]:
        """Deviations (n, K) of a slice of rows, a new array."""
        if not isinstance(rows, slice):
            raise TypeError(f"rows must be a slice, got {type(rows).__name__}")
        size = self.shape[1]
        return np.where(self.labels[rows, None] == np.arange(size), 1.0 - 1.0 / size, -1.0 / size)

    def __repr__(self) -> str:
        return f"OneHotRows({self.shape[0]} rows, {self.shape[1]} classes)"


def partial_labels(
    probabilities: object,
    k: int = 2,
    *,
    seed: int,
    tie_tolerance: float = 128 * UNIT_ROUNDOFF,
) -> npt.NDArray[np.float64]:
    """Build top-k targets: 1/k on each of the k largest entries of every row.

    Source: the partial-label student of arXiv 2402.10482 (k = 2). Entries within `tie_tolerance`
    of the k-th largest are tied and compete by random 64-bit keys (entry (i, l) uses word
    i K + l of the stream of `seed`); entries above that are always in.

    Parameters
    ----------
    probabilities : array-like of shape (N, K)
        Rows sum to one. Negative entries are accepted, linearized heads produce them.
    k : int
        Labels per row, 1 .. K.
    seed : int
        0 .. 2**64 - 1.
    tie_tolerance : float
        Absolute difference below which entries count as equal; the default is the rounding of
        float64 predictions.

    Raises
    ------
    InvalidTargets
        If a row is not finite or does not sum to one.
    InvalidSetting
        If `k`, `seed` or `tie_tolerance` is out of range.
    """
    values = check_targets(probabilities, signed=True, name="probabilities")
    n_samples, n_classes = values.shape
    chosen = check_integer("k", k, 1, n_classes)
    key = check_integer("seed", seed, 0, MAX_SEED)
    tolerance = check_finite("tie_tolerance", tie_tolerance)
    if tolerance < 0.0:
        raise InvalidSetting(
            f"tie_tolerance must be at least 0, got {tolerance}; pass 0 to tie equal entries only"
        )
    words_of = stream(key, _PARTIAL_STREAM)
    targets = np.zeros((n_samples, n_classes))
    # Blocks continue one stream, so their size does not show in the result.
    for rows, block in row_blocks(values):
        words = words_of.random_raw(block.size).reshape(block.shape)
        threshold = np.partition(block, n_classes - chosen, axis=1)[:, n_classes - chosen, None]
        level = (block >= threshold - tolerance).astype(np.uint64)
        level += block > threshold + tolerance
        # The level fills the two top bits, so it decides before the random key does.
        order = (level << np.uint64(62)) | (words >> np.uint64(2))
        winners = np.argpartition(order, n_classes - chosen, axis=1)[:, n_classes - chosen :]
        np.put_along_axis(targets[rows], winners, 1.0 / chosen, axis=1)
    return targets


def mix_targets(first: object, second: object, weight: float) -> npt.NDArray[np.float64]:
    """Mix two targets (N, K): weight * first + (1 - weight) * second.

    Rows sum to one and may have negative entries; so may those of the result, where `weight` is
    outside [0, 1].

    Raises
    ------
    InvalidTargets, InvalidSetting
        If rows do not sum to one or the shapes differ; or `weight` is no finite number.
    """
    a = check_targets(first, signed=True, name="first")
    b = check_targets(second, a.shape[0], a.shape[1], signed=True, name="second")
    share = check_finite("weight", weight)
    return share * a + (1.0 - share) * b


@dataclass(frozen=True, eq=False)
class Targets:
    """Soft targets carried as deviations T − 1/K (N, K), so that small signals are not lost.

    ``np.asarray(targets)`` is T = 1/K + deviations, with 0 where the sum of a vanishing
    probability's deviation and 1/K rounds below 0; anything more negative stays as it is. A fit's
    ``as_targets()`` makes the next round's targets.
    """

    deviations: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        """T = 1/K + deviations."""
        values = self.deviations + 1.0 / self.deviations.shape[1]
        values[(values < 0.0) & (values >= -4.0 * UNIT_ROUNDOFF)] = 0.0
        return values if dtype is None else values.astype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, K)."""
        return self.deviations.shape


def target_rows(
    targets: Targets | OneHotRows | np.ndarray, n_samples: int, *, signed: bool = False
) -> np.ndarray | OneHotRows:
    """T − 1/K (N, K), checked and made exact; ``OneHotRows`` stay what they are.

    ``signed`` lets entries of T leave [0, 1]. Rows that miss the sum 1 by the rounding of what they
    came in are divided by it here, for every head alike (``check_targets``, which says what is
    refused as InvalidTargets).
    """
    if isinstance(targets, OneHotRows):
        check_labels(targets.labels, n_samples=n_samples)
        return targets
    centred = isinstance(targets, Targets)
    given = targets.deviations if centred else targets
    checked = check_targets(given, n_samples, signed=signed, deviations=centred)
    k = checked.shape[1]
    if k < 2:
        raise InvalidTargets(
            f"targets must have at least 2 classes (columns), got {k}: pass one "
            "column per class (gramlab.one_hot turns labels into rows)"
        )
    return checked if centred else np.subtract(checked, 1.0 / k, out=aligned(checked.shape, float))


def target_deviations(
    targets: Targets | OneHotRows | np.ndarray, n_samples: int, *, signed: bool = False
) -> np.ndarray:
    """What ``target_rows`` are, as an array (N, K)."""
    return target_rows(targets, n_samples, signed=signed)[:]


def stored_rounding(targets: Targets | np.ndarray, deviations: np.ndarray) -> float:
    """Bound, in Frobenius norm, on the rounding of 1/K and of T − 1/K; 0 for ``Targets``."""
    if isinstance(targets, Targets):
        return 0.0
    return gamma(4) * norm_bound(np.abs(deviations) + 1.0 / deviations.shape[1])


def check_sample_weight(sample_weight: object, n_samples: int) -> np.ndarray | None:
    """Weights w (N,) ≥ 0 of rows in float64, or InvalidSetting; None where none are given."""
    if sample_weight is None:
        return None
    weights = as_array(sample_weight, "sample_weight", InvalidSetting)
    if weights.shape != (n_samples,) or weights.dtype.kind not in "fiub":
        raise InvalidSetting(
            f"sample_weight must be one real number per row, shape ({n_samples},), got shape "
            f"{weights.shape} and dtype {weights.dtype}"
        )
    weights = weights.astype(np.float64)
    check_entries(
        weights,
        lambda block: np.isfinite(block) & (block >= 0.0),
        "sample_weight must be finite and at least 0, got {entry}; a row of weight 0 takes no part",
        InvalidSetting,
    )
    return weights


def product_of_weights(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Weights (N,) of rows that are weighed twice; None weighs them alike."""
    if first is None or second is None:
        return second if first is None else first
    return first * second


def relative_weights(
    sample_weight: object,
    n_samples: int,
    gathered: Callable[[float], np.ndarray] = np.atleast_1d,
) -> np.ndarray | None:
    """ω_i = N w_i/Σw (N,), of mean 1; None where all are equal, or none are given.

    Each is within 6 units of roundoff of its exact value, or of the least normal number, which is
    the smallest that a positive weight becomes: ω_i = 0 only where w_i = 0.

    Where rows are spread over processes, those at hand are this one's, and ``gathered`` gives one
    number of every process for that of this one: then it is a collective call. InvalidSetting if
    weights are not as ``check_sample_weight`` wants them, or all are 0.
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
