"""Theory against truth on one feature matrix.

The whole chain is ``run_check``; ``gramlab.check.correlations`` measures how block-like the Gram
matrix is.
"""

from gramlab.check.chain import CheckResult, CheckSettings, Dynamics, ProgressReport, run_check
from gramlab.check.polishing import polish_rounds

__all__ = [
    "CheckResult",
    "CheckSettings",
    "Dynamics",
    "ProgressReport",
    "polish_rounds",
    "run_check",
]
