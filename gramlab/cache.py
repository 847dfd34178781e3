"""gramlab's own feature files: `.safetensors`, written whole, read or mapped with two checksums."""

from __future__ import annotations

import json
import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.errors import (
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    NotEnoughMemory,
    OutputError,
    UnreadableSource,
)
from gramlab.features import Features
from gramlab.mapped import is_mapped, open_tensors, release
from gramlab.memory import check_memory
from gramlab.storage import atomic_path, sha256, to_json

FORMAT_VERSION = "gramlab-features-1"
"""Version of the `.safetensors` layout, checked on reading."""

_MATRICES = ("x", "test_x")
_VECTORS = ("labels", "test_labels", "superclasses")
_WRITE_BYTES = 8_000_000

# What zipfile, zlib and numpy's format reader raise on damaged input.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    RuntimeError,
    OverflowError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    AttributeError,
)


def header_checksum(header: Mapping[str, Any], superclasses: np.ndarray | None) -> str:
    """Hash what the fingerprint leaves out of a stored file.

    Parameters
    ----------
    header : mapping
        The header written by :func:`save_features`; its "checksum" entry does not count.
    superclasses : np.ndarray of shape (K,) or None
        Superclass numbers.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    counted = {key: value for key, value in header.items() if key != "checksum"}
    return sha256(to_json(counted), superclasses)


def save_features(features: Features, path: str | os.PathLike[str]) -> Path:
    """Write features to gramlab's `.safetensors` file, whole or not at all.

    The file holds the tensors x (in its own dtype, float16 too), labels, and, when present,
    test_x, test_labels and superclasses. Its header has one entry, "gramlab": a JSON text with
    format version, class names, number of classes, provenance, fingerprint of the arrays and
    checksum of the rest. (One entry, because safetensors writes several in random order, and
    equal features are to give equal files.) Mapped features are written in blocks.

    Parameters
    ----------
    features : Features
        What to write.
    path : str or path-like
        A path ending in `.safetensors`; its folder must exist.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InvalidSetting
        If the suffix is another.
    OutputError
        If the file cannot be written; nothing is left behind.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    target = Path(path)
    if target.suffix.lower() != ".safetensors":
        raise InvalidSetting(
            f"features are saved as .safetensors, got {target.name!r}; "
            f"use {target.with_suffix('.safetensors').name!r}"
            if target.name
            else "features are saved as .safetensors, got an empty path; name a file"
        )
    tensors = {
        name: array if is_mapped(array) else np.ascontiguousarray(array)
        for name, array in (
            ("x", features.x),
            ("labels", features.labels),
            ("test_x", features.test_x),
            ("test_labels", features.test_labels),
            ("superclasses", features.superclasses),
        )
        if array is not None
    }
    header: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "n_classes": features.n_classes,
        "class_names": list(features.class_names),
        "provenance": features.provenance,
        "fingerprint": features.fingerprint,
    }
    header["checksum"] = header_checksum(header, features.superclasses)
    mapped = any(is_mapped(array) for array in tensors.values())
    write = _save_in_blocks if mapped else save_file
    with atomic_path(target, follow=True) as temporary:
        try:
            write(tensors, str(temporary), metadata={"gramlab": to_json(header)})
        except SafetensorError as problem:
            raise OutputError(
                f"expected to write {str(target)!r}, but: {problem}; free some disk space or "
                "choose another path"
            ) from problem
    return target


