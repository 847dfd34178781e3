"""``gramlab theorems [NAME]``: prove and check the registry, as one table or one full story."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab.cli import options, text
from gramlab.cli.output import running
from gramlab.numerics.streams import MAX_SEED

if TYPE_CHECKING:
    from gramlab.theorems.catalogue import Report

EXAMPLES = (
    "gramlab theorems duality-gap --instances 500",
    "gramlab theorems",
    "gramlab theorems --seed 7 --json -",
)

_NAME = typer.Argument(metavar="NAME", help="One theorem; all of them without it.")
_INSTANCES = options.at_least(1, "Instances drawn to check each theorem on.")
_MARKS = {
    "P": "stated by the paper",
    "C": "read off the authors' code",
    "D": "derived for this project",
}


def theorems(
    context: typer.Context,
    name: Annotated[str | None, _NAME] = None,
    instances: Annotated[int, _INSTANCES] = 100,
    seed: Annotated[int, options.at_least(0, "Seed of the instances.", MAX_SEED)] = 0,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Prove and check the theorems that gramlab rests on.

    Prove every theorem of the registry and check it on drawn instances; with NAME, tell one
    theorem's whole story. The exit code is 1 if a theorem misses the verdict it should reach,
    or its conclusion fails on an instance.
    """
    from gramlab.theorems import catalogue  # imports the algebra systems

    chosen = list(catalogue.registry.values()) if name is None else [catalogue.find(name)]
    shown: dict[str, Any] = {"instances": instances, "seed": seed}
    shown |= {"verdict": format_verdict, "source": format_source}
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
        counts = Counter(report.proof.verdict for report in reports)
        output.show("theorems", "", 72, reports=reports, counts=counts, **shown)
    else:
        output.show("theorem", "", 72, report=reports[0], **shown)
    failing = [report.theorem.name for report in reports if not report.ok]
    if failing:
        text.say(f"error: {len(failing)} of {len(reports)} fail: {', '.join(failing)}")
        raise typer.Exit(1)


def format_verdict(report: Report) -> str:
    """The verdict in words: a statement kept because it is false says so, a miss too."""
    found, expected = report.proof.verdict, report.theorem.expected
    if found != expected:
        return f"{found}, where {expected} was expected"
    return "counterexample, as it should be" if found == "counterexample" else found


def format_source(source: str) -> str:
    """The source, with the meaning of the marks in it."""
    marks = dict.fromkeys(re.findall(r"\b[PCD]\b", source))
    meanings = [f"{mark}: {_MARKS[mark]}" for mark in marks]
    return f"{source} — {', '.join(meanings)}" if meanings else source
