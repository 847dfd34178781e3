"""Theory against truth on one feature matrix.

The whole chain is ``run_check``; ``gramlab.check.correlations`` measures how block-like the Gram
matrix is.
"""

from gramlab.check.chain import CheckResult, CheckSettings, ProgressReport, run_check
from gramlab.check.polishing import polish_rounds
from gramlab.dynamics import Dynamics

__all__ = [
    "CheckResult",
    "CheckSettings",
    "Dynamics",
    "ProgressReport",
    "polish_rounds",
    "run_check",
]
