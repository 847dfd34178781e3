"""Words for the terminal: one-line messages, numbers, tables, and the templates that use them."""

from __future__ import annotations

import io
import math
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from typer import Context

from gramlab.cli.stopping import Stopped
from gramlab.errors import NO_FORM, OutputError, one_line, printable

# What of the layout is not printable; ``render`` has made every name in it so by then.
_LAYOUT = re.compile(r"(\x1b\[[0-9;]*m|[\n\t])")

_PARAGRAPH = re.compile(r"^¶ (.*(?:\n(?![¶ ]).+)*)\n?", re.MULTILINE)


class _Laid(str):
    """Text in lines, of which every value is shown already."""


def shown(value: object) -> str:
    """A value as printable text (``gramlab.errors.printable``); what is laid out stays."""
    text = str(value)
    plain = text.isprintable() and not NO_FORM.search(text)
    return text if plain or isinstance(value, _Laid) else printable(text)


def say(text: str) -> None:
    """Write one line to stderr, signed by the program."""
    if sys.stderr is None:  # closed from the start; print would turn to stdout instead
        return
    try:
        print(f"gramlab: {one_line(text)}", file=sys.stderr, flush=True)
    except OSError:  # nobody is listening, and the exit code still tells
        pass


def check_stdout() -> None:
    """Refuse a stdout that was closed from the start, with OutputError."""
    if sys.stdout is None:
        raise OutputError(
            "expected to write to stdout, but it is closed; leave it open, or send it to a file "
            "or to /dev/null"
        )


def emit(text: str) -> None:
    """Write text to stdout now.

    Raises
    ------
    Stopped
        If the reader went away.
    OutputError
        If stdout cannot be written for another reason.
    """
    check_stdout()
    encoding = sys.stdout.encoding or "utf-8"
    parts = _LAYOUT.split(text)
    parts[::2] = map(shown, parts[::2])
    text = "".join(parts)
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


def show_help(context: Context) -> None:
    """Show the help where no verb is given."""
    if context.invoked_subcommand is None:
        emit(context.get_help() + "\n")


def format_duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"


def format_percent(share: float) -> str:
    """Percent with two decimals; never rounded to 0 or 100 when it is not."""
    shown = f"{100.0 * share:.2f}"
    if share < 1.0 and shown == "100.00":
        return ">99.99"
    return "<0.01" if share > 0.0 and shown == "0.00" else shown


def format_options(settings: Mapping[str, Any]) -> str:
    """Settings as the options to type: "--center --weight-decay 0.0003"."""
    words = (
        f"--{name.replace('_', '-')}{'' if value is True else f' {value:g}'}"
        for name, value in settings.items()
    )
    return " ".join(words)


def format_preparation(center: bool, unit_norm: bool, constant: bool = False) -> str:
    """What was done to the rows: "raw", or "centred, unit norm, a constant column"."""
    done = {"centred": center, "unit norm": unit_norm, "a constant column": constant}
    return ", ".join(step for step, taken in done.items() if taken) or "raw"


def format_value(value: Any, spec: str = "") -> str:
    """A value by a format of Python's, or as ``"percent"``; a dash where nothing is known."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return format_percent(value) if spec == "percent" else format(value, spec)


def render(
    template: str,
    offers: str | None = None,
    least_width: int = 20,
    /,
    *,
    written: Sequence[str] = (),
    **values: Any,
) -> str:
    """Fill ``templates/NAME.txt.j2`` for the width of the terminal, and tell what was written.

    Every value is as ``shown`` makes it, so that no name steers the terminal.

    Where nothing was, ``offers`` says what ``--out`` would have written; None tells neither.

    In a template, ¶ begins a paragraph, which is wrapped; it ends before the next one and before a
    line that is empty or indented. ``entry`` wraps words beside a label, ``table`` lays out
    columns, ``value|show(".3g")`` formats a value, ``3|counted("cell")`` is "3 cells",
    ``provenance|width(d)`` is "d = 64" or the rank of a kernel, and ``|cut`` ends a line where the
    terminal does.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from rich.console import Console

    from gramlab.features.inspection import format_width

    stdout = Console()
    width = max(least_width, stdout.width)

    def entry(label: str, words: object, indent: int | None = None) -> str:
        text = textwrap.fill(
            " ".join(map(shown, str(words).split())),
            width,
            initial_indent=label,
            subsequent_indent=" " * (len(label) if indent is None else indent),
            break_long_words=False,
            break_on_hyphens=False,
        )
        return _Laid(text)

    def cut(words: str) -> str:
        line = words.replace("\n", " ")
        return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"

    environment = Environment(
        loader=PackageLoader("gramlab.cli", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        autoescape=False,  # text, not HTML
        finalize=shown,
    )
    environment.globals.update(
        prepared=format_preparation,
        entry=entry,
        table=lambda *asked: _table(*asked, width=width, bold=stdout.is_terminal),
    )
    environment.filters.update(
        cut=cut,
        show=format_value,
        counted=counted,
        duration=format_duration,
        quoted=shlex.quote,
        width=format_width,
    )
    text = environment.get_template(f"{template}.txt.j2").render(written=written, **values)
    text = _PARAGRAPH.sub(lambda found: entry("", found[1], 2) + "\n", text)
    if offers is not None:
        text += "".join(f"Wrote {shown(one)}\n" for one in written)  # paths must stay whole
    if offers and not written:
        text += entry("", f"Nothing was written; --out DIR writes {offers}.", 2)
    # Not splitlines: what else ends a line to Python may be part of a name, and ``emit`` shows it.
    lines = text.removesuffix("\n").split("\n") if text else []
    return "".join(f"{line.rstrip()}\n" for line in lines)


def counted(count: int, what: str) -> str:
    """How many of what: "1 cell", "2 cells"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def several(names: Sequence[str]) -> str:
    """The first five of some names, and how many more there are."""
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{rest}"


def _table(
    items: Sequence[Any], *groups: Sequence[tuple[str, str, str]], width: int, bold: bool
) -> str:
    """One line for each item; columns are (header, dotted name, format), "<" in it aligns left.

    Where the groups of columns do not fit side by side, the table is cut between them into
    several, and the first group begins each.
    """
    from rich.console import Console
    from rich.table import Table

    def table(columns: Sequence[tuple[str, str, str]]) -> Table:
        made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        for header, _, form in columns:
            made.add_column(header, justify="left" if "<" in form else "right", no_wrap=True)
        for item in items:
            made.add_row(*(_cell(item, name, form) for _, name, form in columns))
        return made

    text = io.StringIO()
    # As wide as its columns need: a table whose columns are cut says nothing.
    form: Any = {"width": 1000, "force_terminal": bold, "markup": False, "highlight": False}
    console = Console(file=text, emoji=False, **form)
    parts = [list(groups[0])]
    for group in groups[1:]:
        wider = [*parts[-1], *group]
        fits = console.measure(table(wider)).maximum <= width
        if fits or len(parts[-1]) == len(groups[0]):
            parts[-1] = wider
        else:
            parts.append([*groups[0], *group])
    for number, columns in enumerate(parts):
        text.write("\n" if number else "")
        console.print(table(columns))
    return _Laid(text.getvalue())


def _cell(item: Any, name: str, form: str) -> str:
    """The value that a dotted name finds in an item."""
    for key in name.split("."):
        if item is not None:
            item = item.get(key) if isinstance(item, Mapping) else item[int(key)]
    return shown(format_value(item, form))
