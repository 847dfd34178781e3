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
    """A table as text: what it is of, what heads its columns (in one or more lines), its cells."""

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
    alone = {"ablation": "ablation", "published": "as published"}
    for group in groups([row for row in rows if row["method"] not in PREMISES]):
        title = f"{group.noise} noise, {group.weight_decay} weight decay"
        if TEACHER in group.columns:
            rivals = [c for c in group.columns if c.method not in alone and c != TEACHER]
            headers = ["rate", "teacher\n%", *map(_header, rivals), "theory\nteacher %"]
            lines = [_gains(group, rivals, rate, measure) for rate in group.rates]
            out.append(SummaryTable(title, headers, lines))
        for method, words in alone.items():
            columns = [column for column in group.columns if column.method == method]
            if columns:
                lines = [
                    [f"{rate:g}", *(_percent(group.mean(c, rate, measure)) for c in columns)]
                    for rate in group.rates
                ]
                headers = ["rate", *map(_header, columns)]
                out.append(SummaryTable(f"{title}, {words}", headers, lines))
    return out + premise_tables(rows)


def premise_tables(rows: Sequence[Row]) -> list[SummaryTable]:
    """Means over seeds of what was measured of the theory's premises, a table for each noise."""
    tables: dict[tuple[str, str], dict[tuple, list[Row]]] = {}
    for method, columns in PREMISES.items():
        told = [
            n for n in ("rate", *columns) if n in ("rate", "n_samples", "weight_decay", "round")
        ]
        for row in rows:
            if row["method"] == method:
                places = tables.setdefault((row["noise"], method), {})
                places.setdefault(tuple(row[name] for name in told), []).append(row)
    out = []
    for (noise, method), places in tables.items():
        lines = []
        for (rate, *_), here in places.items():
            values = [[row[n] for row in here if row.get(n) is not None] for n in PREMISES[method]]
            means = [f"{statistics.fmean(known):.4g}" if known else "-" for known in values]
            lines.append([f"{rate:g}", *means])
        headers = ["rate", *PREMISES[method].values()]
        out.append(SummaryTable(f"{noise} noise, {method}", headers, lines))
    return out


def _gains(group: Group, rivals: list[Column], rate: float, measure: str) -> list[str]:
    """The teacher's accuracy, what every other head adds to it, and that of the theory."""
    teacher, cells = group.mean(TEACHER, rate, measure), []
    for rival in rivals:
        found = group.mean(rival, rate, measure)
        if found is None or teacher is None:
            cells.append("-")
        else:  # rounded first, so that no gain is shown as a negative zero
            cells.append(f"{round(100.0 * (found - teacher), 2) + 0.0:+.2f}")
    theory = group.mean(TEACHER, rate, f"linearized_{measure}")
    return [f"{rate:g}", _percent(teacher), *cells, _percent(theory)]


def _header(column: Column) -> str:
    return column.label.replace(": ", "\n").replace(", ", "\n").replace(" ", "\n", 1)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.2f}"
