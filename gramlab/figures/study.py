"""What a study measured, over seeds: gain over the teacher, accuracy by round, coverage, errors."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from gramlab.errors import InvalidSetting
from gramlab.figures import style
from gramlab.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION
from gramlab.study.rows import TEACHER, Column, Group, Row, groups

_MEASURES = {"test_accuracy": "test accuracy", "label_recovery": "label recovery (training)"}
_STUDENTS = {  # partial-label students by method: colour, mark, and what stands at the axis
    "top2-ce": (GREEN, "D", "PLL\nCE"),
    "top2-gce": (VERMILLION, "^", "PLL\nGCE"),
}
_BARS = ("distill", *_STUDENTS, "mixture", "tuned")


def gain_over_teacher(
    rows: Sequence[Row], *, measure: str = "test_accuracy", rates: Sequence[float] | None = None
) -> Figure:
    """Draw each round's and student's gain over the teacher as bars, grouped by rate.

    Bars are means over seeds of paired differences, whiskers their standard deviation, and the
    dash is the same difference of the linearized theory, where the method has one.

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
    missing = [rate for rate in rates if rate not in group.rates]
    if missing or not rates:
        raise InvalidSetting(
            f"rates must be some of {', '.join(f'{r:g}' for r in group.rates)}, got "
            f"{', '.join(f'{r:g}' for r in missing) or 'none'}: draw only rates that were run"
        )
    gains = {
        column: [_gain(group, column, rate, measure) for rate in rates]
        for column in group.columns
        if column.method in _BARS and column != TEACHER
    }
    gains = {column: of_rates for column, of_rates in gains.items() if any(of_rates)}
    if not gains:
        raise InvalidSetting(
            f"rows must hold {measure} of the teacher and of a student at one rate, got none: "
            "run a study with more than one round"
        )
    bars, colors, width = len(gains), _colors(list(gains)), 0.82 / len(gains)
    marks: dict[str, dict[str, Any]] = {
        column.label: {"color": color, "linestyle": "none", "marker": "s", "ms": 8}
        for column, color in colors.items()
    }
    page = 3.9, 1.6 + max(4.2, 0.9 * len(rates) * (0.45 + 0.13 * bars))
    with style.drawing(*page) as (figure, axes):
        for i, (column, of_rates) in enumerate(gains.items()):
            for x, (rate, gain) in enumerate(zip(rates, of_rates, strict=True)):
                if not gain:
                    continue
                place, name = x + (i - 0.5 * (bars - 1)) * width, f"{column.label} {rate:g}"
                look: dict[str, Any] = {"color": colors[column], "zorder": 2}
                bar = axes.bar([place], [statistics.fmean(gain)], 0.92 * width, **look)
                bar.patches[0].set_gid(f"gain {name}")
                _whisker(axes, place, gain, color=BLACK, lw=0.9, gid=f"seeds {name}", zorder=3)
                theory = _gain(group, column, rate, f"linearized_{measure}")
                if theory:
                    height = [statistics.fmean(theory)] * 2
                    span = [place - 0.46 * width, place + 0.46 * width]
                    look = {"solid_capstyle": "butt"}
                    axes.plot(span, height, color="white", lw=3.0, zorder=4, **look)
                    look["gid"] = f"theory {name}"
                    axes.plot(span, height, color=BLACK, lw=1.6, zorder=5, **look)
                    marks["linearized theory"] = {"linewidth": 1.6}
        if any(len(gain) > 1 for of_rates in gains.values() for gain in of_rates):
            marks["± 1 s.d. over seeds"] = {"linestyle": "none", "marker": "|", "ms": 10}
        axes.axhline(0.0, color=BLACK, linewidth=0.9)
        axes.set_xticks(range(len(rates)), [f"{100 * rate:g} %" for rate in rates])
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="x", visible=False)
        axes.set_xlim(-0.55, len(rates) - 0.45)
        axes.yaxis.set_major_formatter(FuncFormatter(_points))
        style.caption(
            axes,
            f"Gain over the teacher in {_MEASURES[measure]}",
            "rate of label noise",
            "gain, percentage points",
            note=style.plain_text(group.title, "study", 70),
        )
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
        style.legend(axes, marks, handlelength=1.2, handletextpad=0.5, **place)
    return figure


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


def _whisker(axes: Axes, x: float, values: Iterable[float], **look: Any) -> None:
    """One standard deviation about the mean over seeds, where there are several."""
    values = list(values)
    if len(values) > 1:
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        axes.plot([x, x], [mean - deviation, mean + deviation], **look)


