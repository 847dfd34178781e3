"""Labelled images in a fixed order: from a folder of class folders, or from a data set."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gramlab import validation
from gramlab.errors import InvalidLabels, InvalidSetting, UnreadableSource
from gramlab.files.whole import read_bytes
from gramlab.numerics.content import sha256

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageSplit", "Images", "open_dataset", "open_image_folder", "random_split", "reason"]

_SUFFIXES = frozenset(".jpg .jpeg .png .bmp .gif .tif .tiff .webp .ppm .pgm".split())
_TEST_NAMES = ("test", "validation", "valid", "val")


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Images with labels.

    Attributes
    ----------
    names
        What each image is called, for messages and the manifest.
    labels : (N,)
        Class of each.
    encoded
        Gives the bytes of image i, as stored; raises OSError where there are none.
    """

    names: Sequence[str]
    labels: np.ndarray
    encoded: Callable[[int], bytes]

    def __len__(self) -> int:
        """Number of images N."""
        return len(self.labels)

    def decoded(self, index: int) -> Image:
        """Image ``index`` as RGB; raises whatever decoding raises on a broken one."""
        import PIL.Image

        with PIL.Image.open(io.BytesIO(self.encoded(index))) as image:
            return image.convert("RGB")

    def taken(self, rows: np.ndarray) -> ImageSplit:
        """The images at ``rows``, in that order."""
        names = [self.names[int(row)] for row in rows]
        return ImageSplit(names, self.labels[rows], lambda i: self.encoded(int(rows[i])))

    def fingerprint(self, on_image: Callable[[], None] | None = None) -> str:
        """SHA-256 of names, labels and the bytes of every image.

        An image whose bytes cannot be had counts as that: it is broken, and no reason to stop.
        """
        digest = hashlib.sha256(sha256(self.labels, "\0".join(self.names)).encode("ascii"))
        for index in range(len(self)):
            try:
                content = self.encoded(index)
            except OSError as problem:
                digest.update(f"unreadable: {reason(problem)};".encode())
            else:
                digest.update(f"{len(content)};".encode("ascii"))
                digest.update(content)
            if on_image is not None:
                on_image()
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Images:
    """A data set: its splits by their own names, and the names of its classes.

    Attributes
    ----------
    source
        What it is called.
    splits
        By name, as found.
    class_names
        K names.
    """

    source: str
    splits: Mapping[str, ImageSplit]
    class_names: tuple[str, ...]

    def split(self, *names: str) -> ImageSplit:
        """The first split of these names that is there."""
        for name in names:
            if name in self.splits:
                return self.splits[name]
        raise InvalidSetting(
            f"data set {self.source!r} must have a split {' or '.join(map(repr, names))}, got "
            f"{sorted(self.splits)}; rename one, or name another data set"
        )

    def train_and_test(self) -> dict[str, ImageSplit]:
        """Training images, and test images where there is a split of such a name."""
        if len(self.splits) == 1:
            return {"train": next(iter(self.splits.values()))}
        found = {"train": self.split("train")}
        test = next((name for name in _TEST_NAMES if name in self.splits), None)
        return found if test is None else {**found, "test": self.splits[test]}

    def without(self, *class_names: str) -> Images:
        """Without some classes (absent ones are ignored), the others numbered anew."""
        kept = [k for k, name in enumerate(self.class_names) if name not in class_names]
        number = np.full(len(self.class_names), -1)
        number[kept] = np.arange(len(kept))
        splits = {}
        for name, split in self.splits.items():
            part = split.taken(np.flatnonzero(number[split.labels] >= 0))
            splits[name] = replace(part, labels=number[part.labels])
        return Images(self.source, splits, tuple(self.class_names[k] for k in kept))


def reason(problem: Exception) -> str:
    """Why an image cannot be read, in the same words on every machine and in every run."""
    # The system's errors quote the whole path, the decoders' sometimes an address in memory.
    words = getattr(problem, "strerror", None) or re.sub(r" at 0x[0-9a-fA-F]+", "", str(problem))
    return f"{type(problem).__name__}: {words}" if words else type(problem).__name__


