"""Norms of gradients estimated from samples: near the truth, by as much as they say themselves."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab import device
from gramlab.heads import corrections, sampling
from gramlab.heads.coordinates import Coordinates
from gramlab.heads.objective import SoftmaxObjective
from gramlab.heads.resident import Moment, ResidentFit, TaughtTargets


@pytest.fixture
def rough(monkeypatch):
    """Rough products for problems of any size."""
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(corrections, "_NEWTON_WORK", 0.0)


def estimated(
    features, targets, weights, found, *, basis=True, predictions=None
) -> tuple[float, float]:
    """``gradient_norm`` at weights (d, K) of a gradient (d, K) that was ``found``.

    And of ``predictions`` (N, K), if there are any.
    """
    k = targets.shape[1]
    with device.float64():
        choose = Coordinates.exact if basis else lambda f: Coordinates(f, None, np.ones(1))
        coordinates = choose(features)
        there = jnp.asarray(coordinates.from_weights(found.T), dtype=np.float32)
        deviations = jnp.asarray(targets - 1.0 / k)
        known = sampling.Found(there)
        if predictions is not None:
            uniform = jnp.full(targets.shape, 1.0 / k, dtype=np.float32)
            change = jnp.asarray(predictions - 1.0 / k, dtype=np.float32)
            known = sampling.Found(there, uniform, change)
        return sampling.gradient_norm(coordinates, deviations, 0.1, weights.T, known)


@examples(25)
@given(
    # Each shape is compiled anew.
    shape=st.sampled_from([(20, 2, 2), (20, 12, 6), (300, 2, 4), (300, 12, 6), (128, 7, 3)]),
    seed=st.integers(0, 10_000),
    apart=st.sampled_from([0.0, 1e-3, 0.1, 1.0]),
    basis=st.booleans(),
)
def test_the_norm_is_within_a_few_of_its_errors(shape, seed, apart, basis):
    """The gradient that was found is wrong by ``apart`` of the true one."""
    n, d, k = shape
    features, targets = problem(n, d, k, seed)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((d, k))
    gradient = SoftmaxObjective(features, targets - 1 / k, 0.1).gradient(weights)
    error = rng.standard_normal((d, k))
    size = np.linalg.norm(gradient)
    found = gradient + apart * size * error / np.linalg.norm(error)
    norm, spread = estimated(features, targets, weights, found, basis=basis)
    # One number may be two thirds of a Gaussian's square: rank one in the worst case here.
    assert abs(norm - size) <= 5.0 * spread + apart**2 * size + 1e-5 * size
    assert spread <= 2.0 * apart * size + 1e-4 * size


def test_a_gradient_that_only_looks_small_is_seen():
    """Planted: what was found is a thousandth of the truth, as after products gone wrong."""
    features, targets = problem(200, 10, 4, 0)
    weights = np.random.default_rng(0).standard_normal((10, 4))
    gradient = SoftmaxObjective(features, targets - 1 / 4, 0.1).gradient(weights)
    norm, spread = estimated(features, targets, weights, 1e-3 * gradient)
    assert norm + 2.0 * spread > 0.7 * np.linalg.norm(gradient)


def test_predictions_that_float32_gets_wrong_are_seen():
    """Weights so large that float32 logits are off by whole numbers: the sampled rows tell."""
    features, targets = problem(200, 10, 4, 0)
    weights = 1e8 * np.random.default_rng(0).standard_normal((10, 4))
    x = features.x.copy()
    x[:, 1] = -x[:, 0] * weights[0].mean() / weights[1].mean()  # cancels
    weights[1] = -weights[0] * x[0, 0] / x[0, 1]
    features = gramlab.Features(x, features.labels)
    gradient = SoftmaxObjective(features, targets - 1 / 4, 0.1).gradient(weights)
    _, spread = estimated(features, targets, weights, gradient, basis=False)
    assert spread > 1e-3


@pytest.mark.parametrize("wrong", [0.0, 1e-4, 1e-2])
def test_predictions_that_products_got_wrong_are_seen(wrong):
    """Of many problems: the norm is the truth's, whatever predictions were handed on."""
    apart = []
    for seed in range(20):
        features, targets = problem(300, 10, 4, seed)
        rng = np.random.default_rng(seed)
        weights = 0.1 * rng.standard_normal((10, 4))
        gradient = SoftmaxObjective(features, targets - 1 / 4, 0.1).gradient(weights)
        logits = features.x @ weights
        right = gramlab.heads.objective.softmax(logits)
        # Errors that all rows share: the gradient of such predictions is off by as much.
        other = gramlab.heads.objective.softmax(logits + wrong * features.x[:, :4])
        found = gradient + features.x.T @ (other - right) / 300
        norm, spread = estimated(features, targets, weights, found, predictions=other)
        size = np.linalg.norm(gradient)
        apart.append(abs(norm - size) / (spread + 1e-5 * size))
        assert spread <= 3.0 * np.linalg.norm(found - gradient) + 1e-4 * size
    assert np.mean(np.array(apart) <= 2.0) >= 0.8
    assert max(apart) <= 5.0


