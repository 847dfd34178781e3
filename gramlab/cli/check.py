"""``gramlab check SOURCE``: the main job, from features to table, figures and report."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab import validation
from gramlab.cli import options, terminal
from gramlab.cli.output import json_path, made_folder
from gramlab.errors import InvalidSetting, OutputError
from gramlab.storage import atomic_path, atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.check import CheckResult

__all__ = ["EPILOG", "EXAMPLE", "HELP", "SHORT_HELP", "check"]

HELP = """Spoil the labels of SOURCE, run self-distillation through the closed form and through
exact softmax heads, and compare the two round by round, with certificates."""

SHORT_HELP = "Theory beside the exact heads, round by round: the main job."

EXAMPLE = "gramlab check digits --unit-norm --weight-decay 1e-4 --out digits-report"

EPILOG = f"""\b
Examples:
  {EXAMPLE}
  gramlab check features.npz --noise asymmetric --rate 0.3 --json -
"""

_LAST_SEED = 2**64 - 1


class Certify(StrEnum):
    """What "certified" is about."""

    CHAIN = "chain"
    ROUND = "round"


def check(
    source: options.Source,
    noise: options.Noise = options.NoiseKind.SYMMETRIC,
    rate: options.Rate = 0.5,
    weight_decay: options.WeightDecay = 5e-4,
    rounds: options.Rounds = 5,
    seed: options.Seed = 0,
    center: options.Center = False,
    unit_norm: options.UnitNorm = False,
    exact_counts: options.ExactCounts = False,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", help="Relative duality gap every exact head reaches."),
    ] = 1e-8,
    certified_share: Annotated[
        float,
        typer.Option(
            "--certified-share", help="Share of training predictions to certify, in (0, 1]."
        ),
    ] = 0.99,
    certify: Annotated[
        Certify,
        typer.Option(
            "--certify",
            help="What certified right / wrong / undecided is about: the iterate that exact rounds "
            "from the given labels reach (chain), or the optimum for the targets that each round "
            "was given (round).",
        ),
    ] = Certify.CHAIN,
    out: options.OutFolder = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab check``: settings and output paths first, then the work, then the files."""
    asked = {
        "noise": noise.value,
        "rate": validation.check_rate("--rate", rate),
        "weight_decay": validation.check_positive("--weight-decay", weight_decay),
        "rounds": validation.check_integer("--rounds", rounds, 1),
        "seed": validation.check_integer("--seed", seed, 0, _LAST_SEED),
        "center": center,
        "unit_norm": unit_norm,
        "exact_counts": exact_counts,
        "tolerance": validation.check_positive("--tolerance", tolerance),
        "certified_share": _share("--certified-share", certified_share),
        "certify": certify.value,
    }
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        folder = None if out is None else Path(os.path.expanduser(out))
        if folder is not None:
            stack.enter_context(made_folder(folder))
        progress = stack.enter_context(terminal.Progress(asked["tolerance"], quiet=quiet))
        result = _run(source, asked, progress)
        found = result.as_dict()
        text = to_json(found)
        written = [] if folder is None else _write(folder, result, text, progress.stage)
        if file is not None:
            written.append(str(atomic_write(file, text)))
    failures = terminal.recursion_failures(found)
    if failures:
        terminal.say(f"warning: {failures}")
    if json == "-":
        terminal.emit(text)
    elif not quiet:
        terminal.emit(terminal.summary(found, Path(source).name, written))


def _run(source: str, asked: dict[str, Any], progress: terminal.Progress) -> CheckResult:
    """Load the features and run the chain; what is heavy is imported here."""
    from gramlab.sources import load_features

    progress.stage("loading features")
    features = load_features(source)

    from gramlab.check import CheckSettings, run_check

    return run_check(features, CheckSettings(**asked), progress)


def _write(folder: Path, result: CheckResult, text: str, stage: Callable[[str], None]) -> list[str]:
    """Write figures, report and results into the folder; what was written, in words."""
    from gramlab.figures import check_figures, save_figure
    from gramlab.report import check_report

    stage("figures")
    figures = check_figures(result)
    # results.json closes the set: while it is there, it belongs to the files beside it.
    try:
        (folder / "results.json").unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(
            f"expected to replace {str(folder / 'results.json')!r}, but: {problem.strerror}; "
            "remove it or choose another folder"
        ) from problem
    pngs = {}
    for stem, figure in figures.items():
        with atomic_path(folder / f"{stem}.png") as temporary:
            pngs[stem] = save_figure(figure, temporary).read_bytes()
    stage("report")
    atomic_write(folder / "report.html", check_report(result, figures, pngs))
    atomic_write(folder / "results.json", text)
    return [f"results.json, report.html and {len(figures)} figures to {folder}"]


def _share(name: str, value: float) -> float:
    if not 0.0 < value <= 1.0:
        raise InvalidSetting(
            f"{name} must be greater than 0 and at most 1, got {value}; "
            "0.99 asks for 99 % of the training predictions"
        )
    return value
