"""Phase diagram: where theory and exact head are perfect, and where they disagree."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gramlab.errors import InvalidSetting
from gramlab.figures.cells import AXES, cell_edges, hatch_cells
from gramlab.figures.display import Display, Panels, deprecated
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PALE, VERMILLION

if TYPE_CHECKING:
    from gramlab.population.phase import PhaseDiagram

_STATES = (  # of theory and exact head: colour, ink, hatch, words
    ("#F4F4F4", PALE, "", "neither is perfect"),
    ("#A9CDE6", BLUE, "", "both are perfect"),
    ("#F3C9AE", VERMILLION, "////", "theory alone"),
    ("#CFE8DC", GREEN, r"\\\\", "exact head alone"),
    ("#DCDCDC", GREY, "..", "exact head not computed"),
    ("#F7E8A4", BLACK, "xx", "exact head undecided"),
)


class PhaseDisplay(Display):
    """The cells of a phase diagram; those in which theory and exact head differ are hatched.

    The black line bounds the region of the theory, t > t*: by the formula of t* between the cells
    too, else along their edges. Where the exact head was not computed, the cells are dotted, where
    it is undecided, crossed.
    """

    def __init__(self, diagram: PhaseDiagram) -> None:
        known, theory = diagram.known, diagram.theory
        exact = known & diagram.exact.astype(bool)
        state = np.where(theory, np.where(exact, 1, 2), np.where(exact, 3, 0))
        self.diagram: PhaseDiagram = diagram
        self.state: np.ndarray = np.where(known, state, np.where(diagram.undecided, 5, 4))
        self.edges: dict[str, np.ndarray] = {
            name: cell_edges(name, values)
            for name, values in ((diagram.x_axis, diagram.x), (diagram.y_axis, diagram.y))
        }
        self.border: tuple[np.ndarray, np.ndarray] | None = _border(diagram, self.edges)

    @classmethod
    def from_diagram(cls, diagram: PhaseDiagram) -> Self:
        """Take what there is to draw; nothing is drawn yet.

        Parameters
        ----------
        diagram
            From :func:`gramlab.population.phase.phase_diagram`.
        """
        return cls(diagram)

    def _panels(self) -> Panels:
        return Panels(4.8 + 0.22 * (len(np.unique(self.state)) // 2 + 1))

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), diagram = axes, self.diagram
        x, y = self.edges.values()
        panel.grid(False)
        colors = ListedColormap([color for color, *_ in _STATES])
        norm = BoundaryNorm(np.arange(len(_STATES) + 1) - 0.5, len(_STATES))
        mesh = {"edgecolors": "white", "linewidth": 0.4, "gid": "cells"}
        panel.pcolormesh(x, y, self.state, cmap=colors, norm=norm, **mesh)
        for number, (_, ink, hatch, words) in enumerate(_STATES):
            if hatch:
                hatch_cells(panel, x, y, self.state == number, ink, hatch, f"hatched {words}")
        if self.border is None:
            _staircase(panel, x, y, diagram.theory)
        else:
            panel.plot(*self.border, color=BLACK, linewidth=1.4, gid="theory border")
        for side, (name, edges) in zip("xy", self.edges.items(), strict=True):
            scale = "log" if name == "weight_decay" else "linear"
            panel.set(**{f"{side}scale": scale, f"{side}lim": edges[[0, -1]]})
            if name == "round":
                whole = MaxNLocator(integer=True, nbins=8)
                (panel.xaxis if side == "x" else panel.yaxis).set_major_locator(whole)
        if look.labels != "none":
            place = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.15), "borderaxespad": 0.0}
            options: dict[str, Any] = {"ncols": 2, "columnspacing": 1.4, **place}
            panel.legend(handles=self._handles(), **(options if look.house else {}))
        title, note = _format_title(diagram)
        look.caption(panel, title, AXES[diagram.x_axis][1], AXES[diagram.y_axis][1], note=note)

    def _handles(self) -> list[Patch | Line2D]:
        """What the legend names: the states that there are, and the border."""
        states = [_STATES[number] for number in np.unique(self.state)]
        border = Line2D([], [], color=BLACK, linewidth=1.4, label="border of the theory")
        return [
            *(
                Patch(facecolor=color, edgecolor=ink, hatch=hatch, linewidth=0.6, label=words)
                for color, ink, hatch, words in states
            ),
            border,
        ]


def phase_figure(diagram: PhaseDiagram) -> Figure:
    """Deprecated: ``PhaseDisplay.from_diagram(diagram).plot().figure_``."""
    return deprecated("phase_figure", PhaseDisplay.from_diagram(diagram))


def _staircase(axes: Axes, x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> None:
    """Draw the edges between cells inside and outside the region of the theory."""
    look = {"color": BLACK, "linewidth": 1.4, "capstyle": "projecting", "gid": "theory border"}
    i, j = np.nonzero(inside[1:] != inside[:-1])
    axes.hlines(y[i + 1], x[j], x[j + 1], **look)
    i, j = np.nonzero(inside[:, 1:] != inside[:, :-1])
    axes.vlines(x[j + 1], y[i], y[i + 1], **look)


def _border(
    diagram: PhaseDiagram, edges: Mapping[str, np.ndarray], points: int = 400
) -> tuple[np.ndarray, np.ndarray] | None:
    """Where t = t* on the plane; ``None`` where the condition has no closed form.

    In the planes with rounds it is t* = ln(1 + 1/Δ)/ln ρ over the other quantity. In the third,
    the rate at which Δ = 1/(ρ^t − 1), over weight decay; Δ falls linearly from 1 at rate 0.
    """
    from gramlab.population.phase import condition  # loads JAX, as whoever made the diagram did

    over = next(name for name in ("weight_decay", "rate") if name in edges)
    low, high = edges[over][[0, -1]]
    if over == "rate":  # the cells at the ends may reach beyond the rates there are
        grid = np.linspace(max(low, 0.0), min(high, 1.0 - 1e-9), points)
    else:
        grid = np.geomspace(low, high, points)
    place: dict[str, Any] = {"rate": 0.5, diagram.fixed_axis: diagram.fixed}
    place.pop("round", None)
    try:
        found = [condition(diagram.model, diagram.kind, **place | {over: v}) for v in grid.tolist()]
    except InvalidSetting:  # noise that is not balanced
        return None
    if "round" in edges:
        # t* may be infinite; beyond the axes is as far.
        times = np.minimum([one.minimum_rounds for one in found], 2.0 * edges["round"].max())
        curve = {over: grid, "round": times}
    else:
        needed = [1.0 / np.expm1(int(diagram.fixed) * np.log1p(float(c.excess))) for c in found]
        slope = 2.0 * (1.0 - float(found[0].difference))  # of Δ, which was taken at rate 1/2
        curve = {over: grid, "rate": np.maximum((1.0 - np.array(needed)) / slope, 0.0)}
    return curve[diagram.x_axis], curve[diagram.y_axis]


def _format_title(diagram: PhaseDiagram) -> tuple[str, str]:
    """What was found in the cells that are decided, and the model and setting it was found in."""
    known, differ = int(diagram.known.sum()), int(diagram.disagree.sum())
    cells = f"{known} cells" if known == diagram.known.size else f"{known} decided cells"
    title = f"Theory and exact head differ in {differ} of {cells}"
    if not known:
        title = "100 % accuracy: theory"
    elif not differ:
        title = f"Theory and exact head agree in all {cells}"
    model, undecided = diagram.model, int(diagram.undecided.sum())
    note = (
        f"K = {model.n_classes}, n = {model.samples_per_class:,}, c = {model.within:g}, "
        f"d = {model.superclass:g}"
    )
    if model.superclass_size is not None:
        note += f", e = {model.between:g}, superclasses of {model.superclass_size}"
    fixed = f"{AXES[diagram.fixed_axis][0]} = {float(diagram.fixed):g}"
    noise = "noise by a given matrix" if diagram.kind == "matrix" else f"{diagram.kind} noise"
    note += f"\n{noise}, {fixed}"
    # The page is as wide as fifty letters of a title.
    return textwrap.fill(title, 50), note + (f"; undecided: {undecided} cells" if undecided else "")
