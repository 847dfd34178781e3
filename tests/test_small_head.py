"""Small heads, whose whole iteration is one compiled call: float64 decides what came of it."""

from __future__ import annotations

import numpy as np
import pytest
import twins
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab import device
from gramlab.errors import NotConvergedWarning
from gramlab.features import Features
from gramlab.heads import corrections, small
from gramlab.heads.corrections import SAFETY
from gramlab.heads.objective import SoftmaxObjective, softmax
from gramlab.spectrum import Spectrum

FALL = SAFETY * 1e-4  # of the gradient norm, for the default tolerance


@pytest.fixture(autouse=True)
def no_rough_products(monkeypatch):
    """Small heads are small on every processor."""
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: False)


@examples(25)
@given(
    # Each shape is compiled anew; these have one feature, as many as rows, two classes and more.
    shape=st.sampled_from([(9, 1, 2), (9, 9, 3), (20, 4, 2), (37, 7, 5), (60, 1, 3), (60, 9, 5)]),
    seed=st.integers(0, 10**6),
    exponent=st.floats(-3, 1),
    began=st.booleans(),
    soft=st.booleans(),
)
def test_the_optimum_is_the_dense_newton_twins(shape, seed, exponent, began, soft):
    n, d, k = shape
    features, targets = problem(n, d, k, seed, soft=soft)
    weight_decay = 10.0**exponent
    rng = np.random.default_rng(seed)
    start = rng.standard_normal((d, k)) if began else None
    found = gramlab.SoftmaxHead(weight_decay).fit(features, targets, start=start)
    assert found.stats.method == small.ONE_CALL
    assert found.certificate.relative_gap <= 1e-8
    best = twins.exact_head(features.x, targets, weight_decay)
    assert np.linalg.norm(found.weights - best) <= found.certificate.weights_bound + 1e-12
    # Planted: other weights, by ten bounds.
    off = found.weights + 10 * (found.certificate.weights_bound + 1e-9)
    assert np.linalg.norm(off - best) > found.certificate.weights_bound + 1e-12


@pytest.mark.parametrize("known", [False, True])
def test_what_is_said_is_float64s(known):
    """Norm and predictions are those of the weights, to float64: what float32 knew is not told."""
    features, targets = problem(80, 6, 4, seed=1)
    if known:
        Spectrum.of(features)
    objective = SoftmaxObjective(features, targets - 0.25, 1e-2)
    found = small.attempt(objective, None, FALL, 1000)
    weights = found.weights.T
    roundoff = 1e3 * np.finfo(float).eps
    start_norm = np.linalg.norm(objective.gradient(np.zeros((6, 4))))
    assert abs(found.start_norm - start_norm) <= roundoff * start_norm
    assert abs(found.norm - np.linalg.norm(objective.gradient(weights))) <= roundoff * start_norm
    assert np.abs(found.probabilities - softmax(features.x @ weights)).max() <= roundoff
    assert np.abs(found.deviations - (found.probabilities - 0.25)).max() <= roundoff
    assert np.abs(weights.sum(axis=1)).max() <= roundoff * np.abs(weights).max()
    assert found.reached
    # Planted: the same weights in float32 are told apart.
    rounded = weights.astype(np.float32).astype(np.float64)
    assert np.abs(found.probabilities - softmax(features.x @ rounded)).max() > roundoff


@pytest.mark.parametrize(("name", "value"), [("_AIM", 1e3), ("_LIMIT", 1), ("_SLOPE_RATIO", 1e9)])
def test_what_misses_goes_on_from_there(name, value, monkeypatch):
    """Planted: an iteration that stops at once, or is careless. No head comes of it alone."""
    features, targets = problem(80, 6, 4, seed=2)
    monkeypatch.setattr(small, name, value)
    small._solve.clear_cache()  # the last is compiled in
    objective = SoftmaxObjective(features, targets - 0.25, 1e-2)
    attempt = small.attempt(objective, None, FALL, 1000)
    found = gramlab.SoftmaxHead(1e-2).fit(features, targets)
    assert found.stats.converged
    assert found.certificate.relative_gap <= 1e-8
    if name != "_SLOPE_RATIO":
        assert not attempt.reached
        assert found.stats.method != small.ONE_CALL
        assert found.stats.passes > attempt.passes
        assert found.stats.iterations > attempt.iterations
    small._solve.clear_cache()


