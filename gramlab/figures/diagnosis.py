"""Estimated accuracy of the settings tried, and how far the suspects can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gramlab.diagnosis.advice import describe
from gramlab.figures.style import (
    BLACK,
    BLUE,
    GREY,
    PURPLE,
    VERMILLION,
    drawing,
    percent_axis,
    subtitle,
)

if TYPE_CHECKING:
    from gramlab.diagnosis.diagnosis import Diagnosis
    from gramlab.diagnosis.trial import Trial

__all__ = ["settings_figure", "suspects_figure"]


def settings_figure(diagnosis: Diagnosis) -> Figure:
    """Draw estimated held-out accuracy over weight decay: theory as lines, exact heads as dots.

    A colour is a number of rounds, the top-2 student has its own; the ring is the advised setting,
    the bar through it one standard error, the dotted line the weight decay in use.
    """
    trials, advice = diagnosis.trials, diagnosis.advice
    variants = list(dict.fromkeys((t.setting.rounds, t.setting.refine) for t in trials))
    variants.sort(key=lambda v: (bool(v[1]), v[0]))
    plain = [v for v in variants if not v[1]]
    shades = colormaps["viridis"](np.linspace(0.0, 0.85, max(len(plain), 2)))
    colours = {v: to_hex(shade) for v, shade in zip(plain, shades, strict=False)}
    with drawing(4.8) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        handles = []
        for variant in variants:
            colour = colours.get(variant, PURPLE)
            for head in ("theory", "exact"):
                _series(axes, trials, variant, head, colour)
            name = "top-2 student" if variant[1] else _rounds(variant[0])
            handles.append(Line2D([], [], color=colour, marker="o", mec="white", label=name))
        use = advice.reference.setting.weight_decay
        axes.axvline(use, color=GREY, linewidth=1.0, linestyle=(0, (1, 2)), gid="reference")
        chosen = advice.chosen
        x, y = chosen.setting.weight_decay, chosen.accuracy.value
        error = chosen.accuracy.standard_error
        axes.plot([x, x], [y - error, y + error], color=BLACK, linewidth=1.2, zorder=4)
        axes.plot([x], [y], "o", ms=13, mfc="none", mec=BLACK, mew=1.6, zorder=5, gid="advised")
        _limits(axes, trials)
        percent_axis(axes)
        axes.set_xlabel("weight decay λ (dotted: the one in use)")
        axes.set_ylabel("estimated held-out accuracy")
        verb = "Distil" if advice.distils else "Do not distil"
        axes.set_title(f"{verb}: {describe(chosen.setting)}")
        subtitle(axes, "line: theory, dot: exact head, ring: advised")
        figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.4)
    return figure


def _rounds(rounds: int) -> str:
    return "1 round (teacher)" if rounds == 1 else f"{rounds} rounds"


def _series(
    axes: Axes, trials: list[Trial], variant: tuple[int, str], head: str, colour: str
) -> None:
    found = [t for t in trials if t.head == head]
    found = [t for t in found if (t.setting.rounds, t.setting.refine) == variant]
    found.sort(key=lambda t: t.setting.weight_decay)
    x = [t.setting.weight_decay for t in found]
    y = [t.accuracy.value for t in found]
    gid = f"{head} {variant[0]} {variant[1]}".strip()
    if head == "theory":
        axes.plot(x, y, color=colour, linewidth=1.3, alpha=0.75, gid=gid)
    else:
        axes.plot(x, y, "o", ms=6.5, mfc=colour, mec="white", mew=0.8, zorder=3, gid=gid)


def _limits(axes: Axes, trials: list[Trial]) -> None:
    """All exact heads, and as much of the theory as stays near them."""
    exact = [t.accuracy.value for t in trials if t.head == "exact"]
    everything = [t.accuracy.value for t in trials]
    low, high = min(exact), max(everything)
    low = max(min(everything), low - 0.15 * (high - low))
    pad = max(0.06 * (high - low), 0.004)
    axes.set_ylim(low - pad, high + pad)


def suspects_figure(diagnosis: Diagnosis) -> Figure:
    """Draw the claimed share of wrong labels among the first k suspects, by k.

    The band spans the two re-corrupted worlds. Where noise was planted, the truth is drawn too.
    """
    suspects = diagnosis.suspects
    with drawing(3.9) as figure:
        axes = figure.subplots()
        if not len(suspects):
            axes.set_axis_off()
            axes.text(0.5, 0.5, "No label is suspected", ha="center", va="center", fontsize=12)
            return figure
        k = np.arange(1, len(suspects) + 1)
        claimed = suspects.precision_at()
        low = np.cumsum(suspects.precision_low) / k
        high = np.cumsum(suspects.precision_high) / k
        axes.fill_between(k, low, high, color=BLUE, alpha=0.18, linewidth=0, gid="worlds")
        axes.plot(k, claimed, color=BLUE, gid="claimed")
        words = "line: claimed, band: the two re-corrupted worlds"
        lowest = float(low.min())
        if diagnosis.planted is not None:
            truth = np.cumsum(diagnosis.planted.flipped[suspects.rows]) / k
            axes.plot(k, truth, color=VERMILLION, linewidth=1.3, gid="truth")
            words = "blue: claimed, band: re-corrupted worlds, red: truth"
            lowest = min(lowest, float(truth.min()))
        bottom = max(0.0, min(0.9, lowest - 0.05))
        axes.set_ylim(bottom, 1.0 + 0.03 * (1.0 - bottom))
        axes.set_xlim(0.0, max(k[-1] * 1.02, 1.5))
        percent_axis(axes)
        axes.set_xlabel("suspects looked at, most suspicious first")
        axes.set_ylabel("share that is wrong")
        wrong = float(suspects.precision.sum())
        axes.set_title(f"{len(suspects)} suspects, {wrong:.0f} expected to be wrong")
        subtitle(axes, words)
    return figure
