"""Matrices as heat maps: cosines of rows, correlations of classes, and label noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from gramlab.features import Features
from gramlab.figures.style import (
    BLACK,
    BLUE,
    GREY,
    PALE,
    VERMILLION,
    caption,
    color_bar,
    drawing,
    heatmap,
    ink,
    percent_axis,
    plain_text,
)
from gramlab.spectrum.superclasses import Superclasses
from gramlab.transition import TransitionEstimate

_MOST_NAMED = 25  # classes whose names find room on an axis


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
    drawn = labels[rows]
    x = np.asarray(features.x[rows], dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    cosines = unit @ unit.T
    counts = np.unique(drawn, return_counts=True)[1]
    each = f"{counts.min()}" + (f" to {counts.max()}" if counts.min() < counts.max() else "")
    every = "all" if len(rows) == len(labels) else f"{len(rows)} of"
    with drawing(4.4) as figure:
        axes = figure.subplots()
        _cosines(axes, cosines)
        axes.set_xticks([])
        axes.set_yticks([])
        named = len(counts) <= _MOST_NAMED
        if named:
            _class_ticks(axes, drawn, names)
        x = f"{every} {len(labels)} rows, {each} a class, ordered by class"
        classes = "class" if named else f"{len(counts)} classes"
        caption(axes, _mean_cosines(cosines, drawn), x, classes)
    return figure


def sample_rows(labels: np.ndarray, max_rows: int) -> np.ndarray:
    """Choose at most ``max_rows`` rows, ordered by class, as evenly per class as there are rows.

    With more classes than ``max_rows``, one row each of evenly chosen classes.
    """
    present, counts = np.unique(labels, return_counts=True)
    if len(present) > max_rows:
        present = present[np.linspace(0, len(present) - 1, max_rows).astype(np.int64)]
        counts = np.ones_like(present)
    quota = 1
    while np.minimum(counts, quota + 1).sum() <= max_rows and quota < counts.max():
        quota += 1
    chosen = []
    for label, count in zip(present, np.minimum(counts, quota), strict=True):
        members = np.flatnonzero(labels == label)
        chosen.append(members[np.linspace(0, len(members) - 1, count).astype(np.int64)])
    return np.concatenate(chosen)


def _cosines(axes: Axes, cosines: np.ndarray) -> None:
    """The picture with a colour range set by the cosines i ≠ j; those outside are said to be."""
    pairs = cosines[~np.eye(len(cosines), dtype=bool)]
    low, high = (float(value) for value in np.quantile(pairs, [0.005, 0.995]))
    colors = "viridis"
    if low < 0.0:
        high = max(abs(low), abs(high))
        low, colors = -high, "RdBu_r"
    elif high - low <= 1e-9:
        low, high = low - 0.5, high + 0.5
    below, above = bool(cosines.min() < low), bool(cosines.max() > high)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    image = heatmap(axes, cosines, "cosines", cmap=colors, vmin=low, vmax=high)
    options = {"extend": extend.get((below, above), "both"), "extendfrac": 0.03}
    color_bar(axes, image, (1.03, 0.0, 0.05, 1.0), "cosine of two rows", **options)


def _class_ticks(axes: Axes, drawn: np.ndarray, names: Sequence[str]) -> None:
    starts, stops = _runs(drawn)
    for stop in stops[:-1]:
        axes.axhline(stop - 0.5, color="white", linewidth=0.7)
        axes.axvline(stop - 0.5, color="white", linewidth=0.7)
    texts = [plain_text(names[int(label)], f"class {label}") for label in drawn[starts]]
    axes.set_yticks((starts + stops - 1) / 2.0, texts)


def _runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal labels begin, and where they end."""
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    return starts, np.r_[starts[1:], len(labels)]


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
    names = [str(i) for i in range(k)] if class_names is None else list(class_names)
    named = k <= 150
    # Inches: a row must hold a line of text; with few classes the picture must not be a stamp.
    cell = float(np.clip(3.0 / k, 0.105, 0.32)) if named else 10.0 / k
    size = cell * k
    font = min(9.0, 72.0 * cell * 0.86)
    tree = float(np.clip(0.3 * size, 1.1, 2.2))
    texts = [plain_text(names[i], f"class {i}", 22) for i in order]
    room = (0.011 * font * max(map(len, texts)) if named else 0.0) + 0.2
    with drawing(size + room + 1.5, size + room + tree + 0.3) as figure:
        left, axes = figure.subplots(1, 2, width_ratios=[tree, size], gridspec_kw={"wspace": 0.0})
        _tree(left, superclasses)
        _correlations(axes, matrix[np.ix_(order, order)], size)
        for start, stop in zip(*_runs(superclasses.labels[order]), strict=True):
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
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlabel(f"{k} classes in the order of the tree")
        # A title of the narrow tree would push the picture away from it.
        figure.suptitle(_cut(superclasses), x=0.015, ha="left", fontsize=11, fontweight="bold")
    return figure


