"""What a folder holds, or is becoming: its manifest and its plan."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gramlab.errors import InvalidSetting, NotEnoughMemory, UnreadableSource
from gramlab.folder.shard import FORMAT, Broken, checked_plan, count_shards
from gramlab.storage import read_json, sha256, to_json

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
    try:
        return any((folder / name).is_file() for name in (MANIFEST, PLAN))
    except (OSError, ValueError):  # no path that could be one
        return False


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
            try:
                total = count_shards(checked_plan(record_of(folder / PLAN).get("plan")))
            except ValueError as problem:
                raise _damaged_record(folder / PLAN, problem) from problem
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
        found = read_json(path)
    except NotEnoughMemory:
        raise
    except (OSError, ValueError) as problem:
        raise _damaged_record(path, problem) from problem
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _damaged_record(path, f"it is not of format {FORMAT!r}")
    return found


def manifest_of(path: Path) -> Manifest:
    """The manifest in a file, held against its own checksum."""
    found = record_of(path)
    counted = {key: value for key, value in found.items() if key != "checksum"}
    try:
        if found.get("checksum") != sha256(to_json(counted)):
            raise ValueError("it differs from its checksum")
        plan = checked_plan(found.get("plan"))
        shards = _entries(found.get("shards"), {"file": str, "rows": int, "sha256": str})
        kinds = dict(zip(Broken._fields, (str, int, str, str), strict=True))
        broken = _entries(found.get("broken"), kinds)
        if len(shards) != count_shards(plan):
            raise ValueError(f"its plan has {count_shards(plan)} shards, it lists {len(shards)}")
        if type(found.get("n_features")) is not int:
            raise ValueError(f"the number of features is {found.get('n_features')!r}")
    except (ValueError, InvalidSetting) as problem:
        raise _damaged_record(path, problem) from problem
    return Manifest(
        plan,
        found["n_features"],
        tuple((entry["file"], entry["rows"], entry["sha256"]) for entry in shards),
        tuple(Broken(**entry) for entry in broken),
    )


def _entries(found: Any, types: Mapping[str, type]) -> list[dict[str, Any]]:
    """A list of mappings with these keys and types of values; ValueError if it is another thing."""
    if isinstance(found, list) and all(
        isinstance(entry, dict)
        and entry.keys() == types.keys()
        and all(type(entry[key]) is kind for key, kind in types.items())
        for entry in found
    ):
        return found
    raise ValueError(f"expected a list of mappings with {', '.join(types)}, it holds {found!r}")


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
