"""Where one case happens: inputs, a folder for outputs, and things that must not change."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Scene", "snapshot"]

N, D, K = 12, 3, 3


@dataclass
class Scene:
    """The folder of one case.

    ``inputs`` holds what was damaged, ``out`` is the only place to write to, ``outside`` holds what
    links and paths lead to. ``allowed`` are further paths that the command was told to change,
    ``kept`` folders in ``out`` that are somebody else's, ``locks`` open files that lock them, and
    ``put`` is what a file to be imported holds, if that is known (``loss.Put``).
    """

    root: Path
    allowed: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    locks: list[Any] = field(default_factory=list)
    put: Any = None

    def __post_init__(self) -> None:
        self.inputs, self.out, self.outside = (
            self.root / name for name in ("inputs", "out", "outside")
        )

    def clear(self) -> None:
        """Make it empty again, but for what must not change."""
        os.chdir("/")
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in (self.inputs, self.out, self.outside / "deep"):
            folder.mkdir(parents=True)
        (self.outside / "kept.txt").write_text("this must stay\n")
        (self.outside / "kept.json").write_text('{"this": "must stay"}\n')
        (self.outside / "deep" / "kept.bin").write_bytes(bytes(range(256)))
        for lock in self.locks:
            lock.close()
        self.allowed, self.kept, self.locks, self.put = [], [], [], None
        os.chdir(self.out)

    def is_allowed(self, path: str) -> bool:
        """Whether a path is a place to write to; a link at its end is not followed."""
        folder, name = os.path.split(path)
        real = os.path.join(os.path.realpath(folder), name)
        places = map(_real, (self.out, *self.allowed))
        return any(real == place or real.startswith(f"{place}{os.sep}") for place in places)


def _real(path: Path) -> str:
    return os.path.realpath(path)


def snapshot(root: Path, skip: Callable[[str], bool]) -> dict[str, tuple[object, ...]]:
    """Everything under a folder, links not followed: kind, size, mode, and content of files."""
    found = {}
    for path in _walk(root):
        if skip(path):
            continue
        there = os.lstat(path)
        kind = stat.S_IFMT(there.st_mode)
        content: object = None
        if stat.S_ISREG(there.st_mode):
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        elif stat.S_ISLNK(there.st_mode):
            content = os.readlink(path)
        found[path] = (kind, stat.S_IMODE(there.st_mode), content)
    return found


def _walk(root: Path) -> Iterator[str]:
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            yield os.path.join(folder, name)


def arrays() -> dict[str, np.ndarray]:
    """A small source: 12 rows in 3 columns and 3 classes, with a test split."""
    rng = np.random.default_rng(5)
    labels, test_labels = np.arange(N) % K, np.arange(6) % K
    centres = 2.0 * rng.standard_normal((K, D))
    return {
        "train_features": (centres[labels] + rng.standard_normal((N, D))).astype(np.float32),
        "train_labels": labels,
        "test_features": (centres[test_labels] + rng.standard_normal((6, D))).astype(np.float32),
        "test_labels": test_labels,
        "class_names": np.array(["ant", "bée", "cat"]),
        "coarse_of_class": np.array([0, 0, 1]),
    }
