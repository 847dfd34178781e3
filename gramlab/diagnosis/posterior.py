"""The posterior of each row's true label: held-out heads, neighbours, and the estimated noise.

Two witnesses that never saw the row's own label, logits z_i of heads on folds and votes v_i of the
nearest rows, give p_i = softmax(β (z_i + γ log(v_i + ½))). The given label enters once, through the
estimated matrix: q_i(y) ∝ p_i(y) C[y, given_i]. β, γ and the number of neighbours maximize the
likelihood of the given labels, Σ_i log Σ_y p_i(y) C[y, given_i].
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gramlab.features import Features
from gramlab.heads.referee import softmax
from gramlab.numerics.text import short_repr
from gramlab.runner import parallel_map
from gramlab.transition import TransitionEstimate
from gramlab.transition.mixture import given_label_posterior
from gramlab.validation import check_integer

__all__ = [
    "Evidence",
    "LabelPosterior",
    "label_posterior",
    "nearest_rows",
    "neighbour_votes",
    "posterior_of",
]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]  # half the memory of int64, where there are 50 of each row

_LEAST_HELD = 1 << 20  # inner products, however few features there are


@dataclass(frozen=True, eq=False)
class LabelPosterior:
    """What is known of each row's true label, in rows that sum to one.

    ``held_out`` (N, K) are p_i, without the row's own given label, and ``posterior`` (N, K) q_i,
    with it; ``neighbours`` nearest rows vote (0 where heads alone explain the labels best) with
    ``vote_weight`` γ; ``sharpness`` is β relative to that of the transition estimate, and
    ``log_likelihood`` is of the given labels, nats a row.
    """

    held_out: Array
    posterior: Array
    neighbours: int
    vote_weight: float
    sharpness: float
    log_likelihood: float

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def labels(self) -> Labels:
        """The likeliest true label of each row (N,)."""
        return self.posterior.argmax(axis=1)


class Evidence(NamedTuple):
    """What is known of rows without their own labels: logits of ``heads``, log ``votes`` (m, K)."""

    heads: Array
    votes: Array

    @classmethod
    def of(cls, probabilities: Array, votes: Array, sharpness: float) -> Evidence:
        """Read heads that are calibrated with β, and votes (m, K) of neighbours.

        Heads enter at their own sharpness, so that γ is relative to unscaled logits, and every
        label with half a vote: one without votes is not impossible.
        """
        tiny = np.finfo(np.float64).tiny
        return cls(np.log(np.maximum(probabilities, tiny)) / sharpness, np.log(votes + 0.5))

    def probabilities(self, vote_weight: float, sharpness: float) -> Array:
        """p_i (m, K), with γ and β."""
        return softmax(sharpness * (self.heads + vote_weight * self.votes))


def label_posterior(estimate: TransitionEstimate, given: Labels, nearest: Rows) -> LabelPosterior:
    """Combine held-out heads and C of an estimate from given labels (N,) with the nearest rows'."""
    p, k = estimate.probabilities, len(estimate.matrix)
    posterior, best = posterior_of(p, estimate, given)
    found = LabelPosterior(p, posterior, 0, 0.0, 1.0, best)
    for count in (10, 20, 50):
        if count > nearest.shape[1]:
            break
        votes = neighbour_votes(nearest[:, :count], given, k)
        evidence = Evidence.of(p, votes, estimate.sharpness)
        for weight, sharpness in product((0.3, 1.0, 3.0), 2.0 ** np.arange(-3.0, 1.1, 0.5)):
            held_out = evidence.probabilities(weight, sharpness * estimate.sharpness)
            posterior, value = posterior_of(held_out, estimate, given)
            if value > found.log_likelihood:
                found = LabelPosterior(held_out, posterior, count, weight, float(sharpness), value)
    return found


def posterior_of(
    held_out: Array, estimate: TransitionEstimate, given: Labels
) -> tuple[Array, float]:
    """q_i(y) ∝ p_i(y) C[y, given_i] of rows p (m, K), and the log likelihood of their labels a row.

    C is taken as if one row more of each class had been seen, with any label: it is not known any
    better, and labels that it calls impossible are still more or less so by the rows. A class
    without sure rows may be one that the labels have merged with the likeliest: where it is the
    given one, both are as likely. Where noise depends on the rows, C does not say how far a label
    is to be believed, and q_i is p_i; where it may or may not, since noise by class was not shown,
    q_i is the mean of both.
    """
    k = len(estimate.matrix)
    rows = len(estimate.probabilities) * estimate.prior[:, None]
    matrix = (rows * estimate.matrix + 1.0 / k) / (rows + 1.0)
    posterior, likelihood = given_label_posterior(held_out, matrix, given)
    if estimate.instance_dependent:
        return held_out, likelihood
    if estimate.noise_rate.low == 0.0:
        posterior = 0.5 * (posterior + held_out)
    merged = np.flatnonzero(estimate.unsupported[given])
    likeliest = posterior[merged].argmax(axis=1)
    half = 0.5 * posterior[merged, likeliest]
    posterior[merged, likeliest] -= half
    posterior[merged, given[merged]] += half
    return posterior, likelihood


def neighbour_votes(
    nearest: Rows, given: Labels, n_classes: int, counted: npt.ArrayLike = True
) -> Array:
    """How many of a row's neighbours (m, k) were given each label, shape (m, K).

    ``given`` are the labels (N,) of all rows; only neighbours that are ``counted`` (m, k) vote.
    """
    votes = np.zeros((len(nearest), n_classes))
    np.add.at(votes, (np.arange(len(nearest))[:, None], given[nearest]), counted)
    return votes


def nearest_rows(features: Features, count: int, group: Labels | None = None) -> Rows:
    """The rows with the largest inner products with each row, its own group left out; (N, count).

    ``group`` (N,) are the numbers 0, 1, … of the rows' groups; by default each row is its own.

    Nearest first, among equal products the lower row first. Rows are compared block by block; no
    N×N matrix is held.

    Raises
    ------
    InvalidSetting
        If ``count`` is not in 1 .. N less the rows of the largest group.
    NotEnoughMemory
        If the features are not float64, and would not fit as such.
    """
    n = features.n_samples
    sizes = np.ones(n) if group is None else np.bincount(group)
    count = check_integer("count", count, 1, n - int(sizes.max()))
    # Bytes can be looked up; groups of single rows are as no groups.
    key = None if group is None or len(sizes) == n else group.astype(np.int64).tobytes()
    return features.derived(_nearest, count, key)


def _nearest(features: Features, count: int, key: bytes | None) -> Rows:
    n = features.n_samples
    group = np.arange(n) if key is None else np.frombuffer(key, dtype=np.int64)
    x, found = features.as_float64(), np.empty((n, count), dtype=np.int32)
    # Rows whose inner products are held at once, of which there are a few copies in each thread.
    step = max(1, max(_LEAST_HELD, x.size // 8) // n)

    def block(start: int, _: int) -> None:
        part = slice(start, start + step)
        products = x[part] @ x.T
        products[group[part, None] == group] = -np.inf
        # Partitioning values alone is ten times faster than sorting all indices of a row.
        least = np.partition(products, n - count, axis=1)[:, n - count]
        row, column = np.nonzero(products >= least[:, None])  # more than count of them where tied
        order = np.lexsort((column, -products[row, column], row))
        place = np.arange(len(row)) - np.searchsorted(row, row)
        found[part] = column[order][place < count].reshape(-1, count)

    parallel_map(block, range(0, n, step), on_devices=False)
    found.setflags(write=False)
    return found
