"""The posterior of each row's true label: held-out heads, neighbours, and the estimated noise.

p_i(y) is the distribution of the true label of row i from two witnesses that never saw the row's
own label: exact heads on folds (logits z_i, from :func:`gramlab.transition.estimate_transition`)
and the given labels of its nearest rows (votes v_i),

    p_i = softmax(β (z_i + γ log(v_i + ½))).

The given label then enters once, through the estimated matrix: q_i(y) ∝ p_i(y) C[y, given_i].
β, γ and the number of neighbours maximize Σ_i log Σ_y p_i(y) C[y, given_i], the likelihood of the
given labels, so neighbours count exactly as far as they help to explain labels they did not see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.neighbours import neighbour_votes
from gramlab.errors import InvalidSetting
from gramlab.transition import TransitionEstimate

__all__ = ["LabelPosterior", "given_label_posterior", "label_posterior"]

Array = npt.NDArray[np.float64]

_NEIGHBOURS = (10, 20, 50)  # tried, as far as there are rows
_VOTE_WEIGHTS = (0.3, 1.0, 3.0)  # γ tried beside 0
_SHARPNESS = 2.0 ** np.arange(-3.0, 1.1, 0.5)  # β tried, relative to that of the heads alone
_HALF = 0.5  # a vote for every label: a label without votes is not impossible


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
    def labels(self) -> npt.NDArray[np.int64]:
        """The likeliest true label of each row (N,)."""
        return self.posterior.argmax(axis=1)


def given_label_posterior(
    held_out: Array, matrix: Array, given: npt.NDArray[np.int64]
) -> tuple[Array, float]:
    """Bayes' rule with one given label a row: q_i(y) ∝ p_i(y) C[y, given_i].

    Parameters
    ----------
    held_out : np.ndarray of shape (N, K)
        p_i, which must not depend on the row's own given label.
    matrix : np.ndarray of shape (K, K)
        C[true, given]; rows sum to one.
    given : np.ndarray of shape (N,)
        Given labels.

    Returns
    -------
    posterior : np.ndarray of shape (N, K)
        Rows sum to one. A row whose label has no probability under p_i keeps p_i.
    log_likelihood : float
        Mean of log Σ_y p_i(y) C[y, given_i].

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
    total = joint.sum(axis=1)
    likelihood = float(np.log(np.maximum(total, np.finfo(np.float64).tiny)).mean())
    return np.where(
        total[:, None] > 0.0, joint / np.where(total > 0.0, total, 1.0)[:, None], held_out
    ), likelihood


def label_posterior(
    estimate: TransitionEstimate,
    given: npt.NDArray[np.int64],
    nearest: npt.NDArray[np.int64] | None = None,
) -> LabelPosterior:
    """Combine held-out heads, neighbours' votes and the estimated matrix.

    Parameters
    ----------
    estimate : TransitionEstimate
        Its ``probabilities`` are the heads' part, its ``matrix`` is C.
    given : np.ndarray of shape (N,)
        The labels that it was estimated from.
    nearest : np.ndarray of shape (N, k), optional
        From :func:`gramlab.diagnosis.neighbours.nearest_rows`; without it heads are alone.
    """
    matrix = estimate.matrix
    k = len(matrix)
    tiny = np.finfo(np.float64).tiny
    heads = np.log(np.maximum(estimate.probabilities, tiny))
    posterior, best = given_label_posterior(estimate.probabilities, matrix, given)
    found = LabelPosterior(estimate.probabilities, posterior, 0, 0.0, 1.0, best)
    widths = () if nearest is None else _NEIGHBOURS
    for count in widths:
        if nearest is None or count > nearest.shape[1]:
            continue
        votes = np.log(neighbour_votes(nearest[:, :count], given, k) + _HALF)
        for weight in _VOTE_WEIGHTS:
            # Heads enter at their own sharpness, so that γ is relative to unscaled logits.
            logits = heads / estimate.sharpness + weight * votes
            for sharpness in _SHARPNESS:
                held_out = _softmax(sharpness * estimate.sharpness * logits)
                posterior, value = given_label_posterior(held_out, matrix, given)
                if value > found.log_likelihood:
                    found = LabelPosterior(
                        held_out, posterior, count, weight, float(sharpness), value
                    )
    return found


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
