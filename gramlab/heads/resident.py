"""Fits that end without predictions: those are made when they are first asked for.

A prediction matrix (N, K) takes half a pass in float64 to make, and on an accelerator much longer
to bring to the host. There a student takes its teacher's as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gramlab import device, memory
from gramlab.features import Features
from gramlab.heads import points
from gramlab.heads.coordinates import Coordinates
from gramlab.heads.fit import SolveStats, Targets, mend_flushed
from gramlab.heads.objective import SoftmaxObjective, softmax, softmax_deviations
from gramlab.heads.streamed import StreamedFit

__all__ = ["Moment", "ResidentFit", "ResidentTargets", "TaughtTargets", "block_rows"]

_MOMENT_KNOWN = 1e-3  # relative error of a norm that tolerances are measured by
_BLOCK_BYTES = 2_000_000_000  # of the float64 arrays of a block of rows


def block_rows(n_features: int, n_classes: int) -> int:
    """Rows whose features, logits and predictions in float64 are made at once."""
    return max(1, _BLOCK_BYTES // (8 * (n_features + 4 * n_classes)))


class Moment(NamedTuple):
    """DᵀX/N (K, d) of targets T = 1/K + D: the gradient at W = 0, but for its sign."""

    values: np.ndarray
    error: float = 0.0  # ‖·‖ that it may be off by

    def norm(self) -> float:
        """‖DᵀX/N‖, by which tolerances are measured."""
        return float(np.linalg.norm(self.values))

    def is_known(self) -> bool:
        """Whether it is good enough for that."""
        return self.error <= _MOMENT_KNOWN * self.norm()


class ResidentFit(StreamedFit):
    """A fit whose predictions (N, K) come from the device, when they are first asked for."""

    def __init__(
        self,
        objective: SoftmaxObjective,
        weights: np.ndarray,
        stats: SolveStats,
        coordinates: Coordinates,
        moment: Moment | None = None,
    ) -> None:
        super().__init__(objective, weights, stats)
        self.__dict__["coordinates"] = coordinates
        self.__dict__["moment"] = moment

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K) of the predictions."""
        return len(self.__dict__["coordinates"].features.x), self.weights.shape[1]

    @cached_property
    def deviations(self) -> np.ndarray:
        """P − 1/K (N, K) on the training rows."""
        if device.accelerated():
            found = self._on_host(points.centred_softmax, softmax_deviations)
        else:
            found = self._of_logits(points.centred_softmax)
        return mend_flushed(self._features, self.weights, found, softmax_deviations)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """P (N, K) on the training rows."""
        if device.accelerated():
            found = self._on_host(points.softmax, softmax)
        else:
            found = self._of_logits(points.softmax)
        return mend_flushed(self._features, self.weights, found, softmax)

    @property
    def _features(self) -> Features:
        return self.__dict__["coordinates"].features

    def _of_logits(self, link: Callable[[jax.Array], jax.Array]) -> np.ndarray:
        """``link`` of the logits (N, K), which are kept, where the host is the device."""
        with device.float64():
            return np.asarray(link(self._kept_logits))

    @cached_property
    def _kept_logits(self) -> jax.Array:
        n, k = self.shape
        memory.check_memory(
            3 * 8 * n * k, f"the predictions ({n} x {k} float64)", "predict blocks of rows instead"
        )
        coordinates: Coordinates = self.__dict__["coordinates"]
        return points.logits(coordinates.rows(np.float64), np.ascontiguousarray(self.weights.T))

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
            return same(self.known_logits())
        memory.check_memory(
            8 * n * k, f"the predictions ({n} x {k} float64)", "predict blocks of rows instead"
        )
        return np.asarray(self.on_device(link))

    def as_targets(self, temperature: float = 1.0) -> Targets:
        """As any fit's; at temperature 1 an accelerator's stay there until the host needs them."""
        if temperature != 1.0:
            return super().as_targets(temperature)
        if device.accelerated():
            return ResidentTargets(self)
        return TaughtTargets(self)


class TaughtTargets(Targets):
    """The predictions of a fit as targets, which know what its last gradient says of them."""

    def __init__(self, fit: ResidentFit) -> None:
        self.__dict__.update(fit=fit, deviations=fit.deviations)

    def moment(self, features: Features) -> Moment | None:
        """DᵀX/N, if those are the features."""
        fit = self.__dict__["fit"]
        known = features is fit.__dict__["coordinates"].features
        return fit.__dict__["moment"] if known else None


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
