"""What stands on the page of a figure: its words, its named artists, and text that leaves it."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text


def words(figure: Figure) -> str:
    """All text of a figure, with single blanks."""
    shown = (text.get_text() for text in figure.findobj(Text) if text.get_visible())
    return " ".join(" ".join(shown).split())


def named(figure: Figure) -> dict[str, list[Artist]]:
    """Every artist with a name (gid), in the order of drawing."""
    found: dict[str, list[Artist]] = {}
    for artist in figure.findobj(lambda one: bool(one.get_gid())):
        found.setdefault(artist.get_gid(), []).append(artist)
    return found


def outside(figure: Figure) -> list[str]:
    """Texts that are drawn, even in part, beyond the page."""
    figure.draw_without_rendering()
    for axes in figure.axes:  # ticks beyond the limits are not drawn, but are there
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not min(low, high) <= tick.get_loc() <= max(low, high):
                    tick.label1.set_visible(False)
    page, found = figure.bbox, []
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            if min(box.x0, box.y0) < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1:
                found.append(text.get_text())
    return found


def column(panels: int) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a column of a paper (3.3 in), and its axes one above the other."""
    figure = Figure(figsize=(3.3, 2.6 * panels), layout="constrained")
    return figure, list(figure.subplots(panels, 1, squeeze=False).flat)
