"""JAX's place: float64 by context, arrays resident on the device, memory asked before it is taken.

This is the only room besides ``heads`` that imports JAX. Nothing here changes global state: float64
is switched on by context, so importing gramlab never alters the precision of the caller's code.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import threadpoolctl
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gramlab import errors, memory

__all__ = [
    "accelerated",
    "agreed",
    "bytes_free",
    "cores",
    "count",
    "describe",
    "float64",
    "gathered",
    "gram_action",
    "gram_matrix",
    "has_tiles",
    "in_rows",
    "multiplies_bfloat16",
    "on_device",
    "own_rows",
    "process",
    "resident",
    "row_mesh",
    "row_sums",
    "shortage",
    "undisturbed",
    "workers",
]


_CPU_FACTS = Path("/proc/cpuinfo")
_BFLOAT16_CAPABILITY = 8  # CUDA's number of the first tensor cores for bfloat16


def float64() -> AbstractContextManager:
    """Return a context in which JAX arrays and products are float64."""
    return jax.enable_x64(True)


def accelerated() -> bool:
    """Whether the default device is an accelerator: fast products, memory of its own."""
    return jax.default_backend() != "cpu"


def bytes_free() -> int | None:
    """Bytes free on the default accelerator; ``None`` on a CPU, whose memory the system reports."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if not stats or "bytes_limit" not in stats:
        return None
    return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))


def shortage(bytes_needed: int) -> str:
    """Why ``bytes_needed`` do not fit the default device now, in words; empty if they do."""
    free = bytes_free()
    if free is None:
        free = memory.bytes_available()
    if bytes_needed <= free:
        return ""
    needed, left = memory.format_bytes(bytes_needed), memory.format_bytes(free)
    return f"{needed} needed on {jax.local_devices()[0]}, {left} free"


def resident(array: np.ndarray, what: str, dtype: npt.DTypeLike = np.float64) -> jax.Array:
    """Put ``array`` on the device as ``dtype``, after checking that it fits.

    Raises
    ------
    NotEnoughMemory
        With the bytes needed, the bytes free and the alternative.
    """
    needed = np.dtype(dtype).itemsize * int(np.prod(array.shape))
    alternative = "use fewer rows or features, or a device with more memory"
    free = bytes_free()
    if free is None:
        memory.check_memory(needed, what, alternative)
    elif needed > free:
        raise errors.NotEnoughMemory(
            f"{what} needs {needed} bytes on {jax.local_devices()[0]}, {free} bytes are free: "
            f"{alternative}"
        )
    kind = np.dtype(dtype)
    if free is None and not memory.is_aligned(array) and array.dtype in (np.float32, np.float64):
        # One copy, in the new precision, where there would be another of the array as it is.
        converted = memory.aligned(array.shape, kind)
        with np.errstate(over="ignore"):
            np.copyto(converted, array, casting="same_kind")
        array = converted
    with float64():
        # Else converted there: NumPy takes half precision apart one number at a time.
        return jax.device_put(array).astype(kind)


def count() -> int:
    """Number of devices of this process."""
    return jax.local_device_count()


def workers() -> list[int]:
    """Local device numbers of threads that compute at the same time: one for each device.

    A CPU that is a single device has two, where this process may use two cores: what a head does
    between its products keeps one core at most busy.
    """
    devices = jax.local_devices()
    if len(devices) == 1 and devices[0].platform == "cpu" and cores() > 1:
        return [0, 0]
    return list(range(len(devices)))


def cores() -> int:
    """Cores that this process may use, which can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def on_device(number: int) -> AbstractContextManager:
    """Return a context, of this thread, in which new JAX arrays live on that local device."""
    return jax.default_device(jax.local_devices()[number])


@cache
def multiplies_bfloat16() -> bool:
    """Whether products of bfloat16 numbers are several times as fast as those of float32 here.

    So it is on CPUs with matrix units (AMX) and on GPUs with tensor cores, see docs/benchmarks.md.
    Instructions of AVX-512 alone gain too little.
    """
    if accelerated():
        capability = str(getattr(jax.local_devices()[0], "compute_capability", ""))
        major = capability.partition(".")[0]  # other makers' are words
        return major.isdecimal() and int(major) >= _BFLOAT16_CAPABILITY
    return has_tiles()


def has_tiles() -> bool:
    """Whether the processor has tile registers that multiply bfloat16 numbers (AMX)."""
    try:
        facts = _CPU_FACTS.read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False
    return "amx_bf16" in facts.split()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep NumPy's and SciPy's BLAS to one thread while JAX computes.

    Threads of a BLAS go on spinning for a while after each product, so as to be there for the next,
    and take the cores from JAX's own threads. The limit is the process's, so only its main thread
    sets it; elsewhere, and beside an accelerator, this does nothing. The last digits of a product
    depend on the number of threads: this is for whole batches, not for a part of what one thread
    computes beside others.
    """
    if accelerated() or threading.current_thread() is not threading.main_thread():
        yield
        return
    with _blas().limit(limits=1):
        yield


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def describe() -> dict[str, str]:
    """Name the device and JAX version, for provenance."""
    device = jax.devices()[0]
    return {"platform": device.platform, "device": device.device_kind, "jax": jax.__version__}


