"""What a study measured of its teachers: the two largest labels, and the error of the theory."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.errors import InvalidSetting
from gramlab.figures import style
from gramlab.figures.display import Display, Panels, deprecated
from gramlab.figures.look import Look
from gramlab.figures.study import whisker
from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION
from gramlab.study.rows import TEACHER, Group, Row, groups

_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, GREY)
_SYMBOLS = "os^Dv<>pP*"
_CURVES: dict[str, tuple[str, str, dict[str, Any]]] = {  # measure, words, look
    "coverage": ("top_two_coverage", "in the top two", {"marker": "o", "ms": 5}),
    "recovery": (
        "label_recovery",
        "first (recovered)",
        {"linestyle": (0, (2, 1.5)), "marker": "s", "ms": 4},
    ),
}


class CoverageDisplay(Display):
    """How often the true label is among the teacher's two largest, and how often first, by rate.

    Shares of training rows, means over seeds with their standard deviation; each setting is a
    colour, and what they share stands in the subtitle.
    """

    def __init__(self, found: Sequence[Group]) -> None:
        self.groups: Sequence[Group] = found

    @classmethod
    def from_rows(cls, rows: Sequence[Row]) -> Self:
        """Take what there is to draw, of rows of at most five settings; nothing is drawn yet.

        Raises
        ------
        InvalidSetting
            If the rows hold no coverage, or more settings than colours.
        """
        found = [group for group in groups(rows) if _curve(group, "top_two_coverage")]
        if not 1 <= len(found) <= len(_COLORS):
            raise InvalidSetting(
                f"rows must hold top_two_coverage of 1 to {len(_COLORS)} settings, got "
                f"{len(found)}: choose rows by features, preparation, noise and weight_decay_name"
            )
        return cls(found)

    def _panels(self) -> Panels:
        return Panels(3.8, 5.8)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,) = axes
        settings = [
            (g.features, g.preparation, f"{g.noise} noise", f"{g.weight_decay} weight decay")
            for g in self.groups
        ]
        shared = [one for one, *others in zip(*settings, strict=True) if set(others) <= {one}]
        named = []
        for group, color, setting in zip(self.groups, _COLORS, settings, strict=False):
            name = ",\n".join(part for part in setting if part and part not in shared)
            for what, (measure, _, marks) in _CURVES.items():
                curve, gid = _curve(group, measure), f"{what} {name}".strip()
                means = [statistics.fmean(values) for values in curve.values()]
                line = panel.plot(list(curve), means, color=color, gid=gid, **marks)
                if what == "coverage":
                    line[0].set_label(style.plain_text(name, "setting", 26))
                    named += line if name else []
                for rate, values in curve.items():
                    whisker(panel, rate, values, color=color, lw=1.0)
        rates = sorted(
            {rate for group in self.groups for rate in _curve(group, "top_two_coverage")}
        )
        style.percent_axis(panel.yaxis)
        panel.set_ylim(top=min(panel.get_ylim()[1], 1.02))
        style.percent_axis(panel.xaxis)
        if len(rates) <= 4:  # more find no room side by side
            panel.set_xticks(rates)
        look.caption(
            panel,
            "True label first, and among the two largest",
            "rate of label noise",
            "share of training rows",
            note=style.plain_text(", ".join(["teacher", *filter(None, shared)]), "study", 70),
        )
        marks = {words: dict(line) for _, words, line in _CURVES.values()}
        if look.labels == "legend":  # one legend for marks and colours
            marks |= {str(one.get_label()): {"color": one.get_color()} for one in named}
        else:
            look.end_labels(panel, rates[-1], 0.13, named)
        look.legend(panel, marks, loc="lower left")


def _curve(group: Group, measure: str) -> dict[float, list[float]]:
    """The teacher's measure over seeds, by rate."""
    values = {rate: group.values(TEACHER, rate, measure).values() for rate in group.rates}
    return {rate: list(by_seed) for rate, by_seed in values.items() if by_seed}


