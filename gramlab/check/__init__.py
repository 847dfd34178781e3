"""Theory against truth on one feature matrix.

The whole chain is ``run_check``, and ``run_path_check`` runs its heads at several weight decays;
``gramlab.check.correlations`` measures how block-like the Gram matrix is.
"""

from gramlab.check.chain import CheckResult, ProgressReport, run_check
from gramlab.check.path import PathCheck, run_path_check
from gramlab.check.settings import CheckSettings
from gramlab.comparison import polish_rounds
from gramlab.distillation import Dynamics

__all__ = [
    "CheckResult",
    "CheckSettings",
    "Dynamics",
    "PathCheck",
    "ProgressReport",
    "polish_rounds",
    "run_check",
    "run_path_check",
]
