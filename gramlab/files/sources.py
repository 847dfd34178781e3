"""Where features come from: bundled digits, gramlab's own files and folders, `.npz` files."""

from __future__ import annotations

import gzip
import io
import math
import os
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting, UnreadableSource
from gramlab.features import Features
from gramlab.files.shards import is_feature_folder, read_folder
from gramlab.files.tensors import read_features
from gramlab.files.whole import reading
from gramlab.machine.memory import check_memory

__all__ = ["known_sources", "load_features", "place_of", "read_npy"]

_FORMS = (
    "accepted are the name 'digits', a folder written by gramlab extract, a .safetensors file "
    "written by gramlab.save_features, or an .npz file with train_features and train_labels"
)

# Role of each array: the names it may have in an .npz file, the first one preferred.
_NPZ_NAMES: dict[str, tuple[str, ...]] = {
    "x": ("train_features", "x"),
    "labels": ("train_labels", "labels", "y"),
    "test_x": ("test_features", "test_x"),
    "test_labels": ("test_labels", "test_y"),
    "class_names": ("class_names",),
    "superclasses": ("coarse_of_class", "superclasses"),
}


def known_sources() -> tuple[str, ...]:
    """Return the names that :func:`load_features` knows without a file.

    Returns
    -------
    tuple of str
    """
    return ("digits",)


