"""Planes of cells: where their edges lie, and hatching of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from gramlab.figures.heatmaps import runs

AXES = {  # symbol and words of a quantity
    "rate": ("η", "noise rate η"),
    "weight_decay": ("λ", "weight decay λ"),
    "round": ("t", "round t (1 = teacher)"),
}


def cell_edges(axis: str, values: Sequence[Any]) -> np.ndarray:
    """Edges of cells around the values of a quantity: halfway, on a log scale for weight decay."""
    centres = np.array([float(value) for value in values])
    if axis == "weight_decay":
        centres = np.log10(centres)
    steps = np.diff(centres) if len(centres) > 1 else [0.05 if axis == "rate" else 1.0]
    outer = centres[0] - steps[0], *centres, centres[-1] + steps[-1]
    edges = (np.array(outer[1:]) + outer[:-1]) / 2.0
    return 10.0**edges if axis == "weight_decay" else edges


def hatch_cells(
    axes: Axes, x: np.ndarray, y: np.ndarray, where: np.ndarray, ink: str, hatch: str, gid: str
) -> None:
    """Hatch the cells (len(y) − 1, len(x) − 1) that are True, row by row, joining neighbours."""
    look = {"edgecolor": ink, "hatch": hatch, "linewidth": 0.0, "facecolor": "none", "gid": gid}
    for i, row in enumerate(where):
        for start, stop in zip(*runs(row), strict=True):
            if row[start]:
                axes.fill_between(x[[start, stop]], y[i], y[i + 1], **look)