def _save_in_blocks(
    tensors: Mapping[str, np.ndarray], path: str, metadata: Mapping[str, str]
) -> None:
    """Write the bytes that ``safetensors.numpy.save_file`` would, holding one block at a time."""
    # safetensors puts wide dtypes first, so that every tensor is aligned.
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, array in ordered:
        header[name] = {
            "dtype": f"{array.dtype.kind.upper()}{8 * array.dtype.itemsize}",
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            step = max(1, _WRITE_BYTES // max(1, array[:1].nbytes))
            for start in range(0, len(array), step):
                block = array[start : start + step]
                file.write(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).data)
                release(block)


def damaged(path: Path, problem: object) -> UnreadableSource:
    """Say that a file is damaged, and what to do."""
    kind = type(problem).__name__ if isinstance(problem, BaseException) else ""
    reason = str(problem) or kind
    return UnreadableSource(
        f"source {path.name!r} is truncated or corrupted ({reason}); "
        "write it again or copy it again from where it came"
    )


def read_safetensors(path: Path) -> Features:
    """Read gramlab's own file and hold it against its two checksums."""
    from safetensors import SafetensorError, safe_open

    check_memory(path.stat().st_size, f"reading {path.name!r}", "close other programs")
    try:
        with safe_open(str(path), framework="np") as file:
            metadata: dict[str, str] = file.metadata() or {}
            header = _safetensors_header(path, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except UnreadableSource:
        raise
    except (SafetensorError, *DAMAGE) as problem:
        raise damaged(path, problem) from problem
    return _features_of(path, header, tensors, verify=True)


def open_features(path: str | os.PathLike[str], *, verify: bool = True) -> Features:
    """Map a `.safetensors` file written by :func:`save_features`, for features beyond memory.

    The matrices x and test_x stay in the file: they become read-only ``np.memmap`` views, which
    passes over ``Features.blocks()`` read a block at a time. Labels and names are read. Opening
    reads x once to check that it is finite, and once more to verify it.

    Parameters
    ----------
    path : str or path-like
        The file. It must not be shortened or written to while the features are in use; replacing
        it with :func:`save_features` is safe.
    verify : bool
        Hash the arrays and compare with the stored fingerprint. The header is checked always.

    Returns
    -------
    Features
        Equal to what :func:`gramlab.load_features` reads.

    Raises
    ------
    UnreadableSource
        If the file is missing, truncated, damaged, or was not written by :func:`save_features`.
    """
    target = Path(path).expanduser()
    try:
        metadata, tensors = open_tensors(target)
        header = _safetensors_header(target, metadata)
    except UnreadableSource:
        raise
    except DAMAGE as problem:
        raise damaged(target, problem) from problem
    for name, array in tensors.items():
        axes, expected = (2, "floating-point") if name in _MATRICES else (1, "int64")
        fits = array.dtype.kind == "f" if name in _MATRICES else array.dtype == np.int64
        if name in (*_MATRICES, *_VECTORS) and not (fits and array.ndim == axes):
            found = f"{array.ndim}-D {array.dtype}"
            raise damaged(target, f"tensor {name!r} is {found}, expected {axes}-D {expected}")
    small = {name: tensors[name] for name in _VECTORS if name in tensors}
    check_memory(
        sum(array.nbytes for array in small.values()), "reading the labels", "close other programs"
    )
    held = {name: tensors[name] for name in _MATRICES if name in tensors}
    held.update((name, np.array(array)) for name, array in small.items())
    return _features_of(target, header, held, verify)


def _features_of(
    path: Path, header: dict[str, Any], tensors: Mapping[str, np.ndarray], verify: bool
) -> Features:
    """Features from the parts of a file, held against its checksums."""
    missing = [name for name in ("x", "labels") if name not in tensors]
    if missing:
        raise damaged(path, f"no tensor {missing[0]!r}, only {sorted(tensors)}")
    try:
        superclasses = tensors.get("superclasses")
        if header.get("checksum") != header_checksum(header, superclasses):
            raise damaged(path, "the header differs from its checksum")
        features = Features(
            tensors["x"],
            tensors["labels"],
            test_x=tensors.get("test_x"),
            test_labels=tensors.get("test_labels"),
            class_names=header["class_names"],
            superclasses=superclasses,
            n_classes=header["n_classes"],
            provenance=header["provenance"],
        )
    except (UnreadableSource, NotEnoughMemory):
        raise
    except (InvalidFeatures, InvalidLabels, InvalidSetting, *DAMAGE) as problem:
        # save_features writes valid features only, so invalid ones mean damage.
        raise damaged(path, problem) from problem
    if verify and features.fingerprint != header.get("fingerprint"):
        raise damaged(path, "the arrays differ from their fingerprint")
    return features


def _safetensors_header(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Parse the one header entry, after telling foreign files and versions apart."""
    text = metadata.get("gramlab")
    if text is None:
        raise UnreadableSource(
            f"source {path.name!r} was not written by gramlab.save_features (no 'gramlab' entry "
            "in its header); read its arrays and pass them to gramlab.Features, then save"
        )
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("the header is not a mapping")
    version = header.get("format")
    if version != FORMAT_VERSION:
        raise UnreadableSource(
            f"source {path.name!r} has format {version!r}, expected {FORMAT_VERSION!r}; "
            "write it again with this version of gramlab"
        )
    return header
