"""The estimated matrix of label noise, and how many labels of each class are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.errors import InvalidSetting
from gramlab.figures import style
from gramlab.figures.display import Display, Panels, deprecated
from gramlab.figures.heatmaps import MOST_NAMED, heatmap
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREY, PALE, VERMILLION
from gramlab.transition import TransitionEstimate


class TransitionDisplay(Display):
    """C as a heat map, and its diagonal entries sorted, with their intervals: two panels."""

    def __init__(
        self, estimate: TransitionEstimate, class_names: list[str], truth: np.ndarray | None
    ) -> None:
        self.estimate: TransitionEstimate = estimate
        self.class_names: list[str] = class_names
        self.truth: np.ndarray | None = truth

    @classmethod
    def from_estimate(
        cls,
        estimate: TransitionEstimate,
        class_names: Sequence[str] | None = None,
        truth: np.ndarray | None = None,
    ) -> Self:
        """Take what there is to draw; nothing is drawn yet.

        Parameters
        ----------
        estimate
            From :func:`gramlab.transition.estimate.estimate_transition`.
        class_names
            K names, written for at most 25 classes; default their numbers.
        truth
            C (K, K) if known; its diagonal is marked.

        Raises
        ------
        InvalidSetting
            If names or truth are of another number of classes.
        """
        k = len(estimate.matrix)
        names = [str(name) for name in (range(k) if class_names is None else class_names)]
        if len(names) != k:
            raise InvalidSetting(
                f"class_names must be the {k} of the estimate, got {len(names)}: give one name for "
                "each class, or none"
            )
        if truth is not None and np.shape(truth) != (k, k):
            raise InvalidSetting(
                f"truth must be a matrix of shape ({k}, {k}), got shape {np.shape(truth)}: give "
                "P(given j | true k) of the classes of the estimate"
            )
        return cls(estimate, names, None if truth is None else np.asarray(truth))

    def _panels(self) -> Panels:
        return Panels(8.2, rows=(1.55, 1.0), sharex=False)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        top, bottom = axes
        texts = [style.plain_text(n, f"class {i}", 12) for i, n in enumerate(self.class_names)]
        _matrix(top, self.estimate, texts, look)
        _diagonal(bottom, self.estimate, texts, self.truth, look)


def transition_figure(
    estimate: TransitionEstimate,
    class_names: Sequence[str] | None = None,
    truth: np.ndarray | None = None,
) -> Figure:
    """Deprecated: ``TransitionDisplay.from_estimate(...).plot().figure_``, with its arguments."""
    display = TransitionDisplay.from_estimate(estimate, class_names, truth)
    return deprecated("transition_figure", display)


def _class_axis(axes: Axes, texts: list[str]) -> None:
    """Names below the axes where there is room, upright if they are short."""
    if len(texts) <= MOST_NAMED:
        upright = max(map(len, texts)) <= 2
        axes.set_xticks(range(len(texts)), texts, rotation=0 if upright else 90)
    else:
        axes.set_xticks([])


def _matrix(axes: Axes, estimate: TransitionEstimate, texts: list[str], look: Look) -> None:
    matrix, k = estimate.matrix, len(estimate.matrix)
    colors, place = ("Blues", 0.0, 1.0), (1.03, 0.0, 0.04, 1.0)
    heatmap(axes, "matrix", matrix, colors, place, "P(given | true)", extend="neither")
    _class_axis(axes, texts)
    if k <= MOST_NAMED:
        axes.set_yticks(range(k), texts)
    printed = k <= 12
    if printed:
        points = 72.0 / axes.figure.dpi * min(axes.bbox.size) / k  # a side of a cell
        size = min(style.text_size(8 / 9), 0.4 * points)
        for (row, column), value in np.ndenumerate(matrix):
            ink = {"color": "white" if value > 0.5 else BLACK, "fontsize": size}
            axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", **ink)
    given = "given label" + (", entries in %" if printed else "")
    look.caption(axes, _format_rate(estimate), given, "true class")


def _format_rate(estimate: TransitionEstimate) -> str:
    """The share of wrong labels with its interval, whose ends are rounded outwards."""
    value, low, high = estimate.noise_rate
    low, high = math.floor(1000.0 * low) / 10.0, math.ceil(1000.0 * high) / 10.0
    interval = f"{100.0 * estimate.confidence:g} % interval {low:.1f} to {high:.1f} %"
    if estimate.instance_dependent:
        return f"Wrong labels depend on the image\n({interval})"
    if estimate.noise_rate.low == 0.0:
        return f"At most {high:.1f} % of the labels are wrong,\nperhaps none ({interval})"
    return f"About {100.0 * value:.1f} % of the labels are wrong\n({interval})"


def _diagonal(
    axes: Axes,
    estimate: TransitionEstimate,
    texts: list[str],
    truth: np.ndarray | None,
    look: Look,
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
    look.caption(axes, title, f"{classes}, sorted by the estimate", note=words)
