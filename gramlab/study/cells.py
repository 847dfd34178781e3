"""Cells: the pieces a study is computed, kept and found again by.

A cell is one draw of noisy labels and all heads fitted to it. Its key is a hash of everything that
its numbers depend on, so it is computed once, whatever study asks for it. No cell depends on
another one, not even by a start: a study that was interrupted gives the same bytes. A cell's file
is named by its key and holds the hash of its own results, so that a damaged one is seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gramlab.errors import OutputError
from gramlab.files.whole import atomic_write, differences, output_folder, read_json
from gramlab.numerics.content import sha256, to_json

__all__ = ["COLUMNS", "FORMAT", "Cell", "CellStore", "canonical_json", "claim_folder"]

FORMAT = 2
"""Number of what a cell's content means; raised when its numbers come to mean something else."""

COLUMNS = tuple(
    """
    noise rate realized_rate seed weight_decay method round
    train_accuracy label_recovery test_accuracy top_two_coverage
    relative_gap weights_bound certified_right certified_wrong certified_undecided
    relative_gradient_norm linearized_label_recovery linearized_test_accuracy
    argmax_agreement max_abs_distance selected_on
    """.split()
)
"""Columns that every row has; columns that only some methods have follow behind."""


def canonical_json(value: object) -> str:
    """One text for one value: keys sorted, no spaces, shortest decimals that are exact.

    Raises ValueError or TypeError if it has no such text: nan, infinite, or not of JSON's kinds.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Cell:
    """One piece of a study: heads of one kind on one draw of given labels, at one weight decay λ.

    λ is None for tuned cells, which choose it. ``options`` hold everything else that the numbers
    depend on; ``name`` is what the study calls the weight decay, and not part of the content.
    """

    kind: str
    noise: str
    rate: float
    seed: int
    weight_decay: float | None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def content(self) -> dict[str, Any]:
        """What the numbers depend on besides features and versions, as JSON has it."""
        return {name: value for name, value in vars(self).items() if name != "name"}

    def depends_on(self, fingerprint: str, versions: Mapping[str, str]) -> dict[str, Any]:
        """Everything that its numbers depend on."""
        of = {"features": fingerprint, "cell": self.content(), "versions": versions}
        return {"format": FORMAT, **of}

    def key(self, fingerprint: str, versions: Mapping[str, str]) -> str:
        """SHA-256 of these: 64 hexadecimal digits."""
        return sha256(canonical_json(self.depends_on(fingerprint, versions)))

    @property
    def heads(self) -> int:
        """Exact heads that it fits, for progress and estimates."""
        rounds = self.options.get("rounds", 0)
        students = {"top2-ce", "top2-gce", "mixture"}.intersection(self.options.get("methods", ()))
        return {
            "grid": rounds + len(students),
            "tuned": len(self.options.get("grid", ())) + 2,
            "ablation": 8,
            "published": 2 * rounds + 1,
            "approximation": rounds,
        }.get(self.kind, 0)

    @property
    def words(self) -> str:
        """The cell in a few words, for progress."""
        words = f"{self.kind}: {self.noise} {self.rate:g}, seed {self.seed}"
        decay = self.weight_decay
        return words if decay is None else f"{words}, weight decay {decay:.3g}"


class CellStore:
    """The files of finished cells, in a folder that is made when the first is written."""

    def __init__(self, folder: Path, fingerprint: str, versions: Mapping[str, str]) -> None:
        self.folder = folder
        self.of = (fingerprint, versions)

    def key(self, cell: Cell) -> str:
        """Key of a cell."""
        return cell.key(*self.of)

    def path(self, cell: Cell) -> Path:
        """File of a cell."""
        return self.folder / f"{self.key(cell)}.json"

    def read(self, cell: Cell) -> tuple[dict[str, Any] | None, str]:
        """What is kept of a cell, or None and what is wrong with its file, if there is one."""
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
            results = found["results"]
            if found["sha256"] == sha256(canonical_json(results)) and _are_results(results):
                return results, ""
        except (KeyError, TypeError, ValueError, RecursionError):
            pass
        return None, f"{path.name} does not match its hash"

    def write(self, cell: Cell, results: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a cell's results in a whole file (or raise), and return them as they are read."""
        plain = json.loads(to_json(results))
        output_folder(self.folder)
        content = {
            "key": self.key(cell),
            **cell.depends_on(*self.of),
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
        and all(isinstance(row, dict) and row.keys() >= set(COLUMNS) for row in rows)
        and not any(isinstance(value, list | dict) for row in rows for value in row.values())
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
    path, wanted = folder / "study.json", json.loads(to_json(identity))
    try:
        found = differences(read_json(path), wanted)
    except FileNotFoundError:
        foreign = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        if foreign:
            raise OutputError(
                f"expected an empty folder or one of a study, but {str(folder)!r} holds "
                f"{foreign[0]!r} and no {path.name}; choose another folder"
            ) from None
        atomic_write(path, to_json(wanted))
        return
    except (OSError, ValueError) as problem:
        raise OutputError(
            f"expected the settings of a study in {str(path)!r}, but: {problem}; remove that file "
            "to claim the folder again, or choose another folder"
        ) from problem
    if found:
        raise OutputError(
            f"the output folder {str(folder)!r} is of a study with other settings: "
            f"{'; '.join(found)}; choose another folder, or ask for the same settings"
        )
