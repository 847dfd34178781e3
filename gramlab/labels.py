"""Label noise: corruption matrices and the labels drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidSetting
from gramlab.numerics.streams import MAX_SEED, stream, uniforms
from gramlab.validation import (
    as_array,
    check_integer,
    check_labels,
    check_rate,
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

    With rate r every kind has 1 - r on the diagonal, and off it:

    ========== =======================================================================
    symmetric  r / (K - 1) on every other class
    asymmetric 2 r / K on class k + 1 mod K, r / K on the rest
    superclass r / (m - 1) on the other classes of the superclass of k, of m classes;
               a class that is alone in its superclass has nobody to be confused with
               and keeps its labels clean
    pair-flip  r on class k + 1 mod K
    ========== =======================================================================

    The diagonal is one minus the sum of the rest, so that rows sum to one up to rounding.

    Source: noise models of arXiv 2402.10482 (kinds 1 to 3, as in its authors' code); pair flip as
    in Han et al., "Co-teaching", NeurIPS 2018.

    Parameters
    ----------
    kind : {"symmetric", "asymmetric", "superclass", "pair-flip"}
        Kind of noise.
    n_classes : int
        K, at least 2.
    rate : float
        r, a share in [0, 1).
    superclasses : sequence of int of length K, optional
        Superclass of each class; needed by "superclass", ignored by the others.

    Returns
    -------
    np.ndarray of shape (K, K), float64
        Rows sum to one.

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
    classes = np.arange(size)
    following = (classes + 1) % size
    if kind == "symmetric":
        matrix = np.full((size, size), share / (size - 1))
    elif kind == "asymmetric":
        matrix = np.full((size, size), share / size)
        # With two classes the formula is the same: r on the one other class.
        matrix[classes, following] = 2.0 * share / size
    elif kind == "pair-flip":
        matrix = np.zeros((size, size))
        matrix[classes, following] = share
    else:
        if superclasses is None:
            raise InvalidSetting(
                "superclasses must be given for superclass noise, got None; pass the superclass "
                "number of each class"
            )
        groups = check_labels(superclasses, size, name="superclasses")
        same = groups[:, None] == groups[None, :]
        others = same.sum(axis=1) - 1
        if share > 0.0 and not others.any():
            raise InvalidSetting(
                "superclasses must have one with two or more classes, got only single classes, so "
                "no label could change; merge classes or choose another kind"
            )
        matrix = np.where(same, (share / np.maximum(others, 1))[:, None], 0.0)
    matrix[classes, classes] = 0.0
    # At rates next to 1 the sum can round to just above 1.
    matrix[classes, classes] = np.maximum(0.0, 1.0 - matrix.sum(axis=1))
    return matrix


@dataclass(frozen=True, eq=False)
class CorruptedLabels:
    """Noisy labels together with what made them.

    Attributes
    ----------
    labels : np.ndarray of shape (N,), int64
        Given labels, read-only.
    matrix : np.ndarray of shape (K, K)
        Corruption matrix C, read-only.
    seed : int
        Seed of the draw.
    realized_rate : float
        Share of labels that differ from the true ones.
    true_labels : np.ndarray of shape (N,), int64
        Labels before the noise, read-only.
    exact_counts : bool
        Whether counts were fixed (True) or every label was drawn by itself (False).
    """

    labels: npt.NDArray[np.int64]
    matrix: npt.NDArray[np.float64]
    seed: int
    realized_rate: float
    true_labels: npt.NDArray[np.int64]
    exact_counts: bool = False

    @property
    def flipped(self) -> npt.NDArray[np.bool_]:
        """Rows whose given label is wrong, shape (N,)."""
        return self.labels != self.true_labels

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows by true label (row) and given label (column), shape (K, K)."""
        size = self.matrix.shape[0]
        flat = np.bincount(self.true_labels * size + self.labels, minlength=size * size)
        return flat.reshape(size, size).astype(np.int64)


def _check_matrix(matrix: object) -> npt.NDArray[np.float64]:
    """Return a corruption matrix as float64, or name what is wrong with it."""
    array = as_array(matrix, "matrix", InvalidSetting)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 1:
        raise InvalidSetting(
            f"matrix must be square (classes x classes), got shape {array.shape}; "
            "build it with corruption_matrix"
        )
    if array.dtype.kind not in "fiub":
        raise InvalidSetting(
            f"matrix must hold real numbers, got dtype {array.dtype}; convert it to float64"
        )
    result = array.astype(np.float64)
    bad = ~(np.isfinite(result) & (result >= 0.0))
    if bad.any():
        row, column = (int(index) for index in np.argwhere(bad)[0])
        raise InvalidSetting(
            f"matrix must be finite and nonnegative, got {result[row, column]!s} at row {row}, "
            f"column {column}; build it with corruption_matrix"
        )
    sums = result.sum(axis=1)
    size = result.shape[0]
    # Entries near 1/K carry relative rounding eps each, and so does each of K additions.
    off = np.abs(sums - 1.0) > 2.0 * size * float(np.finfo(np.float64).eps)
    if off.any():
        row = int(np.argmax(off))
        raise InvalidSetting(
            f"matrix must have rows that sum to 1, got sum {float(sums[row])!r} at row {row}; "
            "rows are true labels, columns given labels: divide each row by its sum, in float64"
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
    # Remainders are compared in units well above the rounding of n * C for any n that fits in
    # memory, far below any difference that matters.
    unit = 2.0**-20
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

    Returns
    -------
    CorruptedLabels

    Raises
    ------
    InvalidLabels
        If a label is outside the matrix.
    InvalidSetting
        If the matrix is not square, finite, nonnegative with rows summing to one (the row and
        its sum are named), or the seed is out of range.
    """
    checked = _check_matrix(matrix)
    key = check_integer("seed", seed, 0, MAX_SEED)
    size = checked.shape[0]
    # A copy, because the result outlives the caller's array.
    true = check_labels(labels, n_classes=size).copy()
    words = stream(key, _CORRUPTION_STREAM).random_raw(true.shape[0])
    given = np.empty_like(true)
    draw = _apportioned if exact_counts else _drawn
    # One sort finds the rows of every class, where a scan per class would cost N * K.
    order = np.argsort(true, kind="stable")
    ends = np.cumsum(np.bincount(true, minlength=size))
    for k in np.unique(true):
        rows = order[ends[k - 1] if k else 0 : ends[k]]
        given[rows] = draw(words[rows], checked[k])
    for array in (given, true, checked):
        array.flags.writeable = False
    return CorruptedLabels(
        labels=given,
        matrix=checked,
        seed=key,
        realized_rate=float(np.mean(given != true)),
        true_labels=true,
        exact_counts=bool(exact_counts),
    )
