"""Rows whose given label is probably wrong, ranked, with a proposal and a claimed precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.posterior import LabelPosterior

__all__ = ["Suspects", "find_suspects", "rank_quality"]

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
        The lowest and highest of the re-corrupted worlds.
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

    def precision_at(self) -> Array:
        """Claimed share of wrong labels among the first 1, 2, … m suspects, shape (m,)."""
        return np.cumsum(self.precision) / np.arange(1, len(self.rows) + 1)


def find_suspects(
    posterior: LabelPosterior,
    given: npt.NDArray[np.int64],
    precision: tuple[Array, Array, Array] | None = None,
) -> Suspects:
    """Rank the rows whose likeliest true label is not the given one.

    Parameters
    ----------
    posterior : LabelPosterior
        Its ``held_out`` part must not have seen the rows' own labels: heads that memorize them
        would find nothing.
    given : np.ndarray of shape (N,)
        Given labels.
    precision : tuple of three arrays of shape (m,), optional
        Claimed precision with its low and high end, in the order of the suspects; without it the
        posterior's own word, 1 − q_i(given).
    """
    every = np.arange(len(given))
    quality = posterior.posterior[every, given]
    predicted = posterior.labels
    rows = rank_quality(quality)
    rows = rows[predicted[rows] != given[rows]]
    others = posterior.held_out.copy()
    others[every, given] = -np.inf
    own = 1.0 - quality[rows]
    claimed, low, high = (own, own, own) if precision is None else precision
    return Suspects(
        rows=rows,
        given=given[rows],
        proposed=predicted[rows],
        quality=quality,
        predicted=predicted,
        margin=posterior.held_out[every, given] - others.max(axis=1),
        precision=claimed,
        precision_low=low,
        precision_high=high,
    )


def rank_quality(quality: Array) -> npt.NDArray[np.int64]:
    """Rows from the lowest quality to the highest; equal ones in their order."""
    return np.argsort(quality, kind="stable")
