"""What the quickstart says of its picture of the digits."""

from __future__ import annotations

import numpy as np
import pytest

import gramlab
from gramlab.cli.check import DEMONSTRATION


@pytest.fixture(scope="module")
def curves():
    """What the picture draws, of the theory and of the exact heads: (rounds, three curves)."""
    features = gramlab.load_features("digits").centered().unit_norm()
    k, decay, rounds = features.n_classes, DEMONSTRATION["weight_decay"], DEMONSTRATION["rounds"]
    noise = gramlab.corruption_matrix("symmetric", k, DEMONSTRATION["rate"])
    given = gramlab.corrupt_labels(features.labels, noise, seed=0).labels
    targets = gramlab.one_hot(given, k)

    def of(head):
        rounds_of_head = gramlab.distill(head(decay), features, targets, rounds)
        found = gramlab.dynamics(rounds_of_head, given, features.labels)
        return np.array([(one.clean_true, one.flipped_true, one.flipped_given) for one in found])

    return of(gramlab.LinearizedHead), of(gramlab.SoftmaxHead)


def test_what_the_page_says_of_the_picture_holds_for_all_of_its_curves(curves):
    """By far more than the heads are from their optima, which is 1e-4 or less."""
    theory, exact = curves
    for clean, flipped, given in (theory.T, exact.T):
        apart = clean - flipped
        assert np.all(apart > 0)
        assert np.all(np.diff(apart) < 0), "clean and mislabelled rows come together"
        assert np.all(flipped > 2 * given), "more than twice, from the teacher on"
    assert np.all(exact[:, :2] > theory[:, :2] + 0.01), "true labels get more than in theory"
    assert np.all(exact[:, 2] < theory[:, 2] - 1e-3), "wrong ones less"
    apart = exact[:, 0] - exact[:, 1]
    assert (round(apart[0], 3), round(apart[-1], 3)) == (0.053, 0.015)
    # Planted: exchanged, the two heads do not pass.
    assert not np.all(theory[:, :2] > exact[:, :2] + 0.01)
