"""Which classes have the largest logits, for all weights that a bound leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from gramlab.machine.memory import row_blocks

__all__ = ["LogitBound", "Rows", "largest_classes"]


class LogitBound(Protocol):
    """What bounds how far weights can be from others, as ``Certificate`` does."""

    def logit_bound(self, x: np.ndarray) -> np.ndarray:
        """How much any logit difference moves between them, per row of ``x`` (n, d)."""
        ...


class Rows(Protocol):
    """What has rows, block by block, such as ``Features``, or an objective's own on shards."""

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Slices of rows in their order, and x (n, d) of each."""
        ...


def largest_classes(
    rows: Rows | np.ndarray, weights: np.ndarray, bound: LogitBound, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` < K classes (N, count) of largest logits, and whether (N,) they are certified.

    ``rows`` x (N, d) are in float64, or have blocks. The classes are those of all weights within
    the bound where the least of their logits exceeds the next by more than any logit difference can
    move.
    """
    classes, decided = [np.empty((0, count), dtype=np.int64)], [np.empty(0, dtype=bool)]
    for _, block in row_blocks(rows) if isinstance(rows, np.ndarray) else rows.blocks():
        with np.errstate(over="ignore", invalid="ignore"):  # of rows whose bound is infinite
            logits = block @ weights
            order = np.argpartition(logits, -count - 1, axis=1)[:, -count - 1 :]
            largest = np.take_along_axis(logits, order, axis=1)
            margins = largest[:, 1:].min(axis=1) - largest[:, 0]
            decided.append(margins > bound.logit_bound(block))
        classes.append(order[:, 1:])
    return np.concatenate(classes), np.concatenate(decided)
