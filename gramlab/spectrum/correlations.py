"""Correlations of features: how alike rows of two classes are, and where eigenvectors point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gramlab import validation
from gramlab.errors import InvalidFeatures, InvalidLabels
from gramlab.features import Features
from gramlab.machine import memory
from gramlab.numerics.rounding import row_norms
from gramlab.numerics.text import short_repr
from gramlab.spectrum import Spectrum

__all__ = [
    "ClassCorrelations",
    "class_correlations",
    "class_products",
    "class_subspace_angles",
    "given_labels",
]


@dataclass(frozen=True)
class ClassCorrelations:
    """Cosines between training rows, by class and superclass.

    Attributes
    ----------
    matrix : (K, K)
        Mean cosine of each pair of classes; the diagonal leaves out i = j. NaN where a class has
        too few rows.
    within, superclass, between : (mean, standard deviation)
        c, d, e of the block model over all pairs of rows i ≠ j: same class, same superclass but
        another class (``None`` without superclasses), anything else.
    """

    matrix: np.ndarray
    within: tuple[float, float]
    superclass: tuple[float, float] | None
    between: tuple[float, float]

    def __repr__(self) -> str:
        return short_repr(self)


def class_correlations(features: Features, labels: np.ndarray | None = None) -> ClassCorrelations:
    """Measure c, d, e with their spread, streamed: sums and sums of squares of cosines by group.

    Σ_{i,j∈A} cos² = ‖X_AᵀX_A‖_F² for unit rows X_A, taken on the smaller side, so no N×N array.

    Rows are divided by their norms here; centre them first (``features.centered()``) for the
    paper's correlations. A constant column (``features.with_constant()``) is left out: what all
    rows share tells no classes apart, and the block model's rows have none. Classes are those of
    ``labels`` (N,), by default the features' own.
    """
    labels = given_labels(features, labels)
    features = features.without_constant()
    sums, pairs, self_pairs = class_products(features, labels, unit=True)
    matrix = np.divide(sums, pairs, out=np.full(sums.shape, np.nan), where=pairs > 0)

    def spread(where: np.ndarray, square_sum: float) -> tuple[float, float]:
        """Mean and standard deviation of the cosines of some pairs of classes."""
        if (count := float(pairs[where].sum())) == 0:
            return math.nan, math.nan
        mean = float(sums[where].sum()) / count
        return mean, math.sqrt(max(square_sum / count - mean**2, 0.0))

    def squares_inside(groups: np.ndarray) -> float:
        return sum(_square_sum(features, np.flatnonzero(groups == g)) for g in np.unique(groups))

    near = same = np.eye(len(sums), dtype=bool)
    squares_near = squares = squares_inside(labels)
    within, superclass = spread(same, squares - float(self_pairs.sum())), None
    if (groups := features.superclasses) is not None:
        near, squares_near = groups[:, None] == groups, squares_inside(groups[labels])
        superclass = spread(near & ~same, squares_near - squares)
    between = spread(~near, _square_sum(features) - squares_near)
    return ClassCorrelations(matrix, within, superclass, between)


def given_labels(features: Features, labels: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
    """``labels`` (N,), checked; without any the features' own."""
    if labels is None:
        return features.labels
    return validation.check_labels(labels, features.n_samples, features.n_classes)


def class_products(
    features: Features, labels: np.ndarray, *, unit: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inner products of rows, summed by pairs of classes, streamed.

    It returns Σ ⟨x_i, x_j⟩ over rows i ≠ j of two classes (K, K), how many such pairs there are
    (K, K), and Σ ‖x_i‖² over the rows of a class (K,); with ``unit``, of rows divided by their
    norms.
    """
    k = features.n_classes
    totals, own = np.zeros((k, features.n_features)), np.zeros(k)
    for rows, block in features.blocks():
        values = _unit_rows(block) if unit else block
        np.add.at(totals, labels[rows], values)
        np.add.at(own, labels[rows], np.einsum("ij,ij->i", values, values))
    sums = totals @ totals.T
    sums[np.diag_indices(k)] -= own
    counts = np.bincount(labels, minlength=k).astype(np.float64)
    pairs = np.outer(counts, counts)
    np.fill_diagonal(pairs, counts * (counts - 1.0))
    return sums, pairs, own


def _square_sum(features: Features, members: np.ndarray | None = None) -> float:
    """Σ cos² over ordered pairs of rows, i = j included: of ``members``, or of all."""
    d = features.n_features
    if members is None and d < features.n_samples:
        gram = np.zeros((d, d))
        for _, block in features.blocks():
            unit = _unit_rows(block)
            gram += unit.T @ unit
    else:
        rows = features.x if members is None else features.x[members]
        unit = _unit_rows(np.asarray(rows, dtype=np.float64))
        gram = unit.T @ unit if d < len(unit) else unit @ unit.T
    return float(np.vdot(gram, gram))


def _unit_rows(block: np.ndarray) -> np.ndarray:
    norms = row_norms(block)[:, None]
    return np.divide(block, norms, out=np.zeros_like(block), where=norms > 0)


def class_subspace_angles(
    features: Features, labels: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """Principal angles between the top-K eigenspace of G = XXᵀ and the class indicators.

    All are 0 exactly where the filter h(G) acts on labels as it does in a block model: class means
    are then combinations of the first K eigenvectors. G is that of the rows as they are, a
    constant column included, the classes are those of ``labels`` (N,), by default the features'
    own.

    Angles (K,) are in radians, ascending (``Spectrum.class_angles``); the eigenspace itself is
    known to the sine 2 ``eigenvalue_error``/gap(K) (Davis and Kahan). Features centred without
    being normalized afterwards are orthogonal to the all-ones vector, which is in the span of the
    indicators: the last angle is then π/2, whatever the features.

    Raises
    ------
    InvalidLabels
        If a class has no row, so that it has no direction; it is named.
    InvalidFeatures
        If the first K eigenvectors are not determined: s_K is not certified above s_{K+1}, or, with
        N = K, above 0.
    NotEnoughMemory
        If the (N, K) arrays would not fit.
    """
    n, k = features.n_samples, features.n_classes
    labels = given_labels(features, labels)
    counts = np.bincount(labels, minlength=k)
    missing = np.flatnonzero(counts == 0)
    if missing.size:
        raise InvalidLabels(
            f"every class must have a row, got none of class {int(missing[0])} "
            f"({features.class_names[int(missing[0])]!r}); leave out classes without rows"
        )
    memory.check_memory(4 * 8 * n * k, f"the angles of {k} class directions", "use fewer rows")
    spectrum = Spectrum.of(features)
    error = spectrum.certificate.eigenvalue_error
    last, after = spectrum.eigenvalue(k), spectrum.eigenvalue(k + 1) if k < n else 0.0
    if last - after <= 2.0 * error:
        raise InvalidFeatures(
            f"the first K = {k} eigenvectors of G must be determined, got s_{k} = {last:.6g} and "
            f"s_{k + 1} = {after:.6g}, each known to {error:.1e}; there must be at least K "
            "features and a gap after the K-th eigenvalue"
        )
    return spectrum.class_angles(labels, k)
