"""Weights on rows: repeated rows as the oracle, and certificates recomputed from the definition."""

from __future__ import annotations

import numpy as np
import pytest
import twins
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax

from gramlab.errors import InvalidSetting, InvalidTargets, NotConvergedWarning
from gramlab.heads.fit import as_features
from gramlab.heads.objective import SoftmaxObjective, softmax
from gramlab.heads.softmax import SoftmaxHead
from gramlab.heads.weighted import WeightedObjective, WeightedSoftmaxHead, relative_weights
from gramlab.rounding import UNIT_ROUNDOFF

seeds = st.integers(0, 10**6)
decays = st.floats(-4, 1).map(lambda e: 10.0**e)
few = examples(15)


def weighted(seed, n=24, d=6, k=3, weight_decay=1e-2, spread=2.0):
    """An objective with random weights over two decades each way, and random W."""
    rng = np.random.default_rng(seed)
    features, targets = problem(n, d, k, seed=seed)
    w = 10.0 ** rng.uniform(-spread, spread, n)
    objective = WeightedObjective(features, targets - 1 / k, weight_decay, relative_weights(w, n))
    return objective, w / w.sum(), rng.standard_normal((d, k))


def slow_gradient(x, targets, share, weight_decay, weights):
    """λW + Σ_i (w_i/Σw) x_i (p_i − T_i)ᵀ, row by row, in extended precision."""
    x, targets, share, weights = (
        np.asarray(a, np.longdouble) for a in (x, targets, share, weights)
    )
    out = weight_decay * weights
    for row, target, s in zip(x, targets, share, strict=True):
        v = weights.T @ row
        e = np.exp(v - v.max())
        out = out + s * np.outer(row, e / e.sum() - target)
    return out


@few
@given(seed=seeds, weight_decay=decays)
def test_gradient_and_its_rounding_bound_against_the_definition(seed, weight_decay):
    objective, share, weights = weighted(seed, weight_decay=weight_decay)
    x, targets = objective.features.x, objective.targets
    exact = slow_gradient(x, targets, share, weight_decay, weights)
    for found in (objective.gradient(weights), objective.evaluate(weights).gradient):
        error = float(np.linalg.norm(found - exact))
        assert error <= objective.gradient_rounding(weights)
    assert objective.gradient_rounding(weights) <= 1e-11 * (1 + np.linalg.norm(weights))
    # Planted: the gradient without weights is beyond the bound.
    plain = SoftmaxObjective(objective.features, targets - 1 / 3, weight_decay)
    assert np.linalg.norm(plain.gradient(weights) - exact) > objective.gradient_rounding(weights)


@few
@given(seed=seeds, weight_decay=decays)
def test_duality_gap_is_an_identity(seed, weight_decay):
    """L(W) − dual(P) = ‖g‖²/(2λ), the weighted form of docs/objective.md."""
    objective, _, weights = weighted(seed, weight_decay=weight_decay)
    probabilities = softmax(objective.logits(weights))
    value = objective.value(weights)
    gap = value - objective.dual(probabilities)
    expected = objective.certificate(weights).duality_gap
    size = abs(value) + abs(objective.dual(probabilities)) + expected
    assert abs(gap - expected) <= 100 * 24 * UNIT_ROUNDOFF * size
    # Planted: the dual of the unweighted objective does not close the gap.
    plain = SoftmaxObjective(objective.features, objective.targets - 1 / 3, weight_decay)
    assert abs(value - plain.dual(probabilities) - expected) > 100 * 24 * UNIT_ROUNDOFF * size


@few
@given(seed=seeds, weight_decay=decays)
def test_whole_weights_repeat_rows(seed, weight_decay):
    features, targets = problem(16, 5, 3, seed=seed)
    times = np.random.default_rng(seed).integers(1, 5, 16)
    found = WeightedSoftmaxHead(weight_decay, times, tolerance=1e-20).fit(features, targets)
    assert found.stats.converged
    assert found.certificate.relative_gap <= 1e-20
    x, t = np.repeat(features.x, times, axis=0), np.repeat(targets, times, axis=0)
    best = twins.exact_head(x, t, weight_decay)
    distance = np.linalg.norm(found.weights - best)
    assert distance <= found.certificate.weights_bound + 1e-12 * (1 + np.linalg.norm(best))
    # The certificate is that of the repeated rows.
    expected = SoftmaxObjective(as_features(x, t), t - 1 / 3, weight_decay).certificate(
        found.weights + 0.1
    )
    own = found.certify(found.weights + 0.1)
    for name in ("gradient_norm", "newton_decrement", "global_bound"):
        assert getattr(own, name) == pytest.approx(getattr(expected, name), rel=0.1), name
    # Planted: the head that ignores the weights is outside the bound.
    if np.ptp(times):
        ignored = WeightedSoftmaxHead(weight_decay, tolerance=1e-20).fit(features, targets)
        assert np.linalg.norm(ignored.weights - best) > found.certificate.weights_bound


