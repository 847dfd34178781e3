"""Where a study keeps what it has computed: one file per cell, and what the folder is for.

A cell's file is named by its key and holds the hash of its own results, so that a file that was
damaged, or put there under a wrong name, is seen and computed again. The folder's ``study.json``
says of which settings it is; other settings are refused, with the differences named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gramlab.errors import OutputError
from gramlab.files.whole import atomic_write, differences, output_folder, read_json
from gramlab.numerics.content import sha256, to_json
from gramlab.study.cells import COLUMNS, Cell, canonical_json

__all__ = ["CellStore", "claim_folder", "differences"]

_IDENTITY = "study.json"


class CellStore:
    """The files of finished cells.

    Parameters
    ----------
    folder
        Where they are; made when the first is written.
    fingerprint
        Of the prepared features.
    versions
        Of what computes the numbers.
    """

    def __init__(self, folder: Path, fingerprint: str, versions: Mapping[str, str]) -> None:
        self.folder = folder
        self.fingerprint = fingerprint
        self.versions = dict(versions)

    def key(self, cell: Cell) -> str:
        """Key of a cell."""
        return cell.key(self.fingerprint, self.versions)

    def path(self, cell: Cell) -> Path:
        """File of a cell."""
        return self.folder / f"{self.key(cell)}.json"

    def read(self, cell: Cell) -> tuple[dict[str, Any] | None, str]:
        """What is kept of a cell, or ``None`` and what is wrong with its file.

        The reason is empty where there simply is no file.
        """
        path = self.path(cell)
        try:
            found = read_json(path)
        except FileNotFoundError:
            return None, ""
        except (OSError, ValueError) as problem:
            return None, f"{path.name} cannot be read ({problem})"
        if not isinstance(found, dict):
            return None, f"{path.name} holds no mapping"
        if found.get("key") != self.key(cell):
            return None, f"{path.name} is of another cell"
        try:
            whole = found["sha256"] == sha256(canonical_json(found["results"]))
            whole = whole and _are_results(found["results"])
        except (KeyError, TypeError, ValueError, RecursionError):
            whole = False
        return (found["results"], "") if whole else (None, f"{path.name} does not match its hash")

    def write(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a cell's results; the file appears whole or not at all.

        Returns
        -------
        dict
            The results as they will be read again.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        plain = json.loads(to_json(results))
        output_folder(self.folder)
        content = {
            "key": self.key(cell),
            **cell.depends_on(self.fingerprint, self.versions),
            "sha256": sha256(canonical_json(plain)),
            "results": plain,
        }
        atomic_write(self.path(cell), to_json(content))
        return plain


def _are_results(found: Any) -> bool:
    """Whether this has the form of a cell's results: rows with the usual columns, and its work."""
    rows, work = found["rows"], found["work"]
    return (
        isinstance(rows, list)
        and all(isinstance(values, dict) and values.keys() >= set(COLUMNS) for values in rows)
        and all(
            isinstance(value, (str, int, float, type(None)))
            for values in rows
            for value in values.values()
        )
        and all(type(work[name]) in (int, float) for name in ("heads", "passes", "missed"))
    )


def claim_folder(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make a folder the output of a study, or find that it is that already.

    Raises
    ------
    OutputError
        If it belongs to a study with other settings (each difference is named), or holds files
        that no study put there.
    """
    output_folder(folder)
    if (folder / "cells").is_symlink():
        raise OutputError(
            f"expected a folder for the cells, but {str(folder / 'cells')!r} is a link, which may "
            "lead out of the study's folder; remove it, and name the place with --cells"
        )
    path = folder / _IDENTITY
    wanted = json.loads(to_json(identity))
    try:
        there = read_json(path)
    except FileNotFoundError:
        foreign = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        if foreign:
            raise OutputError(
                f"expected an empty folder or one of a study, but {str(folder)!r} holds "
                f"{foreign[0]!r} and no {_IDENTITY}; choose another folder"
            ) from None
        atomic_write(path, to_json(wanted))
        return
    except (OSError, ValueError) as problem:
        raise OutputError(
            f"expected the settings of a study in {str(path)!r}, but: {problem}; remove that file "
            "to claim the folder again, or choose another folder"
        ) from problem
    found = differences(there, wanted)
    if found:
        raise OutputError(
            f"the output folder {str(folder)!r} is of a study with other settings: "
            f"{'; '.join(found)}; choose another folder, or ask for the same settings"
        )
