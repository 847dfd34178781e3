"""Files of other tools, read as the arrays of each role; nothing is unpickled."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.files import sources
from gramlab.files.whole import reading
from gramlab.importing.columns import ARRAY, ARROW, BOOLEAN, LISTS, NUMBERS, WHOLE
from gramlab.machine.memory import check_memory
from gramlab.validation import missing_extra

Choose = Callable[..., dict[str, list[str]]]  # ``columns.roles`` of the columns of a file
_COUNTED = 2**53  # float64 holds every whole number up to here


def _read_npy(path: Path, choose: Choose) -> dict[str, Any]:
    choose([("x", ARRAY)])
    return {"x": sources.read_npy(path)}


def _read_npz(path: Path, choose: Choose) -> dict[str, Any]:
    roles = choose([(name, ARRAY) for name in sources.npz_names(path)])
    read = {"class_names": sources.read_names, "identifiers": sources.read_names}
    named = [(role, name) for role, names in roles.items() for name in names]
    return {role: read.get(role, sources.read_npz)(path, name) for role, name in named}


def _read_csv(path: Path, choose: Choose) -> dict[str, Any]:
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
        if not rows:
            raise ValueError("it has no row below its header")
        if len(header) == 1 and (mark := re.search("[;\t]", header[0])):
            raise ValueError(f"its columns are parted by {mark[0]!r}")
        if any(_is_value(name) for name in header):  # numbers count columns, others are a row
            raise ValueError("its first row is no header, but numbers")
    numbers, columns = {}, []
    for j, name in enumerate(header):
        numbers[name], kind = np.empty(len(rows)), NUMBERS
        for i, row in enumerate(rows):
            try:  # an empty cell is no number; float reads 1_0 as ten
                numbers[name][i] = float(row[j].replace("_", "x") if row[j].strip() else "nan")
            except ValueError:
                kind = f"text, {row[j]!r} in row {i}"
                break
        if kind == NUMBERS and not any(row[j].strip() for row in rows):
            kind = "nothing in any row"
        columns.append((name, WHOLE if kind == NUMBERS and _counts(numbers[name]) else kind))
    roles = choose(columns)
    for name in roles["x"]:
        for i in np.flatnonzero(np.abs(numbers[name]) >= _COUNTED):
            cell = rows[i][header.index(name)].strip()
            if cell.lstrip("+-").isdecimal() and abs(Decimal(cell)) > _COUNTED:
                raise InvalidFeatures(
                    f"column {name!r} of {path.name!r} must hold whole numbers of at most 2**53, "
                    f"which float64 keeps, got {cell} in row {i}; leave it out with --drop, or "
                    "write it with a decimal point if rounding is meant"
                )
    found: dict[str, Any] = {"x": np.column_stack([numbers[name] for name in roles["x"]])}
    for role in ("labels", "identifiers"):
        for name in roles[role]:
            found[role] = [row[header.index(name)] for row in rows]
    return found


def _is_value(name: str) -> bool:
    """Whether a column's name is a number with a fraction, an exponent or a sign."""
    number = r"[-+]?(\d+\.\d*|\.\d+|\d+(?=e))(e[-+]?\d+)?|[-+]\d+"
    return bool(re.fullmatch(number, name.lower()))


def _counts(values: np.ndarray) -> bool:
    """Whether numbers (N,) are whole and differ, so that they may be classes or row numbers.

    Cells that are empty do not count.
    """
    known = values[~np.isnan(values)]
    return bool((known == np.rint(known)).all() and (known != known[:1]).any())