def open_image_folder(path: str | os.PathLike[str]) -> Images:
    """Open ``FOLDER/class/image.jpg``, or the same under ``train`` and ``test``.

    Images are in the byte order of their paths, classes in that of their names. Hidden files and
    files that are not images by their suffix are left out.

    Raises
    ------
    UnreadableSource
        If there is no such folder, no class, no image, or a class folder without images.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UnreadableSource(
            f"image folder {str(folder)!r} was not found; give a folder with one folder of images "
            "per class"
        )
    inner = {entry.name: entry for entry in _folders(folder)}
    if "train" in inner and any(_folders(inner["train"])):
        parts = {name: inner[name] for name in ("train", *_TEST_NAMES) if name in inner}
    else:
        parts = {"train": folder}
    names = tuple(sorted({entry.name for part in parts.values() for entry in _folders(part)}))
    if len(names) < 2:
        raise UnreadableSource(
            f"image folder {str(folder)!r} must hold at least two class folders, got {len(names)}; "
            "put the images of each class into a folder of its own"
        )
    splits = {name: _folder_split(part, names) for name, part in parts.items()}
    return Images(folder.resolve().name, splits, names)


def _folders(path: Path) -> list[Path]:
    found = (entry for entry in path.iterdir() if entry.is_dir() and entry.name[0] != ".")
    return sorted(found, key=lambda entry: entry.name)


def _folder_split(folder: Path, class_names: tuple[str, ...]) -> ImageSplit:
    paths: list[Path] = []
    labels: list[int] = []
    for number, name in enumerate(class_names):
        place = folder / name
        inside = sorted(place.iterdir(), key=lambda p: p.name) if place.is_dir() else []
        images = [p for p in inside if p.suffix.lower() in _SUFFIXES and p.name[0] != "."]
        if place.is_dir() and not images:
            raise UnreadableSource(
                f"class folder {str(place)!r} holds no image ({' '.join(sorted(_SUFFIXES))}); "
                "remove it or put images into it"
            )
        paths += images
        labels += [number] * len(images)

    names = [f"{path.parent.name}/{path.name}" for path in paths]
    numbers = np.array(labels, dtype=np.int64)
    return ImageSplit(names, numbers, lambda index: read_bytes(paths[index]))


def open_dataset(
    name: str | os.PathLike[str],
    *,
    image_column: str | None = None,
    label_column: str | None = None,
) -> Images:
    """Open a data set of the `datasets` library: a local folder of its own, or a hub name.

    Parameters
    ----------
    name
        A folder written by ``save_to_disk``, or a name on the hub.
    image_column, label_column
        Found by their types where not given.

    Raises
    ------
    UnreadableSource
        If it cannot be loaded.
    InvalidSetting
        If the columns are not there, or cannot be told.
    """
    try:
        import datasets
    except ImportError as problem:
        raise InvalidSetting(
            'reading data sets needs the extra "extract"; pip install "gramlab[extract]"'
        ) from problem

    path = Path(name).expanduser()
    try:
        found: Any = (
            datasets.load_from_disk(str(path))
            if path.is_dir()
            else datasets.load_dataset(str(name))
        )
    except Exception as problem:  # the library raises whatever its parts raise
        raise UnreadableSource(
            f"data set {str(name)!r} could not be loaded ({type(problem).__name__}: {problem}); "
            "give a folder written by save_to_disk, or a name on the hub and a network"
        ) from problem
    parts: dict[str, Any] = dict(found) if isinstance(found, dict) else {"train": found}
    first = next(iter(parts.values()))
    image = image_column or _column(first, datasets.Image, "image")
    label = label_column or _column(first, datasets.ClassLabel, "label")
    for split, part in parts.items():
        for column in (image, label):
            if column not in part.column_names:
                raise InvalidSetting(
                    f"data set {str(name)!r} must have the column {column!r} in split {split!r}, "
                    f"got {part.column_names}; name it with --image-column or --label-column"
                )
    kind = first.features[label]
    names = getattr(kind, "names", None)
    numbers = {
        split: _labels(np.asarray(part[label][:]), names, f"column {label!r} of split {split!r}")
        for split, part in parts.items()
    }
    if names is None:
        largest = max(int(found.max()) for found in numbers.values())
        names = [str(number) for number in range(largest + 1)]

    def opened(part: Any, split: str) -> ImageSplit:
        stored = part.select_columns([image]).cast_column(image, datasets.Image(decode=False))

        def encoded(index: int) -> bytes:
            entry = stored[index][image]
            if entry is None or (entry.get("bytes") is None and entry.get("path") is None):
                raise OSError("the data set has no image in this row")
            content = entry["bytes"]
            return content if content is not None else read_bytes(entry["path"])

        labels = numbers[split]
        return ImageSplit([f"{split}/{row}" for row in range(len(labels))], labels, encoded)

    source = path.resolve().name if path.is_dir() else str(name)
    splits = {split: opened(part, split) for split, part in parts.items()}
    return Images(source, splits, tuple(names))


def _labels(values: np.ndarray, names: Sequence[str] | None, where: str) -> np.ndarray:
    """Labels of a split, refused before any image is computed if they are no classes."""
    try:
        return validation.check_labels(
            values, n_classes=None if names is None else len(names), name=where
        )
    except InvalidLabels as problem:
        raise InvalidLabels(
            f"{problem}; splits without labels have -1 or nothing there: leave them out"
        ) from problem


def _column(part: Any, kind: type, what: str) -> str:
    found = [name for name, feature in part.features.items() if isinstance(feature, kind)]
    if not found and what in part.column_names:
        found = [what]
    if len(found) != 1:
        raise InvalidSetting(
            f"the {what} column must be told, got {found or 'none'} of type {kind.__name__} among "
            f"{part.column_names}; name it with --{what}-column"
        )
    return found[0]


def random_split(n_samples: int, test_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of train and test: scikit-learn's ``train_test_split``, which the authors use.

    A permutation of NumPy's legacy generator; the first ⌈share · N⌉ rows are the test rows.
    """
    seed = validation.check_integer("seed", seed, 0, 2**32 - 1)
    n_test = math.ceil(test_share * n_samples) if 0.0 < test_share < 1.0 else 0
    if not 0 < n_test < n_samples:
        raise InvalidSetting(
            f"test_share must be in (0, 1) and leave both parts a row, got {test_share} of "
            f"{n_samples} images; 0.2 is usual"
        )
    order = np.random.RandomState(seed).permutation(n_samples)
    return order[n_test:], order[:n_test]
