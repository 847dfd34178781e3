"""Noise that depends on the rows: raised, told, and left open by the interval of the noise rate."""

from itertools import pairwise

import numpy as np
import pytest
from boundary_noise import boundary_labels
from scipy.special import softmax
from scipy.stats import chi2

import gramlab
from gramlab.labels import corrupt_labels
from gramlab.transition import estimate_transition, margin_test

TWO_CLASSES = np.array([[0.9, 0.1], [0.2, 0.8]])


def drawn(seed: int, n: int = 4000, slope: float = 1.0):
    """p of two classes, true labels drawn from a law ``slope`` times as sure, given ones by C."""
    rng = np.random.default_rng(seed)
    logits = np.c_[rng.normal(0.0, 2.0, n), np.zeros(n)]
    true = (rng.random(n) > softmax(slope * logits, axis=1)[:, 0]).astype(int)
    given = corrupt_labels(true, TWO_CLASSES, seed=seed).labels
    return softmax(logits, axis=1), given


def test_the_table_is_that_of_a_count_by_hand():
    p, given = drawn(0, 600)
    found = margin_test(p, TWO_CLASSES, given)
    likeliest = p.argmax(axis=1)
    expected = np.array(
        [1.0 - row @ TWO_CLASSES[:, k] for row, k in zip(p, likeliest, strict=True)]
    )
    wrong = given != likeliest
    margin = np.abs(np.log(p[:, 0] / p[:, 1]))
    edges = np.r_[-np.inf, found.margin]
    statistic = total = 0.0
    for part, (low, high) in enumerate(pairwise(edges)):
        rows = (margin > low) & (margin <= high)
        variance = (expected * (1 - expected))[rows].sum()
        assert rows.sum() == found.rows[part]
        assert np.isclose(wrong[rows].mean(), found.observed[part])
        assert np.isclose(expected[rows].mean(), found.expected[part])
        statistic += (wrong[rows] - expected[rows]).sum() ** 2 / variance
        total += variance
    assert np.isclose(found.statistic, statistic)
    assert np.isclose(found.p_value, chi2.sf(statistic, len(found.rows) - 2))
    assert np.isclose(found.misfit, np.sqrt(max(statistic - len(found.rows) + 2, 0.0) / total))


def test_a_law_that_is_right_passes_and_one_that_is_wrong_does_not():
    passed = [margin_test(p, TWO_CLASSES, g).raised for p, g in map(drawn, range(20))]
    assert not any(passed)
    # Heads that take a coin's flip near the boundary for certain: too many disagree there.
    caught = []
    for seed in range(20):
        p, given = drawn(seed)
        near = np.abs(np.log(p[:, 0] / p[:, 1])) < 1.0
        given = np.where(near, 1 - p.argmax(axis=1), given)
        caught.append(margin_test(p, TWO_CLASSES, given).raised)
    assert all(caught)


def test_copies_are_one():
    p, given = drawn(3, 500)
    once = margin_test(p, TWO_CLASSES, given)
    copied = margin_test(
        np.repeat(p, 4, axis=0), TWO_CLASSES, np.repeat(given, 4), np.full(4 * len(given), 4.0)
    )
    assert copied.statistic == pytest.approx(once.statistic, rel=0.2)


@pytest.fixture(scope="module")
def digits():
    return gramlab.load_features("digits").centered().unit_norm()


def test_wrong_labels_near_the_boundary_are_told_and_the_interval_holds_their_rate(digits):
    given = boundary_labels(digits.x, digits.labels, 0.2, 0)
    found = estimate_transition(digits, given)
    assert found.instance_dependent
    assert "depends on the image" in found.sentence
    assert found.noise_rate.low <= 0.2 <= found.noise_rate.high
    plain = found.as_dict()
    assert plain["instance_dependent"] is True
    assert plain["margin_test"]["raised"] is True
    assert len(plain["margin_test"]["excess"]) == len(plain["margin_test"]["rows"])


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_noise_by_class_is_not_raised(digits, rate):
    matrix = gramlab.corruption_matrix("symmetric", 10, rate)
    drawn_labels = corrupt_labels(digits.labels, matrix, seed=1)
    found = estimate_transition(digits, drawn_labels.labels)
    assert not found.instance_dependent
    assert found.noise_rate.low <= drawn_labels.realized_rate <= found.noise_rate.high
    assert found.noise_rate.high - found.noise_rate.low < 0.15
    if rate == 0.0:
        assert "perhaps none" in found.sentence
    else:
        assert found.sentence.startswith("About")


def test_unequal_classes_without_an_intercept_are_no_noise():
    rng = np.random.default_rng(0)
    centres = 2.0 * rng.standard_normal((3, 6))
    y = np.repeat([0, 1, 2], (280, 15, 5))
    x = centres[y] + 0.7 * rng.standard_normal((300, 6))
    found = estimate_transition(gramlab.Features(x, y).centered().unit_norm(), y)
    assert found.noise_rate.low == 0.0
    assert found.noise_rate.value < 0.02
    assert found.offsets[0] - found.offsets[2] > 2.0  # without them the rarest class seems frequent
    assert found.prior[2] < 0.05


def test_where_noise_depends_on_rows_single_entries_are_left_open_and_suspects_follow_heads(digits):
    given = boundary_labels(digits.x, digits.labels, 0.2, 0)
    found = gramlab.diagnose(
        gramlab.Features(digits.x, given, n_classes=10),
        settings=gramlab.diagnosis.DiagnosisSettings(max_rounds=1, explained=0),
        truth=digits.labels,
    )
    estimate, suspects = found.estimate, found.suspects
    assert estimate.instance_dependent
    assert (estimate.lower == 0.0).all()
    assert (estimate.upper == 1.0).all()
    assert np.array_equal(found.posterior.posterior, found.posterior.held_out)
    assert suspects.withheld
    assert "depend" in suspects.withheld
    assert found.recorruption is None
    wrong = given != digits.labels
    assert wrong[suspects.rows].mean() > 0.8
    assert suspects.suspected[wrong].mean() > 0.6  # with C, that calls labels right, it is below .1
