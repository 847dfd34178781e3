"""``.safetensors``: tensors written in blocks and mapped, and gramlab's own feature files.

The safetensors library checks a header before anything is mapped: its length, dtypes, shapes and
offsets must agree with each other and with the size of the file, without overlap or gap. What it
hands out are copies, or slices whose pages stay resident while the file is open; so rows are mapped
by NumPy at the checked offsets, where :func:`gramlab.machine.memory.release` can give them back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.features import Features
from gramlab.files.whole import atomic_path, check_regular, reading
from gramlab.machine.memory import check_memory, row_blocks
from gramlab.numerics.content import checksum, to_json

FORMAT_VERSION = "gramlab-features-1"
"""Version of the layout of feature files, checked on reading."""

_AXES = {"x": 2, "labels": 1, "test_x": 2, "test_labels": 1, "superclasses": 1}
_DTYPES = {
    f"{name[0].upper()}{8 * int(name[1])}": np.dtype(f"<{name}")
    for name in "f8 f4 f2 i8 i4 i2 i1 u8 u4 u2 u1".split()
}
_DTYPES["BOOL"] = np.dtype(bool)
_CODES = {dtype: code for code, dtype in _DTYPES.items()}


def save_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    header: Mapping[str, Any],
    *,
    follow: bool = False,
) -> None:
    """Write tensors as `.safetensors`, whole or not at all, holding one block at a time.

    Tensors are arrays of one axis or more, of bool, integers or floating-point numbers. The header,
    a JSON-able mapping, becomes the one metadata entry, "gramlab": the library writes several in
    random order, and equal content is to give equal files. `follow` and errors are those of
    :func:`gramlab.files.whole.atomic_path`.
    """
    # The library puts wide dtypes first, so that every tensor is aligned.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    entries: dict[str, Any] = {"__metadata__": {"gramlab": to_json(header)}}
    offset = 0
    for name, array in ordered:
        entries[name] = {
            "dtype": _CODES[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with atomic_path(path, follow=follow) as temporary, open(temporary, "xb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            for _, block in row_blocks(array):
                file.write(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).data)


def open_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Map the tensors of a `.safetensors` file without reading them.

    Gives the metadata entries of the header, and read-only ``np.memmap`` by tensor name (plain
    empty arrays where a shape holds a 0; bytes where NumPy lacks the dtype). The file must not be
    shortened while they are in use: the system ends a program that reads a page which the file no
    longer has. Replacing it by renaming another over it, as gramlab does, is safe.

    Raises
    ------
    SafetensorError, OSError, ValueError
        If the file is missing, no regular file, truncated, or its header is malformed; within
        :func:`gramlab.files.whole.reading` that is damage.
    """
    from safetensors import safe_open

    check_regular(path)
    with safe_open(os.fspath(path), framework="np") as checked:
        metadata: dict[str, str] = checked.metadata() or {}
    tensors = {}
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length), object_pairs_hook=_without_twins)
        header.pop("__metadata__", None)
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            shape, dtype = tuple(entry["shape"]), _DTYPES.get(entry["dtype"])
            if dtype is None:
                shape, dtype = (end - begin,), np.dtype(np.uint8)
            tensors[name] = (
                np.memmap(file, dtype, "r", 8 + length + begin, shape)
                if end > begin
                else np.empty(shape, dtype)
            )
    return metadata, tensors


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # the library would take the last one
        raise ValueError("a name appears twice")
    return found