def load_features(path_or_name: str | os.PathLike[str], *, verify: str = "full") -> Features:
    """Load features by name, from a file or from a folder.

    Parameters
    ----------
    path_or_name : str or path-like
        "digits" (scikit-learn's bundled 8x8 images, raw pixels 0 .. 16, with a fixed stratified
        80/20 split), a folder written by ``gramlab extract``, a `.safetensors` file written by
        :func:`gramlab.save_features`, or an `.npz` file. An `.npz` needs `train_features` (or `x`)
        and `train_labels` (or `labels`, `y`), and may have `test_features` and `test_labels`,
        `class_names`, and `coarse_of_class` (or `superclasses`). Pickled content is never opened.
    verify : str
        Of a folder: "full" hashes every shard, "sampled" some of them, "none" only looks at
        headers and sizes. Files are always verified whole.

    Returns
    -------
    Features
        Its provenance names the file, never its folder.

    Raises
    ------
    UnreadableSource
        If the source is unknown, missing, damaged, foreign or holds pickled objects.
    InvalidFeatures, InvalidLabels, InvalidSetting
        If what the file holds does not make valid features; the file is named.
    NotEnoughMemory
        If the arrays would not fit.
    """
    if isinstance(path_or_name, str) and path_or_name in known_sources():
        return _load_digits()
    path, kind = place_of(path_or_name, "source", _FORMS)
    if kind == "a folder" and is_feature_folder(path):
        return read_folder(path, verify=verify)
    if kind != "a file":
        found = f"is {kind}" if kind else "was not found"
        raise UnreadableSource(f"source {os.fspath(path_or_name)!r} {found}; {_FORMS}")
    readers = {".safetensors": read_features, ".npz": _load_npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnreadableSource(
            f"source {path.name!r} has the unknown suffix {path.suffix!r}; {_FORMS}"
        )
    try:
        return reader(path)
    except (InvalidFeatures, InvalidLabels, InvalidSetting) as problem:
        raise type(problem)(f"in {path.name!r}: {problem}") from problem


def place_of(path: Any, what: str, fix: str) -> tuple[Path, str]:
    """A path, and what is there: "a file", "a folder", "not a regular file", or "" for nothing."""
    try:
        place = Path(os.path.expanduser(path))
        kinds = {"a file": place.is_file(), "a folder": place.is_dir()}
        kinds["not a regular file"] = place.exists()
        return place, next((kind for kind, there in kinds.items() if there), "")
    except (OSError, ValueError, TypeError) as problem:
        raise UnreadableSource(
            f"{what} {path!r} is not a usable path ({problem}); {fix}"
        ) from problem


def _load_digits() -> Features:
    """scikit-learn's digits, fixed stratified split; read from its file, it takes 1 s to import."""
    place = find_spec("sklearn")
    if place is None or place.origin is None:
        raise UnreadableSource("source 'digits' comes with scikit-learn: install scikit-learn")
    path = Path(place.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",")
    images, labels = np.ascontiguousarray(table[:, :-1]), table[:, -1].astype(np.int64)
    train, test = _stratified_split(labels, 0.2, seed=42)
    split = {"test_size": 0.2, "stratified": True, "random_state": 42}
    return Features(
        images[train],
        labels[train],
        test_x=images[test],
        test_labels=labels[test],
        n_classes=10,
        provenance={"source": "digits", "split": split},
    )


def _stratified_split(
    labels: np.ndarray, test_size: float, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train and to test on, those of ``sklearn.model_selection.train_test_split``."""
    random = np.random.RandomState(seed)
    counts = np.bincount(labels)
    n_test = math.ceil(test_size * len(labels))

    def dealt(left: np.ndarray, total: int) -> np.ndarray:
        """``total`` rows over classes in proportion; the largest remainders get one more."""
        shares = left / left.sum() * total
        given = np.floor(shares)
        missing = int(total - given.sum())
        for remainder in np.unique(shares - given)[::-1]:
            if missing == 0:
                break
            tied = np.flatnonzero(shares - np.floor(shares) == remainder)
            chosen = random.choice(tied, size=min(len(tied), missing), replace=False)
            given[chosen] += 1
            missing -= len(chosen)
        return given.astype(int)

    n_train = dealt(counts, len(labels) - n_test)
    n_rest = dealt(counts - n_train, n_test)
    train, test = [], []
    for rows, first, rest in zip(
        np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1]),
        n_train,
        n_rest,
        strict=True,
    ):
        shuffled = rows[random.permutation(len(rows))]
        train.extend(shuffled[:first])
        test.extend(shuffled[first : first + rest])
    return random.permutation(train), random.permutation(test)


def _load_npz(path: Path) -> Features:
    """Read an .npz file without pickle, looking at every array header before its array."""
    source = f"source {path.name!r}"
    arrays: dict[str, Any] = {}
    with reading(source), zipfile.ZipFile(path) as archive:
        _check_directory(archive)
        present = {
            member.filename.removesuffix(".npy"): member
            for member in archive.infolist()
            if member.filename.endswith(".npy")
        }
        found = {
            role: next((name for name in names if name in present), None)
            for role, names in _NPZ_NAMES.items()
        }
        missing = [" or ".join(_NPZ_NAMES[role]) for role in ("x", "labels") if not found[role]]
        if missing:
            raise UnreadableSource(
                f"{source} lacks {' and '.join(missing)}, it has "
                f"{', '.join(sorted(present)) or 'no arrays'}; "
                "save with np.savez(path, train_features=..., train_labels=...)"
            )
        for role, key in found.items():
            if key is not None:
                opened = partial(archive.open, present[key])
                arrays[role] = _read_array(path, key, present[key].file_size, opened)
        names = arrays.get("class_names")
        if names is not None:
            if names.ndim != 1 or names.dtype.kind not in "USiu":
                raise UnreadableSource(
                    f"{source} must hold class_names as a 1-D text array, got {names.dtype} of "
                    f"shape {names.shape}; save np.array(names, dtype=str)"
                )
            texts = names.tolist()  # fails on numbers beyond the last character of Unicode
            arrays["class_names"] = [n.decode() if isinstance(n, bytes) else str(n) for n in texts]
    return Features(
        arrays.pop("x"), arrays.pop("labels"), **arrays, provenance={"source": path.name}
    )


def _check_directory(archive: zipfile.ZipFile) -> None:
    """Refuse a damaged directory, which could make an optional array look absent."""
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # np.savez knows no other; of bzip2, one read may unpack gigabytes.
            raise zipfile.BadZipFile(f"{member.filename!r} is packed by a method .npz files lack")
        # A damaged length makes one entry swallow the next ones, which start with this signature.
        if b"PK\x01\x02" in member.comment + member.extra:
            raise zipfile.BadZipFile(f"the directory is damaged at {member.filename!r}")
        # Opening compares the name in the directory with the one beside the data.
        archive.open(member).close()


def read_npy(path: Path) -> np.ndarray:
    """Read an .npy file without pickle, looking at its header before anything is allocated.

    Raises
    ------
    UnreadableSource
        If it is damaged, another format, or holds pickled objects.
    NotEnoughMemory
        If the array would not fit.
    """
    form, fix = "no plain .npy array", "save it with np.save, without Python objects"
    with reading(f"source {path.name!r}", form=form, fix=fix):
        return _read_array(path, path.name, path.stat().st_size, partial(open, path, "rb"))


def _read_array(
    path: Path, key: str, stored: int, open_stream: Callable[[], IO[bytes]]
) -> np.ndarray:
    """Read an array in .npy form, refused unless `stored` bytes hold just its header and values."""
    with open_stream() as stream:
        # No honest array header is longer; a lying one must not make the reader ask for gigabytes.
        start = io.BytesIO(stream.read(1 << 16))
    # Version 3 only serves structured arrays with non-latin field names, never features.
    readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    version = npy_format.read_magic(start)
    if version not in readers:
        raise ValueError(f"array format {version} is not one that features need")
    shape, _, dtype = readers[version](start)
    if dtype.hasobject:
        raise UnreadableSource(
            f"source {path.name!r} holds pickled Python objects in {key!r}, which are refused "
            "because opening them can run code; save plain arrays instead, for text "
            "np.array(names, dtype=str)"
        )
    size, stored = math.prod(shape) * dtype.itemsize, stored - start.tell()
    empty_items = dtype.itemsize == 0 and math.prod(shape) > 0
    if size != stored or min(shape, default=0) < 0 or empty_items:
        raise ValueError(
            f"{key!r} announces shape {shape} of {dtype}, but {stored} bytes are stored"
        )
    check_memory(size, f"reading {path.name!r}", "store float16, or fewer rows")
    with open_stream() as stream:  # of an archive, the CRC is checked where the stream ends
        return npy_format.read_array(stream, allow_pickle=False)
