"""What the classifiers share: reading X, y and weights, and predicting from a linear head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
import scipy
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
from gramlab.heads.fit import Fit
from gramlab.heads.problem import as_features
from gramlab.machine.memory import check_memory
from gramlab.numerics.certificate import Certificate

__all__ = [
    "FittedRound",
    "HeadClassifier",
    "TrainingData",
    "read_logits",
    "read_rows",
    "read_training",
]


class TrainingData(NamedTuple):
    """What a fit reads: rows of positive weight only, whose targets (N, K) are on the simplex."""

    features: Features
    targets: np.ndarray
    classes: np.ndarray  # (K,) names of the columns
    weights: np.ndarray | None  # (N,), None where none are given


class FittedRound(NamedTuple):
    """One training: Wᵀ (K, d), a certificate that needs the data no more, the solver's iterations.

    The certificate is about the optimum for the targets that the round was given.
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
    class_weight: Any
    normalize: bool
    classes_: np.ndarray
    coef_: np.ndarray
    certificate_: Certificate

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to labels y (N,), or to soft labels y (N, K) with rows that sum to 1.

        Sparse X is made dense, rows in CSR form or any that SciPy makes CSR of.

        Parameters
        ----------
        X : (N, d)
            Features.
        y : (N,) or (N, K)
            Class names, or a distribution over classes for every row; with ``normalize``
            counts of votes, booleans that mark candidate labels, or any numbers ≥ 0 that a
            distribution is proportional to.
        sample_weight : (N,), optional
            Weights ≥ 0; only their ratios matter, and a whole number counts repeated rows. Rows
            of weight 0 take no part.

        Raises
        ------
        ValueError
            On bad input, in scikit-learn's words or as a ``GramlabError``.
        NotEnoughMemory
            If sparse X would not fit as a dense matrix.

        Warns
        -----
        NotConvergedWarning
            If an exact head did not reach the tolerance.
        """
        return self._fit(read_training(self, X, y, sample_weight))

    def _fit(self, data: TrainingData) -> Self:
        """Solve for ``coef_`` and ``certificate_``."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        """scikit-learn's tags: also sparse X is taken, and class weights meet no threshold.

        Its own check of class weights wants nearly all rows predicted as the heavy class. Without
        an intercept no boundary leaves the origin, and ``LogisticRegression`` fails it, too; the
        tag by which it is waived is that of a poor score.
        """
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.poor_score = True
        return tags

    def _scores(self, X: Any) -> np.ndarray:
        """What classes are ranked by (n, K)."""
        return read_logits(self, X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores by class (n, K); for two classes, that of the second over the first (n,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Most probable classes (n,)."""
        scores = self._scores(X)  # says so if there is no fit yet
        return self.classes_[scores.argmax(axis=1)]


def read_training(estimator: HeadClassifier, X: Any, y: Any, sample_weight: Any) -> TrainingData:
    """Check the input, in scikit-learn's words where it has some for the fault."""
    # By rows, as tables are not: the last bit of a product depends on the layout on some CPUs.
    kinds = {"dtype": [np.float64, np.float32], "order": "C", "accept_sparse": "csr"}
    X, y = validate_data(estimator, X, y, multi_output=True, **kinds)
    X = _dense(X)
    classes = None if estimator.classes is None else np.asarray(estimator.classes)
    if classes is not None and not (classes.ndim == 1 and 2 <= len(classes) == len({*classes})):
        raise errors.InvalidSetting(
            f"classes must be a list of at least 2 different class names, got {estimator.classes!r}"
        )
    if y.ndim == 2 and y.shape[1] > 1:
        if estimator.normalize:
            y = _shares(y)
        targets = validation.check_targets(y, len(X), name="y")
        classes = np.arange(targets.shape[1]) if classes is None else classes
        if len(classes) != targets.shape[1]:
            raise errors.InvalidSetting(
                f"classes must name the {targets.shape[1]} columns of y, got {len(classes)} names"
            )
    else:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        classes = np.unique(y) if classes is None else classes
        targets = (y[:, None] == classes).astype(np.float64)
        if not targets.any(axis=1).all():
            unseen = np.unique(y[~targets.any(axis=1)]).tolist()
            raise errors.InvalidLabels(
                f"y contains previously unseen labels: {unseen}; classes names {classes.tolist()}"
            )
    names = classes.tolist()
    validation.check_different(names, "names of classes", errors.InvalidLabels)
    where = weights = None
    if sample_weight is not None:
        try:
            weights = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        except ValueError as problem:
            raise errors.InvalidSetting(
                f"sample_weight must be {len(X)} finite weights of at least 0, one per row of X, "
                f"not all zero ({problem}); leave it out to weight all rows alike"
            ) from problem
    weights = _weighted(estimator.class_weight, names, targets, weights)
    if weights is not None and not (kept := weights > 0.0).all():
        X, y, targets, weights = X[kept], y[kept], targets[kept], weights[kept]
        where = " with positive sample_weight"
    if y.ndim == 1 and len(present := np.unique(y)) < 2:
        found = f": {present[0]!r}" if len(present) else ""
        raise errors.InvalidLabels(
            f"This solver needs samples of at least 2 classes in the data{where or ''}, but "
            f"the data contains only {len(present)} class{found}"
        )
    if len(X) < 2:
        raise errors.InvalidLabels(
            f"X must have at least 2 rows with positive sample_weight, got {len(X)}"
        )
    return TrainingData(as_features(X, targets), targets, classes, weights)


