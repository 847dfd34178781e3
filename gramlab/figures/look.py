"""How one plot is to look: its words, where names of lines stand, and properties of the lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from gramlab.figures import style

__all__ = ["LABELS", "Look"]

LABELS = ("ends", "legend", "none")


class Look:
    """What ``Display.plot`` was asked for, given to ``_draw`` for all words around the panels.

    Attributes
    ----------
    house
        Whether the page is one of the house style; else the axes are the caller's.
    labels
        Where names of lines stand: ``"ends"``, ``"legend"`` or ``"none"``.
    """

    def __init__(
        self,
        axes: Sequence[Axes],
        lines: Mapping[str, Any],
        *,
        house: bool,
        title: str | None = None,
        labels: str = "ends",
        note: str | None = None,
    ) -> None:
        self.house, self.labels = house, labels
        self._axes, self._lines, self._title, self._note = axes, lines, title, note
        self._named: list[tuple[Axes, float, float | None, Sequence[Line2D] | None]] = []
        self._heads: list[Axes] = []

    def caption(
        self,
        axes: Axes,
        title: str,
        x: str = "",
        y: str = "",
        note: str = "",
        heads: bool = False,
    ) -> None:
        """``style.caption`` with the caller's title and note; ours are wrapped on the caller's."""
        first, bold = axes is self._axes[0], axes.title.get_fontproperties()
        title, note = (
            wanted if wanted is not None and (first or not wanted) else self.fit(axes, text, font)
            for wanted, text, font in ((self._title, title, bold), (self._note, note, None))
        )
        if heads:
            self._heads.append(axes)
        style.caption(axes, title, x, y, note, heads and self.labels == "ends")

    def heading(self, axes: Axes, title: str) -> None:
        """A title over the whole page, of panels too narrow for it; on the caller's, over axes."""
        title = title if self._title is None else self._title
        if self.house:
            bold = {"fontsize": rcParams["axes.titlesize"], "fontweight": "bold"}
            axes.figure.suptitle(title, x=0.015, ha="left", **bold)
        else:
            axes.set_title(title, loc="left")

    def end_labels(
        self, axes: Axes, x: float, room: float, lines: Sequence[Line2D] | None = None
    ) -> None:
        """Name the lines of axes at their ends, at ``x``, or as the caller wants them named.

        ``room`` is that of ``style.end_labels`` in the house style.
        """
        self._named.append((axes, x, room if self.house else None, lines))

    def legend(
        self,
        axes: Axes,
        marks: Mapping[str, Mapping[str, Any]],
        *,
        outside: bool = False,
        **options: Any,
    ) -> None:
        """Name marks in a legend; its place is given in the house style, else the best inside.

        ``outside`` puts it on the house's page instead of into the axes.
        """
        if self.labels != "none":
            where = axes.figure if outside and self.house else axes
            style.legend(where, marks, **(options if self.house else {}))

    def finish(self, drawn: Iterable[Artist]) -> None:
        """Give the lines drawn their properties, then write their names."""
        for line in (one for one in drawn if isinstance(one, Line2D)):
            line.set(**self._lines)
        if not self.house:
            for axes in self._axes:
                for label, upright in ((axes.xaxis.label, False), (axes.yaxis.label, True)):
                    font = label.get_fontproperties()
                    label.set_text(self.fit(axes, label.get_text(), font, upright=upright))
            figure = self._axes[0].figure.figure
            if engine := figure.get_layout_engine():
                engine.execute(figure)  # names stand apart by the height that panels will have
        for axes, x, room, lines in self._named:
            named = style.named_lines(axes) if lines is None else lines
            if self.labels == "ends":
                style.end_labels(axes, x, room, named)
            elif self.labels == "legend":
                marks = [Line2D([], [], color=style.BLACK, **m) for m in style.HEADS.values()]
                marks = marks if axes in self._heads else []
                names = [*style.HEADS][: len(marks)]
                names += [" ".join(str(line.get_label()).split()) for line in named]
                axes.legend([*marks, *named], names)

    def fit(
        self,
        axes: Axes,
        text: str,
        font: FontProperties | None = None,
        *,
        upright: bool = False,
    ) -> str:
        """A text of ours, broken to the side of the caller's axes that it stands on.

        Without a font it is small text. In the house style texts stay as they are.
        """
        side = axes.bbox.height if upright else axes.bbox.width
        font = FontProperties(size=style.text_size()) if font is None else font
        return text if self.house else style.wrapped(text, axes, side, font)
