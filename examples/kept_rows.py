"""Results of many runs in one CSV file, which is published and from which a rerun goes on."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["KeptRows"]


class KeptRows:
    """Nested results, one a line, told apart by the columns ``key``.

    Each result is written as soon as it is there, and the file is whole at any moment, so a run
    that was stopped continues where it was, and narrowed runs add up. To begin anew, delete it.

    A column is the path to a number, joined by ":"; places in a list count from 0.
    """

    def __init__(self, path: Path, *key: str) -> None:
        self.path, self.key = path, key
        self.rows: dict[tuple[Any, ...], dict] = {}
        if path.is_file():
            with open(path, newline="", encoding="utf-8") as file:
                for line in csv.DictReader(file):
                    row = nested(line)
                    self.rows[tuple(row[name] for name in key)] = row

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        return key in self.rows

    def by(self, name: str, order: Callable[[dict], Any]) -> dict[Any, list[dict]]:
        """The rows of each value of a column, in an order; values as they first came."""
        found: dict[Any, list[dict]] = {}
        for row in self.rows.values():
            found.setdefault(row[name], []).append(row)
        return {value: sorted(rows, key=order) for value, rows in found.items()}

    def add(self, *rows: dict) -> None:
        """Keep results, all of them or, if stopped, none."""
        self.rows |= {tuple(row[name] for name in self.key): row for row in rows}
        lines = [dict(flat(one)) for one in self.rows.values()]
        columns = list(dict.fromkeys(name for line in lines for name in line))
        partial = self.path.with_suffix(".partial")
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
        os.replace(partial, self.path)


def flat(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Numbers and words of a nested result with their columns."""
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, part in pairs:
            yield from flat(part, (*path, str(name)))
    else:
        yield ":".join(path), value


def nested(line: dict[str, str]) -> dict:
    """The result that a line holds; what is empty is None."""
    out: dict = {}
    for column, text in line.items():
        *above, last = column.split(":")
        here = out
        for name in above:
            here = here.setdefault(name, {})
        here[last] = read(text)
    return listed(out)


def listed(value: Any) -> Any:
    """Dictionaries whose keys are places are lists."""
    if not isinstance(value, dict):
        return value
    parts = {name: listed(part) for name, part in value.items()}
    if all(name.isdigit() for name in parts):
        return [part for part in parts.values() if part is not None]
    return parts


def read(text: str) -> Any:
    if text in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
