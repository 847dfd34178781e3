"""Risks of linear rounds, against heads that are fitted again without each row."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import examples, problem, with_spectrum
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab import testing
from gramlab.distillation import distill
from gramlab.errors import InvalidSetting, InvalidTargets
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.spectrum import Spectrum
from gramlab.targets import OneHotRows, one_hot

seeds = st.integers(0, 10**6)
METHODS = ("loo", "gcv")


def refitted(x, targets, decays, mixing=1.0, weights=None):
    """Predictions (rounds, N, K) for each row by rounds of ridge that never saw it, one by one."""
    n, k = targets.shape
    omega = np.ones(n) if weights is None else np.asarray(weights) / np.mean(weights)
    out = np.empty((len(decays), n, k))
    for i in range(n):
        seen = np.arange(n) != i
        a, given, told = x[seen], targets[seen] - 1 / k, targets[seen] - 1 / k
        for t, decay in enumerate(decays):
            # μ keeps the N of all rows.
            curvature = a.T @ (omega[seen, None] * a) + k * n * decay * np.eye(x.shape[1])
            w = np.linalg.solve(curvature, a.T @ (omega[seen, None] * told))
            out[t, i] = x[i] @ w
            told = mixing * (a @ w) + (1 - mixing) * given
    return out


def risks_of(unseen, targets, weights=None):
    omega = np.ones(len(targets)) if weights is None else np.asarray(weights) / np.mean(weights)
    squares = np.square(unseen - (targets - 1 / targets.shape[1])).sum(axis=-1)
    return (squares * omega).mean(axis=-1)


@examples(20)
@given(
    seed=seeds,
    decays=st.lists(testing.weight_decays(1e-3, 1.0), min_size=1, max_size=4),
    width=st.sampled_from([3, 30]),
)
def test_leave_one_out_is_refitting_without_each_row(seed, decays, width):
    features, targets = problem(14, width, 3, seed=seed)
    found = gramlab.risk_by_round(Spectrum.of(features), targets, decays, method="loo")
    expected = risks_of(refitted(features.x, targets, decays), targets)
    assert found.risks == pytest.approx(expected.tolist(), rel=1e-9)
    fits = distill([LinearizedHead(d) for d in decays], features, targets, len(decays))
    seen = [np.square(f.deviations - targets + 1 / 3).sum(axis=1).mean() for f in fits]
    assert found.residuals == pytest.approx(seen, rel=1e-9)


@examples(10)
@given(seed=seeds, t=st.integers(1, 5))
def test_rows_with_weights(seed, t):
    features, targets = problem(12, 4, 3, seed=seed)
    weights = np.random.default_rng(seed).integers(0, 4, 12) + np.eye(12)[0]
    omega = weights / weights.mean()
    spectrum = Spectrum.of(features, row_weights=omega)
    expected = risks_of(
        refitted(features.x, targets, [0.05] * t, weights=weights), targets, weights
    )
    found = gramlab.risk_by_round(spectrum, targets, 0.05, t, method="loo")
    assert found.risks == pytest.approx(expected.tolist(), rel=1e-9)


@examples(20)
@given(
    seed=seeds,
    decays=st.lists(testing.weight_decays(1e-3, 1.0), min_size=1, max_size=4),
    width=st.sampled_from([3, 30]),
)
def test_generalized_cross_validation_by_dense_filters(seed, decays, width):
    features, _ = problem(14, width, 3, seed=seed)
    found = gramlab.risk_by_round(Spectrum.of(features), OneHotRows(features.labels, 3), decays)
    deviations, smooth = one_hot(features.labels, 3) - 1 / 3, np.eye(14)
    for t, decay in enumerate(decays):
        smooth = testing.dense_filter(features.x @ features.x.T, 42 * decay, 1) @ smooth
        rest = np.square(deviations - smooth @ deviations).sum() / 14
        assert found.residuals[t] == pytest.approx(rest, rel=1e-9)
        assert found.degrees_of_freedom[t] == pytest.approx(np.trace(smooth), rel=1e-9)
        assert found.risks[t] == pytest.approx(rest / (1 - np.trace(smooth) / 14) ** 2, rel=1e-8)


def test_with_equal_leverages_both_methods_agree_in_round_one():
    """Rows on a circle: each has the same part in every eigenvector's square."""
    angles = 2 * np.pi * np.arange(15) / 15
    x = np.stack([np.cos(angles), np.sin(angles), np.cos(2 * angles), np.sin(2 * angles)], axis=1)
    targets = one_hot((np.arange(15) * 7) % 3, 3)
    spectrum = Spectrum.of(Features(x, np.arange(15) % 3))
    gcv, loo = (gramlab.risk_by_round(spectrum, targets, 0.01, 2, method=m) for m in ("gcv", "loo"))
    assert gcv.risks[0] == pytest.approx(loo.risks[0], rel=1e-12)
    # After it they differ: what a row did to the others' targets is no leverage of the product.
    assert abs(gcv.risks[1] / loo.risks[1] - 1) > 1e-4


