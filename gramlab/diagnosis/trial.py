"""A setting, and how it fared on held-out rows: accuracy on true labels that nobody has.

Two estimates of it (docs/diagnose.md), whose faults point in different directions:

``expected``
    mean_i q_i(a_i), q_i the posterior of row i's true label and a_i its prediction, in sample or
    not.
``corrected``
    mean_i C⁻¹[given_i, a_i]. With A[a, given] the table of predictions that did not see the given
    labels, A = M C for the table M of predictions and true labels, whose trace is the accuracy.

Their mean is used, or the first alone where C has no inverse. Two settings are compared row by row,
so that only the rows where they differ count.

Source: the correction as Natarajan et al. (NeurIPS 2013) and Patrini et al. (CVPR 2017), read for
the 0-1 loss; the paired variance is that of McNemar's test (1947), which it becomes where the true
labels are known [D].
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "LABELS",
    "Score",
    "Scoring",
    "Setting",
    "Trial",
    "corrected_accuracy",
    "expected_accuracy",
]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_CLEANED = {
    "drop-suspects": "without suspects",
    "relabel": "proposed labels",
    "soft-labels": "soft labels",
}

LABELS = ("given", *_CLEANED)
"""What there is to train on, the given labels first: see ``gramlab.diagnosis.cleaned``."""


@dataclass(frozen=True, order=True)
class Setting:
    """How to train: λ, trainings with the teacher, ``"top2"`` (of 2 rounds) or ``""``, on what.

    ``labels`` is one of ``LABELS``; others than the given ones are trained on in one round.
    """

    weight_decay: float
    rounds: int = 1
    refine: str = ""
    labels: str = "given"

    @property
    def distils(self) -> bool:
        """Whether there is a student."""
        return self.rounds > 1

    @property
    def total_weight_decay(self) -> float:
        """Λ, what all trainings spend together."""
        return self.rounds * self.weight_decay

    @property
    def cleaned(self) -> bool:
        """Whether the given labels are mended first."""
        return self.labels != LABELS[0]

    @property
    def way(self) -> str:
        """All but the weight decay, in words."""
        if self.refine:
            return "top-2 student"
        if self.cleaned:
            return _CLEANED[self.labels]
        return f"{self.rounds} round{'s' if self.distils else ''}"

    def __str__(self) -> str:
        """In words."""
        return f"{self.way} at {self.weight_decay:.3g}"

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
    ``corrected``, by the inverse of C, or the first alone where C has none. ``agreement`` is the
    share of rows ``predicted`` (N,) as their given label.
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
    inverse = _inverse(matrix)
    if inverse is None:
        return None
    values, n = inverse[given, predicted], len(given)
    w = np.ones(n) if weights is None else weights
    value = float((w * values).mean())
    spread = math.sqrt(float(w**2 @ (values - value) ** 2) / (n - 1.0)) if n > 1 else math.inf
    return Score(value, spread / math.sqrt(n))


def _inverse(matrix: Array) -> Array | None:
    """C⁻¹ (K, K), or None where float64 cannot tell C from one that has none."""
    with np.errstate(all="ignore"):
        condition = np.linalg.cond(matrix)
    if not condition < 1.0 / np.sqrt(np.finfo(np.float64).eps):
        return None
    return np.linalg.inv(matrix).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Scoring:
    """What held-out predictions are scored by: posteriors q (N, K), given labels (N,), C (K, K).

    Rows count by ``weights`` ω (N,) of mean 1, if there are any.
    """

    posterior: Array
    given: Labels
    matrix: Array
    weights: Array | None = None

    @cached_property
    def _correction(self) -> Array | None:
        return _inverse(self.matrix)

    @cached_property
    def _counted(self) -> Array:
        return np.ones(len(self.given)) if self.weights is None else self.weights

    def _values(self, predicted: Labels) -> Array:
        """Estimated accuracy of each row, shape (N,): the mean of both estimates."""
        values = self.posterior[np.arange(len(predicted)), predicted]
        if self._correction is None:
            return values
        return 0.5 * (values + self._correction[self.given, predicted])

    def trial(self, setting: Setting, head: str, predicted: Labels) -> Trial:
        """Score the held-out predictions (N,) of a setting.

        The variance of its accuracy is that of the rows' estimates, and what q leaves open of each
        true label: for q alone the binomial one.
        """
        values, q = self._values(predicted), self.posterior[np.arange(len(predicted)), predicted]
        w, n = self._counted, len(values)
        value = float((w * values).mean())
        variance = float(w**2 @ ((values - value) ** 2 + q * (1.0 - q)))
        known = self.posterior, self.given, self.matrix
        return Trial(
            setting,
            head,
            accuracy=Score(value, math.sqrt(max(variance, 0.0)) / n),
            expected=expected_accuracy(predicted, known[0], self.weights),
            corrected=corrected_accuracy(predicted, *known[1:], self.weights),
            agreement=float((w * (predicted == self.given)).mean()),
            predicted=predicted,
        )

    def difference(self, first: Trial, second: Trial) -> Score:
        """Accuracy of the first trial less that of the second; only rows where they differ count.

        With d_i the difference of row i's estimates and v_i = q(a) + q(b) − (q(a) − q(b))² the
        variance of the true one under q, the standard error is √(Σ_i ω_i² (d_i² + v_i))/N. As in
        McNemar's test the squares are not centred, so that one row alone is never more than its own
        error.
        """
        rows = np.flatnonzero(first.predicted != second.predicted)
        d = (self._values(first.predicted) - self._values(second.predicted))[rows]
        a, b = (self.posterior[rows, one.predicted[rows]] for one in (first, second))
        v, n, w = np.maximum(a + b - (a - b) ** 2, 0.0), len(first.predicted), self._counted[rows]
        return Score(float(w @ d) / n, math.sqrt(float(w**2 @ (d**2 + v))) / n)
