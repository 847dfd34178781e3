"""A path over weight decay: where theory and exact head agree, and how well both do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator, NullFormatter

from gramlab.figures import style
from gramlab.figures.cells import AXES, cell_edges, hatch_cells
from gramlab.figures.display import Display, Panels
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE

if TYPE_CHECKING:
    from gramlab.path import DistillationPath

_SCORES = {  # of training and of test rows: the end of their keys, and words
    "recovery": "True labels recovered (training)",
    "test": "Test accuracy",
}

_SECANT = {"secant": {"linestyle": style.DASHED, "lw": 1.0}}


class PathDisplay(Display):
    """On how many rows theory and exact head agree, by weight decay and round; below, their scores.

    A cell is hatched where the certificate leaves more training rows undecided than theory and
    exact head differ on: there the difference could be of another size. Below the map, one panel
    each for training rows, where their true labels are known, and for test rows: theory as lines,
    dashed with a secant in place of the tangent, exact heads as dots, of at most four rounds.
    """

    def __init__(
        self, weight_decays: Sequence[float], rounds: int, cells: Sequence[Mapping[str, Any]]
    ) -> None:
        self.weight_decays: Sequence[float] = weight_decays
        self.rounds: int = rounds
        self.cells: dict[tuple[float, int], Mapping[str, Any]] = {
            (cell["weight_decay"], cell["round"]): cell for cell in cells
        }
        self.scores: list[str] = [
            s for s in _SCORES if all(c[f"exact_{s}"] is not None for c in cells)
        ]

    @classmethod
    def from_path(cls, path: DistillationPath) -> Self:
        """Take what there is to draw, of ``distillation_path``; nothing is drawn yet."""
        return cls(path.weight_decays, path.rounds, path.cells)

    def _panels(self) -> Panels:
        rows = [min(max(0.3 * self.rounds, 1.4), 3.2), *(2.0 for _ in self.scores)]
        return Panels(sum(rows) + 0.9 * len(rows), rows=rows)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        x = cell_edges("weight_decay", self.weight_decays)
        for panel in axes:
            panel.set(xscale="log", xlim=x[[0, -1]])
            panel.xaxis.set_minor_formatter(NullFormatter())
        self._map(axes[0], x, look)
        for panel, score in zip(axes[1:], self.scores, strict=True):
            self._curves(panel, score, look)
        for panel in axes[-1:] if look.house else axes:
            panel.set_xlabel(AXES["weight_decay"][1])

    def _grid(self, name: str) -> np.ndarray:
        """One entry of the cells, of shape (rounds, weight decays)."""
        rounds = range(1, self.rounds + 1)
        return np.array([[self.cells[w, t][name] for w in self.weight_decays] for t in rounds])

    def _map(self, axes: Axes, x: np.ndarray, look: Look) -> None:
        rounds = range(1, self.rounds + 1)
        agreement, y = self._grid("argmax_agreement"), cell_edges("round", rounds)
        colors = LinearSegmentedColormap.from_list("agreement", ["#F4F4F4", f"{BLUE}BF"])
        limits = {"vmin": min(float(agreement.min()), 0.99), "vmax": 1.0}
        axes.grid(False)
        mesh = {"cmap": colors, "edgecolors": "white", "linewidth": 0.4, "gid": "agreement"}
        cells = axes.pcolormesh(x, y, agreement, **limits, **mesh)
        # Shares are rounded: equal counts of rows must not count as more.
        uncertain = self._grid("undecided") + agreement > 1.0 + 4.0 * np.finfo(float).eps
        hatch_cells(axes, x, y, uncertain, BLACK, "////", "not certified")
        axes.set_ylim(*y[[0, -1]])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        scale = axes.figure.colorbar(cells, cax=axes.inset_axes((1.03, 0.0, 0.04, 1.0)))
        scale.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        scale.set_label("rows agreed on")
        style.percent_axis(scale.ax.yaxis)
        note = "hatched: more rows undecided than differ" if uncertain.any() else ""
        look.caption(axes, _format_agreement(agreement), y=AXES["round"][1], note=note)

    def _curves(self, axes: Axes, score: str, look: Look) -> None:
        chosen = np.unique(np.linspace(1, self.rounds, min(self.rounds, 4)).round().astype(int))
        heads = ("linearized", "secant", "exact")
        theory, secant, exact = (self._grid(f"{head}_{score}") for head in heads)
        named = []
        for t, color in zip(chosen.tolist(), style.blues(len(chosen)), strict=True):
            line = {"color": color, "lw": 1.4, "gid": f"theory {score} {t}", "label": f"t = {t}"}
            points = style.as_line(len(self.weight_decays))
            named += axes.plot(self.weight_decays, theory[t - 1], **line | points)
            dashed = points or {"ls": style.DASHED}
            gid = f"secant {score} {t}"
            axes.plot(self.weight_decays, secant[t - 1], color=color, lw=1.0, gid=gid, **dashed)
            gid = f"exact {score} {t}"
            style.dots(axes, self.weight_decays, exact[t - 1], color, ms=5, gid=gid)
        style.percent_axis(axes.yaxis)
        look.caption(axes, _SCORES[score], y="share predicted right", heads=True, also=_SECANT)
        look.end_labels(axes, self.weight_decays[-1], 0.14, named)


def _format_agreement(agreement: np.ndarray) -> str:
    """On how many rows both predict one class, in the least cell and the most.

    A range is rounded outwards; one share has as many digits as tell it from all rows.
    """
    if agreement.min() == 1.0:
        return "Theory and exact head agree on every row"
    low, high = 1000.0 * agreement.min(), 1000.0 * agreement.max()
    digits = next((d for d in range(1, 9) if round(low / 10.0, d) < 100.0), 17)
    share = f"{low / 10.0:.{digits}f} %"
    if low < high:
        share = f"{math.floor(low) / 10.0:.1f} to {math.ceil(high) / 10.0:.1f} %"
    return f"Theory and exact head agree on\n{share} of the training rows"
