"""What the terminal shows: progress on stderr, the table and its sentences on stdout."""

from __future__ import annotations

import io
import math
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gramlab.cli.stopping import Stopped
from gramlab.errors import OutputError, one_line

__all__ = ["Progress", "emit", "recursion_failures", "say", "summary"]

# What a terminal obeys, and a file's class names may hold; colours, which the tables use, may pass.
_CONTROL = re.compile(
    r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", re.ASCII
)


def say(text: str) -> None:
    """Write one line to stderr, signed by the program."""
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


class Progress:
    """Stages, and each exact head's way to its tolerance; drawn on stderr, gone at the end.

    Nothing is drawn where stderr is no terminal. The bar measures log(‖g‖/‖g(0)‖), which falls
    about evenly with the passes, and is full at the tolerance; a head that is then polished to
    certify its predictions says so.

    Parameters
    ----------
    tolerance
        Relative duality gap, (‖g‖/‖g(0)‖)², at which the bar is full.
    quiet
        Draw nothing.
    """

    def __init__(self, tolerance: float, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        self._tolerance = tolerance
        self._drawn = not quiet and console.is_terminal and not console.is_dumb_terminal
        self._best = 1.0
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not self._drawn,
        )
        self._task = self._bars.add_task("", total=None, note="")

    def __enter__(self) -> Progress:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the drawing away."""
        self._bars.stop()

    def stage(self, name: str) -> None:
        """Begin a stage."""
        self._best = 1.0
        self._bars.remove_task(self._task)  # a task once given a total cannot lose it
        self._task = self._bars.add_task(name, total=None, note="")

    def solving(self, passes: float, ratio: float) -> None:
        """Tell how far the current head is: passes, ‖g‖/‖g(0)‖."""
        self._best = min(self._best, ratio)
        gap = self._best**2
        note = f"gap {gap:.0e}, {passes:.0f} passes"
        if gap <= self._tolerance:
            note += ", polishing"
        self._bars.update(self._task, total=1.0, completed=self._share(gap), note=note)

    def _share(self, gap: float) -> float:
        if gap <= self._tolerance or self._tolerance >= 1.0:
            return 1.0
        return math.log(gap) / math.log(self._tolerance)


@dataclass(frozen=True)
class _Column:
    """A column of the table: its group stays together when the table is cut."""

    group: str
    header: str
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        return max(len(line) for line in (*self.header.split("\n"), *self.cells))


_GAP = 2  # spaces between columns


def summary(found: dict[str, Any], name: str, written: Sequence[str]) -> str:
    """Lay out what ``gramlab check`` found, for the width of the terminal.

    Parameters
    ----------
    found
        ``CheckResult.as_dict()``.
    name
        What to call the source.
    written
        Files written, in words.

    Returns
    -------
    str
        Text with line breaks; bold headers where stdout is a terminal.
    """
    from rich.console import Console

    stdout, text = Console(), io.StringIO()
    console = Console(file=text, width=stdout.width, force_terminal=stdout.is_terminal)

    def paragraph(words: str) -> None:
        text.write(
            textwrap.fill(
                words,
                max(20, stdout.width),
                break_long_words=False,
                break_on_hyphens=False,
                subsequent_indent="  ",
            )
        )
        text.write("\n")

    paragraph(_data_sentence(found, name))
    paragraph(_spectrum_sentence(found["spectrum"]))
    for table in _tables(_columns(found), stdout.width):
        text.write("\n")
        console.print(table)
    text.write("\n")
    paragraph(
        "Recovery: predicted class = true label, training rows. Test: the same on test rows. "
        "PLL: student of the teacher's two largest labels."
    )
    for method in sorted({row["exact"]["solver"]["method"] for row in found["rounds"]}):
        if "read in blocks" in method:
            paragraph(f"Rows were read in blocks, none kept on the device: {method}.")
    paragraph(_certified_sentence(found))
    paragraph(_polish_sentence(found))
    paragraph(recursion_failures(found) or _recursion_sentence(found))
    for files in written:
        text.write(f"Wrote {files}\n")  # not wrapped: a path must stay whole
    if not written:
        paragraph("Nothing was written; --out DIR writes figures and a report.")
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _data_sentence(found: dict[str, Any], name: str) -> str:
    data, settings = found["data"], found["settings"]
    test = "no" if data["n_test"] is None else data["n_test"]
    steps = [
        word for key, word in (("center", "centred"), ("unit_norm", "unit norm")) if settings[key]
    ]
    prepared = f" ({', '.join(steps)})" if steps else ""
    return (
        f"{name}{prepared}: N = {data['n_samples']} training rows, {test} test rows, "
        f"d = {data['n_features']}, K = {data['n_classes']}; {settings['noise']} noise of rate "
        f"{settings['rate']:g} spoiled {_percent(data['realized_rate'])} % of the labels (seed "
        f"{settings['seed']}); weight decay {settings['weight_decay']:g}."
    )


def _spectrum_sentence(spectrum: dict[str, Any]) -> str:
    gap = spectrum["gap"]

    def cosine(kind: str) -> str:
        pair = spectrum["correlations"][kind]
        if pair is None or pair["mean"] is None or not math.isfinite(pair["mean"]):
            return f"{kind} -"
        return f"{kind} {pair['mean']:.3f} (sd {pair['standard_deviation']:.3f})"

    return (
        f"Gram spectrum: gap {gap['value']:.4g} after eigenvalue {gap['after']}, certified to "
        f"within {gap['error_at_most']:.1e}; cosines {cosine('within')}, {cosine('superclass')}, "
        f"{cosine('between')}."
    )


def _columns(found: dict[str, Any]) -> list[_Column]:
    """Every column of the table; the partial-label student is the last row."""
    student = found["partial_label_student"] | {"round": "PLL"}
    rows = [*found["rounds"], student]

    def column(group: str, header: str, path: str, form: Any) -> _Column:
        cells = []
        for row in rows:
            value: Any = row
            for key in path.split("."):
                value = None if value is None else value.get(key)
            unknown = value is None or (isinstance(value, float) and not math.isfinite(value))
            cells.append("-" if unknown else form(value))
        return _Column(group, header, tuple(cells))

    bound = "exact.certificate"
    return [
        column("round", "\nround", "round", str),
        column("theory", "theory\nrecovery %", "linearized.label_recovery", _percent),
        column("theory", "\ntest %", "linearized.test_accuracy", _percent),
        column("exact", "exact\nrecovery %", "exact.label_recovery", _percent),
        column("exact", "\ntest %", "exact.test_accuracy", _percent),
        column("distance", "largest\n|diff|", "distance.max_abs", "{:#.3g}".format),
        column("distance", "same\nclass %", "argmax_agreement", _percent),
        column("certified", "certified\nright %", "certified.right", _percent),
        column("certified", "\nwrong %", "certified.wrong", _percent),
        column("certified", "un-\ndecided %", "certified.undecided", _percent),
        column("chain", "through\nrounds", "chain.weights_bound", "{:.1e}".format),
        column("bound", "relative\ngap", f"{bound}.relative_gap", "{:.1e}".format),
        column("bound", "bound on\nweights", f"{bound}.weights_bound", "{:.1e}".format),
        column("bound", "\npasses", "exact.solver.passes", "{:.0f}".format),
    ]


def _tables(columns: list[_Column], width: int) -> Iterable[Any]:
    """Cut the columns, between groups, into tables that fit; each begins with the round."""
    first, groups = columns[0], dict.fromkeys(column.group for column in columns[1:])
    parts: list[list[_Column]] = []
    room = 0
    for group in groups:
        members = [column for column in columns if column.group == group]
        needed = sum(column.width + _GAP for column in members)
        if not parts or needed > room:
            parts.append([first])
            room = width - first.width
        parts[-1] += members
        room -= needed
    return [_table(part) for part in parts]


def _table(columns: list[_Column]) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.header, justify="right", no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _certified_sentence(found: dict[str, Any]) -> str:
    """Say what the certified classes are those of, and what the other certificate leaves."""
    chain = "the true iterate, for which all earlier rounds are exact too"
    own = "the optimum for the targets that the round was given"
    kind = found["settings"]["certify"]
    about, other, rest = (own, "chain", chain) if kind == "round" else (chain, "own", own)
    undecided = max(row[other]["certified"]["undecided"] for row in found["rounds"])
    return (
        f"Certified: the class of {about} (--certify {kind}); PLL: of the optimum for its own "
        f"targets. Of {rest}, at most {_percent(undecided)} % are undecided in a round. Through "
        "rounds: bound on the distance of the weights to the true iterate."
    )


def _polish_sentence(found: dict[str, Any]) -> str:
    """Say whether every exact head was polished to the share asked for, or where it stopped."""
    share, n = found["settings"]["certified_share"], found["data"]["n_samples"]
    student = found["partial_label_student"] | {"round": "PLL"}
    heads = [*found["rounds"], student]
    asked = f"at least {100.0 * share:g} % of the training predictions were certified"
    short: dict[str, list[dict[str, Any]]] = {}
    for head in heads:
        undecided = round(head["certified"]["undecided"] * n)  # a whole number of rows
        if undecided > (1.0 - share) * n + 1e-3:  # the product is off by far less than this
            short.setdefault(_reason(head["exact"]["solver"]), []).append(head)
    if not short:
        return f"Every exact head was polished until {asked}."
    parts = [f"{len(heads) - sum(map(len, short.values()))} of {len(heads)} exact heads were "]
    parts.append(f"polished until {asked}.")
    for reason, members in short.items():
        least = min(1.0 - head["certified"]["undecided"] for head in members)
        names = ", ".join(str(head["round"]) for head in members)
        parts.append(f" Round {names} {reason}: at least {_percent(least)} % certified.")
    return "".join(parts)


def _reason(solver: dict[str, Any]) -> str:
    """Why a head was not polished any further."""
    if solver["at_float64_floor"]:
        return "stopped at the float64 floor"
    return f"stopped at the {solver['polish'] or solver['result']}"


def _recursion_sentence(found: dict[str, Any]) -> str:
    checks = [row["error_recursion"] for row in found["rounds"]]
    worst = max(checks, key=lambda check: check["residual"])
    return (
        f"The error recursion held in every round: residual at most {worst['residual']:.1e}, "
        f"where rounding allows {worst['tolerance']:.1e}."
    )


def recursion_failures(found: dict[str, Any]) -> str:
    """Name the rounds in which the error recursion did not hold; empty where it held in all."""
    failed = [
        f"round {row['round']} (residual {row['error_recursion']['residual']:.1e}, rounding "
        f"allows {row['error_recursion']['tolerance']:.1e})"
        for row in found["rounds"]
        if not row["error_recursion"]["holds"]
    ]
    if not failed:
        return ""
    return (
        f"the error recursion did NOT hold in {', '.join(failed)}: do not rely on these rounds, "
        "and please report this as a fault of gramlab"
    )


def _percent(share: float) -> str:
    """Percent with two decimals; never rounded to 0 or 100 when it is not."""
    if share < 1.0 and round(100.0 * share, 2) >= 100.0:
        return ">99.99"
    if share > 0.0 and round(100.0 * share, 2) <= 0.0:
        return "<0.01"
    return f"{100.0 * share:.2f}"
