"""Superclasses: classes clustered by their mean cosines.

The paper clusters classes by d(k, l) = 1 − mean cosine of their rows, with complete linkage, and
cuts the tree at a share of its largest merge (arXiv 2402.10482, experiments with superclass
noise). How the tree is built decides the answer, so it has a name: ``condensed`` clusters by these
distances, ``authors`` is the call in the published code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.cluster import hierarchy
from scipy.spatial import distance

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.numerics.rounding import UNIT_ROUNDOFF
from gramlab.numerics.text import short_repr

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
    threshold, method
        Height of the cut, in the units of ``linkage``, and a name of ``METHODS``.
    """

    labels: npt.NDArray[np.int64]
    linkage: npt.NDArray[np.float64]
    order: npt.NDArray[np.int64]
    threshold: float
    method: str

    def __repr__(self) -> str:
        return short_repr(self)

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
        ``authors``: the published call, which hands SciPy's ``linkage`` the square matrix of d.
        SciPy then clusters by Euclidean distances between its *rows*, so two classes are near when
        they are alike in their distances to all the others.
    cut : float in (0, 1]
        Height of the cut as a share of the largest merge; default 0.8 for ``condensed``, 0.9 for
        ``authors``. A group stays together if all of its merges are at most that high.

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
    # Points where distances belong: the published call, as SciPy means it.
    points = pairs if method == "condensed" else distance.pdist(distance.squareform(pairs))
    tree = hierarchy.linkage(points, "complete")
    threshold = share * float(tree[-1, 2])
    raw = hierarchy.fcluster(tree, threshold, "distance")
    first, index = np.unique(raw, return_index=True, return_inverse=True)[1:]
    order = hierarchy.leaves_list(tree).astype(np.int64)
    return Superclasses(np.argsort(np.argsort(first))[index], tree, order, threshold, method)


def closest_pairs(matrix: npt.ArrayLike, count: int) -> list[tuple[int, int, float]]:
    """The ``count`` pairs of classes k < l with the largest correlations, as (k, l, correlation).

    The largest comes first, equal ones in the order of (k, l). InvalidSetting is raised as by
    ``find_superclasses``, or if ``count`` is below 1.
    """
    count = validation.check_integer("count", count, 1)
    correlations = _checked(matrix)
    pairs = np.triu_indices(len(correlations), 1)
    values = correlations[pairs]
    best = np.argsort(-values, kind="stable")[:count]
    return list(zip(*(array[best].tolist() for array in (*pairs, values)), strict=True))


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
        sizes = np.unique(groups, axis=-1, return_counts=True)[1]
        return sum(math.comb(int(size), 2) for size in sizes)

    in_a, in_b, both = map(together, (left, right, np.stack([left, right])))
    pairs = math.comb(len(left), 2)
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
