"""``gramlab study SOURCE``: the paper's experiments by name, resumable, with tables and figures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab import validation
from gramlab.cli import options, terminal
from gramlab.cli.output import json_path, made_folder
from gramlab.cli.stopping import Stopped
from gramlab.cli.study_progress import Progress
from gramlab.errors import InvalidSetting
from gramlab.storage import atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.study.engine import StudyResult
    from gramlab.study.plan import Plan

__all__ = ["EPILOG", "EXAMPLE", "HELP", "SHORT_HELP", "study"]

HELP = """Run an experiment of the paper on SOURCE: every cell of its grid once, each exact head
certified, theory beside truth, partial labels, mixtures and a tuned single head beside the rounds.
A study that is stopped goes on where it was when the same command is run again."""

SHORT_HELP = "The paper's experiments by name, resumable, with tables and figures."

EXAMPLE = "gramlab study digits --recipe fig6a --rates 0.5 --seeds 0 --out digits-study"

EPILOG = f"""\b
Examples:
  {EXAMPLE}
  gramlab study features.npz --recipe fig2 --center --unit-norm --out fig2
  gramlab study features.npz --recipe tables --out tables --dry-run

\b
Recipes: fig2, fig6a, fig6b, fig7a, fig7b, fig7c, fig8a, fig8b, fig8c and tables (of the paper);
  block, approximation, refinement, top2, ablation, published.
Besides the sources that gramlab check takes, block-model is a data set made to the theory's
  assumptions; block-model:classes=4,per_class=100,within=0.4,superclass=0.1,between=0.1,size=2.
"""


def study(
    source: options.Source,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", show_default=False, help="Which experiment.")
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR",
            show_default=False,
            help="Folder of the study: cells, rows, tables, figures, manifest.",
        ),
    ] = None,
    noise: Annotated[
        str | None, typer.Option("--noise", metavar="LIST", help="Kinds of label noise.")
    ] = None,
    rates: Annotated[
        str | None, typer.Option("--rates", metavar="LIST", help="Shares of labels to spoil.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", metavar="LIST", help="Keys of the label noise.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", help="Trainings, the teacher included.")
    ] = None,
    weight_decay: Annotated[
        str | None,
        typer.Option("--weight-decay", metavar="LIST", help="Of small, base, large, or numbers."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            metavar="LIST",
            help="Of distill, top2-ce, top2-gce, mixture, tuned; distill is always needed.",
        ),
    ] = None,
    line: Annotated[
        str,
        typer.Option("--line", help="Data set whose small, base and large weight decay to take."),
    ] = "caltech-101",
    center: options.Center = False,
    unit_norm: options.UnitNorm = False,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", help="Relative duality gap every exact head reaches."),
    ] = 1e-8,
    local_bound: Annotated[
        bool,
        typer.Option("--local-bound", help="Sharpen certificates; costs more than the heads."),
    ] = False,
    epochs: Annotated[int, typer.Option("--epochs", help="Of recipe published.")] = 200,
    cells: Annotated[
        str | None,
        typer.Option(
            "--cells",
            metavar="DIR",
            show_default=False,
            help="Keep cells there, to share them between studies; default: in --out.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what it would take, and compute nothing."),
    ] = False,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab study``: settings and output paths first, then the cells, then the files."""
    if out is None and not dry_run:
        raise InvalidSetting("--out must name the folder of the study, got none; or add --dry-run")
    narrowed = {
        "noise": _texts(noise),
        "rates": _numbers("--rates", rates),
        "seeds": _numbers("--seeds", seeds),
        "rounds": rounds,
        "weight_decay": _texts(weight_decay),
        "methods": _texts(methods),
    }
    asked = {
        "line": line,
        "center": center,
        "unit_norm": unit_norm,
        "tolerance": validation.check_positive("--tolerance", tolerance),
        "local_bound": local_bound,
        "epochs": validation.check_integer("--epochs", epochs, 1),
    }
    from gramlab.study.recipes import recipe_named

    chosen = recipe_named(recipe).narrowed(**narrowed)
    folder = None if out is None else Path(os.path.expanduser(out))
    kept = None if cells is None else Path(os.path.expanduser(cells))
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        if folder is not None and not dry_run:
            stack.enter_context(made_folder(folder))
        progress = stack.enter_context(Progress(quiet=quiet))
        plan = _plan(source, chosen, asked, progress.stage)
        if dry_run or folder is None:
            found, words = _dry_run(plan, folder, kept)
            written: list[str] = []
        else:
            command = _command(source, plan, asked)
            found, words, written = _run(plan, folder, kept, command, progress)
        text = to_json(found)
        if file is not None:
            written.append(str(atomic_write(file, text)))
    if json == "-":
        terminal.emit(text)
    elif not quiet:
        terminal.emit(words + "".join(f"Wrote {files}\n" for files in written))