def test_starts():
    """From the optimum no step is needed; from far away W = 0 is the better start."""
    features, targets = problem(80, 6, 4, seed=3)
    objective = SoftmaxObjective(features, targets - 0.25, 1e-2)
    plain = small.attempt(objective, None, FALL, 1000)
    again = small.attempt(objective, plain.weights.T, FALL, 1000)
    assert again.reached
    assert again.iterations < plain.iterations
    away = 1e4 * np.random.default_rng(0).standard_normal((6, 4))
    far = small.attempt(objective, away, FALL, 1000)
    assert far.iterations == plain.iterations
    assert np.array_equal(far.weights, plain.weights)
    # A multiple of the optimum is scaled back before it is looked at.
    scaled = small.attempt(objective, 3.0 * plain.weights.T, FALL, 1000)
    assert scaled.iterations < plain.iterations


def test_uniform_targets_and_tight_tolerances_are_left_to_corrections():
    features, targets = problem(60, 5, 3, seed=4)
    uniform = SoftmaxObjective(features, np.zeros((60, 3)), 0.1)
    assert small.attempt(uniform, None, FALL, 1000) is None
    objective = SoftmaxObjective(features, targets - 1 / 3, 0.1)
    assert small.attempt(objective, None, 1e-6, 1000) is None
    assert small.attempt(objective, None, FALL, 100) is None
    tight = gramlab.SoftmaxHead(0.1, tolerance=1e-16).fit(features, targets)
    assert tight.stats.method != small.ONE_CALL
    assert tight.certificate.relative_gap <= 1e-16


@pytest.mark.parametrize("scale", [1e-20, 1e25])
def test_features_out_of_float32s_range(scale):
    features, targets = problem(60, 5, 3, seed=5)
    scaled = Features(scale * features.x, features.labels, n_classes=3)
    head = gramlab.SoftmaxHead(0.1 * scale**2)
    found = head.fit(scaled, targets)
    assert found.certificate.relative_gap <= 1e-8
    plain = gramlab.SoftmaxHead(0.1).fit(features, targets)
    allowed = plain.certificate.weights_bound + scale * found.certificate.weights_bound
    assert np.linalg.norm(scale * found.weights - plain.weights) <= allowed


def test_passes_are_limited_and_counted():
    features, targets = problem(80, 6, 4, seed=6)
    reports: list[tuple[float, float]] = []
    head = gramlab.SoftmaxHead(1e-4, progress=lambda *told: reports.append(told))
    found = head.fit(features, targets)
    assert reports[-1][0] == found.stats.passes == found.stats.iterations + 1.5
    assert reports[-1][1] <= FALL
    with pytest.warns(NotConvergedWarning, match="max_passes=6"):
        short = gramlab.SoftmaxHead(1e-4, max_passes=6).fit(features, targets)
    assert short.stats.passes <= 6


def test_a_share_is_certified_from_there():
    features, targets = problem(80, 6, 4, seed=7)
    found = gramlab.SoftmaxHead(1e-2, certified_share=0.9).fit(features, targets)
    assert found.stats.polish == "share reached"
    assert found.stats.method != small.ONE_CALL
    logits = features.x @ found.weights
    top = np.partition(logits, -2, axis=1)
    reach = np.sqrt(2) * np.linalg.norm(features.x, axis=1) * found.certificate.weights_bound
    assert (top[:, -1] - top[:, -2] > reach).mean() >= 0.9


