"""Generalized cross entropy: its value, its gradient, its two limits, and an honest local fit."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

from gramlab import errors, testing
from gramlab.distillation import distill
from gramlab.files.tensors import open_features, save_features
from gramlab.heads import carriers
from gramlab.heads.generalized import (
    GeneralizedCrossEntropy,
    GeneralizedCrossEntropyHead,
    LocalFit,
)
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.rounding import gamma
from gramlab.targets import OneHotRows, Targets, one_hot, partial_labels

seeds = st.integers(0, 10**6)
few = examples(12)


def twin(x, targets, weight_decay, q, weights):
    """L_q from the definition, one row and one class at a time; complex weights welcome."""
    total = 0.0
    for row, target in zip(x, targets, strict=True):
        exponential = np.exp(weights.T @ row)
        for t, p in zip(target, exponential / exponential.sum(), strict=True):
            total += t * (1.0 - p**q) / q
    return total / len(x) + 0.5 * weight_decay * np.sum(weights**2)


def complex_step(function, weights):
    """Gradient by a step into the imaginary direction: no difference, so no cancellation."""
    out = np.empty(weights.shape)
    for index in np.ndindex(weights.shape):
        moved = weights.astype(complex)
        moved[index] += 1e-200j
        out[index] = function(moved).imag / 1e-200
    return out


def loss(features, targets, weight_decay=1e-2, q=0.7):
    deviations = targets - 1.0 / targets.shape[1]
    return GeneralizedCrossEntropy(features, deviations, weight_decay, q=q)


def sizes(features, weights):
    """What rounding is relative to: the loss, and Σ ‖x‖/N with the logits' size."""
    norms = np.linalg.norm(features.x, axis=1)
    return norms.mean() * (1.0 + norms.max() * np.linalg.norm(weights))


@few
@given(seed=seeds, q=st.floats(0.05, 1.0), scale=st.floats(0.01, 3.0))
def test_value_and_gradient_are_those_of_the_definition(seed, q, scale):
    features, targets = problem(12, 4, 3, seed=seed)
    weights = scale * np.random.default_rng(seed).standard_normal((4, 3))
    referee = loss(features, targets, 0.03, q)

    def slow(w):
        return twin(features.x, targets, 0.03, q, w)

    rounding = gamma(200) * (sizes(features, weights) + np.linalg.norm(weights) ** 2) / q
    assert abs(referee.value(weights) - slow(weights)) <= rounding
    slope = complex_step(slow, weights)
    assert np.linalg.norm(referee.gradient(weights) - slope) <= rounding
    # Planted: the probability of the label left out of the pull, as in the cross entropy.
    v = features.x @ weights
    p = np.exp(v) / np.exp(v).sum(axis=1, keepdims=True)
    pulls = targets * p**q
    wrong = features.x.T @ (p - pulls) / 12 + 0.03 * weights
    assert np.linalg.norm(wrong - slope) > 1e6 * rounding


@few
@given(seed=seeds, q=st.floats(1e-9, 1e-3))
def test_q_to_zero_is_the_cross_entropy(seed, q):
    """0 ≤ −log p − (1 − p^q)/q ≤ q log²p/2, and the pulls T p^q differ from T by q |log p|."""
    features, targets = problem(15, 4, 3, seed=seed)
    weights = np.random.default_rng(seed).standard_normal((4, 3))
    near, limit = loss(features, targets, q=q), SoftmaxObjective(features, targets - 1 / 3, 1e-2)
    v = features.x @ weights
    logs = v - np.log(np.exp(v).sum(axis=1, keepdims=True))
    below = limit.value(weights) - near.value(weights)
    second = float(np.mean((targets * logs**2).sum(axis=1))) * q / 2
    noise = gamma(100) * sizes(features, weights) / q
    assert -noise <= below <= second + noise
    reach = 2 * q * np.mean(np.linalg.norm(features.x, axis=1) * np.abs(logs).max(axis=1))
    difference = np.linalg.norm(near.gradient(weights) - limit.gradient(weights))
    assert difference <= reach + gamma(100) * sizes(features, weights)
    # Planted: q = 0.7 is not the cross entropy by any of these bounds.
    far = loss(features, targets, q=0.7)
    assert limit.value(weights) - far.value(weights) > second + noise


