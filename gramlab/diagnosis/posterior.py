"""The posterior of each row's true label: held-out heads, neighbours, and the estimated noise.

Two witnesses that never saw the row's own label, logits z_i of heads on folds and votes v_i of the
nearest rows, give p_i = softmax(β (z_i + γ log(v_i + ½))). The given label enters once, through the
estimated matrix: q_i(y) ∝ p_i(y) C[y, given_i]. β, γ and the number of neighbours maximize the
likelihood of the given labels, Σ_i log Σ_y p_i(y) C[y, given_i].
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from gramlab.features import Features
from gramlab.machine.memory import check_memory
from gramlab.numerics.text import short_repr
from gramlab.transition import TransitionEstimate
from gramlab.transition.mixture import given_label_posterior
from gramlab.validation import check_integer

__all__ = ["LabelPosterior", "label_posterior", "nearest_rows", "neighbour_votes"]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


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


def label_posterior(estimate: TransitionEstimate, given: Labels, nearest: Labels) -> LabelPosterior:
    """Combine held-out heads and C of an estimate from given labels (N,) with the nearest rows'."""
    p, matrix = estimate.probabilities, estimate.matrix
    posterior, best = given_label_posterior(p, matrix, given)
    found = LabelPosterior(p, posterior, 0, 0.0, 1.0, best)
    # Heads enter at their own sharpness, so that γ is relative to unscaled logits.
    heads = np.log(np.maximum(p, np.finfo(np.float64).tiny)) / estimate.sharpness
    for count in (10, 20, 50):
        if count > nearest.shape[1]:
            break
        # Half a vote for every label: one without votes is not impossible.
        votes = np.log(neighbour_votes(nearest[:, :count], given, len(matrix)) + 0.5)
        for weight, sharpness in product((0.3, 1.0, 3.0), 2.0 ** np.arange(-3.0, 1.1, 0.5)):
            logits = sharpness * estimate.sharpness * (heads + weight * votes)
            held_out = softmax(logits, axis=1)
            posterior, value = given_label_posterior(held_out, matrix, given)
            if value > found.log_likelihood:
                found = LabelPosterior(held_out, posterior, count, weight, float(sharpness), value)
    return found


def neighbour_votes(nearest: Labels, given: Labels, n_classes: int) -> Array:
    """How many of a row's neighbours (N, k) were given each label, shape (N, K)."""
    votes = np.zeros((len(nearest), n_classes))
    np.add.at(votes, (np.arange(len(nearest))[:, None], given[nearest]), 1.0)
    return votes


def nearest_rows(features: Features, count: int, group: Labels | None = None) -> Labels:
    """The rows with the largest inner products with each row, its own group left out; (N, count).

    ``group`` (N,) are the numbers 0, 1, … of the rows' groups; by default each row is its own.

    Nearest first, among equal products the lower row first. Rows are compared block by block; no
    N×N matrix is held.

    Raises
    ------
    InvalidSetting
        If ``count`` is not in 1 .. N less the rows of the largest group.
    NotEnoughMemory
        If N × count indices would not fit.
    """
    n = features.n_samples
    sizes = np.ones(n) if group is None else np.bincount(group)
    count = check_integer("count", count, 1, n - int(sizes.max()))
    # Bytes can be looked up; groups of single rows are as no groups.
    key = None if group is None or len(sizes) == n else group.astype(np.int64).tobytes()
    return features.derived(_nearest, count, key)


def _nearest(features: Features, count: int, key: bytes | None) -> Labels:
    n = features.n_samples
    group = np.arange(n) if key is None else np.frombuffer(key, dtype=np.int64)
    check_memory(8 * n * count, f"{count} neighbours of {n} rows", "ask for fewer neighbours")
    x = features.as_float64()
    step = max(1, (1 << 22) // n)  # rows whose inner products are held at once
    found = np.empty((n, count), dtype=np.int64)
    for start in range(0, n, step):
        part = slice(start, start + step)
        products = x[part] @ x.T
        products[group[part, None] == group] = -np.inf
        # Partitioning values alone is ten times faster than sorting all indices of a row.
        least = np.partition(products, n - count, axis=1)[:, n - count]
        row, column = np.nonzero(products >= least[:, None])  # more than count of them where tied
        order = np.lexsort((column, -products[row, column], row))
        place = np.arange(len(row)) - np.searchsorted(row, row)
        found[part] = column[order][place < count].reshape(-1, count)
    found.setflags(write=False)
    return found
