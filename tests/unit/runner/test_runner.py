"""Folds are even and keep groups together; a run fits heads that did not see the rows they score;
results come in order whatever the workers do, failures are told, nothing is begun after one.
"""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gramlab
from gramlab.errors import InvalidSetting
from gramlab.machine import device
from gramlab.runner import Run, folds, parallel_map


@pytest.fixture(params=[1, 2, 3])
def workers(request, monkeypatch) -> int:
    monkeypatch.setattr(device, "workers", lambda: [0] * request.param)
    return request.param


def test_results_come_in_the_order_of_the_items(workers):
    def task(item: int, place: int) -> int:
        time.sleep(0.002 * (item % 3))
        return 10 * item + place

    assert parallel_map(task, range(12)) == [10 * item for item in range(12)]
    assert parallel_map(task, []) == []


def test_as_many_at_once_as_there_are_workers(workers):
    """Each of a batch waits for the others: with fewer at once the barrier would break."""
    barrier = threading.Barrier(workers)
    done = parallel_map(lambda item, _: barrier.wait(10) is not None, range(workers))
    assert done == [True] * workers


def test_a_failure_is_raised_and_nothing_is_begun_after_it(workers):
    begun = []

    def task(item: int, _: int) -> None:
        begun.append(item)
        if item == 2:
            raise ValueError("the third")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="the third"):
        parallel_map(task, range(50))
    assert len(begun) <= 3 + workers


def test_tasks_in_hand_can_see_that_they_are_to_stop(monkeypatch):
    monkeypatch.setattr(device, "workers", lambda: [0, 0])
    stop, seen = threading.Event(), []

    def task(item: int, _: int) -> None:
        if item == 0:
            raise KeyboardInterrupt
        seen.append(stop.wait(10))

    with pytest.raises(KeyboardInterrupt):
        parallel_map(task, range(2), stop=stop)
    assert stop.is_set()
    assert all(seen)


def test_an_interrupt_does_not_wait_for_the_items_to_come(monkeypatch):
    monkeypatch.setattr(device, "workers", lambda: [0, 0])
    begun = []

    def task(item: int, _: int) -> None:
        begun.append(item)
        if item == 0:
            _thread.interrupt_main()
        time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        parallel_map(task, range(100_000))
    assert len(begun) < 1000


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
    for one, other in zip(parallel_map(task, range(6)), alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_work_without_jax_does_not_load_it():
    """And still is done by two threads, where there are two cores."""
    program = (
        "import sys, threading\n"
        "from gramlab.machine import hardware\n"
        "from gramlab.runner import parallel_map\n"
        "barrier = threading.Barrier(min(2, hardware.cores()))\n"
        "print(parallel_map(lambda item, place: (item, place, barrier.wait(10) >= 0), range(4),"
        " on_devices=False), 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == f"{[(item, 0, True) for item in range(4)]} False", done.stderr


# ---- Folds --------------------------------------------------------------------------------------


def spread(fold: np.ndarray, labels: np.ndarray) -> int:
    """Largest difference between folds in the rows of one label."""
    counts = np.zeros((fold.max() + 1, labels.max() + 1), dtype=int)
    np.add.at(counts, (fold, labels), 1)
    return int(np.ptp(counts, axis=0).max())


def test_folds_are_even_within_each_label_and_keyed_by_the_seed():
    labels = np.random.default_rng(0).integers(0, 7, 103)
    fold = folds(labels, 5, 3)
    assert set(fold) == set(range(5))
    assert spread(fold, labels) <= 1
    assert np.ptp(np.bincount(fold)) <= 1
    assert np.array_equal(fold, folds(labels, 5, 3))
    assert not np.array_equal(fold, folds(labels, 5, 4))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_stay_together_and_labels_stay_even(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 60, 400).astype(str)
    _, number = np.unique(groups, return_inverse=True)
    labels = number % 4  # a group is of one class
    fold = folds(labels, 5, seed, groups)
    assert all(len(set(fold[groups == name])) == 1 for name in groups)
    assert set(fold) == set(range(5))
    assert spread(fold, labels) <= np.bincount(number).max()
    alone = folds(labels, 5, seed, np.arange(400))  # each row its own group
    assert spread(alone, labels) <= 1
    scattered = folds(labels, 5, seed)
    assert any(len(set(scattered[groups == name])) > 1 for name in groups)


def test_bad_folds_are_refused():
    labels = np.arange(10) % 2
    with pytest.raises(InvalidSetting, match="folds must be an integer"):
        folds(labels, 1)
    with pytest.raises(InvalidSetting, match="folds must be an integer"):
        folds(labels, 4, groups=np.arange(10) // 4)  # three groups
    with pytest.raises(InvalidSetting, match="one entry per row, got 9 for 10"):
        folds(labels, 2, groups=range(9))
    with pytest.raises(InvalidSetting, match="seed must be"):
        folds(labels, 2, -1)


# ---- Runs ---------------------------------------------------------------------------------------


def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = np.arange(90) % 3
    return rng.standard_normal((3, 6))[labels] + rng.standard_normal((90, 6)), labels


def test_a_run_is_the_loop_over_folds_by_hand():
    x, labels = blobs()
    fold = folds(labels, 3, 0)
    run, head = Run(x, 3, fold), gramlab.SoftmaxHead(1e-2, tolerance=1e-20)
    teachers = run.fit(head, run.one_hot(labels))
    weights = [fit.weights for fit in teachers]
    students = run.fit(head, lambda number: teachers[number].as_targets(), weights)
    logits = run.held_out([fit.weights for fit in students])
    for number in range(3):
        train = x[fold != number]
        teacher = head.fit(train, gramlab.one_hot(labels[fold != number], 3))
        student = head.fit(train, teacher.as_targets(), start=teacher.weights)
        expected = x[fold == number] @ student.weights
        np.testing.assert_allclose(logits[fold == number], expected, rtol=0.0, atol=1e-6)
    assert not np.allclose(logits, x @ students[0].weights)  # rows that the head saw


def test_rows_of_no_fold_are_never_held_out():
    x, labels = blobs()
    fold = np.where(np.arange(90) % 5 == 0, 0, -1)
    run = Run(x, 3, fold, labels)
    assert len(run) == 1
    fits = run.fit(gramlab.SoftmaxHead(1e-2), run.one_hot(labels))
    logits = run.held_out([fit.weights for fit in fits])
    assert np.array_equal(np.isnan(logits).all(axis=1), fold < 0)
    assert np.array_equal(logits[fold == 0], x[fold == 0] @ fits[0].weights)
