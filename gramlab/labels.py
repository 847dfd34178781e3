"""Label noise: corruption matrices and the labels drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidLabels, InvalidSetting
from gramlab.numerics.streams import MAX_SEED, stream, uniforms
from gramlab.numerics.text import short_repr
from gramlab.validation import (
    as_array,
    check_entries,
    check_integer,
    check_labels,
    check_rate,
    check_superclasses,
)

# Second half of the Philox key: one stream per purpose, so that one seed can serve several.
_CORRUPTION_STREAM = int.from_bytes(b"corrupt1", "big")

_KINDS = ("symmetric", "asymmetric", "superclass", "pair-flip")


def corruption_matrix(
    kind: str,
    n_classes: int,
    rate: float,
    superclasses: Sequence[int] | npt.NDArray[np.integer] | None = None,
) -> npt.NDArray[np.float64]:
    """The matrix C[k, j] = P(given label j | true label k) of a kind of label noise.

    With K = `n_classes` ≥ 2 and r = `rate` in [0, 1) each has 1 - r on the diagonal, and off it

    ========== =======================================================================
    symmetric  r / (K - 1) on every other class
    asymmetric 2 r / K on class k + 1 mod K, r / K on the rest
    superclass r / (m - 1) on the other classes of the superclass of k, of m classes;
               a class that is alone in its superclass has nobody to be confused with
               and keeps its labels clean
    pair-flip  r on class k + 1 mod K
    ========== =======================================================================

    The diagonal is one minus the sum of the rest, so that rows (K, K) sum to one up to rounding.
    `superclasses` (K,), the number of that of each class, are ignored by the other kinds.

    Source: noise models of arXiv 2402.10482 (kinds 1 to 3, as in its authors' code); pair flip as
    in Han et al., "Co-teaching", NeurIPS 2018.

    Raises
    ------
    InvalidSetting
        If the kind is unknown, a number is outside its range, superclasses are missing, or all
        superclasses have a single class at a positive rate.
    InvalidLabels
        If `superclasses` are not K nonnegative integers.
    """
    if kind not in _KINDS:
        raise InvalidSetting(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}; choose one")
    size = check_integer("n_classes", n_classes, 2)
    share = check_rate("rate", rate)
    following = np.roll(np.eye(size, dtype=bool), 1, axis=1)  # class k + 1 mod K
    if kind == "symmetric":
        matrix = np.full((size, size), share / (size - 1))
    elif kind == "asymmetric":  # with two classes as well: r on the one other class
        matrix = np.where(following, 2.0 * share / size, share / size)
    elif kind == "pair-flip":
        matrix = np.where(following, share, 0.0)
    else:
        if superclasses is None:
            raise InvalidSetting(
                "superclasses must be given for superclass noise, got None; pass the superclass "
                "number of each class"
            )
        groups = check_superclasses(superclasses, size)
        same = groups[:, None] == groups
        others = same.sum(axis=1) - 1
        if share > 0.0 and not others.any():
            raise InvalidSetting(
                "superclasses must have one with two or more classes, got only single classes, so "
                "no label could change; merge classes or choose another kind"
            )
        matrix = np.where(same, (share / np.maximum(others, 1))[:, None], 0.0)
    np.fill_diagonal(matrix, 0.0)
    # At rates next to 1 the sum can round to just above 1.
    np.fill_diagonal(matrix, np.maximum(0.0, 1.0 - matrix.sum(axis=1)))
    return matrix


def flipped_share(matrix: npt.NDArray[np.float64]) -> float:
    """Share of labels that a corruption matrix (K, K) changes where all classes are as frequent."""
    return float(1.0 - np.diag(matrix).mean())


@dataclass(frozen=True, eq=False)
class CorruptedLabels:
    """Noisy labels together with what made them.

    Attributes
    ----------
    labels, true_labels : np.ndarray of shape (N,), int64
        Given labels, and those before the noise; read-only.
    matrix : np.ndarray of shape (K, K)
        Corruption matrix C, read-only; of ``observed_labels``, how often each was given.
    seed, exact_counts
        As ``corrupt_labels`` was told; the seed is None where nothing was drawn.
    realized_rate : float
        Share of labels that differ from the true ones.
    """

    labels: npt.NDArray[np.int64]
    matrix: npt.NDArray[np.float64]
    seed: int | None
    realized_rate: float
    true_labels: npt.NDArray[np.int64]
    exact_counts: bool = False

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def flipped(self) -> npt.NDArray[np.bool_]:
        """Rows whose given label is wrong, shape (N,)."""
        return self.labels != self.true_labels

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows by true label (row) and given label (column), shape (K, K)."""
        counts = np.zeros(self.matrix.shape, dtype=np.int64)
        np.add.at(counts, (self.true_labels, self.labels), 1)
        return counts


def check_corruption_matrix(
    matrix: object, n_classes: int | None = None, name: str = "matrix"
) -> npt.NDArray[np.float64]:
    """Check a corruption matrix (K, K), for K = `n_classes` if given, and make it float64.

    Raises
    ------
    InvalidSetting
        If it is not square, of another size, not finite, negative, or a row does not sum to 1.
    """
    array = as_array(matrix, name, InvalidSetting)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 1:
        raise InvalidSetting(
            f"{name} must be square (classes x classes), got shape {array.shape}; "
            "build it with corruption_matrix"
        )
    if n_classes not in (None, len(array)):
        raise InvalidSetting(
            f"{name} must have one row and column for each of {n_classes} classes, got shape "
            f"{array.shape}; rows are true labels, columns given labels"
        )
    if array.dtype.kind not in "fiub":
        raise InvalidSetting(
            f"{name} must hold real numbers, got dtype {array.dtype}; convert it to float64"
        )
    result = array.astype(np.float64)
    check_entries(
        result,
        lambda block: np.isfinite(block) & (block >= 0.0),
        f"{name} must be finite and nonnegative, got {{entry}}; build it with corruption_matrix",
        InvalidSetting,
    )
    # Entries near 1/K carry relative rounding eps each, and so does each of K additions.
    slack = 2.0 * len(result) * float(np.finfo(np.float64).eps)
    check_entries(
        result.sum(axis=1),
        lambda sums: np.abs(sums - 1.0) <= slack,
        f"{name} must have rows that sum to 1, got sum {{entry}}; rows are true labels, columns "
        "given labels: divide each row by its sum, in float64",
        InvalidSetting,
    )
    return result


def _drawn(words: npt.NDArray[np.uint64], row: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Inverse CDF of one row of C at the uniforms of the words."""
    cumulative = np.cumsum(row)
    # The last possible class takes what rounding left over, so no impossible one is ever drawn.
    cumulative[np.flatnonzero(row)[-1] :] = np.inf
    return np.searchsorted(cumulative, uniforms(words), side="right").astype(np.int64)


def _apportioned(
    words: npt.NDArray[np.uint64], row: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Labels with counts n * C[k, :] rounded by largest remainder, placed by the order of words."""
    unit = 2.0**-20  # well above the rounding of n * C, far below any difference that matters
    quota = np.rint(words.size * row / unit) * unit
    counts = np.floor(quota).astype(np.int64)
    remainder = np.where(row > 0.0, quota - counts, -1.0)
    # A stable sort of the negated remainders gives ties to the lowest class.
    order = np.argsort(-remainder, kind="stable")
    counts[order[: words.size - int(counts.sum())]] += 1
    result = np.empty(words.size, dtype=np.int64)
    result[np.argsort(words, kind="stable")] = np.repeat(np.arange(row.size), counts)
    return result


def corrupt_labels(
    labels: object, matrix: object, *, seed: int, exact_counts: bool = False
) -> CorruptedLabels:
    """Draw noisy labels.

    Row i uses word i of the stream of `seed`, and nothing else: a given row gets the same label
    whatever the other rows are (unless `exact_counts`).

    Parameters
    ----------
    labels : array-like of shape (N,)
        True labels 0 .. K-1.
    matrix : array-like of shape (K, K)
        C[k, j] = P(given j | true k); rows sum to one.
    seed : int
        0 .. 2**64 - 1.
    exact_counts : bool
        False: every label is drawn by itself. True: the n_k rows of class k get exactly
        n_k C[k, :] rounded to integers by largest remainder (remainders equal to within 2**-20
        are ties, which the lowest class wins), and only their placing is random.

    Raises
    ------
    InvalidLabels
        If a label is outside the matrix.
    InvalidSetting
        If the matrix is not square, finite, nonnegative with rows summing to one (the row and
        its sum are named), or the seed is out of range.
    """
    checked = check_corruption_matrix(matrix)
    key = check_integer("seed", seed, 0, MAX_SEED)
    # A copy, because the result outlives the caller's array.
    true = check_labels(labels, n_classes=len(checked)).copy()
    words = stream(key, _CORRUPTION_STREAM).random_raw(len(true))
    given = np.empty_like(true)
    draw = _apportioned if exact_counts else _drawn
    for k in np.unique(true):
        rows = np.flatnonzero(true == k)
        given[rows] = draw(words[rows], checked[k])
    for array in (given, true, checked):
        array.flags.writeable = False
    rate = float(np.mean(given != true))
    return CorruptedLabels(given, checked, key, rate, true, bool(exact_counts))


OBSERVED = "observed"
"""What results call the noise of ``observed_labels``, where others name its kind."""


def observed_labels(given: object, truth: object, n_classes: int) -> CorruptedLabels:
    """Labels that somebody gave, beside the true ones: noise that was seen, and not planted.

    Parameters
    ----------
    given, truth : array-like of shape (N,)
        Labels 0 .. K-1 of the same rows.
    n_classes : int
        K.

    Returns
    -------
    CorruptedLabels
        Its matrix has the share of each given label (column) among the rows of each true class
        (row); a class without a true row has 1 on the diagonal.

    Raises
    ------
    InvalidLabels
        If the two differ in length, or a label is outside 0 .. K-1.
    InvalidSetting
        If `n_classes` is not an integer of at least 2.
    """
    k = check_integer("n_classes", n_classes, 2)
    true = check_labels(truth, n_classes=k, name="truth").copy()
    labels = check_labels(given, n_classes=k, name="given").copy()
    if len(labels) != len(true):
        raise InvalidLabels(
            f"given and truth must be labels of the same rows, got {len(labels)} and {len(true)}; "
            "pass one of each a row"
        )
    counts = np.bincount(true * k + labels, minlength=k * k).reshape(k, k).astype(np.float64)
    rows = counts.sum(axis=1, keepdims=True)
    matrix = np.where(rows > 0.0, counts / np.maximum(rows, 1.0), np.eye(k))
    for array in (labels, true, matrix):
        array.flags.writeable = False
    return CorruptedLabels(labels, matrix, None, float(np.mean(labels != true)), true)
