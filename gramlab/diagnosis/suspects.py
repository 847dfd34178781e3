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
from gramlab.transition import TransitionEstimate

__all__ = ["Suspects", "find_suspects", "ranking_auc", "reason_to_withhold"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Suspects:
    """Rows whose likeliest true label is not the given one, most suspicious first.

    Of the m suspects: ``rows``, their ``given`` and ``proposed`` (likeliest true) labels, and the
    claimed ``precision``, the probability that the label is wrong, calibrated by re-corruption,
    with the lowest and highest of the resamples as ``precision_low`` and ``precision_high``. Where
    nothing can be claimed, ``withheld`` says why, and the precision is ½, between 0 and 1.

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
    withheld: str = ""

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
    known = given[rows], predicted[rows], quality, predicted, margin
    precision = 1.0 - quality[rows]
    return Suspects(rows, *known, precision, precision, precision)


def reason_to_withhold(estimate: TransitionEstimate) -> str:
    """Why nothing can be claimed of suspects, in a sentence; empty where claims can be made."""
    if estimate.instance_dependent:
        return "wrong labels depend on the rows, not on their classes alone"
    unknown = float(estimate.prior[estimate.unsupported].sum())
    if unknown > 0.5:
        return f"classes with {100 * unknown:.0f} % of the rows have none that heads are sure of"
    if estimate.noise_rate.low == 0.0:
        return "what heads contradict may be their own errors: labels may all be right"
    return ""


def ranking_auc(score: Array, wrong: npt.NDArray[np.bool_]) -> float | None:
    """Probability that a wrong label scores above a right one, ties counting half.

    None where all labels are right, or all wrong.
    """
    m = int(wrong.sum())
    if m in (0, len(wrong)):
        return None
    total = float(scipy.stats.rankdata(score)[wrong].sum()) - 0.5 * m * (m + 1)
    return total / (m * (len(wrong) - m))
