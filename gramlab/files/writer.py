"""A feature folder changed: by one process at a time, resumed at the first missing shard."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.errors import InvalidSetting, OutputError, UnreadableSource
from gramlab.files.shards import (
    FORMAT,
    MANIFEST,
    PLAN,
    SPLITS,
    Broken,
    Manifest,
    Shard,
    damaged_shard,
    listed_shard,
    manifest_in,
    open_shard,
    read_manifest,
    record_in,
    shards_of,
)
from gramlab.files.tensors import save_tensors
from gramlab.files.whole import atomic_write, changing, differences, file_hash, output_folder
from gramlab.numerics.content import checksum, sha256, to_json

__all__ = ["FolderWriter", "quarantine_damage", "writing"]

_QUARANTINE, _LOCK = "quarantine", ".lock"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from changing a folder; the lock ends with the process that has it."""
    from filelock import FileLock, Timeout

    if (folder / _LOCK).is_symlink():  # opening it would make or empty what it leads to
        raise OutputError(
            f"expected to lock {str(folder)!r}, but {_LOCK!r} in it is a link; remove that link"
        )
    lock = FileLock(folder / _LOCK)
    with changing(f"lock {str(folder)!r}", "choose a folder you may write to"):
        try:
            lock.acquire(timeout=0)
        except Timeout as problem:
            raise OutputError(
                f"expected to write {str(folder)!r}, but another process is writing it; wait for "
                "it, or choose another folder"
            ) from problem
    try:
        yield
    finally:
        lock.release()


def _set_aside(path: Path) -> None:
    """Move a file of a folder into its quarantine, beside earlier ones of that name."""
    place = path.parent / _QUARANTINE
    if place.is_symlink():
        raise OutputError(
            f"expected to move {path.name!r} to {str(place)!r}, but that is a link, which may lead "
            "out of the folder; remove the link"
        )
    target, number = place / path.name, 1
    with changing(f"move {str(path)!r} to {_QUARANTINE!r}", "remove it, or free some disk space"):
        place.mkdir(exist_ok=True)
        while target.exists():
            target = place / f"{path.name}.{number}"
            number += 1
        os.replace(path, target)


def _remove_partial(folder: Path) -> None:
    """Take away what a killed writer left under temporary names; the lock says none is alive."""
    for path in folder.iterdir():
        if re.fullmatch(r"\.partial-[0-9a-f]{16}(\.\w+)?", path.name):
            with changing(f"remove what an unfinished run left, {str(path)!r}", "remove it"):
                path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)


def quarantine_damage(path: str | os.PathLike[str], *, move: bool = False) -> list[str]:
    """Check every shard of a finished folder; the damaged ones, with reasons.

    With `move` they go to ``quarantine/``, so that the command that made the folder makes them, and
    only them, again.

    Raises
    ------
    UnreadableSource
        If the folder is unfinished, or its manifest is damaged.
    OutputError
        If shards are to be moved while another process writes the folder, or cannot be moved.
    """
    folder = Path(path)
    problems = []
    with _locked(folder) if move else nullcontext():
        manifest = read_manifest(folder)
        for shard, listed in zip(shards_of(manifest.plan), manifest.shards, strict=True):
            try:
                listed_shard(folder, manifest, shard, listed, hashed=True)
            except UnreadableSource as problem:
                problems.append(str(problem))
                if move and (folder / shard.name).exists():
                    _set_aside(folder / shard.name)
    return problems


