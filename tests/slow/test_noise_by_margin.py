"""How often noise that depends on the rows is raised, where it does and where it does not."""

import numpy as np
import pytest
from boundary_noise import boundary_labels

import gramlab
from gramlab.labels import corrupt_labels
from gramlab.transition import estimate_transition


@pytest.fixture(scope="module")
def rows():
    """Digits as the commands prepare them, with a constant column."""
    digits = gramlab.load_features("digits").centered().unit_norm()
    return np.c_[digits.x, np.ones(len(digits.x))], digits.x, digits.labels


def found(x, given, truth, seed):
    estimate = estimate_transition(x, given, n_classes=10, seed=seed)
    rate = float((given != truth).mean())
    low, high = estimate.noise_rate.low, estimate.noise_rate.high
    return estimate.instance_dependent, low <= rate <= high, high - low


def test_boundary_noise_is_raised_and_covered(rows):
    x, plain, y = rows
    draws = [
        found(x, boundary_labels(plain, y, rate, seed), y, seed)
        for rate in (0.15, 0.2, 0.3)
        for seed in range(10)
    ]
    raised, covered, _ = np.transpose(draws)
    assert raised.mean() >= 0.9
    assert covered.mean() >= 0.95


def test_noise_by_class_is_not_raised_and_its_intervals_are_narrow(rows):
    x, _, y = rows
    rng = np.random.default_rng(0)
    kinds = ("symmetric", 0.3), ("asymmetric", 0.3), ("symmetric", 0.1), None
    draws = []
    for seed in range(100):
        if kinds[seed % 4] is None:  # each class by a law of its own
            wrong = rng.uniform(0.0, 0.6, 10)
            spread = [rate * rng.dirichlet(np.full(9, 0.3)) for rate in wrong]
            matrix = np.array([np.insert(row, k, 1 - row.sum()) for k, row in enumerate(spread)])
        else:
            matrix = gramlab.corruption_matrix(kinds[seed % 4][0], 10, kinds[seed % 4][1])
        given = corrupt_labels(y, matrix, seed=seed).labels
        draws.append(found(x, given, y, seed))
    raised, covered, width = np.transpose(draws)
    assert raised.mean() <= 0.05
    assert covered.mean() >= 0.95
    assert np.median(width) <= 0.12
