"""A folder of feature shards: written by one process at a time, resumed, verified, never half-read.

    plan.json                         what the folder is to become; there while it is unfinished
    train-00003-of-00011.safetensors  rows of a split, whole or absent, each with its own checksum
    manifest.json                     last: the plan, every shard with its SHA-256, broken inputs
    quarantine/                       damaged shards, moved out of the way by a writer or a check

A folder without a manifest is unfinished and is not read. A shard is written under a temporary
name, synced and renamed, so a writer killed at any moment leaves whole shards only, and the next
one goes on at the first missing one. The plan names everything that the rows depend on; a folder
whose plan differs in anything is refused, with the differences, and never silently used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.features import Features
from gramlab.files.tensors import open_tensors
from gramlab.files.whole import damaged, file_hash, read_json, reading
from gramlab.machine.memory import check_memory
from gramlab.numerics.content import checksum, sha256, to_json

__all__ = [
    "FORMAT",
    "MANIFEST",
    "PLAN",
    "SPLITS",
    "Broken",
    "Manifest",
    "Shard",
    "damaged_shard",
    "is_feature_folder",
    "listed_shard",
    "manifest_in",
    "open_shard",
    "read_folder",
    "read_manifest",
    "record_in",
    "shards_of",
]

FORMAT, MANIFEST, PLAN = "gramlab-folder-1", "manifest.json", "plan.json"
SPLITS = ("train", "test")
_REMAKE_SHARD = (
    "move it away with gramlab features verify --quarantine, then run the command that made the "
    "folder again: it makes what is missing, and only that"
)
_REMAKE_RECORD = (
    "run the command that made the folder again: it moves that file away, verifies the shards and "
    "writes it anew"
)


_MANIFEST_FORM = {
    "n_features": int,
    "shards": [{"file": str, "rows": int, "sha256": str}],
    "broken": [{"split": str, "row": int, "name": str, "reason": str}],
}


class Shard(NamedTuple):
    """Rows ``start`` to ``stop`` of a split; shard ``index`` of ``count``."""

    split: str
    index: int
    count: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """File name."""
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}.safetensors"


class Broken(NamedTuple):
    """An input that gave no row: its place in the split, its name and the reason."""

    split: str
    row: int
    name: str
    reason: str


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


def damaged_shard(path: Path, problem: object) -> UnreadableSource:
    """Say that a shard is damaged, and how to have it made again."""
    return damaged(_place(path), problem, _REMAKE_SHARD)


def _place(path: Path) -> str:
    return f"{path.name!r} in {str(path.parent)!r}"


def shards_of(plan: Mapping[str, Any]) -> Iterator[Shard]:
    """All shards of a plan, in order; a split without inputs has one empty shard."""
    size = plan["shard_rows"]
    for split, inputs in plan["splits"].items():
        count = _count(inputs, size)
        for index in range(count):
            yield Shard(split, index, count, index * size, min((index + 1) * size, inputs))


def _count(inputs: int, size: int) -> int:
    return max(1, -(-inputs // size))


def _count_all(plan: Mapping[str, Any]) -> int:
    """How many shards a plan has, without going through them: a damaged one may have 10**15."""
    return sum(_count(inputs, plan["shard_rows"]) for inputs in plan["splits"].values())


def _fits(value: Any, form: Any) -> bool:
    """Whether a value from a file has a form: a type, [form of each entry] or {key: form}."""
    if isinstance(form, dict):
        named = isinstance(value, dict) and form.keys() <= value.keys()
        return named and all(_fits(value[key], inner) for key, inner in form.items())
    if isinstance(form, list):
        return isinstance(value, list) and all(_fits(entry, form[0]) for entry in value)
    return type(value) is form


def _checked_plan(plan: Any) -> dict[str, Any]:
    """A plan from a file, in so far as shards are read by it; ValueError if no writer made it."""
    groups = plan.get("superclasses") if isinstance(plan, dict) else None
    if not (
        _fits(plan, {"splits": {"train": int}, "shard_rows": int, "class_names": [str]})
        and set(plan["splits"]) <= set(SPLITS)  # they become names of files
        and all(type(rows) is int and rows >= 0 for rows in plan["splits"].values())
        and plan["shard_rows"] >= 1
        and (groups is None or _fits(groups, [int]))
    ):
        raise ValueError("its plan is none that a writer makes")
    return plan


def is_feature_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is, or is becoming, a folder of feature shards."""
    try:
        return any((Path(path) / name).is_file() for name in (MANIFEST, PLAN))
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
    if (folder / MANIFEST).is_file():
        return manifest_in(folder / MANIFEST)
    if not (folder / PLAN).is_file():
        raise UnreadableSource(
            f"folder {str(folder)!r} has no {MANIFEST}, so it is no folder of features; give the "
            "folder that gramlab extract wrote"
        )
    with reading(_place(folder / PLAN), fix=_REMAKE_RECORD):
        plan = _checked_plan(record_in(folder / PLAN).get("plan"))
    shards = f"{sum(1 for _ in folder.glob('*.safetensors'))} of {_count_all(plan)} shards"
    raise UnreadableSource(
        f"folder {str(folder)!r} is unfinished: {shards} are there; run the command that "
        "began it again, it goes on where it stopped"
    )


