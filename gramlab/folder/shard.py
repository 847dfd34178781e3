"""One shard: rows of a split in a file of its own, with a checksum of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gramlab.errors import InvalidSetting, OutputError, UnreadableSource
from gramlab.mapped import open_tensors
from gramlab.storage import atomic_path, sha256, to_json

__all__ = [
    "FORMAT",
    "SPLITS",
    "Broken",
    "Shard",
    "checked_plan",
    "count_shards",
    "damaged",
    "file_hash",
    "open_shard",
    "shards_of",
    "verified_shard",
    "write_shard",
]

FORMAT = "gramlab-folder-1"
SPLITS = ("train", "test")
_HASH_BYTES = 1 << 22


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


def checked_plan(plan: Any) -> dict[str, Any]:
    """A plan from a file, in so far as shards are read by it: splits, rows, names of classes.

    Names of splits become names of files, so that no others than ``SPLITS`` may pass.

    Raises
    ------
    ValueError
        If something is not as a writer would have it.
    """
    if not isinstance(plan, dict):
        raise ValueError("the plan is not a mapping")
    splits, size = plan.get("splits"), plan.get("shard_rows")
    if not isinstance(splits, dict) or "train" not in splits or set(splits) - set(SPLITS):
        raise ValueError(f"the plan must have splits 'train' and perhaps 'test', got {splits!r}")
    if not all(type(rows) is int and rows >= 0 for rows in splits.values()):
        raise ValueError(f"the plan must count the rows of each split, got {splits!r}")
    if type(size) is not int or size < 1:
        raise ValueError(f"the plan must have shards of at least one row, got {size!r}")
    names, groups = plan.get("class_names"), plan.get("superclasses")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the plan must list the names of the classes")
    if groups is not None and not (
        isinstance(groups, list) and all(type(group) is int for group in groups)
    ):
        raise ValueError("the plan must list the superclasses by number, or have none")
    return plan


def count_shards(plan: Mapping[str, Any]) -> int:
    """How many shards a plan has, without going through them."""
    size = plan["shard_rows"]
    return sum(max(1, -(-inputs // size)) for inputs in plan["splits"].values())


def shards_of(plan: Mapping[str, Any]) -> Iterator[Shard]:
    """All shards of a plan, in order; a split without inputs has one empty shard."""
    size = plan["shard_rows"]
    for split, inputs in plan["splits"].items():
        count = max(1, -(-inputs // size))
        for index in range(count):
            yield Shard(split, index, count, index * size, min((index + 1) * size, inputs))


def write_shard(
    folder: Path,
    plan: Mapping[str, Any],
    shard: Shard,
    x: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    broken: Sequence[Broken] = (),
) -> None:
    """Write a shard of ``plan``, whole or not at all; see ``FolderWriter.put``."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    here = sorted([*map(int, rows), *(entry.row for entry in broken)])
    if here != list(range(shard.start, shard.stop)) or len(x) != len(rows) != len(labels):
        raise InvalidSetting(
            f"shard {shard.name!r} must hold inputs {shard.start} to {shard.stop - 1} once "
            f"each, as rows or as broken, got {len(x)} rows and {len(broken)} broken"
        )
    if not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
        raise InvalidSetting(
            f"features must be finite, got a value that is not for input {int(rows[row])} of "
            f"{shard.split!r}; compute in float32, or store a wider dtype"
        )
    tensors = {
        "x": np.ascontiguousarray(x),
        "labels": np.ascontiguousarray(labels, dtype=np.int64),
        "rows": np.ascontiguousarray(rows, dtype=np.int64),
    }
    header = {
        "format": FORMAT,
        "plan": _plan_hash(plan),
        "shard": shard._asdict(),
        "broken": [entry._asdict() for entry in broken],
    }
    header["checksum"] = _shard_checksum(header, tensors)
    with atomic_path(folder / shard.name) as temporary:
        try:
            save_file(tensors, str(temporary), metadata={"gramlab": to_json(header)})
        except SafetensorError as problem:
            raise OutputError(
                f"expected to write {str(folder / shard.name)!r}, but: {problem}; free "
                "some disk space or choose another folder, then run the same command again"
            ) from problem


def open_shard(
    path: Path, plan: Mapping[str, Any], shard: Shard
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Mapped tensors and header; everything but the content is checked."""
    try:
        metadata, tensors = open_tensors(path)
        header = json.loads(metadata["gramlab"])
        fits = (
            header["format"] == FORMAT
            and header["shard"] == shard._asdict()
            and tensors["x"].ndim == 2
            and len(tensors["x"]) == len(tensors["labels"]) == len(tensors["rows"])
            and len(tensors["x"]) + len(header["broken"]) == shard.stop - shard.start
        )
        same = header["plan"] == _plan_hash(plan)
    except UnreadableSource as problem:
        raise damaged(path, problem) from problem
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as problem:
        raise damaged(path, problem or type(problem).__name__) from problem
    if not same:
        raise damaged(path, "it belongs to features made otherwise")
    if not fits:
        raise damaged(path, "its header does not describe this shard")
    return dict(tensors), header


def verified_shard(path: Path, plan: Mapping[str, Any], shard: Shard) -> dict[str, np.ndarray]:
    """The tensors of a shard after hashing them."""
    tensors, header = open_shard(path, plan, shard)
    try:
        found = _shard_checksum(header, tensors)
    except InvalidSetting as problem:
        raise damaged(path, problem) from problem
    if found != header.get("checksum"):
        raise damaged(path, "its content differs from its checksum")
    return tensors


def _shard_checksum(header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    counted = {key: value for key, value in header.items() if key != "checksum"}
    return sha256(to_json(counted), *(tensors[name] for name in ("x", "labels", "rows")))


def _plan_hash(plan: Mapping[str, Any]) -> str:
    return sha256(to_json(plan))


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()


def damaged(path: Path, problem: object) -> UnreadableSource:
    """What to say of a damaged shard, and how to mend it."""
    return UnreadableSource(
        f"{path.name!r} in {str(path.parent)!r} is damaged ({problem}); move it away with "
        "gramlab features verify --quarantine, then run the command that made the folder again: "
        "it makes what is missing, and only that"
    )
