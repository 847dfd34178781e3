"""The standard model of floating-point rounding, in float64, with its underflow.

fl(a ∘ b) = (a ∘ b)(1 + δ) + η, |δ| ≤ u, where η ≠ 0 only if a product or quotient is below the
normal range (Higham 2002, section 2.1).
"""

from __future__ import annotations

import numpy as np

UNIT_ROUNDOFF = float(np.finfo(np.float64).eps) / 2.0

# |η| is at most half the least subnormal number, or, where an arithmetic has none and flushes to
# zero, the least normal one: this covers both.
UNDERFLOW = float(np.finfo(np.float64).tiny)

# Between these norms squares that underflow add less than d 10⁻²⁸ units to a sum of d of them.
_PLAIN_NORMS = 1e-140, 1e140


def gamma(n: int) -> float:
    """γ_n = n u/(1 − n u), the rounding constant of an inner product of length n (Higham 2002)."""
    return n * UNIT_ROUNDOFF / (1.0 - n * UNIT_ROUNDOFF)


def row_norms(rows: np.ndarray) -> np.ndarray:
    """Euclidean norms (n,) of ``rows`` (n, d), to γ_{d+8} of themselves and the last subnormal.

    Rows whose squares would leave the range of float64 are first divided by their largest entry, so
    that a norm is 0 for a zero row alone.
    """
    rows = np.asarray(rows, dtype=np.float64)
    low, high = _PLAIN_NORMS
    with np.errstate(all="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        rough = np.flatnonzero(~((norms > low) & (norms < high)))
        if len(rough):
            largest = np.abs(rows[rough]).max(axis=1)
            scaled = rows[rough] / np.where(largest > 0.0, largest, 1.0)[:, None]
            norms[rough] = largest * np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    return norms


def row_norm_bounds(rows: np.ndarray) -> np.ndarray:
    """``row_norms`` (n,) rounded up; infinite where an entry is not a number."""
    norms = row_norms(rows)
    with np.errstate(over="ignore"):
        norms *= 1.0 + gamma(np.shape(rows)[1] + 8)
    # The next number up makes good a last product below the normal range.
    bounds = np.where(norms > 0.0, np.nextafter(norms, np.inf), norms)
    return np.where(np.isnan(bounds), np.inf, bounds)


def frobenius_norm(values: np.ndarray) -> float:
    """Frobenius norm of ``values``, also where their squares would leave the range of float64."""
    low, high = _PLAIN_NORMS
    with np.errstate(all="ignore"):
        plain = float(np.linalg.norm(values))
        return plain if low < plain < high else float(row_norms(np.ravel(values)[None, :])[0])


def norm_bound(values: np.ndarray) -> float:
    """Frobenius norm of ``values``, rounded up like ``row_norm_bounds``."""
    return float(row_norm_bounds(np.ravel(values)[None, :])[0])
