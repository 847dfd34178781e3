"""Tables as files: columns to CSV, and to Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_path, atomic_write

__all__ = ["can_write_parquet", "csv_text", "write_csv", "write_parquet"]

Columns = Mapping[str, Sequence[int | float | str | bool]]


def csv_text(columns: Columns) -> str:
    """A table as CSV: a header, then one line a row; floats by their shortest exact form.

    Text that a spreadsheet would run as a formula (it begins with = + - @, a tab or a carriage
    return, and is no number) gets an apostrophe in front, which spreadsheets take as "this is text"
    and other readers as it stands; Parquet keeps every text as it is. So does CSV for the rest.

    Raises
    ------
    InvalidSetting
        If the columns differ in length; both are named.
    """
    _check_lengths(columns)
    lines: list[str] = []  # one for each call of the writer, which quotes what its line end holds
    sink: Any = SimpleNamespace(write=lines.append)
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow([_as_text(name) for name in columns])
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_as_text(cell) if isinstance(cell, str) else cell for cell in row])
    return "".join(f"{line[:-2]}\n" for line in lines)


def _as_text(cell: str) -> str:
    """Text that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    if not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def write_csv(path: str | os.PathLike[str], columns: Columns) -> Path:
    """Write a table as CSV (UTF-8), whole or not at all.

    Raises
    ------
    InvalidSetting
        If the columns differ in length.
    OutputError
        If the file cannot be written.
    """
    return atomic_write(path, csv_text(columns))


def can_write_parquet() -> bool:
    """Whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(
    path: str | os.PathLike[str],
    columns: Mapping[str, Sequence[Any]],
    types: Mapping[str, str] | None = None,
) -> Path:
    """Write a table as Parquet, whole or not at all.

    ``types`` names Arrow types (``"float64"``, …) of columns of which not all is known (``None``).

    Raises
    ------
    InvalidSetting
        If the columns differ in length, one holds values of several kinds, or pyarrow is not
        installed.
    OutputError
        If the file cannot be written.
    """
    _check_lengths(columns)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as problem:
        raise InvalidSetting(
            "Parquet needs pyarrow, which is not installed: run pip install 'gramlab[study]', or "
            "write .csv or .json"
        ) from problem
    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pyarrow.array(list(values), type=(types or {}).get(name))
        except (pyarrow.ArrowException, TypeError, ValueError) as problem:
            raise InvalidSetting(
                f"column {name!r} must hold one kind of value in all rows for Parquet ({problem}): "
                "write .json instead"
            ) from problem
    with atomic_path(path) as temporary:
        parquet.write_table(pyarrow.table(arrays), temporary)
    return Path(path)


def _check_lengths(columns: Mapping[str, Sequence[Any]]) -> None:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        (first, n), *rest = lengths.items()
        other, m = next(pair for pair in rest if pair[1] != n)
        raise InvalidSetting(
            f"columns must be of one length, got {n} of {first!r} and {m} of {other!r}; "
            "give every row a value in every column"
        )
