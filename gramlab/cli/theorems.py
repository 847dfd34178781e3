"""``gramlab theorems [NAME]``: prove and check the registry, as one table or one full story."""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from gramlab import validation
from gramlab.cli import options, terminal
from gramlab.cli.output import json_path, made_folder
from gramlab.storage import atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.theorems.catalogue import Report

__all__ = [
    "EPILOG",
    "EXAMPLE",
    "HELP",
    "SHORT_HELP",
    "slack_words",
    "source_words",
    "theorems",
    "verdict_words",
]

HELP = """Prove every theorem of the registry and check it on drawn instances; with NAME, tell one
theorem's whole story. The exit code is 1 if a theorem misses the verdict it should reach, or its
conclusion fails on an instance."""

SHORT_HELP = "Prove and check the theorems that gramlab rests on."

EXAMPLE = "gramlab theorems duality-gap --instances 500"

EPILOG = f"""\b
Examples:
  gramlab theorems
  {EXAMPLE}
  gramlab theorems --seed 7 --json -
"""

_LAST_SEED = 2**64 - 1
_MARKS = {
    "P": "stated by the paper",
    "C": "read off the authors' code",
    "D": "derived for this project",
}
_NAME_WIDTH = 28
_LEAST_WIDTH = 72


def theorems(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", show_default=False, help="One theorem; all of them without it."
        ),
    ] = None,
    instances: Annotated[
        int, typer.Option("--instances", help="Instances drawn to check each theorem on.")
    ] = 100,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the instances.")] = 0,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab theorems``: settings and paths first, then the work, then files and exit."""
    validation.check_integer("--instances", instances, 1)
    validation.check_integer("--seed", seed, 0, _LAST_SEED)
    # The catalogue imports the algebra systems.
    from gramlab.theorems import catalogue

    chosen = list(catalogue.registry.values()) if name is None else [catalogue.find(name)]
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        progress = stack.enter_context(terminal.Progress(1.0, quiet=quiet))
        reports = []
        for number, theorem in enumerate(chosen, 1):
            progress.stage(f"{theorem.name} ({number} of {len(chosen)})")
            reports.append(catalogue.run(theorem, instances, seed))
        progress.stage("laying out")
        shown = "" if quiet or json == "-" else _shown(reports, name is not None, seed)
        text = to_json([report.as_dict() for report in reports])
        if file is not None:
            written = f"\nWrote {atomic_write(file, text)}\n"
            shown += written if shown else ""
    if not quiet or json == "-":
        terminal.emit(text if json == "-" else shown)
    failing = [report.theorem.name for report in reports if not report.ok]
    if failing:
        terminal.say(f"error: {len(failing)} of {len(reports)} fail: {', '.join(failing)}")
        raise typer.Exit(1)


# ---- Words that the docs share -----------------------------------------------------------------


def verdict_words(report: Report) -> str:
    """The verdict in words: a statement kept because it is false says so, a miss too."""
    found, expected = report.proof.verdict, report.theorem.expected
    if found != expected:
        return f"{found}, where {expected} was expected"
    return "counterexample, as it should be" if found == "counterexample" else found


def source_words(source: str) -> str:
    """The source, with the meaning of the marks in it."""
    marks = dict.fromkeys(re.findall(r"\b[PCD]\b", source))
    meanings = [f"{mark}: {_MARKS[mark]}" for mark in marks]
    return f"{source} — {', '.join(meanings)}" if meanings else source


def slack_words(slack: float) -> str:
    """A slack with two digits; a dash where there is none."""
    return f"{slack:.1e}" if math.isfinite(slack) else "-"


# ---- What is printed ---------------------------------------------------------------------------


