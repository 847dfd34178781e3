"""Ask for memory before taking it, take it where devices can use it, give back what was mapped.

A map of a file is address space, not memory; the pages that were read count as resident until the
system wants them back or :func:`release` gives them back. So a reader that goes through a map with
:func:`row_blocks` has one block resident, however large the file is.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import NotEnoughMemory


def format_bytes(count: int | float) -> str:
    """A number of bytes with a decimal unit, such as ``"20.0 GB"`` (1 GB = 10**9 bytes)."""
    size = float(count)
    if size < 1000.0:
        return f"{int(size)} bytes"
    units = ("kB", "MB", "GB", "TB", "PB", "EB")
    power = 0
    size /= 1000.0
    # 999.95 would be printed as 1000.0, so it belongs to the next unit.
    while size >= 999.95 and power < len(units) - 1:
        size /= 1000.0
        power += 1
    return f"{size:.1f} {units[power]}"


_MAPPED_BLOCK_BYTES = 8_000_000  # of mapped rows, whose blocks bound what a pass keeps resident
_BLOCK_BYTES = 32_000_000
_ALIGNMENT = 64  # bytes; JAX takes an array on a CPU as it is where it starts at such an address


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """An uninitialized array, in row order, that JAX does not have to copy on a CPU."""
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    raw = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    first = -raw.ctypes.data % _ALIGNMENT
    return raw[first : first + size].view(kind).reshape(shape)


def is_aligned(array: np.ndarray) -> bool:
    """Whether JAX can take the array on a CPU without copying it."""
    return array.flags.c_contiguous and array.ctypes.data % _ALIGNMENT == 0


def bytes_available() -> int:
    """Bytes of main memory that can be taken now: of the machine, within this process's limit."""
    import psutil

    return max(0, min(int(psutil.virtual_memory().available), _below_limit()))


def _below_limit() -> int:
    """Address space left to this process (``ulimit -v``); a very large number without a limit."""
    import psutil

    try:
        import resource
    except ImportError:  # only POSIX has such limits
        return sys.maxsize
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return soft - int(psutil.Process().memory_info().vms)


def check_memory(
    bytes_needed: int | float, what: str, alternative: str, free: int | None = None
) -> int:
    """Refuse a large allocation before it is made.

    Parameters
    ----------
    bytes_needed : int or float
        Bytes about to be allocated.
    what, alternative : str
        What they are for, for example ``"the 50000 x 50000 Gram matrix"``, and what to do instead,
        for example ``"use Spectrum.of, which never forms it"``.
    free : int, optional
        Bytes that are free; by default those of main memory, now.

    Returns
    -------
    int
        Bytes free.

    Raises
    ------
    NotEnoughMemory
        If more is needed than is free; states both and the alternative.
    """
    needed = int(bytes_needed)
    free = bytes_available() if free is None else free
    if needed > free:
        raise NotEnoughMemory(
            f"{what} needs {format_bytes(needed)} ({needed} bytes) of memory, but "
            f"{format_bytes(free)} ({free} bytes) are free; {alternative}"
        )
    return free


def _mapped_root(array: np.ndarray) -> np.memmap | None:
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
    return _mapped_root(array) is not None


def release(array: np.ndarray) -> None:
    """Give the resident pages of a mapped array back; nothing happens to other arrays.

    The values stay readable: a later access reads them from the file again.

    Parameters
    ----------
    array : np.ndarray
        For example one block of rows of a mapped matrix.
    """
    root = _mapped_root(array)
    if root is None or array.size == 0 or not hasattr(mmap, "MADV_DONTNEED"):
        return
    mapping: Any = root.base
    first = np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
    low, high = np.lib.array_utils.byte_bounds(array)
    margin = 1 << 21  # the system may map whole pages around a touched one, up to a huge page
    begin = max(0, low - first - margin) // mmap.PAGESIZE * mmap.PAGESIZE
    end = min(len(mapping), high - first + margin)
    mapping.madvise(mmap.MADV_DONTNEED, begin, end - begin)


def row_blocks(
    array: np.ndarray, *, rows: int | None = None, dtype: npt.DTypeLike | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Go over the rows of an array, a block at a time, and release each block of a mapped one.

    Parameters
    ----------
    array : np.ndarray of one axis or more
    rows : int, optional
        Rows per block; by default as many as take about 32 MB, 8 MB of a mapped array, and at
        least one.
    dtype : dtype, optional
        To convert blocks to; by default that of the array.

    Yields
    ------
    slice
        Which rows.
    np.ndarray
        They themselves, a view where nothing has to be converted.
    """
    kind = array.dtype if dtype is None else np.dtype(dtype)
    size = _MAPPED_BLOCK_BYTES if is_mapped(array) else _BLOCK_BYTES
    step = rows or max(1, size // max(1, array[:1].size * kind.itemsize))
    for start in range(0, len(array), step):
        part = slice(start, min(start + step, len(array)))
        block = array[part]
        try:
            yield part, block.astype(kind, copy=False)
        finally:
            release(block)
