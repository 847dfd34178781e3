"""One look for every figure: theory is a line, the exact head is dots, a quantity keeps its colour.

Nothing here touches matplotlib's global state for longer than a figure is drawn, and pyplot is
never imported. The palette is Okabe and Ito's, which stays apart for colour-blind readers.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation
from scipy.optimize import isotonic_regression

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY, PALE, BLACK = "#767676", "#C4C4C4", "#222222"
DOTTED, DASHED = (0, (1, 2)), (0, (4, 3))

Mark = Mapping[str, Any] | Line2D
HEADS: dict[str, dict[str, Any]] = {
    "linearized theory": {},
    "exact head": {"linestyle": "none", "marker": "o", "mec": "white", "mew": 0.8},
}
SHORT_HEADS = {"theory": HEADS["linearized theory"], "exact head": HEADS["exact head"]}

# Kinds of files of figures, each with what it would otherwise say of its time and maker.
KINDS: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
}

_STYLE = {
    "figure.dpi": 160,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
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
}


@contextmanager
def drawing(
    height: float,
    width: float = 4.8,
    *,
    rows: Sequence[float] = (1.0,),
    columns: Sequence[float] = (1.0,),
    sharex: bool = True,
) -> Iterator[tuple[Figure, *tuple[Axes, ...]]]:
    """Make a figure and its panels in the house style; on leaving, lay it out once and for all.

    Sizes are in inches, `rows` and `columns` relative. It is narrow, so that the text stays
    readable where a phone shows the whole figure. The user's own matplotlib settings neither change
    the figure nor are changed. The layout is frozen because laying out again at every save would
    move things by a fraction of a pixel.
    """
    with matplotlib.style.context(["default", _STYLE]):
        layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
        figure = Figure(figsize=(width, height), layout=layout)
        grid = {"height_ratios": rows, "width_ratios": columns, "wspace": 0.0}
        shape = len(rows), len(columns)
        panels = figure.subplots(*shape, sharex=sharex, squeeze=False, gridspec_kw=grid)
        yield figure, *panels.flat
        layout.execute(figure)
        if any(axes.get_aspect() != "auto" for axes in figure.axes):
            layout.execute(figure)  # the first time it does not know where fixed aspects end
        figure.set_layout_engine("none")


def figure_bytes(figure: Figure, kind: str, *, house: bool = True) -> bytes:
    """Draw a figure as the bytes of a file of this kind: equal bytes for equal figures.

    A figure of the house style is saved in it too, another with the settings in force.
    """
    stream = io.BytesIO()
    with matplotlib.style.context(["default", _STYLE] if house else []):
        matplotlib.rcParams["svg.hashsalt"] = "gramlab"  # else names in an SVG file are random
        figure.savefig(stream, format=kind, metadata=KINDS[kind])
    return stream.getvalue()


def text_size(share: float = 1.0) -> float:
    """Points of small text, 9 in the house style: a share of what the settings give a legend."""
    size = FontProperties(size=matplotlib.rcParams["legend.fontsize"]).get_size_in_points()
    return share * size


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


def round_axis(axes: Axes, rounds: int, students: Mapping[str, float] | None = None) -> None:
    """Make x the round t = 1 … rounds; students stand at their places right of the last one."""
    margin = 0.5 if rounds == 1 else 0.25 + 0.02 * rounds
    axes.set(xlim=(1 - margin, rounds + margin), xlabel="round t (1 = teacher)")
    if rounds <= 10:
        axes.set_xticks(range(1, rounds + 1))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if students:
        ticks = [int(t) for t in axes.get_xticks() if 1 <= t <= rounds and t == int(t)]
        places = list(students.values())
        axes.set_xticks([*ticks, *places], [*map(str, ticks), *students])
        half = (places[0] - rounds) / 2.0
        axes.axvline(rounds + half, color=GREY, linewidth=0.8, linestyle=DOTTED)
        label = "round t (1 = teacher); PLL = partial-label student"
        axes.set(xlim=(1 - margin, places[-1] + half), xlabel=label)


def percent_axis(axis: Axis) -> None:
    """Write shares as percent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def log_axis(axes: Axes, low: float, high: float) -> None:
    """A log y axis over [low, high]: ticks 1-2-5 in plain numbers where it spans few decades."""
    axes.set(yscale="log", ylim=(low, high))
    if high / low < 300.0:
        subs = (1.0, 2.0, 5.0) if high / low < 30.0 else (1.0, 3.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def from_zero(axes: Axes, below: float, above: float) -> None:
    """Limits of y: 0 and all that is drawn, with room as a share of that."""
    low, high = min(0.0, axes.dataLim.y0), max(0.0, axes.dataLim.y1) or 0.01
    axes.set_ylim(low - below * (high - low), high + above * (high - low))


def by_round(
    axes: Axes, theory: Sequence[Any], exact: Sequence[Any], color: str, name: str, label: str = ""
) -> None:
    """Draw a quantity of the theory as a line (one round: a dash), of the exact head as dots."""
    rounds = range(1, max(len(theory), len(exact)) + 1)
    if theory:
        look = {"gid": f"theory {name}", "label": "" if exact else label}
        axes.plot(rounds, theory, color=color, **look, **as_line(len(rounds)))
    if exact:
        look = {"gid": f"exact {name}", "label": label, "ms": 6 if len(rounds) <= 12 else 5}
        dots(axes, rounds, exact, color, **look)


def as_line(points: int) -> dict[str, Any]:
    """The look of a line through so many points: one point is a dash, or it would not be seen."""
    return {"ls": "none", "marker": "_", "ms": 26, "mew": 1.8} if points == 1 else {}


def dots(axes: Axes, x: Any, y: Any, color: str, marker: str = "o", **look: Any) -> None:
    """Draw marks with a white rim, in front of lines."""
    look = {"ms": 6, "mew": 0.8, "zorder": 3} | look
    axes.plot(x, y, marker, color=color, mec="white", **look)


def caption(axes: Axes, title: str, note: str, heads: Mapping[str, Mark]) -> None:
    """Write a title over axes, and under it a note and what marks the two heads."""
    scale, lines = text_size(1 / 9), note.count("\n") + bool(note)
    room = scale * (14 * lines + 16 * bool(heads))
    axes.set_title(title, pad=matplotlib.rcParams["axes.titlepad"] + room)
    look: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    above = scale * (6 + 16 * bool(heads))
    axes.annotate(note, (0, 1), (0, above), va="bottom", fontsize=text_size(), **look)
    if heads:
        place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 0.99), "borderaxespad": 0.0}
        place |= {"fontsize": text_size(), "frameon": False}
        legend(axes, heads, ncols=len(heads), handlelength=1.6, columnspacing=1.4, **place)


