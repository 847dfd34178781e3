"""JAX's place: float64 by context, arrays resident on the device, memory asked before it is taken.

The caller's settings of JAX stay as they are: float64, and what a caller may have made stricter,
are set by context. Only the folder of compiled code is the process's (``machine.compilation``).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any

import numpy as np
import numpy.typing as npt
from psutil import Process

from gramlab import errors
from gramlab.machine import hardware, memory
from gramlab.machine.backend import (
    Mesh,
    NamedSharding,
    PartitionSpec,
    jax,
    jnp,
    multihost_utils,
    xla_bridge,
)
from gramlab.machine.compilation import keep_compiled

_process: int | None = None  # in which JAX was started


def _started() -> list[Any]:
    """Devices of this process, JAX being started where it was not: the way to all of them.

    Raises DeviceError in a process forked after JAX was started, where it would wait for ever for
    threads that stayed behind; if ``ulimit -v`` is too low for JAX, or XLA does not take what
    ``XLA_FLAGS`` holds, which would end the process; or if a platform that was asked for is not
    there.
    """
    global _process
    # Where somebody else started JAX, its threads tell: they do not come along into a forked child.
    started = _process is None and xla_bridge.backends_are_initialized()
    if _process not in (None, os.getpid()) or (started and Process().num_threads() == 1):
        raise errors.DeviceError(
            f"expected a process that starts JAX itself, but this one (process {os.getpid()}) was "
            "forked from one that had started it: use multiprocessing.get_context('spawn'), or "
            "fork before the first fit and before JAX is used"
        )
    if _process is None:
        if not started:
            _check_addresses()
            _check_flags()
        keep_compiled()
    try:
        devices = jax.local_devices()
    except MemoryError:
        raise
    except Exception as problem:  # mostly RuntimeError, AssertionError where none could be started
        reason = str(problem) or f"none of {jax.config.values['jax_platforms']!r} is here"
        raise errors.DeviceError(
            f"expected a platform that JAX can start, but: {reason}; set JAX_PLATFORMS to one "
            "that this machine has, such as JAX_PLATFORMS=cpu"
        ) from problem
    if _process is None:
        _process = os.getpid()
        hardware.record_device(devices[0].platform, devices[0].device_kind)
    return devices


def _check_addresses() -> None:
    """Refuse to start JAX, with DeviceError, where ``ulimit -v`` leaves it too few addresses."""
    # Measured with jax 0.10 on Linux, a first fit being compiled: 0.3 GB are needed with one arena
    # of malloc; with one for each thread, as glibc has it, 1.3 GB on 2 cores and 3.6 GB on 16. What
    # is loaded after it, figures and a report, maps 0.2 GB more.
    threads = 10 + 5 * hardware.cores() // 2
    fixed, arena = 400_000_000 + 8_000_000 * threads, 2**26  # with a stack for each thread
    bounded = "MALLOC_ARENA_MAX" in os.environ
    needed, left = fixed + arena * (1 if bounded else threads), memory.addresses_left()
    if left < needed:
        least = memory.format_bytes(fixed + arena)
        other = "" if bounded else f", or set MALLOC_ARENA_MAX=1 (then {least} are enough)"
        raise errors.DeviceError(
            f"expected {memory.format_bytes(needed)} of address space for JAX, but ulimit -v "
            f"leaves {memory.format_bytes(left)} to this process; raise it (ulimit -v unlimited)"
            + other
        )


def _check_flags() -> None:
    """Refuse, with DeviceError, to start JAX with ``XLA_FLAGS`` that XLA does not take.

    XLA ends the process over them, and nothing can catch that. So another one is asked, on its CPU
    whatever the device, as a second process on an accelerator may find its memory taken.
    """
    if not os.environ.get("XLA_FLAGS"):
        return
    program = [sys.executable, "-P", "-c", "import jax; jax.devices()"]
    asked = subprocess.run(
        program,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    # Severity (error or fatal) and date, time, thread, place in XLA's source, then what is wrong.
    logged = r"^[EF]\d{4} .*(?:parse_flags_from_env|command_line_flags)\.cc:\d+\] (.+)"
    reason = re.search(logged, asked.stderr, re.MULTILINE)
    if asked.returncode and reason:
        raise errors.DeviceError(
            f"expected flags in XLA_FLAGS that XLA takes, got {os.environ['XLA_FLAGS']!r}, but: "
            f"{reason[1]}; correct that variable, or unset it"
        )


@contextmanager
def float64() -> Iterator[None]:
    """Context of this thread, in which all of gramlab's JAX code runs, or DeviceError.

    Float64; type promotion, broadcasting, transfers and nan are as JAX has them by default, however
    strict the caller is elsewhere.
    """
    _started()
    with (
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.transfer_guard("allow"),
        jax.debug_nans(False),
        jax.debug_infs(False),
    ):
        yield


def accelerated() -> bool:
    """Whether the default device is an accelerator: fast products, memory of its own."""
    return _started()[0].platform != "cpu"


def bytes_free() -> int:
    """Bytes free on the default device: its own, or of a CPU those of the system."""
    device = _started()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if not stats or "bytes_limit" not in stats:
        return memory.bytes_available()
    return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))


def shortage(bytes_needed: int) -> str:
    """Why ``bytes_needed`` do not fit the default device now, in words; empty if they do."""
    free = bytes_free()
    if bytes_needed <= free:
        return ""
    needed, left = memory.format_bytes(bytes_needed), memory.format_bytes(free)
    return f"{needed} needed on {_started()[0]}, {left} free"


def _check_memory(bytes_needed: int, what: str, alternative: str) -> None:
    memory.check_memory(bytes_needed, f"{what} on {_started()[0]}", alternative, bytes_free())


def resident(array: np.ndarray, what: str, dtype: npt.DTypeLike) -> jax.Array:
    """Put ``array`` on the device as ``dtype``; NotEnoughMemory if it does not fit."""
    needed = np.dtype(dtype).itemsize * array.size
    _check_memory(needed, what, "use fewer rows or features, or a device with more memory")
    with float64():
        return put_rows(array, len(array), dtype)


def put_rows(array: np.ndarray, length: int, dtype: npt.DTypeLike | None = None) -> jax.Array:
    """Put rows that fit (``shortage``) on the device as ``dtype``, zero rows up to ``length``."""
    kind = array.dtype if dtype is None else np.dtype(dtype)
    if len(array) == length and kind == array.dtype and memory.is_aligned(array):
        return jax.device_put(array)
    filled = memory.aligned((length, *array.shape[1:]), kind)
    with np.errstate(over="ignore"):
        np.copyto(filled[: len(array)], array, casting="same_kind")
    filled[len(array) :] = 0
    return jax.device_put(filled)


def count() -> int:
    """Number of devices of this process."""
    return len(_started())


def workers() -> list[int]:
    """Local device numbers of threads that compute at the same time: one for each device.

    A CPU that is a single device has two, where this process may use two cores: what a head does
    between its products keeps one core at most busy.
    """
    devices = _started()
    if len(devices) == 1 and devices[0].platform == "cpu" and hardware.cores() > 1:
        return [0, 0]
    return list(range(len(devices)))


def on_device(number: int) -> AbstractContextManager:
    """Return a context, of this thread, in which new JAX arrays live on that local device."""
    return jax.default_device(_started()[number])


def describe() -> dict[str, str]:
    """``hardware.describe``, JAX being started where it was not."""
    _started()
    return hardware.describe()


def process() -> tuple[int, int]:
    """Number of this process, and of all processes of the run (``jax.distributed``)."""
    _started()
    return jax.process_index(), jax.process_count()


def row_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """One axis, ``rows``, over ``devices``, those of each process side by side; default all."""
    _started()
    chosen = list(jax.devices() if devices is None else devices)
    if not chosen or len(set(chosen)) != len(chosen):
        raise errors.InvalidSetting(
            f"devices must be different JAX devices, at least one, got {chosen!r}: pass some of "
            "jax.devices(), or None for all"
        )
    chosen.sort(key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(chosen), ("rows",))


def in_rows(
    local: np.ndarray, mesh: Mesh, per_device: int, what: str, dtype: npt.DTypeLike
) -> jax.Array:
    """Spread the rows (n, k) of every process over its devices; zero rows fill the last shards.

    ``mesh`` is of ``row_mesh``, ``per_device`` the rows of each shard, both the same in all
    processes. Returns (devices · per_device, k), one shard on each device; NotEnoughMemory names
    ``what`` if those of this process do not fit.
    """
    kind = np.dtype(dtype)
    columns = local.shape[1]
    shards = 1 if accelerated() else len(mesh.local_devices)  # that lie in one memory
    needed = kind.itemsize * per_device * columns * shards
    _check_memory(needed, what, "spread the rows over more devices")
    places = [device.process_index for device in mesh.devices]
    first = per_device * places.index(jax.process_index())

    def shard(index: Any) -> np.ndarray:
        start = (index[0].start or 0) - first
        rows = np.asarray(local[start : start + per_device], dtype=kind)
        missing = per_device - len(rows)
        return np.concatenate([rows, np.zeros((missing, columns), kind)]) if missing else rows

    shape, layout = (per_device * mesh.size, columns), PartitionSpec("rows", None)
    with float64():
        return jax.make_array_from_callback(shape, NamedSharding(mesh, layout), shard, dtype=kind)


def beside(rows: jax.Array, column: jax.Array) -> jax.Array:
    """Rows (n, d) from ``in_rows``, and a column (n, 1) laid out like them, as rows (n, d + 1)."""
    shards = 1 if accelerated() else len(rows.addressable_shards)  # that lie in one memory
    needed = (rows.nbytes + rows.dtype.itemsize * len(rows)) // rows.sharding.num_devices * shards
    _check_memory(needed, "rows with one more column", "spread the rows over more devices")
    join = jax.jit(
        lambda a, b: jnp.concatenate([a, b.astype(a.dtype)], axis=1), out_shardings=rows.sharding
    )
    with float64():
        return join(rows, column)


def own_rows(array: jax.Array, count: int) -> np.ndarray:
    """The first ``count`` rows that this process holds of an array from ``in_rows``, as NumPy's."""
    shards = {(shard.index[0].start or 0): shard for shard in array.addressable_shards}
    with float64():
        return np.concatenate([np.asarray(shards[start].data) for start in sorted(shards)])[:count]


