"""Estimated accuracy of the settings tried, and how far the suspects can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from gramlab.figures import style
from gramlab.figures.cells import cell_edges
from gramlab.figures.display import Display, Panels, deprecated, deprecated_set
from gramlab.figures.eigenvalues import EigenvalueDisplay
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREY, PURPLE, VERMILLION
from gramlab.figures.transition import TransitionDisplay

if TYPE_CHECKING:
    from gramlab.diagnosis.advice import Advice
    from gramlab.diagnosis.diagnosis import Diagnosis
    from gramlab.diagnosis.suspects import Suspects
    from gramlab.diagnosis.trial import Setting, Trial


def diagnosis_displays(diagnosis: Diagnosis) -> dict[str, Display]:
    """All figures of ``gramlab diagnose``, by the stem of their file name."""
    features, chosen = diagnosis.features, diagnosis.advice.chosen.setting
    asked = {"weight_decay": chosen.weight_decay, "rounds": chosen.rounds}
    noise = diagnosis.estimate, features.class_names
    truth = None if diagnosis.planted is None else diagnosis.planted.matrix
    return {
        "settings": SettingsDisplay.from_diagnosis(diagnosis),
        "suspects": SuspectsDisplay.from_diagnosis(diagnosis),
        "transition": TransitionDisplay.from_estimate(*noise, truth),
        "eigenvalue_gap": EigenvalueDisplay.from_spectrum(
            diagnosis.spectrum, features.n_classes, **asked
        ),
    }


def diagnosis_figures(diagnosis: Diagnosis) -> dict[str, Figure]:
    """Deprecated: the figures of ``diagnosis_displays``."""
    displays = diagnosis_displays(diagnosis)
    return deprecated_set("diagnosis_figures", "diagnosis_displays", displays)


class SettingsDisplay(Display):
    """Estimated held-out accuracy over weight decay: theory as lines, exact heads as dots.

    A colour is a number of rounds; the top-2 student and each way to clean labels first have their
    own. The ring is the advised setting, the bar through it one standard error, the dotted line the
    weight decay in use.
    """

    def __init__(self, advice: Advice, trials: Sequence[Trial]) -> None:
        self.advice: Advice = advice
        self.trials: list[Trial] = sorted(trials, key=lambda trial: trial.setting.weight_decay)

    @classmethod
    def from_diagnosis(cls, diagnosis: Diagnosis) -> Self:
        """Take what there is to draw, of a result of ``diagnose``; nothing is drawn yet."""
        return cls(diagnosis.advice, diagnosis.trials)

    def _panels(self) -> Panels:
        return Panels(4.8)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), advice = axes, self.advice
        # One for each way to train, without its weight decay; what is no number of rounds is last.
        ways = {replace(t.setting, weight_decay=1.0) for t in self.trials}
        ways = sorted(ways, key=lambda one: (one.cleaned, one.refine, one.rounds, one.labels))
        plain = sum(not (one.refine or one.cleaned) for one in ways)
        shades = [to_hex(c) for c in colormaps["viridis"](np.linspace(0.0, 0.85, max(plain, 2)))]
        marks = {}
        panel.set_xscale("log")
        decays = sorted({t.setting.weight_decay for t in self.trials})
        if len(decays) == 1:  # which has no width of its own
            panel.set_xlim(*cell_edges("weight_decay", decays)[[0, -1]])
        marked = {"drop-suspects": "s", "relabel": "D", "soft-labels": "^"}
        for i, way in enumerate(ways):
            color = VERMILLION if way.cleaned else PURPLE if way.refine else shades[i]
            marker = marked.get(way.labels, "o")
            self._way(panel, way, color, marker)
            name = "1 round (teacher)" if way == ways[0] else way.way
            marks[name] = {"color": color, "marker": marker, "mec": "white"}
        use, chosen = advice.reference.setting.weight_decay, advice.chosen
        panel.axvline(use, color=GREY, linewidth=1.0, linestyle=style.DOTTED, gid="reference")
        x, (y, error) = chosen.setting.weight_decay, chosen.accuracy
        bar = [y - error, y + error]
        panel.plot([x, x], bar, color=BLACK, linewidth=1.2, zorder=4, gid="standard error")
        panel.plot([x], [y], "o", ms=13, mfc="none", mec=BLACK, mew=1.6, zorder=5, gid="advised")
        # All exact heads, and as much of the theory as stays near them.
        everything = [t.accuracy.value for t in self.trials] + bar
        low = min([t.accuracy.value for t in self.trials if t.head == "exact"] + bar)
        high = max(everything)
        low = max(min(everything), low - 0.15 * (high - low))
        pad = max(0.06 * (high - low), 0.004)
        panel.set_ylim(low - pad, high + pad)
        style.percent_axis(panel.yaxis)
        look.caption(
            panel,
            f"{'Distil' if advice.distils else 'Do not distil'}: {chosen.setting}",
            "weight decay λ (dotted: the one in use)",
            "estimated held-out accuracy",
            note="line: theory, mark: exact head, ring: advised ± 1 s.e.",
        )
        place = {"loc": "outside lower center", "ncols": 3, "columnspacing": 1.4}
        look.legend(panel, marks, outside=True, **place)

    def _way(self, axes: Axes, way: Setting, color: str, marker: str) -> None:
        """One way to train: accuracy of both heads by weight decay."""
        own = [t for t in self.trials if replace(t.setting, weight_decay=1.0) == way]
        gid = f"{way.rounds} {way.labels if way.cleaned else way.refine}".strip()
        for head in ("theory", "exact"):
            found = [t for t in own if t.head == head]
            x, y = [t.setting.weight_decay for t in found], [t.accuracy.value for t in found]
            if head == "exact":
                style.dots(axes, x, y, color, marker, ms=6.5, gid=f"exact {gid}")
            elif found:
                line = {"color": color, "linewidth": 1.3, "alpha": 0.75, "gid": f"theory {gid}"}
                axes.plot(x, y, **style.as_line(len(x)) | line)


class SuspectsDisplay(Display):
    """The claimed share of wrong labels among the first k suspects, by k.

    The band spans the two re-corruptions. Where noise was planted, the truth is drawn too.
    """

    def __init__(self, suspects: Suspects, flipped: np.ndarray | None, recorrupted: bool) -> None:
        self.suspects: Suspects = suspects
        self.flipped: np.ndarray | None = flipped
        self.recorrupted: bool = recorrupted

    @classmethod
    def from_diagnosis(cls, diagnosis: Diagnosis) -> Self:
        """Take what there is to draw, of a result of ``diagnose``; nothing is drawn yet."""
        planted, resamples = diagnosis.planted, diagnosis.recorruption
        flipped = planted and diagnosis.origin.spread(planted.flipped, False)
        return cls(diagnosis.suspects, flipped, resamples is not None)

    def _panels(self) -> Panels:
        return Panels(4.1)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), suspects = axes, self.suspects
        if not len(suspects):
            panel.set_axis_off()
            words = look.fit(panel, "No label is suspected")
            large = {"fontsize": style.text_size(12 / 9), "transform": panel.transAxes}
            panel.text(0.5, 0.5, words, ha="center", va="center", **large)
            return
        k = np.arange(1, len(suspects) + 1)
        alone = style.as_line(len(k))
        low, high = (np.cumsum(p) / k for p in (suspects.precision_low, suspects.precision_high))
        lowest, note = float(low.min()), ["blue: claimed"]
        if self.recorrupted:
            wide = 5.0 if alone else 0.0  # a band over one point is seen by its frame
            band = {"color": BLUE, "alpha": 0.18, "linewidth": wide, "gid": "re-corruptions"}
            panel.fill_between(k, low, high, **band)
            note.append("band: the two re-corruptions")
        panel.plot(k, suspects.precision_at(), color=BLUE, gid="claimed", **alone)
        if self.flipped is not None:
            truth = np.cumsum(self.flipped[suspects.rows]) / k
            panel.plot(k, truth, **{"color": VERMILLION, "lw": 1.3, "gid": "truth"} | alone)
            lowest = min(lowest, float(truth.min()))
            note.append("red: truth")
        bottom = max(0.0, min(0.9, lowest - 0.05))
        panel.set(ylim=(bottom, 1.0 + 0.03 * (1.0 - bottom)), xlim=(0.0, max(k[-1] * 1.02, 1.5)))
        style.percent_axis(panel.yaxis)
        title, x = _format_suspects(suspects), "suspects looked at, most suspicious first"
        look.caption(panel, title, x, "share that is wrong", note=", ".join(note))


def settings_figure(diagnosis: Diagnosis) -> Figure:
    """Deprecated: ``SettingsDisplay.from_diagnosis(diagnosis).plot().figure_``."""
    return deprecated("settings_figure", SettingsDisplay.from_diagnosis(diagnosis))


def suspects_figure(diagnosis: Diagnosis) -> Figure:
    """Deprecated: ``SuspectsDisplay.from_diagnosis(diagnosis).plot().figure_``."""
    return deprecated("suspects_figure", SuspectsDisplay.from_diagnosis(diagnosis))


def _format_suspects(suspects: Suspects) -> str:
    """How many labels are suspected, and how many of them are claimed to be wrong."""
    count, claimed = len(suspects), suspects.precision.sum()
    low, high = suspects.precision_low.sum(), suspects.precision_high.sum()
    many = f"{count} suspect{'' if count == 1 else 's'}"
    if suspects.withheld:
        return f"{many}; nothing is\nclaimed of them"
    share = f"{claimed:.1f}" if low == high else f"{math.floor(low)} to {math.ceil(high)}"
    return f"{many}, of which {share}\nare expected to be wrong"
