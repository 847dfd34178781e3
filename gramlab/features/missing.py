"""Rows that cannot be used: their features are not finite, or they have no label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidLabels
from gramlab.machine.memory import row_blocks

__all__ = ["NOT_FINITE", "NO_LABEL", "whole_rows"]

NOT_FINITE, NO_LABEL = "features not finite", "no label"
"""Why rows are set aside, in the order in which it is looked for."""


def whole_rows(
    x: np.ndarray, labelled: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.int64]]]:
    """Numbers of the rows (N, d) that are finite and ``labelled`` (N,), and of others by reason.

    Raises
    ------
    InvalidLabels
        If there is no row that is both.
    """
    finite = np.concatenate([np.isfinite(block).all(axis=1) for _, block in row_blocks(x)])
    reasons = {NOT_FINITE: ~finite, NO_LABEL: finite & ~labelled}
    rows = np.flatnonzero(finite & labelled)
    if not len(rows):
        raise InvalidLabels(
            f"x and labels must have a row that is finite and has a label, got none of {len(x)}; "
            "-1, None, NaN and empty text are no labels"
        )
    return rows, {why: np.flatnonzero(where) for why, where in reasons.items() if where.any()}
