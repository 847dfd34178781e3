"""Tables of a study: flat rows as files, and mean ± standard deviation as in the paper's App. G.3.

Files hold results only, no times or dates, so that equal rows give equal bytes.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gramlab.errors import InvalidSetting
from gramlab.storage import atomic_path, atomic_write, to_json
from gramlab.study.rows import Column, Group, Row, groups
from gramlab.tables import write_csv

__all__ = ["Entry", "ResultTable", "result_tables", "tables_latex", "tables_markdown", "write_rows"]

_TEXT = ("features", "preparation", "noise", "weight_decay_name", "method", "selected_on")
_WHOLE = ("seed", "round")
_DIGITS = 2  # of a percentage
_LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}"}
_LATEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}


@dataclass(frozen=True)
class Entry:
    """One entry of a table.

    Attributes
    ----------
    mean, deviation
        Over seeds; the sample standard deviation, None of a single seed.
    seeds
        How many.
    """

    mean: float
    deviation: float | None
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Entry | None:
        """Mean and standard deviation of values; None of none."""
        if not values:
            return None
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, len(values))

    @property
    def shown(self) -> str:
        """The mean as it is printed, in percent."""
        return f"{100 * self.mean:.{_DIGITS}f}"

    def text(self, plus_minus: str) -> str:
        """Mean ± standard deviation in percent."""
        if self.deviation is None:
            return self.shown
        return f"{self.shown} {plus_minus} {100 * self.deviation:.{_DIGITS}f}"


@dataclass(frozen=True, eq=False)
class ResultTable:
    """One measure of one group: rates as rows, rounds and methods as columns.

    Attributes
    ----------
    group
        What it is of.
    measure
        Which column of the study's rows.
    columns, rates
        Heads of the columns and rows.
    """

    group: Group
    measure: str
    columns: tuple[Column, ...]
    rates: tuple[float, ...]

    def entry(self, column: Column, rate: float) -> Entry | None:
        """Mean and standard deviation over seeds; None where nothing is known."""
        return Entry.of(list(self.group.values(column, rate, self.measure).values()))

    def best(self, rate: float) -> tuple[Column, ...]:
        """Columns with the largest printed mean at a rate; those chosen on test rows do not run."""
        entries = {c: self.entry(c, rate) for c in self.columns if not c.selects_on_test}
        shown = {c: float(entry.shown) for c, entry in entries.items() if entry is not None}
        return tuple(c for c, mean in shown.items() if mean == max(shown.values()))

    @property
    def title(self) -> str:
        """What it shows, in words."""
        return f"{self.measure.replace('_', ' ').capitalize()} in percent: {self.group.title}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said with it."""
        counts = {
            entry.seeds
            for column in self.columns
            for rate in self.rates
            if (entry := self.entry(column, rate)) is not None
        }
        seeds = " to ".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else "0"
        notes = [
            f"Mean ± standard deviation over {seeds} seed{'s' * (seeds != '1')}; best in bold."
        ]
        if any(column.selects_on_test for column in self.columns):
            notes.append("† selected by accuracy on the test rows: not a fair score, never bold.")
        return tuple(notes)

    def markdown(self) -> str:
        """As a Markdown table with its title and notes."""
        heads = ["rate", *(_marked(column, "†") for column in self.columns)]
        lines = [f"**{self.title}**", "", _pipes(heads), _pipes(["---:"] * len(heads))]
        for rate in self.rates:
            best = self.best(rate)
            entries = [f"{rate:g}"]
            for column in self.columns:
                entry = self.entry(column, rate)
                text = "—" if entry is None else entry.text("±")
                entries.append(f"**{text}**" if column in best else text)
            lines.append(_pipes(entries))
        return "\n".join([*lines, "", *self.notes]) + "\n"

    def latex(self) -> str:
        """As a LaTeX table; needs the package booktabs."""
        heads = ["rate", *(_marked(column, r"$^\dagger$", _escaped) for column in self.columns)]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(self.title)}. {_escaped(' '.join(self.notes))}}}",
            rf"\begin{{tabular}}{{r{'c' * len(self.columns)}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
        ]
        for rate in self.rates:
            best = self.best(rate)
            entries = [f"{rate:g}"]
            for column in self.columns:
                entry = self.entry(column, rate)
                text = "--" if entry is None else entry.text(r"$\pm$")
                entries.append(rf"\textbf{{{text}}}" if column in best else text)
            lines.append(" & ".join(entries) + r" \\")
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def result_tables(rows: Sequence[Row], measure: str = "test_accuracy") -> list[ResultTable]:
    """Tables of one measure, one per group; rates, columns and groups without it are left out.

    Raises
    ------
    InvalidSetting
        If rows contradict each other (``gramlab.study.rows.groups``).
    """
    tables = []
    for group in groups(rows):
        known = {
            (column, rate)
            for column in group.columns
            for rate in group.rates
            if group.values(column, rate, measure)
        }
        columns = tuple(c for c in group.columns if any(c == column for column, _ in known))
        rates = tuple(r for r in group.rates if any(r == rate for _, rate in known))
        if known:
            tables.append(ResultTable(group, measure, columns, rates))
    return tables


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
    names = list(dict.fromkeys(name for row in rows for name in row))
    if final.suffix == ".json":
        return atomic_write(final, to_json([{n: row.get(n) for n in names} for row in rows]))
    if final.suffix == ".csv":
        return write_csv(final, {n: [_plain(row.get(n)) for row in rows] for n in names})
    if final.suffix == ".parquet":
        return _write_parquet(rows, names, final)
    raise InvalidSetting(
        f"tables are written as .csv, .json or .parquet, got {final.name!r}: choose one of these"
    )


def _plain(value: Any) -> Any:
    """Nothing for what is not known; a plain float, which is written in its shortest exact form."""
    if isinstance(value, float):
        return "" if math.isnan(value) else float(value)
    return "" if value is None else value


def _write_parquet(rows: Sequence[Row], names: Sequence[str], final: Path) -> Path:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as problem:
        raise InvalidSetting(
            "Parquet needs pyarrow, which is not installed: run pip install 'gramlab[study]', or "
            "write .csv or .json"
        ) from problem
    arrays = []
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            arrays.append(pyarrow.array(values, type=_arrow_type(pyarrow, name, values)))
        except (pyarrow.ArrowException, TypeError, ValueError) as problem:
            raise InvalidSetting(
                f"column {name!r} must hold one kind of value in all rows for Parquet ({problem}): "
                "write .json instead"
            ) from problem
    with atomic_path(final) as temporary:
        parquet.write_table(pyarrow.table(arrays, names=list(names)), temporary)
    return final


def _arrow_type(pyarrow: Any, name: str, values: Sequence[Any]) -> Any:
    """Text, whole number or float64; the same whether or not all values are known."""
    if name in _TEXT or any(isinstance(value, str) for value in values):
        return pyarrow.string()
    if any(isinstance(value, bool) for value in values):
        return pyarrow.bool_()
    return pyarrow.int64() if name in _WHOLE else pyarrow.float64()


def _marked(column: Column, mark: str, escape: Callable[[str], str] = str) -> str:
    return escape(column.label) + (mark if column.selects_on_test else "")


def _pipes(entries: Sequence[str]) -> str:
    return "| " + " | ".join(entry.replace("|", r"\|") for entry in entries) + " |"


def _escaped(text: str) -> str:
    text = "".join(_LATEX.get(letter, letter) for letter in text)
    return text.replace("±", r"$\pm$").replace("†", r"$^\dagger$")
