"""Targets: one-hot rows, partial labels and mixtures; rows on the simplex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidSetting, InvalidTargets
from gramlab.memory import aligned
from gramlab.rounding import UNIT_ROUNDOFF, gamma, norm_bound
from gramlab.streams import MAX_SEED, stream
from gramlab.validation import (
    as_array,
    check_finite,
    check_integer,
    check_labels,
    check_targets,
)

# Second half of the Philox key: one stream per purpose, so that one seed can serve several.
_PARTIAL_STREAM = int.from_bytes(b"partial1", "big")
_BLOCK_ELEMENTS = 1 << 22


def one_hot(labels: object, n_classes: int) -> npt.NDArray[np.float64]:
    """Turn labels into target rows.

    Parameters
    ----------
    labels : array-like of shape (N,)
        Labels 0 .. K-1.
    n_classes : int
        K.

    Returns
    -------
    np.ndarray of shape (N, K), float64
        1 in the column of the label, 0 elsewhere.

    Raises
    ------
    InvalidLabels
        If a label is outside the range.
    InvalidSetting
        If `n_classes` is not a positive integer.
    """
    size = check_integer("n_classes", n_classes, 1)
    checked = check_labels(labels, n_classes=size)
    targets = np.zeros((checked.shape[0], size))
    targets[np.arange(checked.shape[0]), checked] = 1.0
    return targets


class OneHotRows:
    """One-hot targets as deviations T − 1/K (N, K), made row block by row block from the labels.

    Equal to ``one_hot(labels, n_classes) - 1 / n_classes`` bit for bit, in 8 bytes per row.

    Parameters
    ----------
    labels : array-like of shape (N,)
        Labels 0 .. K-1.
    n_classes : int
        K, at least 2.

    Attributes
    ----------
    labels : np.ndarray of shape (N,), int64
    shape : tuple of int
        (N, K).

    Raises
    ------
    InvalidLabels
        If a label is outside the range.
    InvalidSetting
        If `n_classes` is not an integer of at least 2.
    """

    labels: npt.NDArray[np.int64]
    shape: tuple[int, int]

    def __init__(self, labels: object, n_classes: int) -> None:
        size = check_integer("n_classes", n_classes, 2)
        self.labels = check_labels(labels, n_classes=size)
        self.shape = (self.labels.shape[0], size)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float64]:
        """Deviations (n, K) of a slice of rows, a new array."""
        if not isinstance(rows, slice):
            raise TypeError(f"rows must be a slice, got {type(rows).__name__}")
        chosen = self.labels[rows]
        size = self.shape[1]
        deviations = np.full((len(chosen), size), -1.0 / size)
        deviations[np.arange(len(chosen)), chosen] = 1.0 - 1.0 / size
        return deviations

    def __repr__(self) -> str:
        return f"OneHotRows({self.shape[0]} rows, {self.shape[1]} classes)"


def labels_of(deviations: npt.NDArray[np.float64]) -> npt.NDArray[np.int64] | None:
    """Labels (N,) of which these are the one-hot rows T − 1/K (N, K); None where they are soft."""
    n, k = deviations.shape
    if np.count_nonzero(deviations == -1.0 / k) != n * (k - 1):
        return None
    labels = deviations.argmax(axis=1)
    right = deviations[np.arange(n), labels] == 1.0 - 1.0 / k
    return labels if right.all() else None


def partial_labels(
    probabilities: object,
    k: int = 2,
    *,
    seed: int,
    tie_tolerance: float = 64 * float(np.finfo(np.float64).eps),
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

    Returns
    -------
    np.ndarray of shape (N, K), float64

    Raises
    ------
    InvalidTargets
        If a row is not finite or does not sum to one.
    InvalidSetting
        If `k`, `seed` or `tie_tolerance` is out of range.
    """
    array = as_array(probabilities, "probabilities", InvalidTargets)
    values = check_targets(
        array, array.shape[0] if array.ndim else 0, signed=True, name="probabilities"
    )
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
    step = max(1, _BLOCK_ELEMENTS // n_classes)
    # Blocks continue one stream, so their size does not show in the result.
    for start in range(0, n_samples, step):
        block = values[start : start + step]
        words = words_of.random_raw(block.size).reshape(block.shape)
        threshold = np.partition(block, n_classes - chosen, axis=1)[:, n_classes - chosen, None]
        level = (block >= threshold - tolerance).astype(np.uint64)
        level += block > threshold + tolerance
        # The level fills the two top bits, so it decides before the random key does.
        order = (level << np.uint64(62)) | (words >> np.uint64(2))
        winners = np.argpartition(order, n_classes - chosen, axis=1)[:, n_classes - chosen :]
        np.put_along_axis(targets[start : start + step], winners, 1.0 / chosen, axis=1)
    return targets


def mix_targets(first: object, second: object, weight: float) -> npt.NDArray[np.float64]:
    """Mix two targets: weight * first + (1 - weight) * second.

    Parameters
    ----------
    first, second : array-like of shape (N, K)
        Rows sum to one; negative entries are accepted.
    weight : float
        Any finite number; outside [0, 1] the result can have negative entries.

    Returns
    -------
    np.ndarray of shape (N, K), float64
        Rows sum to one.

    Raises
    ------
    InvalidTargets
        If the shapes differ or a row does not sum to one.
    InvalidSetting
        If `weight` is not a finite number.
    """
    array = as_array(first, "first", InvalidTargets)
    a = check_targets(array, array.shape[0] if array.ndim else 0, signed=True, name="first")
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

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        """T = 1/K + deviations."""
        values = self.deviations + 1.0 / self.deviations.shape[1]
        values[(values < 0.0) & (values >= -4.0 * UNIT_ROUNDOFF)] = 0.0
        return values if dtype is None else values.astype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, K)."""
        return self.deviations.shape


def target_rows(
    targets: Targets | OneHotRows | np.ndarray,
    n_samples: int,
    *,
    signed: bool = False,
) -> np.ndarray | OneHotRows:
    """T − 1/K (N, K), checked and made exact; ``OneHotRows`` stay what they are.

    ``signed`` lets entries of T leave [0, 1]. Rows that miss the sum 1 by the rounding of what they
    came in are divided by it here, for every head alike (``check_targets``).

    Raises
    ------
    InvalidTargets
        If they are no such rows.
    """
    if isinstance(targets, OneHotRows):
        check_labels(targets.labels, n_samples=n_samples)
        return targets
    if isinstance(targets, Targets):
        checked = check_targets(targets.deviations, n_samples, signed=signed, deviations=True)
    else:
        checked = check_targets(targets, n_samples, signed=signed)
    if checked.shape[1] < 2:
        raise InvalidTargets(
            f"targets must have at least 2 classes (columns), got {checked.shape[1]}: pass one "
            "column per class (gramlab.one_hot turns labels into rows)"
        )
    if isinstance(targets, Targets):
        return checked
    return np.subtract(checked, 1.0 / checked.shape[1], out=aligned(checked.shape, float))


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
