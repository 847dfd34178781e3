"""Threads that share a Features object: everything is made once, and bits do not tell."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gramlab
from gramlab.derived import Derived
from gramlab.diagnosis.neighbours import nearest_rows
from gramlab.heads.ridge import RidgeHead
from gramlab.heads.weighted import WeightedSoftmaxHead

SECONDS = 20.0  # within which a thread that is not stuck has done its part

SHAPES = {
    "one call": (60, 5, 3, np.float64),
    "two classes": (80, 9, 2, np.float32),
    "wide": (30, 70, 3, np.float64),
    "large": (300, 260, 3, np.float32),
}
HEADS = {
    "softmax": gramlab.SoftmaxHead(1e-3),
    "softmax, float64": gramlab.SoftmaxHead(1e-6, tolerance=1e-16),
    "softmax, large weight decay": gramlab.SoftmaxHead(10.0, tolerance=1e-14),
    "weighted": WeightedSoftmaxHead(1e-2, tolerance=1e-6),
    "linearized": gramlab.LinearizedHead(1e-3),
    "ridge": RidgeHead(1e-3),
}


def fresh(shape):
    n, d, k, dtype = SHAPES[shape]
    x = np.random.default_rng(0).standard_normal((n, d)).astype(dtype)
    return gramlab.Features(x, np.arange(n) % k, n_classes=k)


def bits(head, features):
    """Of everything that a fit tells, its certificate included: that asks for the spectrum."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gramlab.NotConvergedWarning)
        fit = HEADS[head].fit(features, gramlab.one_hot(features.labels, features.n_classes))
    bound = fit.certificate.weights_bound
    return fit.weights.tobytes(), fit.probabilities.tobytes(), float(bound).hex()


def together(*jobs):
    """What the jobs return, each begun in a thread of its own at the same time."""
    gate = threading.Barrier(len(jobs))

    def begin(job):
        gate.wait(SECONDS)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [done.result(SECONDS) for done in [pool.submit(begin, job) for job in jobs]]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_there_already_does_not_show_in_bits(shape):
    """Nor what threads derive meanwhile: every head on cold, on warm and on shared features."""
    alone = {head: bits(head, fresh(shape)) for head in HEADS}
    warm = fresh(shape)
    for head in reversed(HEADS):
        assert bits(head, warm) == alone[head], head
    for pair in (("softmax", "softmax"), ("softmax", "linearized"), ("weighted", "ridge")):
        shared = fresh(shape)
        found = together(*(lambda head=head, shared=shared: bits(head, shared) for head in pair))
        assert found == [alone[head] for head in pair], pair


def test_a_choice_by_what_is_there_would_show(monkeypatch):
    """Planted: an eigenbasis taken from the spectrum where there is one."""
    from gramlab.heads import coordinates

    cold = bits("softmax", fresh("two classes"))
    chosen = coordinates.Coordinates.of

    def by_what_is_there(features, weight_decay, n_classes, *, rough=False):
        if "spectrum" in features._memo:
            return coordinates.Coordinates.exact(features)
        return chosen(features, weight_decay, n_classes, rough=rough)

    monkeypatch.setattr(coordinates.Coordinates, "of", by_what_is_there)
    warm = fresh("two classes")
    bits("linearized", warm)
    assert bits("softmax", warm) != cold


def test_a_second_thread_waits_for_what_the_first_is_making():
    derived, begun, go_on, made = Derived(), threading.Event(), threading.Event(), []

    def make():
        begun.set()
        assert go_on.wait(SECONDS)
        made.append(object())
        return made[-1]

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(derived.once, "it", make)
        assert begun.wait(SECONDS)
        assert "it" not in derived  # nothing is shown before it is finished
        second = pool.submit(derived.once, "it", make)
        go_on.set()
        assert first.result(SECONDS) is second.result(SECONDS) is made[0]
    assert len(made) == 1


def test_what_failed_is_made_anew_and_one_thing_may_need_another():
    derived = Derived(known=1)

    def fail():
        raise MemoryError("planted")

    with pytest.raises(MemoryError, match="planted"):
        derived.once("sum", fail)
    assert derived.once("sum", lambda: derived["known"] + derived.once("other", lambda: 2)) == 3
    assert derived == {"known": 1, "other": 2, "sum": 3}


def test_properties_of_a_spectrum_wait_for_its_features_alone():
    """A lock of their own, as ``functools.cached_property`` has it in 3.11, would be a deadlock."""
    features = fresh("two classes")  # float32: coordinates need the float64 copy of the features
    spectrum = gramlab.Spectrum.of(features)
    features._memo.pop("float64")
    waiting = threading.Thread(target=lambda: spectrum.coordinates, daemon=True)
    found = []

    def hold_and_ask():
        with features._memo.lock:
            waiting.start()
            waiting.join(0.1)
            assert waiting.is_alive()  # it waits for the lock held here
            found.append(spectrum.coordinates)

    spectrum.__dict__.pop("coordinates", None)
    asking = threading.Thread(target=hold_and_ask, daemon=True)
    asking.start()
    asking.join(SECONDS)
    waiting.join(SECONDS)
    assert not asking.is_alive()
    assert spectrum.coordinates is found[0]
    assert isinstance(vars(type(spectrum))["coordinates"], gramlab.derived.shared_property)


def test_neighbours_are_looked_for_once_and_for_the_most():
    features = fresh("one call")
    few, many = together(lambda: nearest_rows(features, 3), lambda: nearest_rows(features, 9))
    assert np.array_equal(few, many[:, :3])
    assert nearest_rows(features, 5).base is features._memo["neighbours"]


def test_copies_derive_their_own():
    features = fresh("one call")
    gramlab.Spectrum.of(features)
    again = pickle.loads(pickle.dumps(features))
    assert again == features
    assert again._memo == {}
    assert again._memo.lock is not features._memo.lock
    assert copy.deepcopy(features) is features
    assert bits("softmax", again) == bits("softmax", features)