def test_where_predictions_are_too_far_off_float32s_are_made(rough, monkeypatch):
    """Planted: products whose predictions are a hundredth off; half a pass finds better ones."""
    inner, asked = sampling.gradient_norm, []

    def watched(*given):
        *same, found = given
        if found.change is not None:
            found = found._replace(change=found.change + 0.01 * (found.change > 0))
        asked.append(found.change is not None)
        return inner(*same, found)

    monkeypatch.setattr(sampling, "gradient_norm", watched)
    features, targets = problem(300, 12, 5, 1)
    found = gramlab.SoftmaxHead(1e-2, tolerance=1e-10).fit(features, targets)
    assert asked == [True, False]
    assert isinstance(found, ResidentFit)
    assert found.certificate.relative_gap <= 1e-10


def test_heads_end_by_estimates_and_keep_their_tolerance(rough):
    features, targets = problem(300, 12, 5, 1)
    for weight_decay in (1e-1, 1e-2, 1e-3):
        found = gramlab.SoftmaxHead(weight_decay, tolerance=1e-10).fit(features, targets)
        assert isinstance(found, ResidentFit)
        assert "deviations" not in found.__dict__
        assert found.certificate.relative_gap <= 1e-10
        expected = gramlab.heads.objective.softmax(features.x @ found.weights)
        assert np.abs(found.probabilities - expected).max() <= 1e-13
        assert np.abs(found.deviations + 0.2 - expected).max() <= 1e-13


def test_an_estimate_too_large_asks_for_float64(rough, monkeypatch):
    """Planted: an estimate that never is small enough; the head then ends as it did before."""
    asked = []
    monkeypatch.setattr(sampling, "gradient_norm", lambda *a: asked.append(1) or (1.0, 1e9))
    features, targets = problem(300, 12, 5, 1)
    found = gramlab.SoftmaxHead(1e-2, tolerance=1e-10).fit(features, targets)
    assert asked
    assert not isinstance(found, ResidentFit)
    assert found.certificate.relative_gap <= 1e-10


def test_an_estimate_too_small_is_told_by_the_certificate(rough, monkeypatch):
    """Planted: products gone wrong that an estimate does not notice."""
    monkeypatch.setattr(sampling, "gradient_norm", lambda *a: (0.0, 0.0))
    inner = corrections.Corrections._correct_roughly
    monkeypatch.setattr(
        corrections.Corrections,
        "_correct_roughly",
        lambda *a: (0.5 * (found := inner(*a))[0], found[1]),
    )
    features, targets = problem(300, 12, 5, 1)
    found = gramlab.SoftmaxHead(1e-2, tolerance=1e-10).fit(features, targets)
    assert found.certificate.relative_gap > 1e-4


# ---- What a student knows of its teacher ------------------------------------------------------


def test_a_student_knows_the_norm_that_its_tolerance_is_measured_by(rough):
    features, targets = problem(300, 12, 5, 1)
    rounds = gramlab.distill(gramlab.SoftmaxHead(1e-2, tolerance=1e-10), features, targets, 4)
    for fit in rounds:
        made = fit.as_targets()
        assert isinstance(made, TaughtTargets)
        moment = made.moment(features)
        exact = (fit.probabilities - 0.2).T @ features.x / 300
        assert np.linalg.norm(moment.values - exact) <= 1.1 * moment.error
        assert moment.is_known()
        assert made.moment(gramlab.Features(features.x, features.labels)) is None
        assert fit.certificate.relative_gap <= 1e-10


def test_a_moment_that_is_hardly_known_is_computed(rough, monkeypatch):
    assert not Moment(np.ones((2, 2)), 0.01).is_known()
    features, targets = problem(300, 12, 5, 1)
    head = gramlab.SoftmaxHead(1e-2, tolerance=1e-10)
    made = head.fit(features, targets).as_targets()
    student = head.fit(features, made)  # from W = 0, whose gradient has to be exact
    assert student.certificate.relative_gap <= 1e-10
    wrong = Moment(1e6 * np.ones((5, 12)), 1e5)
    monkeypatch.setattr(TaughtTargets, "moment", lambda *a: wrong)
    other = head.fit(features, made)
    assert np.linalg.norm(other.weights - student.weights) <= (
        other.certificate.weights_bound + student.certificate.weights_bound
    )
