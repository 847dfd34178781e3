"""Ask for memory before taking it, and take it where devices can use it as it is."""

from __future__ import annotations

import math
import sys

import numpy as np
import numpy.typing as npt

from gramlab.errors import NotEnoughMemory


def format_bytes(count: int | float) -> str:
    """Write a number of bytes with a decimal unit.

    Parameters
    ----------
    count : int or float
        Bytes, not negative.

    Returns
    -------
    str
        For example ``"20.0 GB"`` (1 GB = 10**9 bytes).
    """
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


_ALIGNMENT = 64  # bytes; JAX takes an array on a CPU as it is where it starts at such an address


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """An uninitialized array, in row order, that JAX does not have to copy on a CPU.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype

    Returns
    -------
    np.ndarray
    """
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


def check_memory(bytes_needed: int | float, what: str, alternative: str) -> int:
    """Refuse a large allocation before it is made.

    Parameters
    ----------
    bytes_needed : int or float
        Bytes about to be allocated.
    what : str
        What they are for, for example ``"the 50000 x 50000 Gram matrix"``.
    alternative : str
        What to do instead, for example ``"use Spectrum.of, which never forms it"``.

    Returns
    -------
    int
        Bytes free now, in main memory.

    Raises
    ------
    NotEnoughMemory
        If more is needed than is free; states both and the alternative.
    """
    needed = int(bytes_needed)
    free = bytes_available()
    if needed > free:
        raise NotEnoughMemory(
            f"{what} needs {format_bytes(needed)} ({needed} bytes) of memory, but "
            f"{format_bytes(free)} ({free} bytes) are free; {alternative}"
        )
    return free