def _cut(found: Superclasses) -> str:
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
    axes.set(xlim=(1.04 * highest, 0.0), ylim=(k - 0.5, -0.5))
    axes.set_yticks([])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    heights = "1 − mean cosine" if found.method == "condensed" else "distance of rows"
    axes.set_xlabel(heights, loc="right")


def _correlations(axes: Axes, ordered: np.ndarray, size: float) -> None:
    """The picture; its colours are set by pairs of different classes, symmetric about 0."""
    off = ordered[~np.eye(len(ordered), dtype=bool)]
    reach = float(np.abs(off).max()) or 1.0
    colors = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
    image = heatmap(axes, ordered, "correlations", aspect="auto", **colors)
    above = bool((np.diag(ordered) > reach).any())  # a class of one row has NaN
    width = min(2.6 / size, 1.0)
    bar = color_bar(
        axes,
        image,
        (1.0 - width, 1.0 + 0.1 / size, width, 0.11 / size),  # above, where no name is in its way
        "mean cosine of two classes",
        orientation="horizontal",
        extend="max" if above else "neither",
        extendfrac=0.04,
        ticks=MaxNLocator(5, symmetric=True),
    )
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.xaxis.set_label_position("top")
    bar.ax.tick_params(labelsize=8, length=2, pad=1)
    bar.ax.xaxis.label.set(fontsize=9, color=ink(BLACK))


def transition_figure(
    estimate: TransitionEstimate,
    class_names: Sequence[str] | None = None,
    truth: np.ndarray | None = None,
) -> Figure:
    """Draw C as a heat map, above the diagonal entries sorted, with their intervals.

    Parameters
    ----------
    estimate
        From :func:`gramlab.transition.estimate.estimate_transition`.
    class_names
        K names, written for at most 25 classes; default their numbers.
    truth
        C (K, K) if known; its diagonal is marked.
    """
    k = len(estimate.matrix)
    names = [str(i) for i in range(k)] if class_names is None else class_names
    texts = [plain_text(str(name), f"class {i}", 12) for i, name in enumerate(names)]
    with drawing(8.2) as figure:
        top, bottom = figure.subplots(2, 1, height_ratios=(1.55, 1.0))
        _transition(top, estimate, texts)
        _diagonal(bottom, estimate, texts, truth)
    return figure


def _transition(axes: Axes, estimate: TransitionEstimate, texts: list[str]) -> None:
    matrix, k, rate = estimate.matrix, len(estimate.matrix), estimate.noise_rate
    printed = k <= 12
    image = heatmap(axes, matrix, "matrix", cmap="Blues", vmin=0.0, vmax=1.0)
    color_bar(axes, image, (1.03, 0.0, 0.04, 1.0), "P(given | true)")
    if k <= _MOST_NAMED:
        axes.set_xticks(range(k), texts, rotation=90 if max(map(len, texts)) > 2 else 0)
        axes.set_yticks(range(k), texts)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if printed:
        place = {"ha": "center", "va": "center", "fontsize": 8}
        for (row, column), value in np.ndenumerate(matrix):
            color = "white" if value > 0.5 else BLACK
            axes.text(column, row, f"{100 * value:.0f}", color=color, **place)
    interval = f"{100 * rate.low:.0f} to {100 * rate.high:.0f} %"
    caption(
        axes,
        f"{100 * rate.value:.0f} % of the labels are wrong",
        "given label" + (", entries in %" if printed else ""),
        "true class",
        note=f"{100 * estimate.confidence:g} % interval {interval}",
    )


def _diagonal(
    axes: Axes, estimate: TransitionEstimate, texts: list[str], truth: np.ndarray | None
) -> None:
    value = np.diag(estimate.matrix)
    order = np.argsort(value, kind="stable")
    x = np.arange(len(order))
    low, high = np.diag(estimate.lower)[order], np.diag(estimate.upper)[order]
    many = len(order) > _MOST_NAMED
    colours = [PALE if estimate.unsupported[i] else BLUE for i in order]
    axes.vlines(x, low, high, colors=colours, linewidth=1.4 if many else 4.0, alpha=0.55)
    axes.scatter(x, value[order], s=8 if many else 30, c=colours, zorder=3, gid="estimate")
    words = "dot: estimate, bar: interval"
    if truth is not None:
        dash = {"s": 14 if many else 60, "marker": "_", "color": VERMILLION, "zorder": 4}
        axes.scatter(x, np.diag(truth)[order], gid="truth", **dash)
        words += ", dash: truth"
    words += ", pale: unsupported" if estimate.unsupported.any() else ""
    axes.set_ylim(0.0, 1.02)
    percent_axis(axes.yaxis)
    axes.grid(axis="x", visible=False)
    if many:
        axes.set_xticks([])
        classes = f"{len(order)} true classes, sorted by the estimate"
    else:
        labels = [texts[int(i)] for i in order]
        axes.set_xticks(x, labels, rotation=90 if max(map(len, labels)) > 2 else 0)
        classes = "true class, sorted by the estimate"
    caption(axes, "Share of labels that are right, by class", classes, note=words)
    axes.axhline(0.0, color=GREY, linewidth=0.6)
