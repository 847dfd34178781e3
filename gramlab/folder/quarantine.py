"""Damaged files, found and moved out of the way."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

from gramlab.errors import OutputError, UnreadableSource
from gramlab.folder.lock import locked
from gramlab.folder.manifest import read_manifest
from gramlab.folder.reader import expected_shard
from gramlab.folder.shard import shards_of

__all__ = ["QUARANTINE", "move_to_quarantine", "quarantine_damage"]

QUARANTINE = "quarantine"


def quarantine_damage(path: str | os.PathLike[str], *, move: bool = False) -> list[str]:
    """Check every shard of a finished folder; the damaged ones, with reasons.

    Parameters
    ----------
    path
        The folder.
    move
        Move damaged shards to ``quarantine/``, so that the command that made the folder makes
        them, and only them, again.

    Raises
    ------
    UnreadableSource
        If the folder is unfinished, or its manifest is damaged.
    OutputError
        If shards are to be moved while another process writes the folder, or cannot be moved.
    """
    folder = Path(path)
    with locked(folder) if move else nullcontext():
        manifest = read_manifest(folder)
        problems = []
        for position, shard in enumerate(shards_of(manifest.plan)):
            try:
                expected_shard(folder, manifest, position, shard, hashed=True)
            except UnreadableSource as problem:
                problems.append(str(problem))
                if move and (folder / shard.name).exists():
                    move_to_quarantine(folder, folder / shard.name)
    return problems


def move_to_quarantine(folder: Path, path: Path) -> None:
    """Move a file of ``folder`` into its quarantine, beside earlier ones of that name."""
    place = folder / QUARANTINE
    if place.is_symlink():
        raise OutputError(
            f"expected to move {path.name!r} to {str(place)!r}, but that is a link, which may lead "
            "out of the folder; remove the link"
        )
    target, number = place / path.name, 1
    try:
        place.mkdir(exist_ok=True)
        while target.exists():
            target = place / f"{path.name}.{number}"
            number += 1
        os.replace(path, target)
    except OSError as problem:
        raise OutputError(
            f"expected to move {str(path)!r} to {QUARANTINE!r}, but: {problem.strerror}; "
            "remove it, or free some disk space"
        ) from problem
