"""Rows and targets at the ends of float64: what overflows, what devices flush to 0, what ties."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab.comparison import certify_predictions
from gramlab.errors import InvalidFeatures, InvalidSetting, InvalidTargets
from gramlab.heads.closed_form import RidgeHead


def clusters(n: int, k: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    return 3 * rng.standard_normal((k, 4))[labels] + 0.3 * rng.standard_normal((n, 4)), labels


X, Y = clusters(60, 2)
SURE = gramlab.SoftLabelLogisticRegression(weight_decay=1e-8).fit(X, Y)
FIT = gramlab.SoftmaxHead(1e-2, tolerance=1e-16).fit(gramlab.Features(X, Y), gramlab.one_hot(Y, 2))


@examples(60)
@given(st.lists(st.floats(-1.7e308, 1.7e308), min_size=4, max_size=4))
def test_rows_whose_logits_overflow_are_never_certified_wrong(entries):
    row = np.array([entries])
    truth = [
        sum(Fraction(a) * Fraction(b) for a, b in zip(entries, column, strict=True))
        for column in SURE.coef_.tolist()
    ]
    if SURE.certified(row)[0]:
        assert SURE.predict(row)[0] == int(truth[1] > truth[0])
    with np.errstate(all="ignore"):
        known = np.isfinite(row @ SURE.coef_.T).all()
    if not known:
        with pytest.raises(InvalidFeatures, match="logits to stay in float64's range, got"):
            SURE.predict_proba(row)


def test_a_partial_sum_that_overflows_decides_nothing():
    # The sum of both products is finite; on its way a partial one need not be.
    row = np.array([[1.7e308, 1.7e308, -1.7e308, -1.7e308]])
    rows = gramlab.Features(np.vstack([row, -row, X]), np.r_[0, 1, Y], n_classes=2)
    with np.errstate(all="ignore"):
        bounds = FIT.certificate.logit_bound(rows.x)
        assert np.isinf(bounds[:2]).all()
        assert np.isfinite(bounds[2:]).all()
        _, decided = certify_predictions(FIT, rows, rows.labels)
    assert not decided[:2].any()
    assert decided[2:].mean() > 0.9
    with pytest.raises(InvalidFeatures, match="logits to stay"):
        FIT.predict(1e308 * np.sign(FIT.weights[:, :1]).T * np.ones((1, 4)))


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e-41), (np.float64, 1e-308)])
@pytest.mark.parametrize("n", [60, 3000])
def test_rows_that_a_device_flushes_to_zero_keep_their_class(dtype, scale, n):
    x, labels = clusters(n, 3)
    x[:12] *= scale
    features = gramlab.Features(x.astype(dtype), labels, n_classes=3)
    targets = gramlab.one_hot(labels, 3)
    linear = gramlab.distill(gramlab.LinearizedHead(1e-3), features, targets, 1)
    exact = gramlab.distill(gramlab.SoftmaxHead(1e-3, tolerance=1e-20), features, targets, 1)
    logits = features.x[:12].astype(float) @ exact[0].weights
    assert np.array_equal(exact[0].labels[:12], logits.argmax(axis=1))
    assert np.array_equal(exact[0].predict(features.x[:12]), logits.argmax(axis=1))
    found = gramlab.compare(linear, exact, truth=labels)[0]
    assert found.certified_disagreement <= 1.0 - found.argmax_agreement
    _, decided = certify_predictions(exact[0], features, labels)
    assert decided[:12].any() or scale < 1e-300  # there bounds are of the rows' own size
    right = labels[:12] == logits.argmax(axis=1)
    assert ((exact[0].margins(labels)[:12] > 0) == right)[decided[:12]].all()


@pytest.mark.parametrize("scale", [1e-18, 1e-200])
def test_new_rows_so_small_that_probabilities_tie_are_predicted_by_their_logits(scale):
    assert np.array_equal(FIT.predict(scale * X), FIT.predict(X))
    assert (FIT.predict_proba(scale * X) == 0.5).any()


@pytest.mark.parametrize("tau", [1e306, 1e308])
def test_targets_whose_gradient_a_device_flushes_are_no_success(tau):
    x, labels = clusters(30, 3)
    with pytest.warns(gramlab.errors.NotConvergedWarning, match="float64"):
        rounds = gramlab.distill(
            gramlab.SoftmaxHead(1e-2), x, gramlab.one_hot(labels, 3), 2, temperature=tau
        )
    assert (rounds[1].stats.result, rounds[1].certificate.relative_gap) == ("float64 floor", 1.0)
    uniform = gramlab.SoftmaxHead(1e-2).fit(x, np.full((30, 3), 1 / 3))
    assert uniform.stats.result == "converged"


@pytest.mark.parametrize("tau", [1e160, 1e300])
def test_a_start_worse_than_none_is_not_used_by_mapped_features_either(tau, tmp_path):
    x, labels = clusters(30, 3)
    x[0] *= 1e5
    gramlab.save_features(gramlab.Features(x, labels, n_classes=3), tmp_path / "x.safetensors")
    mapped = gramlab.open_features(tmp_path / "x.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gramlab.errors.NotConvergedWarning)
        student = gramlab.distill(
            gramlab.SoftmaxHead(1e-2), mapped, gramlab.one_hot(labels, 3), 2, temperature=tau
        )[1]
    assert student.certificate.relative_gap <= 1.0
    assert student.stats.passes < 50


def test_what_cannot_be_certified_or_fitted_is_refused_in_one_line():
    with pytest.raises(InvalidSetting, match=r"weights must have shape \(d, K\) = \(4, 2\), got"):
        FIT.certify(np.ones((3, 2)))
    with pytest.raises(InvalidFeatures, match="weights must be finite"):
        FIT.certify(np.full((4, 2), np.nan))
    for head in (gramlab.SoftmaxHead(1.0), gramlab.LinearizedHead(1.0), RidgeHead(1.0)):
        with pytest.raises(InvalidTargets, match="at least 2 classes"):
            head.fit(gramlab.Features(X, Y), np.ones((60, 1)))
    with pytest.raises(InvalidTargets, match="targets"):
        gramlab.SoftmaxHead(1.0).fit(X, None)


WEIGHTS = st.one_of(st.sampled_from([0.0, 1e-300, 1.0, 1e300]), st.floats(1e-12, 1e12))


@examples(40)
@given(
    n=st.integers(4, 12),
    k=st.integers(2, 3),
    origin=st.floats(1e9, 1e10),
    step=st.floats(0.01, 1.0),
    decay=st.floats(-26.0, -20.0),
    weights=st.lists(WEIGHTS, min_size=12, max_size=12),
    seed=st.integers(0, 2**32),
)
def test_rows_that_differ_by_less_than_they_are_large_are_no_arithmetic_fault(
    n, k, origin, step, decay, weights, seed
):
    """The optimum lies at logits far out, or where float64 cannot tell: not at a division by 0."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    x = origin + step * rng.integers(0, 4, (n, 2))
    given_weights = np.array(weights[:n])
    given_weights[:k] = 1.0
    features, targets = gramlab.Features(x, labels), gramlab.one_hot(labels, k)
    more: dict[str, Any] = {"sample_weight": given_weights}
    with np.errstate(divide="raise", invalid="raise"), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", gramlab.NotConvergedWarning)
        for head in (
            gramlab.SoftmaxHead(10.0**decay, max_passes=200, **more),
            gramlab.LinearizedHead(10.0**decay, **more),
            RidgeHead(10.0**decay, **more),
        ):
            for fit in gramlab.distill(head, features, targets, 2, mixing=0.7):
                assert np.isfinite(fit.weights).all()
                assert np.isfinite(fit.probabilities).all()
        start = gramlab.SoftmaxHead(10.0**decay, max_passes=50, **more).fit(features, targets)
        rolled = gramlab.one_hot((labels + 1) % k, k)
        again = gramlab.SoftmaxHead(10.0**decay, max_passes=50, **more).fit(
            features, rolled, start=start.weights
        )
        assert again.certificate.newton_decrement >= 0.0
