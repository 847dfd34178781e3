"""What a study measured, over seeds: gain over the teacher, accuracy by round, coverage."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from gramlab.errors import InvalidSetting
from gramlab.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILLION,
    blend,
    blues,
    caption,
    dots,
    drawing,
    end_labels,
    legend,
    percent_axis,
    plain_text,
    round_axis,
)
from gramlab.study.rows import TEACHER, Column, Group, Row, groups

_MEASURES = {"test_accuracy": "test accuracy", "label_recovery": "label recovery (training)"}


def gain_over_teacher(
    rows: Sequence[Row], *, measure: str = "test_accuracy", rates: Sequence[float] | None = None
) -> Figure:
    """Draw each round's and student's gain over the teacher as bars, grouped by rate.

    Parameters
    ----------
    rows
        Of one setting: one feature set, preparation, noise and weight decay.
    measure
        ``test_accuracy`` or ``label_recovery``.
    rates
        Which to draw; default those of at least 0.5, or all if there are none.

    Bars are means over seeds of paired differences, whiskers their standard deviation, and the
    dash is the same difference of the linearized theory, where the method has one.

    Raises
    ------
    InvalidSetting
        If the rows are of several settings, or hold no gain to draw.
    """
    group = _one_group(rows, measure)
    chosen = _rates(group, rates)
    drawn = ("distill", "top2-ce", "top2-gce", "mixture", "tuned")
    gains = {
        column: [_gain(group, column, rate, measure) for rate in chosen]
        for column in group.columns
        if column.method in drawn and column != TEACHER
    }
    gains = {column: of_rates for column, of_rates in gains.items() if any(of_rates)}
    if not gains:
        raise InvalidSetting(
            f"rows must hold {measure} of the teacher and of a student at one rate, got none: "
            "run a study with more than one round"
        )
    colors = _colors(gains)
    seeds = any(len(gain) > 1 for of_rates in gains.values() for gain in of_rates)
    theory = False
    with drawing(3.9, 1.6 + max(4.2, 0.9 * len(chosen) * (0.45 + 0.13 * len(gains)))) as figure:
        axes = figure.subplots()
        width = 0.82 / len(gains)
        for i, (column, of_rates) in enumerate(gains.items()):
            for x, (rate, gain) in enumerate(zip(chosen, of_rates, strict=True)):
                if gain:
                    place = x + (i - 0.5 * (len(gains) - 1)) * width
                    predicted = _gain(group, column, rate, f"linearized_{measure}")
                    name = f"{column.label} {rate:g}"
                    _bar(axes, place, width, gain, predicted, colors[column], name)
                    theory = theory or bool(predicted)
        axes.axhline(0.0, color=BLACK, linewidth=0.9)
        axes.set_xticks(range(len(chosen)), [f"{100 * rate:g} %" for rate in chosen])
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="x", visible=False)
        axes.set_xlim(-0.55, len(chosen) - 0.45)
        axes.yaxis.set_major_formatter(FuncFormatter(_points))
        caption(
            axes,
            f"Gain over the teacher in {_MEASURES[measure]}",
            "rate of label noise",
            "gain, percentage points",
            note=plain_text(group.title, "study", 70),
        )
        square = {"linestyle": "none", "marker": "s", "ms": 8}
        marks: dict[str, dict[str, Any]] = {
            column.label: {"color": color, **square} for column, color in colors.items()
        }
        if theory:
            marks["linearized theory"] = {"linewidth": 1.6}
        if seeds:
            marks["± 1 s.d. over seeds"] = {"linestyle": "none", "marker": "|", "ms": 10}
        legend(
            axes,
            marks,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0.0,
            handlelength=1.2,
            handletextpad=0.5,
        )
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


def _rates(group: Group, rates: Sequence[float] | None) -> tuple[float, ...]:
    if rates is None:  # the paper's figures begin at one half
        return tuple(rate for rate in group.rates if rate >= 0.5) or group.rates
    missing = [rate for rate in rates if rate not in group.rates]
    if missing or not rates:
        raise InvalidSetting(
            f"rates must be some of {', '.join(f'{r:g}' for r in group.rates)}, got "
            f"{', '.join(f'{r:g}' for r in missing) or 'none'}: draw only rates that were run"
        )
    return tuple(rates)


def _gain(group: Group, column: Column, rate: float, measure: str) -> list[float]:
    """Paired differences to the teacher, by seeds that both have."""
    mine, teacher = (group.values(c, rate, measure) for c in (column, TEACHER))
    return [value - teacher[seed] for seed, value in mine.items() if seed in teacher]


def _colors(columns: Iterable[Column]) -> dict[Column, str]:
    """Rounds in one blue, the darker the later; tuned baselines in grey."""
    students = {"top2-ce": GREEN, "top2-gce": VERMILLION, "mixture": PURPLE}
    rounds = [column for column in columns if column.method == "distill"]
    shades = dict(zip(rounds, blues(len(rounds)), strict=True))
    tuned = 0
    for column in columns:
        if column.method in students:
            shades[column] = students[column.method]
        elif column.method == "tuned":
            shades[column] = blend(GREY, "white", 0.5 if tuned else 1.0)
            tuned += 1
    return shades


def _bar(
    axes: Axes,
    place: float,
    width: float,
    gain: list[float],
    theory: list[float],
    color: str,
    name: str,
) -> None:
    mean, deviation = _mean(gain)
    bar = axes.bar([place], [mean], 0.92 * width, color=color, zorder=2)
    bar.patches[0].set_gid(f"gain {name}")
    _whisker(axes, place, mean, deviation, color=BLACK, lw=0.9, gid=f"seeds {name}", zorder=3)
    if theory:
        span, height = [place - 0.46 * width, place + 0.46 * width], [statistics.fmean(theory)] * 2
        style: dict[str, Any] = {"solid_capstyle": "butt"}
        axes.plot(span, height, color="white", lw=3.0, zorder=4, **style)
        axes.plot(span, height, color=BLACK, lw=1.6, zorder=5, gid=f"theory {name}", **style)


def _mean(values: Iterable[float]) -> tuple[float, float | None]:
    """Mean over seeds, and standard deviation where there are several."""
    values = list(values)
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _whisker(axes: Axes, place: float, mean: float, deviation: float | None, **style: Any) -> None:
    if deviation is not None:
        axes.plot([place] * 2, [mean - deviation, mean + deviation], **style)


def _points(value: float, _: object = None) -> str:
    """A gain as a tick: percentage points with their sign, and none for 0."""
    points = f"{abs(100 * value):.4g}"
    return points if points == "0" else f"{'+' if value > 0 else '−'}{points}"


def accuracy_by_rounds(
    rows: Sequence[Row], *, measure: str = "test_accuracy", rates: Sequence[float] | None = None
) -> Figure:
    """Draw a measure by round: a line for the theory, dots for the exact heads, by rate.

    Parameters
    ----------
    rows
        Of one setting: one feature set, preparation, noise and weight decay.
    measure
        ``test_accuracy`` or ``label_recovery``.
    rates
        Which to draw; default all.

    Dots are means over seeds with their standard deviation; partial-label students stand at the
    right.

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
    students = {}
    for method, mark, text in (("top2-ce", "D", "PLL\nCE"), ("top2-gce", "^", "PLL\nGCE")):
        if Column(method) in group.columns:
            students[text] = len(rounds) + 0.9 + 0.7 * len(students)
            heads.append((Column(method), students[text], mark))
    with drawing(5.2, 5.8) as figure:
        axes = figure.subplots()
        ends = []
        for i, rate in enumerate(chosen):
            # From blue (little noise) over grey to vermillion (much).
            share = 2.0 * i / max(len(chosen) - 1, 1) - 1.0
            color = blend(BLUE if share <= 0.0 else VERMILLION, GREY, abs(share))
            end = _by_round(axes, group, heads, rate, measure, color)
            ends.append((end, f"{100 * rate:g} %", color))
        percent_axis(axes.yaxis)
        round_axis(axes, len(rounds), students=students)
        caption(
            axes,
            f"{_MEASURES[measure][0].upper()}{_MEASURES[measure][1:]} by round",
            y="share predicted right, mean ± s.d. over seeds",
            note=plain_text(group.title, "study", 70),
            heads=True,
        )
        end_labels(axes, max([len(rounds), *students.values()]), ends, 0.055)
        axes.annotate(
            "noise", (1.02, 1.03), xycoords="axes fraction", fontsize=9, annotation_clip=False
        )
    return figure


