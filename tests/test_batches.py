"""Batches: results in order whatever the workers do, failures told, nothing begun after one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gramlab
from gramlab import device
from gramlab.batches import in_batches


@pytest.fixture(params=[1, 2, 3])
def workers(request, monkeypatch) -> int:
    monkeypatch.setattr(device, "workers", lambda: [0] * request.param)
    return request.param


def test_results_come_in_the_order_of_the_items(workers):
    def task(item: int, place: int) -> int:
        time.sleep(0.002 * (item % 3))
        return 10 * item + place

    assert in_batches(task, range(12)) == [10 * item for item in range(12)]
    assert in_batches(task, []) == []


def test_as_many_at_once_as_there_are_workers(workers):
    """Each of a batch waits for the others: with fewer at once the barrier would break."""
    barrier = threading.Barrier(workers)
    assert (
        in_batches(lambda item, _: barrier.wait(10) is not None, range(workers)) == [True] * workers
    )


def test_a_failure_is_raised_and_nothing_is_begun_after_it(workers):
    begun = []

    def task(item: int, _: int) -> None:
        begun.append(item)
        if item == 2:
            raise ValueError("the third")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="the third"):
        in_batches(task, range(50))
    assert len(begun) <= 3 + workers


def test_tasks_in_hand_can_see_that_they_are_to_stop(monkeypatch):
    monkeypatch.setattr(device, "workers", lambda: [0, 0])
    stop, seen = threading.Event(), []

    def task(item: int, _: int) -> None:
        if item == 0:
            raise KeyboardInterrupt
        seen.append(stop.wait(10))

    with pytest.raises(KeyboardInterrupt):
        in_batches(task, range(2), stop=stop)
    assert stop.is_set()
    assert all(seen)


def test_heads_are_the_same_to_the_last_bit_alone_and_in_a_batch(workers):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 20))
    features = gramlab.Features(x, rng.integers(0, 5, 300))
    gramlab.Spectrum.of(features)
    head = gramlab.SoftmaxHead(1e-3)

    def task(seed: int, _: int) -> np.ndarray:
        given = np.random.default_rng(seed).integers(0, 5, 300)
        return head.fit(features, gramlab.one_hot(given, 5)).weights

    alone = [task(seed, 0) for seed in range(6)]
    for one, other in zip(in_batches(task, range(6)), alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_work_without_jax_does_not_load_it():
    """And still is done by two threads, where there are two cores."""
    program = (
        "import sys, threading\n"
        "from gramlab import hardware\n"
        "from gramlab.batches import in_batches\n"
        "barrier = threading.Barrier(min(2, hardware.cores()))\n"
        "print(in_batches(lambda item, place: (item, place, barrier.wait(10) >= 0), range(4),"
        " on_devices=False), 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == f"{[(item, 0, True) for item in range(4)]} False", done.stderr
