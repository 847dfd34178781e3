"""The estimated transition matrix as a heat map, and its diagonal with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.figures.style import (
    BLUE,
    GREY,
    PALE,
    VERMILLION,
    drawing,
    percent_axis,
    plain_text,
    subtitle,
)
from gramlab.transition import TransitionEstimate

_NAMED = 25
_PRINTED = 12


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
        _heatmap(figure, top, estimate, texts)
        _diagonal(bottom, estimate, texts, truth)
    return figure


def _heatmap(figure: Figure, axes: Axes, estimate: TransitionEstimate, texts: list[str]) -> None:
    matrix = estimate.matrix
    k = len(matrix)
    axes.grid(False)
    image = axes.imshow(matrix, cmap="Blues", vmin=0.0, vmax=1.0, gid="matrix")
    bar = figure.colorbar(image, cax=axes.inset_axes((1.03, 0.0, 0.04, 1.0)))
    bar.set_label("P(given | true)")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    if k <= _NAMED:
        axes.set_xticks(range(k), texts, rotation=90 if max(map(len, texts)) > 2 else 0)
        axes.set_yticks(range(k), texts)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if k <= _PRINTED:
        for row, column in np.ndindex(k, k):
            value = matrix[row, column]
            axes.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if value > 0.5 else "#222222",
            )
    axes.set_xlabel("given label" + (", entries in %" if k <= _PRINTED else ""))
    axes.set_ylabel("true class")
    rate = estimate.noise_rate
    axes.set_title(f"{100 * rate.value:.0f} % of the labels are wrong")
    subtitle(
        axes,
        f"{100 * estimate.confidence:g} % interval {100 * rate.low:.0f} to {100 * rate.high:.0f} %",
    )


def _diagonal(
    axes: Axes, estimate: TransitionEstimate, texts: list[str], truth: np.ndarray | None
) -> None:
    value = np.diag(estimate.matrix)
    order = np.argsort(value, kind="stable")
    x = np.arange(len(order))
    low, high = np.diag(estimate.lower)[order], np.diag(estimate.upper)[order]
    many = len(order) > _NAMED
    colours = [PALE if estimate.unsupported[i] else BLUE for i in order]
    axes.vlines(x, low, high, colors=colours, linewidth=1.4 if many else 4.0, alpha=0.55)
    axes.scatter(x, value[order], s=8 if many else 30, c=colours, zorder=3, gid="estimate")
    if truth is not None:
        axes.scatter(
            x,
            np.diag(truth)[order],
            s=14 if many else 60,
            marker="_",
            color=VERMILLION,
            zorder=4,
            gid="truth",
        )
    axes.set_ylim(0.0, 1.02)
    percent_axis(axes)
    axes.grid(axis="x", visible=False)
    if many:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(order)} true classes, sorted by the estimate")
    else:
        labels = [texts[int(i)] for i in order]
        axes.set_xticks(x, labels, rotation=90 if max(map(len, labels)) > 2 else 0)
        axes.set_xlabel("true class, sorted by the estimate")
    axes.set_title("Share of labels that are right, by class")
    words = "dot: estimate, bar: interval"
    words += ", dash: truth" if truth is not None else ""
    words += ", pale: unsupported" if estimate.unsupported.any() else ""
    subtitle(axes, words)
    axes.axhline(0.0, color=GREY, linewidth=0.6)
