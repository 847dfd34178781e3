"""Matrices as heat maps: cosines of rows and correlations of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from gramlab.features import Features
from gramlab.figures import style
from gramlab.figures.style import BLACK, BLUE, GREY, VERMILLION
from gramlab.spectrum.superclasses import Superclasses

MOST_NAMED = 25  # classes whose names find room on an axis


def gram_heatmap(
    features: Features,
    labels: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    *,
    max_rows: int = 600,
) -> Figure:
    """Draw the cosines ⟨x_i, x_j⟩/(‖x_i‖‖x_j‖) of rows ordered by class.

    Parameters
    ----------
    features
        The rows. Centre them first for the correlations of the block model.
    labels
        Classes (N,) to order by; default ``features.labels``.
    class_names
        Names of the classes; default ``features.class_names``. Written for at most 25 classes.
    max_rows
        Rows drawn at most, taken evenly from the classes and evenly inside each.
    """
    labels = features.labels if labels is None else np.asarray(labels)
    names = features.class_names if class_names is None else class_names
    rows = sample_rows(labels, max_rows)
    x = np.asarray(features.x[rows], dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    cosines, drawn = unit @ unit.T, labels[rows]
    starts, stops = runs(drawn)
    counts, named = stops - starts, len(starts) <= MOST_NAMED
    each = f"{counts.min()}" + (f" to {counts.max()}" if counts.min() < counts.max() else "")
    every = "all" if len(rows) == len(labels) else f"{len(rows)} of"
    pairs = cosines[~np.eye(len(cosines), dtype=bool)]
    low, high = (float(value) for value in np.quantile(pairs, [0.005, 0.995]))
    if low < 0.0:
        high = max(abs(low), abs(high))
        colors = ("RdBu_r", -high, high)
    elif high - low <= 1e-9:
        colors = ("viridis", low - 0.5, high + 0.5)
    else:
        colors = ("viridis", low, high)
    with style.drawing(4.4) as (figure, axes):
        place = (1.03, 0.0, 0.05, 1.0)
        heatmap(axes, "cosines", cosines, colors, place, "cosine of two rows", extendfrac=0.03)
        if named:
            for stop in stops[:-1]:
                axes.axhline(stop - 0.5, color="white", linewidth=0.7)
                axes.axvline(stop - 0.5, color="white", linewidth=0.7)
            texts = [style.plain_text(names[int(k)], f"class {k}") for k in drawn[starts]]
            axes.set_yticks((starts + stops - 1) / 2.0, texts)
        words = f"{every} {len(labels)} rows, {each} a class, ordered by class"
        classes = "class" if named else f"{len(counts)} classes"
        style.caption(axes, _mean_cosines(cosines, drawn), words, classes)
    return figure


def sample_rows(labels: np.ndarray, max_rows: int) -> np.ndarray:
    """Choose at most ``max_rows`` rows, ordered by class, as evenly per class as there are rows.

    With more classes than ``max_rows``, one row each of evenly chosen classes.
    """
    present, counts = np.unique(labels, return_counts=True)
    if len(present) > max_rows:
        present = present[np.linspace(0, len(present) - 1, max_rows).astype(np.int64)]
        counts = np.ones_like(present)
    each = range(1, counts.max() + 1)
    quota = max(n for n in each if n == 1 or np.minimum(counts, n).sum() <= max_rows)
    chosen = []
    for label, count in zip(present, np.minimum(counts, quota), strict=True):
        members = np.flatnonzero(labels == label)
        chosen.append(members[np.linspace(0, len(members) - 1, count).astype(np.int64)])
    return np.concatenate(chosen)


def runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal labels begin, and where they end."""
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    return starts, np.r_[starts[1:], len(labels)]


def heatmap(
    axes: Axes,
    gid: str,
    matrix: np.ndarray,
    colors: tuple[str, float, float],
    place: tuple[float, float, float, float],
    label: str,
    aspect: Any = "equal",
    **bar: Any,
) -> Colorbar:
    """Draw a matrix as pixels, and its colour scale from low to high at a place beside the axes."""
    name, low, high = colors
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xticks=[], yticks=[])
    image = axes.imshow(matrix, gid=gid, aspect=aspect, cmap=name, vmin=low, vmax=high)
    outside = bool((matrix < low).any()) + 2 * bool((matrix > high).any())
    bar = {"extend": ("neither", "min", "max", "both")[outside]} | bar
    scale = axes.figure.colorbar(image, cax=axes.inset_axes(place), **bar)
    scale.set_label(label)
    scale.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return scale


