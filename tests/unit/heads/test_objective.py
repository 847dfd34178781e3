"""The objective and its certificates: identities, bounds that hold and are near-tight."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gramlab import testing
from gramlab.heads.referee import (
    SoftmaxObjective,
    softmax,
    softmax_deviations,
    softmax_remainder,
)
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import UNIT_ROUNDOFF, gamma

logit_rows = arrays(np.float64, (4, 5), elements=st.floats(-30, 30))


def objective_of(n, d, k, seed, weight_decay, scale=1.0):
    return objective_on(problem(n, d, k, seed=seed, scale=scale), weight_decay)


def objective_on(made, weight_decay):
    (features, targets), k = made, made[1].shape[1]
    return SoftmaxObjective(features, targets - 1 / k, weight_decay), features.x, targets


@given(logit_rows)
def test_softmax_deviations_are_the_softmax(logits):
    assert np.abs(softmax_deviations(logits) + 0.2 - softmax(logits)).max() <= gamma(40)
    assert np.abs(softmax_deviations(logits).sum(axis=1)).max() <= gamma(40)


def test_small_logits_keep_their_digits():
    v = 1e-17 * np.array([[1.0, -2.0, 4.0]])
    exact = (v - v.mean()) / 3
    assert np.abs(softmax_deviations(v) - exact).max() <= 1e-14 * np.abs(exact).max()
    # The naive formula has lost everything.
    assert np.abs(softmax(v) - 1 / 3).max() < 1e-17 * 6


@given(logit_rows)
def test_remainder_is_bounded_by_osc_squared_over_four(logits):
    osc = np.ptp(logits, axis=1)
    left = np.abs(softmax_remainder(logits)).sum(axis=1)
    assert np.all(left <= osc**2 / 4 + gamma(200) * (1 + osc))


def test_remainder_bound_cannot_be_much_better():
    """Slack on a fine grid of two-level logits; a three times smaller constant is refuted.

    For small two-level logits the 1-norm is osc² p(1 − p)|1 − 2p| with p the share of the upper
    level, at most osc²/(6√3) = 0.385 osc²/4.
    """
    v = np.zeros((400, 5))
    v[:, 0] = np.linspace(0.01, 6, 400)
    ratio = np.abs(softmax_remainder(v)).sum(axis=1) / (np.ptp(v, axis=1) ** 2 / 4)
    assert ratio.max() < 1
    assert ratio.max() > 1 / 3


@examples(25)
@given(
    testing.problems(11, 4, 3),
    st.floats(-4, 1),
    testing.matrices(4, 3, largest=10.0),
    testing.matrices(4, 3),
)
def test_value_gradient_and_hessian_equal_their_twins(made, log_decay, w, d):
    lam = 10**log_decay
    objective, x, targets = objective_on(made, lam)
    scale = 1 + np.abs(x).max() ** 2 * (1 + np.abs(w).max())
    close = 1000 * UNIT_ROUNDOFF * scale
    assert abs(objective.value(w) - testing.dense_objective(x, targets, lam, w)) <= close
    assert np.abs(objective.gradient(w) - testing.dense_gradient(x, targets, lam, w)).max() <= close
    product = objective.hessian_product(softmax(x @ w), d)
    dense = (testing.dense_hessian(x, lam, w) @ d.ravel()).reshape(d.shape)
    assert np.abs(product - dense).max() <= close * 10


@examples(25)
@given(testing.problems(13, 4, 3), st.floats(-3, 1), testing.matrices(4, 3), testing.targets(13, 3))
def test_gap_is_the_squared_gradient_and_duality_is_weak(made, log_decay, w, soft):
    """gap = ‖g‖²/(2λ) for every W; dual(Q) ≤ L(W) for every Q and W."""
    objective, x, _ = objective_on(made, 10**log_decay)
    value = objective.value(w)
    gap = value - objective.dual(softmax(x @ w))
    found = objective.certificate(w).duality_gap
    noise = 1e-12 * (abs(value) + found)
    assert gap == pytest.approx(found, rel=1e-10, abs=noise)
    if found > 100 * noise:  # planted: a lost factor 2 is seen
        assert gap != pytest.approx(2 * found, rel=0.1)
    for q in (soft, np.eye(3)[soft.argmax(axis=1)]):
        assert objective.dual(q) <= value + noise


@pytest.mark.parametrize("weight_decay", [1e-3, 1e-2, 1.0])
@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-6])
def test_bounds_hold_and_the_local_one_is_near_tight(weight_decay, distance):
    objective, x, targets = objective_of(30, 4, 3, 7, weight_decay)
    best = testing.dense_newton_head(x, targets, weight_decay)
    rng = np.random.default_rng(0)
    for _ in range(5):
        step = rng.standard_normal(best.shape)
        step -= step.mean(axis=1, keepdims=True)
        w = best + distance * step / np.linalg.norm(step)
        found = objective.certificate(w)
        assert distance <= found.global_bound * (1 + 1e-9)
        assert distance <= found.local_bound * (1 + 1e-9)
        moved = np.abs(np.ptp(x @ (w - best), axis=1))
        assert np.all(moved <= found.logit_bound(x))
        hessian = testing.dense_hessian(x, weight_decay, w)
        g = objective.gradient(w).ravel()
        decrement = np.sqrt(g @ np.linalg.solve(hessian, g))
        assert decrement <= found.newton_decrement * (1 + 1e-9)
        useful = np.sqrt(weight_decay / 2) / found.max_row_norm  # cν < 1
        if decrement < useful / 2:
            assert found.newton_decrement <= 1.11 * decrement + 1e-9
        elif decrement >= useful:
            assert found.local_bound == np.inf
        if distance < 1e-2:
            # In the norm of the Hessian the bound is within a few per cent of the truth.
            h_norm = np.sqrt((w - best).ravel() @ hessian @ (w - best).ravel())
            assert found.local_bound * np.sqrt(weight_decay) <= 1.25 * h_norm
    # Planted: half of each bound is violated somewhere (they are not vacuous).
    direction = np.linalg.eigh(testing.dense_hessian(x, weight_decay, best))[1][:, 0].reshape(
        best.shape
    )
    found = objective.certificate(best + 1e-4 * direction)
    assert found.global_bound / 2 < 1e-4
    assert found.local_bound / 2 < 1e-4


def test_local_bound_formula_at_its_edges():
    base = Certificate(
        gradient_norm=0.0,
        gradient_rounding=0.0,
        start_gradient_norm=1.0,
        decrement=0.0,
        weight_decay=0.5,
        max_row_norm=1.0,
    )
    assert base.local_bound == 0.0
    assert base.relative_gap == 0.0
    edge = replace(base, decrement=np.sqrt(0.5) / np.sqrt(2))  # cν = 1
    assert edge.local_bound == np.inf
    small = replace(base, decrement=1e-12)
    assert small.local_bound == pytest.approx(1e-12 / np.sqrt(0.5), rel=1e-10)
    zero = replace(base, start_gradient_norm=0.0)
    assert zero.relative_gap == 0.0
    assert replace(zero, gradient_norm=1.0).relative_gap == np.inf
    assert replace(base, gradient_norm=1.0, gradient_rounding=1.0).at_rounding_floor


@pytest.mark.parametrize(("n", "d", "k"), [(20, 3, 3), (50, 2, 2), (5, 30, 4)])
def test_rounding_bound_covers_the_error_of_the_gradient(n, d, k):
    """Against exact rational arithmetic (the exponential to 60 digits)."""
    objective, x, targets = objective_of(n, d, k, seed=n, weight_decay=1e-3, scale=5.0)
    w = np.random.default_rng(1).standard_normal((d, k))
    found = objective.gradient(w)
    exact = _rational_gradient(x, targets, 1e-3, w)
    error = np.sqrt(
        sum(float(Fraction(float(a)) - b) ** 2 for a, b in zip(found.flat, exact, strict=True))
    )
    bound = objective.certificate(w).gradient_rounding
    assert 0 < error <= bound
    # It is a worst-case bound over N-fold sums, yet not an idle one.
    assert bound <= 1e4 * error


def _rational_gradient(x, targets, weight_decay, weights):
    def exp(value: Fraction) -> Fraction:
        """exp by repeated squaring of a Taylor sum, error far below 1e-40."""
        halvings = max(0, int(abs(value)).bit_length() + 4)
        small = (value / 2**halvings).limit_denominator(10**60)
        total = term = Fraction(1)
        for i in range(1, 30):
            term = term * small / i
            total += term
        for _ in range(halvings):
            total = (total * total).limit_denominator(10**60)
        return total

    fx = [[Fraction(float(v)) for v in row] for row in x]
    fw = [[Fraction(float(v)) for v in row] for row in weights]
    n, d, k = len(x), len(fw), len(fw[0])
    out = [[Fraction(float(weight_decay)) * fw[a][b] for b in range(k)] for a in range(d)]
    for i, row in enumerate(fx):
        logits = [sum(row[a] * fw[a][b] for a in range(d)) for b in range(k)]
        parts = [exp(v - max(logits)) for v in logits]
        total = sum(parts)
        for b in range(k):
            difference = parts[b] / total - Fraction(float(targets[i, b]))
            for a in range(d):
                out[a][b] += row[a] * difference / n
    return [value for row in out for value in row]