def _points(value: float, _: object = None) -> str:
    """A gain as a tick: percentage points with their sign, and none for 0."""
    return "0" if value == 0.0 else f"{100 * value:+.4g}".replace("-", "−")


def accuracy_by_rounds(
    rows: Sequence[Row], *, measure: str = "test_accuracy", rates: Sequence[float] | None = None
) -> Figure:
    """Draw a measure by round: a line for the theory, dots for the exact heads, by rate.

    Dots are means over seeds with their standard deviation; partial-label students stand at the
    right. `rows`, `measure` and `rates` are as in ``gain_over_teacher``; default are all rates.

    Raises
    ------
    InvalidSetting
        If the rows are of several settings, or hold no such measure.
    """
    group = _one_group(rows, measure)
    rounds = group.rounds
    chosen = [
        rate
        for rate in (group.rates if rates is None else rates)
        if any(group.values(t, rate, measure) for t in rounds)
    ]
    if not chosen:
        raise InvalidSetting(
            f"rows must hold {measure} by round, got none at these rates: draw rates that were run"
        )
    heads = [(t, float(t.round or 0), "o") for t in rounds]
    students: dict[str, float] = {}
    for column in group.columns:
        if column.method in _STUDENTS:
            _, mark, text = _STUDENTS[column.method]
            students[text] = len(rounds) + 0.9 + 0.7 * len(students)
            heads.append((column, students[text], mark))
    with style.drawing(5.2, 5.8) as (figure, axes):
        for i, rate in enumerate(chosen):
            # From blue (little noise) over grey to vermillion (much).
            share = 2.0 * i / max(len(chosen) - 1, 1) - 1.0
            color = style.blend(BLUE if share <= 0.0 else VERMILLION, GREY, abs(share))
            theory = {t.round: group.values(t, rate, f"linearized_{measure}") for t in rounds}
            means = {t or 0: statistics.fmean(v.values()) for t, v in theory.items() if v}
            if means:
                look = {"color": color, "lw": 1.4, "gid": f"theory {rate:g}"}
                axes.plot(list(means), list(means.values()), **look, **style.as_line(len(means)))
            for column, place, mark in heads:
                values = list(group.values(column, rate, measure).values())
                if values:
                    _whisker(axes, place, values, color=color, lw=1.2)
                    gid = f"exact {column.label} {rate:g}"
                    style.dots(axes, [place], [statistics.fmean(values)], color, mark, gid=gid)
            axes.get_lines()[-1].set_label(f"{100 * rate:g} %")
        style.percent_axis(axes.yaxis)
        style.round_axis(axes, len(rounds), students)
        style.caption(
            axes,
            f"{_MEASURES[measure][0].upper()}{_MEASURES[measure][1:]} by round",
            y="share predicted right, mean ± s.d. over seeds",
            note=style.plain_text(group.title, "study", 70),
            heads=True,
        )
        style.end_labels(axes, max([len(rounds), *students.values()]), 0.055)
        look = {"xycoords": "axes fraction", "fontsize": 9, "annotation_clip": False}
        axes.annotate("noise", (1.02, 1.03), **look)
    return figure


def coverage_by_rate(rows: Sequence[Row]) -> Figure:
    """Draw top-2 coverage of the teacher's training predictions and its label recovery, by rate.

    `rows` are of at most five settings; each is a colour. What they share stands in the subtitle.

    Raises
    ------
    InvalidSetting
        If the rows hold no coverage, or more settings than colours.
    """
    colors = (BLUE, VERMILLION, GREEN, PURPLE, GREY)
    marks: dict[str, dict[str, Any]] = {
        "in the top two": {"marker": "o", "ms": 5},
        "first (recovered)": {"linestyle": (0, (2, 1.5)), "marker": "s", "ms": 4},
    }
    measures = (("coverage", "top_two_coverage"), ("recovery", "label_recovery"))
    found = [group for group in groups(rows) if _curve(group, "top_two_coverage")]
    if not 1 <= len(found) <= len(colors):
        raise InvalidSetting(
            f"rows must hold top_two_coverage of 1 to {len(colors)} settings, got {len(found)}: "
            "choose rows by features, preparation, noise and weight_decay_name"
        )
    settings = [
        (g.features, g.preparation, f"{g.noise} noise", f"{g.weight_decay} weight decay")
        for g in found
    ]
    shared = [one for one, *others in zip(*settings, strict=True) if set(others) <= {one}]
    with style.drawing(3.8, 5.8) as (figure, axes):
        for group, color, setting in zip(found, colors, settings, strict=False):
            name = ",\n".join(part for part in setting if part and part not in shared)
            for (what, measure), look in zip(measures, marks.values(), strict=True):
                curve, gid = _curve(group, measure), f"{what} {name}".strip()
                means = [statistics.fmean(values) for values in curve.values()]
                line = axes.plot(list(curve), means, color=color, gid=gid, **look)
                if what == "coverage":
                    line[0].set_label(style.plain_text(name, "setting", 26))
                for rate, values in curve.items():
                    _whisker(axes, rate, values, color=color, lw=1.0)
        rates = sorted({rate for group in found for rate in _curve(group, "top_two_coverage")})
        style.percent_axis(axes.yaxis)
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.02))
        style.percent_axis(axes.xaxis)
        if len(rates) <= 4:  # more find no room side by side
            axes.set_xticks(rates)
        style.caption(
            axes,
            "True label first, and among the two largest",
            "rate of label noise",
            "share of training rows",
            note=style.plain_text(", ".join(["teacher", *filter(None, shared)]), "study", 70),
        )
        style.legend(axes, marks, loc="lower left")
        style.end_labels(axes, rates[-1], 0.13)
    return figure