def noisy(n, d, seed, rate):
    """Many rows about class means, some of them given another label, and rows never seen."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    means = rng.standard_normal((4, d))
    x, new = (means[labels] + rng.standard_normal((n, d)) for _ in range(2))
    flip = np.where(rng.random((2, n)) < rate, rng.integers(1, 4, (2, n)), 0)
    given, other = (labels + flip) % 4
    return Features(x, labels), one_hot(given, 4), new, one_hot(other, 4)


@pytest.mark.parametrize("method", METHODS)
def test_risks_are_those_of_new_rows_with_new_noise(method):
    """And so is the best round, which is neither the first nor the last."""
    features, targets, new, others = noisy(600, 60, 3, 0.4)
    decay, rounds = 0.1, 12
    found = gramlab.risk_by_round(Spectrum.of(features), targets, decay, rounds, method=method)
    fits = distill(LinearizedHead(decay), features, targets, rounds)
    true = [np.square(fit.predict_proba(new) - others).sum(axis=1).mean() for fit in fits]
    assert found.risks == pytest.approx(true, rel=0.02)
    assert 1 < found.best < rounds
    assert true[found.best - 1] <= min(true) * 1.001
    # Planted: errors on the rows that were seen rise from the first round on.
    assert np.argmin(found.residuals) == 0


@examples(20)
@given(seed=seeds, decay=testing.weight_decays(1e-3, 1.0), width=st.sampled_from([3, 30]))
def test_the_optimal_mixing_weight_is_least_of_all_when_refitted(seed, decay, width):
    features, targets = problem(14, width, 3, seed=seed)
    found = gramlab.optimal_mixing(Spectrum.of(features), targets, decay)

    def risk(xi):
        return risks_of(refitted(features.x, targets, [decay] * 2, xi), targets)[1]

    assert found.risk == pytest.approx(risk(found.weight), rel=1e-8)
    assert (found.teacher, found.student) == pytest.approx((risk(0.0), risk(1.0)), rel=1e-8)
    around = [risk(found.weight + step) for step in (-1.0, -0.1, 0.1, 1.0)]
    assert found.risk < min(around)
    # A parabola: the same to both sides.
    assert around[0] == pytest.approx(around[3], rel=1e-6)


@examples(20)
@given(seed=seeds, decay=testing.weight_decays(1e-3, 1.0))
def test_generalized_mixing_is_least_of_all_mixtures(seed, decay):
    features, _ = problem(20, 4, 3, seed=seed)
    targets = one_hot(np.random.default_rng(seed).integers(0, 3, 20), 3)
    found = gramlab.optimal_mixing(Spectrum.of(features), targets, decay, method="gcv")
    teacher, student = (
        testing.dense_filter(features.x @ features.x.T, 60 * decay, t) for t in (1, 2)
    )
    deviations = targets - 1 / 3

    def risk(xi):
        smooth = (1 - xi) * teacher + xi * student
        free = 1 - np.trace(smooth) / 20
        return np.square(deviations - smooth @ deviations).sum() / 20 / free**2, free

    assert found.risk == pytest.approx(risk(found.weight)[0], rel=1e-8)
    assert (found.teacher, found.student) == pytest.approx((risk(0.0)[0], risk(1.0)[0]), rel=1e-9)
    assert risk(found.weight)[1] > 0
    for step in (-0.3, -0.01, 0.01, 0.3):
        assert found.risk <= risk(found.weight + step)[0] * (1 + 1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_sign_is_that_of_less_or_more_weight_decay(method):
    """Too little weight decay wants students, too much wants them negative (2602.17565)."""
    features, targets, new, others = noisy(600, 60, 3, 0.4)
    spectrum, signs = Spectrum.of(features), []
    for decay in (1e-3, 1.0):
        found = gramlab.optimal_mixing(spectrum, targets, decay, method=method)
        fits = distill(LinearizedHead(decay), features, targets, 2, mixing=found.weight)
        true = [np.square(fit.predict_proba(new) - others).sum(axis=1).mean() for fit in fits]
        assert true[1] < true[0]
        assert found.risk == pytest.approx(true[1], rel=0.05)
        signs.append(np.sign(found.weight))
    assert signs == [1.0, -1.0]


def test_exact_heads_take_the_weight():
    features, targets, new, _ = noisy(200, 20, 0, 0.4)
    weight = gramlab.optimal_mixing(Spectrum.of(features), targets, 1e-3).weight
    head = SoftmaxHead(1e-3, signed_targets=True)
    fits = distill(head, features, targets, 2, mixing=weight)
    assert fits.chain_ends == ""
    shares = [(fit.predict(new) == features.labels).mean() for fit in fits]
    assert shares[1] > shares[0]


def test_small_weight_decay_keeps_its_digits():
    """As many features as rows: residual and freedom both vanish, and their ratio does not."""
    x = with_spectrum(np.geomspace(1, 2, 8), 8, 8, np.random.default_rng(0))
    targets = one_hot(np.arange(8) % 2, 2)
    spectrum = Spectrum.of(Features(x, np.arange(8) % 2))
    risks = [gramlab.risk_by_round(spectrum, targets, d, 1).risks[0] for d in (1e-9, 1e-10)]
    assert risks[0] == pytest.approx(risks[1], rel=1e-6)
    inverse = np.linalg.inv(x @ x.T)
    limit = np.square(inverse @ (targets - 0.5)).sum() / 8 / (np.trace(inverse) / 8) ** 2
    assert risks[1] == pytest.approx(limit, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_where_nothing_is_known_to_be_left_free_it_says_so(method):
    """The last eigenvalue is below the rounding of the first, and weight decay below both."""
    x = with_spectrum(np.geomspace(1, 1e-9, 8), 8, 8, np.random.default_rng(0))
    spectrum = Spectrum.of(Features(x, np.arange(8) % 2))
    targets = one_hot(np.arange(8) % 2, 2)
    with pytest.raises(InvalidSetting, match=r"in round 1 more than .* float64 can tell from 0"):
        gramlab.risk_by_round(spectrum, targets, 1e-18, 2, method=method)
    with pytest.raises(InvalidSetting, match="raise it, or use more rows"):
        gramlab.optimal_mixing(spectrum, targets, 1e-18, method=method)


def test_what_is_refused():
    features, targets = problem(12, 4, 3, seed=0)
    spectrum = Spectrum.of(features)
    for call in (
        lambda **how: gramlab.risk_by_round(spectrum, targets, 0.1, 2, **how),
        lambda **how: gramlab.optimal_mixing(spectrum, targets, 0.1, **how),
    ):
        with pytest.raises(InvalidSetting, match='"gcv" or "loo", got \'folds\''):
            call(method="folds")
    with pytest.raises(InvalidSetting, match="rounds must be given"):
        gramlab.risk_by_round(spectrum, targets, 0.1)
    with pytest.raises(InvalidSetting, match="got 3 and 2 weight decays"):
        gramlab.risk_by_round(spectrum, targets, [0.1, 0.2], 3)
    with pytest.raises(InvalidSetting, match="weight_decay"):
        gramlab.risk_by_round(spectrum, targets, [0.1, -0.2])
    with pytest.raises(InvalidTargets, match="shape"):
        gramlab.optimal_mixing(spectrum, targets[:5], 0.1)
    with pytest.raises(InvalidSetting, match="something to change"):
        gramlab.optimal_mixing(spectrum, np.full((12, 3), 1 / 3), 0.1)
