"""What the estimators share: reading X, y and weights, choosing a head, predicting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from gramlab import errors, validation
from gramlab.certificate import Certificate
from gramlab.features import Features
from gramlab.heads.carriers import is_small
from gramlab.heads.fit import Fit, as_features
from gramlab.heads.referee import SoftmaxObjective, softmax
from gramlab.heads.softmax import SoftmaxHead
from gramlab.targets import one_hot

__all__ = ["ExactClassifier", "HeadClassifier", "TrainingData", "exact_head", "settled"]

_POLISHED_GAP = 1e-24
_POLISH_PASSES = 50  # at least; to miss the gap is no failure


class TrainingData(NamedTuple):
    """What a fit reads: rows of positive weight only.

    Attributes
    ----------
    features
        Rows x (N, d).
    targets : (N, K)
        Rows on the simplex.
    classes : (K,)
        Names of the columns.
    weights : (N,) or None
        Weights of the rows; None where all are equal.
    """

    features: Features
    targets: np.ndarray
    classes: np.ndarray
    weights: np.ndarray | None


def exact_head(
    data: TrainingData,
    weight_decay: float,
    tolerance: float,
    max_passes: int,
    *,
    polish: bool,
    signed: bool = False,
) -> SoftmaxHead:
    """The exact head for one problem; ``polish`` solves small ones far beyond the tolerance."""
    small = is_small(data.features, len(data.classes))
    return (_PolishedHead if small and polish else SoftmaxHead)(
        weight_decay,
        sample_weight=data.weights,
        tolerance=tolerance,
        max_passes=max_passes,
        signed_targets=signed,
    )


class _PolishedHead(SoftmaxHead):
    """A head that goes on from the tolerance as far as is easily had: equal problems get equal
    answers, however they were posed.
    """

    def minimize(self, objective: SoftmaxObjective, start: np.ndarray | None = None) -> Fit:
        """Minimize twice, if the tolerance was met at first."""
        first = super().minimize(objective, start)
        if not first.stats.converged:
            return first
        further = SoftmaxHead(
            self.weight_decay,
            tolerance=_POLISHED_GAP,
            max_passes=max(_POLISH_PASSES, int(first.stats.passes)),
        )
        then = further.minimize(objective, first.weights)
        stats = replace(
            first.stats,
            passes=first.stats.passes + then.stats.passes,
            iterations=first.stats.iterations + then.stats.iterations,
        )
        return then.reported(stats)


def settled(certificate: Certificate) -> Certificate:
    """The certificate with its Newton decrement computed, so that it needs the data no more."""
    return replace(certificate, decrement=certificate.newton_decrement)


class HeadClassifier(ClassifierMixin, BaseEstimator):
    """A linear head on rows of features; subclasses fit ``coef_``."""

    # Set by the subclasses' constructors and fits.
    classes: Any
    classes_: np.ndarray
    coef_: np.ndarray

    def _read(self, X: Any, y: Any, sample_weight: Any) -> TrainingData:
        """Check the input, in scikit-learn's words where it has some for the fault.

        Raises
        ------
        InvalidLabels, InvalidTargets, InvalidSetting
            If there are not two classes, soft rows are off the simplex, or ``classes`` is at odds
            with y. All are ``ValueError``.
        """
        # By rows, as tables are not: the last bit of a product depends on the layout on some CPUs.
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", multi_output=True
        )
        known = None if self.classes is None else _checked_classes(self.classes)
        if y.ndim == 2 and y.shape[1] > 1:
            targets = validation.check_targets(y, len(X), name="y")
            if known is not None and len(known) != targets.shape[1]:
                raise errors.InvalidSetting(
                    f"classes must name the {targets.shape[1]} columns of y, got {len(known)} names"
                )
            classes = np.arange(targets.shape[1]) if known is None else known
        else:
            y = column_or_1d(y, warn=True)
            check_classification_targets(y)
            classes = np.unique(y) if known is None else known
            _check_two(np.unique(y))
            targets = one_hot(_codes(y, classes), len(classes))
        if sample_weight is None:
            weights = None
        else:
            weights = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
            kept = weights > 0.0
            if not kept.all():
                X, targets, weights = X[kept], targets[kept], weights[kept]
                if y.ndim == 1:
                    _check_two(np.unique(y[kept]), " with positive sample_weight")
            if len(weights) and (weights == weights[0]).all():
                weights = None
        if len(X) < 2:
            raise errors.InvalidLabels(
                f"X must have at least 2 rows with positive sample_weight, got {len(X)}"
            )
        return TrainingData(as_features(X, targets), targets, classes, weights)

    def _rows(self, X: Any) -> np.ndarray:
        """Rows to predict (n, d), checked against those of the fit."""
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, reset=False, dtype=np.float64, order="C"))

    def _scores(self, X: Any) -> np.ndarray:
        """What classes are ranked by (n, K)."""
        rows = self._rows(X)
        with np.errstate(over="ignore", invalid="ignore"):  # judged by the next line
            return validation.check_logits(rows @ self.coef_.T, "X")

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores by class (n, K); for two classes, that of the second over the first (n,)."""
        return two_class_form(self._scores(X))

    def predict(self, X: Any) -> np.ndarray:
        """Most probable classes (n,)."""
        scores = self._scores(X)
        return self.classes_[scores.argmax(axis=1)]


class ExactClassifier(HeadClassifier):
    """A head with softmax predictions and a certificate on its distance to the optimum."""

    certificate_: Certificate

    @property
    def relative_gap_(self) -> float:
        """Duality gap of the fit over that at W = 0."""
        check_is_fitted(self)
        return self.certificate_.relative_gap

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, K), in the order of ``classes_``."""
        return softmax(self._scores(X))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities (n, K)."""
        scores = self._scores(X)
        scores -= scores.max(axis=1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    def certified(self, X: Any) -> np.ndarray:
        """Whether each prediction is proved to be that of the exact optimum (n,) bool.

        The margin between the two largest logits exceeds everything that the remaining distance
        ‖W − W*‖ and rounding can change (docs/objective.md).
        """
        rows = self._rows(X)
        with np.errstate(over="ignore", invalid="ignore"):  # of rows whose bound is infinite
            top = np.partition(rows @ self.coef_.T, -2, axis=1)[:, -2:]
            return top[:, 1] - top[:, 0] > self.certificate_.logit_bound(rows)


def two_class_form(scores: np.ndarray) -> np.ndarray:
    """Scores (n, K), or for K = 2 their difference (n,), as scikit-learn has it."""
    return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores


def _checked_classes(classes: Any) -> np.ndarray:
    known = np.asarray(classes)
    if known.ndim != 1 or len(known) < 2 or len(np.unique(known)) < len(known):
        raise errors.InvalidSetting(
            f"classes must be a list of at least 2 different class names, got {classes!r}"
        )
    return known


def _codes(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(classes.tolist())}
    unseen = [name for name in np.unique(y).tolist() if name not in numbers]
    if unseen:
        raise errors.InvalidLabels(
            f"y contains previously unseen labels: {unseen}; classes names {classes.tolist()}"
        )
    return np.array([numbers[name] for name in y.tolist()])


def _check_two(present: np.ndarray, where: str = "") -> None:
    if len(present) < 2:
        found = f": {present[0]!r}" if len(present) else ""
        raise errors.InvalidLabels(
            f"This solver needs samples of at least 2 classes in the data{where}, but the data "
            f"contains only {len(present)} class{found}"
        )