def test_q_one_is_half_the_mean_absolute_error():
    features, targets = problem(15, 4, 3, seed=5, soft=False)
    weights = np.random.default_rng(5).standard_normal((4, 3))
    v = features.x @ weights
    p = np.exp(v) / np.exp(v).sum(axis=1, keepdims=True)
    error = 0.5 * np.abs(targets - p).sum(axis=1).mean()
    expected = error + 0.005 * np.vdot(weights, weights)
    found = loss(features, targets, q=1.0).value(weights)
    assert abs(found - expected) <= gamma(100) * sizes(features, weights)
    assert abs(loss(features, targets, q=0.9).value(weights) - expected) > 1e-3


def test_two_hot_targets_give_the_mean_over_both_labels():
    features, _ = problem(15, 4, 3, seed=6)
    weights = np.random.default_rng(6).standard_normal((4, 3))
    first, second = features.labels, (features.labels + 1) % 3
    both = 0.5 * one_hot(first, 3) + 0.5 * one_hot(second, 3)
    apart = [loss(features, one_hot(labels, 3)).value(weights) for labels in (first, second)]
    found = loss(features, both).value(weights)
    assert abs(found - np.mean(apart)) <= gamma(100) * sizes(features, weights)


@few
@given(seed=seeds, weight_decay=testing.weight_decays(1e-4, 1.0), warm=st.booleans())
def test_a_fit_is_stationary_and_below_its_start(seed, weight_decay, warm):
    features, targets = problem(30, 5, 3, seed=seed)
    start = np.random.default_rng(seed).standard_normal((5, 3)) if warm else None
    fit = GeneralizedCrossEntropyHead(weight_decay, tolerance=1e-10).fit(features, targets, start)
    assert np.abs(fit.problem.targets - targets).max() <= gamma(4)
    referee = GeneralizedCrossEntropy(features, fit.problem.target_deviations, weight_decay, q=0.7)
    assert fit.stats.converged
    assert fit.start == ("given weights" if warm else "zero")
    assert fit.gradient_norm == np.linalg.norm(referee.gradient(fit.weights))
    assert fit.start_gradient_norm == np.linalg.norm(referee.gradient(np.zeros((5, 3))))
    assert fit.relative_gradient_norm**2 <= 1e-10
    begun = start if warm else np.zeros((5, 3))
    assert fit.objective == referee.value(fit.weights)
    assert fit.objective <= fit.start_objective == referee.value(begun)
    # Planted: other weights, under the same fit, do not pass for stationary.
    off = LocalFit(**{**vars_of(fit), "weights": fit.weights + 0.1})
    assert off.relative_gradient_norm**2 > 1e-10


def vars_of(fit: LocalFit) -> dict:
    return {name: getattr(fit, name) for name in LocalFit.__dataclass_fields__}


def test_the_optimum_belongs_to_its_start():
    """Two stationary points of one objective, and each stays where it is when started from."""
    features, targets = problem(40, 3, 4, seed=1, scale=2.0, soft=False)
    rng = np.random.default_rng(0)
    targets = targets[rng.permutation(40)]
    head = GeneralizedCrossEntropyHead(1e-3, tolerance=1e-14)
    found = [head.fit(features, targets, 5.0 * rng.standard_normal((3, 4))) for _ in range(6)]
    values = sorted(fit.objective for fit in found)
    assert all(fit.stats.converged for fit in found)
    assert values[-1] - values[0] > 1e-3
    for fit in found:
        again = head.fit(features, targets, fit.weights)
        assert again.stats.iterations == 0
        rounding = gamma(10) * np.linalg.norm(fit.weights)
        assert np.linalg.norm(again.weights - fit.weights) <= rounding


def test_it_returns_what_any_head_returns():
    features, targets = problem(30, 5, 3, seed=2)
    fit = GeneralizedCrossEntropyHead(1e-2).fit(features, targets)
    assert np.array_equal(fit.predict(features.x), fit.labels)
    assert np.abs(fit.probabilities.sum(axis=1) - 1).max() <= gamma(10)
    assert np.abs(fit.deviations + 1 / 3 - fit.probabilities).max() <= gamma(20)
    assert fit.margins(fit.labels).min() >= 0
    assert np.abs(fit.weights.sum(axis=1)).max() <= gamma(500) * np.abs(fit.weights).sum()


def test_targets_may_come_in_every_form():
    features, _ = problem(30, 5, 3, seed=2)
    head = GeneralizedCrossEntropyHead(1e-2)
    rows = one_hot(features.labels, 3)
    forms = [rows, OneHotRows(features.labels, 3), Targets(rows - 1 / 3), rows.astype(np.float32)]
    fits = [head.fit(features, form) for form in forms] + [head.fit(features.x, rows)]
    for fit in fits[1:]:
        assert np.linalg.norm(fit.weights - fits[0].weights) <= 1e-9 * np.linalg.norm(fit.weights)


