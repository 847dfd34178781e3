"""Where features come from: bundled digits, gramlab's own files and folders, `.npz` files."""

from __future__ import annotations

import gzip
import io
import math
import os
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from gramlab.cache import DAMAGE, damaged, read_safetensors
from gramlab.errors import (
    GramlabError,
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    NotEnoughMemory,
    UnreadableSource,
)
from gramlab.features import Features
from gramlab.folder import is_feature_folder, read_folder
from gramlab.memory import check_memory

_FORMS = (
    "accepted are the name 'digits', a folder written by gramlab extract, a .safetensors file "
    "written by gramlab.save_features, or an .npz file with train_features and train_labels"
)

# No honest array header is longer; a lying one must not make the reader ask for gigabytes.
_HEADER_BYTES = 1 << 16

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
    try:
        path = Path(path_or_name).expanduser()
        is_file, exists = path.is_file(), path.exists()
    except (OSError, ValueError, TypeError, RuntimeError) as problem:
        raise UnreadableSource(
            f"source {path_or_name!r} is not a usable path ({problem}); {_FORMS}"
        ) from problem
    if not is_file and exists and is_feature_folder(path):
        return read_folder(path, verify=verify)
    if not is_file:
        found = "is a folder" if path.is_dir() else "is not a regular file"
        raise UnreadableSource(
            f"source {os.fspath(path_or_name)!r} {found if exists else 'was not found'}; {_FORMS}"
        )
    readers = {".safetensors": read_safetensors, ".npz": _load_npz}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnreadableSource(
            f"source {path.name!r} has the unknown suffix {path.suffix!r}; {_FORMS}"
        )
    try:
        return reader(path)
    except (InvalidFeatures, InvalidLabels, InvalidSetting) as problem:
        raise type(problem)(f"in {path.name!r}: {problem}") from problem


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
    """Read an .npz file without pickle, looking at every array header before any array."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_directory(archive)
            present = {
                name.removesuffix(".npy"): name
                for name in archive.namelist()
                if name.endswith(".npy")
            }
            chosen = _choose_names(path, present)
            needed = 0
            for key in chosen.values():
                needed += _announced_bytes(path, archive, present[key], key)
            check_memory(needed, f"reading {path.name!r}", "store float16, or fewer rows")
            arrays = {role: _read_member(archive, present[key]) for role, key in chosen.items()}
    except GramlabError:
        raise
    except DAMAGE as problem:
        raise damaged(path, problem) from problem
    names = arrays.pop("class_names", None)
    return Features(
        arrays["x"],
        arrays["labels"],
        test_x=arrays.get("test_x"),
        test_labels=arrays.get("test_labels"),
        class_names=None if names is None else _text_names(path, names),
        superclasses=arrays.get("superclasses"),
        provenance={"source": path.name},
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


def _choose_names(path: Path, present: Mapping[str, str]) -> dict[str, str]:
    """Map each role to the key that fills it in this file."""
    chosen: dict[str, str] = {}
    for role, names in _NPZ_NAMES.items():
        key = next((name for name in names if name in present), None)
        if key is not None:
            chosen[role] = key
    missing = [" or ".join(_NPZ_NAMES[role]) for role in ("x", "labels") if role not in chosen]
    if missing:
        raise UnreadableSource(
            f"source {path.name!r} lacks {' and '.join(missing)}, it has "
            f"{', '.join(sorted(present)) or 'no arrays'}; "
            "save with np.savez(path, train_features=..., train_labels=...)"
        )
    return chosen


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype that an .npy stream announces."""
    version = npy_format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy_format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy_format.read_array_header_2_0(file)
    else:
        # Version 3 only serves structured arrays with non-latin field names, never features.
        raise ValueError(f"array format {version} is not one that features need")
    return shape, dtype


def _announced_bytes(path: Path, archive: zipfile.ZipFile, member: str, key: str) -> int:
    """Size of an array by its header, refused unless it equals what the archive holds."""
    with archive.open(member) as file:
        start = io.BytesIO(file.read(_HEADER_BYTES))
    return _checked_size(path, start, key, archive.getinfo(member).file_size)


def read_npy(path: Path) -> np.ndarray:
    """Read an .npy file without pickle, looking at its header before anything is allocated.

    Parameters
    ----------
    path : Path
        A regular file.

    Returns
    -------
    np.ndarray

    Raises
    ------
    UnreadableSource
        If it is damaged, another format, or holds pickled objects.
    NotEnoughMemory
        If the array would not fit.
    """
    try:
        with open(path, "rb") as file:
            start = io.BytesIO(file.read(_HEADER_BYTES))
            total = os.fstat(file.fileno()).st_size
            size = _checked_size(path, start, path.name, total)
            check_memory(size, f"reading {path.name!r}", "store float16, or fewer rows")
            file.seek(0)
            return npy_format.read_array(file, allow_pickle=False)
    except NotEnoughMemory:
        raise
    except DAMAGE as problem:
        raise UnreadableSource(
            f"source {path.name!r} is no plain .npy array ({problem or type(problem).__name__}); "
            "save it with np.save, without Python objects"
        ) from problem


def _checked_size(path: Path, start: IO[bytes], key: str, total: int) -> int:
    """Size of an array by its header, refused unless ``total`` bytes hold just header and array."""
    shape, dtype = _read_header(start)
    offset = start.tell()
    if dtype.hasobject:
        raise UnreadableSource(
            f"source {path.name!r} holds pickled Python objects in {key!r}, which are refused "
            "because opening them can run code; save plain arrays instead, for text "
            "np.array(names, dtype=str)"
        )
    size = math.prod(shape) * dtype.itemsize
    stored = total - offset
    empty_items = dtype.itemsize == 0 and math.prod(shape) > 0
    if size != stored or min(shape, default=0) < 0 or empty_items:
        raise damaged(
            path, f"{key!r} announces shape {shape} of {dtype}, but {stored} bytes are stored"
        )
    return size


def _read_member(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    """Read one array; its size is known to end where the stream ends, where the CRC is checked."""
    with archive.open(member) as file:
        return npy_format.read_array(file, allow_pickle=False)


def _text_names(path: Path, names: np.ndarray) -> list[str]:
    """Class names as text, from a 1-D array of text, bytes or integers."""
    if names.ndim != 1 or names.dtype.kind not in "USiu":
        raise UnreadableSource(
            f"source {path.name!r} must hold class_names as a 1-D text array, got {names.dtype} "
            f"of shape {names.shape}; save np.array(names, dtype=str)"
        )
    if names.dtype.kind == "S":
        try:
            return [name.decode("utf-8") for name in names.tolist()]
        except UnicodeDecodeError as problem:
            raise damaged(path, problem) from problem
    try:
        return [str(name) for name in names.tolist()]
    except (SystemError, ValueError) as problem:  # numbers beyond the last character of Unicode
        raise damaged(path, problem) from problem
