"""Arrays on the device; host BLAS kept to one thread while JAX computes, and given back."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  its BLAS must be there before threads are counted
import threadpoolctl

from gramlab import SoftmaxHead
from gramlab.machine import device, hardware, memory


def blas_threads() -> set[int]:
    found = threadpoolctl.ThreadpoolController().select(user_api="blas")
    return {library.num_threads for library in found.lib_controllers}


@pytest.fixture
def two_threads():
    with threadpoolctl.threadpool_limits(2, "blas"):
        if blas_threads() != {2}:
            pytest.skip("the BLAS at hand cannot be given two threads")
        yield


def test_nested_contexts_give_back_what_was(two_threads):
    with hardware.one_blas_thread():
        with hardware.one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_other_threads_leave_the_process_as_it_is(two_threads):
    """Each saving and restoring what it saw, threads that overlap would end at one thread."""
    entered, left = threading.Event(), threading.Event()
    seen: list[set[int]] = []

    def second() -> None:
        with hardware.one_blas_thread():
            entered.set()
            left.wait(10)
            seen.append(blas_threads())

    other = threading.Thread(target=second)
    with hardware.one_blas_thread():
        other.start()
        entered.wait(10)
        assert blas_threads() == {1}
    left.set()
    other.join()
    assert seen == [{2}]
    assert blas_threads() == {2}


def test_a_failure_gives_back_what_was(two_threads):
    @hardware.one_blas_thread()
    def interrupted() -> None:
        assert blas_threads() == {1}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert blas_threads() == {2}


def test_a_fit_leaves_the_threads_of_blas_to_others(two_threads):
    """They are the process's, and on their number hang the last digits of what others multiply."""
    seen = []
    for n, d in ((30, 4), (600, 250)):  # by NumPy, and on the device
        x = np.random.default_rng(0).standard_normal((n, d))
        head = SoftmaxHead(1e-3, progress=lambda passes, norm: seen.append(blas_threads()))
        head.fit(x, np.eye(3)[np.arange(n) % 3])
        assert seen.pop() == {2}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores of a process unknown here")
@pytest.mark.parametrize(("cores", "workers"), [({0}, [0]), ({0, 3}, [0, 0]), ({1, 2, 3}, [0, 0])])
def test_a_cpu_has_two_workers_where_the_process_may_use_two_cores(cores, workers, monkeypatch):
    """However many the machine has: a process held to one core has nothing to fill."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores)
    assert device.workers() == workers


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("source", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_arrive_as_they_are(offset, source, dtype):
    """From any address, in rows or in columns; what float32 cannot hold is infinite, in silence."""
    values = np.random.default_rng(0).standard_normal((6, 5))
    values[0, 0] = 1e300 if source == np.float64 else 3e4
    raw = memory.aligned((8 + 30,), source)
    array = raw[offset : offset + 30].reshape(6, 5)
    array[:] = values
    with np.errstate(over="ignore"):
        expected = array.astype(dtype)
    for given in (array, np.asfortranarray(array)):
        found = np.asarray(device.resident(given, "planted", dtype))
        assert found.dtype == dtype
        assert np.array_equal(found, expected)
    assert memory.is_aligned(raw)
    assert not memory.is_aligned(raw[1:])
    assert not memory.is_aligned(np.asfortranarray(array))
