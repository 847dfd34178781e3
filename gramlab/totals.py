"""Rounds of two schedules of weight decay, compared where both have spent as much.

Plain exact rounds are proximal point steps, and what they leave of the labels is bounded by
Λ_t = Σ_{s≤t} λ_s alone (docs/proximal.md): so rounds t and u of two schedules are one another's
match where Λ_t = Λ'_u. Equal they are not: at one total, more even rounds average more in linear
theory (theorem ``schedule-order``), and for exact heads the order counts too (docs/schedules.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from gramlab import errors
from gramlab.comparison import same_start
from gramlab.distillation import Rounds, largest_classes, same_features
from gramlab.numerics.rounding import gamma
from gramlab.targets import equal_weights

__all__ = ["TotalComparison", "compare_totals"]


@dataclass(frozen=True)
class TotalComparison:
    """Two rounds that have spent the same total weight decay, on the training rows.

    Attributes
    ----------
    rounds
        (t, u): round t of the first Rounds and round u of the second.
    total_weight_decay
        Λ_t = Λ'_u, to the rounding of sums.
    max_abs, frobenius
        Distances of the two prediction matrices.
    argmax_agreement
        Share of rows on which both predict the same class.
    certified_agreement, certified_disagreement
        Shares of rows on which the classes of the true iterates of both (``Rounds.chain``; of a
        linearized round those that it predicts) are decided, and are the same, and are not. None
        where exact rounds have no chain.
    """

    rounds: tuple[int, int]
    total_weight_decay: float
    max_abs: float
    frobenius: float
    argmax_agreement: float
    certified_agreement: float | None
    certified_disagreement: float | None


def compare_totals(first: Rounds, second: Rounds) -> tuple[TotalComparison, ...]:
    """Compare rounds of any two schedules wherever their total weight decays are equal.

    Parameters
    ----------
    first, second
        From ``distill`` on the same features and first targets, each of exact or linearized heads.
        Totals say what plain rounds spend; with momentum, or other targets, they are equal and no
        more is meant by it.

    Returns
    -------
    tuple of TotalComparison
        By rising total: every pair of rounds whose totals differ by no more than their rounding.

    Raises
    ------
    InvalidSetting
        If the two have other features, first targets or row weights, or no total in common.
    """
    same_start("compare_totals", first, second)
    features, row_weights = first.features_by_round[0], first[0].row_weights
    for rounds in (first, second):
        if not all(same_features(features, one) for one in rounds.features_by_round):
            raise errors.InvalidSetting(
                "compare_totals needs the same features in all rounds of both, got different ones: "
                "run distill twice with one Features object"
            )
        if not all(equal_weights(fit.row_weights, row_weights) for fit in rounds):
            raise errors.InvalidSetting(
                "compare_totals needs one weight for each row throughout, got different ones: give "
                "every head the same sample_weight"
            )
    totals, others = (
        list(accumulate(fit.weight_decay for fit in rounds)) for rounds in (first, second)
    )
    pairs = [
        (t, u)
        for t, total in enumerate(totals)
        for u, other in enumerate(others)
        if abs(total - other) <= gamma(t + u + 2) * total
    ]
    if not pairs:
        raise errors.InvalidSetting(
            "compare_totals needs rounds that have spent the same total weight decay, got "
            f"{totals[0]:g} to {totals[-1]:g} and {others[0]:g} to {others[-1]:g}: choose "
            "schedules with equal sums"
        )
    return tuple(_compared(first, second, t, u, totals[t]) for t, u in pairs)


def _compared(first: Rounds, second: Rounds, t: int, u: int, total: float) -> TotalComparison:
    one, other = first[t], second[u]
    apart, same = one.deviations - other.deviations, one.labels == other.labels
    decided, also = _decided(first, t), _decided(second, u)
    both = None if decided is None or also is None else decided & also
    return TotalComparison(
        rounds=(t + 1, u + 1),
        total_weight_decay=total,
        max_abs=float(np.abs(apart).max()),
        frobenius=float(np.linalg.norm(apart)),
        argmax_agreement=float(same.mean()),
        certified_agreement=None if both is None else float((both & same).mean()),
        certified_disagreement=None if both is None else float((both & ~same).mean()),
    )


def _decided(rounds: Rounds, t: int) -> np.ndarray | None:
    """Rows (N,) whose class at index t is that of the true iterate; None where nothing is known."""
    fit, certificate = rounds[t], rounds.chain[t]
    if fit.linear:
        return np.ones(len(fit.deviations), dtype=bool)
    if certificate is None:
        return None
    return largest_classes(rounds.features_by_round[t], fit.weights, certificate, 1)[1]
