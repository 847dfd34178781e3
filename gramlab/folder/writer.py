"""A folder being written: by one process at a time, resumed at the first missing shard."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.errors import InvalidSetting, OutputError, UnreadableSource
from gramlab.folder.lock import locked
from gramlab.folder.manifest import (
    MANIFEST,
    PLAN,
    Manifest,
    manifest_of,
    plan_differences,
    record_of,
)
from gramlab.folder.quarantine import move_to_quarantine
from gramlab.folder.shard import (
    FORMAT,
    SPLITS,
    Broken,
    Shard,
    damaged,
    file_hash,
    open_shard,
    shards_of,
    verified_shard,
    write_shard,
)
from gramlab.storage import atomic_write, output_folder, sha256, to_json

__all__ = ["FolderWriter", "writing"]


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
    full: dict[str, Any] = json.loads(
        to_json(
            {
                **plan,
                "splits": {split: splits[split] for split in SPLITS if split in splits},
                "shard_rows": shard_rows,
                "class_names": list(class_names),
                "superclasses": None if superclasses is None else list(superclasses),
            }
        )
    )
    with locked(folder):
        writer = FolderWriter(folder, full)
        writer._begin()
        yield writer


@dataclass(eq=False)
class FolderWriter:
    """A folder being written. Get one from ``writing``.

    Attributes
    ----------
    folder
        Where.
    plan
        What it is to become.
    quarantined
        Files that were damaged and have been moved to ``quarantine/``.
    """

    folder: Path
    plan: dict[str, Any]
    quarantined: list[str] = field(default_factory=list)

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
        x : (n, d)
            Its rows, without those of broken inputs.
        labels : (n,)
            Their classes.
        rows : (n,)
            Their places in the split.
        broken
            The inputs of this shard that gave no row.

        Raises
        ------
        OutputError
            If it cannot be written; nothing is left behind.
        InvalidSetting
            If rows and broken inputs are not together all inputs of the shard, or values are not
            finite.
        """
        write_shard(self.folder, self.plan, shard, x, labels, rows, broken)

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
            tensors, header = open_shard(path, self.plan, shard)
            width = tensors["x"].shape[1] if width is None else width
            if tensors["x"].shape[1] != width:
                raise damaged(path, f"it has {tensors['x'].shape[1]} columns, others {width}")
            entries.append((shard.name, len(tensors["x"]), file_hash(path)))
            broken += [Broken(**entry) for entry in header["broken"]]
        manifest = Manifest(self.plan, int(width or 0), tuple(entries), tuple(broken))
        record = manifest.as_dict()
        text = to_json({**record, "checksum": sha256(to_json(record))})
        atomic_write(self.folder / MANIFEST, text)
        (self.folder / PLAN).unlink(missing_ok=True)
        return manifest

    def _begin(self) -> None:
        """Hold what is there against the plan, and move damaged shards away."""
        manifest, plan = self.folder / MANIFEST, self.folder / PLAN
        try:
            _remove_partial(self.folder)
            there = None
            if manifest.exists():
                there = manifest_of(manifest).plan
            elif plan.exists():
                there = record_of(plan).get("plan")
        except UnreadableSource:
            # A damaged record vouches for nothing; the shards carry the hash of their own plan.
            self._set_aside(manifest if manifest.exists() else plan)
            there = None
        if there is not None and there != self.plan:
            differences = "; ".join(plan_differences(there, self.plan))
            raise InvalidSetting(
                f"folder {str(self.folder)!r} holds features made otherwise ({differences}); "
                "choose another folder, or remove that one"
            )
        expected = {shard.name: shard for shard in self.shards}
        for path in sorted(self.folder.glob("*.safetensors")):
            shard = expected.get(path.name)
            if shard is None:
                raise InvalidSetting(
                    f"folder {str(self.folder)!r} holds {path.name!r}, which is no part of these "
                    "features; choose another folder"
                )
            try:
                verified_shard(path, self.plan, shard)
            except UnreadableSource:
                self._set_aside(path)
        if manifest.exists() and self.missing():
            # Unfinished again: readers must not find a manifest that promises what is not there.
            atomic_write(plan, to_json({"format": FORMAT, "plan": self.plan}))
            manifest.unlink()
        if not manifest.exists():
            atomic_write(plan, to_json({"format": FORMAT, "plan": self.plan}))

    def _set_aside(self, path: Path) -> None:
        move_to_quarantine(self.folder, path)
        self.quarantined.append(path.name)


def _remove_partial(folder: Path) -> None:
    """Take away what a killed writer left under temporary names; the lock says none is alive."""
    for path in folder.iterdir():
        if re.fullmatch(r"\.partial-[0-9a-f]{16}(\.\w+)?", path.name):
            try:
                path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)
            except OSError as problem:
                raise OutputError(
                    f"expected to remove {str(path)!r}, left by an unfinished run, but: "
                    f"{problem.strerror}"
                ) from problem