def _mean_cosines(cosines: np.ndarray, drawn: np.ndarray) -> str:
    same = drawn[:, None] == drawn[None, :]
    within = cosines[same & ~np.eye(len(drawn), dtype=bool)]
    # Two decimals with a real minus sign, and no negative zero.
    inside, between = (
        f"{round(float(part.mean()), 2) + 0.0:.2f}".replace("-", "−") if part.size else None
        for part in (within, cosines[~same])
    )
    if inside is None:
        return f"Mean cosine {between} between classes"
    return f"Mean cosine {inside} inside classes,\n{between} between classes"


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
    names = range(k) if class_names is None else class_names
    named = k <= 150
    # Inches: a row must hold a line of text; with few classes the picture must not be a stamp.
    cell = max(3.0 / k, 0.105) if named else 10.0 / k
    size = cell * k
    font = min(9.0, 72.0 * cell * 0.86)
    tree = float(np.clip(0.3 * size, 1.1, 2.2))
    texts = [style.plain_text(str(names[i]), f"class {i}", 22) for i in order]
    room = (0.011 * font * max(map(len, texts)) if named else 0.0) + 0.2
    page = size + room + 1.5, size + room + tree + 0.3
    with style.drawing(*page, columns=(tree, size), sharex=False) as (figure, left, axes):
        _tree(left, superclasses)
        _correlations(axes, matrix[np.ix_(order, order)], size)
        for start, stop in zip(*runs(superclasses.labels[order]), strict=True):
            corner, side = (start - 0.5, start - 0.5), float(stop - start)
            frame = Rectangle(corner, side, side, fill=False, edgecolor=BLACK, linewidth=1.1)
            frame.set(gid="superclass", clip_on=False)
            axes.add_patch(frame)
        if named:
            axes.set_yticks(range(k), texts, fontsize=font)
            axes.set_xticks(range(k), texts, fontsize=font, rotation=90)
            axes.yaxis.tick_right()
            axes.tick_params(length=0, pad=2)
        else:
            axes.set_xlabel(f"{k} classes in the order of the tree")
        # A title of the narrow tree would push the picture away from it.
        figure.suptitle(_cut(superclasses), x=0.015, ha="left", fontsize=11, fontweight="bold")
    return figure


def _cut(found: Superclasses) -> str:
    k, s = len(found.labels), found.count
    groups = "superclass" if s == 1 else "superclasses"
    by = "distances" if found.method == "condensed" else "rows as points (authors' call)"
    share = found.threshold / found.linkage[-1, 2] if found.linkage[-1, 2] > 0.0 else 1.0
    return f"{k} classes in {s} {groups}, cut at {share:.2g}\ncomplete linkage of {by}"


def _tree(axes: Axes, found: Superclasses) -> None:
    k = len(found.labels)
    # Leaves and merges as (height, place); a merge is a bracket that joins two of them.
    nodes = np.zeros((2 * k - 1, 2))
    nodes[found.order, 1] = np.arange(k)
    brackets = []
    for i, (a, b, top) in enumerate(found.linkage[:, :3]):
        one, two = nodes[int(a)], nodes[int(b)]
        brackets.append(np.array([one, (top, one[1]), (top, two[1]), two]))
        nodes[k + i] = top, (one[1] + two[1]) / 2.0
    below = found.linkage[:, 2] <= found.threshold
    for part, colour, name in ((below, BLUE, "kept merges"), (~below, GREY, "cut merges")):
        lines = [bracket for bracket, here in zip(brackets, part, strict=True) if here]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.0, gid=name))
    axes.axvline(found.threshold, color=VERMILLION, linewidth=1.0, dashes=(4, 3), gid="cut")
    highest = float(found.linkage[-1, 2]) or 1.0
    axes.set(xlim=(1.04 * highest, 0.0), ylim=(k - 0.5, -0.5), yticks=[])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    heights = "1 − mean cosine" if found.method == "condensed" else "distance of rows"
    axes.set_xlabel(heights, loc="right")


def _correlations(axes: Axes, ordered: np.ndarray, size: float) -> None:
    """The picture; its colours are set by pairs of different classes, symmetric about 0."""
    reach = float(np.abs(ordered[~np.eye(len(ordered), dtype=bool)]).max()) or 1.0
    width = min(2.6 / size, 1.0)
    place = (1.0 - width, 1.0 + 0.1 / size, width, 0.11 / size)  # above, where no name is
    colors, label = ("RdBu_r", -reach, reach), "mean cosine of two classes"
    bar = {"orientation": "horizontal", "ticks": MaxNLocator(5, symmetric=True)}
    look = {"aspect": "auto", "extendfrac": 0.04, **bar}
    scale = heatmap(axes, "correlations", ordered, colors, place, label, **look).ax
    scale.xaxis.set_ticks_position("top")
    scale.xaxis.set_label_position("top")
    scale.tick_params(labelsize=8, length=2, pad=1)
    scale.xaxis.label.set(fontsize=9, color=style.ink(BLACK))
