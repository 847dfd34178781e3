"""What all Displays share: data in, drawn on the caller's axes or on a page of the house style."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from matplotlib.artist import Artist, ArtistInspector
from matplotlib.axes import Axes
from matplotlib.cbook import normalize_kwargs
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gramlab.errors import InvalidSetting
from gramlab.figures.look import LABELS, Look
from gramlab.figures.style import KINDS, drawing, figure_bytes
from gramlab.files.whole import atomic_write

__all__ = [
    "Display",
    "Panels",
    "deprecated",
    "deprecated_set",
    "expect",
    "figure_png",
    "save_figure",
]

_WORDS = ("title", "labels", "note")
# Properties of lines that a style may set: all but those that say what is drawn, and where.
_DRAWN = {"data", "xdata", "ydata", "gid", "label", "transform", "figure"}
_PROPERTIES = {*ArtistInspector(Line2D).get_setters()} - _DRAWN


class Panels(NamedTuple):
    """A page of the house style: inches, and how rows and columns of panels share them."""

    height: float
    width: float = 4.8
    rows: Sequence[float] = (1.0,)
    columns: Sequence[float] = (1.0,)
    sharex: bool = True


class Display(ABC):
    """A figure as an object: made from data, drawn by :meth:`plot`, shown by a notebook.

    Attributes
    ----------
    figure_, axes_, ax_
        After ``plot``: the figure, its panels from the top left, and the first of them.
    artists_ : dict of str to Artist
        After ``plot``: what was drawn, by the name (``gid``) it goes under; a second of one name
        is ``"name 2"``.
    """

    figure_: Figure
    axes_: tuple[Axes, ...]
    ax_: Axes
    artists_: dict[str, Artist]
    _in_house_style = True

    @abstractmethod
    def _panels(self) -> Panels:
        """The page that the house style needs; its rows times columns are the axes drawn on."""

    @abstractmethod
    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        """Draw on as many axes as there are panels; words around them go through the look."""

    def plot(self, ax: Axes | Sequence[Axes] | None = None, **style: Any) -> Self:
        """Draw, and return this display.

        Parameters
        ----------
        ax
            Axes to draw on, as many as the display has panels, with the ``rcParams`` in force;
            size and layout of their figure stay as they are. Default a new figure in the house
            style, which is the same whatever ``rcParams`` say.
        **style
            ``title`` and ``note``: instead of the first panel's (title ``""``: of all panels none).
            ``labels``: names of lines at their ``"ends"``, in a ``"legend"``, or ``"none"``. All
            else are Matplotlib's properties of lines (linewidth, alpha, color …), which every
            named line takes.

        Raises
        ------
        InvalidSetting
            For axes of another number or kind, and for words of style that nothing knows.
        """
        words, lines = _checked(style)
        page = self._panels()
        if ax is None:
            with drawing(**page._asdict()) as (figure, *panels):
                self._finish(figure, tuple(panels), Look(panels, lines, house=True, **words))
        else:
            axes = _own_axes(ax, len(page.rows) * len(page.columns), type(self).__name__)
            self._finish(axes[0].figure.figure, axes, Look(axes, lines, house=False, **words))
        self._in_house_style = ax is None
        return self

    def _finish(self, figure: Figure, axes: tuple[Axes, ...], look: Look) -> None:
        before = {id(one) for panel in axes for one in panel.findobj()}
        self._draw(axes, look)
        drawn, times = {}, Counter()
        for one in (one for panel in axes for one in panel.findobj() if id(one) not in before):
            if name := one.get_gid():
                times[name] += 1
                drawn[name if times[name] == 1 else f"{name} {times[name]}"] = one
        look.finish(drawn.values())
        self.figure_, self.axes_, self.ax_, self.artists_ = figure, axes, axes[0], drawn

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the figure as a PNG, PDF or SVG file by its suffix, drawn first if it is not."""
        return save_figure(self, path)

    def rendered(self, kind: str) -> bytes:
        """The figure as the bytes of a ``"png"``, ``"pdf"`` or ``"svg"`` file."""
        if not hasattr(self, "figure_"):
            self.plot()
        return figure_bytes(self.figure_, kind, house=self._in_house_style)

    def __repr__(self) -> str:
        state = "not drawn; plot() draws it"
        if hasattr(self, "ax_"):
            titles = (self.ax_.get_title(loc=place) for place in ("left", "center", "right"))
            state = " ".join(" ".join(titles).split()) or "drawn without a title"
        return f"<{type(self).__name__}: {state}>"

    def _repr_png_(self) -> bytes:
        return self.rendered("png")