class ApproximationDisplay(Display):
    """The teacher's error against the range of its logits, one mark per head.

    Each is a draw of labels at one weight decay and sample size: marks tell rates apart, shades
    sample sizes. The error is the root mean square over training rows of the distance of the two
    predictions. The line is what the remainder bound allows it to be: osc²/4 at the largest range
    of logits. Teachers without error have no place on the log axes; the subtitle counts them.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows: Sequence[Mapping[str, Any]] = rows

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]]) -> Self:
        """Take what there is to draw; nothing is drawn yet.

        Parameters
        ----------
        rows
            Of recipe ``approximation``, one feature set, preparation and noise; those of round 1
            with the method of that name are taken.

        Raises
        ------
        InvalidSetting
            If there is no such row with an error above 0, if they are of several settings, or of
            more rates than marks.
        """
        found = [r for r in rows if r.get("method") == "approximation" and r.get("round") == 1]
        if not any(_has_error(r) for r in found):
            raise InvalidSetting(
                "rows must hold round 1 of method approximation with an error above 0, got none of "
                f"{len(found)}: pass the rows of gramlab study --recipe approximation"
            )
        settings = dict.fromkeys((r["features"], r["preparation"], r["noise"]) for r in found)
        if len(settings) > 1:
            names = "; ".join(", ".join(setting) for setting in [*settings][:4])
            raise InvalidSetting(
                f"rows of a figure must be of one setting, got {len(settings)} ({names}): choose "
                "rows by features, preparation and noise"
            )
        rates = {r["rate"] for r in found}
        if len(rates) > len(_SYMBOLS):
            raise InvalidSetting(
                f"rows of a figure must be of at most {len(_SYMBOLS)} rates, got {len(rates)}: "
                "choose rows by rate"
            )
        return cls(found)

    def _panels(self) -> Panels:
        return Panels(4.4, 5.6)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,) = axes
        found = [r for r in self.rows if _has_error(r)]
        sizes, rates = (sorted({r[key] for r in found}) for key in ("n_samples", "rate"))
        shades = dict(zip(sizes, style.blues(len(sizes)), strict=True))
        symbols = dict(zip(rates, _SYMBOLS, strict=False))
        ranges, errors = (
            [r[key] for r in found] for key in ("largest_logit_range", "rms_distance")
        )
        for r, x, y in zip(found, ranges, errors, strict=True):
            gid = f"rate {r['rate']:g}, {r['n_samples']} rows"
            style.dots(panel, x, y, shades[r["n_samples"]], symbols[r["rate"]], mew=0.6, gid=gid)
        x = np.geomspace(min(ranges) / 1.5, max(ranges) * 1.5, 200)
        panel.plot(x, x**2 / 4.0, color=BLACK, lw=1.2, gid="bound")
        # The bound leaves the figure where nothing is near it.
        panel.set(xscale="log", yscale="log", ylim=(min(errors) / 2.0, 2.5))
        one, zero = self.rows[0], len(self.rows) - len(found)
        note = f"{one['features']}, {one['preparation']}, {one['noise']} noise; teachers"
        note += f"; {zero} without error left out" if zero else ""
        look.caption(
            panel,
            "Error of the linearized softmax against its logits",
            "largest range of a row's logits at the exact teacher",
            "theory − exact, root mean square over rows",
            note=style.plain_text(note, "study", 76),
        )
        mark = {"linestyle": "none"}
        marks: dict[str, dict[str, Any]] = {"remainder bound": {"lw": 1.2}}
        for rate, symbol in symbols.items():
            marks[f"{100 * rate:g} % noise"] = {"color": GREY, "marker": symbol, "ms": 6, **mark}
        for n, shade in shades.items():
            marks[f"N = {n}"] = {"color": shade, "marker": "s", "ms": 8, **mark}
        look.legend(panel, marks, loc="lower right", handlelength=1.2)


def _has_error(row: Mapping[str, Any]) -> bool:
    return row["largest_logit_range"] > 0.0 and row["rms_distance"] > 0.0


def coverage_by_rate(rows: Sequence[Row]) -> Figure:
    """Deprecated: ``CoverageDisplay.from_rows(rows).plot().figure_``."""
    return deprecated("coverage_by_rate", CoverageDisplay.from_rows(rows))


def error_by_logits(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Deprecated: ``ApproximationDisplay.from_rows(rows).plot().figure_``."""
    return deprecated("error_by_logits", ApproximationDisplay.from_rows(rows))
