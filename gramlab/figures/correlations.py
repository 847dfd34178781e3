"""How classes correlate, which superclasses that makes, and how they lie in the Gram spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from gramlab.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    drawing,
    ink,
    plain_text,
    subtitle,
)
from gramlab.superclasses import Superclasses

_LONGEST_NAME = 22
_MOST_NAMED = 150
_HEIGHTS = {
    "condensed": "1 − mean cosine",
    "authors": "distance of rows",
}


def correlation_heatmap(
    matrix: np.ndarray, superclasses: Superclasses, class_names: Sequence[str] | None = None
) -> Figure:
    """Draw the class correlations in the order of the tree's leaves, with the tree beside them.

    Parameters
    ----------
    matrix : (K, K)
        Mean cosine of each pair of classes.
    superclasses
        Found in the same matrix; each is framed, and the tree is cut where they were.
    class_names
        Names of the K classes; default their numbers. Written for at most 150 classes.
    """
    k, order = len(matrix), superclasses.order
    names = [str(i) for i in range(k)] if class_names is None else list(class_names)
    named = k <= _MOST_NAMED
    # Inches: a row must hold a line of text; with few classes the picture must not be a stamp.
    cell = float(np.clip(3.0 / k, 0.105, 0.32)) if named else 10.0 / k
    size = cell * k
    font = min(9.0, 72.0 * cell * 0.86)
    tree = float(np.clip(0.3 * size, 1.1, 2.2))
    texts = [plain_text(names[i], f"class {i}", _LONGEST_NAME) for i in order]
    room = (0.011 * font * max(map(len, texts)) if named else 0.0) + 0.2
    with drawing(size + room + 1.5, size + room + tree + 0.3) as figure:
        left, axes = figure.subplots(1, 2, width_ratios=[tree, size], gridspec_kw={"wspace": 0.0})
        _tree(left, superclasses)
        image = _cells(axes, matrix[np.ix_(order, order)])
        _frames(axes, superclasses.labels[order])
        if named:
            axes.set_yticks(range(k), texts, fontsize=font)
            axes.set_xticks(range(k), texts, fontsize=font, rotation=90)
            axes.yaxis.tick_right()
            axes.tick_params(length=0, pad=2)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(f"{k} classes in the order of the tree")
        _bar(figure, axes, image, matrix, size)
        # A title of the narrow tree would push the picture away from it.
        figure.suptitle(_title(superclasses), x=0.015, ha="left", fontsize=11, fontweight="bold")
    return figure


def class_angles(angles: Mapping[str, np.ndarray]) -> Figure:
    """Draw principal angles between the top-K eigenspace of G and the class indicators.

    Parameters
    ----------
    angles
        Name of a feature set to its angles (K,) in radians, ascending; at most four. One name may
        be empty.
    """
    with drawing(3.4) as figure:
        axes = figure.subplots()
        colours = (BLUE, VERMILLION, GREEN, PURPLE)
        axes.axhline(90.0, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), gid="orthogonal")
        axes.axhline(0.0, color=BLACK, linewidth=1.0, gid="block model")
        for (name, values), colour, mark in zip(angles.items(), colours, "os^D", strict=False):
            k = len(values)
            axes.plot(
                100.0 * (np.arange(k) + 0.5) / k,
                np.degrees(values),
                mark,
                ms=5 if k <= 30 else 3.5,
                mec="none",
                mfc=colour,
                label=f"{plain_text(name, 'features', 30)}, K = {k}" if name else f"K = {k}",
                gid=f"angles {name}".strip(),
                clip_on=False,
                zorder=3,
            )
        axes.set_xlim(0.0, 100.0)
        axes.set_ylim(0.0, 94.0)
        axes.set_yticks(range(0, 91, 15), [f"{degree}°" for degree in range(0, 91, 15)])
        axes.set_xlabel("share of the K directions, sorted, %")
        axes.set_ylabel("principal angle")
        axes.legend(loc="lower right", handletextpad=0.2, borderaxespad=0.6)
        axes.set_title("Classes against the first K eigenvectors")
        subtitle(axes, "block model: all at 0°; dashed: orthogonal")
    return figure


def _title(found: Superclasses) -> str:
    k, s = len(found.labels), found.count
    groups = "superclass" if s == 1 else "superclasses"
    by = "distances" if found.method == "condensed" else "rows as points (authors' call)"
    share = found.threshold / found.linkage[-1, 2] if found.linkage[-1, 2] > 0.0 else 1.0
    return f"{k} classes in {s} {groups}\ncomplete linkage of {by}, cut at {share:.2g}"


def _tree(axes: Axes, found: Superclasses) -> None:
    k = len(found.labels)
    # Leaves and merges as (place, height); a merge is a bracket that joins two of them.
    place, height = np.zeros(2 * k - 1), np.zeros(2 * k - 1)
    place[found.order] = np.arange(k)
    brackets = np.empty((k - 1, 4, 2))
    for i, (a, b, top) in enumerate(zip(*found.linkage[:, :3].T, strict=True)):
        a, b = int(a), int(b)
        brackets[i, :, 0] = height[a], top, top, height[b]
        brackets[i, :, 1] = place[a], place[a], place[b], place[b]
        place[k + i], height[k + i] = (place[a] + place[b]) / 2.0, top
    below = found.linkage[:, 2] <= found.threshold
    for part, colour, name in ((below, BLUE, "kept merges"), (~below, GREY, "cut merges")):
        lines = list(brackets[part])
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.0, gid=name))
    axes.axvline(found.threshold, color=VERMILLION, linewidth=1.0, dashes=(4, 3), gid="cut")
    highest = float(found.linkage[-1, 2]) or 1.0
    axes.set_xlim(1.04 * highest, 0.0)
    axes.set_ylim(k - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(_HEIGHTS[found.method], loc="right")


def _cells(axes: Axes, ordered: np.ndarray):
    """The picture; the colours are set by pairs of different classes, symmetric about 0."""
    off = ordered[~np.eye(len(ordered), dtype=bool)]
    reach = float(np.abs(off).max()) or 1.0
    image = axes.imshow(
        ordered, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto", gid="correlations"
    )
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return image


def _frames(axes: Axes, labels: np.ndarray) -> None:
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    for start, stop in zip(starts, np.r_[starts[1:], len(labels)], strict=True):
        size = float(stop - start)
        frame = Rectangle(
            (start - 0.5, start - 0.5), size, size, fill=False, edgecolor=BLACK, linewidth=1.1
        )
        frame.set_gid("superclass")
        frame.set_clip_on(False)
        axes.add_patch(frame)


def _bar(figure: Figure, axes: Axes, image, matrix: np.ndarray, size: float) -> None:
    """Colour scale above the picture, where no name can be in its way."""
    above = bool((np.diag(matrix) > image.get_clim()[1]).any())  # a class of one row has NaN
    width = min(2.6 / size, 1.0)
    bar = figure.colorbar(
        image,
        cax=axes.inset_axes((1.0 - width, 1.0 + 0.1 / size, width, 0.11 / size)),
        orientation="horizontal",
        extend="max" if above else "neither",
        extendfrac=0.04,
        ticks=MaxNLocator(5, symmetric=True),
    )
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.xaxis.set_label_position("top")
    bar.ax.tick_params(labelsize=8, length=2, pad=1)
    bar.set_label("mean cosine of two classes", fontsize=9, color=ink(BLACK))
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
