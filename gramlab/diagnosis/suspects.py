"""Rows whose given label is probably wrong, ranked, with a proposal and a claimed precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.posterior import LabelPosterior

__all__ = ["Suspects", "find_suspects", "ranking_auc"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Suspects:
    """Rows whose likeliest true label is not the given one, most suspicious first.

    Attributes
    ----------
    rows : np.ndarray of shape (m,), int64
        Training rows.
    given, proposed : np.ndarray of shape (m,), int64
        Their given label, and the likeliest true one.
    quality : np.ndarray of shape (N,)
        Of every row: q_i(given), the posterior of its given label; low is suspicious. The order of
        ``rows`` is this one.
    predicted : np.ndarray of shape (N,), int64
        Of every row: the likeliest true label.
    margin : np.ndarray of shape (N,)
        Of every row: p_i(given) less the largest other p_i, held out, own label unseen.
    precision : np.ndarray of shape (m,)
        Claimed probability that the suspect's label is wrong, calibrated by re-corruption.
    precision_low, precision_high : np.ndarray of shape (m,)
        The lowest and highest of the resamples.
    """

    rows: npt.NDArray[np.int64]
    given: npt.NDArray[np.int64]
    proposed: npt.NDArray[np.int64]
    quality: Array
    predicted: npt.NDArray[np.int64]
    margin: Array
    precision: Array
    precision_low: Array
    precision_high: Array

    def __len__(self) -> int:
        """Number of suspects."""
        return len(self.rows)

    @property
    def suspected(self) -> npt.NDArray[np.bool_]:
        """Of every row: whether it is a suspect, shape (N,)."""
        found = np.zeros(len(self.quality), dtype=bool)
        found[self.rows] = True
        return found

    def columns(self) -> dict[str, list[Any]]:
        """The suspects in their order, as columns of plain numbers."""
        return {
            "row": self.rows.tolist(),
            "given": self.given.tolist(),
            "proposed": self.proposed.tolist(),
            "margin": self.margin[self.rows].tolist(),
            "label_quality": self.quality[self.rows].tolist(),
            "precision": self.precision.tolist(),
            "precision_low": self.precision_low.tolist(),
            "precision_high": self.precision_high.tolist(),
        }

    def precision_at(self) -> Array:
        """Claimed share of wrong labels among the first 1, 2, … m suspects, shape (m,)."""
        return np.cumsum(self.precision) / np.arange(1, len(self.rows) + 1)


def find_suspects(posterior: LabelPosterior, given: npt.NDArray[np.int64]) -> Suspects:
    """Rank the rows whose likeliest true label is not the given one.

    Their precision is the posterior's own word, 1 − q_i(given), until it is calibrated. Heads that
    saw the rows' own labels would find nothing: they memorize them.
    """
    every = np.arange(len(given))
    quality, predicted = posterior.posterior[every, given], posterior.labels
    rows = np.argsort(quality, kind="stable")
    rows = rows[predicted[rows] != given[rows]]
    others = posterior.held_out.copy()
    others[every, given] = -np.inf
    own = 1.0 - quality[rows]
    return Suspects(
        rows=rows,
        given=given[rows],
        proposed=predicted[rows],
        quality=quality,
        predicted=predicted,
        margin=posterior.held_out[every, given] - others.max(axis=1),
        precision=own,
        precision_low=own,
        precision_high=own,
    )


def ranking_auc(score: Array, wrong: npt.NDArray[np.bool_]) -> float | None:
    """Probability that a wrong label scores above a right one, ties counting half.

    None where all labels are right, or all wrong.
    """
    m = int(wrong.sum())
    if m in (0, len(wrong)):
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - 0.5 * (counts - 1)
    total = float(ranks[inverse][wrong].sum()) - 0.5 * m * (m + 1)
    return total / (m * (len(wrong) - m))
