"""Fits that stay on an accelerator: predictions are made there, and brought to the host if asked.

A prediction matrix (N, K) takes half a pass to make and much longer to bring to the host. A student
takes its teacher's as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gramlab import device, memory
from gramlab.heads import points
from gramlab.heads.coordinates import Coordinates
from gramlab.heads.fit import SolveStats, Targets
from gramlab.heads.objective import SoftmaxObjective, softmax, softmax_deviations
from gramlab.heads.streamed import StreamedFit

__all__ = ["ResidentFit", "ResidentTargets", "block_rows"]

_BLOCK_BYTES = 2_000_000_000  # of the float64 arrays of a block of rows


def block_rows(n_features: int, n_classes: int) -> int:
    """Rows whose features, logits and predictions in float64 are made at once."""
    return max(1, _BLOCK_BYTES // (8 * (n_features + 4 * n_classes)))


class ResidentFit(StreamedFit):
    """A fit whose predictions (N, K) come from the device, when they are first asked for."""

    def __init__(
        self,
        objective: SoftmaxObjective,
        weights: np.ndarray,
        stats: SolveStats,
        coordinates: Coordinates,
    ) -> None:
        super().__init__(objective, weights, stats)
        self.__dict__["coordinates"] = coordinates

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K) of the predictions."""
        return len(self.__dict__["coordinates"].features.x), self.weights.shape[1]

    @cached_property
    def deviations(self) -> np.ndarray:
        """P − 1/K (N, K) on the training rows."""
        return self._on_host(points.centred_softmax, softmax_deviations)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """P (N, K) on the training rows."""
        return self._on_host(points.softmax, softmax)

    def on_device(self, link: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """``link`` of the logits (N, K) in float64."""
        coordinates: Coordinates = self.__dict__["coordinates"]
        d, k = self.weights.shape
        with device.float64():
            weights = jnp.asarray(np.ascontiguousarray(self.weights.T))
            return points.predictions(coordinates.rows_exactly(), weights, block_rows(d, k), link)

    def _on_host(
        self,
        link: Callable[[jax.Array], jax.Array],
        same: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """``link`` of the logits (N, K); ``same``, by NumPy, if there is no room for it there."""
        n, k = self.shape
        block = 8 * n * (len(self.weights) + 4 * k)
        if device.shortage(16 * n * k + min(block, _BLOCK_BYTES)):
            return same(self._logits())
        memory.check_memory(
            8 * n * k, f"the predictions ({n} x {k} float64)", "predict blocks of rows instead"
        )
        return np.asarray(self.on_device(link))

    def as_targets(self, temperature: float = 1.0) -> Targets:
        """As any fit's; at temperature 1 they stay where they are until the host needs them."""
        if temperature == 1.0:
            return ResidentTargets(self)
        return super().as_targets(temperature)


class ResidentTargets(Targets):
    """The predictions of a fit as targets, on the device they were made on."""

    def __init__(self, fit: ResidentFit) -> None:
        self.__dict__.update(fit=fit)

    @property
    def deviations(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        """T − 1/K (N, K)."""
        return self.__dict__["fit"].deviations

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, K)."""
        return self.__dict__["fit"].shape

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """Deviations (n, K) of a slice of rows."""
        return self.deviations[rows]

    def on_device(self) -> jax.Array:
        """T − 1/K (N, K) in float64."""
        return self.__dict__["fit"].on_device(points.centred_softmax)
