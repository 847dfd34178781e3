"""The closed form against dense twins, and against the exact objective it linearizes."""

from __future__ import annotations

import numpy as np
import pytest
import twins
from conftest import examples, problem, problems
from hypothesis import given
from hypothesis import strategies as st

from gramlab.errors import InvalidSetting, InvalidTargets
from gramlab.features import Features
from gramlab.heads.linearized import LinearizedHead
from gramlab.heads.objective import SoftmaxObjective
from gramlab.rounding import UNIT_ROUNDOFF
from gramlab.spectrum import Spectrum


def tolerance(features: Features, k: int, weight_decay: float, t: int = 1) -> float:
    """Backward error of the closed form: products of length N + d, amplified by I + G/μ."""
    n, d = features.x.shape
    condition = 1 + Spectrum.of(features).eigenvalues[0] / (k * n * weight_decay)
    return 20 * t * (n + d) * UNIT_ROUNDOFF * condition


@pytest.mark.parametrize(("n", "d", "k"), [(40, 6, 4), (6, 40, 3), (15, 15, 2)])
@pytest.mark.parametrize("weight_decay", [1e-4, 1e-1])
@pytest.mark.parametrize("t", [1, 3])
def test_closed_form_equals_the_dense_twin(n, d, k, weight_decay, t):
    features, targets = problem(n, d, k, seed=n + t)
    fit = LinearizedHead(weight_decay).rounds_at_once(features, targets, t)
    expected = twins.linear_probabilities(features.x, targets, weight_decay, t)
    bound = tolerance(features, k, weight_decay, t)
    assert np.abs(fit.probabilities - expected).max() <= bound
    assert np.abs(fit.probabilities.sum(axis=1) - 1).max() <= bound
    dense = twins.linear_weights(features.x, targets, weight_decay, t)
    smallest = np.linalg.svd(features.x, compute_uv=False).min()
    assert np.abs(fit.weights - dense).max() <= k * bound / smallest
    assert np.abs(fit.predict_proba(features.x) - fit.probabilities).max() <= k * bound
    # Planted: the constant of another convention (N λ without K) is far off.
    wrong = twins.linear_probabilities(features.x, targets, weight_decay / k, t)
    assert np.abs(fit.probabilities - wrong).max() > 100 * bound


@examples(30)
@given(made=problems(17, 5, 3), log_decay=st.floats(-5, 2), t=st.integers(1, 6))
def test_rounds_one_by_one_are_the_power_of_the_filter(made, log_decay, t):
    features, targets = made
    head = LinearizedHead(10**log_decay)
    current = targets
    for _ in range(t):
        fit = head.fit(features, current)
        current = fit.as_targets()
    at_once = head.rounds_at_once(features, targets, t)
    assert np.abs(fit.deviations - at_once.deviations).max() <= tolerance(
        features, 3, 10**log_decay, t
    )


@examples(30)
@given(made=problems(12, 4, 3), log_decay=st.floats(-4, 3))
def test_closed_form_is_the_first_newton_step_from_zero(made, log_decay):
    features, targets = made
    lam = 10**log_decay
    fit = LinearizedHead(lam).fit(features, targets)
    zero = np.zeros((4, 3))
    g = twins.gradient(features.x, targets, lam, zero)
    h = twins.hessian(features.x, lam, zero)
    newton = -np.linalg.solve(h, g.ravel()).reshape(zero.shape)
    # Of the solve, and of a gradient whose terms cancel.
    terms = np.abs(features.x).sum(axis=0).max() / 12 / np.linalg.eigvalsh(h).min()
    bound = 100 * 16 * UNIT_ROUNDOFF * (np.linalg.cond(h) * np.abs(newton).max() + terms)
    assert np.abs(fit.weights - newton).max() <= bound


def test_deviations_survive_many_rounds():
    """After 200 rounds of heavy decay the signal is far below 1/K's last digit."""
    features, targets = problem(20, 4, 3, seed=1)
    head = LinearizedHead(10.0)
    fit = head.fit(features, targets)
    for _ in range(199):
        fit = head.fit(features, fit.as_targets())
    expected = head.rounds_at_once(features, targets, 200)
    size = np.abs(expected.deviations).max()
    assert 0 < size < 1e-30
    assert np.abs(fit.deviations - expected.deviations).max() <= 1e-9 * size


def test_the_certificate_of_the_closed_form_holds():
    features, targets = problem(25, 4, 3, seed=8, scale=0.3)
    for lam in (1e-2, 1e-1, 1.0):
        fit = LinearizedHead(lam).fit(features, targets)
        distance = np.linalg.norm(fit.weights - twins.exact_head(features.x, targets, lam))
        assert distance <= fit.certificate.weights_bound
        assert fit.certificate.weights_bound <= 3 * distance + 1e-12
    two = LinearizedHead(0.1).rounds_at_once(features, targets, 2)
    own = LinearizedHead(0.1).fit(features, targets).probabilities
    expected = SoftmaxObjective(features, own - 1 / 3, 0.1).gradient(two.weights)
    assert two.certificate.gradient_norm == pytest.approx(np.linalg.norm(expected), rel=1e-9)


def test_limits_in_weight_decay():
    features, targets = problem(5, 9, 3, seed=2)  # N < d: G is invertible
    kept = LinearizedHead(1e-14).fit(features, targets)
    assert np.abs(kept.probabilities - targets).max() < 1e-10
    uniform = LinearizedHead(1e12).fit(features, targets)
    assert np.abs(uniform.deviations).max() < 1e-10


def test_bad_input():
    features, targets = problem(10, 3, 2, seed=0)
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidSetting, match="weight_decay"):
            LinearizedHead(bad)
    off = targets.copy()
    off[4] *= 1.5
    with pytest.raises(InvalidTargets, match=r"1\.5.*row 4"):
        LinearizedHead(1.0).fit(features, off)
    with pytest.raises(InvalidTargets, match="10"):
        LinearizedHead(1.0).fit(features, targets[:9])
    fit = LinearizedHead(1.0).fit(features, targets)
    with pytest.raises(ValueError, match="3 columns"):
        fit.predict_proba(np.ones((2, 4)))


def test_bare_arrays_are_accepted():
    features, targets = problem(10, 3, 2, seed=0)
    wrapped = LinearizedHead(0.1).fit(features.x, targets)
    assert np.array_equal(wrapped.weights, LinearizedHead(0.1).fit(features, targets).weights)
