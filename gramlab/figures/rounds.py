"""A study's accuracy by round, one curve per rate of label noise, and the students beside it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramlab.errors import InvalidSetting
from gramlab.figures.gain import _LINEARIZED, _WORDS, one_group
from gramlab.figures.style import (
    BLUE,
    GREY,
    VERMILLION,
    blend,
    drawing,
    end_labels,
    head_legend,
    percent_axis,
    plain_text,
    round_axis,
)
from gramlab.study.rows import Column, Group, Row

_STUDENTS = (("top2-ce", "D", "PLL\nCE"), ("top2-gce", "^", "PLL\nGCE"))


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
    group = one_group(rows)
    if measure not in _LINEARIZED:
        raise InvalidSetting(f"measure must be one of {', '.join(_LINEARIZED)}, got {measure!r}")
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
    students = [s for s in _STUDENTS if Column(s[0]) in group.columns]
    with drawing(5.2, 5.8) as figure:
        axes = figure.subplots()
        ends = []
        for i, rate in enumerate(chosen):
            colour = _colour(i, len(chosen))
            end = _curve(axes, group, rate, measure, colour)
            places = _places(len(rounds), len(students))
            for place, (method, mark, _) in zip(places, students, strict=True):
                value = _point(axes, group, Column(method), rate, measure, place, colour, mark)
                end = end if value is None else value
            ends.append((end, f"{100 * rate:g} %", colour))
        percent_axis(axes)
        axes.set_ylabel("share predicted right, mean ± s.d. over seeds")
        _ticks(axes, len(rounds), [text for *_, text in students])
        words = _WORDS[measure]
        axes.set_title(f"{words[0].upper()}{words[1:]} by round")
        head_legend(axes)
        axes.set_title(axes.get_title(loc="left"), pad=42)
        axes.annotate(
            plain_text(group.title, "study", 70),
            (0.0, 1.0),
            (0, 26),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=9,
        )
        end_labels(axes, (_places(len(rounds), len(students)) or [len(rounds)])[-1], ends, 0.055)
        axes.annotate(
            "noise", (1.02, 1.03), xycoords="axes fraction", fontsize=9, annotation_clip=False
        )
    return figure


def _colour(i: int, count: int) -> str:
    """From blue (little noise) over grey to vermillion (much)."""
    share = i / max(count - 1, 1)
    if share <= 0.5:
        return blend(BLUE, GREY, 1.0 - 2.0 * share)
    return blend(VERMILLION, GREY, 2.0 * share - 1.0)


def _curve(axes: Axes, group: Group, rate: float, measure: str, colour: str) -> float:
    """Theory and exact heads by round; the last exact mean."""
    theory = {
        float(t.round or 0): statistics.fmean(values.values())
        for t in group.rounds
        if (values := group.values(t, rate, _LINEARIZED[measure]))
    }
    if theory:
        axes.plot(list(theory), list(theory.values()), color=colour, lw=1.4, gid=f"theory {rate:g}")
    last = 0.0
    for t in group.rounds:
        value = _point(axes, group, t, rate, measure, float(t.round or 0), colour, "o")
        last = last if value is None else value
    return last


def _point(
    axes: Axes,
    group: Group,
    column: Column,
    rate: float,
    measure: str,
    place: float,
    colour: str,
    mark: str,
) -> float | None:
    values = list(group.values(column, rate, measure).values())
    if not values:
        return None
    mean = statistics.fmean(values)
    name = f"exact {column.label} {rate:g}"
    if len(values) > 1:
        reach = statistics.stdev(values)
        axes.plot([place] * 2, [mean - reach, mean + reach], color=colour, linewidth=1.2)
    axes.plot([place], [mean], mark, ms=6, mfc=colour, mec="white", mew=0.8, zorder=3, gid=name)
    return mean


def _places(rounds: int, students: int) -> list[float]:
    """Where students stand, right of the last round."""
    return [rounds + 0.9 + 0.7 * j for j in range(students)]


def _ticks(axes: Axes, rounds: int, students: Sequence[str]) -> None:
    round_axis(axes, rounds)
    ticks = [tick for tick in axes.get_xticks() if 1 <= tick <= rounds and tick == int(tick)]
    places = _places(rounds, len(students))
    axes.set_xticks([*ticks, *places], [*(str(int(tick)) for tick in ticks), *students])
    axes.set_xlim(axes.get_xlim()[0], (places or [rounds])[-1] + 0.35)
    if students:
        axes.axvline(rounds + 0.45, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_xlabel("round t (1 = teacher); PLL = partial-label student")