def gathered(values: npt.ArrayLike) -> np.ndarray:
    """``values`` (float64, one shape) of every process, stacked in front: a collective call."""
    values = np.asarray(values, dtype=np.float64)
    with float64():
        return np.asarray(multihost_utils.process_allgather(values)).reshape(-1, *values.shape)


def agreed(values: np.ndarray) -> np.ndarray:
    """Those of process 0, in all processes, as last bits may differ: a collective call."""
    with float64():
        return np.asarray(multihost_utils.broadcast_one_to_all(values))


def _over_rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile what takes rows over devices, for float64, and gives NumPy arrays."""
    compiled = jax.jit(function)

    @wraps(function)
    def computed(*arrays: Any) -> Any:
        with float64():
            return jax.tree.map(np.asarray, compiled(*arrays))

    return computed


@_over_rows
def gram_matrix(x: jax.Array) -> jax.Array:
    """XᵀX (d, d) in float64 of rows over devices."""
    x = x.astype(jnp.float64)
    return x.T @ x


@_over_rows
def gram_action(x: jax.Array, vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Xᵀ(X Q) (d, m) and ‖X q_j‖² (m,) in float64 for Q (d, m), of rows over devices."""
    rotated = x.astype(jnp.float64) @ vectors
    return x.astype(jnp.float64).T @ rotated, (rotated * rotated).sum(axis=0)


@_over_rows
def row_sums(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """‖X‖_F² and the largest row norm in float64, and the largest entry, of rows over devices."""
    # Without their signs numbers are ordered like their bits, which no arithmetic flushes to zero.
    bits = jax.lax.bitcast_convert_type(x, jnp.dtype(f"uint{8 * x.dtype.itemsize}"))
    largest = (bits & (np.iinfo(bits.dtype).max >> 1)).max()
    rows = x.astype(jnp.float64)
    squares = (rows * rows).sum(axis=1)
    return squares.sum(), jnp.sqrt(squares.max()), jax.lax.bitcast_convert_type(largest, x.dtype)
