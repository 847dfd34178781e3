"""Bounds where they bind: logits that cancel, sums that round one way, numbers that underflow.

Truth is in 120 digits (mpmath); every term of a bound is held to a case where it alone suffices.
"""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

import gramlab
from gramlab import errors, testing
from gramlab.comparison import certify_predictions
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead, RidgeHead, RidgeObjective
from gramlab.heads.generalized import GeneralizedCrossEntropyHead
from gramlab.heads.newton_decrement import bound_along
from gramlab.heads.referee import SoftmaxObjective, softmax_deviations
from gramlab.heads.sgd import PublishedSgdHead
from gramlab.heads.sharded import ShardedObjective
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import UNDERFLOW, UNIT_ROUNDOFF, gamma, norm_bound, row_norm_bounds
from gramlab.spectrum import Spectrum, check_scale
from gramlab.targets import Targets, relative_weights

DIGITS = 120
CLASSES = np.eye(2)[np.arange(8) % 2]  # one shape for all compiled heads


def exactly(values: np.ndarray) -> mp.matrix:
    return mp.matrix(np.asarray(values).tolist())


def length(values) -> mp.mpf:
    return mp.sqrt(sum(value**2 for value in values))


def objective_of(x, targets, weight_decay):
    features = Features(x, np.arange(len(x)) % 2, n_classes=targets.shape[1])
    return SoftmaxObjective(features, targets - 1 / targets.shape[1], weight_decay)


def softmax_exactly(logits: mp.matrix) -> mp.matrix:
    out = mp.matrix(logits.rows, logits.cols)
    for i in range(logits.rows):
        top = max(logits[i, :])
        parts = [mp.exp(logits[i, j] - top) for j in range(logits.cols)]
        for j in range(logits.cols):
            out[i, j] = parts[j] / mp.fsum(parts)
    return out


def gradient_exactly(x, targets, weight_decay, weights) -> mp.matrix:
    exact_x, exact_w = exactly(x), exactly(weights)
    residual = softmax_exactly(exact_x * exact_w) - exactly(targets)
    return exact_x.T * residual / len(x) + mp.mpf(weight_decay) * exact_w


def assert_gradient_is_bounded(objective, x, targets, weights) -> Certificate:
    """Both ways in which a certificate uses the bound: its error, and the true gradient's norm."""
    with mp.workdps(DIGITS):
        exact = gradient_exactly(x, targets, objective.weight_decay, weights)
        error = length(exact - exactly(objective.gradient(weights)))
        found = objective.certificate(weights)
        assert error <= found.gradient_rounding
        assert length(exact) <= mp.mpf(found.weight_decay) * mp.mpf(found.global_bound)
    return found


# ---- norms


