"""What a study measured, over seeds: gain over the teacher, and accuracy by round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Self

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from gramlab.errors import InvalidSetting
from gramlab.figures import style
from gramlab.figures.display import Display, Panels, deprecated
from gramlab.figures.look import Look
from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION
from gramlab.study.rows import TEACHER, Column, Group, Row, groups

_MEASURES = {"test_accuracy": "test accuracy", "label_recovery": "label recovery (training)"}
_STUDENTS = {  # partial-label students by method: colour, mark, and what stands at the axis
    "top2-ce": (GREEN, "D", "PLL\nCE"),
    "top2-gce": (VERMILLION, "^", "PLL\nGCE"),
}
_BARS = ("distill", *_STUDENTS, "mixture", "tuned")


class GainDisplay(Display):
    """Each round's and student's gain over the teacher as bars, grouped by rate.

    Bars are means over seeds of paired differences, whiskers their standard deviation, and the
    dash is the same difference of the linearized theory, where the method has one.
    """

    def __init__(
        self, group: Group, measure: str, rates: Sequence[float], columns: Sequence[Column]
    ) -> None:
        self.group: Group = group
        self.measure: str = measure
        self.rates: Sequence[float] = rates
        self.columns: Sequence[Column] = columns

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Row],
        *,
        measure: str = "test_accuracy",
        rates: Sequence[float] | None = None,
    ) -> Self:
        """Take what there is to draw; nothing is drawn yet.

        Parameters
        ----------
        rows
            Of one setting: one feature set, preparation, noise and weight decay.
        measure
            ``test_accuracy`` or ``label_recovery``.
        rates
            Which to draw; default those of at least 0.5, or all if there are none.

        Raises
        ------
        InvalidSetting
            If the rows are of several settings, or hold no gain to draw.
        """
        group = _one_group(rows, measure)
        if rates is None:  # the paper's figures begin at one half
            rates = [rate for rate in group.rates if rate >= 0.5] or group.rates
        _check_rates(rates, group.rates)
        bars = [one for one in group.columns if one.method in _BARS and one != TEACHER]
        columns = [one for one in bars if any(_gain(group, one, rate, measure) for rate in rates)]
        if not columns:
            raise InvalidSetting(
                f"rows must hold {measure} of the teacher and of a student at one rate, got none: "
                "run a study with more than one round"
            )
        return cls(group, measure, list(rates), columns)

    def _panels(self) -> Panels:
        bars, rates = len(self.columns), len(self.rates)
        return Panels(3.9, 1.6 + max(4.2, 0.9 * rates * (0.45 + 0.13 * bars)))

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), colors = axes, _colors(self.columns)
        marks: dict[str, dict[str, Any]] = {
            column.label: {"color": color, "linestyle": "none", "marker": "s", "ms": 8}
            for column, color in colors.items()
        }
        drawn = [
            self._bar(panel, i, x, color)
            for i, color in enumerate(colors.values())
            for x in range(len(self.rates))
        ]
        if any(theory for _, theory in drawn):
            marks["linearized theory"] = {"linewidth": 1.6}
        if any(seeds > 1 for seeds, _ in drawn):
            marks["± 1 s.d. over seeds"] = {"linestyle": "none", "marker": "|", "ms": 10}
        panel.axhline(0.0, color=BLACK, linewidth=0.9)
        panel.set_xticks(range(len(self.rates)), [f"{100 * rate:g} %" for rate in self.rates])
        panel.tick_params(axis="x", length=0)
        panel.grid(axis="x", visible=False)
        panel.set_xlim(-0.55, len(self.rates) - 0.45)
        panel.yaxis.set_major_formatter(FuncFormatter(_points))
        look.caption(
            panel,
            f"Gain over the teacher in {_MEASURES[self.measure]}",
            "rate of label noise",
            "gain, percentage points",
            note=style.plain_text(self.group.title, "study", 70),
        )
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
        look.legend(panel, marks, handlelength=1.2, handletextpad=0.5, **place)

    def _bar(self, axes: Axes, i: int, x: int, color: str) -> tuple[int, bool]:
        """The i-th bar at a rate; of how many seeds it is, and whether there is a theory."""
        column, rate = self.columns[i], self.rates[x]
        gain = _gain(self.group, column, rate, self.measure)
        if not gain:
            return 0, False
        width = 0.82 / len(self.columns)
        place, name = x + (i - 0.5 * (len(self.columns) - 1)) * width, f"{column.label} {rate:g}"
        bar = axes.bar([place], [statistics.fmean(gain)], 0.92 * width, color=color, zorder=2)
        bar.patches[0].set_gid(f"gain {name}")
        whisker(axes, place, gain, color=BLACK, lw=0.9, gid=f"seeds {name}", zorder=3)
        theory = _gain(self.group, column, rate, f"linearized_{self.measure}")
        if theory:
            height = [statistics.fmean(theory)] * 2
            span = [place - 0.46 * width, place + 0.46 * width]
            line: dict[str, Any] = {"solid_capstyle": "butt"}
            axes.plot(span, height, color="white", lw=3.0, zorder=4, **line)
            line["gid"] = f"theory {name}"
            axes.plot(span, height, color=BLACK, lw=1.6, zorder=5, **line)
        return len(gain), bool(theory)


class RoundsDisplay(Display):
    """A measure by round: a line for the theory, dots for the exact heads, by rate.

    Dots are means over seeds with their standard deviation; partial-label students stand at the
    right.
    """

    def __init__(self, group: Group, measure: str, rates: Sequence[float]) -> None:
        self.group: Group = group
        self.measure: str = measure
        self.rates: Sequence[float] = rates

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[Row],
        *,
        measure: str = "test_accuracy",
        rates: Sequence[float] | None = None,
    ) -> Self:
        """Take what there is to draw, as ``GainDisplay.from_rows`` does; default are all rates.

        Raises
        ------
        InvalidSetting
            If the rows are of several settings, or hold no such measure.
        """
        group = _one_group(rows, measure)
        run = [r for r in group.rates if any(group.values(t, r, measure) for t in group.rounds)]
        if not run:
            raise InvalidSetting(
                f"rows must hold {measure} by round, got none: pass rows of a study's rounds"
            )
        _check_rates(run if rates is None else rates, run)
        return cls(group, measure, run if rates is None else list(rates))

    def _panels(self) -> Panels:
        return Panels(5.2, 5.8)

    def _draw(self, axes: tuple[Axes, ...], look: Look) -> None:
        (panel,), rounds = axes, self.group.rounds
        heads = [(t, float(t.round or 0), "o") for t in rounds]
        students: dict[str, float] = {}
        for column in self.group.columns:
            if column.method in _STUDENTS:
                _, mark, text = _STUDENTS[column.method]
                students[text] = len(rounds) + 0.9 + 0.7 * len(students)
                heads.append((column, students[text], mark))
        named = [self._rate(panel, i, heads) for i in range(len(self.rates))]
        style.percent_axis(panel.yaxis)
        style.round_axis(panel, len(rounds), students)
        measure = _MEASURES[self.measure]
        look.caption(
            panel,
            f"{measure[0].upper()}{measure[1:]} by round",
            y="share right, mean ± s.d.",
            note=style.plain_text(self.group.title, "study", 70),
            heads=True,
        )
        look.end_labels(panel, max([len(rounds), *students.values()]), 0.055, named)

    def _rate(self, axes: Axes, i: int, heads: Sequence[tuple[Column, float, str]]) -> Line2D:
        """One rate: a line, dots and whiskers; the last dot has its name."""
        # From blue (little noise) over grey to vermillion (much).
        rate, share = self.rates[i], 2.0 * i / max(len(self.rates) - 1, 1) - 1.0
        color = style.blend(BLUE if share <= 0.0 else VERMILLION, GREY, abs(share))
        theory = {
            t.round or 0: self.group.values(t, rate, f"linearized_{self.measure}")
            for t in self.group.rounds
        }
        means = {t: statistics.fmean(v.values()) for t, v in theory.items() if v}
        if means:
            line = {"color": color, "lw": 1.4, "gid": f"theory {rate:g}"}
            axes.plot(list(means), list(means.values()), **line, **style.as_line(len(means)))
        for column, place, mark in heads:
            values = list(self.group.values(column, rate, self.measure).values())
            if values:
                whisker(axes, place, values, color=color, lw=1.2)
                gid = f"exact {column.label} {rate:g}"
                style.dots(axes, [place], [statistics.fmean(values)], color, mark, gid=gid)
        last = axes.get_lines()[-1]
        last.set_label(f"η = {100 * rate:g} %")
        return last


def gain_over_teacher(
    rows: Sequence[Row], *, measure: str = "test_accuracy", rates: Sequence[float] | None = None
) -> Figure:
    """Deprecated: ``GainDisplay.from_rows(...).plot().figure_``, with its arguments."""
    display = GainDisplay.from_rows(rows, measure=measure, rates=rates)
    return deprecated("gain_over_teacher", display)


def accuracy_by_rounds(
    rows: Sequence[Row], *, measure: str = "test_accuracy", rates: Sequence[float] | None = None
) -> Figure:
    """Deprecated: ``RoundsDisplay.from_rows(...).plot().figure_``, with its arguments."""
    display = RoundsDisplay.from_rows(rows, measure=measure, rates=rates)
    return deprecated("accuracy_by_rounds", display)


def _one_group(rows: Sequence[Row], measure: str) -> Group:
    """The one setting of the rows, of which there is such a measure."""
    found = groups(rows)
    if len(found) != 1:
        names = "; ".join(group.title for group in found[:4]) or "none"
        raise InvalidSetting(
            f"rows of a figure must be of one setting, got {len(found)} ({names}): choose rows by "
            "features, preparation, noise and weight_decay_name"
        )
    if measure not in _MEASURES:
        raise InvalidSetting(f"measure must be one of {', '.join(_MEASURES)}, got {measure!r}")
    return found[0]


def _check_rates(rates: Sequence[float], run: Sequence[float]) -> None:
    missing = [rate for rate in rates if rate not in run]
    if missing or not rates:
        raise InvalidSetting(
            f"rates must be some of {', '.join(f'{r:g}' for r in run)}, got "
            f"{', '.join(f'{r:g}' for r in missing) or 'none'}: draw only rates that were run"
        )


def _gain(group: Group, column: Column, rate: float, measure: str) -> list[float]:
    """Paired differences to the teacher, by seeds that both have."""
    mine, teacher = (group.values(c, rate, measure) for c in (column, TEACHER))
    return [value - teacher[seed] for seed, value in mine.items() if seed in teacher]


def _colors(columns: Sequence[Column]) -> dict[Column, str]:
    """Rounds in one blue, the darker the later; tuned baselines in grey, the others paler."""
    shades = {method: [color] for method, (color, *_) in _STUDENTS.items()}
    shades |= {
        "mixture": [PURPLE],
        "distill": style.blues(sum(c.round is not None for c in columns)),
    }
    shades["tuned"] = [GREY] + [style.blend(GREY, "white", 0.5)] * len(columns)
    return {column: shades[column.method].pop(0) for column in columns}


def whisker(axes: Axes, x: float, values: Iterable[float], **look: Any) -> None:
    """One standard deviation about the mean over seeds, where there are several."""
    values = list(values)
    if len(values) > 1:
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        axes.plot([x, x], [mean - deviation, mean + deviation], **look)


def _points(value: float, _: object = None) -> str:
    """A gain as a tick: percentage points with their sign, and none for 0."""
    return "0" if value == 0.0 else f"{100 * value:+.4g}".replace("-", "−")
