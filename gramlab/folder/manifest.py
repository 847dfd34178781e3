"""What a folder holds, or is becoming: its manifest and its plan."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gramlab.errors import UnreadableSource
from gramlab.folder.shard import FORMAT, Broken, shards_of
from gramlab.storage import sha256, to_json

__all__ = [
    "MANIFEST",
    "PLAN",
    "Manifest",
    "is_feature_folder",
    "manifest_of",
    "plan_differences",
    "read_manifest",
    "record_of",
]

MANIFEST, PLAN = "manifest.json", "plan.json"


@dataclass(frozen=True)
class Manifest:
    """What a finished folder holds.

    Attributes
    ----------
    plan
        Everything the rows depend on, as the writer was given it.
    n_features
        d.
    shards
        (file name, rows in it, SHA-256 of the file) in order, train before test.
    broken
        Inputs that gave no row.
    """

    plan: dict[str, Any]
    n_features: int
    shards: tuple[tuple[str, int, str], ...]
    broken: tuple[Broken, ...]

    def rows(self, split: str) -> int:
        """Number of rows that a split holds."""
        return sum(rows for name, rows, _ in self.shards if name.startswith(f"{split}-"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``manifest.json`` without its checksum."""
        return {
            "format": FORMAT,
            "plan": self.plan,
            "n_features": self.n_features,
            "rows": {split: self.rows(split) for split in self.plan["splits"]},
            "shards": [{"file": f, "rows": n, "sha256": s} for f, n, s in self.shards],
            "broken": [entry._asdict() for entry in self.broken],
        }


def is_feature_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is, or is becoming, a folder of feature shards."""
    folder = Path(path)
    return any((folder / name).is_file() for name in (MANIFEST, PLAN))


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read and check the manifest of a finished folder.

    Raises
    ------
    UnreadableSource
        If it is missing, unfinished or damaged.
    """
    folder = Path(path)
    if not (folder / MANIFEST).is_file():
        if (folder / PLAN).is_file():
            plan = record_of(folder / PLAN).get("plan") or {}
            total = sum(1 for _ in shards_of(plan)) if plan else 0
            there = sum(1 for _ in folder.glob("*.safetensors"))
            raise UnreadableSource(
                f"folder {str(folder)!r} is unfinished: {there} of {total} shards are there; run "
                "the command that began it again, it goes on where it stopped"
            )
        raise UnreadableSource(
            f"folder {str(folder)!r} has no {MANIFEST}, so it is no folder of features; give the "
            "folder that gramlab extract wrote"
        )
    return manifest_of(folder / MANIFEST)


def record_of(path: Path) -> dict[str, Any]:
    """A plan or manifest as it stands in its file; refused if it is not of this format."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise _damaged_record(path, problem) from problem
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _damaged_record(path, f"it is not of format {FORMAT!r}")
    return found


def manifest_of(path: Path) -> Manifest:
    """The manifest in a file, held against its own checksum."""
    found = record_of(path)
    counted = {key: value for key, value in found.items() if key != "checksum"}
    if found.get("checksum") != sha256(to_json(counted)):
        raise _damaged_record(path, "it differs from its checksum")
    return Manifest(
        found["plan"],
        found["n_features"],
        tuple((entry["file"], entry["rows"], entry["sha256"]) for entry in found["shards"]),
        tuple(Broken(**entry) for entry in found["broken"]),
    )


def _damaged_record(path: Path, problem: object) -> UnreadableSource:
    return UnreadableSource(
        f"{path.name!r} in {str(path.parent)!r} is damaged ({problem}); run the command that made "
        "the folder again: it moves that file away, verifies the shards and writes it anew"
    )


def plan_differences(old: Any, new: Any, where: str = "") -> list[str]:
    """What two plans differ in, by name; long values are cut."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in dict.fromkeys([*old, *new]):
            inside = f"{where}.{key}" if where else str(key)
            if key not in old or key not in new or old[key] != new[key]:
                found += plan_differences(old.get(key), new.get(key), inside)
        return found

    def short(value: Any) -> str:
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= 60 else f"{text[:57]}..."

    return [f"{where}: {short(old)} there, {short(new)} asked"]