# ---- Rows over devices and processes -------------------------------------------------------------


def process() -> tuple[int, int]:
    """Number of this process, and of all processes of the run (``jax.distributed``)."""
    return jax.process_index(), jax.process_count()


def row_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """One axis, ``rows``, over ``devices``, those of each process side by side; default all.

    Raises
    ------
    InvalidSetting
        If there is no device, or one that is named twice.
    """
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
    """Spread the rows of every process over its devices; zero rows fill the last shards.

    Parameters
    ----------
    local : (n, k)
        The rows of this process, n at most ``per_device`` times its devices.
    mesh
        Of ``row_mesh``.
    per_device
        Rows of each shard, the same in all processes.
    what
        Their name, for the message.
    dtype
        To hold them as.

    Returns
    -------
    jax.Array
        (devices · per_device, k), one shard on each device.

    Raises
    ------
    NotEnoughMemory
        If the shards of this process do not fit.
    """
    kind = np.dtype(dtype)
    columns = local.shape[1]
    needed = kind.itemsize * per_device * columns
    free = bytes_free()
    alternative = "spread the rows over more devices"
    if free is None:
        memory.check_memory(needed * len(mesh.local_devices), what, alternative)
    elif needed > free:
        raise errors.NotEnoughMemory(
            f"a shard of {what} needs {needed} bytes on {jax.local_devices()[0]}, {free} bytes "
            f"are free: {alternative}"
        )
    places = [device.process_index for device in mesh.devices]
    first = per_device * places.index(jax.process_index())

    def shard(index: Any) -> np.ndarray:
        start = (index[0].start or 0) - first
        rows = np.asarray(local[start : start + per_device], dtype=kind)
        missing = per_device - len(rows)
        return np.concatenate([rows, np.zeros((missing, columns), kind)]) if missing else rows

    with float64():
        return jax.make_array_from_callback(
            (per_device * mesh.size, columns),
            NamedSharding(mesh, PartitionSpec("rows", None)),
            shard,
            dtype=kind,
        )


def own_rows(array: jax.Array, count: int) -> np.ndarray:
    """The first ``count`` rows of an array from ``in_rows`` that this process holds, on the host.

    Those are its own rows without the zero rows that fill up its shards.
    """
    shards = {(shard.index[0].start or 0): shard for shard in array.addressable_shards}
    return np.concatenate([np.asarray(shards[start].data) for start in sorted(shards)])[:count]


def gathered(values: npt.ArrayLike) -> np.ndarray:
    """``values`` (float64, one shape) of every process, stacked in front: a collective call."""
    values = np.asarray(values, dtype=np.float64)
    if jax.process_count() == 1:
        return values[None]
    with float64():
        return np.asarray(multihost_utils.process_allgather(values)).reshape(-1, *values.shape)


def agreed(values: np.ndarray) -> np.ndarray:
    """Those of process 0, in all processes: a collective call.

    What hosts compute each for themselves may differ in the last bit.
    """
    if jax.process_count() == 1:
        return values
    with float64():
        return np.asarray(multihost_utils.broadcast_one_to_all(values))


def gram_matrix(x: jax.Array) -> np.ndarray:
    """XᵀX (d, d) in float64 of rows over devices."""
    with float64():
        return np.asarray(_gram_matrix(x))


def gram_action(x: jax.Array, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Xᵀ(X Q) (d, m) and ‖X q_j‖² (m,) in float64 for Q (d, m), of rows over devices."""
    with float64():
        product, quotients = _gram_action(x, np.asarray(vectors, dtype=np.float64))
        return np.asarray(product), np.asarray(quotients)


def row_sums(x: jax.Array) -> tuple[float, float, float]:
    """‖X‖_F², the largest row norm and the largest entry in float64, of rows over devices."""
    with float64():
        total, longest, bits = _row_sums(x)
        largest = np.asarray(bits).view(x.dtype)
        return float(total), float(np.sqrt(longest)), float(largest)


@jax.jit
def _gram_matrix(x: jax.Array) -> jax.Array:
    x = x.astype(jnp.float64)
    return x.T @ x


@jax.jit
def _gram_action(x: jax.Array, vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
    x = x.astype(jnp.float64)
    rotated = x @ vectors
    return x.T @ rotated, (rotated * rotated).sum(axis=0)


@jax.jit
def _row_sums(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    # Without their signs numbers are ordered like their bits, which no arithmetic flushes to zero.
    bits = jax.lax.bitcast_convert_type(x, jnp.dtype(f"uint{8 * x.dtype.itemsize}"))
    bits &= np.iinfo(bits.dtype).max >> 1
    x = x.astype(jnp.float64)
    squares = (x * x).sum(axis=1)
    return squares.sum(), squares.max(), bits.max()