def _begin(writer: FolderWriter) -> None:
    """Hold what is there against the plan, and move damaged files away."""
    folder = writer.folder
    manifest, plan = folder / MANIFEST, folder / PLAN
    _remove_partial(folder)
    there = None
    try:
        if manifest.exists():
            there = manifest_in(manifest).plan
        elif plan.exists():
            there = record_in(plan).get("plan")
    except UnreadableSource:
        # A damaged record vouches for nothing; the shards carry the hash of their own plan.
        _set_aside(manifest if manifest.exists() else plan)
    if there is not None and there != writer.plan:
        raise InvalidSetting(
            f"folder {str(folder)!r} holds features made otherwise "
            f"({'; '.join(differences(there, writer.plan))}); choose another folder, or remove "
            "that one"
        )
    expected = {shard.name: shard for shard in writer.shards}
    for path in sorted(folder.glob("*.safetensors")):
        if path.name not in expected:
            raise InvalidSetting(
                f"folder {str(folder)!r} holds {path.name!r}, which is no part of these "
                "features; choose another folder"
            )
        try:
            open_shard(folder, writer.plan, expected[path.name], hashed=True)
        except UnreadableSource:
            _set_aside(path)
    if not writer.finished:
        # Unfinished (again): readers must not find a manifest that promises what is not there.
        atomic_write(plan, to_json({"format": FORMAT, "plan": writer.plan}))
        manifest.unlink(missing_ok=True)


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
    """Open a folder for writing, and keep other writers out of it meanwhile.

    Parameters
    ----------
    path
        The folder; made if it is missing.
    plan
        JSON-able mapping of everything the rows depend on.
    splits
        Inputs of each split, "train" and perhaps "test".
    class_names
        K names.
    shard_rows
        Inputs of a shard.
    superclasses
        Superclass number of each class (K,), if known.

    Raises
    ------
    OutputError
        If the folder cannot be written, or another process is writing it.
    InvalidSetting
        If the folder holds, or is becoming, something with another plan; the differences are named.
    """
    if not splits or set(splits) - set(SPLITS) or "train" not in splits:
        raise InvalidSetting(
            f"splits must be 'train' and perhaps 'test', got {sorted(splits)}; rename them"
        )
    if shard_rows < 1:
        raise InvalidSetting(f"shard_rows must be at least 1, got {shard_rows}; 1024 is usual")
    folder = output_folder(path)
    whole_plan: dict[str, Any] = {
        **plan,
        "splits": {split: splits[split] for split in SPLITS if split in splits},
        "shard_rows": shard_rows,
        "class_names": list(class_names),
        "superclasses": None if superclasses is None else list(superclasses),
    }
    with _locked(folder):
        writer = FolderWriter(folder, json.loads(to_json(whole_plan)))
        _begin(writer)
        yield writer


@dataclass(eq=False)
class FolderWriter:
    """A folder being written. Get one from ``writing``.

    `folder` is where, `plan` what it is to become.
    """

    folder: Path
    plan: dict[str, Any]

    @property
    def shards(self) -> list[Shard]:
        """All shards of the finished folder, in order."""
        return list(shards_of(self.plan))

    def missing(self) -> list[Shard]:
        """Shards that are not there yet, in order."""
        return [shard for shard in self.shards if not (self.folder / shard.name).exists()]

    @property
    def finished(self) -> bool:
        """Whether the manifest is there and no shard is missing."""
        return (self.folder / MANIFEST).exists() and not self.missing()

    def put(
        self,
        shard: Shard,
        x: np.ndarray,
        labels: np.ndarray,
        rows: np.ndarray,
        broken: Sequence[Broken] = (),
    ) -> None:
        """Write one shard, whole or not at all.

        Parameters
        ----------
        shard
            Which.
        x : (n, d), labels : (n,), rows : (n,)
            Its rows without those of broken inputs, their classes, and their places in the split.
        broken
            The inputs of this shard that gave no row.

        Raises
        ------
        OutputError
            If it cannot be written; nothing is left behind.
        InvalidSetting
            If rows and broken inputs are not together all inputs of the shard, or not all finite.
        """
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
            "x": np.asarray(x),
            "labels": np.asarray(labels, dtype=np.int64),
            "rows": np.asarray(rows, dtype=np.int64),
        }
        header = {
            "format": FORMAT,
            "plan": sha256(to_json(self.plan)),
            "shard": shard._asdict(),
            "broken": [entry._asdict() for entry in broken],
        }
        header["checksum"] = checksum(header, *tensors.values())
        save_tensors(self.folder / shard.name, tensors, header)

    def finish(self) -> Manifest:
        """Write the manifest: from here on the folder can be read.

        Raises
        ------
        OutputError
            If shards are missing, or it cannot be written.
        """
        missing = self.missing()
        if missing:
            raise OutputError(
                f"expected all shards in {str(self.folder)!r}, but {len(missing)} are missing, "
                f"the first {missing[0].name!r}; run the same command again"
            )
        width, entries, broken = None, [], []
        for shard in self.shards:
            path = self.folder / shard.name
            tensors, header = open_shard(self.folder, self.plan, shard, hashed=False)
            n, d = tensors["x"].shape
            width = d if width is None else width
            if d != width:
                raise damaged_shard(path, f"it has {d} columns, others {width}")
            entries.append((shard.name, n, file_hash(path)))
            broken += [Broken(**entry) for entry in header["broken"]]
        manifest = Manifest(self.plan, int(width or 0), tuple(entries), tuple(broken))
        record = manifest.as_dict()
        atomic_write(self.folder / MANIFEST, to_json({**record, "checksum": checksum(record)}))
        (self.folder / PLAN).unlink(missing_ok=True)
        return manifest
