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
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gramlab.errors import InvalidSetting, OutputError, UnreadableSource
from gramlab.files import whole
from gramlab.files.tensors import open_tensors, save_tensors
from gramlab.numerics.content import checksum, sha256, to_json

_FORMAT, _MANIFEST, _PLAN = "gramlab-folder-1", "manifest.json", "plan.json"
_QUARANTINE, _SPLITS = "quarantine", ("train", "test")
_REMAKE_SHARD = (
    "move it away with gramlab features verify --quarantine, then run the command that made the "
    "folder again: it makes what is missing, and only that"
)
_REMAKE_RECORD = (
    "run the command that made the folder again: it moves that file away, verifies the shards and "
    "writes it anew"
)


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


class Manifest(NamedTuple):
    """What a finished folder holds.

    `plan` is everything the rows depend on, `shards` gives (rows, SHA-256) by file name, in order,
    train before test, and `broken` the inputs that gave no row.
    """

    plan: dict[str, Any]
    n_features: int
    shards: dict[str, tuple[int, str]]
    broken: tuple[Broken, ...]

    def rows(self, split: str) -> int:
        """Number of rows that a split holds."""
        return sum(n for name, (n, _) in self.shards.items() if name.startswith(f"{split}-"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``manifest.json`` without its checksum."""
        return {
            "format": _FORMAT,
            "plan": self.plan,
            "n_features": self.n_features,
            "rows": {split: self.rows(split) for split in self.plan["splits"]},
            "shards": [{"file": f, "rows": n, "sha256": s} for f, (n, s) in self.shards.items()],
            "broken": [entry._asdict() for entry in self.broken],
        }


def _place(path: Path) -> str:
    return f"{path.name!r} in {str(path.parent)!r}"


def _counts(plan: Mapping[str, Any]) -> dict[str, int]:
    """Shards of each split, at least one, without going through them: there may be 10**15."""
    return {s: max(1, -(-inputs // plan["shard_rows"])) for s, inputs in plan["splits"].items()}


def shards_of(plan: Mapping[str, Any]) -> Iterator[Shard]:
    """All shards of a plan, in order; a split without inputs has one empty shard."""
    size = plan["shard_rows"]
    for split, count in _counts(plan).items():
        for index in range(count):
            stop = min((index + 1) * size, plan["splits"][split])
            yield Shard(split, index, count, index * size, stop)


def _record(path: Path) -> dict[str, Any]:
    """What ``plan.json`` or ``manifest.json`` holds; refused if no writer makes such a plan."""
    with whole.reading(_place(path), fix=_REMAKE_RECORD):
        found = whole.read_json(path)
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise ValueError(f"it is not of format {_FORMAT!r}")
        if path.name == _MANIFEST and found.get("checksum") != checksum(found):
            raise ValueError("it differs from its checksum")
        plan = found["plan"]
        counts = [*plan["splits"].values(), plan["shard_rows"], *(plan["superclasses"] or ())]
        if not (
            {"train"} <= plan["splits"].keys() <= set(_SPLITS)  # they become names of files
            and all(type(count) is int and count >= 0 for count in counts)
            and plan["shard_rows"] >= 1
            and all(type(name) is str for name in plan["class_names"])
        ):
            raise ValueError("its plan is none that a writer makes")
    return found


def is_feature_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is, or is becoming, a folder of feature shards."""
    try:
        return any((Path(path) / name).is_file() for name in (_MANIFEST, _PLAN))
    except (OSError, ValueError):  # no path that could be one
        return False


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read the manifest of a finished folder; UnreadableSource if missing, unfinished, damaged."""
    folder = Path(path)
    place = folder / _MANIFEST
    if not place.is_file() and not (folder / _PLAN).is_file():
        raise UnreadableSource(
            f"folder {str(folder)!r} has no {_MANIFEST}, so it is no folder of features; give the "
            "folder that gramlab extract wrote"
        )
    found = _record(place if place.is_file() else folder / _PLAN)
    count = sum(_counts(found["plan"]).values())
    if not place.is_file():
        there = sum(1 for _ in folder.glob("*.safetensors"))
        raise UnreadableSource(
            f"folder {str(folder)!r} is unfinished: {there} of {count} shards are there; run the "
            "command that began it again, it goes on where it stopped"
        )
    with whole.reading(_place(place), fix=_REMAKE_RECORD):
        plan, listed = found["plan"], found["shards"]
        if len(listed) != count:
            raise ValueError(f"its plan has {count} shards, it lists {len(listed)}")
        pairs = zip(shards_of(plan), listed, strict=True)
        shards = {shard.name: (entry["rows"], entry["sha256"]) for shard, entry in pairs}
        broken = tuple(Broken(**entry) for entry in found["broken"])
        manifest = Manifest(plan, found["n_features"], shards, broken)
        if found != {**manifest.as_dict(), "checksum": found["checksum"]}:
            raise ValueError("it is none that a writer makes")
    return manifest


def open_shard(
    folder: Path,
    plan: Mapping[str, Any],
    shard: Shard,
    *,
    hashed: bool,
    manifest: Manifest | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Mapped tensors and header of a shard; what they hold is checked if `hashed`.

    It is held against the plan, and against what the manifest, where there is one, says of it.
    """
    path = folder / shard.name
    if manifest and not path.is_file():
        raise UnreadableSource(
            f"shard {shard.name!r} of {str(folder)!r} is missing; run the command that made the "
            "folder again, it makes that shard only"
        )
    with whole.reading(_place(path), fix=_REMAKE_SHARD):
        metadata, tensors = open_tensors(path)
        header = json.loads(metadata["gramlab"])
        arrays = [tensors[name] for name in ("x", "labels", "rows")]
        shape = arrays[0].shape
        if header["plan"] != sha256(to_json(plan)):
            raise ValueError("it belongs to features made otherwise")
        if not (
            header["format"] == _FORMAT
            and header["shard"] == shard._asdict()
            and len(shape) == 2
            and len({len(array) for array in arrays}) == 1
            and len(arrays[0]) + len(header["broken"]) == shard.stop - shard.start
        ):
            raise ValueError("its header does not describe this shard")
        if hashed and header.get("checksum") != checksum(header, *arrays):
            raise ValueError("its content differs from its checksum")
        if manifest:
            rows, digest = manifest.shards[shard.name]
            if hashed and whole.file_hash(path) != digest:
                raise ValueError("its SHA-256 differs from the manifest")
            if shape != (rows, manifest.n_features):
                raise ValueError(f"it has shape {shape}, the manifest says {rows} rows")
    return tensors, header


def quarantine_damage(path: str | os.PathLike[str], *, move: bool = False) -> list[str]:
    """Check every shard of a finished folder; the damaged ones, with reasons.

    With `move` they go to ``quarantine/``, so that the command that made the folder makes them, and
    only them, again (OutputError if another process writes the folder, or they cannot be moved).
    """
    folder = Path(path)
    problems = []
    with whole.locked(folder) if move else nullcontext():
        manifest = read_manifest(folder)
        for shard in shards_of(manifest.plan):
            try:
                open_shard(folder, manifest.plan, shard, hashed=True, manifest=manifest)
            except UnreadableSource as problem:
                problems.append(str(problem))
                if move and (folder / shard.name).exists():
                    whole.set_aside(folder / shard.name, _QUARANTINE)
    return problems


@contextmanager
def writing(
    path: str | os.PathLike[str],
    plan: Mapping[str, Any],
    splits: Mapping[str, int],
    class_names: Sequence[str],
    *,
    shard_rows: int = 1024,
    superclasses: Sequence[int] | None = None,
) -> Iterator[FolderWriter]:
    """Open a folder for writing, made if missing, and keep other writers out of it meanwhile.

    `plan` is a JSON-able mapping of everything the rows depend on, `splits` the inputs of each
    split, "train" and perhaps "test", `shard_rows` the inputs of a shard; of the K classes
    `class_names` are the names and `superclasses` the numbers of theirs, if known.

    Raises
    ------
    OutputError
        If the folder cannot be written, or another process is writing it.
    InvalidSetting
        If the folder holds, or is becoming, something with another plan; the differences are named.
    """
    folder = whole.output_folder(path)
    everything: dict[str, Any] = {
        **plan,
        "splits": {split: splits[split] for split in _SPLITS if split in splits},
        "shard_rows": shard_rows,
        "class_names": list(class_names),
        "superclasses": None if superclasses is None else list(superclasses),
    }
    with whole.locked(folder):
        writer = FolderWriter(folder, json.loads(to_json(everything)))
        writer._begin()
        yield writer


class FolderWriter:
    """A folder being written, from ``writing``: `folder` is where, `plan` what it is to become."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder, self.plan, self.shards = folder, plan, tuple(shards_of(plan))

    def _begin(self) -> None:
        """Hold what is there against the plan, and move damaged files away."""
        manifest, plan, there = self.folder / _MANIFEST, self.folder / _PLAN, None
        for path in self.folder.iterdir():  # what a killed writer left; the lock says none is alive
            if re.fullmatch(r"\.partial-[0-9a-f]{16}(\.\w+)?", path.name):
                with whole.changing(
                    f"remove what an unfinished run left, {str(path)!r}", "remove it"
                ):
                    path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
        try:
            if manifest.exists():
                there = read_manifest(self.folder).plan
            elif plan.exists():
                there = _record(plan)["plan"]
        except UnreadableSource:
            # A damaged record vouches for nothing; the shards carry the hash of their own plan.
            whole.set_aside(manifest if manifest.exists() else plan, _QUARANTINE)
        if there not in (None, self.plan):
            found = "; ".join(whole.differences(there, self.plan))
            raise InvalidSetting(
                f"folder {str(self.folder)!r} holds features made otherwise ({found}); choose "
                "another folder, or remove that one"
            )
        expected = {shard.name: shard for shard in self.shards}
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name not in expected:
                raise InvalidSetting(
                    f"folder {str(self.folder)!r} holds {path.name!r}, which is no part of these "
                    "features; choose another folder"
                )
            try:
                open_shard(self.folder, self.plan, expected[path.name], hashed=True)
            except UnreadableSource:
                whole.set_aside(path, _QUARANTINE)
        if not self.finished:
            # Unfinished (again): readers must not find a manifest that promises what is not there.
            whole.atomic_write(plan, to_json({"format": _FORMAT, "plan": self.plan}))
            manifest.unlink(missing_ok=True)

    def missing(self) -> list[Shard]:
        """Shards that are not there yet, in order."""
        return [shard for shard in self.shards if not (self.folder / shard.name).exists()]

    @property
    def finished(self) -> bool:
        """Whether the manifest is there and no shard is missing."""
        return (self.folder / _MANIFEST).exists() and not self.missing()

    def put(
        self,
        shard: Shard,
        x: np.ndarray,
        labels: np.ndarray,
        rows: np.ndarray,
        broken: Sequence[Broken] = (),
    ) -> None:
        """Write one shard, whole or not at all (OutputError).

        Its rows x (n, d) without those of `broken` inputs, their classes `labels` (n,), and their
        places in the split `rows` (n,). InvalidSetting if rows and broken inputs are not together
        all inputs of the shard, or values are not finite.
        """
        here = sorted([*map(int, rows), *(entry.row for entry in broken)])
        if here != [*range(shard.start, shard.stop)] or not len(x) == len(rows) == len(labels):
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
            "x": np.asarray(x),
            "labels": np.asarray(labels, dtype=np.int64),
            "rows": np.asarray(rows, dtype=np.int64),
        }
        header = {
            "format": _FORMAT,
            "plan": sha256(to_json(self.plan)),
            "shard": shard._asdict(),
            "broken": [entry._asdict() for entry in broken],
        }
        header["checksum"] = checksum(header, *tensors.values())
        save_tensors(self.folder / shard.name, tensors, header)

    def finish(self) -> Manifest:
        """Write the manifest: from here on the folder can be read; OutputError if a shard lacks."""
        missing = self.missing()
        if missing:
            raise OutputError(
                f"expected all shards in {str(self.folder)!r}, but {len(missing)} are missing, "
                f"the first {missing[0].name!r}; run the same command again"
            )
        manifest = Manifest(self.plan, 0, {}, ())
        for shard in self.shards:
            tensors, header = open_shard(self.folder, self.plan, shard, hashed=False)
            n, d = tensors["x"].shape
            with whole.reading(_place(self.folder / shard.name), fix=_REMAKE_SHARD):
                if manifest.shards and d != manifest.n_features:
                    raise ValueError(f"it has {d} columns, others {manifest.n_features}")
            manifest.shards[shard.name] = n, whole.file_hash(self.folder / shard.name)
            broken = (*manifest.broken, *(Broken(**entry) for entry in header["broken"]))
            manifest = manifest._replace(n_features=d, broken=broken)
        record = manifest.as_dict()
        whole.atomic_write(
            self.folder / _MANIFEST, to_json({**record, "checksum": checksum(record)})
        )
        (self.folder / _PLAN).unlink(missing_ok=True)
        return manifest
