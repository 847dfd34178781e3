"""Rows that belong to no class: none stands out for them, and their labels say nothing either.

A row that is far from all classes in the metric of the heads and the neighbours has a flat held-out
distribution p_i, so rows are ranked by its entropy. How many of the first of them are outliers is
told by their labels. Let p̄_i be the mean of p_i and the distribution of the heads alone. The given
label of a row of the classes is k with probability α_ik = (p̄_i C)_k; that of an outlier, if its
label has nothing to do with its features, with β_k, the share of rows that were given k. So a label
k of row i speaks for the classes as much as w_ik = (α_ik / β_k − 1) / (max_j α_ij / β_j − 1), which
is 0 on average over the labels of an outlier and at most 1. Over any set R of rows that was chosen
without a look at their own labels, therefore,

    E Σ_R w_i(given_i) = Σ over the rows of classes in R of e_i,   e_i = Σ_k α_ik w_ik ≥ 0,

and the share of rows of classes in R is estimated by (1 + Σ_R w_i(given_i)) / Σ_R e_i, where the 1
keeps a few rows from claiming anything. That many rows of classes among those with at least the
score of row i, over N, is the p-value of row i, and the list is cut by Benjamini and Hochberg's
rule.

The heads alone are asked too because outliers are each other's neighbours: p_i is so flat for them
that it expects little of their labels, and then little can be missed.

Hard rows of a class are no outliers in this: their labels agree with p̄_i as often as it says. Nor
are rows that were labelled by their looks: to the law of features and labels they are far rows of a
class, and a rule that named them would name those, too, where all rows belong to classes.

Source: weighted conformal p-values (Tibshirani et al. 2019; Bates et al. 2023) with the rule of
Benjamini and Hochberg (1995); the count of rows of classes by their labels is ours [D]; its weights
are the score of a mixture of α_i and β in the share of the first, where that share is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from gramlab.diagnosis.origin import Origin
from gramlab.numerics.text import short_repr

__all__ = ["Outliers", "find_outliers"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outliers:
    """Rows that probably belong to no class, those of the highest score first.

    ``rows`` (m,) are the outliers. Of all N rows: ``score``, the entropy of p_i in nats, held out,
    own label unseen; ``p_value``, the estimated share of all rows that belong to a class and have
    at least this score, at most 1.
    """

    rows: npt.NDArray[np.int64]
    score: Array
    p_value: Array

    def __repr__(self) -> str:
        return short_repr(self)

    def __len__(self) -> int:
        """Number of outliers."""
        return len(self.rows)

    @property
    def listed(self) -> npt.NDArray[np.bool_]:
        """Of every row: whether it is an outlier, shape (N,)."""
        return np.isin(np.arange(len(self.score)), self.rows)

    @property
    def false_discovery_rate(self) -> float:
        """Estimated share of the outliers that belong to a class after all; 0 without outliers."""
        if not len(self.rows):
            return 0.0
        count = int(np.isfinite(self.score).sum())  # of rows that were diagnosed
        return float(count * self.p_value[self.rows[-1]] / len(self.rows))

    def renumbered(self, origin: Origin) -> Outliers:
        """The same outliers among all rows of the caller; NaN of those set aside."""
        known = origin.spread(self.score, np.nan), origin.spread(self.p_value, np.nan)
        return Outliers(origin.rows[self.rows], *known)

    def columns(self) -> dict[str, list[Any]]:
        """The outliers in their order, as columns of plain numbers."""
        columns = {
            "row": self.rows,
            "score": self.score[self.rows],
            "p_value": self.p_value[self.rows],
        }
        return {name: values.tolist() for name, values in columns.items()}


def find_outliers(
    held_out: Array, heads: Array, matrix: Array, given: npt.NDArray[np.int64], rate: float
) -> Outliers:
    """List the rows that belong to no class, at a false discovery rate.

    Parameters
    ----------
    held_out : (N, K)
        p_i, distributions of each row's class that were made without its label.
    heads : (N, K)
        The same by heads alone, without neighbours.
    matrix : (K, K)
        C[true, given], in rows that sum to 1.
    given : (N,)
        Given labels.
    rate
        Share of the list, in [0, 1), that may be rows of the classes.
    """
    n, k = held_out.shape
    agreed = 0.5 * (held_out + heads) @ matrix
    by_chance = np.bincount(given, minlength=k) / n
    ratio = np.zeros((n, k))  # of a label that nobody was given too, as nothing is seen of it
    np.divide(agreed, by_chance, out=ratio, where=by_chance > 0.0)
    weight = np.zeros((n, k))  # where every label is as likely as by chance, none says anything
    most_telling = ratio.max(axis=1, keepdims=True) - 1.0
    np.divide(ratio - 1.0, most_telling, out=weight, where=most_telling > 0.0)
    observed = weight[np.arange(n), given]
    expected = (agreed * weight).sum(axis=1)
    score = entr(held_out).sum(axis=1)
    order = np.argsort(-score, kind="stable")
    seen, most = np.cumsum(observed[order]), np.cumsum(expected[order])
    share = np.ones(n)  # of rows of classes among the first; all, where labels could not tell
    np.divide(1.0 + np.maximum(seen, 0.0), most, out=share, where=most > 0.0)
    # Rows of equal score have equal rank, that of the last of them.
    rank = np.searchsorted(-score[order], -score[order], side="right")
    count = np.maximum.accumulate(np.minimum(share[rank - 1], 1.0) * rank)
    p_value = np.empty(n)
    p_value[order] = count / n
    first = int(rank[count <= rate * rank].max(initial=0))
    return Outliers(order[:first], score, p_value)