def _shown(reports: list[Report], one: bool, seed: int) -> str:
    from rich.console import Console

    width = max(_LEAST_WIDTH, Console().width)
    lines = _story(reports[0], seed, width) if one else _table(reports, seed, width)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _table(reports: list[Report], seed: int, width: int) -> Iterator[str]:
    """Two lines for each theorem: the numbers, then what sort of statement and proof it is."""
    room = max(_NAME_WIDTH, *(len(report.theorem.name) for report in reports))
    yield f"{'theorem':{room}}  {'verdict':14}  {'draws':>6}  {'failed':>6}  {'slack':>7}  ok"
    for report in reports:
        yield (
            f"{report.theorem.name:{room}}  {report.proof.verdict:14}  {report.instances:6}  "
            f"{report.failures:6}  {slack_words(report.tightest_slack):>7}  {_ok(report)}"
        )
        words = [report.theorem.kind, report.theorem.source, report.proof.scope]
        if report.theorem.expected != "proved" or not report.ok:
            words.insert(0, verdict_words(report))
        yield _cut(f"  {'; '.join(words)}", width)
    yield ""
    yield from textwrap.wrap(_totals(reports, seed), width, subsequent_indent="  ")


def _ok(report: Report) -> str:
    """Never "yes" for a statement that nothing decided."""
    if not report.ok:
        return "NO"
    return "open" if report.proof.verdict == "unknown" else "yes"


def _cut(text: str, width: int) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def _totals(reports: list[Report], seed: int) -> str:
    counts = Counter(report.proof.verdict for report in reports)
    return (
        f"{len(reports)} theorems: {counts['proved']} proved, {counts['counterexample']} refuted "
        f"by a counterexample, {counts['unknown']} unknown; {sum(not r.ok for r in reports)} fail. "
        f"Draws from seed {seed}; slack: the tightest seen. Proved means within the scope stated: "
        "gramlab theorems NAME tells the whole story."
    )


def _story(report: Report, seed: int, width: int) -> Iterator[str]:
    """Statement, hypotheses, proof, check and planted variants of one theorem."""
    from gramlab.theorems.catalogue import dropped, refuted

    theorem, proof = report.theorem, report.proof
    without = dropped(theorem, report.instances, seed)

    def entry(label: str, words: str) -> list[str]:
        return _entry(f"{label:11}", words, width)

    yield f"{theorem.name}: {theorem.title}"
    yield ""
    yield from entry("Verdict", verdict_words(report))
    yield from entry("Kind", theorem.kind)
    yield from entry("Source", source_words(theorem.source))
    yield from entry("Statement", theorem.statement)
    yield ""
    yield "Hypotheses"
    for hypothesis in theorem.hypotheses:
        yield from _entry("  - ", f"{hypothesis.name}: {hypothesis.statement}", width)
        if hypothesis.name in without:
            yield from _entry("    ", _dropped_words(without[hypothesis.name], report), width)
    yield ""
    yield "Proof"
    yield from _entry("  method: ", proof.method, width)
    yield from _entry("  scope: ", proof.scope, width)
    for line in proof.evidence:
        yield from _entry("  - ", line, width)
    yield ""
    yield from entry("Check", _check_words(report, seed))
    yield ""
    yield "Planted false variants"
    for variant, number in refuted(theorem, report.instances, seed).items():
        found = f"refuted on draw {number}" if number else _unrefuted(report)
        yield from _entry("  - ", f"{variant}: {found}", width)
    if not theorem.planted:
        yield "  none"


def _entry(label: str, words: str, width: int) -> list[str]:
    """A label and words wrapped beside it."""
    indent = " " * min(len(label), 11)
    return textwrap.wrap(
        words,
        width,
        initial_indent=label,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _check_words(report: Report, seed: int) -> str:
    words = (
        f"{report.instances} instances from seed {seed}, {report.failures} failures, tightest "
        f"slack {slack_words(report.tightest_slack)}"
    )
    if report.theorem.expected == "counterexample":
        return f"{words}; failures are as they should be, the statement is false"
    return words


def _dropped_words(number: int | None, report: Report) -> str:
    if number is None:
        return f"(without it the conclusion did not fail in {report.instances} draws)"
    return f"(needed: without it the conclusion fails, on draw {number})"


def _unrefuted(report: Report) -> str:
    return f"NOT refuted in {report.instances} draws; try more instances"
