"""The coordinates a head is solved in, resident on the device.

The Gram eigenbasis makes the linearized Hessian diagonal, and pays for its factorization where the
problem is hard. Where weight decay dominates the features' curvature, the features as they are do
as well, and nothing is factorized for a single head.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
import numpy.typing as npt

from gramlab import device
from gramlab.features import Features
from gramlab.spectrum import Spectrum

__all__ = ["Coordinates"]

# Largest condition number, bounded by the trace, that is left to the quasi-Newton memory alone: up
# to here a head costs fewer extra passes than the factorization is worth.
_EASY = 300.0
_NARROW = 256  # features so few that their factorization costs next to nothing


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Rows z (N, r) with X = Z Vᵀ, and the eigenvalues of ZᵀZ (or a stand-in for them).

    Attributes
    ----------
    features
        What they are coordinates of.
    basis : (d, r) or None
        V, orthonormal; None where Z is X itself.
    eigenvalues : (r,)
        Of XᵀX in that basis; without one, their mean.
    """

    features: Features
    basis: np.ndarray | None
    eigenvalues: np.ndarray

    @classmethod
    def of(cls, features: Features, weight_decay: float, n_classes: int) -> Coordinates:
        """Choose: the eigenbasis if it is at hand or worth its price, else the rows themselves."""
        memo = features._memo
        n, d = features.n_samples, features.n_features
        if "spectrum" not in memo and _NARROW < d <= n:
            if "trace" not in memo:
                memo["trace"] = sum(float(np.vdot(b, b)) for _, b in features.blocks())
            if memo["trace"] / n <= _EASY * n_classes * weight_decay:
                return cls(features, None, np.full(d, memo["trace"] / d))
        spectrum = Spectrum.of(features)
        return cls(features, spectrum.basis, spectrum.eigenvalues)

    @property
    def rank(self) -> int:
        """R."""
        return len(self.eigenvalues)

    def resident(self, dtype: npt.DTypeLike) -> jax.Array:
        """Z (N, r) on the device, put there once per Features object and precision."""
        memo, what = self.features._memo, "rows" if self.basis is None else "eigenbasis"
        key = ("device", what, np.dtype(dtype).name)
        if key not in memo:
            values = (
                self.features.as_float64()
                if self.basis is None
                else Spectrum.of(self.features).coordinates
            )
            memo[key] = device.resident(values, f"the features ({what}) as {key[2]}", dtype)
        return memo[key]

    def to_weights(self, a: np.ndarray) -> np.ndarray:
        """W (d, K) from weights a (K, r) in these coordinates."""
        return np.ascontiguousarray(a.T) if self.basis is None else self.basis @ a.T

    def from_weights(self, weights: np.ndarray) -> np.ndarray:
        """Weights (K, r) in these coordinates from W (d, K); parts outside the rows' span drop."""
        weights = np.asarray(weights, dtype=np.float64)
        return np.ascontiguousarray(weights.T if self.basis is None else weights.T @ self.basis)
