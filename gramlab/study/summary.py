"""A study in a few small tables of means over seeds: gains over the teacher, and the premises.

Where ``gramlab.study.tables`` has every entry with its spread, this is what a terminal shows.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from gramlab.study.rows import TEACHER, Column, Group, Row, groups
from gramlab.study.tables import markdown_table

__all__ = ["PREMISES", "SummaryTable", "measure_of", "premise_tables", "summary_tables"]

PREMISES = {
    "structure": {
        "weight_decay": "weight\ndecay",
        "round": "round",
        "within": "within\nc",
        "superclass": "super-\nclass d",
        "between": "between\ne",
        "gap": "gap\nafter K",
        "promised_distance": "distance\npromised",
        "seen_distance": "distance\nseen",
    },
    "approximation": {
        "n_samples": "rows",
        "weight_decay": "weight\ndecay",
        "round": "round",
        "largest_logit_range": "largest\nlogit range",
        "max_abs_distance": "largest\n|diff|",
        "rms_distance": "rms\ndiff",
        "argmax_agreement": "same\nclass",
    },
}
"""Methods that measure premises of the theory: columns of their rows, and what heads them."""


@dataclass(frozen=True)
class SummaryTable:
    """A table as text.

    Attributes
    ----------
    title
        What it is of.
    headers
        Of the columns, in one or more lines.
    lines
        Cells of each line.
    """

    title: str
    headers: Sequence[str]
    lines: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As a Markdown table with its title."""
        names = [" ".join(header.split()) for header in self.headers]
        table = markdown_table(names, self.lines, ["---:"] * len(names))
        return f"**{self.title}**\n\n{table}\n"


def measure_of(rows: Sequence[Row]) -> str:
    """Accuracy on test rows where any row has it, else the share of recovered labels."""
    has_test = any(row["test_accuracy"] is not None for row in rows)
    return "test_accuracy" if has_test else "label_recovery"


def summary_tables(rows: Sequence[Row]) -> list[SummaryTable]:
    """Means over seeds by rate: gains over the teacher in points, other heads in percent.

    Raises
    ------
    InvalidSetting
        If rows contradict each other (``gramlab.study.rows.groups``).
    """
    out, measure = [], measure_of(rows)
    for group in groups([row for row in rows if row["method"] not in PREMISES]):
        title = f"{group.noise} noise, {group.weight_decay} weight decay"
        alone = {"ablation": f"{title}, ablation", "published": f"{title}, as published"}
        if TEACHER in group.columns:
            rivals = [c for c in group.columns if c.method not in alone and c != TEACHER]
            out.append(_gains(group, rivals, measure, title))
        for method, named in alone.items():
            columns = [column for column in group.columns if column.method == method]
            if columns:
                lines = [
                    [f"{rate:g}", *(_percent(_mean(group, c, rate, measure)) for c in columns)]
                    for rate in group.rates
                ]
                out.append(SummaryTable(named, ["rate", *map(_header, columns)], lines))
    return out + premise_tables(rows)


def premise_tables(rows: Sequence[Row]) -> list[SummaryTable]:
    """Means over seeds of what was measured of the theory's premises, by kind of noise."""
    out = []
    for method, columns in PREMISES.items():
        own = [row for row in rows if row["method"] == method]
        for noise in dict.fromkeys(row["noise"] for row in own):
            title, headers = f"{noise} noise, {method}", ["rate", *columns.values()]
            mine = [row for row in own if row["noise"] == noise]
            out.append(SummaryTable(title, headers, _measured(mine, list(columns))))
    return out


def _gains(group: Group, rivals: list[Column], measure: str, title: str) -> SummaryTable:
    """The teacher's accuracy, and what every other head adds to it."""
    lines = []
    for rate in group.rates:
        teacher, cells = _mean(group, TEACHER, rate, measure), []
        for rival in rivals:
            found = _mean(group, rival, rate, measure)
            if found is None or teacher is None:
                cells.append("-")
            else:  # rounded first, so that no gain is shown as a negative zero
                cells.append(f"{round(100.0 * (found - teacher), 2) + 0.0:+.2f}")
        theory = _percent(_mean(group, TEACHER, rate, f"linearized_{measure}"))
        lines.append([f"{rate:g}", _percent(teacher), *cells, theory])
    return SummaryTable(
        title, ["rate", "teacher\n%", *map(_header, rivals), "theory\nteacher %"], lines
    )


def _measured(rows: Sequence[Row], columns: Sequence[str]) -> list[list[str]]:
    """Means of plain columns, by rate and by what else tells the rows apart."""
    told = ["rate", *(name for name in columns if name in ("n_samples", "weight_decay", "round"))]
    places: dict[tuple, list[Row]] = {}
    for row in rows:
        places.setdefault(tuple(row[name] for name in told), []).append(row)
    lines = []
    for place, here in places.items():
        values = [[row[name] for row in here if row.get(name) is not None] for name in columns]
        means = [f"{statistics.fmean(known):.4g}" if known else "-" for known in values]
        lines.append([f"{place[0]:g}", *means])
    return lines


def _header(column: Column) -> str:
    return column.label.replace(": ", "\n").replace(", ", "\n").replace(" ", "\n", 1)


def _mean(group: Group, column: Column, rate: float, measure: str) -> float | None:
    values = group.values(column, rate, measure).values()
    return statistics.fmean(values) if values else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.2f}"
