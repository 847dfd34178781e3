"""A finished folder read into one ``Features``, every shard held against the manifest."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.features import Features
from gramlab.folder.manifest import MANIFEST, Manifest, read_manifest
from gramlab.folder.shard import (
    Shard,
    damaged,
    file_hash,
    open_shard,
    shards_of,
    verified_shard,
)
from gramlab.memory import check_memory

__all__ = ["expected_shard", "read_folder"]

_SAMPLED = 8  # a sampled check hashes the first, the last and every eighth shard


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
    shards = list(shards_of(manifest.plan))
    needed = sum((folder / s.name).stat().st_size for s in shards if (folder / s.name).exists())
    check_memory(2 * needed, f"reading {folder.name!r}", "gramlab features import it to one file")
    for position, shard in enumerate(shards):
        hashed = verify == "full" or (
            verify == "sampled" and (position % _SAMPLED == 0 or position == len(shards) - 1)
        )
        tensors = expected_shard(folder, manifest, position, shard, hashed)
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


def expected_shard(
    folder: Path, manifest: Manifest, position: int, shard: Shard, hashed: bool
) -> dict[str, np.ndarray]:
    """Tensors of the shard that the manifest has at ``position``; refused if they are others."""
    name, rows, digest = manifest.shards[position]
    path = folder / name
    if name != shard.name:
        raise damaged(folder / MANIFEST, f"it lists {name!r} where {shard.name!r} belongs")
    if not path.is_file():
        raise UnreadableSource(
            f"shard {name!r} of {str(folder)!r} is missing; run the command that made the folder "
            "again, it makes that shard only"
        )
    if hashed:
        tensors = verified_shard(path, manifest.plan, shard)
        if file_hash(path) != digest:
            raise damaged(path, "its SHA-256 differs from the manifest")
    else:
        tensors, _ = open_shard(path, manifest.plan, shard)
    if len(tensors["x"]) != rows or tensors["x"].shape[1] != manifest.n_features:
        raise damaged(path, f"it has shape {tensors['x'].shape}, the manifest says {rows} rows")
    return tensors