@few
@given(seed=seeds, size=st.floats(-9, 0))
def test_bounds_hold_away_from_the_optimum_and_are_nearly_tight(seed, size):
    objective, _, direction = weighted(seed, weight_decay=0.1, spread=1.0)
    head = WeightedSoftmaxHead(0.1, objective.row_weights, tolerance=1e-26)
    best = head.fit(objective.features, objective.targets)
    off = 10.0**size * direction
    off -= off.mean(axis=1, keepdims=True)
    certificate = objective.certificate(best.weights + off)
    distance = np.linalg.norm(off)
    assert distance <= certificate.weights_bound + best.certificate.weights_bound
    if size < -3:  # where the local bound exists: within the ratio √(H/λ) of a direction
        curvature = np.vdot(off, objective.hessian_product(best.probabilities, off)) / distance**2
        assert certificate.local_bound <= 2 * distance * np.sqrt(curvature / 0.1) + 1e-12


def test_only_ratios_of_weights_matter_at_any_scale():
    w = np.random.default_rng(0).uniform(0.1, 3, 50)
    expected = relative_weights(w, 50)
    assert abs(expected.mean() - 1) <= 4 * UNIT_ROUNDOFF
    for scale in (2.0**-1000, 0.5, 2.0**1000):
        assert np.array_equal(relative_weights(scale * w, 50), expected)


@pytest.mark.parametrize("weight_decay", [1e-4, 1e-1])
def test_equal_weights_are_the_plain_head(weight_decay):
    features, targets = problem(60, 7, 4, seed=3)
    plain = SoftmaxHead(weight_decay, tolerance=1e-14).fit(features, targets)
    same = WeightedSoftmaxHead(weight_decay, np.full(60, 7.3), tolerance=1e-14)
    found = same.fit(features, targets)
    allowed = plain.certificate.weights_bound + found.certificate.weights_bound
    assert np.linalg.norm(plain.weights - found.weights) <= allowed
    assert allowed <= 1e-3 * np.linalg.norm(plain.weights)


def test_polish_goes_beyond_the_tolerance_and_a_start_is_used():
    features, targets = problem(60, 7, 4, seed=3)
    rough = WeightedSoftmaxHead(1e-3, tolerance=1e-4).fit(features, targets)
    fine = WeightedSoftmaxHead(1e-3, tolerance=1e-4, polish=1e-24).fit(features, targets)
    assert fine.certificate.relative_gap <= 1e-24 < rough.certificate.relative_gap <= 1e-4
    again = WeightedSoftmaxHead(1e-3, tolerance=1e-4).fit(features, targets, start=fine.weights)
    assert again.stats.iterations == 0
    worse = WeightedSoftmaxHead(1e-3, tolerance=1e-4).fit(
        features, targets, start=1e3 * np.ones((7, 4)) * np.arange(4)
    )
    assert np.array_equal(worse.weights, rough.weights)


def test_uniform_targets_have_their_optimum_at_zero():
    features, _ = problem(20, 4, 2, seed=0)
    found = WeightedSoftmaxHead(1e-3, np.arange(1, 21)).fit(features, np.full((20, 2), 0.5))
    assert not found.weights.any()
    assert found.certificate.relative_gap == 0.0


def test_bad_input_and_a_missed_tolerance():
    features, targets = problem(20, 4, 2, seed=0)
    for bad, words in (
        (np.ones(19), r"shape \(20,\), got shape \(19,\)"),
        (np.zeros(20), "above 0, got 0.0 at row 0"),
        (np.where(np.arange(20) == 4, np.nan, 1.0), "nan at row 4"),
        (["a"] * 20, "dtype"),
    ):
        with pytest.raises(InvalidSetting, match=words):
            WeightedSoftmaxHead(1e-3, bad).fit(features, targets)
    with pytest.raises(InvalidTargets):
        WeightedSoftmaxHead(1e-3).fit(features, 2 * targets)
    with pytest.raises(InvalidTargets, match="nonnegative"):
        WeightedSoftmaxHead(1e-3).fit(features, 2 * targets - 0.5)
    signed = WeightedSoftmaxHead(1e-3, signed_targets=True).fit(features, 2 * targets - 0.5)
    assert signed.certificate.relative_gap <= 1e-8
    with pytest.warns(NotConvergedWarning, match="max_passes"):
        missed = WeightedSoftmaxHead(1e-6, tolerance=1e-12, max_passes=3).fit(features, targets)
    assert missed.stats.result == "pass limit"
    assert missed.certificate.relative_gap > 1e-12


def test_predictions_are_the_softmax_of_the_weights():
    objective, _, _ = weighted(5)
    head = WeightedSoftmaxHead(1e-2, objective.row_weights)
    found = head.fit(objective.features, objective.targets)
    expected = scipy_softmax(objective.features.x @ found.weights, axis=1)
    assert np.abs(found.probabilities - expected).max() <= 64 * UNIT_ROUNDOFF
    assert np.abs(found.deviations + 1 / 3 - expected).max() <= 64 * UNIT_ROUNDOFF