def read_rows(estimator: HeadClassifier, X: Any) -> np.ndarray:
    """Rows to predict (n, d), checked against those of the fit."""
    check_is_fitted(estimator)
    kinds = {"dtype": np.float64, "order": "C", "accept_sparse": "csr"}
    return _dense(validate_data(estimator, X, reset=False, **kinds))


def read_logits(estimator: HeadClassifier, X: Any) -> np.ndarray:
    """XW (n, K) of rows to predict."""
    rows = read_rows(estimator, X)
    with np.errstate(over="ignore", invalid="ignore"):  # judged by the next line
        return validation.check_logits(rows @ estimator.coef_.T, "X")


def _dense(X: Any) -> np.ndarray:
    """Rows as an array, those of a sparse matrix too, or NotEnoughMemory."""
    if not scipy.sparse.issparse(X):
        return np.asarray(X)
    needed = 8 * X.shape[0] * X.shape[1]
    what = f"sparse X of shape {X.shape} as a dense matrix"
    check_memory(needed, what, "pass fewer rows, or reduce the columns (TruncatedSVD) first")
    return X.toarray(order="C")


def _shares(votes: np.ndarray) -> np.ndarray:
    """Rows (N, K) of numbers ≥ 0 divided by their sums, or InvalidTargets."""
    votes = np.asarray(votes, dtype=np.float64)
    validation.check_entries(
        votes,
        lambda block: block >= 0.0,
        "y must hold numbers of at least 0 to be normalized, got {entry}; mend that row",
        errors.InvalidTargets,
    )
    total = votes.sum(axis=1, keepdims=True)
    if not (total > 0.0).all():
        empty = int((total[:, 0] == 0.0).argmax())
        raise errors.InvalidTargets(
            f"y must have a vote in every row to be normalized, got none in row {empty}; leave "
            "such rows out, or fill them with 1 where nothing is known"
        )
    return votes / total


def _weighted(
    asked: Any, names: list[Any], targets: np.ndarray, weights: np.ndarray | None
) -> np.ndarray | None:
    """Weights of rows (N,) times those of their classes, by their targets (N, K)."""
    if asked is None:
        return weights
    rows = np.ones(len(targets)) if weights is None else weights
    if isinstance(asked, str) and asked == "balanced":
        counts = rows @ targets
        by_class = np.zeros(len(names))  # a class without rows weighs nothing
        np.divide(rows.sum(), len(names) * counts, out=by_class, where=counts > 0.0)
    elif isinstance(asked, Mapping):
        if unknown := [name for name in asked if name not in names]:
            raise errors.InvalidSetting(
                f"class_weight must name classes of y, {names}, got {unknown}; leave these out"
            )
        given = {name: validation.check_finite("class_weight", asked[name]) for name in asked}
        if negative := [name for name in given if given[name] < 0.0]:
            raise errors.InvalidSetting(
                f"class_weight must be at least 0 for every class, got {given[negative[0]]} for "
                f"{negative[0]!r}; weigh the other classes more instead"
            )
        by_class = np.array([given.get(name, 1.0) for name in names])
    else:
        raise errors.InvalidSetting(
            f'class_weight must be None, "balanced" or a dict of weights by class, got {asked!r}'
        )
    return rows * (targets @ by_class)