def _read_parquet(path: Path, choose: Choose) -> dict[str, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as problem:
        needs = f"reading {path.name!r}, a Parquet file,"
        raise missing_extra(needs, "study", problem) from problem
    what = {"what": f"source {path.name!r}", "form": "no Parquet file", "fix": "write it again"}
    path = path.absolute()  # Arrow takes a path like a:b for the address of a file system
    with reading(**what), parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        index = (schema.pandas_metadata or {}).get("index_columns", [])
        index = [name for name in index if isinstance(name, str)]  # others are no columns
    columns = []
    for field in schema:
        kind = (kind for kind, form in ARROW.items() if re.match(form, str(field.type)))
        own = b"ARROW:extension:name" in (field.metadata or {})  # of a type that Arrow may not know
        columns.append((field.name, "extension" if own else next(kind, str(field.type))))
    roles = choose(columns, index)
    # As a dictionary, a long label takes its room once, however many rows have it.
    with reading(**what), parquet.ParquetFile(path, read_dictionary=roles["labels"]) as file:
        # A constant column takes bytes in the file and gigabytes in memory: for each value an
        # Arrow value, a Python number, a place in a list and a float64.
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        chunks = [group.column(j) for group in groups for j in range(group.num_columns)]
        needed = sum(c.total_uncompressed_size + 48 * c.num_values for c in chunks)
        check_memory(needed, f"reading {path.name!r}", "write fewer rows")
        table = file.read(columns=[*roles["x"], *roles["labels"], *roles["identifiers"]])
    if not table.num_rows:
        raise InvalidFeatures(f"{path.name!r} must hold at least one row, got none; write it again")
    x: dict[str, np.ndarray] = {}
    for name in roles["x"]:
        try:
            x[name] = _matrix(table[name])
        except (pyarrow.ArrowException, TypeError, ValueError) as problem:
            raise InvalidSetting(
                f"column {name!r} of {path.name!r} must hold numbers that float64 keeps, or lists "
                f"of numbers of one length ({problem}); name others with --feature-columns"
            ) from problem
    found: dict[str, Any] = {"x": np.column_stack([*x.values()])}
    numbers = (n for n, kind in columns if kind == NUMBERS and n in x)
    whole = dict.fromkeys((n for n in numbers if _counts(x[n])), WHOLE)
    choose([*({**dict(columns), **whole}).items()], index)  # which leaves them over, unless named
    for name in roles["labels"]:
        try:
            column = table[name].dictionary_encode().unify_dictionaries().combine_chunks()
            texts = [*column.dictionary.to_pylist(), None]
        except (pyarrow.ArrowException, ValueError, ArithmeticError) as problem:
            raise InvalidLabels(
                f"labels in column {name!r} of {path.name!r} must be readable as text or numbers, "
                f"but: {problem}; name others with --label-column, and leave these out with --drop"
            ) from problem
        found["labels"] = [texts[-1 if i is None else i] for i in column.indices.to_pylist()]
    for name in roles["identifiers"]:
        found["identifiers"] = table[name].to_pylist()
    return found


def _matrix(column: Any) -> np.ndarray:
    """An Arrow column of numbers, or of lists of one length, as (N,) or (N, d)."""
    if not re.match(ARROW[LISTS], str(column.type)):
        return _numbers(column)
    rows = column.combine_chunks()
    kinds = (ARROW[kind] for kind in (NUMBERS, WHOLE, BOOLEAN))
    if not re.match("|".join(kinds), str(column.type.value_type)):
        raise TypeError(f"lists of {column.type.value_type}")
    widths = rows.drop_null().value_lengths().unique().to_pylist()
    if len(widths) != 1:
        raise ValueError(f"lists of one length, got lengths {sorted(widths)[:5]}")
    values = np.full((len(rows), widths[0]), np.nan)  # of rows that have no list
    values[rows.is_valid().to_numpy(zero_copy_only=False)] = (
        _numbers(rows.flatten()).astype(np.float64).reshape(-1, widths[0])
    )
    return values


def _numbers(column: Any) -> np.ndarray:
    """Arrow numbers (N,) as floats; ArrowInvalid for a whole one that float64 would round."""
    counts = re.match(f"{ARROW[WHOLE]}|{ARROW[BOOLEAN]}", str(column.type))
    values = (column.cast("float64") if counts else column).to_numpy(zero_copy_only=False)
    # Decimals come as objects: Arrow's own cast of them misses the last bit.
    return values.astype(np.float64) if values.dtype == object else values


def _read_torch(path: Path, choose: Choose) -> dict[str, Any]:
    try:
        import torch
    except ImportError as problem:
        needs = f"reading {path.name!r}, a PyTorch file,"
        raise missing_extra(needs, "extract", problem) from problem
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
    kinds = (
        ARRAY if hasattr(one, "detach") else f"a {type(one).__name__} and no tensor"
        for one in named.values()
    )
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


READERS = {".npz": _read_npz, ".npy": _read_npy, ".parquet": _read_parquet, ".csv": _read_csv}
READERS |= dict.fromkeys((".pt", ".pth", ".bin"), _read_torch)
