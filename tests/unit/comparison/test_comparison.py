"""What is certified of predictions, and what comparisons make of it, where bounds bind."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

from gramlab import testing
from gramlab.comparison import certify_predictions, compare
from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead, RidgeHead
from gramlab.heads.fit import Fit, SolveStats
from gramlab.heads.referee import SoftmaxObjective, softmax, softmax_deviations
from gramlab.heads.softmax import SoftmaxHead


def fit_at(features: Features, targets: np.ndarray, decay: float, weights: np.ndarray) -> Fit:
    """A fit that ended at these weights."""
    logits = features.x @ weights
    loss = SoftmaxObjective(features, targets - 1 / targets.shape[1], decay)
    return Fit(
        weights=weights,
        deviations=softmax_deviations(logits),
        probabilities=softmax(logits),
        link=softmax,
        weight_decay=decay,
        stats=SolveStats("given"),
        certify=loss.certificate,
        training_logits=lambda: logits,
        loss=loss,
    )


# A large weight decay makes the loss nearly a sphere: the global bound is nearly reached.
DECAY = 1e4


def moved(size: float) -> tuple[Features, Fit, np.ndarray]:
    """Two rows; weights off the optimum by ``size`` times what carries row 0 to the other class."""
    features = Features(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0, 1]))
    targets = np.array([[0.7, 0.3], [0.2, 0.8]])
    best = testing.dense_newton_head(features.x, targets, DECAY)
    margin = best[0, 0] - best[0, 1]
    shift = np.array([[-0.5, 0.5], [0.0, 0.0]]) * size * margin
    return features, fit_at(features, targets, DECAY, best + shift), features.x @ best


@pytest.mark.parametrize("size", [1.2, 1.5, 1.9])
def test_a_row_that_the_distance_can_carry_over_is_undecided(size):
    """At the weights its margin is (size − 1) of the optimum's, with the other sign."""
    features, fit, best = moved(size)
    _, decided = certify_predictions(fit, features, features.labels)
    assert fit.labels[0] != best.argmax(axis=1)[0]
    assert not decided[0]
    # Any bound smaller by half would certify the wrong class at 1.9: (1.9 − 1)/1.9 of the bound.
    share = (size - 1) / size
    gap = abs(fit.weights[0, 0] - fit.weights[0, 1])
    assert fit.certificate.logit_bound(features.x)[0] == pytest.approx(gap / share, rel=1e-3)


def test_a_row_that_the_distance_cannot_carry_over_is_decided():
    for size in (-1.02, -4.0, 0.4):
        features, fit, best = moved(size)
        _, decided = certify_predictions(fit, features, features.labels)
        assert decided[0]
        assert fit.labels[0] == best.argmax(axis=1)[0]


@examples(50)
@given(
    st.lists(st.lists(st.integers(-8, 8), min_size=3, max_size=3), min_size=1, max_size=3),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.floats(1e-3, 3),
)
def test_shares_are_those_of_the_rows(weights, truth, scale):
    """Right, wrong and undecided from each row's margin, whatever the weights."""
    rows = len(weights)
    x = np.vstack([np.ones(rows), np.arange(4 * rows).reshape(4, rows) % 5 - 2.0])[:4]
    features = Features(x, np.array([0, 1, 2, 0]))
    fit = fit_at(features, np.eye(3)[[0, 1, 2, 0]], 1.0, scale * np.array(weights) / 8)
    counts, decided = certify_predictions(fit, features, np.array(truth))
    v = x @ fit.weights
    limits = fit.certificate.logit_bound(x)
    right = wrong = 0
    for i in range(4):
        first, second = sorted(v[i])[::-1][:2]
        assert decided[i] == (first - second > limits[i])
        right += decided[i] and int(v[i].argmax()) == truth[i]
        wrong += decided[i] and int(v[i].argmax()) != truth[i]
    assert (counts.right, counts.wrong) == (right / 4, wrong / 4)
    assert counts.undecided == 1 - decided.mean()
    unknown, _ = certify_predictions(fit, features, None)
    assert (unknown.right, unknown.wrong, unknown.undecided) == (None, None, counts.undecided)


