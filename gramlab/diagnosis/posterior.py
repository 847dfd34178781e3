"""The posterior of each row's true label: held-out heads, neighbours, and the estimated noise.

p_i(y) is the distribution of the true label of row i from two witnesses that never saw the row's
own label: exact heads on folds (logits z_i, from :func:`gramlab.transition.estimate_transition`)
and the given labels of its nearest rows (votes v_i), which say something that no linear head can,

    p_i = softmax(β (z_i + γ log(v_i + ½))).

The given label then enters once, through the estimated matrix: q_i(y) ∝ p_i(y) C[y, given_i].
β, γ and the number of neighbours maximize Σ_i log Σ_y p_i(y) C[y, given_i], the likelihood of the
given labels, so neighbours count exactly as far as they help to explain labels they did not see.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from gramlab.features import Features
from gramlab.machine.memory import check_memory
from gramlab.transition import TransitionEstimate
from gramlab.transition.mixture import given_label_posterior
from gramlab.validation import check_integer

__all__ = ["LabelPosterior", "label_posterior", "nearest_rows", "neighbour_votes"]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelPosterior:
    """What is known of each row's true label.

    Attributes
    ----------
    held_out : np.ndarray of shape (N, K)
        p_i, without the row's own given label; rows sum to one.
    posterior : np.ndarray of shape (N, K)
        q_i, with it; rows sum to one.
    neighbours : int
        Nearest rows that vote, 0 where heads alone explain the labels best.
    vote_weight : float
        γ.
    sharpness : float
        β, relative to that of the transition estimate.
    log_likelihood : float
        Of the given labels, nats a row.
    """

    held_out: Array
    posterior: Array
    neighbours: int
    vote_weight: float
    sharpness: float
    log_likelihood: float

    @property
    def labels(self) -> Labels:
        """The likeliest true label of each row (N,)."""
        return self.posterior.argmax(axis=1)


def label_posterior(
    estimate: TransitionEstimate, given: Labels, nearest: Labels | None = None
) -> LabelPosterior:
    """Combine held-out heads and C of an estimate from given labels (N,) with neighbours' votes.

    Without the nearest rows (N, k), heads are alone.
    """
    p, matrix = estimate.probabilities, estimate.matrix
    posterior, best = given_label_posterior(p, matrix, given)
    found = LabelPosterior(p, posterior, 0, 0.0, 1.0, best)
    if nearest is None:
        return found
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
    rows = np.arange(len(nearest))
    for column in nearest.T:
        votes[rows, given[column]] += 1.0
    return votes


def nearest_rows(features: Features, count: int) -> Labels:
    """The rows with the largest inner products with each row, itself left out; shape (N, count).

    Nearest first, among equal products the lower row first. Rows are compared block by block; no
    N×N matrix is held.

    Raises
    ------
    InvalidSetting
        If ``count`` is not in 1 .. N − 1.
    NotEnoughMemory
        If N × count indices would not fit.
    """
    count = check_integer("count", count, 1, features.n_samples - 1)
    return features.derived(_nearest, count)


def _nearest(features: Features, count: int) -> Labels:
    n = features.n_samples
    check_memory(8 * n * count, f"{count} neighbours of {n} rows", "ask for fewer neighbours")
    x = features.as_float64()
    step = max(1, (1 << 22) // n)  # rows whose inner products are held at once
    found = np.empty((n, count), dtype=np.int64)
    for start in range(0, n, step):
        products = x[start : start + step] @ x.T
        rows = np.arange(len(products))
        products[rows, start + rows] = -np.inf
        # Partitioning values alone is several times faster than partitioning their indices.
        least = np.partition(products, n - count, axis=1)[:, n - count]
        row, column = np.nonzero(products >= least[:, None])  # more than count of them where tied
        order = np.lexsort((column, -products[row, column], row))
        row, column = row[order], column[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        found[start : start + step] = column[place < count].reshape(-1, count)
    found.setflags(write=False)
    return found
