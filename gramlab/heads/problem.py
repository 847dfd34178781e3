"""What every objective on a softmax head has: features, targets, weight decay, weights of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from gramlab.features import Features

__all__ = ["Problem", "RowTargets"]

_STREAM_BYTES = 8_000_000  # of a block's features, and of its logits


class RowTargets(Protocol):
    """Target deviations T − 1/K (N, K) read by slices of rows; an array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, K)."""
        ...

    def __getitem__(self, rows: Any, /) -> Any:
        """Deviations (n, K) of a slice of rows."""
        ...


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
        ω, of mean 1, as ``gramlab.row_weights.relative_weights`` gives them; None where all are 1.
    """

    features: Features
    target_deviations: np.ndarray | RowTargets
    weight_decay: float
    row_weights: np.ndarray | None = None

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
