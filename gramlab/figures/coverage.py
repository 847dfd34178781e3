"""How often the true label is among the teacher's two largest, by rate of label noise."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

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
    drawing,
    end_labels,
    percent_axis,
    plain_text,
    subtitle,
)
from gramlab.study.rows import TEACHER, Group, Row, groups

_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, GREY)
_MOST_TICKS = 4  # more rates than these do not find room side by side


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
    found = [g for g in groups(rows) if _curve(g, "top_two_coverage")]
    if not 1 <= len(found) <= len(_COLOURS):
        raise InvalidSetting(
            f"rows must hold top_two_coverage of 1 to {len(_COLOURS)} settings, got {len(found)}: "
            "choose rows by features, preparation, noise and weight_decay_name"
        )
    shared, own = _names(found)
    with drawing(3.8, 5.8) as figure:
        axes = figure.subplots()
        ends, last = [], 0.0
        for group, colour, name in zip(found, _COLOURS, own, strict=False):
            curve = _curve(group, "top_two_coverage")
            _draw(axes, curve, colour, f"coverage {name}".strip(), "-", "o")
            recovery = _curve(group, "label_recovery")
            if recovery:
                _draw(axes, recovery, colour, f"recovery {name}".strip(), (0, (2, 1.5)), "")
            last = max(last, curve[-1][0])
            ends.append((curve[-1][1], plain_text(name, "setting", 26), colour))
        percent_axis(axes)
        axes.set_ylim(axes.get_ylim()[0], min(axes.get_ylim()[1], 1.02))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        rates = sorted({rate for group in found for rate, *_ in _curve(group, "top_two_coverage")})
        if len(rates) <= _MOST_TICKS:
            axes.set_xticks(rates)
        axes.set_xlabel("rate of label noise")
        axes.set_ylabel("share of training rows")
        axes.set_title("True label among the teacher's two largest")
        subtitle(axes, plain_text(shared, "study", 70))
        handles = [
            Line2D([], [], color=BLACK, marker="o", ms=5),
            Line2D([], [], color=BLACK, linestyle=(0, (2, 1.5))),
        ]
        axes.legend(handles, ["in the top two", "first (recovered)"], loc="lower left")
        if len(found) > 1:
            end_labels(axes, last, ends, 0.13)
    return figure


def _curve(group: Group, measure: str) -> list[tuple[float, float, float]]:
    """Rate, mean and standard deviation over seeds (0 of one seed) of the teacher."""
    points = []
    for rate in group.rates:
        values = list(group.values(TEACHER, rate, measure).values())
        if values:
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            points.append((rate, statistics.fmean(values), spread))
    return points


def _draw(
    axes: Axes,
    curve: Sequence[tuple[float, float, float]],
    colour: str,
    name: str,
    dashes: str | tuple,
    marker: str,
) -> None:
    rates, means, spreads = (list(column) for column in zip(*curve, strict=True))
    axes.plot(rates, means, color=colour, linestyle=dashes, marker=marker, ms=5, gid=name)
    axes.errorbar(rates, means, yerr=spreads, fmt="none", ecolor=colour, elinewidth=1.0)


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