def _curve(group: Group, measure: str) -> dict[float, list[float]]:
    """The teacher's measure over seeds, by rate."""
    values = {rate: group.values(TEACHER, rate, measure).values() for rate in group.rates}
    return {rate: list(by_seed) for rate, by_seed in values.items() if by_seed}


def error_by_logits(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the teacher's error against the range of its logits, one mark per head.

    Of the `rows` of recipe ``approximation``, those of round 1 with the method of that name are
    drawn. Each is a draw of labels at one weight decay and sample size: marks tell rates apart,
    shades sample sizes. The error is the root mean square over training rows of the distance of the
    two predictions. The line is what the remainder bound allows it to be: osc²/4 at the largest
    range of logits.

    Raises
    ------
    InvalidSetting
        If there is no such row.
    """
    found = [r for r in rows if r.get("method") == "approximation" and r.get("round") == 1]
    given = len(found)
    found = [r for r in found if r["largest_logit_range"] > 0.0 and r["rms_distance"] > 0.0]
    if not found:
        raise InvalidSetting(
            f"rows must hold round 1 of method approximation with an error above 0, got none of "
            f"{given}: pass the rows of gramlab study --recipe approximation"
        )
    settings = dict.fromkeys((r["features"], r["preparation"], r["noise"]) for r in found)
    if len(settings) > 1:
        names = "; ".join(", ".join(setting) for setting in [*settings][:4])
        raise InvalidSetting(
            f"rows of a figure must be of one setting, got {len(settings)} ({names}): choose rows "
            "by features, preparation and noise"
        )
    sizes, rates = (sorted({r[key] for r in found}) for key in ("n_samples", "rate"))
    shades = dict(zip(sizes, style.blues(len(sizes)), strict=True))
    symbols = {rate: "os^Dv"[i % 5] for i, rate in enumerate(rates)}
    ranges, errors = ([r[key] for r in found] for key in ("largest_logit_range", "rms_distance"))
    with style.drawing(4.4, 5.6) as (figure, axes):
        for r, x, y in zip(found, ranges, errors, strict=True):
            gid = f"rate {r['rate']:g}, {r['n_samples']} rows"
            style.dots(axes, x, y, shades[r["n_samples"]], symbols[r["rate"]], mew=0.6, gid=gid)
        x = np.geomspace(min(ranges) / 1.5, max(ranges) * 1.5, 200)
        axes.plot(x, x**2 / 4.0, color=BLACK, lw=1.2, gid="bound")
        # The bound leaves the figure where nothing is near it.
        axes.set(xscale="log", yscale="log", ylim=(min(errors) / 2.0, 2.5))
        ((name, preparation, noise),) = settings
        setting = f"{name}, {preparation}, {noise} noise; teachers"
        if len(found) < given:  # zero has no place on a log axis
            setting += f"; {given - len(found)} without error left out"
        style.caption(
            axes,
            "Error of the linearized softmax against its logits",
            "largest range of a row's logits at the exact teacher",
            "theory − exact, root mean square over rows",
            note=style.plain_text(setting, "study", 76),
        )
        mark = {"linestyle": "none"}
        marks: dict[str, dict[str, Any]] = {"remainder bound": {"lw": 1.2}}
        for rate, symbol in symbols.items():
            marks[f"{100 * rate:g} % noise"] = {"color": GREY, "marker": symbol, "ms": 6, **mark}
        for n, shade in shades.items():
            marks[f"N = {n}"] = {"color": shade, "marker": "s", "ms": 8, **mark}
        style.legend(axes, marks, loc="lower right", handlelength=1.2)
    return figure
