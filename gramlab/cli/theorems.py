"""``gramlab theorems [NAME]``: prove and check the registry, as one table or one full story."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gramlab.cli import options, text
from gramlab.cli.output import running
from gramlab.errors import InvalidSetting
from gramlab.numerics.streams import MAX_SEED
from gramlab.theorems.form import SHAKEN

if TYPE_CHECKING:
    from gramlab.theorems.catalogue import Report
    from gramlab.theorems.form import Theorem

EXAMPLES = (
    "gramlab theorems duality-gap --instances 500",
    'gramlab theorems --paper "Theorem 4.1"',
    "gramlab theorems",
    "gramlab theorems --seed 7 --json -",
)

_NAMES = typer.Argument(metavar="NAME", help="One theorem or some; all of them without it.")
_INSTANCES = options.at_least(1, "Instances drawn to check each theorem on.")
_PAPER = options.option(
    'Only what the paper has at this place, such as "Theorem 4.1" or "eq. (10)".', metavar="PLACE"
)
_MODULE = options.option(
    "Theorems of your own: a module by name, or a .py file, with a THEOREM or a list THEOREMS. It "
    "is imported, which runs it. Without NAME only its theorems are shown.",
    metavar="MODULE",
)
_KERNEL = options.option(
    "Compile the Rocq proofs by coqc and show what the kernel states and assumes; no instances.",
    "--kernel",
)
_RECORD = options.option(
    "With --kernel: write statements, axioms and hashes of the files to record.json beside them, "
    "and the statements of the registry above the Rocq theorems.",
    "--record",
)
_LATEX = options.option("Statements and hypotheses in LaTeX.", "--latex")
_MARKS = {
    "P": "stated by the paper",
    "C": "read off the authors' code",
    "D": "derived for this project",
}
_LEVELS = {
    "kernel": "checked by a proof kernel",
    "decided": "a machine decided all of it",
    "core": "a machine decided the core, steps by hand remain",
    "asserted": "asserted by its author",
}


def theorems(
    context: typer.Context,
    names: Annotated[list[str] | None, _NAMES] = None,
    paper: Annotated[str | None, _PAPER] = None,
    module: Annotated[str | None, _MODULE] = None,
    kernel: Annotated[bool, _KERNEL] = False,
    record: Annotated[bool, _RECORD] = False,
    latex: Annotated[bool, _LATEX] = False,
    instances: Annotated[int, _INSTANCES] = 100,
    seed: Annotated[int, options.at_least(0, "Seed of the instances.", MAX_SEED)] = 0,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Prove and check the theorems that gramlab rests on.

    Prove every theorem of the registry and check it on drawn instances, and all that it rests on;
    with one NAME, tell that theorem's whole story, with the arguments that gramlab.theorems.check
    takes for an instance of your own. With --kernel, compile the Rocq proofs instead, and show
    what the kernel states and assumes. The exit code is 1 if a theorem misses the verdict it
    should reach, rests on one that does, or its conclusion fails on an instance; and if a Rocq
    proof does not compile.
    """
    from gramlab.theorems import catalogue  # imports the algebra systems

    if names and paper is not None:
        raise InvalidSetting(
            f"NAME and --paper each choose theorems, got {names[0]!r} and {paper!r}; leave one out"
        )
    if record and not kernel:
        raise InvalidSetting("--record keeps what the kernel finds, so it must stand with --kernel")
    own = [] if module is None else catalogue.from_module(module)
    known = catalogue.everything(own)
    chosen = list(known.values()) if module is None else own
    if names:
        chosen = [catalogue.find(name, own) for name in dict.fromkeys(names)]
    if paper is not None:
        chosen = catalogue.from_paper(paper, chosen)
    if kernel:
        chosen = _with_kernel(chosen, known, every=not names)
        _compile(context, chosen, known if record else None, len(chosen) == 1 and bool(names))
    else:
        _run(context, chosen, known, latex, len(chosen) == 1 and bool(names))


