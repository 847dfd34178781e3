"""A setting, and how it fared on held-out rows: accuracy on true labels that nobody has.

Two estimates of it (docs/diagnose.md), whose faults point in different directions:

``expected``
    mean_i q_i(a_i), q_i the posterior of row i's true label and a_i its prediction, in sample or
    not. Two settings are compared on the rows where they differ, with true labels drawn from q.
``corrected``
    mean_i C⁻¹[given_i, a_i]. With A[a, given] the table of predictions that did not see the given
    labels, A = M C for the table M of predictions and true labels, whose trace is the accuracy.

Source: the correction as Natarajan et al. (NeurIPS 2013) and Patrini et al. (CVPR 2017), read for
the 0-1 loss; the paired variance is that of McNemar (1947), in expectation under q [D].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Score",
    "Setting",
    "Trial",
    "corrected_accuracy",
    "expected_accuracy",
    "paired_difference",
]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Setting:
    """How to train: λ, trainings with the teacher, and ``"top2"`` (of 2 rounds) or ``""``."""

    weight_decay: float
    rounds: int = 1
    refine: str = ""

    @property
    def distils(self) -> bool:
        """Whether there is a student."""
        return self.rounds > 1

    @property
    def total_weight_decay(self) -> float:
        """Λ, what all trainings spend together."""
        return self.rounds * self.weight_decay

    def __str__(self) -> str:
        """In words."""
        if self.refine:
            return f"top-2 student at {self.weight_decay:.3g}"
        return f"{self.rounds} round{'s' if self.distils else ''} at {self.weight_decay:.3g}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self) | {"refine": self.refine or None}


class Score(NamedTuple):
    """An estimated accuracy (a share), or the difference of two, and its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class Trial:
    """A setting that was tried on held-out rows, by the ``"theory"`` or the ``"exact"`` head.

    ``accuracy`` is estimated on true labels: the mean of ``expected``, by the posterior, and
    ``corrected``, by the inverse of C, or the first alone where C has none; its standard error is
    that of the first. ``agreement`` is the share of rows ``predicted`` (N,) as their given label.
    """

    setting: Setting
    head: str
    accuracy: Score
    expected: Score
    corrected: Score | None
    agreement: float
    predicted: Labels = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the predictions."""
        corrected, error = self.corrected or (None, None)
        return self.setting.as_dict() | {
            "head": self.head,
            "accuracy": self.accuracy.value,
            "standard_error": self.accuracy.standard_error,
            "expected": self.expected.value,
            "corrected": corrected,
            "corrected_error": error,
            "agreement": self.agreement,
        }


def expected_accuracy(predicted: Labels, posterior: Array, weights: Array | None = None) -> Score:
    """Mean of q_i(a_i) over predictions a (N,) and posteriors q (N, K), with the binomial error.

    With ``weights`` ω (N,) of mean 1 means are weighted, and N rows count as (Σω)²/Σω².
    """
    w = np.ones(len(predicted)) if weights is None else weights
    value = float((w * posterior[np.arange(len(predicted)), predicted]).mean())
    return Score(value, math.sqrt(max(value * (1.0 - value), 0.0) * float(w @ w)) / len(predicted))


def corrected_accuracy(
    predicted: Labels, given: Labels, matrix: Array, weights: Array | None = None
) -> Score | None:
    """Agreement with given labels (N,), corrected by the inverse of C[true, given] (K, K).

    The predictions (N,) must come from heads that did not see the rows' own labels. It is unbiased
    for C known, so it can leave [0, 1]; None where C cannot be inverted in float64. ``weights``
    are as of ``expected_accuracy``.
    """
    with np.errstate(all="ignore"):
        condition = np.linalg.cond(matrix)
    if not condition < 1.0 / np.sqrt(np.finfo(np.float64).eps):
        return None
    values, n = np.linalg.inv(matrix)[given, predicted], len(given)
    w = np.ones(n) if weights is None else weights
    value = float((w * values).mean())
    spread = math.sqrt(float(w**2 @ (values - value) ** 2) / (n - 1.0)) if n > 1 else math.inf
    return Score(value, spread / math.sqrt(n))


def paired_difference(
    first: Labels, second: Labels, posterior: Array, weights: Array | None = None
) -> Score:
    """Expected accuracy of ``first`` less that of ``second``; only rows where they differ count.

    The standard error is that of the difference of two accuracies measured on the same N rows with
    true labels drawn from q (N, K): √((mean of q(a) + q(b) where they differ − value²)/N), rows of
    ``weights`` ω (N,) of mean 1 with ω² in it.
    """
    n = len(first)
    rows = np.flatnonzero(first != second)
    w = np.ones(len(rows)) if weights is None else weights[rows]
    a, b = posterior[rows, first[rows]], posterior[rows, second[rows]]
    value = float((w * (a - b)).sum() / n)
    variance = max(float((w**2 * (a + b)).sum() / n) - value**2, 0.0) / n
    return Score(value, math.sqrt(variance))
