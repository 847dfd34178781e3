"""Copies of rows: held out together, and no evidence for one another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

import gramlab
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.runner import Run, folds
from gramlab.transition import clopper_pearson, estimate_transition, fit_mixture, intervals

QUICK = {"rounds": 2}


@pytest.fixture(scope="module")
def thrice():
    """300 digits with 30 % of their labels wrong, each stored three times with its label."""
    digits, rng = gramlab.load_features("digits"), np.random.default_rng(0)
    x, true = digits.x[:300], digits.labels[:300]
    given = np.where(rng.random(300) < 0.3, (true + rng.integers(1, 10, 300)) % 10, true)
    wrong = float((given != true).mean())
    features = Features(np.repeat(x, 3, axis=0), np.repeat(given, 3), n_classes=10)
    return features.prepared(center=True, unit_norm=True), wrong


def test_rows_stored_three_times_do_not_vote_for_themselves(thrice):
    features, wrong = thrice
    found = estimate_transition(features, features.labels, **QUICK).noise_rate
    assert found.low <= wrong <= found.high
    assert abs(found.value - wrong) < 0.08
    # The planted fault: copies in several folds, and each of them counted as evidence.
    alone = estimate_transition(features, features.labels, groups=np.arange(900), **QUICK)
    assert alone.noise_rate.high < wrong


def test_near_copies_and_groups_by_name_do_as_well(thrice):
    features, wrong = thrice
    rows = features.x.copy()
    rows[1::3] = rows[1::3].astype(np.float32)
    near = estimate_transition(rows, features.labels, **QUICK).noise_rate
    assert near.low <= wrong <= near.high
    exact = estimate_transition(rows, features.labels, copy_radius=0.0, **QUICK).noise_rate
    assert exact.value < near.value - 0.1
    names = np.repeat([f"image {i}" for i in range(300)], 3)
    named = estimate_transition(rows, features.labels, groups=names, **QUICK).noise_rate
    assert named.low <= wrong <= named.high


def test_copies_add_nothing_to_the_evidence():
    """Rows stored three times make the intervals of the rows themselves."""
    rng = np.random.default_rng(1)
    given, matrix = np.repeat([0, 1], 150), np.array([[0.8, 0.2], [0.2, 0.8]])
    logits = rng.standard_normal((300, 2)) + 12.0 * np.eye(2)[given]  # so sure that all rows count
    given = np.where(rng.random(300) < 0.2, 1 - given, given)
    p = softmax(logits, axis=1)
    once = intervals(p, given, matrix, 0.95)
    three = np.repeat(np.arange(300), 3)
    thrice = intervals(p[three], given[three], matrix, 0.95, labelled=three)
    assert np.array_equal(thrice.rows, 3 * once.rows)
    for name in ("lower", "upper", "trials"):
        rounding = 1e3 * np.finfo(np.float64).eps  # of the sums over rows, and of beta quantiles
        assert np.allclose(getattr(thrice, name), getattr(once, name), rtol=rounding, atol=rounding)
    counted = intervals(p[three], given[three], matrix, 0.95)
    assert ((counted.upper - counted.lower) < 0.8 * (once.upper - once.lower)).all()


def test_the_design_effect_is_that_of_unequal_groups():
    p = softmax(np.tile([20.0, 0.0], (10, 1)), axis=1)  # all are surely of class 0
    given = np.array([0] * 8 + [1] * 2)
    labelled = np.array([0, 0, 0, 0, 4, 4, 6, 7, 8, 9])
    matrix = np.array([[0.8, 0.2], [0.5, 0.5]])
    found = intervals(p, given, matrix, 0.9, labelled=labelled)
    trials = 10**2 / (4**2 + 2**2 + 1 + 1 + 1 + 1)
    assert found.rows.tolist() == [10, 0]
    assert found.trials[0] == pytest.approx(trials, rel=1e-15)
    low, high = clopper_pearson(0.2 * trials, trials, 0.9)
    assert found.lower[0, 1] <= low < high <= found.upper[0, 1]
    assert found.upper[0, 1] == pytest.approx(float(high), abs=1e-6)  # others are of order e^-20


def test_rows_without_copies_give_the_same_bits(thrice):
    features = Features(thrice[0].x[::3], thrice[0].labels[::3], n_classes=10)
    run = Run(features.as_float64(), 10, folds(features.labels, 5, 0), features.labels)
    plain = estimate_transition(features, features.labels, folds=run, **QUICK).as_dict()
    for how in ({}, {"groups": np.arange(300)}, {"copy_radius": 0.0}):
        assert estimate_transition(features, features.labels, **how, **QUICK).as_dict() == plain


def test_groups_that_do_not_fit_are_refused(thrice):
    features, _ = thrice
    given = features.labels
    with pytest.raises(InvalidSetting, match="one entry per row, got 5 for 900"):
        estimate_transition(features, given, groups=range(5))
    with pytest.raises(InvalidSetting, match="at most 3, the number of groups"):
        estimate_transition(features, given, groups=np.arange(900) % 3)
    with pytest.raises(InvalidSetting, match="of label 4 in one group"):
        estimate_transition(features, given, groups=np.where(given == 4, 999, np.arange(900)))
    run = Run(features.as_float64(), 10, folds(given, 5), given)
    with pytest.raises(InvalidSetting, match="groups must be left out"):
        estimate_transition(features, given, folds=run, groups=np.arange(900))


def test_the_noise_of_a_row_is_predicted_from_other_groups():
    """The mixture's own parts hold no row that another of them is fitted to."""
    rng = np.random.default_rng(2)
    logits, given = rng.standard_normal((60, 3)), rng.integers(0, 3, 60)
    once = fit_mixture(logits, given)
    assert once.log_likelihood == fit_mixture(logits, given, group=np.arange(60)).log_likelihood
    three = np.repeat(np.arange(60), 3)
    together = fit_mixture(logits[three], given[three], group=three)
    scattered = fit_mixture(logits[three], given[three])
    # Labels that logits know nothing of are predicted better by those who have seen copies of them.
    assert together.log_likelihood == pytest.approx(once.log_likelihood, abs=0.02)
    assert scattered.log_likelihood > together.log_likelihood
