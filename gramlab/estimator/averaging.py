"""LabelAveragingClassifier: the closed form as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from gramlab import validation
from gramlab.estimator.base import FittedRound, HeadClassifier, TrainingData, read_logits
from gramlab.heads.closed_form import LinearizedHead
from gramlab.numerics.certificate import Certificate

__all__ = ["LabelAveragingClassifier", "simplex_projection"]


def simplex_projection(values: np.ndarray) -> np.ndarray:
    """Nearest points of the simplex in Euclidean distance, by rows of ``values`` (n, K).

    max(v − θ, 0) with the one θ that makes it sum to 1 (Held, Wolfe and Crowder 1974): the order
    of classes stays, and a row that is on the simplex does too, up to rounding.
    """
    descending = -np.sort(-values, axis=1)
    excess = np.cumsum(descending, axis=1) - 1.0
    positive = descending * np.arange(1, values.shape[1] + 1) > excess
    count = positive.sum(axis=1)
    threshold = excess[np.arange(len(values)), count - 1] / count
    return np.maximum(values - threshold[:, None], 0.0)


class LabelAveragingClassifier(HeadClassifier):
    """Rounds of self-distillation of the linearized softmax: labels averaged, in closed form.

    Predictions are p(x) = 1/K + (1/K) Wᵀx with W = K X⁺ h(G)^t (Y − 1/K), h(s) = s/(s + μ),
    μ = K N λ (arXiv 2402.10482; docs/objective.md). One factorization serves every round. There
    is no intercept: append a constant column, whose weights are then penalized like the others.
    Centring the features does not replace it where classes are of unequal size: predictions then
    average to 1/K in each class.

    p sums to 1 over classes but is linear in x and can leave [0, 1]. ``decision_function`` gives
    it as it is, less 1/K; ``predict_proba`` gives its Euclidean projection onto the simplex, which
    keeps the leading class, and holds exact zeros, so there is no ``predict_log_proba``.

    Parameters
    ----------
    rounds
        t ≥ 1, trainings counted from the teacher.
    weight_decay
        λ > 0.
    classes, class_weight, normalize
        As in ``SoftLabelLogisticRegression``.

    Attributes
    ----------
    certificate_ : Certificate
        How far W can be from the *exact* head of the same round, on the same targets: a large
        ``relative_gap`` says that the linear theory is no stand-in for it here.
    classes_, coef_, n_features_in_, feature_names_in_
        As in ``SoftLabelLogisticRegression``.

    Examples
    --------
    >>> import numpy as np
    >>> from gramlab import LabelAveragingClassifier
    >>> X = np.array([[1.0, 0.1], [0.9, -0.1], [-1.0, 0.0], [-0.8, 0.1]])
    >>> model = LabelAveragingClassifier(rounds=3).fit(X, ["a", "a", "b", "b"])
    >>> model.predict([[2.0, 0.0]]).tolist()
    ['a']
    """

    def __init__(
        self,
        rounds: int = 2,
        weight_decay: float = 1e-3,
        *,
        classes: Any = None,
        class_weight: Any = None,
        normalize: bool = False,
    ) -> None:
        self.rounds = rounds
        self.weight_decay = weight_decay
        self.classes = classes
        self.class_weight = class_weight
        self.normalize = normalize

    def _fit(self, data: TrainingData) -> Self:
        rounds = validation.check_integer("rounds", self.rounds, 1)
        head = LinearizedHead(self.weight_decay, sample_weight=data.weights)
        found = head.rounds_at_once(data.features, data.targets, rounds)
        kept = FittedRound.of(found)
        self.classes_: np.ndarray = data.classes
        self.coef_: np.ndarray = kept.coef
        self.certificate_: Certificate = kept.certificate
        return self

    def _scores(self, X: Any) -> np.ndarray:
        """Deviations p − 1/K (n, K): beside 1/K, the signal would drown after many rounds."""
        return read_logits(self, X) / self.coef_.shape[0]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The point of the simplex nearest to p, by rows (n, K)."""
        deviations = self._scores(X)
        return simplex_projection(1.0 / deviations.shape[1] + deviations)