def record_in(path: Path) -> dict[str, Any]:
    """A plan or manifest as it stands in its file; refused if it is not of this format."""
    with reading(_place(path), fix=_REMAKE_RECORD):
        found = read_json(path)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"it is not of format {FORMAT!r}")
    return found


def manifest_in(path: Path) -> Manifest:
    """The manifest in a file, held against its own checksum and its plan."""
    found = record_in(path)
    with reading(_place(path), fix=_REMAKE_RECORD):
        if found.get("checksum") != checksum(found):
            raise ValueError("it differs from its checksum")
        plan = _checked_plan(found.get("plan"))
        if not _fits(found, _MANIFEST_FORM):
            raise ValueError("it is none that a writer makes")
        shards, broken = found["shards"], found["broken"]
        if len(shards) != _count_all(plan):
            raise ValueError(f"its plan has {_count_all(plan)} shards, it lists {len(shards)}")
        for entry, shard in zip(shards, shards_of(plan), strict=True):
            if entry["file"] != shard.name:
                raise ValueError(f"it lists {entry['file']!r} where {shard.name!r} belongs")
        return Manifest(
            plan,
            found["n_features"],
            tuple((entry["file"], entry["rows"], entry["sha256"]) for entry in shards),
            tuple(Broken(**entry) for entry in broken),
        )


def open_shard(
    folder: Path, plan: Mapping[str, Any], shard: Shard, *, hashed: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Mapped tensors and header of a shard; what they hold is checked if `hashed`."""
    path = folder / shard.name
    with reading(_place(path), fix=_REMAKE_SHARD):
        metadata, tensors = open_tensors(path)
        header = json.loads(metadata["gramlab"])
        arrays = [tensors[name] for name in ("x", "labels", "rows")]
        fits = (
            header["format"] == FORMAT
            and header["shard"] == shard._asdict()
            and arrays[0].ndim == 2
            and len({len(array) for array in arrays}) == 1
            and len(arrays[0]) + len(header["broken"]) == shard.stop - shard.start
        )
        if header["plan"] != sha256(to_json(plan)):
            raise ValueError("it belongs to features made otherwise")
        if not fits:
            raise ValueError("its header does not describe this shard")
        if hashed and header.get("checksum") != checksum(header, *arrays):
            raise ValueError("its content differs from its checksum")
    return tensors, header


def listed_shard(
    folder: Path, manifest: Manifest, shard: Shard, listed: tuple[str, int, str], *, hashed: bool
) -> dict[str, np.ndarray]:
    """Tensors of a shard, refused if they are not as the manifest lists them."""
    name, rows, digest = listed
    path = folder / name
    if not path.is_file():
        raise UnreadableSource(
            f"shard {name!r} of {str(folder)!r} is missing; run the command that made the folder "
            "again, it makes that shard only"
        )
    tensors, _ = open_shard(folder, manifest.plan, shard, hashed=hashed)
    shape = tensors["x"].shape
    problem = ""
    if hashed and file_hash(path) != digest:
        problem = "its SHA-256 differs from the manifest"
    elif shape != (rows, manifest.n_features):
        problem = f"it has shape {shape}, the manifest says {rows} rows"
    if problem:
        raise damaged_shard(path, problem)
    return tensors


def read_folder(path: str | os.PathLike[str], *, verify: str = "full") -> Features:
    """Read a finished folder into one ``Features``.

    Parameters
    ----------
    path
        The folder.
    verify
        ``"full"`` hashes every shard, ``"sampled"`` the first, the last and every eighth,
        ``"none"`` checks names, sizes and headers only.

    Raises
    ------
    UnreadableSource
        If the folder is unfinished, or a shard is missing, truncated or damaged.
    NotEnoughMemory
        If the rows would not fit.
    """
    if verify not in ("full", "sampled", "none"):
        raise InvalidSetting(f'verify must be "full", "sampled" or "none", got {verify!r}')
    folder = Path(path)
    manifest = read_manifest(folder)
    plan = manifest.plan
    files = [folder / name for name, _, _ in manifest.shards]
    needed = 2 * sum(file.stat().st_size for file in files if file.exists())
    check_memory(needed, f"reading {folder.name!r}", "gramlab features import it to one file")
    parts: dict[tuple[str, str], list[np.ndarray]] = {}
    for position, (shard, listed) in enumerate(zip(shards_of(plan), manifest.shards, strict=True)):
        sampled = position % 8 == 0 or position == len(files) - 1
        hashed = verify == "full" or (verify == "sampled" and sampled)
        tensors = listed_shard(folder, manifest, shard, listed, hashed=hashed)
        for name in ("x", "labels"):
            parts.setdefault((shard.split, name), []).append(tensors[name])
    joined = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    tested = len(joined.get(("test", "x"), ())) > 0
    hidden = ("class_names", "superclasses")
    return Features(
        joined["train", "x"],
        joined["train", "labels"],
        test_x=joined["test", "x"] if tested else None,
        test_labels=joined["test", "labels"] if tested else None,
        class_names=plan["class_names"],
        superclasses=plan["superclasses"],
        provenance={
            "source": folder.name,
            "extraction": {key: value for key, value in plan.items() if key not in hidden},
            "broken": len(manifest.broken),
        },
    )