def test_what_is_small(monkeypatch):
    assert small.is_small(1437, 64, 10)
    assert not small.is_small(50, 64, 10)  # fewer rows than features
    assert not small.is_small(7000, 1280, 101)
    assert not small.is_small(50_000, 64, 10)
    features, targets = problem(80, 6, 4, seed=8)
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(corrections, "_NEWTON_WORK", 0.0)  # rough products are quicker then
    assert gramlab.SoftmaxHead(1e-2).fit(features, targets).stats.method != small.ONE_CALL


def test_teacher_and_students_are_theirs():
    """A recursion of small heads is that of the careful ones, within their certificates."""
    features, targets = problem(90, 6, 3, seed=9)
    for head in (gramlab.SoftmaxHead(1e-3), gramlab.SoftmaxHead(1e-3, tolerance=1e-18)):
        rounds = gramlab.distill(head, features, targets, 4)
        if head.tolerance == 1e-8:
            quick = rounds
    for one, other in zip(quick, rounds, strict=True):
        assert one.stats.method == small.ONE_CALL
        assert other.stats.method != small.ONE_CALL
        assert np.abs(one.probabilities - other.probabilities).max() <= 1e-3


# ---- Labels as targets ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["small", "start", "large", "float64", "rough", "share"])
def test_labels_are_targets_and_no_rows_are_made_of_them(kind, monkeypatch):
    """In every way there is to solve a head; the same optimum as of one-hot rows."""
    if kind == "rough":
        monkeypatch.setattr(device, "multiplies_bfloat16", lambda: True)
        monkeypatch.setattr(corrections, "_NEWTON_WORK", 0.0)
    if kind == "large":
        monkeypatch.setattr(small, "_WORK", 0.0)
    features, _ = problem(150, 7, 4, 11)
    tolerance = 1e-20 if kind == "float64" else 1e-10
    share = 0.8 if kind == "share" else None
    head = gramlab.SoftmaxHead(1e-2, tolerance=tolerance, certified_share=share)
    start = np.full((7, 4), 0.1) if kind == "start" else None
    labels = features.labels.copy()
    expected = head.fit(gramlab.Features(features.x, labels), gramlab.one_hot(labels, 4), start)
    made = []
    slices = gramlab.OneHotRows.__getitem__

    def counted(rows, which):
        made.append(which)
        return slices(rows, which)

    monkeypatch.setattr(gramlab.OneHotRows, "__getitem__", counted)
    rows = gramlab.OneHotRows(labels, 4)
    found = head.fit(gramlab.Features(features.x, labels), rows, start)
    assert kind == "share" or not made  # a share is counted by the referee
    assert found.certificate.relative_gap <= tolerance
    assert made  # the referee needs them, a block at a time
    bound = found.certificate.weights_bound + expected.certificate.weights_bound
    assert np.linalg.norm(found.weights - expected.weights) <= bound
    labels[:20] = (labels[:20] + 1) % 4  # planted: other labels have another optimum
    other = head.fit(features, gramlab.OneHotRows(labels, 4), start)
    bound = found.certificate.weights_bound + other.certificate.weights_bound
    assert np.linalg.norm(found.weights - other.weights) > bound


def test_a_share_is_certified_of_labels_that_do_not_fit_the_device(monkeypatch):
    """Features in memory are read in blocks then, and so is what labels stand for."""
    features, _ = problem(200, 5, 3, 2)
    head = gramlab.SoftmaxHead(1e-2, certified_share=0.95)
    monkeypatch.setattr(device, "shortage", lambda needed: "planted")
    found = head.fit(features, gramlab.OneHotRows(features.labels, 3))
    assert "planted" in found.stats.method
    assert found.stats.polish == "share reached"
    top = np.sort(features.x @ found.weights, axis=1)[:, -2:]
    bounds = found.certificate.logit_bound(features.x)  # of a difference of logits
    assert (top[:, 1] - top[:, 0] > bounds).mean() >= 0.95
    assert (top[:, 1] - top[:, 0] > 1e6 * bounds).mean() < 0.95  # planted: less certain weights