def test_the_published_student_follows_its_teacher():
    features, targets = problem(60, 6, 4, seed=3, soft=False)
    teacher = SoftmaxHead(1e-2).fit(features, targets)
    two = partial_labels(teacher.probabilities, 2, seed=0)
    student = GeneralizedCrossEntropyHead(1e-2).fit(features, two, start=teacher.weights)
    assert student.start == "given weights"
    assert student.objective < student.start_objective
    rounds = distill(GeneralizedCrossEntropyHead(1e-2), features, targets, 2, refine="top2")
    assert rounds[1].start == "given weights"


def test_there_is_no_certificate_and_the_error_says_why():
    features, targets = problem(30, 5, 3, seed=2)
    fit = GeneralizedCrossEntropyHead(1e-2).fit(features, targets)
    with pytest.raises(errors.NoCertificate, match=r"not convex.*relative_gradient_norm") as caught:
        _ = fit.certificate
    assert isinstance(caught.value, errors.GramlabError)
    assert not hasattr(fit, "certificate")
    with pytest.raises(errors.NoCertificate):
        fit.certify(fit.weights)


def test_uniform_targets_leave_the_weights_at_zero():
    features, _ = problem(30, 5, 3, seed=2)
    fit = GeneralizedCrossEntropyHead(1e-2).fit(features, np.full((30, 3), 1 / 3))
    assert fit.stats.converged
    assert np.linalg.norm(fit.weights) <= gamma(100) * np.linalg.norm(features.x) / 1e-2


def test_a_fit_that_stops_early_says_so():
    features, targets = problem(60, 6, 4, seed=3, soft=False)
    seen = []
    head = GeneralizedCrossEntropyHead(
        1e-5, max_passes=3, progress=lambda passes, norm: seen.append((passes, norm))
    )
    with pytest.warns(errors.NotConvergedWarning, match="max_passes=3 with relative gradient"):
        fit = head.fit(features, targets)
    assert fit.stats.result == "pass limit"
    assert fit.objective < fit.start_objective
    assert seen
    assert seen[0][1] > 1e-3


@pytest.mark.parametrize("setting", [{"q": 0.0}, {"q": 1.5}, {"q": "0.7"}, {"tolerance": 0.0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(errors.InvalidSetting):
        GeneralizedCrossEntropyHead(1e-2, **setting)


def test_inputs_that_cannot_be_used_are_refused(tmp_path):
    features, targets = problem(30, 5, 3, seed=2)
    head = GeneralizedCrossEntropyHead(1e-2)
    with pytest.raises(errors.InvalidSetting, match=r"shape \(d, K\) = \(5, 3\), got \(3, 5\)"):
        head.fit(features, targets, start=np.zeros((3, 5)))
    with pytest.raises(errors.InvalidTargets, match="sum to 1"):
        head.fit(features, 2.0 * targets)
    with pytest.raises(errors.InvalidTargets, match="nonnegative"):
        head.fit(features, 2.0 * targets - 1 / 3)
    save_features(features, tmp_path / "f.safetensors")
    with pytest.raises(errors.InvalidSetting, match="in memory"):
        head.fit(open_features(tmp_path / "f.safetensors"), targets)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-16])
@pytest.mark.parametrize("q", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_stationary_point_is_reached_on_every_carrier(tolerance, q, compiled, monkeypatch):
    """Float32 may begin, and float64 decides: the referee's gradient at the weights."""
    if compiled:
        monkeypatch.setattr(carriers, "_HOST_WORK", 0)
    features, targets = problem(60, 8, 4, seed=7)
    head = GeneralizedCrossEntropyHead(1e-2, q=q, tolerance=tolerance)
    start = SoftmaxHead(1e-2).fit(features, targets).weights
    for begun in (None, start):
        found = head.fit(features, targets, start=begun)
        assert found.stats.converged
        assert found.relative_gradient_norm**2 <= tolerance
        assert found.objective <= found.start_objective
        assert 0 < found.stats.iterations < found.stats.passes < 300
    narrow = found.weights.astype(np.float32).astype(np.float64)  # planted: float32 alone
    norm = np.linalg.norm(found.problem.gradient(narrow))
    assert (norm / found.start_gradient_norm) ** 2 > 1e-16
