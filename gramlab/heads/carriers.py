"""Where the rows are: in memory for NumPy, in a file, or on a device.

A carrier of a problem's rows evaluates the objective in float64 at given weights, and makes what
the solver iterates on around them; ``loss`` makes what one row knows, at logits (N, K).
Coordinates z with X = Z Vᵀ make the linearized Hessian diagonal; they only shape steps, for
gradients at base points are those of the features themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gramlab.features import Features
from gramlab.heads.arrays import Array
from gramlab.heads.loss import Loss
from gramlab.heads.objective import Objective, StreamedObjective
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.rows import Rows
from gramlab.numerics.rounding import frobenius_norm
from gramlab.spectrum import Spectrum

__all__ = ["FileRows", "HostRows", "MakeLoss", "is_small", "start_device"]

_HOST_WORK = 400_000  # N min(N, d) K; a pass of it takes less than a millisecond

MakeLoss = Callable[[Array, Array], tuple[Array, Loss]]  # of logits and T − 1/K (N, K)


def is_small(features: Features, n_classes: int) -> bool:
    """Whether solving a head by NumPy takes less time than compiling it."""
    n, d = features.n_samples, features.n_features
    return n * min(n, d) * n_classes <= _HOST_WORK


def start_device(features: Features, n_classes: int) -> None:
    """Start JAX now if heads on ``features`` need it, so that a DeviceError comes before work."""
    if not (features.is_mapped or is_small(features, n_classes)):
        from gramlab.machine import device

        device.count()


class HostRows:
    """Rows of a small problem, for which compiling would cost more than solving: NumPy, float64."""

    dtype: Any = np.float64
    class_metric = False
    cancelled = False
    context = staticmethod(partial(np.errstate, all="ignore"))  # what overflows is seen as too long
    one_call = True  # of the solver, which then makes its metrics itself
    chunk = 200  # iterations between two looks at progress

    def __init__(self, referee: SoftmaxObjective, loss: MakeLoss) -> None:
        self.referee, self.weight_decay = referee, referee.weight_decay
        self.shape = referee.n_classes, referee.features.n_features
        self.loss = loss
        self.x, self.targets = referee.features.as_float64(), referee.target_deviations[:]
        spectrum, share = Spectrum.of(referee.features), referee.shares
        self.basis, z = spectrum.basis, spectrum.coordinates
        self.rows = Rows(z, share, (share * z * z).sum(axis=0))

    def at(self, weights: np.ndarray) -> tuple[float, Callable[[], Any]]:
        """‖∇L‖ at ``weights`` (K, d), and what makes the objective around them; one pass."""
        residual, loss = self.loss(self.x @ weights.T, self.targets)
        gradient = (self.rows.share * residual).T @ self.x + self.weight_decay * weights
        decay = np.float64(self.weight_decay)
        return frobenius_norm(gradient), lambda: Objective(
            self.rows, decay, self.to_coordinates(gradient), loss
        )

    def at_zero(self) -> tuple[float, Callable[[], Any]]:
        """The same at W = 0."""
        return self.at(np.zeros(self.shape))

    def to_coordinates(self, weights: np.ndarray) -> np.ndarray:
        """Weights (K, r) in the coordinates, from weights (K, d)."""
        return weights @ self.basis

    def from_coordinates(self, step: Array) -> np.ndarray:
        """Weights (K, d) from weights (K, r) in the coordinates."""
        return np.asarray(step, dtype=np.float64) @ self.basis.T

    def put(self, step: np.ndarray) -> np.ndarray:
        """A step (K, r) as the solver takes it."""
        return step

    def use_float64(self) -> None:
        """Go on in float64: so it is from the start."""


class FileRows(HostRows):
    """Rows that do not fit: every evaluation reads them once, a block at a time (NumPy, float64).

    Weights are turned into the eigenbasis, features never: nothing of size (N, d) is held.
    """

    one_call = False
    chunk = 1

    def __init__(self, referee: SoftmaxObjective, loss: MakeLoss) -> None:
        self.referee, self.weight_decay = referee, referee.weight_decay
        self.shape = referee.n_classes, referee.features.n_features
        spectrum = Spectrum.of(referee.features)
        self.basis, self.eigenvalues = spectrum.basis, spectrum.eigenvalues / referee.n_samples

    def at(self, weights: np.ndarray) -> tuple[float, Callable[[], Any]]:
        """‖∇L‖ at ``weights`` (K, d), and what makes the objective around them; one read."""
        found = self.referee.evaluate(weights.T)

        def evaluate(step: np.ndarray) -> tuple[np.ndarray, float]:
            there = self.referee.evaluate((weights + self.from_coordinates(step)).T)
            return self.to_coordinates(there.gradient.T), there.curvature

        return frobenius_norm(found.gradient), lambda: StreamedObjective(
            evaluate,
            Rows(np.zeros((0, len(self.eigenvalues))), np.zeros((0, 1)), self.eigenvalues),
            self.weight_decay,
            self.to_coordinates(found.gradient.T),
            found.curvature,
        )
