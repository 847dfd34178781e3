"""One look for every figure: theory is a line, the exact head is dots, a quantity keeps its colour.

Nothing here touches matplotlib's global state for longer than a figure is drawn, and pyplot is
never imported. The palette is Okabe and Ito's, which stays apart for colour-blind readers.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import matplotlib.style
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colorbar import Colorbar
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy.optimize import isotonic_regression

from gramlab.files.whole import atomic_write

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY, PALE, BLACK = "#767676", "#C4C4C4", "#222222"
DOTTED, DASHED = (0, (1, 2)), (0, (4, 3))

_STYLE = {
    "figure.dpi": 160,
    "savefig.dpi": 160,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": BLACK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "text.color": BLACK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
}


@contextmanager
def drawing(height: float, width: float = 4.8) -> Iterator[Figure]:
    """Make a figure in the house style, in inches; on leaving, lay it out once and for all.

    It is narrow, so that the text stays readable where a phone shows the whole figure.
    The user's own matplotlib settings neither change the figure nor are changed. The layout is
    frozen because laying out again at every save would move things by a fraction of a pixel.
    """
    with matplotlib.style.context(["default", _STYLE]):
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
        figure = Figure(figsize=(width, height), layout=layout)
        yield figure
        layout.execute(figure)
        if any(axes.get_aspect() != "auto" for axes in figure.axes):
            layout.execute(figure)  # the first time it does not know where fixed aspects end
        figure.set_layout_engine("none")


def figure_png(figure: Figure) -> bytes:
    """Draw a figure as PNG bytes without date or software, so equal figures give equal bytes."""
    stream = io.BytesIO()
    with matplotlib.style.context(["default", _STYLE]):
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as a PNG file, whole or not at all.

    Parameters
    ----------
    figure
        What to write.
    path
        Where to; its folder must exist.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    return atomic_write(path, figure_png(figure))


def ink(color: str) -> tuple[float, ...]:
    """Darken a palette colour so that text in it is readable on white."""
    return tuple(0.75 * channel for channel in to_rgb(color))


def blend(color: str, other: str, share: float) -> str:
    """Mix a share of a colour with the rest of another."""
    one, two = np.array(to_rgb(color)), np.array(to_rgb(other))
    return to_hex(tuple(share * one + (1.0 - share) * two))


def blues(count: int) -> list[str]:
    """One blue from light to dark: more rounds, more rows."""
    return [blend(BLUE, "white", 0.3 + 0.7 * i / max(count - 1, 1)) for i in range(count)]


def at_most(value: float) -> str:
    """Write a bound with two digits, rounded up so that what is printed is a bound too."""
    if not math.isfinite(value) or value <= 0.0:
        return "∞" if value == math.inf else f"{value:g}"
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    digits = math.ceil(value / unit * (1.0 - 1e-12))
    return f"{digits * unit:.1e}"


def plain_text(text: str, instead: str, longest: int = 16) -> str:
    """Make a name safe to draw: shortened, on one line, no formula, no glyph the font lacks."""
    known = font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()
    text = " ".join(text.split())
    if not text.isprintable() or any(ord(letter) not in known for letter in text):
        return instead
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return text.replace("$", r"\$")


def round_axis(
    axes: Axes, rounds: int, label: bool = True, students: Mapping[str, float] | None = None
) -> None:
    """Make x the round t = 1 … rounds; students stand at their places right of the last one."""
    margin = 0.5 if rounds == 1 else 0.25 + 0.02 * rounds
    axes.set_xlim(1 - margin, rounds + margin)
    if rounds <= 10:
        axes.set_xticks(range(1, rounds + 1))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if label:
        axes.set_xlabel("round t (1 = teacher)")
    if students:
        ticks = [int(t) for t in axes.get_xticks() if 1 <= t <= rounds and t == int(t)]
        places = list(students.values())
        axes.set_xticks([*ticks, *places], [*map(str, ticks), *students])
        half = (places[0] - rounds) / 2.0
        axes.set_xlim(right=places[-1] + half)
        axes.axvline(rounds + half, color=GREY, linewidth=0.8, linestyle=DOTTED)
        axes.set_xlabel("round t (1 = teacher); PLL = partial-label student")


def percent_axis(axis: Axis) -> None:
    """Write shares as percent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def log_axis(axes: Axes, low: float, high: float) -> None:
    """A log y axis over [low, high]: ticks 1-2-5 in plain numbers where it spans few decades."""
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    if high / low < 300.0:
        subs = (1.0, 2.0, 5.0) if high / low < 30.0 else (1.0, 3.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def theory_line(axes: Axes, values: Sequence[float], color: str, name: str) -> None:
    """Draw a quantity of the linearized theory by round; one round becomes a dash."""
    x = np.arange(1, len(values) + 1)
    dash = {"marker": "_", "markersize": 26, "markeredgewidth": 1.8} if len(values) == 1 else {}
    axes.plot(x, values, color=color, gid=f"theory {name}", **dash)


def exact_dots(axes: Axes, values: Sequence[float], color: str, name: str) -> None:
    """Draw a quantity of the exact head by round."""
    size = 6 if len(values) <= 12 else 5
    dots(axes, np.arange(1, len(values) + 1), values, color, ms=size, gid=f"exact {name}")


def dots(axes: Axes, x: Any, y: Any, color: str, marker: str = "o", **style: Any) -> None:
    """Draw marks with a white rim, in front of lines."""
    style = {"ms": 6, "mew": 0.8, "zorder": 3} | style
    axes.plot(x, y, marker, mfc=color, mec="white", **style)


def heatmap(axes: Axes, matrix: np.ndarray, gid: str, **colours: Any) -> AxesImage:
    """Draw a matrix as pixels, without grid, frame and tick marks."""
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return axes.imshow(matrix, gid=gid, **colours)


def color_bar(
    axes: Axes,
    image: AxesImage,
    place: tuple[float, float, float, float],
    label: str,
    **options: Any,
) -> Colorbar:
    """Draw the colour scale of a heat map; its place is a share of the heat map's axes."""
    figure = cast("Figure", axes.get_figure(root=True))
    bar = figure.colorbar(image, cax=axes.inset_axes(place), **options)
    bar.set_label(label)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return bar


def caption(
    axes: Axes, title: str, x: str = "", y: str = "", note: str = "", heads: bool = False
) -> None:
    """Write the words around axes, and under the title a note and what marks the two heads."""
    axes.set_title(title, pad=8 + 14 * bool(note) + 16 * heads)
    axes.set_xlabel(x or axes.get_xlabel())
    axes.set_ylabel(y)
    if note:
        axes.annotate(
            note,
            xy=(0, 1),
            xycoords="axes fraction",
            xytext=(0, 6 + 16 * heads),
            textcoords="offset points",
            va="bottom",
            fontsize=9,
        )
    if heads:
        dot = {"linestyle": "none", "marker": "o", "mec": "white", "mew": 0.8}
        legend(
            axes,
            {"linearized theory": {}, "exact head": dot},
            ncols=2,
            loc="lower left",
            bbox_to_anchor=(-0.01, 0.99),
            borderaxespad=0.0,
            handlelength=1.6,
            columnspacing=1.4,
        )


def legend(where: Axes | Figure, marks: Mapping[str, Mapping[str, Any]], **options: Any) -> None:
    """Name marks, each a line style that is black unless it says otherwise."""
    handles = [Line2D([], [], **{"color": BLACK, **mark}) for mark in marks.values()]
    where.legend(handles, list(marks), **options)


def end_labels(axes: Axes, x: float, labels: Sequence[tuple[float, str, str]], room: float) -> None:
    """Name curves at their right ends instead of in a legend.

    Parameters
    ----------
    axes
        Limits and scales must be final.
    x
        Where the curves end.
    labels
        (value at the end, text, colour) of each curve.
    room
        Least distance of neighbouring labels, as a share of the axes' height.
    """
    to_axes = axes.transScale + axes.transLimits
    ends = [[float(c) for c in to_axes.transform((x, value))] for value, _, _ in labels]
    heights = spread([at for _, at in ends], room)
    for (_, text, color), (end, at), height in zip(labels, ends, heights, strict=True):
        axes.annotate(
            text,
            xy=(1.02, height),
            xycoords="axes fraction",
            va="center",
            ha="left",
            fontsize=9,
            linespacing=1.1,
            color=ink(color),
            annotation_clip=False,
        )
        if abs(at - height) > 0.25 * room:
            leader = Line2D(
                [end + 0.015, 1.015],
                [at, height],
                transform=axes.transAxes,
                color=color,
                linewidth=0.6,
                clip_on=False,
            )
            axes.add_line(leader)


def spread(wanted: Sequence[float], room: float) -> list[float]:
    """Heights in [0, 1] nearest to the wanted ones, in their order, at least ``room`` apart."""
    order = np.argsort(wanted, kind="stable")
    # Heights less the steps below them must not fall: the closest such numbers are isotonic.
    steps = room * np.arange(len(order))
    placed = isotonic_regression(np.asarray(wanted, dtype=np.float64)[order] - steps).x
    placed = np.clip(placed, 0.0, max(1.0 - room * (len(order) - 1), 0.0)) + steps
    return [float(height) for height in placed[np.argsort(order)]]
