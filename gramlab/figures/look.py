"""How one plot is to look: its words, where names of lines stand, and properties of the lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from gramlab.figures import style

__all__ = ["LABELS", "Look"]

LABELS = ("ends", "legend", "none")


class _Caption(NamedTuple):
    axes: Axes
    title: str
    note: str
    marks: Mapping[str, style.Mark]


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
        self.house: bool = house
        self.labels: str = labels
        self._axes, self._lines, self._title, self._note = axes, lines, title, note
        self._named: list[tuple[Axes, float, float | None, Sequence[Line2D] | None]] = []
        self._captions: list[_Caption] = []
        self._marks: dict[Axes, dict[str, style.Mark]] = {}

    def caption(
        self,
        axes: Axes,
        title: str,
        x: str = "",
        y: str = "",
        note: str = "",
        heads: bool = False,
        also: Mapping[str, style.Mark] = {},
    ) -> None:
        """Words around axes as ``style.caption`` writes them, or the caller's instead of ours.

        ``also`` are marks beside those of the two ``heads``.
        """
        axes.set(xlabel=x or axes.get_xlabel(), ylabel=y)
        short = also or not self.house  # three marks are one line
        marks = {**(style.SHORT_HEADS if short else style.HEADS), **also}
        if heads and self.labels == "legend":
            self._marks.setdefault(axes, {}).update(marks)
        words = _Caption(axes, title, note, marks if heads and self.labels == "ends" else {})
        if self.house:
            self._write(words)
        else:
            self._captions.append(words)

    def _write(self, words: _Caption) -> None:
        """Write the caller's title and note, or ours as ``fit`` breaks them."""
        axes, first = words.axes, words.axes is self._axes[0]
        title, note = self._title, self._note
        if title is None or (title and not first):
            title = self.fit(axes, words.title, axes.title.get_fontproperties())
        if note is None or (note and not first):
            note = self.fit(axes, words.note)
        style.caption(axes, title, note, words.marks)

    def heading(self, axes: Axes, title: str, above: float = 0.0) -> None:
        """A title over the house's whole page; on the caller's, over axes and what is above them.

        That takes so many points where small text has 9.
        """
        wanted = self._title
        if self.house:
            bold = {"fontsize": rcParams["axes.titlesize"], "fontweight": "bold"}
            title = title if wanted is None else wanted
            axes.figure.suptitle(title, x=0.015, ha="left", **bold)
        else:
            font = axes.title.get_fontproperties()
            title = self.fit(axes, title, font) if wanted is None else wanted
            axes.set_title(title, pad=rcParams["axes.titlepad"] + above * style.text_size(1 / 9))

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
        """Name marks in a legend; its place is given in the house style, else below the axes.

        ``outside`` puts it on the house's page instead of into the axes.
        """
        if self.labels == "legend" or not self.house:
            self._marks.setdefault(axes, {}).update(marks)
        elif self.labels == "ends":
            style.legend(axes.figure if outside else axes, marks, **options)

    def finish(self, drawn: Iterable[Artist]) -> None:
        """Give the lines drawn their properties, then write names that depend on the layout."""
        for line in (one for one in drawn if isinstance(one, Line2D)):
            line.set(**self._lines)
        figure = self._axes[0].figure.figure
        engine = figure.get_layout_engine()
        arrange = partial(engine.execute, figure) if engine else lambda: None
        if not self.house:
            arrange()  # texts are broken to the sides that panels will have
            for axes in self._axes:
                for label, upright in ((axes.xaxis.label, False), (axes.yaxis.label, True)):
                    font = label.get_fontproperties()
                    label.set_text(self.fit(axes, label.get_text(), font, upright=upright))
            arrange()
            for words in self._captions:
                self._write(words)
            arrange()
            if any(axes.get_aspect() != "auto" for axes in self._axes):
                arrange()  # the first time it does not know where fixed aspects end
        for axes, x, room, lines in self._named:
            named = style.named_lines(axes) if lines is None else lines
            if self.labels == "ends":
                style.end_labels(axes, x, room, named)
            elif self.labels == "legend":
                self._marks.setdefault(axes, {}).update({_one_line(line): line for line in named})
        if not self.house:
            arrange()  # titles and names at the ends have made panels smaller
        if self.labels != "none":
            for axes, marks in self._marks.items():
                small = FontProperties(size=rcParams["legend.fontsize"])
                names = [style.wrapped(name, axes, 0.7 * axes.bbox.width, small) for name in marks]
                write = style.legend_below if self.labels == "ends" else style.legend
                write(axes, dict(zip(names, marks.values(), strict=True)))

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
        # A little short of it: below a title of several lines an axis may have longer tick labels.
        side = 0.95 * (axes.bbox.height if upright else axes.bbox.width)
        font = FontProperties(size=style.text_size()) if font is None else font
        return text if self.house else style.wrapped(text, axes, side, font)


def _one_line(line: Line2D) -> str:
    return " ".join(str(line.get_label()).split())
