"""``gramlab theorems [NAME]``: prove and check the registry, as one table or one full story."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab.cli import options, text
from gramlab.cli.output import running
from gramlab.errors import InvalidSetting
from gramlab.numerics.streams import MAX_SEED

if TYPE_CHECKING:
    from gramlab.theorems.catalogue import Report

EXAMPLES = (
    "gramlab theorems duality-gap --instances 500",
    'gramlab theorems --paper "Theorem 4.1"',
    "gramlab theorems",
    "gramlab theorems --seed 7 --json -",
)

_NAME = typer.Argument(metavar="NAME", help="One theorem; all of them without it.")
_INSTANCES = options.at_least(1, "Instances drawn to check each theorem on.")
_PAPER = options.option(
    'Only what the paper has at this place, such as "Theorem 4.1" or "eq. (10)".', metavar="PLACE"
)
_MODULE = options.option(
    "Theorems of your own: a module by name, or a .py file, with a THEOREM or a list THEOREMS. It "
    "is imported, which runs it. Without NAME only its theorems are shown.",
    metavar="MODULE",
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
    name: Annotated[str | None, _NAME] = None,
    paper: Annotated[str | None, _PAPER] = None,
    module: Annotated[str | None, _MODULE] = None,
    latex: Annotated[bool, _LATEX] = False,
    instances: Annotated[int, _INSTANCES] = 100,
    seed: Annotated[int, options.at_least(0, "Seed of the instances.", MAX_SEED)] = 0,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Prove and check the theorems that gramlab rests on.

    Prove every theorem of the registry and check it on drawn instances; with NAME, tell one
    theorem's whole story, with the arguments that gramlab.theorems.check takes for an instance of
    your own. The exit code is 1 if a theorem misses the verdict it should reach, or its conclusion
    fails on an instance.
    """
    from gramlab.theorems import catalogue  # imports the algebra systems
    from gramlab.theorems.notation import as_unicode

    if name is not None and paper is not None:
        raise InvalidSetting(
            f"NAME and --paper each choose theorems, got {name!r} and {paper!r}; leave one out"
        )
    own = [] if module is None else catalogue.from_module(module)
    known = catalogue.everything(own)
    chosen = list(known.values()) if module is None else own
    if name is not None:
        chosen = [catalogue.find(name, own)]
    if paper is not None:
        chosen = catalogue.from_paper(paper, chosen)
    shown: dict[str, Any] = {"instances": instances, "seed": seed}
    shown |= {"verdict": format_verdict, "source": format_source, "level": _LEVELS.__getitem__}
    shown["statement"] = str if latex else as_unicode
    with running(context) as output:
        reports: list[Report] = []
        for number, theorem in enumerate(chosen, 1):
            output.progress.stage(f"{theorem.name} ({number} of {len(chosen)})")
            reports.append(catalogue.run(theorem, instances, seed))
        if name is not None and output.shows:
            output.progress.stage("planted variants")
            shown["without"] = catalogue.dropped(chosen[0], instances, seed)
            shown["planted"] = catalogue.refuted(chosen[0], instances, seed)
        output.keep([report.as_dict() for report in reports])
    if name is None:
        counts = Counter(count_as(report) for report in reports)
        output.show("theorems", "", 72, reports=reports, counts=counts, **shown)
    else:
        output.show("theorem", "", 72, report=reports[0], **shown)
    failing = [report.theorem.name for report in reports if not report.ok]
    if failing:
        text.say(f"error: {len(failing)} of {len(reports)} fail: {', '.join(failing)}")
        raise typer.Exit(1)


def count_as(report: Report) -> str:
    """What a table counts a theorem as: the level of a proof, a counterexample, or unknown.

    What only its author says counts as asserted, whatever the verdict.
    """
    proof = report.proof
    if proof.verdict == "unknown":
        return proof.verdict
    if proof.level == "asserted":
        return proof.level
    return proof.level if proof.verdict == "proved" else proof.verdict


def format_verdict(report: Report) -> str:
    """The verdict in words: a statement kept because it is false says so, a miss too."""
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
