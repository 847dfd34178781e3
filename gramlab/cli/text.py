"""Words for the terminal: one-line messages, numbers, tables, and the templates that use them."""

from __future__ import annotations

import io
import math
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from gramlab.cli.stopping import Stopped
from gramlab.errors import OutputError, one_line

__all__ = ["emit", "format_duration", "format_percent", "render", "say"]

# What a terminal obeys, and a file's class names may hold; colours, which the tables use, may pass.
_CONTROL = re.compile(
    r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", re.ASCII
)


def say(text: str) -> None:
    """Write one line to stderr, signed by the program."""
    if sys.stderr is None:  # closed from the start; print would turn to stdout instead
        return
    try:
        print(f"gramlab: {one_line(text)}", file=sys.stderr, flush=True)
    except OSError:  # nobody is listening, and the exit code still tells
        pass


def emit(text: str) -> None:
    """Write text to stdout now.

    Raises
    ------
    Stopped
        If the reader went away.
    OutputError
        If stdout cannot be written for another reason.
    """
    if sys.stdout is None:
        raise OutputError("expected to write to stdout, but it is closed; leave it open")
    encoding = sys.stdout.encoding or "utf-8"
    text = _CONTROL.sub(lambda found: found[0] if len(found[0]) > 1 else repr(found[0])[1:-1], text)
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as problem:
        # Python flushes stdout once more at its end; that must find something that takes it.
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)
        if isinstance(problem, BrokenPipeError):
            raise Stopped(141) from None
        raise OutputError(f"expected to write to stdout, but: {problem.strerror}") from problem


def format_duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    if seconds < 5400.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h"


def format_percent(share: float) -> str:
    """Percent with two decimals; never rounded to 0 or 100 when it is not."""
    if share < 1.0 and round(100.0 * share, 2) >= 100.0:
        return ">99.99"
    if share > 0.0 and round(100.0 * share, 2) <= 0.0:
        return "<0.01"
    return f"{100.0 * share:.2f}"


def format_value(value: Any, spec: str = "") -> str:
    """A value by a format of Python's, or as ``"percent"``; a dash where nothing is known."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return format_percent(value) if spec == "percent" else format(value, spec)


def render(template: str, least_width: int = 20, /, **values: Any) -> str:
    """Fill ``templates/NAME.txt.j2`` for the width of the terminal.

    In a template, ``{% filter wrap %}`` makes one paragraph of what it holds, ``entry`` wraps
    words beside a label, ``table`` lays out columns, ``value|show(".3g")`` formats a value, and
    ``|cut`` ends a line where the terminal does.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from rich.console import Console

    stdout = Console()
    width = max(least_width, stdout.width)

    def entry(label: str, words: object, indent: int | None = None) -> str:
        return textwrap.fill(
            " ".join(str(words).split()),
            width,
            initial_indent=label,
            subsequent_indent=" " * (len(label) if indent is None else indent),
            break_long_words=False,
            break_on_hyphens=False,
        )

    def cut(words: str) -> str:
        line = words.replace("\n", " ")
        return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"

    def table(items: Sequence[Any], *groups: Sequence[tuple[str, str, str]]) -> str:
        return _table(items, groups, width, stdout.is_terminal)

    environment = Environment(
        loader=PackageLoader("gramlab.cli", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=False,  # text, not HTML
    )
    environment.globals.update(entry=entry, table=table)
    environment.filters.update(
        wrap=lambda words: entry("", words, indent=2) + "\n",
        cut=cut,
        show=format_value,
        duration=format_duration,
    )
    text = environment.get_template(f"{template}.txt.j2").render(**values)
    # Not splitlines: what else ends a line to Python may be part of a name, and ``emit`` shows it.
    lines = text.removesuffix("\n").split("\n") if text else []
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _table(
    items: Sequence[Any], groups: Sequence[Sequence[tuple[str, str, str]]], width: int, bold: bool
) -> str:
    """One line for each item; columns are (header, dotted name, format), "<" in it aligns left.

    Where the groups of columns do not fit side by side, the table is cut between them into
    several, and the first group begins each.
    """
    from rich.console import Console
    from rich.table import Table

    made = [
        [(h, form, [_cell(i, name, form) for i in items]) for h, name, form in g] for g in groups
    ]
    gap = 2

    def room(group: Sequence[tuple[str, str, list[str]]]) -> int:
        return sum(gap + max(map(len, (*h.split("\n"), *cells))) for h, _, cells in group)

    first, parts, left = made[0], [[made[0]]], width + gap - room(made[0])
    for group in made[1:]:
        if len(parts[-1]) > 1 and room(group) > left:
            parts.append([first])
            left = width + gap - room(first)
        parts[-1].append(group)
        left -= room(group)
    text = io.StringIO()
    # As wide as its columns need: a table whose columns are cut says nothing.
    form: Any = {"width": 1000, "force_terminal": bold, "markup": False, "highlight": False}
    console = Console(file=text, emoji=False, **form)
    for number, part in enumerate(parts):
        columns = [column for group in part for column in group]
        shown = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
        for header, spec, _ in columns:
            shown.add_column(header, justify="left" if "<" in spec else "right", no_wrap=True)
        for cells in zip(*(cells for _, _, cells in columns), strict=True):
            shown.add_row(*cells)
        text.write("\n" if number else "")
        console.print(shown)
    return text.getvalue()


def _cell(item: Any, name: str, form: str) -> str:
    """The value that a dotted name finds in an item."""
    for key in name.split("."):
        if item is not None:
            item = item.get(key) if isinstance(item, Mapping) else item[int(key)]
    return format_value(item, form)
