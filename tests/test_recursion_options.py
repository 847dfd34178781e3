"""Temperature, mixing, ridge and margins: other ways through the same recursion."""

from __future__ import annotations

import numpy as np
import pytest
import twins
from conftest import problem
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.heads.linearized import LinearizedHead
from gramlab.heads.ridge import RidgeHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import corrupt_labels, corruption_matrix
from gramlab.population import ClassBlockModel
from gramlab.targets import one_hot

seeds = st.integers(0, 10**6)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, log_decay=st.floats(-3, 1), t=st.integers(1, 5))
def test_ridge_rounds_are_scikit_learn_ridge_on_its_own_predictions(seed, log_decay, t):
    features, targets = problem(20, 5, 3, seed=seed)
    lam = 10**log_decay
    current = targets - 1 / 3
    for _ in range(t):
        model = Ridge(alpha=20 * lam, fit_intercept=False, solver="svd").fit(features.x, current)
        current = model.predict(features.x)
    found = distill(RidgeHead(lam), features, targets, t)[-1]
    assert np.abs(found.deviations - current).max() < 1e-11
    assert np.abs(found.weights - model.coef_.T).max() < 1e-10
    assert found.certificate.gradient_norm <= found.certificate.gradient_rounding
    off = found.weights + 1e-6
    assert found.certify(off).global_bound >= np.linalg.norm(off - model.coef_.T) * (1 - 1e-6)
    # Planted: the constant of the softmax theory (with K) is another filter.
    assert (
        np.abs(
            found.deviations - twins.gram_filter(features.x, 60 * lam, t) @ (targets - 1 / 3)
        ).max()
        > 1e-6
    )


@settings(max_examples=10, deadline=None)
@given(seed=seeds, tau=st.floats(0.5, 4))
def test_temperature_reads_softened_predictions(seed, tau):
    features, targets = problem(20, 5, 3, seed=seed)
    exact = distill(SoftmaxHead(0.05, tolerance=1e-14), features, targets, 2, temperature=tau)
    logits = features.x @ exact[0].weights
    expected = np.exp(logits / tau)
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.abs(np.asarray(exact.targets[1]) - expected).max() < 1e-13
    linear = distill(LinearizedHead(0.05), features, targets, 3, temperature=tau)
    plain = distill(LinearizedHead(0.05), features, targets, 3)
    assert np.abs(tau**2 * linear[2].deviations - plain[2].deviations).max() < 1e-13 * tau**2
    assert np.array_equal(linear[2].labels, plain[2].labels)


def test_scaled_loss_at_a_temperature_is_the_same_head():
    """τ²·CE(T, softmax(z/τ)): substituting z = τv gives the objective at τ = 1, W scaled by τ."""
    features, targets = problem(20, 5, 3, seed=1)
    tau, lam = 2.5, 0.05
    plain = SoftmaxHead(lam, tolerance=1e-20).fit(features, targets)
    w = tau * plain.weights
    p = np.exp(features.x @ w / tau)
    p /= p.sum(axis=1, keepdims=True)
    scaled = tau**2 * features.x.T @ (p - targets) / (20 * tau) + lam * w
    assert np.abs(scaled).max() < 1e-9
    # Without τ²: the head at weight decay λτ².
    weak = SoftmaxHead(lam * tau**2, tolerance=1e-20).fit(features, targets)
    w = tau * weak.weights
    p = np.exp(features.x @ w / tau)
    p /= p.sum(axis=1, keepdims=True)
    unscaled = features.x.T @ (p - targets) / (20 * tau) + lam * w
    assert np.abs(unscaled).max() < 1e-9
    assert np.abs(weak.probabilities - plain.probabilities).max() > 1e-3


def test_mixing_removes_the_own_label_in_the_block_model():
    """ξ = 1/(1 − p_A): one linear student is perfect although the teacher is not."""
    model, lam = ClassBlockModel(4, 50, 0.4, 0.1), 1e-4
    x = model.sample_features()
    true = np.repeat(np.arange(4), 50)
    matrix = corruption_matrix("symmetric", 4, 0.6)
    labels = corrupt_labels(true, matrix, seed=0, exact_counts=True).labels
    targets = one_hot(labels, 4)
    own = float(model.population(matrix, lam).factors()[0])
    mixed = distill(LinearizedHead(lam), x, targets, 2, mixing=1 / (1 - own))
    assert np.mean(mixed[0].labels == true) < 0.5
    assert np.array_equal(mixed[1].labels, true)
    assert mixed[1].margins(true).min() > 0
    assert mixed[0].margins(true).min() < 0
    # The own label is gone: rows of one class all have one prediction.
    for k in range(4):
        assert np.ptp(mixed[1].deviations[true == k], axis=0).max() < 1e-12
    plain = distill(LinearizedHead(lam), x, targets, 2)
    assert np.mean(plain[1].labels == true) < 1


def test_margins_are_the_accuracy_condition():
    features, targets = problem(30, 5, 3, seed=4)
    fit = SoftmaxHead(0.01).fit(features, targets)
    margins = fit.margins(features.labels)
    p = fit.probabilities
    for i in range(30):
        rest = np.delete(p[i], features.labels[i]).max()
        assert margins[i] == pytest.approx(p[i, features.labels[i]] - rest, abs=1e-15)
    assert np.array_equal(margins > 0, fit.labels == features.labels)


@pytest.mark.parametrize("change", [{"temperature": 0.0}, {"mixing": float("nan")}])
def test_bad_options(change):
    features, targets = problem(10, 3, 2, seed=0)
    with pytest.raises(InvalidSetting, match=next(iter(change))):
        distill(LinearizedHead(1.0), features, targets, 2, **change)
