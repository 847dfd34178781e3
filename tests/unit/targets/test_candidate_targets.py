"""Targets of candidate labels, against the mean loss over candidates."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import problem
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab.errors import InvalidLabels, InvalidSetting
from gramlab.estimator import SoftLabelLogisticRegression
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.softmax import SoftmaxHead
from gramlab.targets import candidate_targets, one_hot

sets = st.lists(st.sets(st.integers(0, 4), min_size=1).map(sorted), min_size=1, max_size=8)


@given(sets)
def test_each_candidate_has_the_same_share(rows):
    found = candidate_targets(rows, 5)
    for row, labels in zip(found, rows, strict=True):
        assert row.tolist() == [1 / len(labels) if k in labels else 0.0 for k in range(5)]
    assert np.array_equal(candidate_targets(found > 0), found)
    assert np.array_equal(candidate_targets(found > 0, 5), found)


def test_one_candidate_each_is_one_hot():
    labels = np.array([2, 0, 1, 1])
    assert np.array_equal(candidate_targets(labels[:, None], 3), one_hot(labels, 3))


def test_the_loss_is_the_mean_over_candidates():
    features, _ = problem(12, 4, 3, seed=0)
    rows = [[i % 3, (i + 1) % 3][: 1 + i % 2] for i in range(12)]
    fit = SoftmaxHead(0.1).fit(features, candidate_targets(rows, 3))
    losses = [
        np.mean([-np.log(p[k]) for k in labels])
        for p, labels in zip(fit.probabilities, rows, strict=True)
    ]
    expected = np.mean(losses) + 0.05 * np.vdot(fit.weights, fit.weights)
    found = SoftmaxObjective(features, candidate_targets(rows, 3) - 1 / 3, 0.1).value(fit.weights)
    assert found == pytest.approx(expected, rel=1e-13)
    # Planted: the sum over candidates, which weighs rows by how many they have.
    sums = [loss * len(labels) for loss, labels in zip(losses, rows, strict=True)]
    assert abs(np.mean(sums) - np.mean(losses)) > 0.1


def test_classifiers_take_them_and_their_booleans():
    features, _ = problem(30, 4, 3, seed=0)
    targets = gramlab.candidate_targets(
        [[i % 3, (i + i % 2) % 3][: 1 + i % 2] for i in range(30)], 3
    )
    soft = SoftLabelLogisticRegression(weight_decay=0.1).fit(features.x, targets)
    marked = SoftLabelLogisticRegression(weight_decay=0.1, normalize=True)
    assert np.array_equal(marked.fit(features.x, targets > 0).coef_, soft.coef_)


@pytest.mark.parametrize(
    ("candidates", "n_classes", "error", "match"),
    [
        ([[0], []], 3, InvalidLabels, "got none in row 1"),
        (np.eye(3, 4, dtype=bool)[:, 1:], None, InvalidLabels, "got none in row 0"),
        ([[0], [1, 3]], 3, InvalidLabels, r"candidates of row 1 must be whole numbers in 0 \.\. 2"),
        ([[0], [1, 1]], 3, InvalidLabels, r"differ in each row, got \[1, 1\] in row 1"),
        (np.eye(3, dtype=int), 3, InvalidLabels, r"astype\(bool\)"),
        ([[0], [1]], None, InvalidSetting, "n_classes must be given"),
        (np.eye(3, dtype=bool), 4, InvalidSetting, "number of columns of candidates, 3, got 4"),
        (np.ones(3, dtype=bool), None, InvalidLabels, r"shape \(N, K\), got shape \(3,\)"),
        ([[True, False]], 2, InvalidLabels, "got booleans in row 0; pass booleans as one array"),
        (7, 3, InvalidLabels, "got int"),
        ([0, 1, 2], 3, InvalidLabels, r"candidates of row 0 must be 1-D"),
    ],
)
def test_what_is_refused(candidates, n_classes, error, match):
    with pytest.raises(error, match=match):
        candidate_targets(candidates, n_classes)
