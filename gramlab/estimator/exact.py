"""The exact head, and rounds of it, as scikit-learn classifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from gramlab import validation
from gramlab.distillation import distill
from gramlab.estimator.base import (
    FittedRound,
    HeadClassifier,
    TrainingData,
    read_logits,
    read_rows,
    read_training,
)
from gramlab.estimator.selection import compared
from gramlab.heads.carriers import is_small
from gramlab.heads.fit import Fit
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.certificate import Certificate
from gramlab.runner import group_numbers

__all__ = ["SelfDistillationClassifier", "SoftLabelLogisticRegression"]


class SoftLabelLogisticRegression(HeadClassifier):
    """Multinomial logistic regression on labels or soft labels, exact and certified.

    It minimizes (1/Σw) Σ w_i CE(T_i, softmax(Wᵀx_i)) + (λ/2) ‖W‖² (docs/objective.md).
    ``LogisticRegression(C=1 / (N λ), fit_intercept=False)`` has the same optimum for hard labels
    and unit weights.

    There is no intercept: one that is not penalized would take away the strong convexity that
    the certificates rest on. Append a constant column, whose weights are then penalized like the
    others (``FunctionTransformer(add_dummy_feature)`` in a pipeline). Centring the features does
    not replace it where classes are of unequal size: their logits then average to 0 in each.

    Parameters
    ----------
    weight_decay
        λ > 0, for a *mean* cross-entropy: it does not change with the number of rows.
    tolerance
        Relative duality gap ‖∇L(W)‖²/‖∇L(0)‖² to reach. Small problems are solved further.
    max_passes
        Passes over the features after which the solver gives up, with a ``NotConvergedWarning``.
    classes
        Names of the classes, in the order of the columns. By default 0 … K − 1 for soft labels,
        the sorted labels in y for hard ones; given, it also allows classes that y lacks.
    class_weight
        None, ``"balanced"`` (N over K times the rows of a class, as scikit-learn) or a dict of
        weights ≥ 0 by class, 1 where it has none. A row's weight is multiplied by that of its
        class, or by the mean of those of its soft label.
    normalize
        Whether soft labels y (N, K) are counts of votes, to be divided by their sums. To count
        every vote rather than every row, pass ``sample_weight=y.sum(axis=1)``.

    Attributes
    ----------
    classes_, coef_ : (K,), (K, d)
        Names of the classes; Wᵀ, K rows also for two classes, which sum to zero over classes.
    certificate_ : Certificate
        Float64 bounds on the distance to the optimum, computed from the weights alone.
    n_iter_ : int
        Iterations of the solver.
    n_features_in_, feature_names_in_
        d, and the names of the columns (d,), where X had some.

    Examples
    --------
    >>> import numpy as np
    >>> from gramlab import SoftLabelLogisticRegression
    >>> X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    >>> soft = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    >>> model = SoftLabelLogisticRegression(weight_decay=0.1).fit(X, soft)
    >>> model.predict(X[:2]).tolist(), model.relative_gap_ <= 1e-8
    ([0, 1], True)
    """

    def __init__(
        self,
        weight_decay: float = 1e-3,
        *,
        tolerance: float = 1e-8,
        max_passes: int = 20_000,
        classes: Any = None,
        class_weight: Any = None,
        normalize: bool = False,
    ) -> None:
        self.weight_decay = weight_decay
        self.tolerance = tolerance
        self.max_passes = max_passes
        self.classes = classes
        self.class_weight = class_weight
        self.normalize = normalize

    def _fit(self, data: TrainingData) -> Self:
        self._fit_rounds(data, 1)
        return self

    def _fit_rounds(
        self, data: TrainingData, rounds: int, *, mixing: float = 1.0, **how: Any
    ) -> tuple[FittedRound, ...]:
        """Distil, keep the last round, and return all; ``how`` is for ``distill``."""
        mixing = validation.check_finite("mixing", mixing)
        head = _PolishedHead(
            self.weight_decay,
            sample_weight=data.weights,
            tolerance=self.tolerance,
            max_passes=self.max_passes,
            signed_targets=not 0.0 <= mixing <= 1.0,
        )
        fits = distill(head, data.features, data.targets, rounds, mixing=mixing, **how)
        kept = tuple(FittedRound.of(fit) for fit in fits)
        self.classes_: np.ndarray = data.classes
        self.coef_: np.ndarray = kept[-1].coef
        self.certificate_: Certificate = kept[-1].certificate
        self.n_iter_: int = sum(fitted.n_iter for fitted in kept)
        return kept

    @property
    def relative_gap_(self) -> float:
        """Relative duality gap reached: that of the fit over that at W = 0."""
        check_is_fitted(self)
        return self.certificate_.relative_gap

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, K), in the order of ``classes_``."""
        return softmax(read_logits(self, X), axis=1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithms of the probabilities (n, K)."""
        return log_softmax(read_logits(self, X), axis=1)

    def to_sklearn(self) -> LogisticRegression:
        """The same predictions and probabilities as a fitted ``LogisticRegression``.

        For what knows scikit-learn's own classes only, as converters to ONNX and skops. Its
        intercept is 0, and it has one row of ``coef_`` for two classes. It is for predictions: a
        new ``fit`` of it would solve another problem, that of scikit-learn's default C.
        """
        check_is_fitted(self)
        two = len(self.classes_) == 2
        model = LogisticRegression(fit_intercept=False)
        model.classes_ = self.classes_.copy()
        model.coef_ = self.coef_[1:] - self.coef_[:1] if two else self.coef_.copy()
        model.intercept_ = np.zeros(len(model.coef_))
        model.n_iter_ = np.array([self.n_iter_], dtype=np.int32)
        columns = ("n_features_in_", "feature_names_in_")  # the names where X had some
        vars(model).update({name: vars(self)[name] for name in columns if name in vars(self)})
        return model

    def certified(self, X: Any) -> np.ndarray:
        """Whether each prediction is proved to be that of the exact optimum (n,) bool.

        The margin between the two largest logits exceeds everything that the remaining distance
        ‖W − W*‖ and rounding can change (docs/objective.md).
        """
        rows = read_rows(self, X)
        with np.errstate(over="ignore", invalid="ignore"):  # of rows whose bound is infinite
            top = np.partition(rows @ self.coef_.T, -2, axis=1)[:, -2:]
            return top[:, 1] - top[:, 0] > self.certificate_.logit_bound(rows)


class SelfDistillationClassifier(SoftLabelLogisticRegression):
    """Self-distillation of the exact softmax head; predicts with the last round.

    Round 1, the teacher, is fitted to the given labels, every later round to the predictions of
    the one before on the same rows (arXiv 2402.10482). Every round is solved to a certificate.
    There is no intercept. More rounds are not always better, and a larger weight decay may serve as
    well: ``SelfDistillationClassifier.tuned`` asks held-out rows.

    Parameters
    ----------
    rounds
        Trainings counted from the teacher; 1 is ``SoftLabelLogisticRegression``.
    refine
        ``None``: predictions become targets as they are. ``"top2"``: 1/2 on the two largest of
        each row (the paper's partial-label student). ``"hard"``: 1 on the largest.
    mixing
        ξ: targets are ξ · predictions + (1 − ξ) · given labels; above 1 it takes weight off the
        own label, and targets may leave the simplex, which the certificates allow.
    temperature
        τ > 0 at which predictions are read before they become targets.
    random_state
        Decides ties of ``"top2"`` and ``"hard"``.
    weight_decay, tolerance, max_passes, classes, class_weight, normalize
        As in ``SoftLabelLogisticRegression``, for every round.

    Attributes
    ----------
    coef_, certificate_, relative_gap_
        Of the last round, for the targets it was given.
    rounds_ : tuple of FittedRound
        Weights, certificate and iterations of every round, the teacher first.
    n_iter_ : int
        Iterations of all rounds.
    search_ : dict of arrays
        What ``tuned`` compared; absent otherwise.
    classes_, n_features_in_, feature_names_in_
        As in ``SoftLabelLogisticRegression``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gramlab import SelfDistillationClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SelfDistillationClassifier(rounds=3, weight_decay=1e-2).fit(X - X.mean(0), y)
    >>> len(model.rounds_), model.relative_gap_ <= 1e-8
    (3, True)
    """

    rounds_: tuple[FittedRound, ...]
    search_: dict[str, np.ndarray]

    def __init__(
        self,
        rounds: int = 2,
        weight_decay: float = 1e-3,
        *,
        refine: str | None = None,
        mixing: float = 1.0,
        temperature: float = 1.0,
        tolerance: float = 1e-8,
        max_passes: int = 20_000,
        classes: Any = None,
        class_weight: Any = None,
        normalize: bool = False,
        random_state: Any = 0,
    ) -> None:
        super().__init__(
            weight_decay,
            tolerance=tolerance,
            max_passes=max_passes,
            classes=classes,
            class_weight=class_weight,
            normalize=normalize,
        )
        self.rounds = rounds
        self.refine = refine
        self.mixing = mixing
        self.temperature = temperature
        self.random_state = random_state

    def _fit(self, data: TrainingData) -> Self:
        self.rounds_ = self._fit_rounds(
            data,
            self.rounds,
            refine=self.refine,
            mixing=self.mixing,
            temperature=self.temperature,
            seed=_seed(self.random_state),
        )
        return self

    def staged_predict_proba(self, X: Any) -> Iterator[np.ndarray]:
        """Probabilities (n, K) of each round, the teacher first."""
        rows = read_rows(self, X)
        for fitted in self.rounds_:
            yield softmax(rows @ fitted.coef.T, axis=1)

    def staged_predict(self, X: Any) -> Iterator[np.ndarray]:
        """Predicted classes (n,) of each round, the teacher first."""
        for probabilities in self.staged_predict_proba(X):
            yield self.classes_[probabilities.argmax(axis=1)]

    @classmethod
    def tuned(
        cls,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        rounds: int = 4,
        weight_decays: Sequence[float] | None = None,
        refine: Sequence[str | None] = (None, "top2"),
        folds: int = 5,
        tolerance: float = 1e-8,
        max_passes: int = 20_000,
        classes: Any = None,
        class_weight: Any = None,
        normalize: bool = False,
        random_state: Any = 0,
        groups: Any = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Choose rounds, refinement and weight decay on held-out rows; fit the choice to all rows.

        Every candidate is scored by the share of held-out rows whose *given* label it predicts,
        which ranks true accuracies where noise is symmetric, favours mistakes that the noise makes
        too where it depends on the class, and promises nothing where it depends on the features
        (docs/estimators.md).

        The choice is not the best score, which rewards luck and effort. It has the fewest rounds
        with which a candidate comes within one standard error of the best score, and is the best
        of those with so many. The error is McNemar's, of the paired difference: √(rows that only
        one of the two predicts)/N. So the answer can be ``rounds=1``: do not distil.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``; the weights also weigh the scores.
        rounds
            Most rounds to consider.
        weight_decays
            λ to consider; by default 10⁻⁵, …, 10⁻¹ times the mean of ‖x‖².
        refine
            Refinements to consider, ``None`` at all rounds and ``"top2"`` at round 2.
        folds
            Parts of the rows, each held out once.
        tolerance, max_passes, classes, class_weight, normalize, random_state
            As for the constructor; class weights also weigh the scores, and the last decides the
            folds too.
        groups
            Whole numbers or texts (N,), one for each row of X: rows of one group are held out
            together (patients, videos). By default those are the copies of one row.
        progress
            Called with (distillations done, distillations in all).

        Returns
        -------
        SelfDistillationClassifier
            Fitted to all rows, with the table of candidates as ``search_``: ``weight_decay``,
            ``rounds``, ``refine``, ``score``, ``standard_error``, ``behind`` (the best score),
            ``behind_error`` and ``chosen``, one entry per candidate.

        Raises
        ------
        ValueError
            As for ``fit``.
        """
        solver = {"tolerance": tolerance, "max_passes": max_passes}
        labels = {"classes": classes, "normalize": normalize}
        model = cls(class_weight=class_weight, random_state=random_state, **labels, **solver)
        data, seed = read_training(model, X, y, sample_weight), _seed(random_state)
        if groups is not None and sample_weight is not None:  # rows of weight 0 take no part
            weights = np.broadcast_to(sample_weight, len(X))
            groups = group_numbers(groups, len(weights))[weights > 0.0]
        model.search_ = table = compared(
            data, rounds, weight_decays, tuple(refine), folds, seed, progress, groups, **solver
        )
        best = int(table["chosen"].argmax())
        model.set_params(
            rounds=int(table["rounds"][best]),
            weight_decay=float(table["weight_decay"][best]),
            refine=table["refine"][best],
        )
        return model._fit(data)


def _seed(random_state: Any) -> int:
    if isinstance(random_state, (int, np.integer)) and random_state >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


class _PolishedHead(SoftmaxHead):
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
        # The work of both; whether the tolerance was met is the first one's to say.
        return then.reported(
            replace(
                first.stats,
                passes=first.stats.passes + then.stats.passes,
                iterations=first.stats.iterations + then.stats.iterations,
            )
        )
