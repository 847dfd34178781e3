"""JAX's place: float64 by context, arrays resident on the device, memory asked before it is taken.

This is the only room besides ``heads`` that imports JAX. Nothing here changes global state: float64
is switched on by context, so importing gramlab never alters the precision of the caller's code.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from gramlab import errors, memory

__all__ = ["bytes_free", "describe", "float64", "resident"]


def float64() -> AbstractContextManager:
    """Return a context in which JAX arrays and products are float64."""
    return jax.enable_x64(True)


def bytes_free() -> int | None:
    """Bytes free on the default accelerator; ``None`` on a CPU, whose memory the system reports."""
    stats = jax.devices()[0].memory_stats() if jax.devices()[0].platform != "cpu" else None
    if not stats or "bytes_limit" not in stats:
        return None
    return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))


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
            f"{what} needs {needed} bytes on {jax.devices()[0]}, {free} bytes are free: "
            f"{alternative}"
        )
    with float64():
        return jax.device_put(jnp.asarray(array, dtype=np.dtype(dtype)))


def describe() -> dict[str, str]:
    """Name the device and JAX version, for provenance."""
    device = jax.devices()[0]
    return {"platform": device.platform, "device": device.device_kind, "jax": jax.__version__}
