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
from typing import Any

import numpy as np

from gramlab import device, errors
from gramlab.certificate import Certificate
from gramlab.heads.referee import SoftmaxObjective
from gramlab.rounding import gamma, row_norm_bounds
from gramlab.row_weights import check_sample_weight, relative_weights
from gramlab.sharded import ShardedFeatures, together
from gramlab.spectrum import Spectrum, check_scale
from gramlab.targets import OneHotRows, Targets, target_deviations

__all__ = ["ShardedObjective", "sharded_objective"]


@dataclass(frozen=True, eq=False)
class ShardedObjective(SoftmaxObjective):
    """L(·; T) on rows over devices; every method is a collective call.

    Attributes
    ----------
    features
        ``ShardedFeatures`` of N true rows, n of them of this process.
    target_deviations : (n, K)
        T − 1/K of this process's rows.
    weight_decay
        λ > 0.
    row_weights : (n,), optional
        ω of this process's rows, of mean 1 over all.
    """

    features: Any
    target_deviations: np.ndarray

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

    @cached_property
    def mean_square_norm(self) -> float:
        """Σ_i ω_i ‖x_i‖²/N, rounded up."""
        squares = self.weighted(slice(None), np.square(self.row_norms)).sum()
        return float(self._added(squares)) / self.n_samples * (1.0 + gamma(self.n_samples + 16))

    def certificate(self, weights: np.ndarray) -> Certificate:
        """Certify W as in memory, all of it now: a process that asked later would wait alone."""
        found = super().certificate(weights)
        _ = found.newton_decrement
        return found

    def _added(self, sums: np.ndarray) -> np.ndarray:
        return device.gathered(sums).sum(axis=0)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows of this process, and x (n, d)."""
        rows = self.features.derived(_own_rows)
        step = self.block_length
        for first in range(0, len(rows), step):
            part = slice(first, min(first + step, len(rows)))
            yield part, rows[part].astype(np.float64, copy=False)

    def newton_decrement(
        self,
        gradient: np.ndarray,
        product: Callable[[np.ndarray], np.ndarray],
        curvature: float,
    ) -> float:
        """As in memory, on process 0; the others take part in the products it asks for."""
        _ = self.spectrum, self.counted_row_norm, self.mean_square_norm  # collective calls at first
        index, count = device.process()
        if count == 1:
            return super().newton_decrement(gradient, product, curvature)
        shape = gradient.shape

        def tell(word: float, values: np.ndarray | None = None) -> np.ndarray:
            message = np.zeros(1 + gradient.size)
            message[0] = word
            if values is not None:
                message[1:] = values.ravel()
            return device.agreed(message)

        if index == 0:

            def asked(direction: np.ndarray) -> np.ndarray:
                tell(-1.0, direction)
                return product(direction)

            return float(tell(super().newton_decrement(gradient, asked, curvature))[0])
        while (message := tell(0.0))[0] < 0.0:
            product(message[1:].reshape(shape))
        return float(message[0])


def sharded_objective(
    features: ShardedFeatures,
    targets: Targets | OneHotRows | np.ndarray,
    weight_decay: float,
    settings: tuple[float, ...] = (),
    sample_weight: object = None,
    *,
    signed: bool = False,
) -> ShardedObjective:
    """Check this process's targets and spread them like its rows: a collective call.

    Parameters
    ----------
    features
        N rows over devices, n of them in this process.
    targets
        T (n, K) of this process's rows, as an array, ``OneHotRows``, or ``Targets`` of a fit.
    weight_decay
        λ > 0.
    settings
        Other numbers that have to be the same in all processes.
    sample_weight : (n,), optional
        Weights of this process's rows, in all processes or in none.
    signed
        Accept rows with negative entries.

    Raises
    ------
    InvalidTargets
        If they are malformed.
    InvalidFeatures
        If another process refused its own, or all are too small or too large (``check_scale``).
    InvalidSetting
        If K, λ, ``settings`` or whether there are weights differ between processes, or weights are
        malformed (``relative_weights``).
    """

    def checked() -> tuple[np.ndarray, np.ndarray | None]:
        deviations = target_deviations(targets, features.n_local, signed=signed)
        if deviations.shape[1] < 2:
            raise errors.InvalidTargets(
                f"targets must have at least 2 classes (columns), got {deviations.shape[1]}"
            )
        return deviations, check_sample_weight(sample_weight, features.n_local)

    check_scale(features)
    deviations, given = together(checked)
    told = device.gathered([deviations.shape[1], weight_decay, given is not None, *settings])
    if (told != told[0]).any():
        raise errors.InvalidSetting(
            "classes, weight_decay, whether there is a sample_weight, tolerance, max_passes and "
            f"start must be the same in all processes, got {told.tolist()}: pass every process the "
            "same head"
        )
    weights = relative_weights(given, features.n_local, device.gathered)
    return ShardedObjective(features, deviations, weight_decay, weights)


def _own_rows(features: ShardedFeatures) -> np.ndarray:
    """X (n, d) of this process, in the precision that came in."""
    with device.float64():
        return features.own_rows(features.x)


def _row_norms(features: ShardedFeatures) -> np.ndarray:
    return row_norm_bounds(features.derived(_own_rows).astype(np.float64, copy=False))