def _checked(style: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Words of style as those of the :class:`Look`, and as properties of lines, tried on one."""
    words = {name: value for name, value in style.items() if name in _WORDS}
    try:
        lines = normalize_kwargs({n: v for n, v in style.items() if n not in words}, Line2D)
    except TypeError as problem:  # a property under two of its names
        raise InvalidSetting(f"expected each word of style once: {problem}") from None
    for name in lines:
        if name not in _PROPERTIES:
            raise InvalidSetting(
                f"unknown word of style {name!r}: known are {', '.join(_WORDS)}, and what "
                "Matplotlib sets of lines (linewidth, linestyle, color, alpha, markersize …)"
            )
    for name, value in words.items():
        if name == "labels" and value not in LABELS:
            known = ", ".join(map(repr, LABELS))
            raise InvalidSetting(f"labels must be one of {known}, got {value!r}")
        if not isinstance(value, str | None):
            raise InvalidSetting(f'{name} must be text ("" for none), got {value!r}')
    try:
        _try_to_draw(lines)
    except Exception as problem:
        raise InvalidSetting(f"Matplotlib cannot set {lines} of a line: {problem}") from problem
    return words, lines


def _try_to_draw(lines: Mapping[str, Any]) -> None:
    """Draw a line with these properties: Matplotlib refuses some values only then."""
    if lines:
        points = range(100)  # enough for a list of points to be marked
        tried, figure = Line2D(points, points, marker="o"), Figure(figsize=(1.0, 1.0))
        tried.set(**lines)
        figure.add_artist(tried)
        figure_bytes(figure, "png", house=False)


def expect(value: object, kind: type, name: str, do: str) -> None:
    """Refuse an argument ``name`` of another type than ``kind``; ``do`` says what to give.

    Raises
    ------
    InvalidSetting
        If it is of another type.
    """
    if not isinstance(value, kind):
        raise InvalidSetting(
            f"{name} must be of type {kind.__name__}, got {type(value).__name__}: {do}"
        )


def _own_axes(given: Any, count: int, name: str) -> tuple[Axes, ...]:
    """The caller's axes, one or a sequence or array of them, if they are as many as panels."""
    several = getattr(given, "flat", given if isinstance(given, Sequence) else [given])
    axes = tuple(one for one in several if isinstance(one, Axes))
    wrong = [type(one).__name__ for one in several if not isinstance(one, Axes)]
    panels = "one Axes" if count == 1 else f"a sequence of {count} Axes, one a panel"
    if wrong or len(axes) != count:
        came = f"an object of type {wrong[0]}" if wrong else f"{len(axes)}"
        raise InvalidSetting(
            f"{name} draws on {panels}, got {came}; give ax=plt.subplots({count})[1], or leave it "
            "out for a new figure"
        )
    if bent := [one.name for one in axes if one.name != "rectilinear"]:
        raise InvalidSetting(
            f"{name} draws on rectilinear axes, got {bent[0]} axes; give "
            f"ax=plt.subplots({count})[1], or leave it out for a new figure"
        )
    if len(set(axes)) < count:
        raise InvalidSetting(
            f"{name} draws on {count} different Axes, got one of them twice; give "
            f"ax=plt.subplots({count})[1], or leave it out for a new figure"
        )
    if len({one.figure.figure for one in axes}) > 1:
        raise InvalidSetting(
            f"{name} draws on axes of one figure, got axes of several; give {panels} of one"
        )
    return axes


def figure_png(figure: Figure | Display) -> bytes:
    """Draw a figure as PNG bytes without date or software, so equal figures give equal bytes."""
    return figure.rendered("png") if isinstance(figure, Display) else figure_bytes(figure, "png")


def save_figure(figure: Figure | Display, path: str | os.PathLike[str]) -> Path:
    """Write a figure as a PNG, PDF or SVG file, whole or not at all, and return its path.

    The suffix of ``path`` says which. PDF and SVG are vector graphics, and equal figures give equal
    bytes: no file holds a date.

    Raises
    ------
    InvalidSetting
        If the path ends otherwise.
    OutputError
        If the file cannot be written.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise InvalidSetting(
            f"expected the file of a figure to end in .png, .pdf or .svg, got {os.fspath(path)!r}"
        )
    drawn = isinstance(figure, Display)
    return atomic_write(path, figure.rendered(kind) if drawn else figure_bytes(figure, kind))


def deprecated(old: str, display: Display) -> Figure:
    """The figure of a display, for the function ``old`` that it takes the place of."""
    _warn(old, type(display).__name__)
    return display.plot().figure_


def deprecated_set(old: str, new: str, displays: Mapping[str, Display]) -> dict[str, Figure]:
    """The figures of displays by their names, for ``old`` that the function ``new`` replaces."""
    _warn(old, new)
    return {name: display.plot().figure_ for name, display in displays.items()}


def _warn(old: str, new: str) -> None:
    words = f"gramlab.figures.{old} leaves with version 0.3.0; use gramlab.figures.{new}"
    warnings.warn(words, DeprecationWarning, stacklevel=4)
