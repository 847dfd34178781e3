"""The closed form against dense twins, and against the exact objective it linearizes."""

from __future__ import annotations

from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

from gramlab import testing
from gramlab.errors import InvalidSetting, InvalidTargets
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead, RidgeHead, RidgeObjective, closed_form_error
from gramlab.heads.referee import SoftmaxObjective
from gramlab.numerics.rounding import UNIT_ROUNDOFF
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
    expected = testing.dense_closed_form(features.x @ features.x.T, targets, weight_decay, t)
    bound = tolerance(features, k, weight_decay, t)
    assert np.abs(fit.probabilities - expected).max() <= bound
    assert np.abs(fit.probabilities.sum(axis=1) - 1).max() <= bound
    dense = k * np.linalg.pinv(features.x) @ (expected - 1 / k)
    smallest = np.linalg.svd(features.x, compute_uv=False).min()
    assert np.abs(fit.weights - dense).max() <= k * bound / smallest
    assert np.abs(fit.predict_proba(features.x) - fit.probabilities).max() <= k * bound
    # Planted: the constant of another convention (N λ without K) is far off.
    wrong = testing.dense_closed_form(features.x @ features.x.T, targets, weight_decay / k, t)
    assert np.abs(fit.probabilities - wrong).max() > 100 * bound


@examples(30)
@given(made=testing.problems(17, 5, 3), log_decay=st.floats(-5, 2), t=st.integers(1, 6))
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
@given(made=testing.problems(12, 4, 3), log_decay=st.floats(-4, 3))
def test_closed_form_is_the_first_newton_step_from_zero(made, log_decay):
    features, targets = made
    lam = 10**log_decay
    fit = LinearizedHead(lam).fit(features, targets)
    zero = np.zeros((4, 3))
    g = testing.dense_gradient(features.x, targets, lam, zero)
    h = testing.dense_hessian(features.x, lam, zero)
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
        distance = np.linalg.norm(fit.weights - testing.dense_newton_head(features.x, targets, lam))
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


def exact_closed_form(x, targets, mu, rounds):
    """h(G)^t (Y − 1/K), as nested lists of mpmath numbers."""
    x, k = mp.matrix(x.tolist()), len(targets[0])
    inverse = (x.T * x + mu * mp.eye(x.cols)) ** -1
    out = mp.matrix([[mp.mpf(t) - mp.mpf(1) / k for t in row] for row in targets.tolist()])
    for _ in range(rounds):
        out = x * (inverse * (x.T * out))
    return out


def frobenius(values):
    return mp.sqrt(sum(v**2 for v in values))


LONG = [1.0, 1e5, 1e8, 1e12]


@pytest.mark.parametrize(("n", "d"), [(12, 4), (4, 7)])
@pytest.mark.parametrize("long", LONG)
@pytest.mark.parametrize("head", ["one round", "three rounds", "ridge", "rank deficient"])
def test_the_closed_form_states_its_own_error(n, d, long, head):
    """One column long beside the others: what squares would cost is kept, what is lost is said."""
    rng, lam, k = np.random.default_rng(3), 1e-5, 3
    y = np.arange(n) % k
    x = np.c_[rng.standard_normal((k, d - 1))[y] + rng.standard_normal((n, d - 1)), np.zeros(n)]
    x[:, -1] = long + rng.standard_normal(n)
    if head == "rank deficient":
        x[:, 1] = x[:, 0]
    targets, rounds = np.eye(k)[y], 3 if head == "three rounds" else 1
    with mp.workdps(60):
        if head == "ridge":
            fit, mu = RidgeHead(lam).fit(x, targets), mp.mpf(lam) * n
        else:
            fit = LinearizedHead(lam).rounds_at_once(x, targets, rounds)
            mu = mp.mpf(lam) * n * k
        exact = exact_closed_form(x, targets, mu, rounds)
        error = frobenius(mp.matrix(fit.deviations.tolist()) - exact)
        assert error <= fit.closed_form_error
        assert fit.closed_form_error <= 1e6 * error
        shown = mp.matrix(fit.probabilities.tolist()) - mp.ones(n, k) / k
        assert frobenius(shown - exact) <= fit.closed_form_error
        if long <= 1e5:
            assert error < 1e-9
            assert fit.closed_form_error < 1e-5


@pytest.mark.parametrize("off", [1e-3, 1e-6, 1e-9])
def test_a_closed_form_that_is_none_is_told_how_far_it_is(off):
    """Planted: other predictions, other weights, a spectrum of something else."""
    features, targets = problem(12, 4, 3, seed=0)
    lam, spectrum = 1e-3, Spectrum.of(features)
    fit = RidgeHead(lam).fit(features, targets)
    ridge = RidgeObjective(features, targets - 1 / 3, lam)
    rng = np.random.default_rng(0)
    exact = testing.dense_filter(features.x @ features.x.T, 12 * lam) @ ridge.target_deviations

    def told(spectrum, weights, found):
        return closed_form_error(ridge, spectrum, weights, found)[0]

    noise = off * rng.standard_normal(exact.shape)
    size = np.linalg.norm(noise)
    assert size <= told(spectrum, fit.weights, fit.deviations + noise) <= 1.001 * size + 1e-11
    # Weights that are off together with their predictions.
    worst = spectrum.basis @ np.diag([1.0, 1.0, 1.0, 0.0]) @ rng.standard_normal((4, 3))
    weights = fit.weights + off * worst
    found = features.x @ weights
    distance = np.linalg.norm(found - exact)
    assert distance * (1 - 1e-5) <= told(spectrum, weights, found) <= 1.1 * distance + 1e-11
    # A spectrum that is good for nothing loosens the bound, and does not void it.
    none = replace(spectrum, basis=np.zeros_like(spectrum.basis))
    assert distance * (1 - 1e-5) <= told(none, weights, found)


def test_the_slope_of_the_closed_form_is_attained():
    """σ = √(Nλ): weights off along its vector move predictions by all that the gradient allows."""
    features, targets = problem(12, 4, 3, seed=0)
    spectrum = Spectrum.of(features)
    none = replace(spectrum, basis=np.zeros_like(spectrum.basis))
    for j in range(4):
        lam = spectrum.eigenvalues[j] / 12
        fit = RidgeHead(lam).fit(features, targets)
        moved = 1e-3 * np.outer(spectrum.basis[:, j], [1.0, -1.0, 0.0])
        weights = fit.weights + moved
        ridge = RidgeObjective(features, targets - 1 / 3, lam)
        told, _ = closed_form_error(ridge, none, weights, features.x @ weights)
        distance = np.linalg.norm(features.x @ moved)
        assert distance * (1 - 1e-9) <= told <= distance * (1 + 1e-9)


def test_targets_of_a_fit_are_exact_and_arrays_are_rounded():
    """1/3 has no float64: the error of storing it is there for arrays, and not for deviations."""
    features, _ = problem(9, 3, 3, seed=0)
    uniform = np.full((9, 3), 1 / 3)
    fit = LinearizedHead(1e-9).fit(features, uniform)
    assert not fit.deviations.any()
    with mp.workdps(60):
        error = frobenius(exact_closed_form(features.x, uniform, mp.mpf(27) * mp.mpf(1e-9), 1))
        assert 0 < error <= fit.closed_form_error
    late = LinearizedHead(10.0).rounds_at_once(features, np.eye(3)[features.labels], 40)
    again = LinearizedHead(10.0).fit(features, late.as_targets())
    assert again.closed_form_error < 1e-9 * np.abs(again.deviations).max()
