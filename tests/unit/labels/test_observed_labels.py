"""Labels that somebody gave beside true ones: the matrix and the rate that were realized."""

from __future__ import annotations

import numpy as np
import pytest

from gramlab import corrupt_labels, corruption_matrix, observed_labels
from gramlab.errors import InvalidLabels, InvalidSetting
from gramlab.labels import check_corruption_matrix


def test_the_matrix_is_the_share_of_each_given_label_among_the_rows_of_a_class():
    drawn = corrupt_labels(np.arange(200) % 4, corruption_matrix("asymmetric", 4, 0.4), seed=3)
    found = observed_labels(drawn.labels.tolist(), drawn.true_labels, 5)
    slow = np.eye(5)
    for k in range(4):
        own = drawn.labels[drawn.true_labels == k]
        slow[k] = [(own == j).mean() for j in range(5)]
    assert np.array_equal(found.matrix, slow)
    assert not np.array_equal(found.matrix, slow.T), "columns are given labels"
    assert found.matrix[4].tolist() == [0, 0, 0, 0, 1], "a class without rows keeps its label"
    check_corruption_matrix(found.matrix)
    assert found.seed is None
    assert found.realized_rate == drawn.realized_rate
    assert np.array_equal(found.counts[:4, :4], drawn.counts)
    assert np.array_equal(found.flipped, drawn.flipped)


def test_what_it_holds_is_its_own():
    given, truth = np.array([0, 1, 1]), np.array([0, 1, 0])
    found = observed_labels(given, truth, 2)
    given[:] = truth[:] = 0
    assert (found.labels.tolist(), found.true_labels.tolist()) == ([0, 1, 1], [0, 1, 0])
    with pytest.raises(ValueError, match="read-only"):
        found.labels[0] = 1


@pytest.mark.parametrize(
    ("given", "truth", "k", "error", "words"),
    [
        ([0, 1], [0, 1, 1], 2, InvalidLabels, "labels of the same rows, got 2 and 3"),
        ([0, 2], [0, 1], 2, InvalidLabels, "given must be whole numbers in 0 .. 1, got 2 at row 1"),
        ([0, 1], [-1, 1], 2, InvalidLabels, "truth must be whole numbers in 0 .. 1, got -1"),
        ([0, 0], [0, 0], 1, InvalidSetting, "n_classes must be an integer of at least 2"),
    ],
)
def test_what_is_refused(given, truth, k, error, words):
    with pytest.raises(error) as refused:
        observed_labels(given, truth, k)
    assert words in str(refused.value)
