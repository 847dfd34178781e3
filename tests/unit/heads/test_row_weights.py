"""Weights on rows: repeated and dropped rows as oracles, and each term that weights add to a bound.

Truth is in 60 digits (mpmath) where a bound is held to it.
"""

from __future__ import annotations

import math
from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab import testing
from gramlab.comparison import compare
from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.heads.closed_form import (
    LinearizedHead,
    RidgeHead,
    RidgeObjective,
    _over_all_rows,
    closed_form_error,
)
from gramlab.heads.newton_decrement import bound_along
from gramlab.heads.referee import SoftmaxObjective, softmax, softmax_deviations
from gramlab.heads.sharded import ShardedObjective
from gramlab.heads.softmax import SoftmaxHead
from gramlab.machine.memory import is_mapped
from gramlab.numerics.rounding import UNDERFLOW, UNIT_ROUNDOFF, gamma
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import (
    apply_filter,
    class_averaging_weights,
    filter_power,
    label_averaging_weights,
)
from gramlab.targets import OneHotRows, Targets, relative_weights

seeds = st.integers(0, 10**6)
HEADS = [LinearizedHead, RidgeHead]


def drawn(seed, n):
    """Weights over four decades, and a fifth of them 0."""
    rng = np.random.default_rng(seed)
    w = 10.0 ** rng.uniform(-2, 2, n)
    w[rng.permutation(n)[: n // 5]] = 0.0
    return w


def features_of(x, k=3):
    return Features(x, np.arange(len(x)) % k, n_classes=k)


# ---- the weights


def test_relative_weights_have_mean_one_at_any_scale_and_none_vanishes():
    w = drawn(0, 50)
    expected = relative_weights(w, 50)
    assert abs(expected.mean() - 1) <= 4 * UNIT_ROUNDOFF
    for scale in (2.0**-900, 0.5, 2.0**900):
        assert np.array_equal(relative_weights(scale * w, 50), expected)
    assert relative_weights(None, 50) is None
    assert relative_weights(np.full(50, 1e-300), 50) is None
    least = relative_weights([1.0, 5e-324, 0.0], 3)
    assert least.tolist() == [3.0, UNDERFLOW, 0.0]
    given, found = drawn(1, 40), relative_weights(drawn(1, 40), 40)
    exact = [40 * mp.mpf(v) / mp.fsum(given.tolist()) for v in given.tolist()]
    with mp.workdps(60):
        off = [abs(a - b) for a, b in zip(found.tolist(), exact, strict=True)]
        assert max(o / e for o, e in zip(off, exact, strict=True) if e) <= 6 * UNIT_ROUNDOFF


@pytest.mark.parametrize("head", [LinearizedHead, RidgeHead, SoftmaxHead])
def test_weights_that_are_none_are_refused(head):
    features, targets = problem(20, 4, 2, seed=0)
    for bad, words in (
        (np.ones(19), r"shape \(20,\), got shape \(19,\)"),
        (np.ones((20, 1)), r"got shape \(20, 1\)"),
        (np.zeros(20), "above 0 for at least one row, got all zeros"),
        (np.arange(20) - 3.0, "at least 0, got -3.0 at row 0"),
        (np.where(np.arange(20) == 4, np.inf, 1.0), "inf at row 4"),
        (["a"] * 20, "dtype"),
    ):
        with pytest.raises(InvalidSetting, match=words):
            head(1e-3, sample_weight=bad).fit(features, targets)


# ---- the referee


def pair(seed, n=24, d=6, k=3, weight_decay=1e-2):
    """An objective with whole weights, and the one on rows that are repeated or left out."""
    features, targets = problem(n, d, k, seed=seed)
    times = np.random.default_rng(seed).integers(0, 4, n)
    x, t = np.repeat(features.x, times, axis=0), np.repeat(targets, times, axis=0)
    rows = relative_weights(times, n)
    own = SoftmaxObjective(features, targets - 1 / k, weight_decay, rows)
    return own, SoftmaxObjective(features_of(x, k), t - 1 / k, weight_decay), times


@examples(15)
@given(seed=seeds, log_decay=st.floats(-4, 1))
def test_an_objective_with_whole_weights_is_that_of_repeated_rows(seed, log_decay):
    own, repeated, times = pair(seed, weight_decay=10**log_decay)
    plain = replace(own, row_weights=None)
    rng = np.random.default_rng(seed)
    w, direction = rng.standard_normal((2, 6, 3))
    p = softmax(own.logits(w))
    often = np.repeat(p, times, axis=0)
    for name, arguments, others in (
        ("value", (w,), (w,)),
        ("gradient", (w,), (w,)),
        ("gradient_at_zero", (), ()),
        ("dual", (p,), (often,)),
        ("hessian_product", (p, direction), (often, direction)),
    ):
        found = getattr(own, name)(*arguments)
        expected = getattr(repeated, name)(*others)
        size = np.abs(expected).max() + 10**log_decay
        assert np.abs(found - expected).max() <= 1e-12 * size, name
        # Planted: without weights.
        assert np.abs(getattr(plain, name)(*arguments) - expected).max() > 1e-9 * size, name
    a, b = own.evaluate(w), repeated.evaluate(w)
    assert a.curvature == pytest.approx(b.curvature, rel=1e-12)
    assert own.mean_square_norm == pytest.approx(repeated.mean_square_norm, rel=1e-12)
    assert a.gradient_rounding == pytest.approx(b.gradient_rounding, rel=0.9)
    one, two = own.certificate(w), repeated.certificate(w)
    assert one.max_row_norm == two.max_row_norm
    assert one.newton_decrement == pytest.approx(two.newton_decrement, rel=0.1)


def test_a_row_of_weight_zero_adds_nothing_to_any_bound():
    features, targets = problem(30, 4, 3, seed=1)
    x = np.r_[features.x, 1e6 * np.ones((2, 4))]
    t = np.r_[targets, np.eye(3)[:2]]
    w = drawn(2, 30) + 0.1
    rows = relative_weights(np.r_[w, 0, 0], 32)
    own = SoftmaxObjective(features_of(x), t - 1 / 3, 1e-2, rows)
    dropped = SoftmaxObjective(features, targets - 1 / 3, 1e-2, relative_weights(w, 30))
    best = SoftmaxHead(1e-2, sample_weight=w, tolerance=1e-16).fit(features, targets).weights
    one, two = own.certificate(best + 1e-4), dropped.certificate(best + 1e-4)
    for name, value in two.as_dict().items():
        allowed = {"gradient_rounding": 0.2, "newton_decrement": 0.1, "local_bound": 0.1}
        assert one.as_dict()[name] == pytest.approx(value, rel=allowed.get(name, 1e-9)), name
    assert np.isfinite(two.local_bound)
    # Planted: with the longest of all rows there would be no local bound.
    assert own.max_row_norm > 1e5
    assert replace(one, max_row_norm=own.max_row_norm).local_bound == np.inf


@pytest.mark.parametrize("kind", ["array", "labels"])
@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_of_rows_add_up_to_the_whole(kind, weighted, tmp_path, monkeypatch):
    features, targets = problem(240, 9, 4, seed=2)
    np.save(tmp_path / "x.npy", features.x)
    mapped = Features(np.load(tmp_path / "x.npy", mmap_mode="r"), features.labels, n_classes=4)
    assert is_mapped(mapped.x)
    given = targets - 0.25 if kind == "array" else OneHotRows(features.labels, 4)
    rows = relative_weights(drawn(3, 240), 240) if weighted else None
    w = np.random.default_rng(1).standard_normal((9, 4))
    whole = SoftmaxObjective(features, given, 1e-3, rows)
    expected, certificate = whole.evaluate(w), whole.certificate(w / 100)
    _ = certificate.newton_decrement
    monkeypatch.setattr("gramlab.heads.problem._STREAM_BYTES", 1000)
    for blockwise in (whole, SoftmaxObjective(mapped, given, 1e-3, rows)):
        found = blockwise.evaluate(w)
        assert found.value == pytest.approx(expected.value, rel=1e-13)
        assert found.curvature == pytest.approx(expected.curvature, rel=1e-12)
        off = np.linalg.norm(found.gradient - expected.gradient)
        assert off <= 2 * found.gradient_rounding
        for name, value in certificate.as_dict().items():
            again = blockwise.certificate(w / 100).as_dict()[name]
            assert again == pytest.approx(value, rel=1e-6), name


def test_shards_are_the_whole_with_weights():
    features, targets = problem(41, 5, 3, seed=4)
    w = drawn(5, 41)
    own = SoftmaxObjective(features, targets - 1 / 3, 1e-2, relative_weights(w, 41))
    shards = gramlab.shard_features(features.x)
    spread = ShardedObjective.of(shards, targets, 1e-2, sample_weight=w)
    plain = ShardedObjective.of(shards, targets, 1e-2)
    weights = np.random.default_rng(0).standard_normal((5, 3)) / 30
    a, b, c = (o.evaluate(weights) for o in (own, spread, plain))
    assert b.value == pytest.approx(a.value, rel=1e-12)
    assert b.curvature == pytest.approx(a.curvature, rel=1e-12)
    assert np.linalg.norm(a.gradient - b.gradient) <= a.gradient_rounding + b.gradient_rounding
    assert np.linalg.norm(a.gradient - c.gradient) > 1e-3  # planted: without weights
    assert a.gradient_rounding <= b.gradient_rounding <= 5 * a.gradient_rounding
    assert spread.start_norm == pytest.approx(own.start_norm, rel=1e-12)
    one, two = own.certificate(weights), spread.certificate(weights)
    assert two.newton_decrement == pytest.approx(one.newton_decrement, rel=0.11)
    assert spread.mean_square_norm >= own.mean_square_norm
    with pytest.raises(InvalidSetting, match="all zeros"):
        ShardedObjective.of(shards, targets, 1e-2, sample_weight=np.zeros(41))


def weighted(seed, n=24, d=6, k=3, weight_decay=1e-2, spread=2.0):
    """An objective with random weights over two decades each way, and random W."""
    rng = np.random.default_rng(seed)
    features, targets = problem(n, d, k, seed=seed)
    w = 10.0 ** rng.uniform(-spread, spread, n)
    objective = SoftmaxObjective(features, targets - 1 / k, weight_decay, relative_weights(w, n))
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


@examples(15)
@given(seed=seeds, weight_decay=st.floats(-4, 1).map(lambda e: 10.0**e))
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


@examples(15)
@given(seed=seeds, weight_decay=st.floats(-4, 1).map(lambda e: 10.0**e))
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


# ---- what weights add to bounds


def gradient_exactly(x, targets, shares, weight_decay, weights):
    x, w = mp.matrix(x.tolist()), mp.matrix(weights.tolist())
    v, residual = x * w, mp.matrix(len(targets), len(targets[0]))
    for i in range(v.rows):
        parts = [mp.exp(v[i, j] - max(v[i, :])) for j in range(v.cols)]
        for j in range(v.cols):
            residual[i, j] = shares[i] * (parts[j] / mp.fsum(parts) - mp.mpf(targets[i][j]))
    return x.T * residual + mp.mpf(weight_decay) * w


def test_a_heavy_row_counts_by_its_weight():
    """All the weight on a row whose logits cancel, and 63 rows of zeros beside it."""
    rng, n = np.random.default_rng(1), 64
    x, targets = np.zeros((n, 2)), np.eye(2)[np.arange(n) % 2]
    w = np.where(np.arange(n) == 0, 1.0, 1e-12)
    shares = [mp.mpf(v) / mp.fsum(w.tolist()) for v in w.tolist()]
    rows, seen = relative_weights(w, n), 0
    for _ in range(20):
        a, b = x[0] = 1e9 * rng.uniform(0.5, 1.5, 2)
        weights = rng.uniform(0.01, 0.1) * np.array([[b, -b], [-a, a]])
        objective = SoftmaxObjective(features_of(x, 2), targets - 0.5, 1e-3, rows)
        with mp.workdps(60):
            exact = gradient_exactly(x, targets.tolist(), shares, 1e-3, weights)
            error = mp.norm(exact - mp.matrix(objective.gradient(weights).tolist()), 2)
        assert error <= objective.gradient_rounding(weights)
        seen += error > replace(objective, row_weights=None).gradient_rounding(weights)
    assert seen  # planted: the bound of equal weights


def test_weights_are_granted_their_own_rounding():
    """They are within 6 units, and multiply residuals once: that much more than equal ones cost.

    Residuals are large beside what softmaxes are granted, so that the difference shows.
    """
    features, _ = problem(6, 3, 2, seed=0)
    deviations = 1e6 * np.outer(np.random.default_rng(0).standard_normal(6), [1.0, -1.0])
    rows = relative_weights(1.0 + 1e-9 * np.arange(6), 6)
    own = SoftmaxObjective(features, deviations, 1e-2, rows)
    plain = replace(own, row_weights=None)
    zero = np.zeros((3, 2))
    needed = 7 * UNIT_ROUNDOFF * np.mean(own.row_norms * np.linalg.norm(deviations, axis=1))
    assert own.gradient_rounding(zero) - plain.gradient_rounding(zero) >= needed
    ridges = [RidgeObjective(features, deviations, 1e-2, w) for w in (rows, None)]
    found = [ridge.gradient(zero)[1] for ridge in ridges]
    entries = np.abs(features.x).T @ np.abs(deviations) / 6
    assert found[0] - found[1] >= 7 * UNIT_ROUNDOFF * np.linalg.norm(entries)


def test_weights_that_underflow_are_granted_what_they_lose():
    """A weight below the normal numbers is raised to the least of them, on a row of length 1e70."""
    x = np.array([[0.0], [1e70]])
    targets, w = np.array([[0.5, 0.5], [1.0, 0.0]]), [3.0, 5e-324]
    own = SoftmaxObjective(features_of(x, 2), targets - 0.5, 1e-2, relative_weights(w, 2))
    zero = np.zeros((1, 2))
    with mp.workdps(60):
        shares = [mp.mpf(v) / (mp.mpf(w[0]) + mp.mpf(w[1])) for v in w]
        exact = gradient_exactly(x, targets.tolist(), shares, 1e-2, zero)
        error = mp.norm(exact - mp.matrix(own.gradient(zero).tolist()), 2)
    assert 1e3 * UNDERFLOW < error <= own.gradient_rounding(zero)
    ridge = RidgeObjective(own.features, targets - 0.5, 1e-2, own.row_weights)
    squares, rounding = ridge.gradient(zero)
    with mp.workdps(60):  # P is ½ at W = 0, so that both losses have the same gradient
        assert mp.norm(exact - mp.matrix(squares.tolist()), 2) <= rounding


def test_rounding_of_a_hessian_product_counts_by_weight():
    """As ``test_bounds`` for equal weights: a product off by what is granted hides the residual.

    Along D the Hessian is λ, and so is the truth known: ‖g‖/√λ.
    """
    x, lam, direction = np.array([[1.0, 0], [-100.0, 0]]), 1e-12, np.array([[0, 0], [1.0, -1.0]])
    rows = relative_weights([1.0, 3.0], 2)
    own = SoftmaxObjective(features_of(x, 2), np.eye(2) - 0.5, lam, rows)
    mean_square = (0.5 + 1.5 * 1e4) / 2
    units = gamma(2 + 4) + gamma(7) + gamma(2) + 4 * gamma(2 + 754)
    gradient = (lam + mean_square * units + gamma(4) * lam) * direction
    truth = np.linalg.norm(gradient) / math.sqrt(lam)
    assert truth <= bound_along(own, gradient, direction, curved=gradient) <= 1.1 * truth
    # Planted: equal weights, or weights that are exact, do not cover it.
    plain = replace(own, row_weights=None)
    assert bound_along(plain, gradient, direction, curved=gradient) < truth


# ---- the closed forms


def dense(x, omega, mu):
    """H = X(XᵀΩX + μ)⁻¹XᵀΩ (N, N)."""
    return x @ np.linalg.solve(x.T @ (omega[:, None] * x) + mu * np.eye(x.shape[1]), x.T * omega)


@pytest.mark.parametrize(("n", "d"), [(30, 5), (6, 20)])
def test_the_spectrum_with_weights_is_that_of_scaled_rows(n, d):
    features, _ = problem(n, d, 3, seed=n)
    omega = relative_weights(drawn(n, n), n)
    spectrum = Spectrum.of(features, row_weights=omega)
    scaled = np.sqrt(omega)[:, None] * features.x
    exact = np.linalg.svd(scaled, compute_uv=False) ** 2
    error = spectrum.certificate.eigenvalue_error
    assert np.abs(spectrum.eigenvalues - exact).max() <= error <= 1e-9 * exact[0]
    assert np.linalg.norm(scaled - scaled @ spectrum.basis @ spectrum.basis.T) <= 1e-12 * exact[0]
    assert Spectrum.of(features, row_weights=omega.copy()) is spectrum
    assert Spectrum.of(features) is not spectrum
    angles = spectrum.class_angles(features.labels, 2)
    indicators = np.eye(3)[features.labels]
    left = np.linalg.svd(scaled)[0][:, :2].T @ np.linalg.qr(indicators)[0]
    cosines = np.linalg.svd(left, compute_uv=False)
    assert np.cos(angles) == pytest.approx(cosines, abs=1e-8)
    mu, h = 0.3, dense(features.x, omega, 0.3)
    values = np.random.default_rng(0).standard_normal((n, 2))
    h3 = np.linalg.matrix_power(h, 3)
    assert np.abs(apply_filter(spectrum, values, mu, 3) - h3 @ values).max() <= 1e-11 * n
    assert np.abs(label_averaging_weights(spectrum, [0, 3], mu, 3) - h3[[0, 3]]).max() <= 1e-12 * n
    own, by_class = class_averaging_weights(spectrum, features.labels, mu)
    assert np.abs(own - np.diag(h)).max() <= 1e-12 * n
    assert np.abs(by_class - h @ indicators).max() <= 1e-12 * n
    assert filter_power(spectrum.eigenvalues, mu).max() < 1


@examples(15)
@given(
    seed=seeds, log_decay=st.floats(-4, 1), rounds=st.integers(1, 3), kind=st.sampled_from(HEADS)
)
def test_whole_weights_repeat_rows_of_a_closed_form(seed, log_decay, rounds, kind):
    own, repeated, times = pair(seed)
    k, lam = 3, 10**log_decay
    given = Targets(own.target_deviations)
    found = kind(lam, sample_weight=times).rounds_at_once(own.features, given, rounds)
    often = Targets(repeated.target_deviations)
    expected = kind(lam).rounds_at_once(repeated.features, often, rounds)
    close = 1e-11 * (1 + 1 / lam)
    assert np.abs(found.weights - expected.weights).max() <= close
    kept = np.repeat(found.deviations, times, axis=0)
    assert np.abs(kept - expected.deviations).max() <= close
    # Rows of weight 0 are predicted like any others.
    scale = k if kind is LinearizedHead else 1
    assert np.abs(found.deviations - own.features.x @ found.weights / scale).max() <= close
    # One by one, the predictions of a round being the targets of the next.
    current = given
    for _ in range(rounds):
        fit = kind(lam, sample_weight=times).fit(own.features, current)
        current = fit.as_targets()
    assert np.abs(fit.deviations - found.deviations).max() <= close
    one, two = found.certificate, expected.certificate
    assert one.gradient_norm == pytest.approx(two.gradient_norm, rel=1e-6, abs=close)
    assert one.global_bound == pytest.approx(two.global_bound, rel=1e-6, abs=close / lam)
    plain = kind(lam).rounds_at_once(own.features, given, rounds)  # planted: no weights
    assert np.abs(plain.weights - expected.weights).max() > close or np.ptp(times) == 0


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("decay", [1e-6, 1e-2, 10.0])
def test_a_closed_form_with_weights_states_its_own_error(kind, rounds, decay):
    """Over all rows: of weight 0, of a millionth, and among them a thousand times as long."""
    rng, n, k = np.random.default_rng(3), 12, 3
    x = rng.standard_normal((n, 4))
    x[:3] *= [[1e3], [1.0], [1e-3]]
    w = np.ones(n)
    w[:6] = [0.0, 0.0, 1e-6, 1e-6, 2.0, 3.0]
    targets = np.full((n, k), 1 / 3) if rounds == 1 else np.eye(k)[np.arange(n) % k]
    fit = kind(decay, sample_weight=w).rounds_at_once(features_of(x), targets, rounds)
    with mp.workdps(60):
        rows = mp.matrix(x.tolist())
        shares = mp.diag([n * mp.mpf(v) / mp.fsum(w.tolist()) for v in w.tolist()])
        mu = mp.mpf(decay) * n * (k if kind is LinearizedHead else 1)
        inverse = (rows.T * shares * rows + mu * mp.eye(4)) ** -1
        exact = mp.matrix(targets.tolist()) - mp.ones(n, k) / k
        for _ in range(rounds):
            exact = rows * (inverse * (rows.T * (shares * exact)))
        error = mp.norm(mp.matrix(fit.deviations.tolist()) - exact, 2)
        assert error <= fit.closed_form_error
        # Of a long row of weight 0 little is known but its length.
        assert fit.closed_form_error <= 1e11 * error
        assert fit.closed_form_error < 1e-4


def norms_over_rows(x, omega, mu):
    inverse = np.linalg.inv(x.T @ (omega[:, None] * x) + mu * np.eye(x.shape[1]))
    slope = np.linalg.norm(x @ inverse, 2)
    return slope, np.linalg.norm(x @ inverse @ x.T * np.sqrt(omega), 2)


@examples(40)
@given(seed=seeds, log_mu=st.floats(-3, 3), n=st.integers(2, 12), d=st.integers(1, 4))
def test_factors_over_all_rows_hold(seed, log_mu, n, d):
    rng = np.random.default_rng(seed)
    x, omega = rng.standard_normal((n, d)), relative_weights(drawn(seed, n), n)
    found = _over_all_rows(np.linalg.norm(x, axis=1), omega, 10**log_mu)
    for bound, exact in zip(found, norms_over_rows(x, omega, 10**log_mu), strict=True):
        assert exact <= bound * (1 + 1e-9)


def test_factors_over_all_rows_are_attained():
    """A row of weight ω with ω x² = μ, and a row of weight 0 beside one: both in one column."""
    for omega in (1.0, 1e-4):
        x, weights = np.array([[2.0]]), np.array([omega])
        slope, _ = _over_all_rows(np.array([2.0]), weights, 4.0 * omega)
        assert slope == pytest.approx(norms_over_rows(x, weights, 4.0 * omega)[0], rel=1e-9)
        _, gain = _over_all_rows(np.array([2.0]), weights, 1e-9 * omega)
        assert gain == pytest.approx(1 / np.sqrt(omega), rel=1e-6)
    x, omega = np.array([[1.0], [100.0]]), np.array([2.0, 0.0])
    for which, mu, equal in ((0, 1e3, 1 / (2 * np.sqrt(1e3))), (1, 2.0, 1.0)):
        bound = _over_all_rows(np.abs(x[:, 0]), omega, mu)[which]
        exact = norms_over_rows(x, omega, mu)[which]
        assert exact <= bound <= 1.1 * exact
        assert exact > 5 * equal  # planted: the factors of equal weights


def test_weights_of_a_closed_form_that_are_off_move_rows_of_any_weight():
    """Along the one column, by as much as the gradient allows on a long row of weight 0."""
    features, omega = features_of(np.array([[1.0], [100.0]]), 2), np.array([2.0, 0.0])
    spectrum = Spectrum.of(features, row_weights=omega)
    none = replace(spectrum, basis=np.zeros_like(spectrum.basis))  # no Newton step
    deviations, lam = np.array([[0.5, -0.5], [0.5, -0.5]]), 500.0
    right = np.array([[1.0, -1.0]]) / (2 + 2 * lam)
    weights = right + np.array([[1e-3, -1e-3]])
    found = features.x @ weights
    shown, _ = closed_form_error(
        RidgeObjective(features, deviations, lam, omega), none, weights, found
    )
    distance = np.linalg.norm(found - features.x @ right)
    assert distance * (1 - 1e-9) <= shown <= 1.1 * distance


def test_errors_of_targets_grow_by_what_rows_without_weight_allow():
    """Targets off on the one row that counts: a long row of weight 0 follows, a hundredfold."""
    features, omega = features_of(np.array([[1.0], [100.0]]), 2), np.array([2.0, 0.0])
    spectrum = Spectrum.of(features, row_weights=omega)
    deviations, off = np.array([[0.5, -0.5], [0.5, -0.5]]), 1e-3 * np.array([1.0, -1.0])
    lam = 1e-3
    h = dense(features.x, omega, 2 * lam)
    weights = np.linalg.lstsq(features.x, h @ deviations, rcond=None)[0]
    given_error = np.sqrt(2.0) * np.linalg.norm(off)
    truth = deviations + np.outer([1.0, 0.0], off)
    ridge = RidgeObjective(features, deviations, lam, omega)
    shown, heard = closed_form_error(ridge, spectrum, weights, h @ deviations, given_error)
    moved = h @ truth - h @ deviations
    assert np.linalg.norm(moved) <= shown
    assert np.linalg.norm(np.sqrt([2.0, 0.0]) * moved.T) <= heard
    assert np.linalg.norm(moved) > 10 * given_error  # planted: as if H shortened all rows


# ---- rounds


def both(w, rounds=3, decay=1e-2, features=None, targets=None):
    if features is None:
        features, targets = problem(24, 5, 3, seed=7)
    exact = SoftmaxHead(decay, sample_weight=w, tolerance=1e-10)
    return (
        distill(LinearizedHead(decay, sample_weight=w), features, targets, rounds),
        distill(exact, features, targets, rounds),
    )


def test_the_error_recursion_holds_with_weights():
    w = drawn(8, 24)
    linear, exact = both(w)
    for found in compare(linear, exact):
        assert found.recursion_error <= found.recursion_tolerance <= 1e-8
    # Planted: the same fits read as if all weights were equal.
    read = [
        replace(r, fits=tuple(replace(f, row_weights=None) for f in r)) for r in (linear, exact)
    ]
    assert all(found.recursion_error > 1e-4 for found in compare(*read))


def test_rounds_of_other_weights_are_not_compared():
    w = drawn(8, 24)
    linear, exact = both(w)
    for other in (None, w + 1.0):
        with pytest.raises(InvalidSetting, match="one weight for each row"):
            compare(both(other)[0], exact)
        with pytest.raises(InvalidSetting, match="one weight for each row"):
            compare(linear, both(other)[1])
    features, targets = problem(24, 5, 3, seed=7)
    heads = [SoftmaxHead(1e-2, sample_weight=w), SoftmaxHead(1e-2, sample_weight=w + 1.0)]
    with pytest.raises(InvalidSetting, match="one weight for each row"):
        compare(linear, distill(heads, features, targets, 2))
    assert len(compare(*both(3.0 * w))) == 3
    changed = distill(heads, features, targets, 2)
    assert changed.chain[1] is None
    assert "other weights" in changed.chain_ends


@pytest.mark.parametrize("which", [0, 1])
def test_a_chain_with_weights_is_about_the_iterates_of_repeated_rows(which):
    own, repeated, times = pair(11)
    rounds = both(times, decay=0.1, features=own.features, targets=own.targets)[which]
    assert rounds.chain_ends == ""
    x, given = repeated.features.x, repeated.targets
    for t, fit in enumerate(rounds):
        best = testing.dense_newton_head(x, given, 0.1)
        given = softmax_deviations(x @ best) + 1 / 3
        distance = np.linalg.norm(fit.weights - best)
        assert distance <= rounds.chain[t].weights_bound + 1e-12
        assert rounds.chain[t].weights_bound <= 1e3 * distance + 1e-5
    # Planted: the chain of equal weights is about something else.
    other = both(None, decay=0.1, features=own.features, targets=own.targets)[which]
    assert np.linalg.norm(other[2].weights - best) > other.chain[2].weights_bound or which == 0


def test_two_largest_classes_need_not_be_certified_where_a_row_has_no_weight():
    """A row of zeros is a tie of all classes, which no certificate decides."""
    features, targets = problem(24, 5, 3, seed=7)
    features = features_of(np.r_[features.x, np.zeros((1, 5))])
    targets = np.r_[targets, np.eye(3)[:1]]
    for last, ends in ((0.0, ""), (1e-6, "round 1 does not certify")):
        head = SoftmaxHead(1e-2, sample_weight=np.r_[np.arange(1, 25), last], tolerance=1e-24)
        rounds = distill(head, features, targets, 2, refine="top2")
        assert rounds.chain_ends.startswith(ends)
        assert (rounds.chain[1] is None) == bool(ends)
