"""The referee of rows over devices and processes: each adds what its own rows say.

It is NumPy in float64 as everywhere, on the host that the rows belong to. No sum over N terms in
any order has a larger rounding bound than γ_N, so the bounds of ``gramlab.heads.referee`` hold as
they stand.

In a run of many processes, choices that decide whether a collective call comes next are made by
process 0: hosts that round differently would wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from gramlab import errors
from gramlab.features.sharded import ShardedFeatures, together
from gramlab.heads.referee import SoftmaxObjective
from gramlab.machine import device
from gramlab.machine.memory import row_blocks
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import row_norm_bounds
from gramlab.spectrum import Spectrum, check_scale
from gramlab.targets import (
    OneHotRows,
    Targets,
    check_sample_weight,
    relative_weights,
    target_deviations,
)

__all__ = ["ShardedObjective"]


@dataclass(frozen=True, eq=False, repr=False)
class ShardedObjective(SoftmaxObjective):
    """L(·; T) on ``ShardedFeatures``; every method is a collective call.

    ``target_deviations`` (n, K) and ``row_weights`` (n,), of mean 1 over all N rows, are those of
    this process's n rows.
    """

    features: Any
    target_deviations: np.ndarray

    @classmethod
    def of(
        cls,
        features: Any,
        targets: Targets | OneHotRows | np.ndarray,
        weight_decay: float,
        sample_weight: object = None,
        *,
        signed: bool = False,
        settings: tuple[float, ...] = (),
    ) -> Self:
        """Check this process's targets and weights: a collective call.

        ``settings`` are other numbers that have to be the same in all processes.

        Raises
        ------
        InvalidTargets
            If they are malformed.
        InvalidFeatures
            If another process refused its own, or all are too small or too large (``check_scale``).
        InvalidSetting
            If K, λ, ``settings`` or whether there are weights differ between processes, or weights
            are malformed (``relative_weights``).
        """
        n = features.n_local

        def checked() -> tuple[np.ndarray, np.ndarray | None]:
            deviations = target_deviations(targets, n, signed=signed)
            return deviations, check_sample_weight(sample_weight, n)

        check_scale(features)
        deviations, given = together(checked)
        told = device.gathered([deviations.shape[1], weight_decay, given is not None, *settings])
        if (told != told[0]).any():
            raise errors.InvalidSetting(
                "classes, weight_decay, whether there is a sample_weight, tolerance, max_passes "
                f"and start must be the same in all processes, got {told.tolist()}: pass every "
                "process the same head"
            )
        weights = relative_weights(given, n, device.gathered)
        return cls(features, deviations, weight_decay, weights)

    @property
    def spectrum(self) -> Spectrum:
        """Of x without weights: it affects speed only. A collective call at first."""
        return Spectrum.of(self.features)

    @property
    def row_norms(self) -> np.ndarray:
        """‖x_i‖ (n,) of this process's rows, rounded up."""
        return self.features.derived(_row_norms)

    @cached_property
    def max_row_norm(self) -> float:
        """max_i ‖x_i‖ over all rows, rounded up."""
        return float(device.gathered(self.row_norms.max()).max())

    @property
    def counted_row_norm(self) -> float:
        """``max_row_norm``, over rows of weight 0 too."""
        return self.max_row_norm

    def certificate(self, weights: np.ndarray) -> Certificate:
        """Certify W as in memory, all of it now: a process that asked later would wait alone."""
        found = super().certificate(weights)
        _ = found.newton_decrement
        return found

    def added(self, sums: np.ndarray) -> np.ndarray:
        """Sums over the rows of all processes: a collective call."""
        return device.gathered(sums).sum(axis=0)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows of this process, and x (n, d)."""
        rows = self.features.derived(_own_rows)
        return row_blocks(rows, rows=self.block_length, dtype=np.float64)

    def newton_decrement(
        self,
        gradient: np.ndarray,
        product: Callable[[np.ndarray], np.ndarray],
        curvature: float,
    ) -> float:
        """As in memory, on process 0; the others take part in the products it asks for."""
        _ = self.spectrum, self.counted_row_norm, self.mean_square_norm  # collective calls at first

        def told(done: bool, values: np.ndarray) -> np.ndarray:
            return device.agreed(np.append(values, done))  # those of process 0, in all

        def asked(direction: np.ndarray) -> np.ndarray:
            told(False, direction)
            return product(direction)

        if device.process()[0] == 0:
            bound = super().newton_decrement(gradient, asked, curvature)
            return float(told(True, np.full_like(gradient, bound))[0])
        while not (message := told(False, gradient))[-1]:
            product(message[:-1].reshape(gradient.shape))
        return float(message[0])


def _own_rows(features: ShardedFeatures) -> np.ndarray:
    """X (n, d) of this process, in the precision that came in."""
    with device.float64():
        return features.own_rows(features.x)


def _row_norms(features: ShardedFeatures) -> np.ndarray:
    return row_norm_bounds(features.derived(_own_rows).astype(np.float64, copy=False))
