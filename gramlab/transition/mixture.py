"""The noise model: given labels as a mixture over true classes, fitted by EM and a search.

With β and p_i = softmax(β z_i) fixed, C maximizes

    Σ_i log Σ_y p_i(y) C[y, given_i] + s Σ_yj B[y, j] log C[y, j],

which is concave in C: each row of C is shrunk towards a row of B as if s rows of that class had
been seen there. B = (1 − ε) I + ε 1 wᵀ is scattered noise: a share ε of all labels is drawn anew
from w, whatever the class. With many classes C has more entries than there are rows, and without s
most of them end at zero: a row whose label then is impossible for every class near it cannot be
read. β and s are those that predict best the labels of rows that C was not fitted to.

Source: EM as Dempster, Laird & Rubin (1977), for a mode of the posterior under Dirichlet
distributions; that strength and β are chosen by cross-validated likelihood is ours [D].
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidSetting
from gramlab.heads.referee import softmax

__all__ = [
    "Mixture",
    "expectation_maximization",
    "fit_mixture",
    "given_label_posterior",
    "normalized_rows",
    "scattered_noise",
]

Array = npt.NDArray[np.float64]
Place = tuple[int, int]  # index of β, index of s

_TINY = np.finfo(np.float64).tiny
_SHARPNESS = 2.0 ** np.arange(-1.0, 8.25, 0.5)  # β tried
# s tried, in multiples of the mean number of rows of a class
_STRENGTH = np.concatenate([[0.0], 4.0 ** np.arange(-5.0, 5.5)])
# A search begins at β = 2.8 with s as much as the rows themselves, and with hardly anything but B.
_STARTS = ((5, 6), (5, 10))
_PARTS = 5  # of the rows, each predicted from the others
_EM_SHORT, _EM_LONG = 40, 400  # iterations while β and s are searched, and at the end
_EM_CHANGE = 1e-5  # of the largest entry, at which EM ends
_SMOOTHING = 0.01  # of the start of EM towards uniform


class Mixture(NamedTuple):
    """C, β and s that predict the given labels best, given out-of-fold logits."""

    matrix: Array
    sharpness: float
    shrinkage: float  # s, in rows of each class
    log_likelihood: float  # of the given labels of rows that C was not fitted to
    probabilities: Array  # (N, K), p_i
    offsets: Array  # (K,), b of p_i = softmax(β z_i + b); 0 unless calibrated


def fit_mixture(
    logits: Array,
    given: npt.NDArray[np.int64],
    start: Mixture | None = None,
    *,
    sharpness: float | None = None,
    shrinkage: float | None = None,
    group: npt.NDArray[np.int64] | None = None,
) -> Mixture:
    """C, and β and s by the cross-validated likelihood of the given labels (module docstring).

    Parameters
    ----------
    logits : np.ndarray of shape (N, K)
        z_i, out of fold.
    given : np.ndarray of shape (N,)
        Given labels.
    start : Mixture, optional
        Whose β and s the search begins at.
    sharpness, shrinkage : float, optional
        β and s, if they are not to be searched.
    group : np.ndarray of shape (N,), optional
        Numbers 0, 1, … of groups of rows that are predicted together, such as copies, whose C is
        fitted to other groups; by default each row is its own.
    """
    n, k = logits.shape
    betas = _SHARPNESS if sharpness is None else np.array([sharpness])
    strengths = _STRENGTH * (n / k) if shrinkage is None else np.array([shrinkage])
    group = np.arange(n) if group is None else group
    search = _Search(logits, given, betas, strengths, group)
    places = [(min(b, len(betas) - 1), min(s, len(strengths) - 1)) for b, s in _STARTS]
    if start is not None:
        near = (betas, start.sharpness), (strengths, start.shrinkage)
        b, s = (int(np.abs(values - known).argmin()) for values, known in near)
        places = [(b, s)]
    best = max((search.uphill(place) for place in dict.fromkeys(places)), key=search.value)
    beta, strength, value = float(betas[best[0]]), float(strengths[best[1]]), search.value(best)
    p = softmax(beta * logits)
    start_at = np.mean(search.matrices[best], axis=0)
    matrix = _em(_Sample(p, given), strength, _EM_LONG, start_at)
    return Mixture(matrix, beta, strength, value, p, np.zeros(k))


def expectation_maximization(
    held_out: Array, given: npt.NDArray[np.int64], shrinkage: float, start: Array
) -> Array:
    """C by EM from a start (K, K), of p_i (N, K), given labels (N,) and s."""
    return _em(_Sample(held_out, given), shrinkage, _EM_LONG, start)


class _Search:
    """Cross-validated likelihood at places, each computed once."""

    def __init__(
        self,
        logits: Array,
        given: npt.NDArray[np.int64],
        betas: Array,
        strengths: Array,
        group: npt.NDArray[np.int64],
    ) -> None:
        self.logits, self.given, self.betas, self.strengths = logits, given, betas, strengths
        # Dealt out in turn in the order of labels: parts are even within each label.
        first = np.unique(group, return_index=True)[1]
        part = np.empty(len(first), dtype=np.int64)
        part[np.argsort(given[first], kind="stable")] = np.arange(len(first)) % _PARTS
        self.part = part[group]
        self.values: dict[Place, float] = {}
        self.matrices: dict[Place, list[Array]] = {}  # of each part
        self.split: dict[int, list[tuple[_Sample, _Sample]]] = {}  # by β: the rest and the part

    def uphill(self, at: Place) -> Place:
        """Where the value is highest among neighbours, found in steps from ``at``."""
        while (best := max(_neighbours(at), key=self.value)) and self.value(best) > self.value(at):
            at = best
        return at

    def value(self, place: Place) -> float:
        b, s = place
        if not (0 <= b < len(self.betas) and 0 <= s < len(self.strengths)):
            return -np.inf
        if place not in self.values:
            if b not in self.split:
                # Parts take five times the memory of the logits: those far from here are let go.
                self.split = {at: parts for at, parts in self.split.items() if abs(at - b) == 1}
                p = softmax(self.betas[b] * self.logits)
                self.split[b] = [
                    (_Sample(p[~held], self.given[~held]), _Sample(p[held], self.given[held]))
                    for held in (self.part == one for one in np.unique(self.part))
                ]
            known = next((self.matrices[x] for x in _neighbours(place) if x in self.matrices), None)
            self.matrices[place] = [
                _em(rest, self.strengths[s], _EM_SHORT, None if known is None else known[one])
                for one, (rest, _) in enumerate(self.split[b])
            ]
            pairs = zip(self.matrices[place], self.split[b], strict=True)
            total = sum(held.log_likelihood(matrix) for matrix, (_, held) in pairs)
            self.values[place] = total / len(self.given)
        return self.values[place]


def _neighbours(place: Place) -> list[Place]:
    b, s = place
    return [(b, s + 1), (b, s - 1), (b + 1, s), (b - 1, s)]


class _Sample:
    """Rows p (n, K), grouped by given label: those of one label share a column of C."""

    def __init__(self, p: Array, given: npt.NDArray[np.int64]) -> None:
        self.groups = [(j, p[given == j]) for j in np.unique(given)]
        self.counts = np.bincount(given, minlength=p.shape[1])

    @cached_property
    def base(self) -> Array:
        """B; it does not depend on s."""
        own = np.concatenate([rows[:, j] for j, rows in self.groups])
        return scattered_noise(own, self.counts)

    def log_likelihood(self, matrix: Array) -> float:
        """Σ_i log Σ_y p_i(y) C[y, given_i]."""
        rows = np.concatenate([rows @ matrix[:, j] for j, rows in self.groups])
        return float(np.log(np.maximum(rows, _TINY)).sum())

    def expected_counts(self, matrix: Array) -> Array:
        """Rows of class y given j, expected under C; shape (K, K)."""
        counts = np.zeros_like(matrix)
        for j, rows in self.groups:
            column = matrix[:, j]
            counts[:, j] = column * ((1.0 / np.maximum(rows @ column, _TINY)) @ rows)
        return counts


def scattered_noise(own: Array, counts: npt.NDArray[np.int64]) -> Array:
    """B = (1 − ε) I + ε 1 wᵀ, whose ε and w maximize Σ_i log((1 − ε) p_i(given_i) + ε w_given_i).

    ``own`` are the p_i(given_i) (n,) ordered by given label, ``counts`` (K,) the rows of each. One
    label drawn anew, spread evenly, is added to the others: a label that was never given is rare,
    not impossible.
    """
    k = len(counts)
    label = np.repeat(np.arange(k), counts)
    share, weights = 0.5, (counts + 1.0) / (counts.sum() + k)
    for _ in range(_EM_LONG):
        anew = share * weights[label]
        anew /= np.maximum((1.0 - share) * own + anew, _TINY)
        mass = np.bincount(label, weights=anew, minlength=k) + 1.0 / k
        before, share, weights = share, float(anew.mean()), mass / mass.sum()
        if abs(share - before) < _EM_CHANGE:
            break
    matrix = np.tile(share * weights, (k, 1))
    matrix[np.diag_indices(k)] += 1.0 - share
    return matrix / matrix.sum(axis=1, keepdims=True)


def _em(sample: _Sample, strength: float, most: int, start: Array | None = None) -> Array:
    """EM for C with p fixed; concave, so that where it ends does not depend on its start or B."""
    base = sample.base
    # It cannot leave an exact zero.
    matrix = (1.0 - _SMOOTHING) * (base if start is None else start) + _SMOOTHING / len(base)
    for _ in range(most):
        # A class that no row can be of has no data: its row is that of B.
        new = normalized_rows(sample.expected_counts(matrix) + strength * base, base)
        change = float(np.abs(new - matrix).max())
        matrix = new
        if change < _EM_CHANGE:
            break
    return matrix


def given_label_posterior(
    held_out: Array, matrix: Array, given: npt.NDArray[np.int64]
) -> tuple[Array, float]:
    """Bayes' rule, q_i(y) ∝ p_i(y) C[y, given_i] (N, K), and the log likelihood a row.

    The latter is the mean of log Σ_y p_i(y) C[y, given_i]. A row whose label has no probability
    under its p (N, K) keeps p, which must not depend on its own given label: it counts twice then.

    Raises
    ------
    InvalidSetting
        If a row of ``matrix`` does not sum to one: a transposed matrix is not a C.
    """
    if np.abs(matrix.sum(axis=1) - 1.0).max() > len(matrix) * 1e3 * np.finfo(np.float64).eps:
        raise InvalidSetting(
            "matrix must be C[true, given] with rows that sum to 1, got rows that do not; "
            "cleanlab's noise_matrix is its transpose"
        )
    joint = held_out * matrix[:, given].T
    likelihood = float(np.log(np.maximum(joint.sum(axis=1), _TINY)).mean())
    return normalized_rows(joint, held_out), likelihood


def normalized_rows(values: Array, otherwise: Array) -> Array:
    """Rows divided by their sums; those without mass are taken from ``otherwise``."""
    mass = values.sum(axis=1, keepdims=True)
    some = mass > _TINY
    return np.where(some, values / np.where(some, mass, 1.0), otherwise)
