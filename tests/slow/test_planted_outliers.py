"""Rows of no class among digits: planted ones are listed, and of clean digits almost none."""

from __future__ import annotations

import numpy as np
import pytest

import gramlab
from gramlab.diagnosis.outliers import find_outliers
from gramlab.diagnosis.posterior import label_posterior, nearest_rows
from gramlab.runner import Run, folds
from gramlab.transition import estimate_transition

RATE = 0.2


def list_of(x, labels):
    """What ``diagnose`` does on its way to the list."""
    features = gramlab.Features(x, labels).prepared(center=True, unit_norm=True)
    k, given = features.n_classes, features.labels
    run = Run(features.as_float64(), k, folds(given, 5, 0), given)
    estimate = estimate_transition(features, given, folds=run)
    p = label_posterior(estimate, given, nearest_rows(features, 50)).held_out
    return find_outliers(p, estimate.probabilities, estimate.matrix, given, RATE)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_planted_outliers_are_found(noise):
    """Digits 0 to 7 with 14 % of 8s and 9s among them, labelled by chance."""
    digits = gramlab.load_features("digits")
    rng = np.random.default_rng(3)
    rows = np.flatnonzero(digits.labels < 8)
    other = rng.permutation(np.flatnonzero(digits.labels >= 8))[: round(len(rows) * 14 / 86)]
    given = digits.labels[rows]
    if noise:
        moved = (given + rng.integers(1, 8, len(rows))) % 8
        given = np.where(rng.random(len(rows)) < noise, moved, given)
    labels = np.concatenate([given, rng.integers(0, 8, len(other))])
    order = rng.permutation(len(labels))
    found = list_of(digits.x[np.concatenate([rows, other])][order], labels[order])
    outlier, listed = order >= len(rows), found.listed
    assert outlier[listed].mean() >= 1.0 - RATE
    assert listed[outlier].mean() >= 0.6
    assert found.false_discovery_rate <= RATE


def test_clean_digits_have_no_outliers():
    digits = gramlab.load_features("digits")
    assert len(list_of(digits.x, digits.labels)) <= 0.005 * digits.n_samples
