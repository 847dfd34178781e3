"""Other people's feature files as Features: NumPy, Parquet, PyTorch, and nothing is unpickled."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting, UnreadableSource
from gramlab.features import Features
from gramlab.files.sources import load_features, place_of, read_npy
from gramlab.files.whole import reading
from gramlab.machine.memory import check_memory
from gramlab.validation import as_array

__all__ = ["import_features"]

# What features and labels are usually called, the first one preferred.
_USUAL = {
    "x": ("train_features", "features", "x", "X", "embeddings", "embedding"),
    "labels": ("train_labels", "labels", "label", "y", "targets", "target"),
    "test_x": ("test_features", "test_x"),
    "test_labels": ("test_labels", "test_y"),
}


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
        folder; ``.npy`` with x (N, d); ``.parquet`` with one column of lists, or one floating-point
        column per feature, and a label column; ``.pt`` or ``.pth`` with a tensor x, a pair
        (x, labels), or a mapping of tensors, loaded as weights only.
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
    source, kind = place_of(path, "source", "give a file")
    suffix = source.suffix.lower()
    if kind == "a folder" or suffix in (".npz", ".safetensors"):
        if labels is not None:
            raise InvalidSetting(f"{source.name!r} brings its own labels; leave --labels out")
        return load_features(source)
    if kind != "a file":
        raise UnreadableSource(f"source {os.fspath(path)!r} was not found; give a file")
    if suffix == ".npy":
        found: dict[str, Any] = {"x": read_npy(source)}
    elif suffix == ".parquet":
        found = _read_parquet(source, features_column, label_column)
    elif suffix in (".pt", ".pth", ".bin"):
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
    found["labels"], names = _numbered(found["labels"])
    if found.get("test_labels") is not None:
        found["test_labels"], _ = _numbered(found["test_labels"], names)
    return Features(**found, class_names=names, provenance={"source": source.name})


def _read_labels(path: str | os.PathLike[str]) -> np.ndarray:
    file, kind = place_of(path, "label file", "give a file")
    if kind != "a file":
        raise UnreadableSource(
            f"label file {os.fspath(path)!r} was not found; give .npy, or text with one label per "
            "line"
        )
    if file.suffix.lower() == ".npy":
        return read_npy(file)
    # A label of one letter and its line break take 30 times their bytes as Python text in a list.
    check_memory(30 * file.stat().st_size, f"reading {file.name!r}", "give .npy labels")
    fix = "give .npy, or one label per line"
    with reading(f"label file {file.name!r}", form="no text", fix=fix):
        text = file.read_text(encoding="utf-8-sig")
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if "" in lines:
        raise InvalidLabels(
            f"label file {file.name!r} must have one label per line, got none in line "
            f"{lines.index('') + 1}; remove the line, or write the label that is missing"
        )
    # Objects: in an array of text every label would take as much room as the longest one.
    return np.array(lines, dtype=object)


def _read_parquet(
    path: Path, features_column: str | None, label_column: str | None
) -> dict[str, Any]:
    try:
        from pyarrow import compute, parquet, types
    except ImportError as problem:
        raise InvalidSetting(
            'reading Parquet needs the extra "extract"; pip install "gramlab[extract]"'
        ) from problem
    with (
        reading(f"source {path.name!r}", form="no Parquet file", fix="write it again"),
        parquet.ParquetFile(path) as file,
    ):
        # A constant column takes bytes in the file and gigabytes in memory: for each value an
        # Arrow value, a Python number, a place in a list and a float64.
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        chunks = [group.column(j) for group in groups for j in range(group.num_columns)]
        needed = sum(c.total_uncompressed_size + 48 * c.num_values for c in chunks)
        check_memory(needed, f"reading {path.name!r}", "write fewer rows")
        table = file.read()
        row_names = (table.schema.pandas_metadata or {}).get("index_columns", [])
    columns = table.column_names
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InvalidSetting(
            f"{path.name!r} has more than one column {twice[0]!r}, so columns cannot be told by "
            "name; write it again with different names"
        )
    label = _named(label_column, "labels", columns, path)
    kinds = {
        name: table.schema.field(name).type for name in columns if name not in (label, *row_names)
    }
    lists = [
        name
        for name, kind in kinds.items()
        if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    ]
    floats = [name for name, kind in kinds.items() if types.is_floating(kind)]
    chosen = features_column or (lists[0] if len(lists) == 1 else None)
    if chosen is not None:
        _named(chosen, "x", columns, path)
        if chosen not in lists:
            raise InvalidSetting(
                f"column {chosen!r} of {path.name!r} must hold lists of numbers, one per row, got "
                f"{table.schema.field(chosen).type}; leave --features-column out where every "
                "feature is a column of its own"
            )
        x = _stacked(table[chosen].combine_chunks(), compute, path, chosen)
    else:
        # Whole numbers may be features or row numbers: taking some columns only would be a guess.
        whole = [n for n, kind in kinds.items() if types.is_integer(kind) or types.is_boolean(kind)]
        if lists or whole or not floats:
            raise InvalidSetting(
                f"the features of {path.name!r} cannot be told among {columns}; name the column of "
                "lists with --features-column, or write features, and only those, as "
                "floating-point numbers"
            )
        x = np.column_stack([table[name].to_numpy() for name in floats])
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


def _stacked(rows: Any, compute: Any, path: Path, column: str) -> np.ndarray:
    """The lists of an Arrow column as one matrix."""
    widths = compute.unique(compute.list_value_length(rows)).to_pylist()
    if len(widths) != 1 or None in widths:
        raise InvalidSetting(
            f"column {column!r} of {path.name!r} must hold lists of one length, got lengths "
            f"{sorted(-1 if width is None else width for width in widths)[:5]}"
        )
    try:
        values = rows.flatten().to_numpy(zero_copy_only=False)
        return values.astype(np.float64).reshape(len(rows), widths[0])
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
    fix = "save a dict of tensors with torch.save"
    with reading(f"source {path.name!r}", form="not of tensors only", fix=fix):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                needed = sum(member.file_size for member in archive.infolist())
            check_memory(needed, f"reading {path.name!r}", "save fewer rows")
        # Tensors and plain containers only: anything else in the file is refused, not run.
        found = torch.load(path, map_location="cpu", weights_only=True)
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
    asked = {"x": features_column, "labels": label_column}
    keys = {role: _named(asked.get(role), role, list(found), path) for role in _USUAL}
    if keys["x"] is None:
        raise InvalidSetting(
            f"the features of {path.name!r} cannot be told among {list(found)}; name them with "
            "--features-column"
        )
    return {role: _array(found[key], path) for role, key in keys.items() if key is not None}


def _array(tensor: Any, path: Path) -> np.ndarray:
    if not hasattr(tensor, "detach"):
        return as_array(tensor, f"what {path.name!r} holds")
    values = tensor.detach()
    # A view of one number, or a sparse tensor of none, may stand for terabytes.
    check_memory(8 * values.numel(), f"reading a tensor of {path.name!r}", "save fewer rows")
    try:
        values = values.to_dense()  # NumPy has neither sparse arrays nor bfloat16
        narrow = values.dtype.is_floating_point and values.dtype.itemsize < 4
        return (values.float() if narrow else values).numpy()
    except (TypeError, RuntimeError) as problem:
        raise InvalidFeatures(
            f"a tensor in {path.name!r} must hold plain numbers, got {values.dtype} ({problem}); "
            "save it as float32, labels as int64"
        ) from problem


def _named(asked: str | None, role: str, present: Sequence[str], path: Path) -> str | None:
    """The column or key that was asked for, or that is usually called so, if there is one."""
    if asked is None:
        return next((name for name in _USUAL[role] if name in present), None)
    if asked not in present:
        raise InvalidSetting(f"{path.name!r} has no column {asked!r}, it has {list(present)}")
    return asked


def _numbered(
    labels: Any, known: tuple[str, ...] | None = None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Labels as numbers, and the class names where they are text: those that are `known`."""
    values = np.asarray(labels)
    if known is None and values.dtype.kind not in "UO":
        return values, None
    try:
        texts = [str(value) for value in values.ravel().tolist()]
    except (SystemError, ValueError) as problem:  # numbers beyond the last character of Unicode
        raise InvalidLabels(
            f"labels must be text or whole numbers, got text that is none ({problem}); write the "
            "file again"
        ) from problem
    names = known or tuple(sorted(set(texts)))
    place = {name: number for number, name in enumerate(names)}
    unknown = sorted(set(texts) - set(names))
    if unknown:
        raise InvalidSetting(f"test labels hold classes that no training row has: {unknown[:5]}")
    numbers = np.array([place[text] for text in texts], dtype=np.int64).reshape(values.shape)
    if known is None:
        try:  # text of whole numbers, as a text file gives them
            return np.array([int(name) for name in names])[numbers], None
        except (ValueError, IndexError):  # IndexError: there is none
            pass
    return numbers, names
