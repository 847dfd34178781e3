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

from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PALE, VERMILLION, caption, drawing

if TYPE_CHECKING:
    from gramlab.population.phase import PhaseDiagram

_NAMES = {
    "rate": "noise rate η",
    "weight_decay": "weight decay λ",
    "round": "round t (1 = teacher)",
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
    present = [number for number in range(len(_STATES)) if (state == number).any()]
    with drawing(4.6 + 0.22 * (len(present) // 2 + 1)) as figure:
        axes = figure.subplots()
        axes.grid(False)
        axes.pcolormesh(
            x,
            y,
            state,
            cmap=ListedColormap([color for color, *_ in _STATES]),
            norm=BoundaryNorm(np.arange(len(_STATES) + 1) - 0.5, len(_STATES)),
            edgecolors="white",
            linewidth=0.4,
            gid="cells",
        )
        for number in present:
            _hatch(axes, x, y, state == number, *_STATES[number][1:])
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
        axes.legend(
            handles=handles,
            ncols=2,
            loc="upper left",
            bbox_to_anchor=(-0.02, -0.15),
            borderaxespad=0.0,
            columnspacing=1.4,
        )
        title, note = _words(diagram)
        caption(axes, title, _NAMES[diagram.x_axis], _NAMES[diagram.y_axis], note=note)
    return figure


def _edges(axis: str, values: tuple) -> np.ndarray:
    """Edges of cells around the values: halfway, on a log scale for weight decay."""
    centres = np.array([float(value) for value in values])
    if axis == "weight_decay":
        centres = np.log10(centres)
    if len(centres) == 1:
        half = 0.025 if axis == "rate" else 0.5
        edges = np.array([centres[0] - half, centres[0] + half])
    else:
        inner = (centres[1:] + centres[:-1]) / 2.0
        edges = np.r_[2.0 * centres[0] - inner[0], inner, 2.0 * centres[-1] - inner[-1]]
    return 10.0**edges if axis == "weight_decay" else edges


def _hatch(
    axes: Axes, x: np.ndarray, y: np.ndarray, cells: np.ndarray, ink: str, hatch: str, words: str
) -> None:
    """Hatch the cells of one state, row by row, joining neighbours."""
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
                edgecolor=ink,
                hatch=hatch,
                linewidth=0.0,
                gid=f"hatched {words}",
            )


def _border(axes: Axes, x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> None:
    """Draw the edges between cells inside and outside the region of the theory."""
    style = {"color": BLACK, "linewidth": 1.4, "capstyle": "projecting", "gid": "theory border"}
    i, j = np.nonzero(inside[1:] != inside[:-1])
    axes.hlines(y[i + 1], x[j], x[j + 1], **style)
    i, j = np.nonzero(inside[:, 1:] != inside[:, :-1])
    axes.vlines(x[j + 1], y[i], y[i + 1], **style)


def _words(diagram: PhaseDiagram) -> tuple[str, str]:
    """What was found, and the setting it was found in."""
    known, differ = int(diagram.known.sum()), int(diagram.disagree.sum())
    title = f"Theory and exact head agree in all {known} cells"
    if not known:
        title = "100 % accuracy: theory"
    elif differ:
        title = f"Theory and exact head differ in {differ} of {known} cells"
    model, symbols = diagram.model, {"rate": "η", "weight_decay": "λ", "round": "t"}
    note = (
        f"{diagram.kind} noise, K = {model.n_classes}, n = {model.samples_per_class:,}, "
        f"{symbols[diagram.fixed_axis]} = {float(diagram.fixed):g}"
    )
    undecided = int(diagram.undecided.sum())
    return title, note + (f"; undecided: {undecided} cells" if undecided else "")