def legend(where: Axes | FigureBase, marks: Mapping[str, Mark], **options: Any) -> None:
    """Name marks, each a line or the style of one that is black unless it says otherwise."""
    handles = [
        mark if isinstance(mark, Line2D) else Line2D([], [], **{"color": BLACK, **mark})
        for mark in marks.values()
    ]
    where.legend(handles, list(marks), **options)


def legend_below(axes: Axes, marks: Mapping[str, Mark]) -> None:
    """Name marks below the words of the x axis, in as many columns as find room.

    That is the width of the axes and of the words at their left.
    """
    dpi, words, left = axes.figure.dpi, axes.xaxis.get_tightbbox(), axes.yaxis.get_tightbbox()
    drop = 0.0 if words is None else (axes.bbox.y0 - words.y0) / dpi
    start = 0.0 if left is None else (left.x0 - axes.bbox.x0) / dpi
    corner = axes.transAxes + ScaledTranslation(start, -drop, axes.figure.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (0.0, 0.0), "bbox_transform": corner}
    place |= {"borderaxespad": 0.2, "borderpad": 0.0, "frameon": False, "labelspacing": 0.2}
    place |= {"handlelength": 1.2, "handletextpad": 0.4, "columnspacing": 1.0}
    for columns in range(len(marks), 0, -1):
        legend(axes, marks, **place, ncols=columns)
        named = axes.get_legend()
        if named is None or named.get_window_extent().width <= axes.bbox.width - start * dpi:
            return


def named_lines(axes: Axes) -> list[Line2D]:
    """The lines of axes that have a label, in the order they were drawn in."""
    return [line for line in axes.get_lines() if str(line.get_label())[:1] not in ("", "_")]


def wrapped(text: str, axes: Axes, length: float, font: FontProperties) -> str:
    """Break a text at blanks so that no line is longer than this many pixels, if blanks allow."""
    measure, done = Text(fontproperties=font, figure=axes.figure), []
    for line in text.replace(" %", "\N{NO-BREAK SPACE}%").split("\n"):
        done.append("")
        for word in line.split(" "):
            measure.set_text(f"{done[-1]} {word}".strip())
            if done[-1] and measure.get_window_extent().width > length:
                done.append(word)
            else:
                done[-1] = measure.get_text()
    return "\n".join(done)


def end_labels(
    axes: Axes, x: float, room: float | None, lines: Sequence[Line2D] | None = None
) -> None:
    """Write the labels of lines at their right ends, at `x`, instead of in a legend.

    Limits and scales must be final; neighbouring labels stand at least `room`, a share of the axes'
    height, apart (``None``: as much as their lines of text need); where two lines end at one
    height, the first of `lines` is the lower. Default all named lines of the axes.
    """
    named = named_lines(axes) if lines is None else lines
    to_axes, bottom = axes.transScale + axes.transLimits, axes.get_ylim()[0]
    if room is None:
        most = max((str(line.get_label()).count("\n") + 1 for line in named), default=1)
        room = min(most * 1.4 * text_size() * axes.figure.dpi / 72.0 / axes.bbox.height, 0.5)
    values = [max(bottom, float(np.asarray(line.get_ydata())[-1])) for line in named]
    ends = [to_axes.transform((x, value)) for value in values]
    heights = spread([at for _, at in ends], room)
    for line, (end, at), height in zip(named, ends, heights, strict=True):
        look = {"fontsize": text_size(), "linespacing": 1.1, "color": ink(str(line.get_color()))}
        look |= {"xycoords": "axes fraction", "annotation_clip": False, "va": "center"}
        axes.annotate(str(line.get_label()), (1.02, height), **look)
        if abs(at - height) > 0.25 * room:
            look = {"color": line.get_color(), "linewidth": 0.6, "clip_on": False}
            leader = [end + 0.015, 1.015], [at, height]
            axes.add_line(Line2D(*leader, transform=axes.transAxes, **look))


def spread(wanted: Sequence[float], room: float) -> list[float]:
    """Heights in [0, 1] nearest to the wanted ones, in their order, at least ``room`` apart."""
    order = np.argsort(wanted, kind="stable")
    # Heights less the steps below them must not fall: the closest such numbers are isotonic.
    steps = room * np.arange(len(order))
    placed = isotonic_regression(np.asarray(wanted, dtype=np.float64)[order] - steps).x
    placed = np.clip(placed, 0.0, max(1.0 - room * (len(order) - 1), 0.0)) + steps
    return placed[np.argsort(order)].tolist()
