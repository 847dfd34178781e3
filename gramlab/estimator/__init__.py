"""The heads as scikit-learn classifiers: exact, distilled, and label averaging."""

from gramlab.estimator.averaging import LabelAveragingClassifier
from gramlab.estimator.exact import SelfDistillationClassifier, SoftLabelLogisticRegression

__all__ = [
    "LabelAveragingClassifier",
    "SelfDistillationClassifier",
    "SoftLabelLogisticRegression",
]
