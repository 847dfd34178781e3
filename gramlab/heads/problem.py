"""What every objective on a softmax head has: features, targets, weight decay, weights of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.numerics.rounding import row_norm_bounds
from gramlab.numerics.text import short_repr
from gramlab.spectrum import check_scale
from gramlab.targets import OneHotRows, Targets, relative_weights, target_rows

__all__ = ["Problem", "as_features"]

_STREAM_BYTES = 8_000_000  # of a block's features, and of its logits


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows to fit, read block by block.

    Attributes
    ----------
    features
        Training rows x (N, d).
    target_deviations : (N, K)
        T − 1/K. Deviations, because after many rounds the signal drowns next to 1/K. An array, or
        rows made when they are asked for (``gramlab.targets.OneHotRows``).
    weight_decay
        λ > 0.
    row_weights : (N,), optional
        ω, of mean 1, as ``gramlab.targets.relative_weights`` gives them; None where all are 1.
    """

    features: Features
    target_deviations: np.ndarray | OneHotRows
    weight_decay: float
    row_weights: np.ndarray | None = None

    def __repr__(self) -> str:
        return short_repr(self)

    @classmethod
    def of(
        cls,
        features: Features | np.ndarray,
        targets: Targets | OneHotRows | np.ndarray,
        weight_decay: float,
        sample_weight: object = None,
        *,
        signed: bool = False,
        **more: Any,
    ) -> Self:
        """Check what a head is to fit; ``signed`` accepts targets with negative entries.

        Raises
        ------
        InvalidFeatures, InvalidTargets, InvalidSetting
            As ``as_features``, ``target_rows`` and ``relative_weights`` of ``gramlab.targets``.
        """
        features = as_features(features, targets)
        rows = target_rows(targets, features.n_samples, signed=signed)
        weights = relative_weights(sample_weight, features.n_samples)
        return cls(features, rows, weight_decay, weights, **more)

    def check_in_memory(self, what: str) -> None:
        """Raise InvalidSetting where ``what`` cannot read these features, mapped from a file."""
        if self.features.is_mapped:
            raise errors.InvalidSetting(
                f"features must be in memory for {what}, got features mapped from a file: open "
                "them with gramlab.load_features"
            )

    @property
    def n_samples(self) -> int:
        """N."""
        return self.features.n_samples

    @property
    def n_classes(self) -> int:
        """K."""
        return self.target_deviations.shape[1]

    @cached_property
    def targets(self) -> np.ndarray:
        """T (N, K), in memory; of one-hot rows within the rounding of 1/K."""
        return self.target_deviations[:] + 1.0 / self.n_classes

    @property
    def shares(self) -> np.ndarray:
        """ω_i/Σω (n, 1) of the rows at hand, here all."""
        weights = self.row_weights
        weights = np.ones(self.target_deviations.shape[0]) if weights is None else weights
        return weights[:, None] / self.n_samples

    @property
    def row_norms(self) -> np.ndarray:
        """‖x_i‖ (N,), rounded up; 0 for zero rows alone. Once for each Features object."""
        return self.features.derived(_row_norms)

    def logits(self, weights: np.ndarray) -> np.ndarray:
        """XW (n, K) of the rows at hand, here all."""
        out = np.empty((self.target_deviations.shape[0], weights.shape[1]))
        for rows, block in self.blocks():
            np.matmul(block, weights, out=out[rows])
        return out

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows and x (n, d) in float64, few enough for x and logits to be small."""
        return self.features.blocks(self.block_length)

    @property
    def block_length(self) -> int:
        """How many rows those are."""
        return max(1, _STREAM_BYTES // (8 * max(self.features.n_features, self.n_classes)))

    def weighted(self, rows: slice, values: np.ndarray) -> np.ndarray:
        """ω_i times each of ``values`` (n, …) of these rows."""
        if self.row_weights is None:
            return values
        return self.row_weights[rows].reshape(-1, *[1] * (values.ndim - 1)) * values


def as_features(
    features: Features | np.ndarray, targets: Targets | OneHotRows | np.ndarray
) -> Features:
    """Wrap a bare array x (N, d) as Features, of a scale that heads can serve.

    Heads read targets and never labels, so the labels are placeholders 0, …, K − 1, 0, …

    Raises
    ------
    InvalidFeatures
        If x is malformed, or too small or too large (``gramlab.spectrum.check_scale``).
    InvalidTargets
        If targets have no shape (N, K), K ≥ 2, to read K off.
    """
    if not isinstance(features, Features):
        lazy = isinstance(targets, OneHotRows | Targets)
        given = targets if lazy else validation.as_array(targets, "targets", errors.InvalidTargets)
        if len(given.shape) != 2 or given.shape[1] < 2:
            raise errors.InvalidTargets(
                f"targets must have shape (N, K), one column for each of at least 2 classes, got "
                f"{given.shape}: use gramlab.one_hot(labels, n_classes) for integer labels"
            )
        x = validation.check_features(features)
        features = Features(x, np.arange(len(x)) % given.shape[1], n_classes=given.shape[1])
    check_scale(features)
    return features


def _row_norms(features: Features) -> np.ndarray:
    return np.concatenate([row_norm_bounds(block) for _, block in features.blocks()])
