"""The files of a study: rows, tables, answers, figures, and a manifest that ties them to cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gramlab.cli.study_table import premise_tables
from gramlab.errors import InvalidSetting, OutputError
from gramlab.storage import atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.figures import Figure
    from gramlab.study.engine import StudyResult

__all__ = ["study_figures", "write_study"]

_PREMISES = ("structure", "approximation")
_Rows = Sequence[dict[str, Any]]


def write_study(result: StudyResult, folder: Path, command: str) -> list[str]:
    """Write everything but the cells, which are there; what was written, in words.

    Nothing in these files depends on when, in which order or in how many runs the cells were
    computed.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    from gramlab.figures import save_figure
    from gramlab.study.tables import write_rows

    try:
        (folder / "manifest.json").unlink(missing_ok=True)  # it closes the set
    except OSError as problem:
        raise OutputError(
            f"expected to replace {str(folder / 'manifest.json')!r}, but: {problem.strerror}; "
            "remove it or choose another folder"
        ) from problem
    written = []
    for name in ("rows.csv", "rows.json", "rows.parquet"):
        try:
            write_rows(result.rows, folder / name)
        except InvalidSetting as problem:
            if name != "rows.parquet":  # which needs a package that not everybody has
                raise
            written.append(f"no {name}: {problem}")
    for name, text in _texts(result.rows).items():
        atomic_write(folder / name, text)
    figures = study_figures(result)
    for name, (figure, _) in figures.items():
        save_figure(figure, folder / name)
    cells = {name: keys for name, (_, keys) in figures.items()}
    atomic_write(folder / "manifest.json", to_json(_manifest(result, command, cells)))
    count = f"{len(figures)} figure{'s' * (len(figures) != 1)}"
    return [f"rows, tables, {count} and manifest.json to {folder}", *written]


def _texts(rows: _Rows) -> dict[str, str]:
    """Tables and answers, by file name."""
    from gramlab.study.answers import answers_markdown, study_answers
    from gramlab.study.tables import result_tables, tables_latex, tables_markdown

    heads = [row for row in rows if row["method"] not in _PREMISES]
    out = {}
    if heads:
        tables = result_tables(heads, "test_accuracy") + result_tables(heads, "label_recovery")
        out["table.md"] = tables_markdown(tables)
        out["table.tex"] = tables_latex(tables)
        out["answers.md"] = answers_markdown(heads)
        out["answers.json"] = to_json(study_answers(heads))
    premises = [row for row in rows if row["method"] in _PREMISES]
    if premises:
        parts = [out["table.md"]] if "table.md" in out else []
        for title, headers, lines in premise_tables(premises):
            names = [" ".join(header.split()) for header in headers]
            pipes = [names, ["---:"] * len(names), *lines]
            table = "\n".join(f"| {' | '.join(cells)} |" for cells in pipes)
            parts.append(f"**{title}**\n\n{table}\n")
        out["table.md"] = "\n".join(parts)
    return out


def study_figures(result: StudyResult) -> dict[str, tuple[Figure, list[str]]]:
    """The figures of a study by file name, each with the keys of the cells it shows."""
    from gramlab.figures import (
        accuracy_by_rounds,
        coverage_by_rate,
        eigenvalue_gap,
        error_by_logits,
        gain_over_teacher,
    )
    from gramlab.spectrum import Spectrum

    rows, out = result.rows, {}
    plain = [row for row in rows if row["method"] not in (*_PREMISES, "ablation", "published")]
    measure = "test_accuracy"
    if all(row["test_accuracy"] is None for row in plain):
        measure = "label_recovery"
    settings = dict.fromkeys((r["noise"], r["weight_decay_name"]) for r in plain)
    for noise, size in settings:
        if size == "tuned":
            continue
        own = [
            r for r in plain if r["noise"] == noise and r["weight_decay_name"] in (size, "tuned")
        ]
        keys = _keys(result, ("grid", "tuned"), noise, (size, "tuned"))
        stem = _slug(f"{noise}-{size}")
        if any(r["method"] == "distill" and r["round"] == 2 for r in own):
            out[f"gain-{stem}.png"] = (gain_over_teacher(own, measure=measure), keys)
        grid = _keys(result, ("grid",), noise, (size,))
        heads = [r for r in own if r["method"] != "tuned"]
        out[f"rounds-{stem}.png"] = (accuracy_by_rounds(heads, measure=measure), grid)
    for size in dict.fromkeys(size for _, size in settings if size != "tuned"):
        teachers = [r for r in plain if r["method"] == "distill" and r["weight_decay_name"] == size]
        keys = _keys(result, ("grid",), None, (size,))
        out[f"coverage-{_slug(size)}.png"] = (coverage_by_rate(teachers), keys)
    for noise in dict.fromkeys(r["noise"] for r in rows if r["method"] == "approximation"):
        own = [r for r in rows if r["noise"] == noise]
        keys = _keys(result, ("approximation",), noise, None)
        out[f"error-by-logits-{_slug(noise)}.png"] = (error_by_logits(own), keys)
    if any(r["method"] == "structure" for r in rows):
        features = result.plan.features
        figure = eigenvalue_gap(Spectrum.of(features), features.n_classes)
        out["eigenvalue-gap.png"] = (figure, _keys(result, ("structure",), None, None))
    return out


def _keys(
    result: StudyResult, kinds: Sequence[str], noise: str | None, names: Sequence[str] | None
) -> list[str]:
    """Keys of the cells of these kinds, this noise and these weight decays; None is any."""
    return [
        key
        for key, cell in zip(result.keys, result.plan.cells, strict=True)
        if cell.kind in kinds
        and noise in (None, cell.noise)
        and (names is None or cell.name in names)
    ]


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)


def _manifest(result: StudyResult, command: str, figures: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "command": command,
        "settings": result.plan.identity(),
        "figures": {name: {"command": command, "cells": cells} for name, cells in figures.items()},
        "cells": [
            {"key": key, "name": cell.name, **cell.content()}
            for key, cell in zip(result.keys, result.plan.cells, strict=True)
        ],
        "heads": result.heads,
        "passes": result.passes,
        "missed_tolerance": result.missed,
    }
