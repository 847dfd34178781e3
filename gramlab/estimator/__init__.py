"""The heads as scikit-learn classifiers: exact, distilled, and label averaging."""

from gramlab.estimator.averaging import LabelAveragingClassifier
from gramlab.estimator.distilled import SelfDistillationClassifier
from gramlab.estimator.logistic import SoftLabelLogisticRegression

__all__ = [
    "LabelAveragingClassifier",
    "SelfDistillationClassifier",
    "SoftLabelLogisticRegression",
]
