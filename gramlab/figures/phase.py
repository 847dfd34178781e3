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

from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PALE, VERMILLION, drawing, subtitle

if TYPE_CHECKING:
    from gramlab.phase import PhaseDiagram

_NAMES = {"rate": "noise rate η", "weight_decay": "weight decay λ", "round": "round t"}
_SYMBOLS = {"rate": "η", "weight_decay": "λ", "round": "t"}
_STATES = (  # theory, exact: colour, hatch, words
    ("#F4F4F4", "", "neither is perfect"),
    ("#A9CDE6", "", "both are perfect"),
    ("#F3C9AE", "////", "theory alone"),
    ("#CFE8DC", r"\\\\", "exact head alone"),
    ("#DCDCDC", "..", "exact head not computed"),
    ("#F7E8A4", "xx", "exact head undecided"),
)
_INKS = (PALE, BLUE, VERMILLION, GREEN, GREY, BLACK)


def phase_figure(diagram: PhaseDiagram) -> Figure:
    """Draw the cells of a phase diagram; cells in which theory and exact head differ are hatched.

    Parameters
    ----------
    diagram
        ``gramlab.phase.phase_diagram(...)``. The black line bounds the region of the theory; where
        the exact head was not computed, the cells are dotted, where it is undecided, crossed.
    """
    state = _states(diagram)
    x, y = _edges(diagram.x_axis, diagram.x), _edges(diagram.y_axis, diagram.y)
    present = [number for number in range(len(_STATES)) if (state == number).any()]
    with drawing(4.6 + 0.22 * (len(present) // 2 + 1)) as figure:
        axes = figure.subplots()
        axes.grid(False)
        axes.pcolormesh(
            x,
            y,
            state,
            cmap=ListedColormap([color for color, _, _ in _STATES]),
            norm=BoundaryNorm(np.arange(len(_STATES) + 1) - 0.5, len(_STATES)),
            edgecolors="white",
            linewidth=0.4,
            gid="cells",
        )
        for number in present:
            _hatch(axes, x, y, state == number, number)
        _border(axes, x, y, diagram.theory)
        _axis(axes, "x", diagram.x_axis, x)
        _axis(axes, "y", diagram.y_axis, y)
        _legend(axes, present)
        axes.set_title(_title(diagram))
        subtitle(axes, _setting(diagram))
    return figure


def _states(diagram: PhaseDiagram) -> np.ndarray:
    """Number in _STATES of every cell."""
    known, theory = diagram.known, diagram.theory
    exact = known & diagram.exact.astype(bool)
    state = np.where(theory, np.where(exact, 1, 2), np.where(exact, 3, 0))
    return np.where(known, state, np.where(diagram.undecided, 5, 4))


def _edges(axis: str, values: tuple) -> np.ndarray:
    """Edges of cells around the values: halfway, on a log scale for weight decay."""
    centres = np.array([float(value) for value in values])
    if axis == "weight_decay":
        centres = np.log10(centres)
    step = 1.0 if axis != "rate" else 0.05
    inner = (centres[1:] + centres[:-1]) / 2.0
    first = inner[0] - centres[0] if len(inner) else step / 2.0
    last = centres[-1] - inner[-1] if len(inner) else step / 2.0
    edges = np.concatenate([[centres[0] - first], inner, [centres[-1] + last]])
    return 10.0**edges if axis == "weight_decay" else edges


def _hatch(axes: Axes, x: np.ndarray, y: np.ndarray, cells: np.ndarray, number: int) -> None:
    """Hatch the cells of one state, row by row, joining neighbours."""
    _, hatch, words = _STATES[number]
    if not hatch:
        return
    for i, row in enumerate(cells):
        padded = np.concatenate([[False], row, [False]]).astype(int)
        starts, stops = np.flatnonzero(np.diff(padded) == 1), np.flatnonzero(np.diff(padded) == -1)
        for start, stop in zip(starts, stops, strict=True):
            axes.fill_between(
                [x[start], x[stop]],
                y[i],
                y[i + 1],
                facecolor="none",
                edgecolor=_INKS[number],
                hatch=hatch,
                linewidth=0.0,
                gid=f"hatched {words}",
            )


def _border(axes: Axes, x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> None:
    """Draw the edges between cells inside and outside the region of the theory."""
    style = {"color": BLACK, "linewidth": 1.4, "capstyle": "projecting", "gid": "theory border"}
    across = [(y[i], *x[[j, j + 1]]) for i, j in _changes(inside)]
    along = [(x[j], *y[[i, i + 1]]) for j, i in _changes(inside.T)]
    if across:
        axes.hlines(*zip(*across, strict=True), **style)
    if along:
        axes.vlines(*zip(*along, strict=True), **style)


def _changes(inside: np.ndarray) -> list[tuple[int, int]]:
    """(i, j) where row i of the grid differs from row i − 1 at column j."""
    rows, columns = np.nonzero(inside[1:] != inside[:-1])
    return [(int(i) + 1, int(j)) for i, j in zip(rows, columns, strict=True)]


def _axis(axes: Axes, side: str, name: str, edges: np.ndarray) -> None:
    limits, label = (
        (axes.set_xlim, axes.set_xlabel) if side == "x" else (axes.set_ylim, axes.set_ylabel)
    )
    scale = axes.set_xscale if side == "x" else axes.set_yscale
    if name == "weight_decay":
        scale("log")
    elif name == "round":
        axis = axes.xaxis if side == "x" else axes.yaxis
        axis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    limits(edges[0], edges[-1])
    label(_NAMES[name] + (" (1 = teacher)" if name == "round" else ""))


def _legend(axes: Axes, present: list[int]) -> None:
    handles: list[Patch | Line2D] = [
        Patch(
            facecolor=_STATES[number][0],
            edgecolor=_INKS[number],
            hatch=_STATES[number][1],
            linewidth=0.6,
            label=_STATES[number][2],
        )
        for number in present
    ]
    handles.append(Line2D([], [], color=BLACK, linewidth=1.4, label="border of the theory"))
    axes.legend(
        handles=handles,
        ncols=2,
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.15),
        borderaxespad=0.0,
        columnspacing=1.4,
    )


def _title(diagram: PhaseDiagram) -> str:
    known, differ = int(diagram.known.sum()), int(diagram.disagree.sum())
    if not known:
        return "100 % accuracy: theory"
    if not differ:
        return f"Theory and exact head agree in all {known} cells"
    return f"Theory and exact head differ in {differ} of {known} cells"


def _setting(diagram: PhaseDiagram) -> str:
    model, fixed = diagram.model, diagram.fixed_axis
    value = float(diagram.fixed)
    undecided = int(diagram.undecided.sum())
    return (
        f"{diagram.kind} noise, K = {model.n_classes}, n = {model.samples_per_class:,}, "
        f"{_SYMBOLS[fixed]} = {value:g}" + (f"; undecided: {undecided} cells" if undecided else "")
    )
