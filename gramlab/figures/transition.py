"""The estimated matrix of label noise, and how many labels of each class are right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.figures import style
from gramlab.figures.heatmaps import MOST_NAMED, heatmap
from gramlab.figures.style import BLACK, BLUE, GREY, PALE, VERMILLION
from gramlab.transition import TransitionEstimate


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
    names = range(k) if class_names is None else class_names
    texts = [style.plain_text(str(name), f"class {i}", 12) for i, name in enumerate(names)]
    with style.drawing(8.2, rows=(1.55, 1.0), sharex=False) as (figure, top, bottom):
        _transition(top, estimate, texts)
        _diagonal(bottom, estimate, texts, truth)
    return figure


def _class_axis(axes: Axes, texts: list[str]) -> None:
    """Names below the axes where there is room, upright if they are short."""
    if len(texts) <= MOST_NAMED:
        upright = max(map(len, texts)) <= 2
        axes.set_xticks(range(len(texts)), texts, rotation=0 if upright else 90)
    else:
        axes.set_xticks([])


def _transition(axes: Axes, estimate: TransitionEstimate, texts: list[str]) -> None:
    matrix, k = estimate.matrix, len(estimate.matrix)
    colors, place = ("Blues", 0.0, 1.0), (1.03, 0.0, 0.04, 1.0)
    heatmap(axes, "matrix", matrix, colors, place, "P(given | true)", extend="neither")
    _class_axis(axes, texts)
    if k <= MOST_NAMED:
        axes.set_yticks(range(k), texts)
    printed = k <= 12
    if printed:
        for (row, column), value in np.ndenumerate(matrix):
            look = {"color": "white" if value > 0.5 else BLACK, "fontsize": 8}
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", **look)
    style.caption(
        axes,
        _format_rate(estimate),
        "given label" + (", entries in %" if printed else ""),
        "true class",
    )


def _format_rate(estimate: TransitionEstimate) -> str:
    """The share of wrong labels with its interval, whose ends are rounded outwards."""
    value, low, high = estimate.noise_rate
    low, high = math.floor(1000.0 * low) / 10.0, math.ceil(1000.0 * high) / 10.0
    interval = f"{100.0 * estimate.confidence:g} % interval {low:.1f} to {high:.1f} %"
    return f"About {100.0 * value:.1f} % of the labels are wrong\n({interval})"


def _diagonal(
    axes: Axes, estimate: TransitionEstimate, texts: list[str], truth: np.ndarray | None
) -> None:
    value = np.diag(estimate.matrix)
    order = np.argsort(value, kind="stable")
    x, many = np.arange(len(order)), len(order) > MOST_NAMED
    low, high = np.diag(estimate.lower)[order], np.diag(estimate.upper)[order]
    colours = [PALE if estimate.unsupported[i] else BLUE for i in order]
    axes.vlines(x, low, high, colors=colours, linewidth=1.4 if many else 4.0, alpha=0.55)
    axes.scatter(x, value[order], s=8 if many else 30, c=colours, zorder=3, gid="estimate")
    words = "dot: estimate, bar: interval"
    if truth is not None:
        dash = {"s": 14 if many else 60, "marker": "_", "color": VERMILLION, "zorder": 4}
        axes.scatter(x, np.diag(truth)[order], gid="truth", **dash)
        words += ", dash: truth"
    words += ", pale: unsupported" if estimate.unsupported.any() else ""
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    axes.set_ylim(0.0, 1.02)
    style.percent_axis(axes.yaxis)
    axes.grid(axis="x", visible=False)
    _class_axis(axes, [texts[int(i)] for i in order])
    classes = f"{len(order)} true classes" if many else "true class"
    title = "Share of labels that are right, by class"
    style.caption(axes, title, f"{classes}, sorted by the estimate", note=words)
