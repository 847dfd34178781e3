"""Copies of rows: which rows are there several times, exactly or nearly.

A row and its copies were labelled once, or see the same features with several labels. Where copies
lie in training and held-out rows both, the heads have seen what they are asked about.

Exact copies have equal numbers. Near copies i and j have, of the rows less their mean, a cosine of
at least 1 - radius: of unit vectors u that is ‖u_i − u_j‖² <= 2 radius. The mean is taken off so
that what all rows share, a constant column say, makes none alike. Projections onto a few orthogonal
directions are no further apart than the rows are, so a tree of projections finds the few pairs to
be looked at, and none is missed. Groups are transitive: copies of copies are copies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gramlab.features.matrix import Features
from gramlab.features.preparation import training_mean
from gramlab.machine.memory import row_blocks
from gramlab.numerics.streams import stream, uniforms
from gramlab.numerics.text import short_repr
from gramlab.validation import check_features, check_rate

__all__ = ["COPY_RADIUS", "Copies", "copies_of", "find_copies"]

Rows = npt.NDArray[np.int64]

COPY_RADIUS = 1e-6
"""By default: vectors in float32 and a quality of JPEG are nearer, different images are not."""

_DIRECTIONS = 8  # to project on; rows that are near in all of them are few
_DIRECTION_STREAM = int.from_bytes(b"copies-1", "big")
_HELD = 1 << 20  # candidate pairs, and entries of their rows, that are held at once


@dataclass(frozen=True, eq=False)
class Copies:
    """Which rows are copies of one another.

    Attributes
    ----------
    group : np.ndarray of shape (N,), int64
        Number 0, 1, … of each row's group, in the order of their first rows; a row without copies
        is a group of its own.
    exact : int
        Rows that equal another row.
    near : int
        Rows that are near copies of others, directly or by way of copies, and equal none.
    """

    group: Rows
    exact: int
    near: int

    def __repr__(self) -> str:
        return short_repr(self)

    @cached_property
    def sizes(self) -> Rows:
        """Number of rows in each row's group, itself included, shape (N,)."""
        return np.bincount(self.group)[self.group]

    @property
    def groups(self) -> int:
        """Number of groups of two rows or more."""
        return int((np.bincount(self.group) > 1).sum())

    def labelled_once(self, labels: Rows) -> Rows:
        """First row of those that were labelled together with each row, shape (N,).

        Copies whose labels (N,) all agree were labelled once; every other row for itself.
        """
        every = np.arange(len(self.group))
        first = np.unique(self.group, return_index=True)[1][self.group]
        differ = np.bincount(self.group, labels != labels[first]) > 0
        return np.where(differ[self.group], every, first)

    def format_copies(self, groups: Rows | None = None) -> str:
        """How many rows are copies, in a sentence; empty where there are none.

        ``groups`` (N,) are numbers 0, 1, … of groups that were held out together in their place.
        """
        sentences = []
        if self.groups:
            near = f" ({self.near} of them nearly)" if self.near else ""
            count = self.exact + self.near
            sentences.append(f"{count} rows are copies of others{near}, in {self.groups} groups.")
        if groups is not None:
            sentences.append(f"Rows were held out by {int(groups.max()) + 1} groups of your own.")
        return " ".join(sentences)

    def as_dict(self) -> dict[str, int]:
        """How many rows are exact and near copies, in how many groups."""
        return {"exact": self.exact, "near": self.near, "groups": self.groups}


def copies_of(features: Features, radius: float = COPY_RADIUS) -> Copies:
    """:func:`find_copies` among the training rows of features, found once and kept with them."""
    return features.derived(_copies, check_rate("copy_radius", radius))


def _copies(features: Features, radius: float) -> Copies:
    return find_copies(features.x, radius)


