"""Estimated accuracy of the settings tried, and how far the suspects can be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gramlab.figures import style
from gramlab.figures.eigenvalues import eigenvalue_gap
from gramlab.figures.style import BLACK, BLUE, GREY, PURPLE, VERMILLION
from gramlab.figures.transition import transition_figure

if TYPE_CHECKING:
    from gramlab.diagnosis.diagnosis import Diagnosis
    from gramlab.diagnosis.suspects import Suspects


def diagnosis_figures(diagnosis: Diagnosis) -> dict[str, Figure]:
    """All figures of ``gramlab diagnose``, by the stem of their file name."""
    features, chosen = diagnosis.features, diagnosis.advice.chosen.setting
    asked = {"weight_decay": chosen.weight_decay, "rounds": chosen.rounds}
    truth = None if diagnosis.planted is None else diagnosis.planted.matrix
    return {
        "settings": settings_figure(diagnosis),
        "suspects": suspects_figure(diagnosis),
        "transition": transition_figure(diagnosis.estimate, features.class_names, truth),
        "eigenvalue_gap": eigenvalue_gap(diagnosis.spectrum, features.n_classes, **asked),
    }


def settings_figure(diagnosis: Diagnosis) -> Figure:
    """Draw estimated held-out accuracy over weight decay: theory as lines, exact heads as dots.

    A colour is a number of rounds, the top-2 student has its own; the ring is the advised setting,
    the bar through it one standard error, the dotted line the weight decay in use.
    """
    advice, chosen = diagnosis.advice, diagnosis.advice.chosen
    trials = sorted(diagnosis.trials, key=lambda t: t.setting.weight_decay)
    variants = sorted({(t.setting.refine, t.setting.rounds) for t in trials})  # students last
    plain = sum(not refine for refine, _ in variants)
    shades = [to_hex(c) for c in colormaps["viridis"](np.linspace(0.0, 0.85, max(plain, 2)))]
    marks = {}
    with style.drawing(4.8) as (figure, axes):
        axes.set_xscale("log")
        for i, (refine, rounds) in enumerate(variants):
            color = PURPLE if refine else shades[i]
            own = [t for t in trials if (t.setting.refine, t.setting.rounds) == (refine, rounds)]
            theory, exact = (
                [(t.setting.weight_decay, t.accuracy.value) for t in own if t.head == head]
                for head in ("theory", "exact")
            )
            gid = f"{rounds} {refine}".strip()
            look = {"color": color, "linewidth": 1.3, "alpha": 0.75, "gid": f"theory {gid}"}
            line = [x for x, _ in theory], [y for _, y in theory]
            axes.plot(*line, **style.as_line(len(theory)) | look)
            x, y = [x for x, _ in exact], [y for _, y in exact]
            style.dots(axes, x, y, color, ms=6.5, gid=f"exact {gid}")
            name = "1 round (teacher)" if rounds == 1 else f"{rounds} rounds"
            name = "top-2 student" if refine else name
            marks[name] = {"color": color, "marker": "o", "mec": "white"}
        use = advice.reference.setting.weight_decay
        axes.axvline(use, color=GREY, linewidth=1.0, linestyle=style.DOTTED, gid="reference")
        x, y = chosen.setting.weight_decay, chosen.accuracy.value
        error = chosen.accuracy.standard_error
        axes.plot([x, x], [y - error, y + error], color=BLACK, linewidth=1.2, zorder=4)
        axes.plot([x], [y], "o", ms=13, mfc="none", mec=BLACK, mew=1.6, zorder=5, gid="advised")
        # All exact heads, and as much of the theory as stays near them.
        bar = [y - error, y + error]
        everything = [t.accuracy.value for t in trials] + bar
        low = min([t.accuracy.value for t in trials if t.head == "exact"] + bar)
        high = max(everything)
        low = max(min(everything), low - 0.15 * (high - low))
        pad = max(0.06 * (high - low), 0.004)
        axes.set_ylim(low - pad, high + pad)
        style.percent_axis(axes.yaxis)
        style.caption(
            axes,
            f"{'Distil' if advice.distils else 'Do not distil'}: {chosen.setting}",
            "weight decay λ (dotted: the one in use)",
            "estimated held-out accuracy",
            note="line: theory, dot: exact head, ring: advised ± 1 s.e.",
        )
        style.legend(figure, marks, loc="outside lower center", ncols=3, columnspacing=1.4)
    return figure


def suspects_figure(diagnosis: Diagnosis) -> Figure:
    """Draw the claimed share of wrong labels among the first k suspects, by k.

    The band spans the two re-corruptions. Where noise was planted, the truth is drawn too.
    """
    suspects = diagnosis.suspects
    with style.drawing(3.9) as (figure, axes):
        if not len(suspects):
            axes.set_axis_off()
            axes.text(0.5, 0.5, "No label is suspected", ha="center", va="center", fontsize=12)
            return figure
        k = np.arange(1, len(suspects) + 1)
        low, high = (np.cumsum(p) / k for p in (suspects.precision_low, suspects.precision_high))
        alone = style.as_line(len(k))
        wide = 5.0 if alone else 0.0  # a band over one point is seen by its frame
        look = {"color": BLUE, "alpha": 0.18, "gid": "re-corruptions"}
        axes.fill_between(k, low, high, linewidth=wide, **look)
        axes.plot(k, suspects.precision_at(), color=BLUE, gid="claimed", **alone)
        lowest, blue = float(low.min()), "line"
        if diagnosis.planted is not None:
            truth = np.cumsum(diagnosis.planted.flipped[suspects.rows]) / k
            axes.plot(k, truth, color=VERMILLION, linewidth=1.3, gid="truth", **alone)
            lowest, blue = min(lowest, float(truth.min())), "blue"
        words = [f"{blue}: claimed"]
        if diagnosis.recorruption is not None:
            words.append("band: the two re-corruptions")
        if diagnosis.planted is not None:
            words.append("red: truth")
        bottom = max(0.0, min(0.9, lowest - 0.05))
        axes.set(ylim=(bottom, 1.0 + 0.03 * (1.0 - bottom)), xlim=(0.0, max(k[-1] * 1.02, 1.5)))
        style.percent_axis(axes.yaxis)
        style.caption(
            axes,
            _format_suspects(suspects),
            "suspects looked at, most suspicious first",
            "share that is wrong",
            note=", ".join(words),
        )
    return figure


def _format_suspects(suspects: Suspects) -> str:
    """How many labels are suspected, and how many of them are claimed to be wrong."""
    count, claimed = len(suspects), suspects.precision.sum()
    low, high = suspects.precision_low.sum(), suspects.precision_high.sum()
    many = f"{count} suspect{'' if count == 1 else 's'}"
    if low == high:
        return f"{many}, {claimed:.1f} expected to be wrong"
    low, high = math.floor(low), math.ceil(high)
    return f"{many}, {low} to {high} expected to be wrong"
