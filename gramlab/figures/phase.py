"""Phase diagram: where theory and exact head are perfect, and where they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gramlab.figures import style
from gramlab.figures.heatmaps import runs
from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PALE, VERMILLION

if TYPE_CHECKING:
    from gramlab.population.phase import PhaseDiagram

_AXES = {  # symbol and words
    "rate": ("η", "noise rate η"),
    "weight_decay": ("λ", "weight decay λ"),
    "round": ("t", "round t (1 = teacher)"),
}
_STATES = (  # of theory and exact head: colour, ink, hatch, words
    ("#F4F4F4", PALE, "", "neither is perfect"),
    ("#A9CDE6", BLUE, "", "both are perfect"),
    ("#F3C9AE", VERMILLION, "////", "theory alone"),
    ("#CFE8DC", GREEN, r"\\\\", "exact head alone"),
    ("#DCDCDC", GREY, "..", "exact head not computed"),
    ("#F7E8A4", BLACK, "xx", "exact head undecided"),
)


def phase_figure(diagram: PhaseDiagram) -> Figure:
    """Draw the cells of a phase diagram; cells in which theory and exact head differ are hatched.

    Parameters
    ----------
    diagram
        ``gramlab.population.phase.phase_diagram(...)``. The black line bounds the region of the
        theory; where the exact head was not computed, the cells are dotted, where it is undecided,
        crossed.
    """
    known, theory = diagram.known, diagram.theory
    exact = known & diagram.exact.astype(bool)
    state = np.where(theory, np.where(exact, 1, 2), np.where(exact, 3, 0))
    state = np.where(known, state, np.where(diagram.undecided, 5, 4))
    x, y = _edges(diagram.x_axis, diagram.x), _edges(diagram.y_axis, diagram.y)
    present = np.unique(state)
    with style.drawing(4.6 + 0.22 * (len(present) // 2 + 1)) as (figure, axes):
        axes.grid(False)
        colors = ListedColormap([color for color, *_ in _STATES])
        norm = BoundaryNorm(np.arange(len(_STATES) + 1) - 0.5, len(_STATES))
        look = {"edgecolors": "white", "linewidth": 0.4, "gid": "cells"}
        axes.pcolormesh(x, y, state, cmap=colors, norm=norm, **look)
        _hatch(axes, x, y, state)
        _border(axes, x, y, theory)
        for side, name, edges in (("x", diagram.x_axis, x), ("y", diagram.y_axis, y)):
            scale = "log" if name == "weight_decay" else "linear"
            axes.set(**{f"{side}scale": scale, f"{side}lim": edges[[0, -1]]})
            if name == "round":
                whole = MaxNLocator(integer=True, nbins=8)
                (axes.xaxis if side == "x" else axes.yaxis).set_major_locator(whole)
        handles: list[Patch | Line2D] = [
            Patch(facecolor=color, edgecolor=ink, hatch=hatch, linewidth=0.6, label=words)
            for color, ink, hatch, words in (_STATES[number] for number in present)
        ]
        handles.append(Line2D([], [], color=BLACK, linewidth=1.4, label="border of the theory"))
        place = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.15), "borderaxespad": 0.0}
        axes.legend(handles=handles, ncols=2, columnspacing=1.4, **place)
        title, note = _format_title(diagram)
        style.caption(axes, title, _AXES[diagram.x_axis][1], _AXES[diagram.y_axis][1], note=note)
    return figure


def _edges(axis: str, values: tuple) -> np.ndarray:
    """Edges of cells around the values: halfway, on a log scale for weight decay."""
    centres = np.array([float(value) for value in values])
    if axis == "weight_decay":
        centres = np.log10(centres)
    steps = np.diff(centres) if len(centres) > 1 else [0.05 if axis == "rate" else 1.0]
    outer = centres[0] - steps[0], *centres, centres[-1] + steps[-1]
    edges = (np.array(outer[1:]) + outer[:-1]) / 2.0
    return 10.0**edges if axis == "weight_decay" else edges


def _hatch(axes: Axes, x: np.ndarray, y: np.ndarray, state: np.ndarray) -> None:
    """Hatch cells by their state, row by row, joining neighbours."""
    for i, row in enumerate(state):
        for start, stop in zip(*runs(row), strict=True):
            _, ink, hatch, words = _STATES[row[start]]
            if hatch:
                look = {"edgecolor": ink, "hatch": hatch, "linewidth": 0.0}
                look |= {"facecolor": "none", "gid": f"hatched {words}"}
                axes.fill_between(x[[start, stop]], y[i], y[i + 1], **look)


def _border(axes: Axes, x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> None:
    """Draw the edges between cells inside and outside the region of the theory."""
    look = {"color": BLACK, "linewidth": 1.4, "capstyle": "projecting", "gid": "theory border"}
    i, j = np.nonzero(inside[1:] != inside[:-1])
    axes.hlines(y[i + 1], x[j], x[j + 1], **look)
    i, j = np.nonzero(inside[:, 1:] != inside[:, :-1])
    axes.vlines(x[j + 1], y[i], y[i + 1], **look)


def _format_title(diagram: PhaseDiagram) -> tuple[str, str]:
    """What was found, and the setting it was found in."""
    known, differ = int(diagram.known.sum()), int(diagram.disagree.sum())
    title = f"Theory and exact head agree in all {known} cells"
    if not known:
        title = "100 % accuracy: theory"
    elif differ:
        title = f"Theory and exact head differ in {differ} of {known} cells"
    model, undecided = diagram.model, int(diagram.undecided.sum())
    note = (
        f"{diagram.kind} noise, K = {model.n_classes}, n = {model.samples_per_class:,}, "
        f"{_AXES[diagram.fixed_axis][0]} = {float(diagram.fixed):g}"
    )
    return title, note + (f"; undecided: {undecided} cells" if undecided else "")
