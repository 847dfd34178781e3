"""Other people's feature files as Features: NumPy, Parquet, PyTorch, and nothing is unpickled."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.cache import DAMAGE, damaged
from gramlab.errors import (
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    NotEnoughMemory,
    UnreadableSource,
)
from gramlab.features import Features
from gramlab.memory import check_memory
from gramlab.sources import load_features, read_npy
from gramlab.validation import as_array

__all__ = ["import_features"]

_X_NAMES = ("train_features", "features", "x", "X", "embeddings", "embedding")
_LABEL_NAMES = ("train_labels", "labels", "label", "y", "targets", "target")
_TEST_X_NAMES, _TEST_LABEL_NAMES = ("test_features", "test_x"), ("test_labels", "test_y")
_TORCH_SUFFIXES = (".pt", ".pth", ".bin")
_NUMBER_BYTES = 48  # as an Arrow value, a Python number, a place in a list and a float64
_TEXT_BYTES_PER_BYTE = 30  # a label of one letter and its line break as Python text in a list


def import_features(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    features_column: str | None = None,
    label_column: str | None = None,
) -> Features:
    """Read features from a file of another tool.

    Parameters
    ----------
    path
        ``.npz`` and ``.safetensors`` as :func:`gramlab.load_features` reads them, or a feature
        folder; ``.npy`` with x (N, d); ``.parquet`` with one column of lists, or one numeric column
        per feature, and a label column; ``.pt`` or ``.pth`` with a tensor x, a pair (x, labels), or
        a mapping of tensors, loaded as weights only.
    labels
        A ``.npy`` or text file of labels, one per row, where `path` has none. Text labels become
        classes in sorted order.
    features_column, label_column
        Column or key names, where they cannot be told.

    Raises
    ------
    UnreadableSource
        If the file is missing, damaged, of an unknown kind, or could run code when opened.
    InvalidFeatures, InvalidLabels, InvalidSetting
        If what it holds does not make valid features.
    """
    source, kind = _place(path, "source")
    suffix = source.suffix.lower()
    if kind == "folder" or suffix in (".npz", ".safetensors"):
        if labels is not None:
            raise InvalidSetting(f"{source.name!r} brings its own labels; leave --labels out")
        return load_features(source)
    if kind != "file":
        raise UnreadableSource(f"source {os.fspath(path)!r} was not found; give a file")
    if suffix == ".npy":
        found: dict[str, Any] = {"x": read_npy(source)}
    elif suffix == ".parquet":
        found = _read_parquet(source, features_column, label_column)
    elif suffix in _TORCH_SUFFIXES:
        found = _read_torch(source, features_column, label_column)
    else:
        raise UnreadableSource(
            f"source {source.name!r} has the unknown suffix {source.suffix!r}; accepted are .npz, "
            ".npy, .parquet, .pt, .pth, .safetensors and feature folders"
        )
    if labels is not None:
        found["labels"] = _read_labels(labels)
    if found.get("labels") is None:
        raise InvalidSetting(
            f"{source.name!r} holds no labels; give them with --labels FILE (.npy, or text with "
            "one per line)"
        )
    y, names = _numbered(found["labels"])
    test_y = found.get("test_labels")
    if test_y is not None:
        test_y, names = _numbered_like(test_y, names)
    return Features(
        found["x"],
        y,
        test_x=found.get("test_x"),
        test_labels=test_y,
        class_names=names,
        provenance={"source": source.name},
    )


def _place(path: str | os.PathLike[str], what: str) -> tuple[Path, str]:
    """The path, and whether it is a "file", a "folder" or neither ("")."""
    try:
        place = Path(os.path.expanduser(path))
        return place, "folder" if place.is_dir() else "file" if place.is_file() else ""
    except (OSError, ValueError) as problem:
        raise UnreadableSource(
            f"{what} {os.fspath(path)!r} is not a usable path ({problem}); give a file"
        ) from problem


def _read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    file, kind = _place(path, "label file")
    if kind != "file":
        raise UnreadableSource(
            f"label file {os.fspath(path)!r} was not found; give .npy, or text with one label per "
            "line"
        )
    if file.suffix.lower() == ".npy":
        return read_npy(file)
    check_memory(
        _TEXT_BYTES_PER_BYTE * file.stat().st_size, f"reading {file.name!r}", "give .npy labels"
    )
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableSource(
            f"label file {file.name!r} is no text ({problem}); give .npy, or one label per line"
        ) from problem
    # Objects: in an array of text every label would take as much room as the longest one.
    return np.array([line.strip() for line in lines if line.strip()], dtype=object)


def _read_parquet(
    path: Path, features_column: str | None, label_column: str | None
) -> dict[str, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as problem:
        raise InvalidSetting(
            'reading Parquet needs the extra "extract"; pip install "gramlab[extract]"'
        ) from problem
    try:
        with parquet.ParquetFile(path) as file:
            # A constant column takes bytes in the file and gigabytes in memory.
            check_memory(_parquet_bytes(file), f"reading {path.name!r}", "write fewer rows")
            table = file.read()
        columns = table.column_names
    except NotEnoughMemory:
        raise
    except (*DAMAGE, pyarrow.ArrowException) as problem:
        raise UnreadableSource(
            f"source {path.name!r} is no Parquet file ({problem}); write it again"
        ) from problem
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InvalidSetting(
            f"{path.name!r} has more than one column {twice[0]!r}, so columns cannot be told by "
            "name; write it again with different names"
        )
    label = _named(label_column, _LABEL_NAMES, columns, path, "label column", needed=False)
    kinds = {name: table.schema.field(name).type for name in columns if name != label}
    lists = [
        name
        for name, kind in kinds.items()
        if pyarrow.types.is_list(kind)
        or pyarrow.types.is_large_list(kind)
        or pyarrow.types.is_fixed_size_list(kind)
    ]
    chosen = features_column or (lists[0] if len(lists) == 1 else None)
    if chosen is not None:
        if chosen not in columns:
            raise InvalidSetting(f"{path.name!r} has no column {chosen!r}, it has {columns}")
        if chosen not in lists:
            raise InvalidSetting(
                f"column {chosen!r} of {path.name!r} must hold lists of numbers, one per row, got "
                f"{table.schema.field(chosen).type}; leave --features-column out where every "
                "feature is a column of its own"
            )
        x = _stacked(table[chosen].to_pylist(), path, chosen)
    else:
        numeric = [n for n, k in kinds.items() if pyarrow.types.is_floating(k)]
        if lists or not numeric:
            raise InvalidSetting(
                f"the features of {path.name!r} cannot be told among {columns}; name the column "
                "with --features-column"
            )
        x = np.column_stack([table[name].to_numpy() for name in numeric])
    if label is None:
        return {"x": x, "labels": None}
    labels = table[label].to_pylist()
    if None in labels:
        raise InvalidLabels(
            f"column {label!r} of {path.name!r} has no label in row {labels.index(None)}; remove "
            "rows without labels"
        )
    try:
        return {"x": x, "labels": np.array(labels)}
    except ValueError as problem:  # lists of different lengths
        raise InvalidLabels(
            f"column {label!r} of {path.name!r} must hold one label per row, got "
            f"{table.schema.field(label).type}; name another column with --label-column"
        ) from problem


def _parquet_bytes(file: Any) -> int:
    """Memory that the columns take as Arrow arrays and then as Python numbers, at most."""
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    chunks = [group.column(j) for group in groups for j in range(group.num_columns)]
    return sum(c.total_uncompressed_size + _NUMBER_BYTES * c.num_values for c in chunks)


def _stacked(rows: Sequence[Any], path: Path, column: str) -> np.ndarray:
    widths = {len(row) if row is not None else -1 for row in rows}
    if len(widths) != 1 or -1 in widths:
        raise InvalidSetting(
            f"column {column!r} of {path.name!r} must hold lists of one length, got lengths "
            f"{sorted(widths)[:5]}"
        )
    try:
        return np.array(rows, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise InvalidSetting(
            f"column {column!r} of {path.name!r} must hold lists of numbers ({problem}); name "
            "another column with --features-column"
        ) from problem


def _read_torch(
    path: Path, features_column: str | None, label_column: str | None
) -> dict[str, Any]:
    try:
        import torch
    except ImportError as problem:
        raise InvalidSetting(
            'reading PyTorch files needs the extra "extract"; pip install "gramlab[extract]"'
        ) from problem
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                needed = sum(member.file_size for member in archive.infolist())
        except DAMAGE as problem:
            raise damaged(path, problem) from problem
        check_memory(needed, f"reading {path.name!r}", "save fewer rows")
    try:
        # Tensors and plain containers only: anything else in the file is refused, not run.
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # whatever the file makes the library raise
        raise UnreadableSource(
            f"source {path.name!r} could not be read as tensors only ({type(problem).__name__}: "
            f"{str(problem).partition(chr(10))[0][:200]}); save a dict of tensors with torch.save"
        ) from problem
    if isinstance(found, torch.Tensor):
        return {"x": _array(found, path)}
    if isinstance(found, (tuple, list)) and len(found) == 2:
        return {"x": _array(found[0], path), "labels": _array(found[1], path)}
    if not isinstance(found, Mapping):
        raise UnreadableSource(
            f"source {path.name!r} must hold a tensor, a pair (x, labels) or a mapping, got "
            f"{type(found).__name__}"
        )
    found = {str(key): value for key, value in found.items()}
    keys = list(found)
    parts = {
        "x": _named(features_column, _X_NAMES, keys, path, "features", needed=True),
        "labels": _named(label_column, _LABEL_NAMES, keys, path, "labels", needed=False),
        "test_x": _named(None, _TEST_X_NAMES, keys, path, "test features", needed=False),
        "test_labels": _named(None, _TEST_LABEL_NAMES, keys, path, "test labels", needed=False),
    }
    return {role: _array(found[key], path) for role, key in parts.items() if key is not None}


def _array(tensor: Any, path: Path) -> np.ndarray:
    if not hasattr(tensor, "detach"):
        return as_array(tensor, f"what {path.name!r} holds")
    values = tensor.detach()
    # A view of one number, or a sparse tensor of none, may stand for terabytes.
    check_memory(8 * values.numel(), f"reading a tensor of {path.name!r}", "save fewer rows")
    try:
        values = values.to_dense()  # NumPy has neither sparse arrays nor bfloat16
        return (values.float() if values.dtype.is_floating_point else values).numpy()
    except (TypeError, RuntimeError) as problem:
        raise InvalidFeatures(
            f"a tensor in {path.name!r} must hold plain numbers, got {values.dtype} ({problem}); "
            "save it as float32, labels as int64"
        ) from problem


def _named(
    asked: str | None,
    usual: Sequence[str],
    present: Sequence[str],
    path: Path,
    what: str,
    *,
    needed: bool,
) -> str | None:
    if asked is not None:
        if asked not in present:
            raise InvalidSetting(f"{path.name!r} has no {what} {asked!r}, it has {list(present)}")
        return asked
    found = next((name for name in usual if name in present), None)
    if found is None and needed:
        raise InvalidSetting(
            f"the {what} of {path.name!r} cannot be told among {list(present)}; name them with "
            "--features-column"
        )
    return found


def _numbered(labels: Any) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Labels as numbers, and the class names where they were text."""
    values = np.asarray(labels)
    if values.dtype.kind not in "UO":
        return values, None
    texts = _texts(values)
    names = sorted(set(texts))
    place = {name: number for number, name in enumerate(names)}
    numbers = np.array([place[text] for text in texts], dtype=np.int64).reshape(values.shape)
    try:  # text of whole numbers, as a text file gives them
        return np.array([int(name) for name in names])[numbers], None
    except (ValueError, IndexError):  # IndexError: there is none
        return numbers, tuple(names)


def _texts(values: np.ndarray) -> list[str]:
    try:
        return [str(value) for value in values.ravel().tolist()]
    except (SystemError, ValueError) as problem:  # numbers beyond the last character of Unicode
        raise InvalidLabels(
            f"labels must be text or whole numbers, got text that is none ({problem}); write the "
            "file again"
        ) from problem


def _numbered_like(
    labels: Any, names: tuple[str, ...] | None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    values = np.asarray(labels)
    if names is None:
        return _numbered(values)[0], None
    place = {name: number for number, name in enumerate(names)}
    texts = _texts(values)
    unknown = sorted(set(texts) - set(place))
    if unknown:
        raise InvalidSetting(f"test labels hold classes that no training row has: {unknown[:5]}")
    return np.array([place[text] for text in texts]).reshape(values.shape), names
