"""Read-only memory maps: the tensors of a `.safetensors` file, and pages given back after use.

A map is address space, not memory; the pages that were read count as resident until the system
wants them back or :func:`release` gives them back. So a reader that goes through a map block by
block and releases each block has one block resident, however large the file is.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from pathlib import Path
from typing import IO, Any, NoReturn, TypeGuard

import numpy as np

from gramlab.errors import UnreadableSource

__all__ = ["is_mapped", "open_tensors", "release"]

# The limit of the safetensors library; no honest header is longer.
_HEADER_BYTES = 100_000_000
# The system may map whole pages around a touched one, up to a huge page.
_MARGIN_BYTES = 1 << 21
_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}


def _root(array: np.ndarray) -> np.memmap | None:
    """The read-only map that an array is a view of, or None."""
    base: Any = array
    found = None
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap):
            found = base
        base = base.base
    # Pages of a copy-on-write map ("c") hold the only copy of what was written into them.
    return found if found is not None and found.mode == "r" else None


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array is (a view of) a read-only memory map of a file.

    Parameters
    ----------
    array : np.ndarray
        Any array.

    Returns
    -------
    bool
        True for ``np.memmap`` in mode "r", and so for ``np.load(path, mmap_mode="r")``.
    """
    return _root(array) is not None


def release(array: np.ndarray) -> None:
    """Give the resident pages of a mapped array back; nothing happens to other arrays.

    The values stay readable: a later access reads them from the file again.

    Parameters
    ----------
    array : np.ndarray
        For example one block of rows of a mapped matrix.
    """
    root = _root(array)
    if root is None or array.size == 0 or not hasattr(mmap, "MADV_DONTNEED"):
        return
    mapping: Any = root.base
    first = np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
    low, high = np.lib.array_utils.byte_bounds(array)
    begin = max(0, low - first - _MARGIN_BYTES) // mmap.PAGESIZE * mmap.PAGESIZE
    end = min(len(mapping), high - first + _MARGIN_BYTES)
    mapping.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def open_tensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Map the tensors of a `.safetensors` file without reading them.

    The header is checked before anything is mapped: its length, dtypes, shapes and offsets must
    agree with each other and with the size of the file, and the tensors must lie one after the
    other from the header to the end of the file, without overlap or gap.

    Parameters
    ----------
    path : str or path-like
        The file. It must not be shortened while the arrays are in use: the system ends a program
        that reads a page which the file no longer has. (Replacing the file by renaming another
        over it, as gramlab does, is safe.)

    Returns
    -------
    dict of str to str
        The metadata entries of the header.
    dict of str to np.ndarray
        Read-only ``np.memmap`` by tensor name (plain empty arrays where a shape holds a 0).

    Raises
    ------
    UnreadableSource
        If the file is missing, truncated, or its header is malformed; the message says where.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            metadata, entries, start = _read_header(path, file)
            tensors = {
                name: _map(file, dtype, shape, start + begin)
                for name, (dtype, shape, begin) in entries.items()
            }
    except UnreadableSource:
        raise
    except (OSError, ValueError, OverflowError, MemoryError) as problem:
        _refuse(path, str(problem) or type(problem).__name__)
    return metadata, tensors


def _refuse(path: Path, reason: str) -> NoReturn:
    raise UnreadableSource(
        f"source {path.name!r} is truncated or corrupted ({reason}); "
        "write it again or copy it again from where it came"
    )


def _map(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> np.ndarray:
    if 0 in shape:  # nothing to map
        return np.empty(shape, dtype)
    return np.memmap(file, dtype=dtype, mode="r", offset=offset, shape=shape)


def _read_header(
    path: Path, file: IO[bytes]
) -> tuple[dict[str, str], dict[str, tuple[np.dtype[Any], tuple[int, ...], int]], int]:
    """Metadata, (dtype, shape, offset in the data) by tensor name, and where the data start."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or not 2 <= length <= min(size - 8, _HEADER_BYTES):
        _refuse(path, f"a header of {length} bytes does not fit a file of {size} bytes")
    text = file.read(length)
    if len(text) != length:
        _refuse(path, "the header ends early")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as problem:
        _refuse(path, f"the header is not JSON: {problem}")
    if not isinstance(header, dict):
        _refuse(path, "the header is not a mapping")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        _refuse(path, "the metadata are not a mapping of texts")
    entries, places = {}, []
    for name, entry in header.items():
        dtype, shape, begin, end = _check_entry(path, name, entry)
        entries[name] = dtype, shape, begin
        places.append((begin, end, name))
    data = size - 8 - length
    expected = 0
    for begin, end, name in sorted(places):
        if end > data:
            _refuse(path, f"tensor {name!r} ends at byte {end} of {data} bytes of data")
        if begin != expected:
            kind = "overlaps the one before it" if begin < expected else "leaves a gap before it"
            _refuse(path, f"tensor {name!r} {kind}: starts at {begin}, expected {expected}")
        expected = end
    if expected != data:
        _refuse(path, f"the tensors end at byte {expected} of {data} bytes of data")
    return metadata, entries, 8 + length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _naturals(values: object) -> TypeGuard[list[int]]:
    # bool is an int to Python, but true is no length.
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_entry(
    path: Path, name: str, entry: object
) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """Check one tensor's dtype, shape and offsets against each other."""
    if not isinstance(entry, dict):
        _refuse(path, f"the entry of tensor {name!r} is not a mapping")
    code, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(code, str) or code not in _DTYPES:
        _refuse(path, f"tensor {name!r} has the unknown dtype {str(code)[:40]!r}")
    if not _naturals(shape) or len(shape) > 8:
        _refuse(path, f"tensor {name!r} has the impossible shape {str(shape)[:80]}")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(path, f"tensor {name!r} has the impossible offsets {str(offsets)[:80]}")
    dtype = np.dtype(_DTYPES[code])
    needed, held = math.prod(shape) * dtype.itemsize, offsets[1] - offsets[0]
    if needed != held:
        _refuse(
            path,
            f"tensor {name!r} of shape {str(tuple(shape))[:80]} and dtype {code} needs "
            f"{str(needed)[:40]} bytes, its offsets hold {held}",
        )
    return dtype, tuple(shape), offsets[0], offsets[1]
