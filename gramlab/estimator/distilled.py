"""SelfDistillationClassifier: rounds of the exact head as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from scipy.special import softmax
from sklearn.utils import check_random_state

from gramlab import validation
from gramlab.distillation import distill
from gramlab.estimator.base import (
    ExactClassifier,
    FittedRound,
    PolishedHead,
    TrainingData,
    read_rows,
    read_training,
)
from gramlab.estimator.selection import compared

__all__ = ["SelfDistillationClassifier"]


class SelfDistillationClassifier(ExactClassifier):
    """Self-distillation of the exact softmax head; predicts with the last round.

    Round 1, the teacher, is fitted to the given labels, every later round to the predictions of
    the one before on the same rows (arXiv 2402.10482). Every round is solved to a certificate.
    There is no intercept: centre the features, or append a constant column.

    More rounds are not always better, and a larger weight decay may serve as well:
    ``SelfDistillationClassifier.tuned`` asks held-out rows.

    Parameters
    ----------
    rounds
        Trainings counted from the teacher; 1 is ``SoftLabelLogisticRegression``.
    weight_decay
        λ > 0, for a mean cross-entropy.
    refine
        ``None``: predictions become targets as they are. ``"top2"``: 1/2 on the two largest of
        each row (the paper's partial-label student).
    mixing
        ξ: targets are ξ · predictions + (1 − ξ) · given labels; above 1 it takes weight off the
        own label, and targets may leave the simplex, which the certificates allow.
    temperature
        τ > 0 at which predictions are read before they become targets.
    tolerance
        Relative duality gap that every round reaches. Small problems are solved further.
    max_passes
        Passes over the features after which a round gives up, with a ``NotConvergedWarning``.
    classes
        Names of the classes, as in ``SoftLabelLogisticRegression``.
    random_state
        Decides ties of ``"top2"``.

    Attributes
    ----------
    classes_ : (K,)
        Names of the classes.
    coef_ : (K, d)
        Wᵀ of the last round.
    certificate_ : Certificate
        Of the last round, for the targets it was given.
    relative_gap_ : float
        The relative duality gap of the last round.
    rounds_ : tuple of FittedRound
        Weights, certificate and iterations of every round, the teacher first.
    n_iter_ : int
        Iterations of all rounds.
    n_features_in_ : int
        d.
    feature_names_in_ : (d,)
        Names of the columns, where X had some.
    search_ : dict of arrays
        What ``tuned`` compared; absent otherwise.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gramlab import SelfDistillationClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SelfDistillationClassifier(rounds=3, weight_decay=1e-2).fit(X - X.mean(0), y)
    >>> len(model.rounds_), model.relative_gap_ <= 1e-8
    (3, True)
    """

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
        random_state: Any = 0,
    ) -> None:
        self.rounds = rounds
        self.weight_decay = weight_decay
        self.refine = refine
        self.mixing = mixing
        self.temperature = temperature
        self.tolerance = tolerance
        self.max_passes = max_passes
        self.classes = classes
        self.random_state = random_state

    def _fit(self, data: TrainingData) -> Self:
        mixing = validation.check_finite("mixing", self.mixing)
        head = PolishedHead(
            self.weight_decay,
            sample_weight=data.weights,
            tolerance=self.tolerance,
            max_passes=self.max_passes,
            signed_targets=not 0.0 <= mixing <= 1.0,
        )
        fits = distill(
            head,
            data.features,
            data.targets,
            self.rounds,
            refine=self.refine,
            mixing=mixing,
            temperature=self.temperature,
            seed=_seed(self.random_state),
        )
        self.classes_ = data.classes
        self.rounds_ = tuple(FittedRound.of(fit) for fit in fits)
        self.coef_, self.certificate_, _ = self.rounds_[-1]
        self.n_iter_ = sum(fitted.n_iter for fitted in self.rounds_)
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
        random_state: Any = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Choose rounds, refinement and weight decay on held-out rows; fit the choice to all rows.

        Every candidate is scored by the share of held-out rows whose *given* label it predicts.
        Where noise depends on the class alone and every class keeps its own name more often than
        it takes any other, the true labels score best. Under symmetric noise the expected score is
        an increasing affine function of the true accuracy, so every pair of candidates is ranked
        right; under other noise a mistake that the noise makes too scores more than one it does
        not. Where noise depends on the features, nothing is promised (docs/estimators.md).

        The choice is not the best score, which rewards luck and effort. It has the fewest rounds
        with which a candidate comes within one standard error of the best score, and is the best
        of those with so many. The error is McNemar's, of the paired difference: √(rows that only
        one of the two predicts)/N. So the answer can be ``rounds=1``, with or without a larger
        weight decay: do not distil.

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
            Parts of the rows, each held out once. The rows of a fold are factorized once, for all
            candidates, and rounds 1 … t of one λ come from one distillation.
        tolerance, max_passes, classes
            As for the constructor.
        random_state
            Decides the folds and the ties of ``"top2"``.
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
            On bad input, in scikit-learn's words or as a ``GramlabError``.
        """
        model = cls(
            tolerance=tolerance, max_passes=max_passes, classes=classes, random_state=random_state
        )
        data = read_training(model, X, y, sample_weight)
        model.search_ = table = compared(
            data,
            rounds=rounds,
            weight_decays=weight_decays,
            refine=refine,
            parts=folds,
            tolerance=tolerance,
            max_passes=max_passes,
            seed=_seed(random_state),
            progress=progress,
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
