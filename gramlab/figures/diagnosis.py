"""Estimated accuracy of the settings tried, and how far the suspects can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gramlab.figures import style
from gramlab.figures.display import Display, Panels, deprecated, deprecated_set
from gramlab.figures.eigenvalues import EigenvalueDisplay
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREY, PALE, VERMILLION
from gramlab.figures.transition import TransitionDisplay

if TYPE_CHECKING:
    from gramlab.diagnosis.advice import Advice
    from gramlab.diagnosis.diagnosis import Diagnosis
    from gramlab.diagnosis.suspects import Suspects
    from gramlab.diagnosis.trial import Trial


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
    """How the ways to train compare: estimated held-out accuracy of the best setting of each.

    A row is a way, the best on top, with the weight decay at which it does best: a dot for exact
    heads with a bar of one standard error, a thin line for what the theory says of the same
    setting. The ring is the advised setting; a dotted line goes through the one in use. Both have a
    row of their own where they are not the best of their way.
    """

    def __init__(self, advice: Advice, trials: Sequence[Trial], doubt: str = "") -> None:
        self.advice: Advice = advice
        self.trials: list[Trial] = list(trials)
        self.doubt: str = doubt

    @classmethod
    def from_diagnosis(cls, diagnosis: Diagnosis) -> Self:
        """Take what there is to draw, of a result of ``diagnose``; nothing is drawn yet."""
        return cls(diagnosis.advice, diagnosis.trials, diagnosis.suspects.withheld)

    def _panels(self) -> Panels:
        return Panels(1.6 + 0.36 * len(self._shown()))

    def _shown(self) -> list[Trial]:
        """The best exact trial of each way, the advised one and the one in use; best first."""
        shown: dict[str, Trial] = {}
        for trial in sorted(self.trials, key=lambda trial: -trial.accuracy.value):
            if trial.head == "exact":
                shown.setdefault(trial.setting.way, trial)
        every = {t.setting: t for t in (*shown.values(), self.advice.chosen, self.advice.reference)}
        return sorted(every.values(), key=lambda trial: -trial.accuracy.value)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), advice, shown = axes, self.advice, self._shown()
        theory = {t.setting: t.accuracy.value for t in self.trials if t.head == "theory"}
        points = 72.0 / panel.figure.dpi * panel.bbox.height / len(shown)  # of a row
        size = min(style.text_size(), 0.45 * points)
        of_axes = {"transform": panel.get_yaxis_transform(), "va": "bottom", "fontsize": size}
        low = min(t.accuracy.value - t.accuracy.standard_error for t in shown)
        high = max(t.accuracy.value + t.accuracy.standard_error for t in shown)
        pad = max(0.05 * (high - low), 0.001)
        low, high = low - pad, high + pad
        for place, trial in enumerate(shown):
            advised, (value, error) = trial.setting == advice.chosen.setting, trial.accuracy
            words, bar = str(trial.setting), [value - error, value + error]
            color = BLACK if advised else BLUE
            panel.plot(bar, [place] * 2, color=color, lw=1.6, zorder=4, gid=f"error {words}")
            panel.plot([value], [place], "o", color=color, ms=5, zorder=4, gid=f"exact {words}")
            said, name = theory.get(trial.setting), f"theory {words}"
            if said is not None and low <= said <= high:
                ends = [place - 0.22, place + 0.22]
                panel.plot([said] * 2, ends, color=GREY, lw=1.2, gid=name)
            elif said is not None:
                edge, mark = (low, "<") if said < low else (high, ">")
                panel.plot([edge], [place], mark, color=GREY, ms=5, gid=name)
            if advised:
                ring = {"mfc": "none", "mec": BLACK, "mew": 1.6, "gid": "advised"}
                panel.plot([value], [place], "o", ms=12, zorder=5, **ring)
            roles = "advised" * advised, "in use" * (trial.setting == advice.reference.setting)
            told = ", ".join((words, *filter(None, roles)))
            weight = "bold" if advised else "normal"
            panel.text(0.01, place - 0.22, told, weight=weight, **of_axes)
        for between in range(1, len(shown)):
            panel.axhline(between - 0.75, color=PALE, linewidth=0.5)
        use = advice.reference.accuracy.value
        panel.axvline(use, color=GREY, linewidth=1.0, linestyle=style.DOTTED, gid="reference")
        panel.set(ylim=(len(shown) - 0.5, -0.9), yticks=[])
        panel.set_xlim(low - 0.5 * pad, high + 0.5 * pad)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        style.percent_axis(panel.xaxis)
        note = ["dot: exact head ± 1 s.e., line: theory (◂ ▸ beyond), dotted: in use"]
        if self.doubt:
            note = [*wrap(f"In doubt: {self.doubt}.", 58), *note]
        look.caption(
            panel,
            f"{'Distil' if advice.distils else 'Do not distil'}{' (in doubt)' * bool(self.doubt)}: "
            f"{advice.chosen.setting}",
            "estimated held-out accuracy, best of each way",
            note="\n".join(note),
        )


class SuspectsDisplay(Display):
    """The claimed share of wrong labels among the first k suspects, by k.

    The band spans the two re-corruptions. Where noise was planted, the truth is drawn too, and it
    alone where nothing is claimed.
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
        if not len(suspects) or (suspects.withheld and self.flipped is None):
            panel.set_axis_off()
            words = "\n".join(wrap(_format_withheld(suspects), 40))
            large = {"fontsize": style.text_size(12 / 9), "transform": panel.transAxes}
            panel.text(0.5, 0.5, look.fit(panel, words), ha="center", va="center", **large)
            return
        k = np.arange(1, len(suspects) + 1)
        alone, lowest, marks = style.as_line(len(k)), 1.0, {}
        low, high = (np.cumsum(p) / k for p in (suspects.precision_low, suspects.precision_high))
        if not suspects.withheld:
            panel.plot(k, suspects.precision_at(), color=BLUE, gid="claimed", **alone)
            lowest, marks["claimed"] = float(low.min()), {"color": BLUE}
        if self.recorrupted:
            wide = 5.0 if alone else 0.0  # a band over one point is seen by its frame
            band = {"color": BLUE, "alpha": 0.18}
            panel.fill_between(k, low, high, linewidth=wide, gid="re-corruptions", **band)
            marks["its two re-corruptions"] = band | {"linewidth": 7.0}
        if self.flipped is not None:
            truth = np.cumsum(self.flipped[suspects.rows]) / k
            panel.plot(k, truth, **{"color": VERMILLION, "lw": 1.3, "gid": "truth"} | alone)
            lowest = min(lowest, float(truth.min()))
            marks["truth"] = {"color": VERMILLION, "linewidth": 1.3}
        bottom = max(0.0, min(0.9, lowest - 0.05))
        panel.set(ylim=(bottom, 1.0 + 0.03 * (1.0 - bottom)), xlim=(0.0, max(k[-1] * 1.02, 1.5)))
        style.percent_axis(panel.yaxis)
        title, x = _format_suspects(suspects), "suspects looked at, most suspicious first"
        note = "\n".join(wrap(f"In doubt: {suspects.withheld}.", 58)) if suspects.withheld else ""
        look.caption(panel, title, x, "share that is wrong", note=note)
        look.legend(panel, marks, outside=True, loc="outside lower center", ncols=len(marks))


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
        return f"{many};\nnothing is claimed of them"
    share = f"{claimed:.1f}" if low == high else f"{math.floor(low)} to {math.ceil(high)}"
    return f"{many}, of which {share}\nare expected to be wrong"


def _format_withheld(suspects: Suspects) -> str:
    """What there is to say in place of a curve of suspects."""
    count = len(suspects)
    many = f"{count} suspect{'' if count == 1 else 's'}" if count else "No label is suspected"
    return f"{many}; nothing is claimed: {suspects.withheld}" if suspects.withheld else many
