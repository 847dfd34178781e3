"""What the classifiers share: reading X, y and weights, and predicting from a linear head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.heads.carriers import is_small
from gramlab.heads.fit import Fit
from gramlab.heads.problem import as_features
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.certificate import Certificate
from gramlab.targets import one_hot

__all__ = ["ExactClassifier", "FittedRound", "HeadClassifier", "PolishedHead", "TrainingData"]


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


class PolishedHead(SoftmaxHead):
    """A head that solves small problems as far as is easily had, far beyond the tolerance: equal
    problems get equal answers, however they were posed.
    """

    def minimize(self, referee: SoftmaxObjective, start: np.ndarray | None = None) -> Fit:
        """Minimize, and where the problem is small go on; to get no further is no failure."""
        first = super().minimize(referee, start)
        if not first.stats.converged or not is_small(referee.features, referee.n_classes):
            return first
        passes = max(50, int(first.stats.passes))
        further = SoftmaxHead(self.weight_decay, tolerance=1e-24, max_passes=passes)
        then = further.minimize(referee, first.weights)
        return then.reported(
            replace(
                first.stats,
                passes=first.stats.passes + then.stats.passes,
                iterations=first.stats.iterations + then.stats.iterations,
            )
        )


class FittedRound(NamedTuple):
    """One training, with a certificate that needs the data no more.

    Attributes
    ----------
    coef : (K, d)
        Wᵀ.
    certificate
        Its distance to the optimum for the targets it was given.
    n_iter
        Iterations of the solver.
    """

    coef: np.ndarray
    certificate: Certificate
    n_iter: int

    @classmethod
    def of(cls, fit: Fit) -> Self:
        """What is kept of a fit; its Newton decrement is computed now."""
        certificate = replace(fit.certificate, decrement=fit.certificate.newton_decrement)
        weights = np.ascontiguousarray(fit.weights.T)
        return cls(weights, certificate, max(1, fit.stats.iterations))


class HeadClassifier(ClassifierMixin, BaseEstimator):
    """A linear head on rows of features: ``fit`` reads, a subclass solves for ``coef_``."""

    # Set by the subclasses' constructors and fits.
    classes: Any
    classes_: np.ndarray
    coef_: np.ndarray
    certificate_: Certificate

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to labels y (N,), or to soft labels y (N, K) with rows that sum to 1.

        Parameters
        ----------
        X : (N, d)
            Features.
        y : (N,) or (N, K)
            Class names, or a distribution over classes for every row.
        sample_weight : (N,), optional
            Weights ≥ 0; only their ratios matter, and a whole number counts repeated rows. Rows
            of weight 0 take no part.

        Raises
        ------
        ValueError
            On bad input, in scikit-learn's words or as a ``GramlabError``.

        Warns
        -----
        NotConvergedWarning
            If an exact head did not reach the tolerance.
        """
        return self._fit(read_training(self, X, y, sample_weight))

    def _fit(self, data: TrainingData) -> Self:
        """Solve for ``coef_`` and ``certificate_``."""
        raise NotImplementedError

    def _scores(self, X: Any) -> np.ndarray:
        """What classes are ranked by (n, K)."""
        rows = read_rows(self, X)
        with np.errstate(over="ignore", invalid="ignore"):  # judged by the next line
            return validation.check_logits(rows @ self.coef_.T, "X")

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores by class (n, K); for two classes, that of the second over the first (n,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Most probable classes (n,)."""
        scores = self._scores(X)  # says so if there is no fit yet
        return self.classes_[scores.argmax(axis=1)]


class ExactClassifier(HeadClassifier):
    """A head with softmax predictions and a certificate on its distance to the optimum."""

    @property
    def relative_gap_(self) -> float:
        """Duality gap of the fit over that at W = 0."""
        check_is_fitted(self)
        return self.certificate_.relative_gap

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, K), in the order of ``classes_``."""
        return softmax(self._scores(X), axis=1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities (n, K)."""
        return log_softmax(self._scores(X), axis=1)

    def certified(self, X: Any) -> np.ndarray:
        """Whether each prediction is proved to be that of the exact optimum (n,) bool.

        The margin between the two largest logits exceeds everything that the remaining distance
        ‖W − W*‖ and rounding can change (docs/objective.md).
        """
        rows = read_rows(self, X)
        with np.errstate(over="ignore", invalid="ignore"):  # of rows whose bound is infinite
            top = np.partition(rows @ self.coef_.T, -2, axis=1)[:, -2:]
            return top[:, 1] - top[:, 0] > self.certificate_.logit_bound(rows)


def read_training(estimator: HeadClassifier, X: Any, y: Any, sample_weight: Any) -> TrainingData:
    """Check the input, in scikit-learn's words where it has some for the fault."""
    # By rows, as tables are not: the last bit of a product depends on the layout on some CPUs.
    X, y = validate_data(
        estimator, X, y, dtype=[np.float64, np.float32], order="C", multi_output=True
    )
    known = None if estimator.classes is None else np.asarray(estimator.classes)
    if known is not None and (
        known.ndim != 1 or len(known) < 2 or len(np.unique(known)) < len(known)
    ):
        raise errors.InvalidSetting(
            f"classes must be a list of at least 2 different class names, got {estimator.classes!r}"
        )
    if y.ndim == 2 and y.shape[1] > 1:
        targets = validation.check_targets(y, len(X), name="y")
        classes = np.arange(targets.shape[1]) if known is None else known
        if len(classes) != targets.shape[1]:
            raise errors.InvalidSetting(
                f"classes must name the {targets.shape[1]} columns of y, got {len(classes)} names"
            )
    else:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        present = np.unique(y)
        classes = present if known is None else known
        _check_two(present)
        numbers = {name: number for number, name in enumerate(classes.tolist())}
        if unseen := [name for name in present.tolist() if name not in numbers]:
            raise errors.InvalidLabels(
                f"y contains previously unseen labels: {unseen}; classes names {classes.tolist()}"
            )
        targets = one_hot([numbers[name] for name in y.tolist()], len(classes))
    weights = None
    if sample_weight is not None:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
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


def read_rows(estimator: HeadClassifier, X: Any) -> np.ndarray:
    """Rows to predict (n, d), checked against those of the fit."""
    check_is_fitted(estimator)
    return np.asarray(validate_data(estimator, X, reset=False, dtype=np.float64, order="C"))


def _check_two(present: np.ndarray, where: str = "") -> None:
    if len(present) < 2:
        found = f": {present[0]!r}" if len(present) else ""
        raise errors.InvalidLabels(
            f"This solver needs samples of at least 2 classes in the data{where}, but the data "
            f"contains only {len(present)} class{found}"
        )