def _run(
    context: typer.Context,
    chosen: Sequence[Theorem],
    known: Mapping[str, Theorem],
    latex: bool,
    story: bool,
) -> None:
    """Prove and check theorems, and show them in a table or as one story."""
    from gramlab.theorems import catalogue
    from gramlab.theorems.notation import as_unicode
    from gramlab.theorems.record import kernel_lines

    drawn = {name: context.params[name] for name in ("instances", "seed")}
    shown = {"verdict": format_verdict, "source": format_source, "level": _LEVELS.__getitem__}
    shown |= {"statement": str if latex else as_unicode, **drawn}
    with running(context) as output:
        stage = output.progress.stage
        told = lambda name, number, total: stage(f"{name} ({number} of {total})")  # noqa: E731
        reports = catalogue.run_all(chosen, known, told=told, **drawn)
        if story and output.shows:
            stage("planted variants")
            shown["without"] = catalogue.dropped(chosen[0], **drawn)
            shown["planted"] = catalogue.refuted(chosen[0], **drawn)
            shown["kernel_lines"] = kernel_lines(chosen[0])
        counts = dict.fromkeys((*_LEVELS, "counterexample", "unknown", SHAKEN), 0)
        counts |= Counter(count_as(report) for report in reports)
        output.keep({"counts": counts, "theorems": [report.as_dict() for report in reports]})
    if story:
        output.show("theorem", "", 72, report=reports[0], **shown)
    else:
        output.show("theorems", "", 72, reports=reports, counts=counts, shaken=SHAKEN, **shown)
    failing = [report.theorem.name for report in reports if not report.ok]
    if failing:
        text.say(f"error: {len(failing)} of {len(reports)} fail: {', '.join(failing)}")
        raise typer.Exit(1)


# ---- The kernel --------------------------------------------------------------------------------


def _with_kernel(
    chosen: Sequence[Theorem], known: Mapping[str, Theorem], every: bool
) -> list[Theorem]:
    """Those of the theorems that have a Rocq proof; refused if there is none, or one lacks it."""
    proved = [theorem for theorem in chosen if theorem.kernel is not None]
    if not proved or not (every or len(proved) == len(chosen)):
        lacking = ", ".join(theorem.name for theorem in chosen if theorem.kernel is None)
        there = ", ".join(sorted(name for name, one in known.items() if one.kernel is not None))
        raise InvalidSetting(
            f"--kernel takes theorems with a Rocq proof, got {lacking}; there is one of {there}"
        )
    return proved


def _compile(
    context: typer.Context,
    chosen: Sequence[Theorem],
    known: Mapping[str, Theorem] | None,
    story: bool,
) -> None:
    """Compile Rocq proofs, show what the kernel says, and record it if ``known`` are told."""
    from gramlab.theorems import kernel
    from gramlab.theorems.record import place, read_record, write_comments, write_records

    coqc = kernel.find_coqc()
    with running(context) as output:
        if known is not None:
            write_comments(chosen)
        records = (read_record(place(theorem).parent).get(theorem.name) for theorem in chosen)
        for version in {one["coq"] for one in records if one} - {coqc.version}:
            text.say(
                f"note: this is Coq {coqc.version}, the proofs are recorded from Coq {version}; "
                "they are tried all the same"
            )
        began = time.monotonic()
        told = lambda done, total: output.progress.stage(f"{done} of {total} Rocq files")  # noqa: E731
        proofs = kernel.check_proofs(coqc, chosen, told)
        seconds = time.monotonic() - began
        problems = dict.fromkeys(one.problem for one in proofs if one.problem)
        if known is not None and not problems:
            found = [(t, one.found) for t, one in zip(chosen, proofs, strict=True) if one.found]
            output.written += map(str, write_records(found, known.values()))
        kept = {"coq": coqc.version, "seconds": seconds, "proofs": [asdict(one) for one in proofs]}
        output.keep(kept)
    covers = {theorem.name: theorem.kernel.covers for theorem in chosen if theorem.kernel}
    output.show(
        *("kernel", "", 72), proofs=proofs, coq=coqc, seconds=seconds, covers=covers, story=story
    )
    for problem in problems:
        text.say(f"error: {problem}")
    if problems:
        raise typer.Exit(1)


# ---- Words -------------------------------------------------------------------------------------


def count_as(report: Report) -> str:
    """What a table counts a theorem as: the level of a proof, a counterexample, or unknown.

    What only its author says counts as asserted, whatever the verdict, and what rests on a refuted
    theorem as that.
    """
    proof = report.proof
    if report.refuted_bases:
        return report.verdict
    if proof.verdict == "unknown":
        return proof.verdict
    if proof.level == "asserted":
        return proof.level
    return proof.level if proof.verdict == "proved" else proof.verdict


def format_verdict(report: Report) -> str:
    """The verdict in words: a statement kept because it is false says so, a miss too."""
    if report.refuted_bases:
        return f"{report.verdict}: {', '.join(report.refuted_bases)}"
    found, expected = report.proof.verdict, report.theorem.expected
    if found == "unknown":
        told = found
    elif report.proof.level == "asserted":
        told = {"proved": "asserted by its author"}.get(found, f"{found}, asserted by its author")
    else:
        told = found
    if found != expected:
        return f"{told}, where {expected} was expected"
    return f"{told}, as it should be" if found == "counterexample" else told


def format_source(source: str) -> str:
    """The source, with the meaning of the marks in it."""
    marks = dict.fromkeys(re.findall(r"\b[PCD]\b", source))
    meanings = [f"{mark}: {_MARKS[mark]}" for mark in marks]
    return f"{source} — {', '.join(meanings)}" if meanings else source
