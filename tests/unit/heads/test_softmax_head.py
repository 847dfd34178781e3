"""The exact head: oracles, invariances, limits, and results that say when they failed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from gramlab import testing
from gramlab.errors import InvalidSetting, InvalidTargets
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.targets import Targets, one_hot

seeds = st.integers(0, 10**6)
decays = st.floats(-4, 1).map(lambda e: 10.0**e)
few = examples(12)
# Where the optimum is 0 but for rounding, no gap relative to that is reached.
solvable = testing.problems(24, 6, 3).filter(
    lambda made: np.abs(made[0].x.T @ (made[1] - 1 / 3)).max() > 1e-9
)


def fit(features, targets, weight_decay, **options):
    return SoftmaxHead(weight_decay, **options).fit(features, targets)


def assert_same_optimum(first, second, rotate=lambda w: w, factor=1.0):
    """Equal within what the two certificates allow, and not by their being loose."""
    allowed = first.certificate.weights_bound + factor * second.certificate.weights_bound
    assert np.linalg.norm(first.weights - rotate(second.weights)) <= allowed
    assert allowed <= 1e-3 * (1 + np.linalg.norm(first.weights))


@few
@given(made=solvable, weight_decay=decays)
def test_fixed_point_of_the_stationarity_equation(made, weight_decay):
    """W = Xᵀ(T − P)/(Nλ), up to g/λ."""
    features, targets = made
    found = fit(features, targets, weight_decay)
    residual = targets - found.probabilities
    fixed = features.x.T @ residual / (24 * weight_decay)
    slack = found.certificate.global_bound * (1 + 1e-6)
    assert np.linalg.norm(found.weights - fixed) <= slack
    assert np.abs(found.weights.sum(axis=1)).max() <= slack  # logits sum to 0 over classes


@few
@given(
    made=solvable,
    weight_decay=decays,
    classes=st.permutations(range(3)),
    rows=st.permutations(range(24)),
)
def test_permuting_classes_and_rows(made, weight_decay, classes, rows):
    features, targets = made
    inverse = np.argsort(classes)
    shuffled = Features(features.x[rows], features.labels[rows], n_classes=3)
    assert_same_optimum(
        fit(features, targets, weight_decay, tolerance=1e-14),
        fit(shuffled, targets[rows][:, classes], weight_decay, tolerance=1e-14),
        rotate=lambda w: w[:, inverse],
    )


@few
@given(seed=seeds, weight_decay=decays)
def test_splitting_a_soft_row_into_weighted_hard_rows_scikit_learn(seed, weight_decay):
    """scikit-learn takes no soft labels: K copies of each row with weights T_ik are its form."""
    features, targets = problem(24, 6, 3, seed=seed)
    found = fit(features, targets, weight_decay, tolerance=1e-14)
    oracle = LogisticRegression(
        C=1 / (24 * weight_decay), fit_intercept=False, tol=1e-12, max_iter=2000, solver="newton-cg"
    ).fit(
        np.repeat(features.x, 3, axis=0), np.tile(np.arange(3), 24), sample_weight=targets.ravel()
    )
    other = found.certify(oracle.coef_.T)
    allowed = found.certificate.weights_bound + other.weights_bound
    assert np.linalg.norm(found.weights - oracle.coef_.T) <= allowed
    assert allowed <= 1e-3 * (1 + np.linalg.norm(found.weights))


@few
@given(made=solvable, weight_decay=decays, start=testing.matrices(6, 3, largest=10.0))
def test_the_optimum_does_not_depend_on_the_start(made, weight_decay, start):
    features, targets = made
    head = SoftmaxHead(weight_decay, tolerance=1e-14)
    assert_same_optimum(head.fit(features, targets), head.fit(features, targets, start=start))


@few
@given(made=solvable)
def test_large_weight_decay_is_the_closed_form(made):
    """λ → ∞: the logits vanish and the linearization becomes exact."""
    features, targets = made
    exact = fit(features, targets, 1e4, tolerance=1e-20)
    linear = LinearizedHead(1e4).fit(features, targets)
    osc = np.ptp(features.x @ exact.weights, axis=1).max()
    difference = np.linalg.norm(exact.weights - linear.weights)
    # One round's error identity: ‖P − P_lin‖ ≤ ‖R‖ ≤ √N osc²/4, and W = Xᵀα with α ~ 1/(Nλ).
    scale = np.linalg.norm(features.x, 2) / (24 * 1e4) * np.sqrt(24)
    assert difference <= scale * osc**2 / 4 * 3 + exact.certificate.weights_bound
    assert np.abs(exact.deviations).max() < 1e-3


def test_small_weight_decay_fits_separable_labels():
    features, _ = problem(12, 30, 3, seed=3)
    found = fit(features, np.eye(3)[features.labels], 1e-9)
    assert found.certificate.relative_gap <= 1e-8
    assert np.abs(found.probabilities - np.eye(3)[features.labels]).max() < 1e-3


def test_exact_ties_cannot_be_certified_and_end_all_the_same():
    """Two rows, mirrored: the class of a zero row is a tie that no accuracy decides."""
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    features = Features(x, [0, 1, 0])
    found = fit(features, np.array([[1, 0], [0, 1], [0.5, 0.5]]), 0.1, certified_share=1.0)
    assert found.stats.converged
    assert found.stats.polish == "float64 floor"
    assert found.certificate.relative_gap <= 1e-20
    assert fit(features, np.eye(2)[[0, 1, 0]], 0.1).stats.polish == ""


def test_bad_input():
    features, targets = problem(10, 3, 2, seed=0)
    for bad in (0.0, -1.0, float("nan"), float("inf"), "x"):
        with pytest.raises(InvalidSetting, match="weight_decay"):
            SoftmaxHead(bad)
    with pytest.raises(InvalidSetting, match="tolerance"):
        SoftmaxHead(1.0, tolerance=0.0)
    with pytest.raises(InvalidSetting, match="certified_share"):
        SoftmaxHead(1.0, certified_share=1.5)
    with pytest.raises(InvalidSetting, match="max_passes"):
        SoftmaxHead(1.0, max_passes=0)
    head = SoftmaxHead(1.0)
    off = targets.copy()
    off[4] *= 1.5
    with pytest.raises(InvalidTargets, match=r"1\.5.*row 4"):
        head.fit(features, off)
    negative = targets.copy()
    negative[2] = [1.5, -0.5]
    with pytest.raises(InvalidTargets, match="row 2"):
        head.fit(features, negative)
    with pytest.raises(InvalidSetting, match=r"\(3, 2\)"):
        head.fit(features, targets, start=np.zeros((2, 2)))
    with pytest.raises(InvalidTargets, match="one_hot"):
        head.fit(features.x, features.labels)


def test_global_precision_is_left_alone():
    import jax.numpy as jnp

    features, targets = problem(600, 300, 3, seed=0)
    assert fit(features, targets, 0.1).stats.method == "L-BFGS corrections"
    assert jnp.asarray(1.0).dtype == jnp.float32


def test_vanishing_probabilities_make_valid_targets_for_the_next_round():
    """P − 1/K + 1/K can round to −6e-17; the next round must not refuse its own teacher."""
    from gramlab.distillation import distill

    features, _ = problem(30, 6, 3, seed=0, scale=50)
    rounds = distill(SoftmaxHead(1e-8), features, np.eye(3)[features.labels], 3)
    assert rounds[0].deviations.min() + 1 / 3 < 0
    assert np.asarray(rounds.targets[1]).min() >= 0
    assert all(found.probabilities.min() > 0 for found in rounds)
    # Planted: what is negative beyond rounding is still refused.
    with pytest.raises(InvalidTargets, match="nonnegative"):
        SoftmaxHead(1.0).fit(features, Targets(rounds[0].deviations - 1e-3))


def test_weight_decay_beyond_the_range_of_certificates_is_refused():
    for bad in (1e-300, 1e300):
        with pytest.raises(InvalidSetting, match="weight_decay must be between"):
            SoftmaxHead(bad)
        with pytest.raises(InvalidSetting, match="weight_decay must be between"):
            LinearizedHead(bad)


def test_features_are_freed_when_nobody_uses_them():
    """What is kept with features must not know them: a circle would hold their arrays for long."""
    rng = np.random.default_rng(0)
    features = Features(rng.standard_normal((600, 300)), np.arange(600) % 3)
    fit = SoftmaxHead(1e-4, tolerance=1e-4).fit(features, one_hot(features.labels, 3))
    assert fit.stats.method == "L-BFGS corrections"  # on a device, in a basis of its own
    gone = weakref.ref(features)
    gc.disable()
    try:
        del features, fit
        assert gone() is None
    finally:
        gc.enable()
