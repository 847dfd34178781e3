"""The secant theory: its scalar equation, what its root means, and what its fits promise."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import assume, given
from hypothesis import strategies as st

import gramlab
from gramlab import testing
from gramlab.errors import InvalidSetting
from gramlab.figures import DynamicsDisplay, TotalDecayDisplay
from gramlab.heads.referee import SoftmaxObjective, softmax
from gramlab.numerics.rounding import UNIT_ROUNDOFF
from gramlab.spectrum import Spectrum


def secant(weight_decay: float, **more: object) -> gramlab.LinearizedHead:
    return gramlab.LinearizedHead(weight_decay, slope="secant", **more)


def dense(x, targets, weight_decay, a, omega=None) -> np.ndarray:
    """V(a) = X (a XᵀΩX + Nλ)⁻¹ XᵀΩD (N, K) of the definition."""
    n, d = x.shape
    heard = x.T if omega is None else x.T * omega
    deviations = targets - 1.0 / targets.shape[1]
    system = a * heard @ x + n * weight_decay * np.eye(d)
    return x @ np.linalg.solve(system, heard @ deviations)


def difference(logits, a, omega=None) -> float:
    """⟨Ω(P − 1/K), V⟩/⟨ΩV, V⟩ − a of the definition."""
    omega = np.ones(len(logits)) if omega is None else omega
    size = ((softmax(logits) - 1.0 / logits.shape[1]) * logits).sum(axis=1)
    return float(omega @ size / (omega @ (logits**2).sum(axis=1))) - a


@examples(15)
@given(
    made=testing.problems(13, 4, 3),
    weight_decay=testing.weight_decays(1e-4, 1e2),
    seed=st.none() | st.integers(0, 9),
)
def test_the_slope_is_a_bracketed_root_of_its_equation(made, weight_decay, seed):
    features, targets = made
    omega = None if seed is None else np.random.default_rng(seed).uniform(0.1, 2.0, 13)
    assume(np.abs(dense(features.x, targets, weight_decay, 1 / 3, omega)).max() > 1e-4)
    fit = secant(weight_decay, sample_weight=omega).fit(features, targets)
    omega = None if omega is None else omega / omega.mean()
    condition = 1 + Spectrum.of(features).eigenvalues[0] / (13 * weight_decay)
    off = 1e3 * UNIT_ROUNDOFF * condition
    twin = dense(features.x, targets, weight_decay, fit.slope, omega)
    assert np.abs(fit.known_logits() - twin).max() <= off * (1 + np.abs(twin).max())
    assert np.array_equal(fit.probabilities, softmax(fit.known_logits()))
    low, high = fit.slope_bracket
    assert 0 < low <= fit.slope <= high <= 1
    assert high - low <= off * fit.slope
    assert fit.slope_residual <= off * fit.slope
    # By the definition too, and clearly outside of what rounds.
    for a, sign in ((0.98 * fit.slope, 1.0), (1.02 * fit.slope, -1.0)):
        found = difference(dense(features.x, targets, weight_decay, a, omega), a, omega)
        assert sign * found > 0
    assert fit.effective_weight_decay == weight_decay / (3 * fit.slope)
    # Planted: with the tangent's slope the equation does not hold.
    if abs(3 * fit.slope - 1) > 1e-3:
        tangent = dense(features.x, targets, weight_decay, 1 / 3, omega)
        assert abs(difference(tangent, 1 / 3, omega)) > 1e-8


@pytest.mark.parametrize("weight_decay", [1e-4, 1e-2, 1.0])
def test_no_multiple_of_its_weights_has_a_smaller_loss(weight_decay):
    features, targets = problem(30, 5, 4, seed=2)
    fit = secant(weight_decay).fit(features, targets)
    loss = SoftmaxObjective(features, targets - 0.25, weight_decay)

    def along(fit) -> float:  # cosine of the gradient and the weights, up to the scale of the loss
        return float(np.vdot(loss.gradient(fit.weights), fit.weights)) / loss.value(fit.weights)

    assert abs(along(fit)) <= 1e3 * UNIT_ROUNDOFF * (1 + np.abs(fit.known_logits()).max())
    best = loss.value(fit.weights)
    assert all(loss.value(c * fit.weights) > best for c in (0.0, 0.9, 1.1, 2.0))
    # Planted: the tangent's weights are too small or too large by some factor.
    assert abs(along(gramlab.LinearizedHead(weight_decay).fit(features, targets))) > 1e-5
    distance = np.linalg.norm(
        fit.weights - testing.dense_newton_head(features.x, targets, fit.weight_decay)
    )
    assert distance <= fit.certificate.weights_bound


def test_one_slope_is_exact_where_all_rows_are_alike():
    """Orthogonal rows of one length and one-hot labels: every row has the same problem."""
    rng = np.random.default_rng(0)
    x = 3.0 * np.linalg.qr(rng.standard_normal((12, 12)))[0]
    targets, decay = gramlab.one_hot(np.arange(12) % 5, 5), 0.02
    told = gramlab.distill(secant(decay), x, targets, 3)
    exact = gramlab.distill(gramlab.SoftmaxHead(decay, tolerance=1e-24), x, targets, 3)
    tangent = gramlab.distill(gramlab.LinearizedHead(decay), x, targets, 3)
    for one, other, line, chained in zip(told, exact, tangent, told.chain, strict=True):
        assert np.abs(one.deviations - other.deviations).max() <= 1e5 * UNIT_ROUNDOFF
        assert np.abs(line.deviations - other.deviations).max() > 1e-2
        assert chained.weights_bound <= 1e5 * UNIT_ROUNDOFF * np.linalg.norm(one.weights)


def test_roots_need_not_be_unique():
    """Two rows of orthogonal features: at three slopes the sign changes, and one is returned."""
    k, soft = 1000, 1e-3
    targets = np.full((2, k), (1 - soft) / k)
    targets[0], targets[1, 1] = 0.0, soft + (1 - soft) / k
    targets[0, 0] = 1.0
    # c_i = 1/(a + Nλ/(ω_i x_i²)) multiplies row i's deviations, with these last terms.
    terms, weights = np.array([0.03643665172900942, 1e-6]), np.array([5.2 * soft**2, 1.0])
    weights /= weights.mean()
    x = np.diag(np.sqrt(2e-3 / (weights * terms)))
    grid = np.geomspace(1e-4, 0.5, 400)
    signs = np.sign([difference(dense(x, targets, 1e-3, a, weights), a, weights) for a in grid])
    assert np.count_nonzero(np.diff(signs)) == 3
    fit = secant(1e-3, sample_weight=weights).fit(x, targets)
    changes = grid[:-1][np.diff(signs) != 0]
    assert any(one <= fit.slope <= one * grid[1] / grid[0] for one in changes)
    assert fit.slope_residual <= 1e-12


@pytest.mark.parametrize("weight_decay", [1e-3, 1.0])
def test_the_error_bound_holds_beside_exact_arithmetic(weight_decay):
    features, targets = problem(7, 3, 3, seed=4)
    fit = secant(weight_decay).fit(features, targets)
    with mp.workdps(50):
        x = mp.matrix(features.x.tolist())
        system = fit.slope * (x.T * x) + 7 * mp.mpf(weight_decay) * mp.eye(3)
        d = mp.matrix((targets).tolist())
        for i in range(7):
            for j in range(3):
                d[i, j] -= mp.mpf(1) / 3
        v = x * (mp.inverse(system) * (x.T * d))
        off = mp.mpf(0)
        for i in range(7):
            parts = [mp.exp(v[i, j]) for j in range(3)]
            for j in range(3):
                p = parts[j] / mp.fsum(parts) - mp.mpf(1) / 3
                off += (p - mp.mpf(float(fit.deviations[i, j]))) ** 2
    assert float(mp.sqrt(off)) <= fit.closed_form_error <= 1e-11


def test_rounds_pass_on_softmax_predictions_and_are_no_filter():
    features, targets = problem(25, 4, 3, seed=1)
    rounds = gramlab.distill(secant(1e-2), features, targets, 3)
    for before, after in zip(rounds[:2], rounds.targets[1:], strict=True):
        assert np.array_equal(after.deviations, before.deviations)
        assert (before.probabilities > 0).all()
    assert len({fit.slope for fit in rounds}) == 3
    with pytest.raises(InvalidSetting, match=r'rounds must be 1 with slope="secant".*got 2'):
        secant(1e-2).rounds_at_once(features, targets, 2)
    exact = gramlab.distill(gramlab.SoftmaxHead(1e-2), features, targets, 3)
    with pytest.raises(InvalidSetting, match="compare needs linear predictions"):
        gramlab.compare(rounds, exact)


def test_where_no_label_is_heard_the_slope_is_the_tangents():
    features, targets = problem(8, 3, 4, seed=0)
    fit = secant(0.1).fit(features, np.full_like(targets, 0.25))
    assert (fit.slope, fit.slope_residual) == (pytest.approx(0.25, rel=1e-12), pytest.approx(0.0))
    assert not fit.weights.any()
    # Nearly no signal: logits of 1e-170, whose squares are 0.
    near = secant(1e100).fit(1e-35 * features.x, targets)
    assert near.slope == pytest.approx(0.25, rel=1e-9)
    assert near.deviations.any()


def test_slopes_have_two_names():
    with pytest.raises(InvalidSetting, match='slope must be "tangent" or "secant", got \'chord\''):
        gramlab.LinearizedHead(0.1, slope="chord")
    assert repr(secant(0.1)) == "LinearizedHead(weight_decay=0.1, slope='secant')"
    assert repr(gramlab.LinearizedHead(0.1)) == "LinearizedHead(weight_decay=0.1)"
    features, targets = problem(9, 3, 4, seed=0)
    fit = gramlab.LinearizedHead(0.1).fit(features, targets)
    assert (fit.slope, fit.effective_weight_decay) == (0.25, 0.1)
    assert gramlab.RidgeHead(0.4).fit(features, targets).effective_weight_decay == pytest.approx(
        0.1
    )


def test_figures_know_it_as_theory():
    features, targets = problem(24, 4, 3, seed=1)
    rounds = gramlab.distill(secant(1e-2), features, targets, 2)
    labels = targets.argmax(axis=1)
    assert DynamicsDisplay.from_rounds(rounds, labels, labels).exact is None
    runs = TotalDecayDisplay.from_rounds([rounds], labels)
    assert {cell["head"] for cell in runs.cells} == {"linear"}
