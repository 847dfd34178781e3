"""The standard model of floating-point rounding, in float64."""

from __future__ import annotations

import numpy as np

__all__ = ["UNIT_ROUNDOFF", "gamma"]

UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2.0


def gamma(n: int) -> float:
    """γ_n = n u/(1 − n u), the rounding constant of an inner product of length n (Higham 2002)."""
    return n * UNIT_ROUNDOFF / (1.0 - n * UNIT_ROUNDOFF)
