"""Superclasses: classes clustered by their mean cosines.

The paper clusters classes by d(k, l) = 1 − mean cosine of their rows, with complete linkage, and
cuts the tree at a share of its largest merge (arXiv 2402.10482, experiments with superclass
noise). How the tree is built decides the answer, so it has a name: ``condensed`` clusters by these
distances, ``authors`` is the call in the published code.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.numerics.rounding import UNIT_ROUNDOFF

__all__ = ["METHODS", "Superclasses", "adjusted_rand_index", "closest_pairs", "find_superclasses"]

METHODS = {"condensed": 0.8, "authors": 0.9}
"""Ways to build the tree, and where each cuts it by default, as a share of the largest merge."""


@dataclass(frozen=True, eq=False)
class Superclasses:
    """Classes grouped by the correlations of their features.

    Attributes
    ----------
    labels : (K,) int64
        Superclass of each class, 0 … S − 1 in the order of their first classes.
    linkage : (K − 1, 4) float64
        The tree in SciPy's form: two clusters, the height of their merge, classes below it.
    order : (K,) int64
        Classes in the order of the tree's leaves; a superclass is a run of neighbours in it.
    threshold : float
        Height of the cut, in the units of ``linkage``: 1 − cosine for ``condensed``, Euclidean
        distance of rows of the matrix of these for ``authors``.
    method : str
        ``condensed`` or ``authors``.
    """

    labels: npt.NDArray[np.int64]
    linkage: npt.NDArray[np.float64]
    order: npt.NDArray[np.int64]
    threshold: float
    method: str

    @property
    def count(self) -> int:
        """S, the number of superclasses."""
        return int(self.labels.max()) + 1

    def members(self) -> list[list[int]]:
        """Classes of each superclass, ascending."""
        return [np.flatnonzero(self.labels == s).tolist() for s in range(self.count)]


def find_superclasses(
    matrix: npt.ArrayLike, *, method: str = "condensed", cut: float | None = None
) -> Superclasses:
    """Group classes by complete linkage on d(k, l) = 1 − matrix[k, l].

    Parameters
    ----------
    matrix : (K, K)
        Mean cosine of each pair of classes, ``class_correlations(features).matrix``, of centred
        features. The diagonal is not used.
    method
        ``condensed``: the distance of two clusters is the largest d(k, l) between them.
        ``authors``: the published call, which hands SciPy's ``linkage`` the square matrix of d
        (zero diagonal). SciPy then takes its rows for points and clusters by Euclidean distances
        between *rows*, so two classes are near when they are alike in their distances to all the
        others.
    cut : float in (0, 1]
        Height of the cut as a share of the largest merge; default 0.8 for ``condensed``, 0.9 for
        ``authors``. A group stays together if all of its merges are at most that high.

    Returns
    -------
    Superclasses
        Permuting the classes permutes it; only among exactly equal distances the order of the
        classes decides.

    Raises
    ------
    InvalidSetting
        If the matrix is no symmetric one of finite cosines (to half of float64's digits) of two
        classes or more, or if ``method`` or ``cut`` is not one of the above.

    Notes
    -----
    Source: arXiv 2402.10482 for the distance, the linkage and the cut at 0.8; ``authors`` and its
    0.9 are read off the published code. With cut q, ``condensed`` finds the superclasses of a
    block model (c, d, e) with e < d iff 1 − d ≤ q (1 − e) and q < 1 (derived: its tree has merges
    at 1 − d and 1 − e only).
    """
    if method not in METHODS:
        raise InvalidSetting(
            f"method must be one of {', '.join(METHODS)}, got {method!r}; choose one of them"
        )
    share = validation.check_positive("cut", METHODS[method] if cut is None else cut)
    if share > 1.0:
        raise InvalidSetting(
            f"cut must be at most 1, got {share:g}; it is a share of the largest merge height"
        )
    correlations = _checked(matrix)
    k = len(correlations)
    # A mean of cosines can exceed 1 by its rounding, and a distance cannot be negative.
    pairs = np.maximum(1.0 - correlations[np.triu_indices(k, 1)], 0.0)
    if method == "condensed":
        tree = scipy.cluster.hierarchy.linkage(pairs, "complete")
    else:
        square = np.zeros((k, k))
        square[np.triu_indices(k, 1)] = pairs
        square += square.T
        with warnings.catch_warnings():
            # SciPy sees that distances came where points belong: that is the published call.
            warnings.simplefilter("ignore", scipy.cluster.hierarchy.ClusterWarning)
            tree = scipy.cluster.hierarchy.linkage(square, "complete")
    threshold = share * float(tree[-1, 2])
    raw = scipy.cluster.hierarchy.fcluster(tree, threshold, "distance")
    first, index = np.unique(raw, return_index=True, return_inverse=True)[1:]
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    order = scipy.cluster.hierarchy.leaves_list(tree).astype(np.int64)
    return Superclasses(rank[index], tree, order, threshold, method)


def closest_pairs(matrix: npt.ArrayLike, count: int) -> list[tuple[int, int, float]]:
    """The ``count`` pairs of classes with the largest correlations.

    Returns
    -------
    list of (k, l, correlation)
        k < l, largest correlation first, equal ones in the order of (k, l); all pairs if there are
        fewer than ``count``.

    Raises
    ------
    InvalidSetting
        As ``find_superclasses``, or if ``count`` is below 1.
    """
    count = validation.check_integer("count", count, 1)
    correlations = _checked(matrix)
    rows, columns = np.triu_indices(len(correlations), 1)
    values = correlations[rows, columns]
    best = np.argsort(-values, kind="stable")[:count]
    return [(int(rows[i]), int(columns[i]), float(values[i])) for i in best]


def adjusted_rand_index(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """How far two groupings (K,) of the same things agree: 1 if equal, about 0 if unrelated.

    (agreement − its mean over relabelled groupings)/(its maximum − that mean), agreement being the
    number of pairs that are together in both; negative where the groupings agree less than chance.
    Counts are exact, so the only rounding is that of one quotient. Source: Hubert and Arabie,
    "Comparing partitions", Journal of Classification 2 (1985).

    Raises
    ------
    InvalidLabels
        If the groupings differ in length, or are not whole numbers from 0.
    """
    left = validation.check_labels(a, name="a")
    right = validation.check_labels(b, n_samples=len(left), name="b")

    def together(groups: np.ndarray) -> int:
        return sum(math.comb(int(size), 2) for size in np.unique(groups, return_counts=True)[1])

    # Numbered anew, so that no pair of group numbers can overflow.
    left, right = (np.unique(groups, return_inverse=True)[1] for groups in (left, right))
    both = together(left * len(right) + right)
    in_a, in_b, pairs = together(left), together(right), math.comb(len(left), 2)
    # All terms times 2·pairs: integers, and Python's are exact.
    chance = 2 * in_a * in_b
    most = pairs * (in_a + in_b)
    if most == chance:  # both put everything in one group, or everything apart: they are equal
        return 1.0
    return (2 * pairs * both - chance) / (most - chance)


def _checked(matrix: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The correlations as float64, or what is wrong with them."""
    given = validation.as_array(matrix, "matrix", InvalidSetting)
    square = given.ndim == 2 and given.shape[0] == given.shape[1] and len(given) >= 2
    if not square or given.dtype.kind not in "fiu":
        raise InvalidSetting(
            "matrix must be square with at least two classes, and hold real numbers, got shape "
            f"{given.shape} and dtype {given.dtype}; pass class_correlations(features).matrix"
        )
    correlations = given.astype(np.float64)
    off = ~np.eye(len(correlations), dtype=bool)
    bad = off & ~np.isfinite(correlations)
    if bad.any():
        # A class without rows has no finite entry: of two classes, the one with fewer.
        worst = int(np.argmax(bad.sum(axis=1)))
        other = int(np.argmax(bad[worst]))
        raise InvalidSetting(
            f"matrix must be finite off its diagonal, got {correlations[worst, other]} for class "
            f"{worst} (with class {other}); leave out classes without training rows"
        )
    skew = float(np.abs(correlations - correlations.T)[off].max())
    largest = float(np.abs(correlations[off]).max())
    # Half of float64's digits: what means of cosines computed in any order and way agree to.
    half = math.sqrt(2.0 * UNIT_ROUNDOFF)
    if skew > half * max(largest, 1.0) or largest > 1.0 + half:
        raise InvalidSetting(
            f"matrix must be symmetric and hold mean cosines, got entries up to {largest:.6g} and "
            f"an asymmetry of {skew:.1e}; pass class_correlations(features).matrix"
        )
    return correlations