def test_only_decided_rows_are_certified_to_disagree():
    features, _ = problem(24, 6, 3, seed=1)
    targets = np.eye(3)[np.random.default_rng(1).integers(0, 3, 24)]
    linear = distill(LinearizedHead(1e-2), features, targets, 3)
    exact = distill(SoftmaxHead(1e-2, tolerance=1e-5), features, targets, 3)
    partly = False
    for kind in ("round", "chain"):
        found = compare(linear, exact, truth=features.labels, certify=kind)
        for t, one in enumerate(found):
            certificate = exact[t].certificate if kind == "round" else exact.chain[t]
            counts, decided = certify_predictions(exact[t], features, features.labels, certificate)
            differs = exact[t].labels != linear[t].labels
            assert one.certified == counts
            assert one.certified_disagreement == (decided & differs).mean()
            partly |= bool(0 < one.certified_disagreement < differs.mean())
    assert partly
    assert found[2].certified.undecided > compare(linear, exact)[2].certified.undecided


def test_what_compare_refuses():
    features, targets = problem(12, 3, 2, seed=1)
    linear = distill(LinearizedHead(0.1), features, targets, 2)
    head = SoftmaxHead(0.1)
    exact = distill(head, features, targets, 2)
    with pytest.raises(InvalidSetting, match="got 'both'"):
        compare(linear, exact, certify="both")
    ridge = distill(RidgeHead(0.1), features, targets, 2)
    with pytest.raises(InvalidSetting, match="another loss"):
        compare(linear, ridge, certify="chain")
    two = distill([head, SoftmaxHead(0.2)], features, targets, 2)
    told = r"in each round, got 0\.1 \(linearized\) and 0\.2 \(exact\) in round 2: compare_totals"
    with pytest.raises(InvalidSetting, match=told):
        compare(linear, two)
    other = distill(LinearizedHead(0.1), features, targets[::-1], 2)
    with pytest.raises(InvalidSetting, match="same first targets"):
        compare(other, exact)
    weighed = [head, SoftmaxHead(0.1, sample_weight=np.arange(1, 13))]
    with pytest.raises(InvalidSetting, match="different ones in round 2: give both heads"):
        compare(linear, distill(weighed, features, targets, 2))


def test_a_schedule_is_compared_round_by_round():
    """Each round by the filter of its own weight decay."""
    features, targets = problem(30, 4, 3, seed=8)
    decays = [0.01, 0.3, 0.02]
    linear = distill([LinearizedHead(decay) for decay in decays], features, targets, 3)
    heads = [SoftmaxHead(decay, tolerance=1e-12) for decay in decays]
    found = compare(linear, distill(heads, features, targets, 3), truth=features.labels)
    assert all(one.recursion_error <= one.recursion_tolerance < 1e-9 for one in found)
    # Planted: the recursion of the first weight decay throughout.
    error = distill(heads[:2], features, targets, 2)[1].deviations - linear[1].deviations
    first, second = (testing.dense_filter(features.x @ features.x.T, 90 * d, 1) for d in decays[:2])
    assert np.abs((first - second) @ error).max() > 1e-3 * np.abs(error).max()


@pytest.mark.parametrize("options", [{}, {"momentum": True}, {"mixing": 0.4}])
def test_the_error_recursion_is_about_the_targets_that_rounds_were_given(options):
    features, targets = problem(30, 4, 3, seed=8)
    heads = LinearizedHead(0.01), SoftmaxHead(0.01, tolerance=1e-12)
    linear, exact = (distill(head, features, targets, 4, **options) for head in heads)
    for one in compare(linear, exact):
        assert one.recursion_error <= one.recursion_tolerance < 1e-9
    if options:  # planted: the other recursion's targets
        assert (
            np.abs(
                linear[3].deviations - distill(heads[0], features, targets, 4)[3].deviations
            ).max()
            > 1e-4
        )
