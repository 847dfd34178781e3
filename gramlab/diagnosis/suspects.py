"""Rows whose given label is probably wrong, ranked, with a proposal and a claimed precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from gramlab.diagnosis.origin import Origin
from gramlab.diagnosis.posterior import LabelPosterior
from gramlab.numerics.text import short_repr

__all__ = ["Suspects", "find_suspects", "ranking_auc"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Suspects:
    """Rows whose likeliest true label is not the given one, most suspicious first.

    Of the m suspects: ``rows``, their ``given`` and ``proposed`` (likeliest true) labels, and the
    claimed ``precision``, the probability that the label is wrong, calibrated by re-corruption,
    with the lowest and highest of the resamples as ``precision_low`` and ``precision_high``.

    Of all N rows: ``quality`` q_i(given), the posterior of the given label, by which suspects are
    ordered; ``predicted``, the likeliest true label; ``margin``, p_i(given) less the largest other
    p_i, held out, own label unseen. In a ``Diagnosis`` rows are numbered as the caller's, and those
    that were set aside have the quality and margin NaN and predict -1.
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

    def __repr__(self) -> str:
        return short_repr(self)

    def __len__(self) -> int:
        """Number of suspects."""
        return len(self.rows)

    @property
    def suspected(self) -> npt.NDArray[np.bool_]:
        """Of every row: whether it is a suspect, shape (N,)."""
        return np.isin(np.arange(len(self.quality)), self.rows)

    def renumbered(self, origin: Origin) -> Suspects:
        """The same suspects among all rows of the caller."""
        return replace(
            self,
            rows=origin.rows[self.rows],
            quality=origin.spread(self.quality, np.nan),
            predicted=origin.spread(self.predicted, -1),
            margin=origin.spread(self.margin, np.nan),
        )

    def columns(self) -> dict[str, list[Any]]:
        """The suspects in their order, as columns of plain numbers."""
        columns = {
            "row": self.rows,
            "given": self.given,
            "proposed": self.proposed,
            "margin": self.margin[self.rows],
            "label_quality": self.quality[self.rows],
            "precision": self.precision,
            "precision_low": self.precision_low,
            "precision_high": self.precision_high,
        }
        return {name: values.tolist() for name, values in columns.items()}

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
    margin = posterior.held_out[every, given] - others.max(axis=1)
    precision = [1.0 - quality[rows]] * 3
    return Suspects(rows, given[rows], predicted[rows], quality, predicted, margin, *precision)


def ranking_auc(score: Array, wrong: npt.NDArray[np.bool_]) -> float | None:
    """Probability that a wrong label scores above a right one, ties counting half.

    None where all labels are right, or all wrong.
    """
    m = int(wrong.sum())
    if m in (0, len(wrong)):
        return None
    total = float(scipy.stats.rankdata(score)[wrong].sum()) - 0.5 * m * (m + 1)
    return total / (m * (len(wrong) - m))
