"""Which classes have the largest logits, for all weights that a bound leaves."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gramlab.features import Features
from gramlab.machine.memory import row_blocks

__all__ = ["LogitBound", "largest_classes"]


class LogitBound(Protocol):
    """What bounds how far weights can be from others, as ``Certificate`` does."""

    def logit_bound(self, x: np.ndarray) -> np.ndarray:
        """How much any logit difference moves between them, per row of ``x`` (n, d)."""
        ...


def largest_classes(
    rows: Features | np.ndarray, weights: np.ndarray, bound: LogitBound, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` < K classes (N, count) of largest logits, and whether (N,) they are certified.

    ``rows`` x (N, d) are in float64 or ``Features``. The classes are those of all weights within
    the bound where the least of their logits exceeds the next by more than any logit difference can
    move.
    """
    held = isinstance(rows, Features)
    size = rows.n_samples if held else len(rows)
    classes = np.empty((size, count), dtype=np.int64)
    decided = np.empty(size, dtype=bool)
    for part, block in rows.blocks() if held else row_blocks(rows):
        with np.errstate(over="ignore", invalid="ignore"):  # of rows whose bound is infinite
            logits = block @ weights
            order = np.argpartition(logits, -count - 1, axis=1)[:, -count - 1 :]
            largest = np.take_along_axis(logits, order, axis=1)
            margins = largest[:, 1:].min(axis=1) - largest[:, 0]
            decided[part] = margins > bound.logit_bound(block)
        classes[part] = order[:, 1:]
    return classes, decided
