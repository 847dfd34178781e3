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

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gramlab.errors import InvalidSetting, OutputError, UnreadableSource
from gramlab.features import Features
from gramlab.mapped import open_tensors
from gramlab.memory import check_memory
from gramlab.storage import atomic_path, atomic_write, output_folder, sha256, to_json

__all__ = [
    "Broken",
    "FolderWriter",
    "Manifest",
    "Shard",
    "is_feature_folder",
    "quarantine_damage",
    "read_folder",
    "read_manifest",
    "writing",
]

FORMAT = "gramlab-folder-1"
MANIFEST, PLAN, QUARANTINE = "manifest.json", "plan.json", "quarantine"
_LOCK = ".lock"
_SPLITS = ("train", "test")
_SAMPLED = 8  # a sampled check hashes the first, the last and every eighth shard
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


# ---- Writing ------------------------------------------------------------------------------------


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
    from filelock import FileLock, Timeout

    if not splits or set(splits) - set(_SPLITS) or "train" not in splits:
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
                "splits": {split: splits[split] for split in _SPLITS if split in splits},
                "shard_rows": shard_rows,
                "class_names": list(class_names),
                "superclasses": None if superclasses is None else list(superclasses),
            }
        )
    )
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as problem:
        raise OutputError(
            f"expected to write {str(folder)!r}, but another process is writing it; wait for it, "
            "or choose another folder"
        ) from problem
    try:
        writer = FolderWriter(folder, full)
        writer._begin()
        yield writer
    finally:
        lock.release()


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
        return list(_shards(self.plan))

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
            "plan": _plan_hash(self.plan),
            "shard": shard._asdict(),
            "broken": [entry._asdict() for entry in broken],
        }
        header["checksum"] = _shard_checksum(header, tensors)
        with atomic_path(self.folder / shard.name) as temporary:
            try:
                save_file(tensors, str(temporary), metadata={"gramlab": to_json(header)})
            except SafetensorError as problem:
                raise OutputError(
                    f"expected to write {str(self.folder / shard.name)!r}, but: {problem}; free "
                    "some disk space or choose another folder, then run the same command again"
                ) from problem

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
            tensors, header = _open_shard(path, self.plan, shard)
            width = tensors["x"].shape[1] if width is None else width
            if tensors["x"].shape[1] != width:
                raise _damaged(path, f"it has {tensors['x'].shape[1]} columns, others {width}")
            entries.append((shard.name, len(tensors["x"]), _file_hash(path)))
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
                there = _manifest_of(manifest).plan
            elif plan.exists():
                there = _json_of(plan).get("plan")
        except UnreadableSource:
            # A damaged record vouches for nothing; the shards carry the hash of their own plan.
            self._quarantine(manifest if manifest.exists() else plan)
            there = None
        if there is not None and there != self.plan:
            raise InvalidSetting(
                f"folder {str(self.folder)!r} holds features made otherwise "
                f"({'; '.join(_differences(there, self.plan))}); choose another folder, or remove "
                "that one"
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
                _verified(path, self.plan, shard)
            except UnreadableSource:
                self._quarantine(path)
        if manifest.exists() and self.missing():
            # Unfinished again: readers must not find a manifest that promises what is not there.
            atomic_write(plan, to_json({"format": FORMAT, "plan": self.plan}))
            manifest.unlink()
        if not manifest.exists():
            atomic_write(plan, to_json({"format": FORMAT, "plan": self.plan}))

    def _quarantine(self, path: Path) -> None:
        _move_to_quarantine(self.folder, path)
        self.quarantined.append(path.name)


# ---- Reading ------------------------------------------------------------------------------------


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
            plan = _json_of(folder / PLAN).get("plan") or {}
            total = sum(1 for _ in _shards(plan)) if plan else 0
            there = sum(1 for _ in folder.glob("*.safetensors"))
            raise UnreadableSource(
                f"folder {str(folder)!r} is unfinished: {there} of {total} shards are there; run "
                "the command that began it again, it goes on where it stopped"
            )
        raise UnreadableSource(
            f"folder {str(folder)!r} has no {MANIFEST}, so it is no folder of features; give the "
            "folder that gramlab extract wrote"
        )
    return _manifest_of(folder / MANIFEST)


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
    parts: dict[str, dict[str, list[np.ndarray]]] = {}
    shards = list(_shards(manifest.plan))
    needed = sum((folder / s.name).stat().st_size for s in shards if (folder / s.name).exists())
    check_memory(2 * needed, f"reading {folder.name!r}", "gramlab features import it to one file")
    for position, shard in enumerate(shards):
        hashed = verify == "full" or (
            verify == "sampled" and (position % _SAMPLED == 0 or position == len(shards) - 1)
        )
        tensors = _expected_shard(folder, manifest, position, shard, hashed)
        split = parts.setdefault(shard.split, {"x": [], "labels": []})
        split["x"].append(tensors["x"])
        split["labels"].append(tensors["labels"])
    joined = {
        split: {name: np.concatenate(arrays) for name, arrays in found.items()}
        for split, found in parts.items()
    }
    test = joined.get("test")
    if test is not None and not len(test["x"]):
        test = None
    plan = manifest.plan
    hidden = ("class_names", "superclasses")
    return Features(
        joined["train"]["x"],
        joined["train"]["labels"],
        test_x=None if test is None else test["x"],
        test_labels=None if test is None else test["labels"],
        class_names=plan["class_names"],
        superclasses=plan["superclasses"],
        provenance={
            "source": folder.name,
            "extraction": {key: value for key, value in plan.items() if key not in hidden},
            "broken": len(manifest.broken),
        },
    )


def quarantine_damage(path: str | os.PathLike[str], *, move: bool = False) -> list[str]:
    """Check every shard of a finished folder; the damaged ones, with reasons.

    Parameters
    ----------
    path
        The folder.
    move
        Move damaged shards to ``quarantine/``, so that the command that made the folder makes
        them, and only them, again.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    problems = []
    for position, shard in enumerate(_shards(manifest.plan)):
        try:
            _expected_shard(folder, manifest, position, shard, hashed=True)
        except UnreadableSource as problem:
            problems.append(str(problem))
            if move and (folder / shard.name).exists():
                _move_to_quarantine(folder, folder / shard.name)
    return problems


# ---- Shards and records -------------------------------------------------------------------------


def _shards(plan: Mapping[str, Any]) -> Iterator[Shard]:
    size = plan["shard_rows"]
    for split, inputs in plan["splits"].items():
        count = max(1, math.ceil(inputs / size))
        for index in range(count):
            yield Shard(split, index, count, index * size, min((index + 1) * size, inputs))


def _expected_shard(
    folder: Path, manifest: Manifest, position: int, shard: Shard, hashed: bool
) -> dict[str, np.ndarray]:
    name, rows, digest = manifest.shards[position]
    path = folder / name
    if name != shard.name:
        raise _damaged(folder / MANIFEST, f"it lists {name!r} where {shard.name!r} belongs")
    if not path.is_file():
        raise UnreadableSource(
            f"shard {name!r} of {str(folder)!r} is missing; run the command that made the folder "
            "again, it makes that shard only"
        )
    if hashed:
        tensors = _verified(path, manifest.plan, shard)
        if _file_hash(path) != digest:
            raise _damaged(path, "its SHA-256 differs from the manifest")
    else:
        tensors, _ = _open_shard(path, manifest.plan, shard)
    if len(tensors["x"]) != rows or tensors["x"].shape[1] != manifest.n_features:
        raise _damaged(path, f"it has shape {tensors['x'].shape}, the manifest says {rows} rows")
    return tensors


def _open_shard(
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
        raise _damaged(path, problem) from problem
    except (OSError, ValueError, KeyError, TypeError, IndexError) as problem:
        raise _damaged(path, problem or type(problem).__name__) from problem
    if not same:
        raise _damaged(path, "it belongs to features made otherwise")
    if not fits:
        raise _damaged(path, "its header does not describe this shard")
    return dict(tensors), header


def _verified(path: Path, plan: Mapping[str, Any], shard: Shard) -> dict[str, np.ndarray]:
    """The tensors of a shard after hashing them."""
    tensors, header = _open_shard(path, plan, shard)
    if _shard_checksum(header, tensors) != header.get("checksum"):
        raise _damaged(path, "its content differs from its checksum")
    return tensors


def _shard_checksum(header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    counted = {key: value for key, value in header.items() if key != "checksum"}
    return sha256(to_json(counted), *(tensors[name] for name in ("x", "labels", "rows")))


def _plan_hash(plan: Mapping[str, Any]) -> str:
    return sha256(to_json(plan))


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _json_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise _damaged(path, problem) from problem
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _damaged(path, f"it is not of format {FORMAT!r}")
    return found


def _manifest_of(path: Path) -> Manifest:
    found = _json_of(path)
    counted = {key: value for key, value in found.items() if key != "checksum"}
    if found.get("checksum") != sha256(to_json(counted)):
        raise _damaged(path, "it differs from its checksum")
    return Manifest(
        found["plan"],
        found["n_features"],
        tuple((entry["file"], entry["rows"], entry["sha256"]) for entry in found["shards"]),
        tuple(Broken(**entry) for entry in found["broken"]),
    )


def _damaged(path: Path, problem: object) -> UnreadableSource:
    return UnreadableSource(
        f"{path.name!r} in {str(path.parent)!r} is damaged ({problem}); move it away with "
        "gramlab features verify --quarantine, then run the command that made the folder again: "
        "it makes what is missing, and only that"
    )


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    """What two plans differ in, by name; long values are cut."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in dict.fromkeys([*old, *new]):
            inside = f"{where}.{key}" if where else str(key)
            if key not in old or key not in new or old[key] != new[key]:
                found += _differences(old.get(key), new.get(key), inside)
        return found

    def short(value: Any) -> str:
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= 60 else f"{text[:57]}..."

    return [f"{where}: {short(old)} there, {short(new)} asked"]


def _move_to_quarantine(folder: Path, path: Path) -> None:
    place = folder / QUARANTINE
    place.mkdir(exist_ok=True)
    target, number = place / path.name, 1
    while target.exists():
        target = place / f"{path.name}.{number}"
        number += 1
    try:
        os.replace(path, target)
    except OSError as problem:
        raise OutputError(
            f"expected to move {str(path)!r} to {QUARANTINE!r}, but: {problem.strerror}"
        ) from problem


def _remove_partial(folder: Path) -> None:
    """Take away what a killed writer left under temporary names; the lock says none is alive."""
    for path in folder.iterdir():
        if re.fullmatch(r"\.partial-[0-9a-f]{16}(\.\w+)?", path.name):
            try:
                path.unlink() if path.is_file() else shutil.rmtree(path)
            except OSError as problem:
                raise OutputError(
                    f"expected to remove {str(path)!r}, left by an unfinished run, but: "
                    f"{problem.strerror}"
                ) from problem
