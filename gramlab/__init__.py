"""gramlab: self-distillation theory, checked against the exact heads.

``import gramlab`` loads NumPy and SciPy and nothing heavier; what needs JAX, scikit-learn or
Matplotlib is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gramlab.errors import GramAsFeaturesWarning, GramlabError, NotConvergedWarning
from gramlab.features import Features
from gramlab.files.sources import load_features
from gramlab.files.tensors import open_features, save_features
from gramlab.labels import CorruptedLabels, corrupt_labels, corruption_matrix, observed_labels
from gramlab.numerics.certificate import Certificate
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import class_correlations
from gramlab.targets import (
    OneHotRows,
    Targets,
    candidate_targets,
    mix_targets,
    one_hot,
    partial_labels,
)

if TYPE_CHECKING:
    from gramlab.comparison import Comparison, compare
    from gramlab.diagnosis.entry import diagnose
    from gramlab.distillation import (
        Dynamics,
        OptimalMixing,
        RiskByRound,
        Rounds,
        distill,
        dynamics,
        label_averaging,
        optimal_mixing,
        risk_by_round,
    )
    from gramlab.estimator.averaging import LabelAveragingClassifier
    from gramlab.estimator.exact import SelfDistillationClassifier, SoftLabelLogisticRegression
    from gramlab.features.sharded import ShardedFeatures, shard_features, shard_local_rows
    from gramlab.heads.closed_form import LinearizedHead, RidgeHead
    from gramlab.heads.fit import Fit
    from gramlab.heads.generalized import GeneralizedCrossEntropyHead, LocalFit
    from gramlab.heads.sgd import PublishedSgdHead, SgdFit
    from gramlab.heads.softmax import SoftmaxHead
    from gramlab.path import DistillationPath, distillation_path
    from gramlab.population import ClassBlockModel
    from gramlab.totals import TotalComparison, compare_totals

__version__ = "0.1.0"

_LAZY = {
    "comparison": ("Comparison", "compare"),
    "diagnosis.entry": ("diagnose",),
    "distillation": (
        "Rounds",
        "distill",
        "Dynamics",
        "dynamics",
        "label_averaging",
        "OptimalMixing",
        "optimal_mixing",
        "RiskByRound",
        "risk_by_round",
    ),
    "estimator.averaging": ("LabelAveragingClassifier",),
    "estimator.exact": ("SelfDistillationClassifier", "SoftLabelLogisticRegression"),
    "heads.closed_form": ("LinearizedHead", "RidgeHead"),
    "heads.fit": ("Fit",),
    "heads.generalized": ("GeneralizedCrossEntropyHead", "LocalFit"),
    "heads.sgd": ("PublishedSgdHead", "SgdFit"),
    "heads.softmax": ("SoftmaxHead",),
    "path": ("DistillationPath", "distillation_path"),
    "population": ("ClassBlockModel",),
    "totals": ("TotalComparison", "compare_totals"),
    "features.sharded": ("ShardedFeatures", "shard_features", "shard_local_rows"),
}

__all__ = ["Features", "Spectrum", "class_correlations"]
__all__ += ["load_features", "open_features", "save_features"]
__all__ += ["ShardedFeatures", "shard_features", "shard_local_rows"]
__all__ += ["CorruptedLabels", "corrupt_labels", "corruption_matrix", "observed_labels"]
__all__ += ["OneHotRows", "Targets", "mix_targets", "one_hot", "partial_labels"]
__all__ += ["candidate_targets"]
__all__ += ["LinearizedHead", "RidgeHead", "SoftmaxHead"]
__all__ += ["GeneralizedCrossEntropyHead", "PublishedSgdHead"]
__all__ += ["Certificate", "Fit", "LocalFit", "SgdFit"]
__all__ += ["diagnose", "Rounds", "distill", "Comparison", "compare", "ClassBlockModel"]
__all__ += ["TotalComparison", "compare_totals"]
__all__ += ["OptimalMixing", "optimal_mixing", "RiskByRound", "risk_by_round"]
__all__ += ["DistillationPath", "distillation_path", "Dynamics", "dynamics", "label_averaging"]
__all__ += ["LabelAveragingClassifier", "SelfDistillationClassifier", "SoftLabelLogisticRegression"]
__all__ += ["GramAsFeaturesWarning", "GramlabError", "NotConvergedWarning"]


def __getattr__(name: str) -> Any:
    """Load a public name, or a room such as ``gramlab.figures``, on first use."""
    for room, names in _LAZY.items():
        if name in names:
            value = getattr(import_module(f"gramlab.{room}"), name)
            globals()[name] = value
            return value
    if not name.startswith("_") and find_spec(f"gramlab.{name}") is not None:
        return import_module(f"gramlab.{name}")
    raise AttributeError(f"module 'gramlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names."""
    return sorted(__all__)
