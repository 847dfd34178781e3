"""SoftLabelLogisticRegression: the exact head as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any, Self

from gramlab.estimator.base import ExactClassifier, FittedRound, PolishedHead, TrainingData

__all__ = ["SoftLabelLogisticRegression"]


class SoftLabelLogisticRegression(ExactClassifier):
    """Multinomial logistic regression on labels or soft labels, exact and certified.

    It minimizes (1/Σw) Σ w_i CE(T_i, softmax(Wᵀx_i)) + (λ/2) ‖W‖² (docs/objective.md).
    ``LogisticRegression(C=1 / (N λ), fit_intercept=False)`` has the same optimum for hard labels
    and unit weights.

    There is no intercept: one that is not penalized would take away the strong convexity that
    the certificates rest on. Centre the features (``StandardScaler(with_std=False)`` in a
    pipeline), or append a constant column, whose weight is then penalized like the others.

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

    Attributes
    ----------
    classes_ : (K,)
        Names of the classes.
    coef_ : (K, d)
        Wᵀ; K rows also for two classes. They sum to zero over classes.
    certificate_ : Certificate
        Float64 bounds on the distance to the optimum, computed from the weights alone.
    relative_gap_ : float
        The relative duality gap reached.
    n_iter_ : int
        Iterations of the solver.
    n_features_in_ : int
        d.
    feature_names_in_ : (d,)
        Names of the columns, where X had some.

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
    ) -> None:
        self.weight_decay = weight_decay
        self.tolerance = tolerance
        self.max_passes = max_passes
        self.classes = classes

    def _fit(self, data: TrainingData) -> Self:
        head = PolishedHead(
            self.weight_decay,
            sample_weight=data.weights,
            tolerance=self.tolerance,
            max_passes=self.max_passes,
        )
        self.classes_ = data.classes
        fitted = FittedRound.of(head.fit(data.features, data.targets))
        self.coef_, self.certificate_, self.n_iter_ = fitted
        return self
