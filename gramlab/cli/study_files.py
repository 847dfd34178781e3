"""The files of a study: rows, tables, figures, and the manifest that ties them to cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gramlab.storage import atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.study.engine import StudyResult

__all__ = ["write_study"]


def write_study(result: StudyResult, folder: Path, command: str) -> list[str]:
    """Write everything but the cells, which are there; what was written, in words.

    Nothing in these files depends on when, in which order or on how many devices the cells were
    computed.
    """
    (folder / "manifest.json").unlink(missing_ok=True)  # it closes the set
    atomic_write(folder / "rows.json", to_json(result.rows))
    manifest = _manifest(result, command, {})
    atomic_write(folder / "manifest.json", to_json(manifest))
    return [f"rows and manifest.json to {folder}"]


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
