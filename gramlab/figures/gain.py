"""Gain over the teacher by rate of label noise, in the paper's layout, with the theory's gain."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
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
    drawing,
    plain_text,
    subtitle,
)
from gramlab.study.rows import TEACHER, Column, Group, Row, groups

_LINEARIZED = {
    "test_accuracy": "linearized_test_accuracy",
    "label_recovery": "linearized_label_recovery",
}
_WORDS = {"test_accuracy": "test accuracy", "label_recovery": "label recovery (training)"}
_STUDENTS = {"top2-ce": GREEN, "top2-gce": VERMILLION, "mixture": PURPLE}
_LEAST_RATE = 0.5  # the paper's figures begin here


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
    group = one_group(rows)
    if measure not in _LINEARIZED:
        raise InvalidSetting(f"measure must be one of {', '.join(_LINEARIZED)}, got {measure!r}")
    chosen = _rates(group, rates)
    bars = [c for c in group.columns if c.method in ("distill", *_STUDENTS, "tuned")]
    gains = {
        (column, rate): gain
        for column in bars
        for rate in chosen
        if column != TEACHER and (gain := _gain(group, column, rate, measure))
    }
    bars = [column for column in bars if any(column == c for c, _ in gains)]
    if not bars:
        raise InvalidSetting(
            f"rows must hold {measure} of the teacher and of a student at one rate, got none: "
            "run a study with more than one round"
        )
    with drawing(3.9, 1.6 + max(4.2, 0.9 * len(chosen) * (0.45 + 0.13 * len(bars)))) as figure:
        axes = figure.subplots()
        width = 0.82 / len(bars)
        for i, column in enumerate(bars):
            places = np.arange(len(chosen)) + (i - 0.5 * (len(bars) - 1)) * width
            _bars(axes, group, column, chosen, places, width, gains, measure)
        axes.axhline(0.0, color=BLACK, linewidth=0.9)
        axes.set_xticks(range(len(chosen)), [f"{100 * rate:g} %" for rate in chosen])
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="x", visible=False)
        axes.set_xlim(-0.55, len(chosen) - 0.45)
        axes.set_xlabel("rate of label noise")
        axes.yaxis.set_major_formatter(FuncFormatter(_signed))
        axes.set_ylabel("gain, percentage points")
        axes.set_title(f"Gain over the teacher in {_WORDS[measure]}")
        subtitle(axes, plain_text(group.title, "study", 70))
        theory = any(_theory(group, c, r, measure) is not None for c, r in gains)
        _legend(axes, bars, theory, any(len(gain) > 1 for gain in gains.values()))
    return figure


def one_group(rows: Sequence[Row]) -> Group:
    """The one group of rows.

    Raises
    ------
    InvalidSetting
        If there are none or several.
    """
    found = groups(rows)
    if len(found) != 1:
        names = "; ".join(group.title for group in found[:4]) or "none"
        raise InvalidSetting(
            f"rows of a figure must be of one setting, got {len(found)} ({names}): choose rows by "
            "features, preparation, noise and weight_decay_name"
        )
    return found[0]


def round_colour(column: Column, rounds: Sequence[Column]) -> str:
    """Rounds in one blue, the darker the later."""
    share = rounds.index(column) / max(len(rounds) - 1, 1)
    return blend(BLUE, "white", 0.3 + 0.7 * share)


def _colour(column: Column, bars: Sequence[Column]) -> str:
    rounds = [c for c in bars if c.method == "distill"]
    if column.method == "distill":
        return round_colour(column, rounds)
    if column.method == "tuned":
        tuned = [c for c in bars if c.method == "tuned"]
        return blend(GREY, "white", 1.0 if column == tuned[0] else 0.5)
    return _STUDENTS[column.method]


def _rates(group: Group, rates: Sequence[float] | None) -> tuple[float, ...]:
    if rates is None:
        return tuple(r for r in group.rates if r >= _LEAST_RATE) or group.rates
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


def _theory(group: Group, column: Column, rate: float, measure: str) -> float | None:
    gains = _gain(group, column, rate, _LINEARIZED[measure])
    return statistics.fmean(gains) if gains else None


def _signed(value: float, _: object = None) -> str:
    """A gain as a tick: percentage points with their sign, and none for 0."""
    points = f"{abs(100 * value):.4g}"
    return points if points == "0" else f"{'+' if value > 0 else '−'}{points}"


def _bars(
    axes: Axes,
    group: Group,
    column: Column,
    rates: Sequence[float],
    places: np.ndarray,
    width: float,
    gains: dict[tuple[Column, float], list[float]],
    measure: str,
) -> None:
    bars = list(dict.fromkeys(c for c, _ in gains))
    for place, rate in zip(places, rates, strict=True):
        gain = gains.get((column, rate))
        if gain is None:
            continue
        mean = statistics.fmean(gain)
        name = f"{column.label} {rate:g}"
        drawn = axes.bar([place], [mean], 0.92 * width, color=_colour(column, bars), zorder=2)
        drawn.patches[0].set_gid(f"gain {name}")
        if len(gain) > 1:
            reach = statistics.stdev(gain)
            line = [mean - reach, mean + reach]
            axes.plot([place] * 2, line, color=BLACK, linewidth=0.9, gid=f"seeds {name}", zorder=3)
        theory = _theory(group, column, rate, measure)
        if theory is not None:
            span = [place - 0.46 * width, place + 0.46 * width]
            style = {"color": "white", "linewidth": 3.0, "zorder": 4, "solid_capstyle": "butt"}
            axes.plot(span, [theory] * 2, **style)
            style |= {"color": BLACK, "linewidth": 1.6, "zorder": 5}
            axes.plot(span, [theory] * 2, gid=f"theory {name}", **style)


def _legend(axes: Axes, bars: Sequence[Column], theory: bool, seeds: bool) -> None:
    handles = [
        Line2D([], [], color=_colour(c, bars), linestyle="none", marker="s", ms=8) for c in bars
    ]
    texts = [column.label for column in bars]
    if theory:
        handles.append(Line2D([], [], color=BLACK, linewidth=1.6))
        texts.append("linearized theory")
    if seeds:
        handles.append(Line2D([], [], color=BLACK, linestyle="none", marker="|", ms=10))
        texts.append("± 1 s.d. over seeds")
    axes.legend(
        handles,
        texts,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
        handlelength=1.2,
        handletextpad=0.5,
    )
