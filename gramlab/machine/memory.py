"""Ask for memory before taking it, take it where devices can use it, give back what was mapped.

A map of a file is address space, not memory; the pages that were read count as resident until the
system wants them back or :func:`release` gives them back. So a reader that goes through a map with
:func:`row_blocks` has one block resident, however large the file is.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from gramlab.errors import NotEnoughMemory

_MAPPED_BLOCK_BYTES = 8_000_000  # of mapped rows, whose blocks bound what a pass keeps resident
_BLOCK_BYTES = 32_000_000
_ALIGNMENT = 64  # bytes; JAX takes an array on a CPU as it is where it starts at such an address


def format_bytes(count: int | float) -> str:
    """A number of bytes with a decimal unit, such as ``"20.0 GB"`` (1 GB = 10**9 bytes)."""
    if count < 1000:
        return f"{int(count)} bytes"
    size, units = count / 1000.0, ["kB", "MB", "GB", "TB", "PB", "EB"]
    while size >= 999.95 and len(units) > 1:  # which would be printed as 1000.0
        size /= 1000.0
        del units[0]
    return f"{size:.1f} {units[0]}"


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
    """Bytes of main memory that can be taken now: of the machine, within ``ulimit -v``."""
    return int(min(psutil.virtual_memory().available, addresses_left()))


def addresses_left() -> float:
    """Bytes that this process may still map within ``ulimit -v``; infinite without such a limit."""
    try:
        import resource
    except ImportError:  # only POSIX has such limits
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return math.inf
    return max(0, limit - psutil.Process().memory_info().vms)


def check_memory(
    bytes_needed: int | float, what: str, alternative: str, free: int | None = None
) -> None:
    """Refuse a large allocation with NotEnoughMemory before it is made.

    ``what`` it is for, as in ``"the 50000 x 50000 Gram matrix"``, and the ``alternative``, as in
    ``"use Spectrum.of, which never forms it"``, stand in the message. ``free`` are by default the
    bytes of main memory, now.
    """
    needed = int(bytes_needed)
    free = bytes_available() if free is None else free
    if needed > free:
        raise NotEnoughMemory(
            f"{what} needs {format_bytes(needed)} ({needed} bytes) of memory, but "
            f"{format_bytes(free)} ({free} bytes) are free; {alternative}"
        )


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
    """Whether an array is (a view of) a read-only memory map: ``np.memmap`` in mode "r"."""
    return _mapped_root(array) is not None


def release(array: np.ndarray) -> None:
    """Give the resident pages of a mapped array, such as a block of rows, back.

    The values stay readable: a later access reads them from the file again. Nothing happens to
    other arrays.
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

    Yields which rows, and they themselves as ``dtype`` (by default that of the array), a view where
    nothing has to be converted. Blocks have ``rows`` rows, by default as many as take about 32 MB,
    8 MB of a mapped array, and at least one.
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
