"""Other people's feature files as Features: nothing is unpickled, and nothing guessed.

Each column or array is a feature, the labels, or was dropped by name; what is left over is named.
"""

from __future__ import annotations

import csv
import os
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting, UnreadableSource
from gramlab.features import Features
from gramlab.files import sources
from gramlab.files.whole import reading
from gramlab.machine.memory import check_memory
from gramlab.validation import check_labels

__all__ = ["import_features"]

# What features and labels are usually called, the first one preferred.
_USUAL = {
    "labels": ("train_labels", "labels", "label", "y", "targets", "target", "class"),
    "x": ("train_features", "features", "x", "X", "embeddings", "embedding"),
    "test_x": ("test_features", "test_x"),
    "test_labels": ("test_labels", "test_y"),
    "class_names": ("class_names",),
    "superclasses": ("coarse_of_class", "superclasses"),
}
_NO_FEATURE = re.compile(  # what the name of a column of labels, or of row numbers, looks like
    r"(?is)(.*[^a-z])?(labels?|targets?|class|classes)([^a-z].*)?|y"
    r"|(id|idx|index|row)?|unnamed:.*|__index_level_.*"
)
_ARRAY, _LISTS, _NUMBERS, _WHOLE = "array", "lists", "numbers", "whole numbers"
_ARROW = {  # what Arrow calls them
    _LISTS: "(large_|fixed_size_)?list<",
    _NUMBERS: "halffloat|float|double|decimal",
    _WHOLE: "u?int|bool",
}

_EXTRA = 'reading {} needs the extra "extract"; pip install "gramlab[extract]"'
_nfc = partial(unicodedata.normalize, "NFC")

Names = Sequence[str] | str | None
_Choose = Callable[..., dict[str, list[str]]]  # :func:`_roles` of the columns of a file


def import_features(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    features_column: str | None = None,
    feature_columns: Names = None,
    label_column: str | None = None,
    drop: Names = None,
) -> Features:
    """Read features from a file of another tool.

    Parameters
    ----------
    path
        ``.npy`` with x (N, d); ``.npz``, or ``.pt`` or ``.pth`` (tensors, and nothing else), with
        arrays under usual names, such as x or embeddings, and labels, in ``.pt`` also x or
        (x, labels) alone; ``.parquet`` or ``.csv`` (commas, a header row) with a row per sample;
        ``.safetensors`` or a feature folder of gramlab.
    labels
        A ``.npy`` or text file of labels, one per row, where `path` has none.
    features_column, feature_columns
        One name, or several, also patterns (``"f*"``) and joined by commas or blanks: an array, a
        Parquet column of lists, or columns of numbers. Without, a usual name, the one column of
        lists, or all columns of fractional numbers (in CSV, of numbers) whose names speak neither
        of labels nor of rows. Whole numbers in Parquet, maybe other labels, only by their names.
    label_column
        Without, the first usual name. The labels as they stand name the classes: "01" is not "1".
        They are sorted, as numbers where all are whole numbers, which need not start at 0. Only
        spellings equal in Unicode's form NFC are one class; the provenance tells ("spellings").
    drop
        What to leave out, names as for features. An index that pandas wrote is left out anyway.

    Raises
    ------
    UnreadableSource, NotEnoughMemory, InvalidFeatures, InvalidLabels, InvalidSetting
        If the file is missing, damaged, unknown, too large or could run code when opened, or what
        it holds makes no valid features, or something is left over.
    """
    source, kind = sources.place_of(path, "source", "give a file")
    suffix = source.suffix.lower()
    if kind != "a folder" and (kind != "a file" or suffix not in (*_READERS, ".safetensors")):
        forms = f"accepted are {', '.join(_READERS)}, .safetensors and feature folders"
        raise sources.refusal(path, source, kind, forms)
    features = _listed(features_column) + _listed(feature_columns)
    if kind == "a folder" or suffix == ".safetensors":
        own = kind == "a file" or sources.is_feature_folder(source)
        if own and (labels is not None or features or label_column or drop):
            raise InvalidSetting(
                f"{source.name!r} is gramlab's own and brings its own labels; leave --labels and "
                "the options about columns out"
            )
        return sources.load_features(path)
    choose = partial(_roles, source.name, features, label_column, _listed(drop), labels is not None)
    found = _READERS[suffix](source, choose)
    if labels is not None:
        found["labels"] = _read_labels(labels)
    if "labels" not in found:
        raise InvalidSetting(
            f"{source.name!r} holds no labels; give them with --labels FILE (.npy, or text with "
            "one per line), or name their column with --label-column"
        )
    provenance: dict[str, Any] = {"source": source.name}
    if "class_names" not in found:  # with them, labels are their numbers
        texts = {role: _texts(found[role]) for role in ("labels", "test_labels") if role in found}
        same = _classes(texts["labels"])
        found["class_names"] = [s[0] if len(s) == 1 else name for name, s in same.items()]
        if spellings := {name: several for name, several in same.items() if len(several) > 1}:
            provenance["spellings"] = spellings
        if unknown := sorted({*map(_nfc, texts.get("test_labels", ()))} - same.keys()):
            raise InvalidSetting(f"test labels hold classes of no training row: {unknown[:5]}")
        place = {name: number for number, name in enumerate(same)}
        for role, several in texts.items():
            found[role] = np.array([place[_nfc(text)] for text in several], dtype=np.int64)
    try:
        return Features(**found, provenance=provenance)
    except (InvalidFeatures, InvalidLabels, InvalidSetting) as problem:
        raise type(problem)(f"in {source.name!r}: {problem}") from problem