def find_copies(x: np.ndarray, radius: float = COPY_RADIUS) -> Copies:
    """Find copies among rows x (N, d).

    Rows that equal the mean have no direction: only rows that equal them are their copies.

    Parameters
    ----------
    x : np.ndarray of shape (N, d)
        Rows; a mapped array is read in blocks.
    radius : float
        Cosine distance, in [0, 1), at which rows less their mean are still copies; 0 finds exact
        copies alone.

    Raises
    ------
    InvalidFeatures
        If x is no finite matrix.
    InvalidSetting
        If the radius is out of range.
    """
    x, radius = check_features(x), check_rate("copy_radius", radius)
    digests: dict[bytes, int] = {}
    same = np.empty(len(x), dtype=np.int64)  # the first row with equal numbers
    for part, block in row_blocks(x, dtype=np.float64):
        for row, values in enumerate(block + 0.0, part.start):  # -0 equals 0
            digest = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
            same[row] = digests.setdefault(digest, row)
    different = np.fromiter(digests.values(), np.int64, len(digests))
    group = np.arange(len(x))
    if radius > 0.0:
        group[different] = different[_near(x, different, radius)]
    _, first, numbers = np.unique(group[same], return_index=True, return_inverse=True)
    found = np.argsort(np.argsort(first))[numbers]
    equal = np.bincount(same, minlength=len(x))[same] > 1
    near = (np.bincount(found)[found] > 1) & ~equal
    found.setflags(write=False)
    return Copies(found, int(equal.sum()), int(near.sum()))


def _near(x: np.ndarray, rows: Rows, radius: float) -> Rows:
    """Of different ``rows`` of x, one member of each one's group, by its place among them."""
    from scipy.sparse import coo_array  # loaded where needed: they take long to import
    from scipy.sparse.csgraph import connected_components

    # Scaled, so that no square leaves the range of float64.
    largest = max(np.abs(block).max() for _, block in row_blocks(x, dtype=np.float64)) or 1.0

    def scaled() -> Iterator[tuple[slice, np.ndarray]]:
        for part, block in row_blocks(x, dtype=np.float64):
            yield part, block / largest

    mean, width = training_mean(scaled, x.shape), x.shape[1]
    step = max(1, _HELD // width)
    norms, points = np.empty(len(rows)), np.empty((len(rows), min(_DIRECTIONS, width)))
    drawn = uniforms(stream(0, _DIRECTION_STREAM).random_raw(width * points.shape[1]))
    directions = np.linalg.qr(drawn.reshape(width, -1) - 0.5)[0]
    for start in range(0, len(rows), step):
        block = x[rows[start : start + step]].astype(np.float64) / largest - mean
        norms[start : start + step] = np.linalg.norm(block, axis=1)
        points[start : start + step] = block @ directions
    rounding = width * np.finfo(np.float64).eps
    some = np.flatnonzero(norms > rounding * (np.linalg.norm(mean) + norms.max()))
    rows, norms = rows[some], norms[some]
    of, distance = np.arange(len(some)), float(np.sqrt(2.0 * radius))

    def unit(places: Rows) -> np.ndarray:
        return (x[rows[places]].astype(np.float64) / largest - mean) / norms[places, None]

    for first, second in _candidates(points[some] / norms[:, None], distance + rounding):
        apart = of[first] != of[second]
        first, second = first[apart], second[apart]
        near = np.zeros(len(first), dtype=bool)
        for start in range(0, len(first), step):
            part = slice(start, start + step)
            near[part] = np.linalg.norm(unit(first[part]) - unit(second[part]), axis=1) <= distance
        first, second = first[near], second[near]
        edges = coo_array((np.ones(len(first)), (of[first], of[second])), shape=(len(of), len(of)))
        of = connected_components(edges, directed=False)[1][of]
    member = np.empty(len(of), dtype=np.int64)
    member[of[::-1]] = some[::-1]  # the first one of each group is written last
    found = np.arange(len(points))
    found[some] = member[of]
    return found


def _candidates(points: np.ndarray, distance: float) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of points (n, p) within a distance, some millions at a time."""
    if not len(points):
        return
    from scipy.spatial import KDTree

    tree = KDTree(points)
    counts = tree.query_ball_point(points, distance, return_length=True)
    several = np.flatnonzero(counts > 1)
    parts = np.cumsum(counts[several]) // _HELD
    for part in np.unique(parts):
        rows = several[parts == part]
        of = KDTree(points[rows])
        found = of.sparse_distance_matrix(tree, distance, output_type="ndarray")
        first, second = rows[found["i"]], found["j"].astype(np.int64)
        once = first < second
        yield first[once], second[once]