def _by_round(
    axes: Axes,
    group: Group,
    heads: Sequence[tuple[Column, float, str]],
    rate: float,
    measure: str,
    color: str,
) -> float:
    """One rate: a line through the theory's rounds, a mark for each exact head; the last mean."""
    theory = {
        place: statistics.fmean(values.values())
        for column, place, _ in heads
        if column.method == "distill"
        and (values := group.values(column, rate, f"linearized_{measure}"))
    }
    if theory:
        axes.plot(list(theory), list(theory.values()), color=color, lw=1.4, gid=f"theory {rate:g}")
    last = 0.0
    for column, place, mark in heads:
        values = group.values(column, rate, measure).values()
        if values:
            last, deviation = _mean(values)
            _whisker(axes, place, last, deviation, color=color, lw=1.2)
            dots(axes, [place], [last], color, mark, gid=f"exact {column.label} {rate:g}")
    return last


def coverage_by_rate(rows: Sequence[Row]) -> Figure:
    """Draw top-2 coverage of the teacher's training predictions and its label recovery, by rate.

    Parameters
    ----------
    rows
        Of at most five settings; each is a colour. What the settings share stands in the subtitle.

    Raises
    ------
    InvalidSetting
        If the rows hold no coverage, or more settings than colours.
    """
    colors = (BLUE, VERMILLION, GREEN, PURPLE, GREY)
    marks: dict[str, dict[str, Any]] = {
        "in the top two": {"marker": "o", "ms": 5},
        "first (recovered)": {"linestyle": (0, (2, 1.5))},
    }
    found = [(g, curve) for g in groups(rows) if (curve := _curve(g, "top_two_coverage"))]
    if not 1 <= len(found) <= len(colors):
        raise InvalidSetting(
            f"rows must hold top_two_coverage of 1 to {len(colors)} settings, got {len(found)}: "
            "choose rows by features, preparation, noise and weight_decay_name"
        )
    shared, own = _names([group for group, _ in found])
    with drawing(3.8, 5.8) as figure:
        axes = figure.subplots()
        ends = []
        for (group, coverage), color, name in zip(found, colors, own, strict=False):
            recovery = _curve(group, "label_recovery")
            pairs = (("coverage", coverage), ("recovery", recovery))
            for (what, curve), style in zip(pairs, marks.values(), strict=True):
                if curve:
                    means, gid = [mean for mean, _ in curve.values()], f"{what} {name}".strip()
                    axes.plot(list(curve), means, color=color, gid=gid, **style)
                for rate, measured in curve.items():
                    _whisker(axes, rate, *measured, color=color, lw=1.0)
            last, _ = coverage[max(coverage)]
            ends.append((last, plain_text(name, "setting", 26), color))
        rates = sorted({rate for _, coverage in found for rate in coverage})
        percent_axis(axes.yaxis)
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.02))
        percent_axis(axes.xaxis)
        if len(rates) <= 4:  # more find no room side by side
            axes.set_xticks(rates)
        caption(
            axes,
            "True label among the teacher's two largest",
            "rate of label noise",
            "share of training rows",
            note=plain_text(shared, "study", 70),
        )
        legend(axes, marks, loc="lower left")
        if len(found) > 1:
            end_labels(axes, rates[-1], ends, 0.13)
    return figure


def _curve(group: Group, measure: str) -> dict[float, tuple[float, float | None]]:
    """Mean and standard deviation of the teacher's measure, by rate."""
    values = {rate: group.values(TEACHER, rate, measure) for rate in group.rates}
    return {rate: _mean(by_seed.values()) for rate, by_seed in values.items() if by_seed}


def _names(found: Sequence[Group]) -> tuple[str, list[str]]:
    """What all settings share, and what is each one's own, in words."""
    settings = [
        (g.features, g.preparation, f"{g.noise} noise", f"{g.weight_decay} weight decay")
        for g in found
    ]
    same = [len(set(part)) == 1 for part in zip(*settings, strict=True)]
    shared = ", ".join(p for p, s in zip(settings[0], same, strict=True) if s and p)
    own = [
        ",\n".join(p for p, s in zip(setting, same, strict=True) if not s and p)
        for setting in settings
    ]
    return shared, own