def _listed(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def _matching(file: str, asked: Sequence[str], present: Sequence[str]) -> dict[str, bool]:
    """What is meant by names, patterns and lists with commas or blanks, and if by its full name."""
    found, left = {}, [*asked]
    while left:
        name = left.pop(0)
        hits = [name] if name in present else [n for n in present if fnmatchcase(n, name)]
        parts = [part.strip() for part in (name.split(",") if "," in name else name.split())]
        if not hits and (parts == [name] or not name):
            raise InvalidSetting(f"{file!r} has no column {name!r}, it has {present}")
        left = left if hits else [*filter(None, parts), *left]
        found |= {hit: hit == name or found.get(hit, False) for hit in hits}
    return found


def _roles(
    file: str,
    features: Sequence[str],
    label: str | None,
    drop: Sequence[str],
    labelled: bool,
    columns: Sequence[tuple[str, str]],
    aside: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Names for each role, of `columns` (name, kind); only those in `aside` may be left over."""
    kinds = dict(columns)
    if len(kinds) < len(columns):
        twice = Counter(name for name, _ in columns).most_common(1)[0][0]
        raise InvalidSetting(
            f"{file!r} has more than one column {twice!r}, so columns cannot be told by name; "
            "write it again with different names"
        )
    dropped = {*_matching(file, drop, list(kinds))}
    free = [name for name in kinds if name not in dropped]
    asked = _matching(file, features, free)
    exact = {name for name, in_full in asked.items() if in_full}
    arrays = _ARRAY in kinds.values()
    # Labels are arrays where there are some, else values of any kind that is not made of others.
    nested = ("list", "struct", "map")
    fit = {n for n in free if kinds[n] == _ARRAY or not (arrays or kinds[n].startswith(nested))}
    found = {
        role: [name for name in usual if name in fit - exact][:1]
        for role, usual in _USUAL.items()
        if role == "labels" or arrays
    }
    if label is not None:
        found["labels"] = [name for name in [*_matching(file, [label], free)][:1] if name in fit]
    if labelled and found["labels"]:
        raise InvalidSetting(
            f"{file!r} brings its own labels in {found['labels'][0]!r}; leave --labels out, or "
            f"--drop {found['labels'][0]}"
        )
    if asked:
        able = [name for name in asked if kinds[name] in (_ARRAY, *_ARROW)]
        found["x"] = [name for name in able if name not in found["labels"]]
    elif not arrays:
        rest = [name for name in free if name not in (*found["labels"], *aside)]
        able = [name for name in rest if not _NO_FEATURE.fullmatch(name)]
        lists, numbers = ([n for n in able if kinds[n] == kind] for kind in (_LISTS, _NUMBERS))
        found["x"] = lists or numbers
    x, used = found["x"], {*aside, *(name for names in found.values() for name in names)}
    left = [f"{name!r} ({kinds[name]})" for name in free if name not in used]
    if left or not x or (len(x) > 1 and any(kinds[name] in (_ARRAY, _LISTS) for name in x)):
        over = f"; {len(left)} left over: {', '.join(left[:5])}" if left else ""
        raise InvalidSetting(
            f"the features of {file!r} cannot be told among {list(kinds)}{over}; name all of them "
            "with --feature-columns (also as a pattern, 'f*') and the labels with --label-column, "
            "and leave the rest out with --drop"
        )
    return found


def _read_labels(path: str | os.PathLike[str]) -> Any:
    fix = "give .npy, or text with one label per line"
    file, kind = sources.place_of(path, "label file", fix)
    if kind != "a file":
        raise UnreadableSource(f"label file {os.fspath(path)!r} was not found; {fix}")
    if file.suffix.lower() == ".npy":
        return sources.read_npy(file)
    # A label of one letter and its line break take 30 times their bytes as Python text in a list.
    check_memory(30 * file.stat().st_size, f"reading {file.name!r}", "give .npy labels")
    with reading(f"label file {file.name!r}", form="no text", fix=fix):
        text = file.read_text(encoding="utf-8-sig")
    lines = [line.strip() for line in text.removesuffix("\n").split("\n")]
    if "" in lines:
        raise InvalidLabels(
            f"label file {file.name!r} must have one label per line, got none in line "
            f"{lines.index('') + 1}; remove the line, or write the label that is missing"
        )
    return lines


def _read_npy(path: Path, choose: _Choose) -> dict[str, Any]:
    choose([("x", _ARRAY)])
    return {"x": sources.read_npy(path)}


def _read_npz(path: Path, choose: _Choose) -> dict[str, Any]:
    roles = choose([(name, _ARRAY) for name in sources.npz_names(path)])
    read = {"class_names": sources.read_names}
    named = [(role, name) for role, names in roles.items() for name in names]
    return {role: read.get(role, sources.read_npz)(path, name) for role, name in named}


def _read_csv(path: Path, choose: _Choose) -> dict[str, Any]:
    # A cell of one digit and its comma take 30 times their bytes as Python text in two lists.
    check_memory(30 * path.stat().st_size, f"reading {path.name!r}", "write .parquet or .npy")
    fix = "write it with commas, a header row, and as many cells in each row"
    with (
        reading(f"source {path.name!r}", form="no CSV file in UTF-8", fix=fix),
        open(path, encoding="utf-8-sig", newline="") as file,
    ):
        header, *rows = csv.reader(file, strict=True)
        for number, row in enumerate(rows):
            if len(row) != len(header):
                raise ValueError(f"row {number} has {len(row)} cells, the header {len(header)}")
    numbers, columns = {}, []
    for j, name in enumerate(header):
        columns.append((name, "text"))
        with suppress(ValueError):  # float would read 1_0 as ten
            numbers[name] = [float(row[j].replace("_", "x")) for row in rows]
            columns[-1] = name, _NUMBERS
    roles = choose(columns)
    found: dict[str, Any] = {"x": np.column_stack([numbers[name] for name in roles["x"]])}
    for name in roles["labels"]:
        found["labels"] = [row[header.index(name)] for row in rows]
    return found


def _read_parquet(path: Path, choose: _Choose) -> dict[str, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as problem:
        raise InvalidSetting(_EXTRA.format("Parquet")) from problem
    what = {"what": f"source {path.name!r}", "form": "no Parquet file", "fix": "write it again"}
    with reading(**what), parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        index = [name for name in index if isinstance(name, str)]  # others are no columns
    columns = []
    for field in schema:
        kind = (kind for kind, form in _ARROW.items() if re.match(form, str(field.type)))
        columns.append((field.name, next(kind, str(field.type))))
    roles = choose(columns, index)
    # As a dictionary, a long label takes its room once, however many rows have it.
    with reading(**what), parquet.ParquetFile(path, read_dictionary=roles["labels"]) as file:
        # A constant column takes bytes in the file and gigabytes in memory: for each value an
        # Arrow value, a Python number, a place in a list and a float64.
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        chunks = [group.column(j) for group in groups for j in range(group.num_columns)]
        needed = sum(c.total_uncompressed_size + 48 * c.num_values for c in chunks)
        check_memory(needed, f"reading {path.name!r}", "write fewer rows")
        table = file.read(columns=[*roles["x"], *roles["labels"]])
    try:
        found: dict[str, Any] = {"x": np.column_stack([_matrix(table[n]) for n in roles["x"]])}
    except (pyarrow.ArrowException, TypeError, ValueError) as problem:
        raise InvalidSetting(
            f"columns {roles['x'][:5]} of {path.name!r} must hold numbers, or lists of numbers of "
            f"one length ({problem}); name others with --feature-columns"
        ) from problem
    for name in roles["labels"]:
        column = table[name].dictionary_encode().unify_dictionaries().combine_chunks()
        texts = [*column.dictionary.to_pylist(), None]
        found["labels"] = [texts[-1 if i is None else i] for i in column.indices.to_pylist()]
    return found


def _matrix(column: Any) -> np.ndarray:
    """An Arrow column of numbers, or of lists of one length, as (N,) or (N, d)."""
    if not re.match(_ARROW[_LISTS], str(column.type)):
        floating = re.match("halffloat|float|double", str(column.type))
        return (column if floating else column.cast("float64")).to_numpy()
    rows = column.combine_chunks()
    widths = rows.value_lengths().unique().to_pylist()
    if len(widths) != 1 or None in widths:
        raise ValueError(f"lists of one length, got lengths {sorted(n or 0 for n in widths)[:5]}")
    values = rows.flatten().to_numpy(zero_copy_only=False)
    return values.astype(np.float64).reshape(len(rows), widths[0])


def _read_torch(path: Path, choose: _Choose) -> dict[str, Any]:
    try:
        import torch
    except ImportError as problem:
        raise InvalidSetting(_EXTRA.format("PyTorch files")) from problem
    words = {"form": "not of tensors only", "fix": "save a dict of tensors with torch.save"}
    with reading(f"source {path.name!r}", **words):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                needed = sum(member.file_size for member in archive.infolist())
            check_memory(needed, f"reading {path.name!r}", "save fewer rows")
        # Tensors and plain containers only: anything else in the file is refused, not run; so are
        # sparse tensors whose indices lie outside, which would be read and written there.
        with torch.sparse.check_sparse_tensor_invariants():
            found = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(found, torch.Tensor):
            found = {"x": found}
        elif isinstance(found, (tuple, list)) and len(found) == 2:
            found = {"x": found[0], "labels": found[1]}
        if not isinstance(found, Mapping):
            raise ValueError(f"a {type(found).__name__} is no tensor, (x, labels) or mapping")
        named = {str(name): one for name, one in found.items() if isinstance(name, (str, int))}
        if len(named) < len(found):
            raise ValueError("its keys are not names that differ")
    kinds = [_ARRAY if hasattr(one, "detach") else type(one).__name__ for one in named.values()]
    roles = choose([*zip(named, kinds, strict=True)])
    return {role: _dense(named[name], path) for role, names in roles.items() for name in names}


def _dense(tensor: Any, path: Path) -> np.ndarray:
    # A view of one number, or a sparse tensor of none, may stand for terabytes.
    check_memory(8 * tensor.numel(), f"reading a tensor of {path.name!r}", "save fewer rows")
    try:
        values = tensor.detach().to_dense()
        # NumPy has no bfloat16; all others keep their precision.
        return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    except (TypeError, RuntimeError) as problem:
        raise InvalidFeatures(
            f"a tensor in {path.name!r} must hold plain numbers, got {tensor.dtype} ({problem}); "
            "save it as float32, labels as int64"
        ) from problem


_READERS = {".npz": _read_npz, ".npy": _read_npy, ".parquet": _read_parquet, ".csv": _read_csv}
_READERS |= dict.fromkeys((".pt", ".pth", ".bin"), _read_torch)


def _texts(labels: Any) -> list[str]:
    """Labels (N,) as text; whole numbers without a fraction."""
    # Objects: in an array of text every label would take as much room as the longest one.
    array = np.array(labels, dtype=object) if isinstance(labels, list) else labels
    if array.ndim != 1 or array.dtype.kind not in "iubfUSO":
        check_labels(array)  # which says what is wrong
    texts: list[str] = []
    try:
        for value in array.tolist():
            if value is None or value == "" or value != value:
                raise ValueError(f"there is no label in row {len(texts)}")
            whole = int(value) if isinstance(value, (float, Decimal)) else value
            if whole != value:
                raise ValueError(f"got {value} in row {len(texts)}")
            texts.append(whole.decode() if isinstance(whole, bytes) else str(whole))
    except (SystemError, ValueError, ArithmeticError) as problem:  # SystemError: beyond Unicode
        raise InvalidLabels(
            f"labels must be whole numbers or text, no text that is none ({problem}); mend those "
            "rows, or leave them out"
        ) from problem
    return texts


def _classes(texts: Sequence[str]) -> dict[str, list[str]]:
    """The spellings of each class, in order, by its name in form NFC."""
    same: dict[str, list[str]] = {}
    for text in sorted(set(texts)):
        same.setdefault(_nfc(text), []).append(text)
    whole = all(re.fullmatch("0|-?[1-9][0-9]{0,17}", name) for name in same)
    return {name: same[name] for name in sorted(same, key=int if whole else None)}
