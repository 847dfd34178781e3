"""Threads that share a Features object: everything is made once, and bits do not tell."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gramlab
from gramlab.diagnosis.posterior import nearest_rows
from gramlab.heads.closed_form import RidgeHead
from gramlab.population import block_fit
from gramlab.population.block_fit import fit_block_model

SECONDS = 20.0  # within which a thread that is not stuck has done its part

SHAPES = {
    "small": (60, 5, 3, np.float64),
    "two classes": (80, 9, 2, np.float32),
    "wide": (30, 70, 3, np.float64),
    "large": (600, 260, 3, np.float32),  # on the device; the others are NumPy's
}
HEADS = {
    "softmax": gramlab.SoftmaxHead(1e-3),
    "softmax, float64": gramlab.SoftmaxHead(1e-6, tolerance=1e-16),
    "softmax, large weight decay": gramlab.SoftmaxHead(10.0, tolerance=1e-14),
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


def exact_basis_where_there_is_one(monkeypatch):
    """Have heads on the device solve in the eigenbasis of the spectrum, if it is known already."""
    from gramlab.heads.resident import ResidentRows
    from gramlab.spectrum import gram as spectrum

    make, decompose, there = ResidentRows._coordinates, spectrum._decompose, []

    def noted(features, *given):
        there.append(features)
        return decompose(features, *given)

    def chosen(rows, *, easy):
        if any(rows.features is known for known in there):
            rows.dtype = np.float64
        return make(rows, easy=easy)

    monkeypatch.setattr(spectrum, "_decompose", noted)
    monkeypatch.setattr(ResidentRows, "_coordinates", chosen)


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
    for pair in (("softmax", "softmax"), ("softmax", "linearized"), ("softmax, float64", "ridge")):
        shared = fresh(shape)
        found = together(*(lambda head=head, shared=shared: bits(head, shared) for head in pair))
        assert found == [alone[head] for head in pair], pair


def test_a_choice_by_what_is_there_would_show(monkeypatch):
    """Planted: an eigenbasis taken from the spectrum where there is one."""
    cold = bits("softmax", fresh("large"))
    exact_basis_where_there_is_one(monkeypatch)
    warm = fresh("large")
    bits("linearized", warm)
    assert bits("softmax", warm) != cold


# ---- What is derived from features ------------------------------------------------------------


def numbered(features, shift):
    return np.arange(features.n_samples) + shift


def test_eight_threads_make_it_once_and_wait_for_each_other():
    features, begun, go_on, made = fresh("small"), threading.Event(), threading.Event(), []

    def make(features):
        made.append(numbered(features, 0))
        begun.set()
        assert go_on.wait(SECONDS)
        return made[-1]

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(features.derived, make) for _ in range(8)]
        assert begun.wait(SECONDS)
        time.sleep(0.05)
        assert not any(one.done() for one in asked)  # nothing is shown before it is finished
        go_on.set()
        assert all(one.result(SECONDS) is made[0] for one in asked)
    assert len(made) == 1


def test_what_is_made_depends_on_the_maker_and_its_arguments():
    features = fresh("small")
    assert features.derived(numbered, 1) is features.derived(numbered, 1)
    assert features.derived(numbered, 2)[0] == 2
    assert features.derived(type) is type(features)
    assert features.derived(lambda _: None) is None
    with pytest.raises(TypeError, match="unhashable"):
        features.derived(numbered, [1])


def test_what_failed_is_made_anew_and_one_thing_may_need_another():
    features, tries = fresh("small"), []

    def total(features):
        tries.append(features.derived(numbered, 1))
        if len(tries) == 1:
            raise MemoryError("planted")
        return tries[-1].sum()

    with pytest.raises(MemoryError, match="planted"):
        features.derived(total)
    assert features.derived(total) == features.derived(total) == 60 * 61 / 2
    assert len(tries) == 2
    assert tries[0] is tries[1]


@pytest.mark.parametrize("known", ["before", "after"])
def test_twins_of_the_same_rows_share_it(known, monkeypatch):
    """In both directions and at once, and without what labels say."""
    from gramlab.spectrum import gram as spectrum

    features, count, decompose = fresh("small"), [], spectrum._decompose

    def counted(*given):
        count.append(given)
        return decompose(*given)

    monkeypatch.setattr(spectrum, "_decompose", counted)
    twin = features.replaced(labels=features.labels[::-1])
    again = twin.replaced(superclasses=[0, 0, 1])
    first = gramlab.Spectrum.of(features if known == "before" else again)
    together_ = together(*(lambda f=f: gramlab.Spectrum.of(f) for f in (features, twin, again)))
    assert all(found is first for found in together_)
    assert len(count) == 1
    assert nearest_rows(twin, 3) is nearest_rows(again, 3)
    # Equal rows of their own have a cache of their own.
    assert gramlab.Spectrum.of(fresh("small")) is not first
    assert gramlab.Spectrum.of(features.replaced()) is not first
    assert len(count) == 3


def test_what_depends_on_labels_is_not_shared():
    """Structure and subsamples of a study, of features that differ in labels or superclasses."""
    from gramlab.study.cells import Cell
    from gramlab.study.draws import Draw
    from gramlab.study.kinds import KINDS, subsample

    def structure(features):
        cell = Cell("structure", "symmetric", 0.2, 0, 1e-2, {"rounds": 1, "tolerance": 1e-6})
        return KINDS["structure"](Draw(features, cell))[0]

    features = fresh("small")
    others = (features.replaced(labels=np.roll(features.labels, 1) // 2 * 2),)
    others += (features.replaced(superclasses=[0, 0, 1]),)
    for other in others:
        alone = gramlab.Features(
            other.x, other.labels, n_classes=3, superclasses=other.superclasses
        )
        assert structure(features) != structure(other) == structure(alone)
        part, parts = subsample(other, 0.5), subsample(features, 0.5)
        assert part == subsample(alone, 0.5) != parts
        assert part is subsample(other, 0.5)
        assert np.array_equal(part.x, parts.x)


def test_properties_of_a_spectrum_wait_for_its_features_alone():
    """A lock of their own, as ``functools.cached_property`` has it in 3.11, would be a deadlock."""
    features = fresh("wide")  # coordinates are not known from the factorization
    spectrum = gramlab.Spectrum.of(features)
    waiting = threading.Thread(target=lambda: spectrum.coordinates, daemon=True)

    def hold_and_ask(features):
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()  # it waits for the lock held here
        return spectrum.coordinates

    asking = threading.Thread(target=lambda: features.derived(hold_and_ask), daemon=True)
    asking.start()
    asking.join(SECONDS)
    waiting.join(SECONDS)
    assert not asking.is_alive()
    assert spectrum.coordinates is features.derived(hold_and_ask)


def test_the_distance_from_a_block_model_is_made_once(monkeypatch):
    """The thread that comes second waits, under the lock of the features, for the first."""
    model, made = fit_block_model(fresh("small")), []
    lanczos = block_fit.eigsh
    monkeypatch.setattr(block_fit, "eigsh", lambda *a, **k: made.append(1) or lanczos(*a, **k))
    first, second = together(lambda: model.distance, lambda: model.distance)
    assert first == second == model.distance
    assert len(made) == 1


def test_copies_derive_their_own():
    features = fresh("small")
    spectrum = gramlab.Spectrum.of(features)
    again, twin = pickle.loads(pickle.dumps((features, features.replaced(labels=features.labels))))
    assert again == features
    assert gramlab.Spectrum.of(again) is not spectrum
    assert gramlab.Spectrum.of(again) is gramlab.Spectrum.of(twin)
    assert len(pickle.dumps(features)) < 2 * features.x.nbytes + 2_000
    assert copy.deepcopy(features) is features
    assert bits("softmax", again) == bits("softmax", features)


def forked(features, seconds):
    """How a child ends that asks for something while a thread of its parent is making another."""
    begun, go_on = threading.Event(), threading.Event()

    def make(features):
        begun.set()
        return go_on.wait(SECONDS)

    with ThreadPoolExecutor(1) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks beside threads, which is the matter
        making = pool.submit(features.derived, make)
        assert begun.wait(SECONDS)
        if (child := os.fork()) == 0:
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.setitimer(signal.ITIMER_REAL, seconds)
                answered = int(features.derived(numbered, 1)[0])
            finally:
                os._exit(locals().get("answered", 2))
        status = os.waitpid(child, 0)[1]
        go_on.set()
        assert making.result(SECONDS)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_a_forked_child_does_not_wait_for_a_thread_it_does_not_have(monkeypatch):
    features = fresh("small")
    assert forked(features, SECONDS) == 1
    assert features.derived(numbered, 1)[0] == 1
    monkeypatch.setattr(os, "getpid", lambda: 1)  # planted: one lock for all processes
    assert forked(fresh("small"), 0.5) == -signal.SIGALRM
