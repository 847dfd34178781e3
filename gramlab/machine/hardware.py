"""What this process may use, told without loading JAX: cores, BLAS threads, the device in use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata

import threadpoolctl

_device = {"platform": "cpu", "device": "cpu"}


def cores() -> int:
    """Cores that this process may use, which can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep NumPy's and SciPy's BLAS to one thread while JAX or several threads compute.

    Its threads go on spinning for a while after each product and take the cores from others. The
    limit is the process's, so only its main thread sets it; elsewhere this does nothing. The last
    digits of a product depend on the number of threads: this is for whole batches.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _blas().limit(limits=1):
        yield


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    import scipy.linalg  # noqa: F401  brings a BLAS of its own, which is found once it is loaded

    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def record_device(platform: str, kind: str) -> None:
    """Note which device JAX computes on, once it has been started."""
    _device.update(platform=platform, device=kind)


def describe() -> dict[str, str]:
    """Name the device and the JAX version, for provenance: a CPU while nothing has needed JAX."""
    return {**_device, "jax": metadata.version("jax")}