def _plan(source: str, recipe: Any, asked: dict[str, Any], stage: Callable[[str], None]) -> Plan:
    """Load the features and spell the recipe out; what is heavy is imported here."""
    from gramlab.sources import load_features
    from gramlab.study.plan import make_plan
    from gramlab.study.synthetic import BLOCK_MODEL, block_model_features

    stage("loading features")
    if source.partition(":")[0] == BLOCK_MODEL:
        features, name = block_model_features(source), source
    else:
        features, name = load_features(source), Path(source).stem
    stage("preparing features")
    return make_plan(recipe, features, name, **asked)


def _run(
    plan: Plan, folder: Path, cells: Path | None, command: str, progress: Progress
) -> tuple[dict[str, Any], str, list[str]]:
    from gramlab.cli.study_files import write_study
    from gramlab.cli.study_table import study_summary
    from gramlab.study.engine import run_study

    began = time.monotonic()
    try:
        result = run_study(plan, folder, cells_folder=cells, progress=progress)
    except Stopped:
        terminal.say(f"finished cells are kept; the same command goes on from there: {command}")
        raise
    seconds = time.monotonic() - began
    progress.stage("tables and figures")
    found = _as_dict(result, command)
    written = write_study(result, folder, command)
    return found, study_summary(result, seconds), written


def _as_dict(result: StudyResult, command: str) -> dict[str, Any]:
    """The machine-readable result: results only, no times, nothing about this run."""
    return {
        "command": command,
        "settings": result.plan.identity(),
        "heads": result.heads,
        "passes": result.passes,
        "missed_tolerance": result.missed,
        "rows": result.rows,
    }


def _dry_run(plan: Plan, folder: Path | None, cells: Path | None) -> tuple[dict[str, Any], str]:
    from gramlab.cli.study_table import dry_run_words
    from gramlab.study.engine import open_store
    from gramlab.study.estimate import estimate_study

    place = cells if cells is not None else None if folder is None else folder / "cells"
    store = None if place is None else open_store(plan, place)
    estimate = estimate_study(plan, store)
    found = {
        "command": "study --dry-run",
        "settings": plan.identity(),
        "estimate": estimate.as_dict(),
        "cells": [cell.content() | {"name": cell.name} for cell in plan.cells],
    }
    return found, dry_run_words(plan, estimate)


def _command(source: str, plan: Plan, asked: dict[str, Any]) -> str:
    """The command that makes this study again, with every list spelled out; no path of a machine.

    Only the name of the source is given, because its folder differs from machine to machine.
    """
    recipe = plan.recipe
    words = ["gramlab", "study", Path(source).name, "--recipe", recipe.name]
    for option, values in (
        ("--noise", recipe.noise),
        ("--rates", [f"{rate:g}" for rate in recipe.rates]),
        ("--seeds", recipe.seeds),
        ("--rounds", [recipe.rounds]),
        ("--weight-decay", recipe.weight_decay),
        ("--methods", recipe.methods),
    ):
        text = ",".join(map(str, values))
        words += [option, f"'{text}'" if " " in text else text]
    words += ["--line", asked["line"], "--tolerance", f"{asked['tolerance']:g}"]
    for option, given in (
        ("--center", asked["center"]),
        ("--unit-norm", asked["unit_norm"]),
        ("--local-bound", asked["local_bound"]),
    ):
        words += [option] if given else []
    if "published" in recipe.kinds:
        words += ["--epochs", str(asked["epochs"])]
    return " ".join(words)


def _texts(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _numbers(name: str, text: str | None) -> list[Any] | None:
    """A list of numbers, whole ones as int."""
    parts = _texts(text)
    if parts is None:
        return None
    out: list[Any] = []
    for part in parts:
        try:
            out.append(int(part) if name == "--seeds" else float(part))
        except ValueError:
            kind = "whole numbers" if name == "--seeds" else "numbers"
            raise InvalidSetting(
                f"{name} must hold {kind} separated by commas, got {part!r}"
            ) from None
    return out
