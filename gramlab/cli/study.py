"""``gramlab study SOURCE``: the paper's experiments by name, resumable, with tables and figures."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from typer import Context

from gramlab.cli import options, text
from gramlab.cli.options import listed, option
from gramlab.cli.output import Output, expanded, given, running
from gramlab.cli.stopping import Stopped
from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_write
from gramlab.numerics.content import to_json

if TYPE_CHECKING:
    from gramlab.study.engine import StudyResult
    from gramlab.study.plan import Plan

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

_OUT = "Folder of the study: cells, rows, tables, figures, manifest."
_KNOWN = ("distill", "top2-ce", "top2-gce", "mixture", "tuned")
_METHODS = listed(f"Of {', '.join(_KNOWN)}; distill is always needed.", str, _KNOWN)
_NOISE = listed("Kinds of label noise.", str, get_args(options.NoiseKind))
_SIZES = ("small", "base", "large")
_DECAYS = listed(f"Of {', '.join(_SIZES)}, or numbers.", str, _SIZES)
_LINE = "Data set whose small, base and large weight decay to take."
_LOCAL = "Sharpen certificates; costs more than the heads."
_CELLS = "Keep cells there, to share them between studies; default: in --out."
_DRY_RUN = option("Say what it would take, and compute nothing.", "--dry-run")


def study(
    context: Context,
    source: options.Source,
    recipe: Annotated[str, option("Which experiment.", metavar="NAME")],
    out: Annotated[str | None, option(_OUT, metavar="DIR")] = None,
    noise: Annotated[list[str] | None, _NOISE] = None,
    rates: Annotated[list[str] | None, listed("Shares of labels to corrupt.", float)] = None,
    seeds: Annotated[list[str] | None, listed("Keys of the label noise.", int)] = None,
    given_file: options.Given = None,
    truth_file: options.Truth = None,
    rounds: Annotated[int | None, option("Trainings, the teacher included.")] = None,
    weight_decay: Annotated[list[str] | None, _DECAYS] = None,
    methods: Annotated[list[str] | None, _METHODS] = None,
    line: Annotated[str, option(_LINE)] = "caltech-101",
    center: options.Center = False,
    unit_norm: options.UnitNorm = False,
    tolerance: options.Tolerance = 1e-8,
    local_bound: Annotated[bool, option(_LOCAL, "--local-bound")] = False,
    epochs: Annotated[int, options.at_least(1, "Of recipe published.")] = 200,
    cells: Annotated[str | None, option(_CELLS, metavar="DIR")] = None,
    dry_run: Annotated[bool, _DRY_RUN] = False,
    figure_format: options.FigureFormat = "png",
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
    observed = options.observed(context)
    from gramlab.study.plan import make_plan
    from gramlab.study.recipes import recipe_named
    from gramlab.study.synthetic import BLOCK_MODEL, block_model_features

    whole = recipe_named(recipe)
    chosen = whole.narrowed(**given(context, whole.narrowed))
    with running(context, None if dry_run else out) as output:
        if source.partition(":")[0] == BLOCK_MODEL:
            features, name = block_model_features(source), source
        else:
            features, name = output.load(), Path(source).stem
        output.progress.stage("preparing features")
        asked = given(context, make_plan) | {"recipe": chosen, "features": features}
        plan = make_plan(**asked, name=name, observed=observed and observed(features))
        kept = None if cells is None else expanded(cells)
        if output.folder is None:
            shown = _dry_run(plan, kept or (expanded(out) / "cells" if out else None), output)
        else:
            seen = {"--given": given_file, "--truth": truth_file}
            command = _command(Path(source).name, plan, asked, seen)
            shown = _run(plan, output.folder, kept, command, output)
    output.show("study", "", plan=plan, **shown)


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
    heads = [row for row in result.rows if row["method"] not in PREMISES]
    _write(result, heads, folder, found, output)
    output.keep(found | {"rows": result.rows})
    tables = [
        (one.title, one.lines, [(head, str(i), "") for i, head in enumerate(one.headers)])
        for one in summary_tables(result.rows)
    ]
    return {"result": result, "seconds": seconds, "tables": tables, "heads": heads}


def _write(
    result: StudyResult, heads: list[Any], folder: Path, found: dict[str, Any], output: Output
) -> None:
    """Write everything but the cells, which are there.

    Nothing in these files depends on when, in which order or in how many runs the cells were
    computed.
    """
    from gramlab.figures.study_set import study_displays
    from gramlab.study.answers import answers_markdown, study_answers
    from gramlab.study.summary import premise_tables
    from gramlab.study.tables import result_tables, tables_latex, tables_markdown, write_rows

    figures = study_displays(result)
    output.draw({stem: display for stem, (display, _) in figures.items()}, "manifest.json")
    count = text.counted(len(figures), "figure")
    output.written.append(f"rows, tables, {count} and manifest.json to {folder}")
    for name in ("rows.csv", "rows.json", "rows.parquet"):
        try:
            write_rows(result.rows, folder / name)
        except InvalidSetting as problem:
            if name != "rows.parquet":  # which needs a package that not everybody has
                raise
            output.written.append(f"no {name}: {problem}")
    parts = [table.markdown() for table in premise_tables(result.rows)]
    if heads:
        tables = result_tables(heads, "test_accuracy") + result_tables(heads, "label_recovery")
        parts.insert(0, tables_markdown(tables))
        atomic_write(folder / "table.tex", tables_latex(tables))
        atomic_write(folder / "answers.md", answers_markdown(heads))
        atomic_write(folder / "answers.json", to_json(study_answers(heads)))
    if parts:
        atomic_write(folder / "table.md", "\n".join(parts))
    told = {"command": found["command"]}
    shows = {
        f"{stem}.{output.figure_format}": told | {"cells": keys}
        for stem, (_, keys) in figures.items()
    }
    cells = [
        {"key": key, "name": cell.name, **cell.content()}
        for key, cell in zip(result.keys, result.plan.cells, strict=True)
    ]
    manifest = {name: found[name] for name in ("command", "settings")}
    manifest |= {"figures": shows, "cells": cells} | found
    atomic_write(folder / "manifest.json", to_json(manifest))


def _command(name: str, plan: Plan, asked: dict[str, Any], seen: dict[str, str | None]) -> str:
    """The command that makes this study again, with every list spelled out; no path of a machine.

    Only the names of the source and of labels ``seen`` (path by option) are given, because their
    folders differ from machine to machine.
    """
    told, words = plan.identity(), ["gramlab", "study", name]
    planted = () if any(seen.values()) else ("noise", "rates", "seeds")
    words += [word for option, path in seen.items() if path for word in (option, Path(path).name)]
    for key in ("recipe", *planted, "rounds", "weight_decay", "methods", "line", "tolerance"):
        values = told[key] if isinstance(told[key], tuple) else [told[key]]
        parts = [str(one).removesuffix(".0") for one in values]
        words += [f"--{key.replace('_', '-')}", ",".join(parts)]
    flags = ("center", "unit_norm", "local_bound")
    words += [f"--{flag.replace('_', '-')}" for flag in flags if asked[flag]]
    if "published" in plan.recipe.kinds:
        words += ["--epochs", str(asked["epochs"])]
    return shlex.join(words)
