"""Labelled images in a fixed order: from a folder of class folders, or from a data set."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gramlab import validation
from gramlab.errors import InvalidLabels, InvalidSetting, UnreadableSource
from gramlab.files.sources import IMAGES
from gramlab.files.whole import read_bytes
from gramlab.numerics.content import sha256

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageSplit", "Images", "open_dataset", "open_image_folder", "random_split", "reason"]

_TEST_NAMES = ("test", "validation", "valid", "val")


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Images: what each is called, its class (N,), and what gives the bytes of image i.

    ``encoded`` gives them as stored, and raises OSError where there are none.
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

    def fingerprint(self, on_image: Callable[[], None] = lambda: None) -> str:
        """SHA-256 of names, labels and the bytes of every image.

        An image whose bytes cannot be had counts as that: it is broken, and no reason to stop.
        """
        digest = hashlib.sha256(sha256(self.labels, "\0".join(self.names)).encode("ascii"))
        for index in range(len(self)):
            try:
                content = self.encoded(index)
                digest.update(f"{len(content)};".encode("ascii") + content)
            except OSError as problem:
                digest.update(f"unreadable: {reason(problem)};".encode())
            on_image()
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Images:
    """A data set: what it is called, its splits by their own names, the names of its K classes."""

    source: str
    splits: Mapping[str, ImageSplit]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse class names of which two are spellings of one text (InvalidSetting)."""
        validation.check_different(self.class_names, f"class names of {self.source!r}")

    def split(self, *names: str) -> ImageSplit:
        """The first split of these names that is there."""
        found = [self.splits[name] for name in names if name in self.splits]
        if not found:
            raise InvalidSetting(
                f"data set {self.source!r} must have a split {' or '.join(map(repr, names))}, got "
                f"{sorted(self.splits)}; rename one, or name another data set"
            )
        return found[0]

    def train_and_test(self) -> dict[str, ImageSplit]:
        """Training images, and test images where there is a split of such a name."""
        if len(self.splits) == 1:
            return {"train": next(iter(self.splits.values()))}
        found = {"train": self.split("train")}
        if any(name in self.splits for name in _TEST_NAMES):
            found["test"] = self.split(*_TEST_NAMES)
        return found

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
    InvalidSetting
        If two class folders have one name in two spellings of Unicode.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UnreadableSource(
            f"image folder {str(folder)!r} was not found; give a folder with one folder of images "
            "per class"
        )
    inner, parts = _folders(folder), {"train": folder}
    if "train" in inner and _folders(inner["train"]):
        parts = {name: inner[name] for name in ("train", *_TEST_NAMES) if name in inner}
    names = tuple(sorted({name for part in parts.values() for name in _folders(part)}))
    if len(names) < 2:
        raise UnreadableSource(
            f"image folder {str(folder)!r} must hold at least two class folders, got {len(names)}; "
            "put the images of each class into a folder of its own"
        )
    splits = {name: _folder_split(part, names) for name, part in parts.items()}
    return Images(folder.resolve().name, splits, names)


def _folders(path: Path) -> dict[str, Path]:
    return {p.name: p for p in path.iterdir() if p.is_dir() and p.name[0] != "."}


def _folder_split(folder: Path, class_names: tuple[str, ...]) -> ImageSplit:
    paths: list[Path] = []
    labels: list[int] = []
    for place in (folder / name for name in class_names if (folder / name).is_dir()):
        found = [p for p in place.iterdir() if p.suffix.lower() in IMAGES]
        found = sorted((p for p in found if p.name[0] != "."), key=lambda p: p.name)
        if not found:
            raise UnreadableSource(
                f"class folder {str(place)!r} holds no image ({' '.join(IMAGES)}); "
                "remove it or put images into it"
            )
        paths += found
        labels += [class_names.index(place.name)] * len(found)
    names = [f"{path.parent.name}/{path.name}" for path in paths]
    return ImageSplit(names, np.array(labels, np.int64), lambda index: read_bytes(paths[index]))


def open_dataset(
    name: str | os.PathLike[str],
    *,
    image_column: str | None = None,
    label_column: str | None = None,
) -> Images:
    """Open a data set of the `datasets` library: a folder by ``save_to_disk``, or a hub name.

    The columns of images and labels are found by their types where they are not given.

    Raises
    ------
    UnreadableSource
        If it cannot be loaded.
    InvalidSetting
        If the columns are not there, hold something else, or cannot be told, or two class names
        are one in two spellings of Unicode.
    InvalidLabels
        If a label of any split is no class.
    """
    try:
        import datasets
    except ImportError as problem:
        raise validation.missing_extra("reading data sets", "extract", problem) from problem

    path = Path(name).expanduser()
    local = path.is_dir()
    try:
        load: Any = datasets.load_from_disk if local else datasets.load_dataset
        found = load(str(path if local else name))
    except Exception as problem:  # the library raises whatever its parts raise
        raise UnreadableSource(
            f"data set {str(name)!r} could not be loaded ({type(problem).__name__}: {problem}); "
            "give a folder written by save_to_disk, or a name on the hub and a network"
        ) from problem
    parts: dict[str, Any] = dict(found) if isinstance(found, dict) else {"train": found}
    first = next(iter(parts.values()))
    image = image_column or _column(first, datasets.Image, "image")
    label = label_column or _column(first, datasets.ClassLabel, "label")
    names = getattr(first.features.get(label), "names", None)
    splits = {}
    for split, part in parts.items():
        for column in (image, label):
            if column not in part.column_names:
                raise InvalidSetting(
                    f"data set {str(name)!r} must have the column {column!r} in split {split!r}, "
                    f"got {part.column_names}; name it with --image-column or --label-column"
                )
        where, n_classes = f"column {label!r} of split {split!r}", names and len(names)
        try:
            labels = validation.check_labels(part[label][:], n_classes=n_classes, name=where)
        except InvalidLabels as problem:
            raise InvalidLabels(
                f"{problem}; splits without labels have -1 or nothing there: leave them out"
            ) from problem
        try:
            stored = part.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        except Exception as problem:
            raise InvalidSetting(
                f"column {image!r} of data set {str(name)!r} must hold images, got "
                f"{part.features[image]}; name another with --image-column"
            ) from problem
        places = [f"{split}/{row}" for row in range(len(labels))]
        splits[split] = ImageSplit(places, labels, partial(_stored_image, stored, image))
    if names is None:
        largest = max(int(split.labels.max()) for split in splits.values())
        names = [str(number) for number in range(largest + 1)]
    return Images(path.resolve().name if local else str(name), splits, tuple(names))


def _stored_image(part: Any, column: str, index: int) -> bytes:
    entry = part[index][column]
    if entry is None or (entry.get("bytes") is None and entry.get("path") is None):
        raise OSError("the data set has no image in this row")
    return read_bytes(entry["path"]) if entry["bytes"] is None else entry["bytes"]


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
