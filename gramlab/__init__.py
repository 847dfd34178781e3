"""gramlab: self-distillation theory, checked against the exact heads.

``import gramlab`` loads NumPy and SciPy and nothing heavier; what needs JAX, scikit-learn or
Matplotlib is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gramlab.cache import open_features, save_features
from gramlab.certificate import Certificate
from gramlab.errors import GramlabError, NotConvergedWarning
from gramlab.features import Features
from gramlab.labels import CorruptedLabels, corrupt_labels, corruption_matrix
from gramlab.sources import load_features
from gramlab.spectrum import Spectrum, class_correlations
from gramlab.targets import OneHotRows, mix_targets, one_hot, partial_labels

if TYPE_CHECKING:
    from gramlab.comparison import Comparison, compare
    from gramlab.distillation import Rounds, distill
    from gramlab.estimator.averaging import LabelAveragingClassifier
    from gramlab.estimator.distilled import SelfDistillationClassifier
    from gramlab.estimator.logistic import SoftLabelLogisticRegression
    from gramlab.heads.closed_form import LinearizedHead
    from gramlab.heads.fit import Fit
    from gramlab.heads.generalized import GeneralizedCrossEntropyHead, LocalFit
    from gramlab.heads.sgd import PublishedSgdHead, SgdFit
    from gramlab.heads.softmax import SoftmaxHead
    from gramlab.population import ClassBlockModel
    from gramlab.sharded import ShardedFeatures, shard_features, shard_local_rows
    from gramlab.targets import Targets

__version__ = "0.1.0"

_LAZY = {
    "ClassBlockModel": "gramlab.population",
    "Comparison": "gramlab.comparison",
    "Fit": "gramlab.heads.fit",
    "GeneralizedCrossEntropyHead": "gramlab.heads.generalized",
    "LabelAveragingClassifier": "gramlab.estimator.averaging",
    "LinearizedHead": "gramlab.heads.closed_form",
    "LocalFit": "gramlab.heads.generalized",
    "PublishedSgdHead": "gramlab.heads.sgd",
    "Rounds": "gramlab.distillation",
    "SgdFit": "gramlab.heads.sgd",
    "ShardedFeatures": "gramlab.sharded",
    "SelfDistillationClassifier": "gramlab.estimator.distilled",
    "SoftLabelLogisticRegression": "gramlab.estimator.logistic",
    "SoftmaxHead": "gramlab.heads.softmax",
    "Targets": "gramlab.targets",
    "compare": "gramlab.comparison",
    "distill": "gramlab.distillation",
    "shard_features": "gramlab.sharded",
    "shard_local_rows": "gramlab.sharded",
}

__all__ = [
    "Certificate",
    "ClassBlockModel",
    "Comparison",
    "CorruptedLabels",
    "Features",
    "Fit",
    "GeneralizedCrossEntropyHead",
    "GramlabError",
    "LabelAveragingClassifier",
    "LinearizedHead",
    "LocalFit",
    "NotConvergedWarning",
    "PublishedSgdHead",
    "Rounds",
    "SgdFit",
    "SelfDistillationClassifier",
    "ShardedFeatures",
    "SoftLabelLogisticRegression",
    "SoftmaxHead",
    "Spectrum",
    "Targets",
    "class_correlations",
    "compare",
    "corrupt_labels",
    "corruption_matrix",
    "distill",
    "load_features",
    "open_features",
    "mix_targets",
    "one_hot",
    "OneHotRows",
    "partial_labels",
    "save_features",
    "shard_features",
    "shard_local_rows",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'gramlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names."""
    return sorted(__all__)