def save_features(features: Features, path: str | os.PathLike[str]) -> Path:
    """Write features to gramlab's `.safetensors` file, whole or not at all.

    The file holds the tensors x (in its own dtype, float16 too), labels, and, when present,
    test_x, test_labels and superclasses. Its header has one entry, "gramlab": a JSON text with
    format version, class names, number of classes, provenance, fingerprint of the arrays and
    checksum of the rest. Everything is written in blocks, features beyond memory too.

    Parameters
    ----------
    features : Features
    path : str or path-like
        Where to, ending in `.safetensors`; its folder must exist. It is returned.

    Raises
    ------
    InvalidSetting
        If the suffix is another.
    OutputError
        If the file cannot be written; nothing is left behind.
    """
    target = Path(path)
    if target.suffix.lower() != ".safetensors":
        raise InvalidSetting(
            f"features are saved as .safetensors, got {target.name!r}; "
            f"use {target.with_suffix('.safetensors').name!r}"
            if target.name
            else "features are saved as .safetensors, got an empty path; name a file"
        )
    arrays = {name: getattr(features, name) for name in _AXES}
    header: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "n_classes": features.n_classes,
        "class_names": list(features.class_names),
        "provenance": features.provenance,
        "fingerprint": features.fingerprint,
    }
    header["checksum"] = checksum(header, features.superclasses)
    tensors = {name: array for name, array in arrays.items() if array is not None}
    save_tensors(target, tensors, header, follow=True)
    return target


def open_features(path: str | os.PathLike[str], *, verify: bool = True) -> Features:
    """Map a `.safetensors` file written by :func:`save_features`, for features beyond memory.

    The matrices x and test_x stay in the file: they become read-only ``np.memmap`` views, which
    passes over ``Features.blocks()`` read a block at a time. Labels and names are read. Opening
    reads x once to check that it is finite, and once more to verify it.

    Parameters
    ----------
    path : str or path-like
        The file. It must not be shortened or written to while the features are in use (reading a
        page that is gone ends the program: SIGBUS); replacing it with :func:`save_features` is
        safe.
    verify : bool
        Hash the arrays and compare with the stored fingerprint. The header is checked always.

    Returns
    -------
    Features
        Equal to what :func:`gramlab.load_features` reads.

    Raises
    ------
    UnreadableSource, NotEnoughMemory, InvalidFeatures
        As :func:`gramlab.load_features`; also for files in other formats, which cannot be mapped.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() == ".npz" or os.path.isdir(path):
        raise UnreadableSource(
            f"source {path.name!r} must be a .safetensors file to be mapped; read it with "
            "load_features, and write one with save_features"
        )
    return read_features(path, verify=verify, mapped=("x", "test_x"))


def read_features(path: Path, *, verify: bool = True, mapped: tuple[str, ...] = ()) -> Features:
    """Features from a file, the arrays named `mapped` left in it; as :func:`open_features`."""
    with reading(f"source {path.name!r}"):
        metadata, tensors = open_tensors(path)
        if "gramlab" not in metadata:
            raise UnreadableSource(
                f"source {path.name!r} was not written by gramlab.save_features (no 'gramlab' "
                "entry in its header); read its arrays and pass them to gramlab.Features, then save"
            )
        header = json.loads(metadata["gramlab"])
        if header.get("format") != FORMAT_VERSION:
            raise UnreadableSource(
                f"source {path.name!r} has format {header.get('format')!r}, expected "
                f"{FORMAT_VERSION!r}; read it with the version of gramlab that wrote it, or write "
                "it again with this one"
            )
        arrays: dict[str, Any] = {name: tensors[name] for name in _AXES if name in tensors}
        for name, array in arrays.items():
            axes, kind = _AXES[name], np.floating if _AXES[name] == 2 else np.int64
            if array.ndim != axes or not np.issubdtype(array.dtype, kind):
                expected = "floating-point" if axes == 2 else "int64"
                found = f"{array.ndim}-D {array.dtype}"
                raise ValueError(f"tensor {name!r} is {found}, expected {axes}-D {expected}")
        for name in ("x", "labels"):
            if name not in arrays:
                raise ValueError(f"no tensor {name!r}, only {sorted(tensors)}")
        read = arrays.keys() - mapped
        needed = sum(arrays[name].nbytes for name in read)
        check_memory(needed, f"reading {path.name!r}", "close other programs")
        arrays |= {name: np.array(arrays[name]) for name in read}
        if header.get("checksum") != checksum(header, arrays.get("superclasses")):
            raise ValueError("the header differs from its checksum")
        settings = {name: header[name] for name in ("class_names", "n_classes", "provenance")}
        # save_features writes valid features only, so invalid ones mean damage.
        features = Features(**arrays, **settings)
        if verify and features.fingerprint != header.get("fingerprint"):
            raise ValueError("the arrays differ from their fingerprint")
    return features