@settings(deadline=None)
@given(arrays(np.float64, (3, 4), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_norm_bounds_are_above_the_norms_and_close(rows):
    with mp.workdps(DIGITS):
        for row, bound in zip(rows, row_norm_bounds(rows), strict=True):
            norm = length(mp.mpf(float(v)) for v in row)
            close = norm * (1 + 2 * mp.mpf(gamma(12))) + mp.mpf(2) ** -1073
            assert norm <= mp.mpf(float(bound)) <= max(close, mp.mpf(0)) or bound == np.inf
            assert bound < np.inf or norm > mp.mpf(1e308)


def test_a_norm_is_zero_for_zero_rows_alone():
    rows = np.array([[0.0, 0.0], [5e-324, 0.0], [1e-200, -1e-200], [1e300, 1e300]])
    assert np.array_equal(row_norm_bounds(rows) > 0, [False, True, True, True])
    assert np.linalg.norm(rows[2]) == 0  # planted: what a plain norm says
    assert norm_bound(rows[:3]) == pytest.approx(1e-200 * math.sqrt(2), rel=1e-14)
    assert norm_bound(np.array([[np.nan]])) == np.inf


# ---- gradients


@pytest.mark.parametrize("scale", [1e7, 1e9, 1e13])
@pytest.mark.parametrize("kind", ["in memory", "weighted", "sharded"])
def test_the_gradient_is_bounded_where_logits_cancel(scale, kind):
    """Nearly equal columns: a softmax saturated at the wrong logits has curvature 0 there."""
    caught = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        base = rng.standard_normal(4) * scale
        x = np.c_[base, base + rng.standard_normal(4) * 0.01]
        size = 10.0 ** rng.uniform(-1, 1) * 1e18 / scale
        weights = np.array([[size, -size], [-size * (1 + 1e-16), size]]) * rng.uniform(0.5, 1.5)
        targets = np.eye(2)[np.arange(4) % 2]
        objective = objective_of(x, targets, 1e-3)
        rows = np.ones(4)
        if kind == "sharded":
            objective = ShardedObjective.of(gramlab.shard_features(x), targets, 1e-3)
        elif kind == "weighted":
            rows = relative_weights(rng.uniform(0.1, 1, 4), 4)
            objective = SoftmaxObjective(
                objective.features, objective.target_deviations, 1e-3, rows
            )
        found = objective.certificate(weights)
        with mp.workdps(DIGITS):
            exact_x, exact_w = exactly(x), exactly(weights)
            residual = softmax_exactly(exact_x * exact_w) - exactly(targets)
            residual = mp.diag([mp.mpf(float(w)) for w in rows]) * residual
            exact = exact_x.T * residual / 4 + mp.mpf(1e-3) * exact_w
            error = length(exact - exactly(objective.gradient(weights)))
            assert error <= found.gradient_rounding
        # However wrong the logits, a row of P is off by √2 at most.
        rest = gamma(60) * (10 * objective.max_row_norm + norm_bound(weights))
        assert found.gradient_rounding <= 2 * objective.max_row_norm + rest
        # Planted: the curvature at the computed logits bounds nothing.
        p = softmax(x @ weights, axis=1)
        moved = gamma(2) * np.linalg.norm(x, axis=1) ** 2 * np.linalg.norm(weights)
        naive = float(np.mean(moved * 2.02 * (p * (1 - p)).max(axis=1))) + rest
        caught += error > naive
    assert caught or scale < 1e13


@pytest.mark.parametrize("top", [12, 20, 30])
def test_the_curvature_is_taken_over_the_interval_of_possible_logits(top):
    """Logits off by a few units: p(1 − p) there is e^{2δ} times what it is where they came out."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        a, b = (float(2**28 + rng.integers(2**20) * 2 + 1) for _ in range(2))
        first, second = (float(2**28 + rng.integers(2**24)) for _ in range(2))
        x = np.array([[a, b, 1.0], [0.0, 0.0, 0.0]])
        near = np.array([[first], [-first * a / b], [second % 64]])
        near[2] += top - float((x @ near)[0, 0])
        weights = np.hstack([near, np.zeros((3, 1))])
        targets = np.array([[1.0, 0.0], [0.5, 0.5]])
        assert_gradient_is_bounded(objective_of(x, targets, 1e-30), x, targets, weights)


def test_rounding_is_in_the_global_bound():
    """Targets that are the computed predictions: the computed gradient is λW, the true one not."""
    x, lam, seen = np.array([[1e8, 1e8 + 1.0, 3.0], [0.0, 0.0, 0.0]]), 1e-30, 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        size = rng.uniform(0.5, 1.5)
        near = np.array([size, -size * (1e8 / (1e8 + 1.0)), rng.uniform(-0.3, 0.3)])
        weights = np.stack([near, -near], axis=1)
        deviations = softmax_deviations(x @ weights)
        found = SoftmaxObjective(Features(x, [0, 1]), deviations, lam).certificate(weights)
        assert found.gradient_norm <= 2 * lam * np.linalg.norm(weights)
        with mp.workdps(DIGITS):
            residual = softmax_exactly(exactly(x) * exactly(weights)) - exactly(deviations)
            residual -= mp.ones(2, 2) / 2
            exact = exactly(x).T * residual / 2 + lam * exactly(weights)
            assert length(exact) / lam <= found.global_bound
            seen += length(exact) > 1e6 * found.gradient_norm
    assert seen  # without rounding that would be false


def test_rounding_of_a_hessian_product_counts_as_residual():
    """Planted: a product off by nine tenths of what is granted, which makes the residual vanish.

    Along D the Hessian is λ, and so is the truth known: ‖g‖/√λ.
    """
    x, lam, direction = np.array([[1.0, 0.0], [-1.0, 0.0]]), 1e-12, np.array([[0, 0], [1.0, -1.0]])
    objective = objective_of(x, np.eye(2), lam)
    granted = gamma(2 + 4) + gamma(2) + 4 * gamma(2 + 754) + gamma(4) * lam
    gradient = (lam + 0.9 * granted) * direction
    truth = np.linalg.norm(gradient) / math.sqrt(lam)
    said = bound_along(objective, gradient, direction, curved=gradient)
    assert truth <= said <= 1.1 * truth


def test_sums_over_rows_are_bounded_in_any_order():
    """1 and then thousands of numbers it swallows, one by one: half of what γ_N grants is used."""
    n = 3000
    x = np.full((n, 1), 0.99 * UNIT_ROUNDOFF)
    x[0] = 1.0
    targets = np.tile([1.0, 0.0], (n, 1))
    total = np.zeros(2)
    for row in x:
        total = total + row * np.array([-0.5, 0.5])  # P = ½ exactly at W = 0
    exact = math.fsum(x[:, 0]) * np.array([-0.5, 0.5])
    error = np.linalg.norm(total - exact) / n
    bound = objective_of(x, targets, 1.0).gradient_rounding(np.zeros((1, 2)))
    assert 0.5 * bound < error <= bound
    squares = RidgeObjective(Features(x, np.arange(n) % 2), targets - 0.5, 1.0)
    moment, rounding = squares.gradient(np.zeros((1, 2)))
    assert np.allclose(moment, total / n, atol=bound)
    assert 0.5 * rounding < error <= rounding


@pytest.mark.parametrize("weight_decay", [1e-3, 1.0])
def test_the_softmax_and_stored_targets_are_granted_their_rounding(weight_decay):
    """Targets 1/3 in float64 and W = 0: the computed gradient is 0, the true one is not.

    It is the same in all classes, where the Hessian is λ: its decrement is ‖g‖/√λ.
    """
    x, targets, weights = np.array([[1.0], [2.0]]), np.full((2, 3), 1 / 3), np.zeros((1, 3))
    objective = objective_of(x, targets, weight_decay)
    assert not objective.gradient(weights).any()
    found = assert_gradient_is_bounded(objective, x, targets, weights)
    with mp.workdps(DIGITS):
        exact = length(gradient_exactly(x, targets, weight_decay, weights))
        assert 0 < exact / mp.sqrt(weight_decay) <= found.newton_decrement


@pytest.mark.parametrize("size", [1.0, 1e-110, 1e-250])
def test_the_regularizer_and_what_underflows_are_granted_theirs(size):
    """Features that are 0: only λW is left, which rounds, or vanishes."""
    x, targets = np.zeros((2, 2)), np.eye(2)
    weights = size * np.random.default_rng(0).standard_normal((2, 2))
    decay = 0.1 if size == 1.0 else 1e-100
    objective = objective_of(x, targets, decay)
    assert_gradient_is_bounded(objective, x, targets, weights)
    if size < 1e-200:
        assert not objective.gradient(weights).any()  # and yet the truth is not 0
    moment, rounding = RidgeObjective(objective.features, targets - 0.5, decay).gradient(weights)
    with mp.workdps(DIGITS):
        assert length(exactly(moment) - exactly(weights) * mp.mpf(decay)) <= rounding


def test_the_gradient_of_squares_is_bounded_where_logits_cancel():
    rng = np.random.default_rng(0)
    base = 1e8 * rng.standard_normal(5)
    x = np.c_[base, base + rng.standard_normal(5)]
    weights = np.array([[1.0, -1.0], [-1.0, 1.0]]) * (1 + 1e-9 * rng.standard_normal((2, 2)))
    deviations = x @ weights  # so that all that is left is rounding of the logits, and λW
    features = Features(x, np.arange(5) % 2)
    found, rounding = RidgeObjective(features, deviations, 1e-9).gradient(weights)
    with mp.workdps(DIGITS):
        residual = exactly(x) * exactly(weights) - exactly(deviations)
        exact = exactly(x).T * residual / 5 + mp.mpf(1e-9) * exactly(weights)
        error = length(exact - exactly(found))
        assert error <= rounding
        assert error > gamma(9) * np.linalg.norm(x) * np.linalg.norm(deviations)


# ---- logits and predictions


@settings(deadline=None)
@given(
    x=arrays(np.float64, (2, 3), elements=st.floats(-1e100, 1e100)),
    weights=arrays(np.float64, (3, 2), elements=st.floats(-1e100, 1e100)),
    bound=st.floats(0, 1e100),
)
@example(np.eye(2, 3) * 1e-200, np.eye(3, 2) * 1e-150, 0.0)  # products underflow
@example(np.eye(2, 3) * 1.44117927e22, np.eye(3, 2) * 2.22507386e-313, 0.0)  # γ‖W‖ does
@example(np.eye(2, 3) * 1e-200, np.eye(3, 2), 1e-9)  # squares do
def test_no_logit_difference_moves_by_more_than_is_said(x, weights, bound):
    """For any rows, subnormal ones too, and the worst weights within the bound."""
    features = Features(np.ones((2, 3)), [0, 1])
    objective = SoftmaxObjective(features, np.eye(2) - 0.5, 1.0)
    rounding = objective.certificate(weights).logit_rounding
    found = Certificate(bound, 0.0, 1.0, math.inf, 1.0, 1.0, rounding)
    logits = x @ weights
    with mp.workdps(DIGITS):
        exact = exactly(x) * exactly(weights)
        for i, said in enumerate(found.logit_bound(x)):
            rounded = mp.mpf(logits[i, 0]) - logits[i, 1] - (exact[i, 0] - exact[i, 1])
            norm = length(mp.mpf(v) for v in x[i].tolist())
            assert abs(rounded) + mp.sqrt(2) * norm * mp.mpf(bound) <= mp.mpf(float(said))


def test_the_rounding_of_logits_is_counted():
    """Logits of about 1 that are differences of 1e8: each part of the bound by itself."""
    rng = np.random.default_rng(0)
    x = np.c_[1e8 + rng.random(20), 1e8 + rng.random(20)]
    weights = np.array([[1.0, -1.0], [-1.0, 1.0]]) * (1 + 1e-9 * rng.standard_normal((2, 2)))
    rounding = objective_of(x, np.eye(2)[np.arange(20) % 2], 1.0).certificate(weights)
    found = Certificate(0.0, 0.0, 1.0, math.inf, 1.0, 1.0, rounding.logit_rounding)
    logits = x @ weights
    with mp.workdps(DIGITS):
        exact = exactly(x) * exactly(weights)
        moved = [
            abs(mp.mpf(logits[i, 0]) - logits[i, 1] - exact[i, 0] + exact[i, 1]) for i in range(20)
        ]
    assert min(moved) > 0
    assert all(m <= b for m, b in zip(moved, found.logit_bound(x).tolist(), strict=True))
    assert max(moved) > float(found.logit_bound(x).max()) / 100
    assert np.all(Certificate(0.0, 0.0, 1.0, 0.0, 1.0, 1.0).logit_bound(x) <= 1e9 * UNDERFLOW)


@pytest.mark.parametrize("scale", [1e-170, 1e-250, 1e-290])
def test_rows_whose_squares_underflow_are_certified_like_their_multiples(scale):
    """sign(xW) is that of (s x)W: rows that are s times others are decided as those are."""
    rng = np.random.default_rng(2)
    y = np.arange(90) % 3
    rows = rng.standard_normal((3, 4))[y] + 1.5 * rng.standard_normal((90, 4))
    x = np.r_[rows, scale * rows[:60]]
    features = Features(x, np.r_[y, y[:60]])
    targets = np.eye(3)[features.labels]
    fit = SoftmaxHead(1e-2, tolerance=1e-5).fit(features, targets)
    _, decided = certify_predictions(fit, features, None)
    assert np.array_equal(decided[:60], decided[90:])
    assert 0 < decided[90:].sum() < 60
    # Planted: with norms of 0 all of them would be decided.
    assert not np.linalg.norm(x[90:], axis=1).any()
    best = testing.dense_newton_head(x, targets, 1e-2)
    assert np.array_equal((x @ best).argmax(axis=1)[decided], fit.labels[decided])


def test_shares_are_certified_of_rows_whose_squares_underflow():
    x = np.random.default_rng(1).standard_normal((8, 3))
    x[4:] *= 1e-170
    fit = SoftmaxHead(1e-2, tolerance=1e-1, certified_share=1.0).fit(x, CLASSES)
    assert fit.stats.polish == "share reached"
    assert certify_predictions(fit, Features(x, np.arange(8) % 2), None)[1].all()


# ---- where scales end

HEADS = {
    "softmax": lambda x, t: SoftmaxHead(1e-2).fit(x, t),
    "weighted": lambda x, t: SoftmaxHead(1e-2, sample_weight=1.0 + np.arange(len(x))).fit(x, t),
    "linearized": lambda x, t: LinearizedHead(1e-2).fit(x, t),
    "ridge": lambda x, t: RidgeHead(1e-2).fit(x, t),
    "partial": lambda x, t: GeneralizedCrossEntropyHead(1e-2, tolerance=1e-2).fit(x, t),
    "sgd": lambda x, t: PublishedSgdHead(1e-2, epochs=1).fit(x, t),
    "spectrum": lambda x, t: Spectrum.of(Features(x, np.arange(len(x)) % 2)),
    "sharded": lambda x, t: SoftmaxHead(1e-2).fit(gramlab.shard_features(x), t),
    "sharded spectrum": lambda x, t: Spectrum.of(gramlab.shard_features(x)),
}


@pytest.mark.parametrize("head", HEADS)
def test_scales_that_float64_cannot_serve_are_refused_small_as_well_as_large(head):
    x = np.random.default_rng(0).standard_normal((6, 3))
    targets = np.eye(2)[np.arange(6) % 2]
    for scale, word in ((1e-77, "large"), (1e-170, "large"), (1e77, "small"), (1e200, "small")):
        with pytest.raises(errors.InvalidFeatures, match=f"{word} enough.*divide the features by"):
            HEADS[head](scale * x, targets)
        # They are features all the same, and this is the way out.
        assert np.ptp(Features(scale * x, np.arange(6) % 2).unit_norm().x) > 1
    for scale in (1e-30, 1e-42):
        with pytest.raises(errors.InvalidFeatures, match="as float32 must be between 1e-20"):
            HEADS[head]((scale * x).astype(np.float32), targets)


@pytest.mark.parametrize("row", [0, 5])
def test_one_entry_decides(row):
    x = np.random.default_rng(0).standard_normal((6, 3))
    x[row, 1] = -1e80
    with pytest.raises(errors.InvalidFeatures, match=r"largest entry of 1e\+80"):
        check_scale(Features(x, np.arange(6) % 2))


def test_scales_that_float64_can_serve_are_taken():
    x = np.random.default_rng(0).standard_normal((6, 3))
    for accepted in (
        1e-74 * x,
        1e74 * x,
        (1e-19 * x).astype(np.float32),
        (1e-6 * x).astype(np.float16),
        np.c_[x, 1e-170 * x],  # columns may be small beside others, and rows
        np.r_[x, 1e-300 * x],
        np.r_[1e-300 * x, x],
        0 * x,
    ):
        check_scale(Features(accepted, np.arange(len(accepted)) % 2))


@pytest.mark.parametrize("scale", [1e-74, 1e-30, 1e30, 1e73])
@pytest.mark.parametrize("relative", [1e-2, 1.0])
def test_fits_at_the_ends_of_the_scale_are_those_in_the_middle(scale, relative):
    """L depends on XW alone but for λ: x s and λ s² have the weights W/s."""
    x = np.random.default_rng(1).standard_normal((8, 3))
    targets = np.eye(2)[np.arange(8) % 2]
    decay = relative * scale**2
    if not 1e-100 <= decay <= 1e100:
        decay = min(max(decay, 1e-100), 1e100)
    found = SoftmaxHead(decay, max_passes=300).fit(scale * x, targets)
    relative = decay / scale / scale
    certificate = found.certificate
    assert certificate.relative_gap <= 1e-8
    assert 0 < certificate.weights_bound < np.inf
    if 1e-3 < relative < 1e3:
        best = testing.dense_newton_head(x, targets, relative)
        off = np.linalg.norm(scale * found.weights - best)
        assert off <= scale * certificate.weights_bound * (1 + 1e-9) + 1e-13


@pytest.mark.parametrize("weights", [None, 1.0 + np.arange(8)])
def test_targets_almost_uniform_are_no_success(weights):
    """Gradients whose squares underflow: W = 0 is not near the optimum, and no one says so."""
    x = np.random.default_rng(1).standard_normal((8, 3))
    signs = np.array([[0.5, -0.5], [-0.5, 0.5]])[np.arange(8) % 2]
    head = SoftmaxHead(1e-2, sample_weight=weights)
    assert head.fit(x, Targets(0 * signs)).stats.converged
    with pytest.warns(errors.NotConvergedWarning, match="floor"):
        found = head.fit(x, Targets(1e-200 * signs))
    assert found.certificate.start_gradient_norm > 0
    assert found.certificate.relative_gap == 1.0
    assert head.fit(x, Targets(1e-100 * signs)).certificate.relative_gap <= 1e-8


def test_certificates_of_huge_and_tiny_numbers_stay_numbers():
    big = Certificate(1e200, 1e190, 1e-160, math.inf, 1e-100, 1.0)
    assert big.relative_gap == np.inf
    assert big.duality_gap == np.inf
    assert big.weights_bound == pytest.approx(1e300)
    small = Certificate(1e-200, 0.0, 1e-180, math.inf, 1e-100, 1.0)
    assert small.relative_gap == pytest.approx(1e-40)
    assert small.duality_gap == pytest.approx(5e-301)
