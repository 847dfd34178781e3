"""gramlab's own feature files: `.safetensors`, written whole, read with two checksums."""

from __future__ import annotations

import json
import lzma
import os
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
    OutputError,
    UnreadableSource,
)
from gramlab.features import Features
from gramlab.memory import check_memory
from gramlab.storage import atomic_path, sha256, to_json

FORMAT_VERSION = "gramlab-features-1"
"""Version of the `.safetensors` layout, checked on reading."""

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
    equal features are to give equal files.)

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
        name: np.ascontiguousarray(array)
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
    with atomic_path(target) as temporary:
        try:
            save_file(tensors, str(temporary), metadata={"gramlab": to_json(header)})
        except SafetensorError as problem:
            raise OutputError(
                f"expected to write {str(target)!r}, but: {problem}; free some disk space or "
                "choose another path"
            ) from problem
    return target


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
    except UnreadableSource:
        raise
    except (InvalidFeatures, InvalidLabels, InvalidSetting, KeyError, TypeError) as problem:
        # save_features writes valid features only, so invalid ones mean damage.
        raise damaged(path, problem) from problem
    if features.fingerprint != header["fingerprint"]:
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
