"""Filters: dense twins, limits, recursion = power, averaging weights."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import problem
from hypothesis import given
from hypothesis import strategies as st

from gramlab import testing
from gramlab.errors import InvalidSetting
from gramlab.numerics.rounding import UNIT_ROUNDOFF
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import (
    apply_filter,
    class_averaging_weights,
    filter_over_eigenvalue,
    filter_power,
    label_averaging_weights,
    linear_mu,
)

positive = st.floats(1e-8, 1e8)


@given(s=positive, mu=positive, t=st.integers(1, 30))
def test_power_is_the_recursion(s, mu, t):
    one = filter_power(np.array([s]), mu)
    assert filter_power(np.array([s]), mu, t) == pytest.approx(
        np.prod(np.full(t, one[0])), rel=8 * t * UNIT_ROUNDOFF
    )
    assert filter_over_eigenvalue(np.array([s]), mu, t) * s == pytest.approx(
        filter_power(np.array([s]), mu, t), rel=8 * t * UNIT_ROUNDOFF
    )


def test_limits():
    zero = np.zeros(2)
    assert np.array_equal(filter_power(zero, 0.3, 4), zero)
    assert np.array_equal(filter_over_eigenvalue(zero, 0.25, 1), [4.0, 4.0])
    assert np.array_equal(filter_over_eigenvalue(zero, 0.25, 2), zero)
    s = np.array([1e-3, 1.0, 1e3])
    assert np.all(filter_power(s, 1e-18, 5) > 1 - 1e-13)  # μ → 0: every label is kept
    assert np.all(filter_power(s, 1e18, 1) < 1e-14)  # μ → ∞: uniform predictions
    with pytest.raises(InvalidSetting, match="mu"):
        filter_power(s, 0.0)
    with pytest.raises(InvalidSetting, match="rounds"):
        filter_power(s, 1.0, 0)
    assert linear_mu(4, 2000, 1e-5) == pytest.approx(0.08, rel=4 * UNIT_ROUNDOFF)


@pytest.mark.parametrize(("n", "d"), [(30, 6), (6, 30)])
@pytest.mark.parametrize("t", [1, 2, 7])
def test_streamed_filter_equals_the_dense_one(n, d, t):
    features, targets = problem(n, d, 3, seed=t)
    spectrum = Spectrum.of(features)
    mu = 0.37
    dense = testing.dense_filter(features.x @ features.x.T, mu, t)
    condition = 1 + spectrum.eigenvalues[0] / mu
    tolerance = 20 * t * (n + d) * UNIT_ROUNDOFF * condition
    assert np.abs(apply_filter(spectrum, targets, mu, t) - dense @ targets).max() <= tolerance
    rows = label_averaging_weights(spectrum, [0, 3], mu, t)
    assert np.abs(rows - dense[[0, 3]]).max() <= tolerance
    own, by_class = class_averaging_weights(spectrum, features.labels, mu, t)
    assert np.abs(own - np.diag(dense)).max() <= tolerance
    for k in range(3):
        expected = dense[:, features.labels == k].sum(axis=1)
        assert np.abs(by_class[:, k] - expected).max() <= n * tolerance
    # Planted: one round more is another filter.
    assert np.abs(apply_filter(spectrum, targets, mu, t + 1) - dense @ targets).max() > 1e-3
