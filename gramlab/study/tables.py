"""Tables of a study: flat rows as files, and mean ± standard deviation as in the paper's App. G.3.

Files hold results only, no times or dates, so that equal rows give equal bytes.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_write, write_csv, write_parquet
from gramlab.numerics.content import to_json
from gramlab.study.rows import Column, Group, Row, groups

__all__ = [
    "Entry",
    "ResultTable",
    "markdown_table",
    "result_tables",
    "tables_latex",
    "tables_markdown",
    "write_rows",
]

_TEXT = ("features", "preparation", "noise", "weight_decay_name", "method", "selected_on")
_LATEX = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%_#${}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    | {"±": r"$\pm$", "†": r"$^\dagger$"}
)


@dataclass(frozen=True)
class Entry:
    """Mean and sample standard deviation over so many seeds; no deviation of a single one."""

    mean: float
    deviation: float | None
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Entry:
        """Of one value or more."""
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, len(values))

    @property
    def shown(self) -> str:
        """The mean as it is printed, in percent."""
        return f"{100 * self.mean:.2f}"

    def text(self, plus_minus: str) -> str:
        """Mean ± standard deviation in percent."""
        if self.deviation is None:
            return self.shown
        return f"{self.shown} {plus_minus} {100 * self.deviation:.2f}"


@dataclass(frozen=True, eq=False)
class ResultTable(Group):
    """A group of rows that know one measure, as a table of it: rates by columns."""

    measure: str

    def entry(self, column: Column, rate: float) -> Entry | None:
        """Mean and standard deviation over seeds; None where nothing is known."""
        values = self.values(column, rate, self.measure).values()
        return Entry.of(list(values)) if values else None

    def best(self, rate: float) -> tuple[Column, ...]:
        """Columns with the largest printed mean at a rate; those chosen on test rows do not run."""
        fair = [column for column in self.columns if not column.selects_on_test]
        shown = {c: float(entry.shown) for c in fair if (entry := self.entry(c, rate)) is not None}
        return tuple(column for column, mean in shown.items() if mean == max(shown.values()))

    @property
    def title(self) -> str:
        """What it shows, in words."""
        return f"{self.measure.replace('_', ' ').capitalize()} in percent: {super().title}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said with it."""
        counts = Counter((column, rate) for column, rate, _ in self.rows).values()
        seeds = " to ".join(map(str, sorted({min(counts), max(counts)})))
        over = f"{seeds} seed{'s' * (seeds != '1')}"
        notes = [f"Mean ± standard deviation over {over}; best in bold."]
        if any(column.selects_on_test for column in self.columns):
            notes.append("† selected by accuracy on the test rows: not a fair score, never bold.")
        return tuple(notes)

    def markdown(self) -> str:
        """As a Markdown table with its title and notes."""
        lines = self._lines("—", "±", "**{}**")
        table = markdown_table(lines[0], lines[1:], ["---:"] * len(lines[0]))
        return "\n".join([f"**{self.title}**", "", table, "", *self.notes]) + "\n"

    def latex(self) -> str:
        """As a LaTeX table; needs the package booktabs."""
        heads, *lines = self._lines("--", r"$\pm$", r"\textbf{{{}}}")
        heads = [head.translate(_LATEX) for head in heads]
        head, *body = [" & ".join(line) + r" \\" for line in (heads, *lines)]
        body = "\n".join(body)
        caption = f"{self.title}. {' '.join(self.notes)}".translate(_LATEX)
        return rf"""\begin{{table}}
\centering
\caption{{{caption}}}
\begin{{tabular}}{{r{"c" * len(self.columns)}}}
\toprule
{head}
\midrule
{body}
\bottomrule
\end{{tabular}}
\end{{table}}
"""

    def _lines(self, missing: str, plus_minus: str, bold: str) -> list[list[str]]:
        """What heads the columns, then the rate and the entries, row by row."""
        lines = [["rate", *(c.label + "†" * c.selects_on_test for c in self.columns)]]
        for rate in self.rates:
            line, best = [f"{rate:g}"], self.best(rate)
            for column in self.columns:
                entry = self.entry(column, rate)
                text = missing if entry is None else entry.text(plus_minus)
                line.append(bold.format(text) if column in best else text)
            lines.append(line)
        return lines


def markdown_table(
    heads: Sequence[str], lines: Sequence[Sequence[str]], align: Sequence[str]
) -> str:
    """A Markdown table without its last line end; ``align`` holds ``---`` or ``---:``."""
    return "\n".join(
        "| " + " | ".join(entry.replace("|", r"\|") for entry in line) + " |"
        for line in (heads, align, *lines)
    )


def result_tables(rows: Sequence[Row], measure: str = "test_accuracy") -> list[ResultTable]:
    """Tables of one measure, one per group; rates, columns and groups without it are left out.

    Raises
    ------
    InvalidSetting
        If rows contradict each other (``gramlab.study.rows.groups``).
    """
    known = (group.knowing(measure) for group in groups(rows))
    return [ResultTable(**vars(group), measure=measure) for group in known if group.rows]


def tables_markdown(tables: Sequence[ResultTable]) -> str:
    """All tables as one Markdown text."""
    return "\n".join(table.markdown() for table in tables)


def tables_latex(tables: Sequence[ResultTable]) -> str:
    """All tables as one LaTeX text."""
    return "\n".join(table.latex() for table in tables)


def write_rows(rows: Sequence[Row], path: str | os.PathLike[str]) -> Path:
    """Write flat rows as CSV, JSON or Parquet, by the suffix of the path; whole or not at all.

    Columns keep the order in which they first appear. What is not known is empty in CSV and null
    in JSON and Parquet; JSON has no infinity and writes null for it.

    Raises
    ------
    InvalidSetting
        If the suffix is another one, or Parquet is asked for and pyarrow is not installed.
    OutputError
        If the file cannot be written.
    """
    final = Path(path)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    if final.suffix == ".json":
        return atomic_write(final, to_json([{n: row.get(n) for n in names} for row in rows]))
    if final.suffix == ".csv":  # a number that is not itself is nan
        known = {n: ["" if v is None or v != v else v for v in columns[n]] for n in names}
        return write_csv(final, known)
    if final.suffix == ".parquet":
        return write_parquet(final, columns, {n: _arrow_type(n, v) for n, v in columns.items()})
    raise InvalidSetting(
        f"tables are written as .csv, .json or .parquet, got {final.name!r}: choose one of these"
    )


def _arrow_type(name: str, values: Sequence[Any]) -> str:
    """Text, whole number or float64; the same whether or not all values are known."""
    if name in _TEXT or any(isinstance(value, str) for value in values):
        return "string"
    if any(isinstance(value, bool) for value in values):
        return "bool"
    return "int64" if name in ("seed", "round") else "float64"
