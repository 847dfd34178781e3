"""``gramlab study SOURCE``: the paper's experiments by name, resumable, with tables and figures."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab.cli import options, text
from gramlab.cli.output import Output, expanded, reopen
from gramlab.cli.stopping import Stopped
from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_write
from gramlab.numerics.content import to_json

if TYPE_CHECKING:
    from gramlab.study.engine import StudyResult
    from gramlab.study.plan import Plan

__all__ = ["EXAMPLES", "NOTE", "study"]

EXAMPLES = (
    "gramlab study digits --recipe fig6a --rates 0.5 --seeds 0 --out digits-study",
    "gramlab study features.npz --recipe fig2 --center --unit-norm --out fig2",
    "gramlab study features.npz --recipe tables --out tables --dry-run",
)

NOTE = """\b
Recipes: fig2, fig6a, fig6b, fig7a, fig7b, fig7c, fig8a, fig8b, fig8c and tables (of the paper);
  block, approximation, refinement, top2, ablation, published.
Besides the sources that gramlab check takes, block-model is a data set made to the theory's
  assumptions; block-model:classes=4,per_class=100,within=0.4,superclass=0.1,between=0.1,size=2.
"""

_METHODS = "Of distill, top2-ce, top2-gce, mixture, tuned; distill is always needed."
_LINE = "Data set whose small, base and large weight decay to take."
_CELLS = "Keep cells there, to share them between studies; default: in --out."
_LOCAL = "Sharpen certificates; costs more than the heads."


def _listed(help: str) -> Any:
    """An option that is a list."""
    return typer.Option(metavar="LIST", help=help)


def study(
    source: options.Source,
    recipe: Annotated[str, typer.Option(metavar="NAME", help="Which experiment.")],
    out: Annotated[
        str | None, options.out("Folder of the study: cells, rows, tables, figures, manifest.")
    ] = None,
    noise: Annotated[str | None, _listed("Kinds of label noise.")] = None,
    rates: Annotated[str | None, _listed("Shares of labels to corrupt.")] = None,
    seeds: Annotated[str | None, _listed("Keys of the label noise.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Trainings, the teacher included.")] = None,
    weight_decay: Annotated[str | None, _listed("Of small, base, large, or numbers.")] = None,
    methods: Annotated[str | None, _listed(_METHODS)] = None,
    line: Annotated[str, typer.Option(help=_LINE)] = "caltech-101",
    center: options.Center = False,
    unit_norm: options.UnitNorm = False,
    tolerance: options.Tolerance = 1e-8,
    local_bound: Annotated[bool, options.flag("--local-bound", _LOCAL)] = False,
    epochs: Annotated[int, options.at_least(1, "Of recipe published.")] = 200,
    cells: Annotated[str | None, typer.Option(metavar="DIR", help=_CELLS)] = None,
    dry_run: Annotated[
        bool, options.flag("--dry-run", "Say what it would take, and compute nothing.")
    ] = False,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """The paper's experiments by name, resumable, with tables and figures.

    Run an experiment of the paper on SOURCE: every cell of its grid once, each exact head
    certified, theory beside truth, partial labels, mixtures and a tuned single head beside the
    rounds. A study that is stopped goes on where it was when the same command is run again.
    """
    if out is None and not dry_run:
        raise InvalidSetting("--out must name the folder of the study, got none; or add --dry-run")
    from gramlab.study.recipes import recipe_named

    narrowed = {
        "noise": _texts(noise),
        "rates": _numbers("--rates", rates, float),
        "seeds": _numbers("--seeds", seeds, int),
        "rounds": rounds,
        "weight_decay": _texts(weight_decay),
        "methods": _texts(methods),
    }
    chosen = recipe_named(recipe).narrowed(**narrowed)
    asked: dict[str, Any] = {
        "line": line,
        "center": center,
        "unit_norm": unit_norm,
        "tolerance": tolerance,
        "local_bound": local_bound,
        "epochs": epochs,
    }
    kept = None if cells is None else expanded(cells)
    with Output(json, None if dry_run else out, quiet=quiet) as output:
        plan = _plan(source, chosen, asked, output)
        if dry_run or output.folder is None:
            place = None if out is None else expanded(out) / "cells"
            shown = _dry_run(plan, kept or place, output)
        else:
            command = _command(source, plan, asked)
            shown = _run(plan, output.folder, kept, command, output)
    features = plan.features
    superclasses = features.superclasses if plan.recipe.needs_superclasses else None
    test = None if features.test_x is None else len(features.test_x)
    count = None if superclasses is None else len(set(superclasses.tolist()))
    output.show("study", plan=plan, n_test=test, n_superclasses=count, **shown)


def _plan(source: str, recipe: Any, asked: dict[str, Any], output: Output) -> Plan:
    """Load the features and spell the recipe out; what is heavy is imported here."""
    from gramlab.study.plan import make_plan
    from gramlab.study.synthetic import BLOCK_MODEL, block_model_features

    if source.partition(":")[0] == BLOCK_MODEL:
        features, name = block_model_features(source), source
    else:
        features, name = output.load(source), Path(source).stem
    output.progress.stage("preparing features")
    return make_plan(recipe, features, name, **asked)


def _dry_run(plan: Plan, cells: Path | None, output: Output) -> dict[str, Any]:
    from gramlab.machine.memory import format_bytes
    from gramlab.study.engine import open_store
    from gramlab.study.estimate import estimate_study

    estimate = estimate_study(plan, None if cells is None else open_store(plan, cells))
    output.keep(
        {
            "command": "study --dry-run",
            "settings": plan.identity(),
            "estimate": estimate.as_dict(),
            "cells": [cell.content() | {"name": cell.name} for cell in plan.cells],
        }
    )
    kinds = Counter(cell.kind for cell in plan.cells)
    memory = format_bytes(estimate.memory_bytes)
    return {"result": None, "estimate": estimate, "kinds": kinds, "memory": memory}


def _run(
    plan: Plan, folder: Path, cells: Path | None, command: str, output: Output
) -> dict[str, Any]:
    from gramlab.study.engine import run_study
    from gramlab.study.summary import PREMISES, summary_tables

    began = time.monotonic()
    try:
        result = run_study(plan, folder, cells_folder=cells, progress=output.progress)
    except Stopped:
        text.say(f"finished cells are kept; the same command goes on from there: {command}")
        raise
    seconds = time.monotonic() - began
    output.progress.stage("tables and figures")
    found = {
        "command": command,
        "settings": plan.identity(),
        "heads": result.heads,
        "passes": result.passes,
        "missed_tolerance": result.missed,
    }
    output.written += _write(result, folder, found)
    output.keep_json(found | {"rows": result.rows})
    tables = [
        (one.title, one.lines, [(head, str(i), "") for i, head in enumerate(one.headers)])
        for one in summary_tables(result.rows)
    ]
    exact = [row for row in result.rows if row["certified_undecided"] is not None]
    return {
        "result": result,
        "seconds": seconds,
        "tables": tables,
        "heads": [row for row in result.rows if row["method"] not in PREMISES],
        "exact_gaps": [row["relative_gap"] for row in exact],
        "gaps": [r["relative_gap"] for r in result.rows if r["relative_gap"] is not None],
    }


def _write(result: StudyResult, folder: Path, found: dict[str, Any]) -> list[str]:
    """Write everything but the cells, which are there; what was written, in words.

    Nothing in these files depends on when, in which order or in how many runs the cells were
    computed.
    """
    from gramlab.figures import save_figure
    from gramlab.figures.study_set import study_figures
    from gramlab.study.answers import answers_markdown, study_answers
    from gramlab.study.summary import PREMISES, premise_tables
    from gramlab.study.tables import result_tables, tables_latex, tables_markdown, write_rows

    reopen(folder / "manifest.json")  # it closes the set
    without = []
    for name in ("rows.csv", "rows.json", "rows.parquet"):
        try:
            write_rows(result.rows, folder / name)
        except InvalidSetting as problem:
            if name != "rows.parquet":  # which needs a package that not everybody has
                raise
            without.append(f"no {name}: {problem}")
    heads = [row for row in result.rows if row["method"] not in PREMISES]
    tables = result_tables(heads, "test_accuracy") + result_tables(heads, "label_recovery")
    parts = [tables_markdown(tables)] if heads else []
    if heads:
        atomic_write(folder / "table.tex", tables_latex(tables))
        atomic_write(folder / "answers.md", answers_markdown(heads))
        atomic_write(folder / "answers.json", to_json(study_answers(heads)))
    parts += [table.markdown() for table in premise_tables(result.rows)]
    if parts:
        atomic_write(folder / "table.md", "\n".join(parts))
    figures = study_figures(result)
    for name, (figure, _) in figures.items():
        save_figure(figure, folder / name)
    command = found["command"]
    cells = [
        {"key": key, "name": cell.name, **cell.content()}
        for key, cell in zip(result.keys, result.plan.cells, strict=True)
    ]
    shows = {name: {"command": command, "cells": keys} for name, (_, keys) in figures.items()}
    manifest = {
        "command": command,
        "settings": found["settings"],
        "figures": shows,
        "cells": cells,
    }
    atomic_write(folder / "manifest.json", to_json(manifest | found))
    count = f"{len(figures)} figure{'s' * (len(figures) != 1)}"
    return [f"rows, tables, {count} and manifest.json to {folder}", *without]


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
        listed = ",".join(map(str, values))
        words += [option, f"'{listed}'" if " " in listed else listed]
    words += ["--line", asked["line"], "--tolerance", f"{asked['tolerance']:g}"]
    for name in ("center", "unit_norm", "local_bound"):
        words += [f"--{name.replace('_', '-')}"] if asked[name] else []
    if "published" in recipe.kinds:
        words += ["--epochs", str(asked["epochs"])]
    return " ".join(words)


def _texts(listed: str | None) -> list[str] | None:
    if listed is None:
        return None
    return [part.strip() for part in listed.split(",") if part.strip()]


def _numbers(name: str, listed: str | None, kind: type[int] | type[float]) -> list[Any] | None:
    numbers = []
    for part in _texts(listed) or []:
        try:
            numbers.append(kind(part))
        except ValueError:
            wanted = "whole numbers" if kind is int else "numbers"
            raise InvalidSetting(
                f"{name} must hold {wanted} separated by commas, got {part!r}"
            ) from None
    return None if listed is None else numbers
