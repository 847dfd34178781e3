"""Matplotlib, imported before anything of this room needs it, whatever MPLBACKEND says.

Figures need no backend, but Matplotlib does not import where that variable names none it knows.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from gramlab import errors

__all__ = ["Figure"]

_backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
    from matplotlib.figure import Figure
except Exception as problem:
    raise errors.InvalidSetting(
        f"expected Matplotlib to be importable, but: {problem}; correct its settings file "
        "(MATPLOTLIBRC), or install it again"
    ) from problem
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
if _backend:
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = _backend  # as Matplotlib itself would
