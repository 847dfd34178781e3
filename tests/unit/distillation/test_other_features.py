"""A teacher and its students on features of their own: theory, exact rounds, and certificates."""

from __future__ import annotations

from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st
from rounds_twin import DIGITS, Fixed, Twin, exact, features_of, norm, top_two

import gramlab
from gramlab import testing
from gramlab.comparison import certify_predictions, compare, polish_rounds
from gramlab.distillation import distill
from gramlab.errors import GramlabError, InvalidFeatures, InvalidSetting
from gramlab.features import Features
from gramlab.figures import AccuracyDisplay, TotalDecayDisplay
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.targets import one_hot

seeds = st.integers(0, 10**6)


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(DIGITS):
        yield


def two_sets(n, widths, k, seed):
    """Features of several widths of the same rows, and their targets."""
    made = [problem(n, d, k, seed=seed + i) for i, d in enumerate(widths)]
    return [features for features, _ in made], made[0][1]


@examples(20)
@given(seed=seeds, decays=st.lists(testing.weight_decays(1e-3, 10.0), min_size=3, max_size=3))
def test_linear_rounds_are_the_product_of_filters_in_order(seed, decays):
    n, k = 20, 3
    features, targets = two_sets(n, [4, 7, 25], k, seed)
    found = distill([LinearizedHead(decay) for decay in decays], features, targets, 3)
    deviations = targets - 1 / k
    for fit, one, decay in zip(found, features, decays, strict=True):
        deviations = testing.dense_filter(one.x @ one.x.T, k * n * decay, 1) @ deviations
        assert np.abs(fit.deviations - deviations).max() < 1e-11
        # The last features alone decide what new rows are told.
        assert np.abs(fit.predict_proba(one.x) - fit.probabilities).max() < 1e-11


def test_the_order_of_filters_counts():
    features, targets = two_sets(20, [4, 7], 3, 0)
    there, back = (distill(LinearizedHead(0.1), f, targets, 2) for f in (features, features[::-1]))
    assert np.abs(there[1].deviations - back[1].deviations).max() > 1e-2


def true_iterates(xs, targets, decays, mixing=1.0, refine=lambda p: p):
    """Weights of exact rounds on features of each round."""
    given, out = exact(targets), []
    told = given
    for x, decay in zip(xs, decays, strict=True):
        twin = Twin(x)
        out.append(twin.solve(told, decay))
        made = refine(twin.probabilities(out[-1]))
        told = mp.mpf(mixing) * made + (1 - mp.mpf(mixing)) * given
    return out


@st.composite
def small_problems(draw):
    k = draw(st.integers(2, 3))
    n = draw(st.integers(k, 5))
    eighths = st.integers(-16, 16).map(lambda i: i / 8)
    widths = [draw(st.integers(1, 2)) for _ in range(3)]
    xs = [
        np.array(draw(st.lists(st.lists(eighths, min_size=d, max_size=d), min_size=n, max_size=n)))
        for d in widths
    ]
    decays = draw(st.lists(st.sampled_from([1.0, 0.1, 0.01, 1e-3]), min_size=3, max_size=3))
    targets = np.eye(k)[[i % k for i in range(n)]]
    return xs, targets, decays, draw(st.sampled_from([1.0, 0.5, 0.0, 1.5]))


@pytest.mark.filterwarnings("ignore::gramlab.errors.NotConvergedWarning")
@examples(12)
@given(drawn=small_problems())
def test_bounds_hold_on_the_true_iterates_however_early_heads_stop(drawn):
    xs, targets, decays, mixing = drawn
    features = [features_of(x, targets.shape[1]) for x in xs]
    heads = [SoftmaxHead(decay, tolerance=1e-2, signed_targets=True) for decay in decays]
    found = distill(heads, features, targets, 3, mixing=mixing)
    assert found.chain_ends == ""
    truth = true_iterates(xs, targets, decays, mixing)
    for fit, certificate, best in zip(found, found.chain, truth, strict=True):
        assert norm(exact(fit.weights) - best) <= certificate.weights_bound


def off_by(size, wide, decay):
    """Teacher on x = 1 off by a little, a student with exact weights on x = ``wide``."""
    n, targets = 4, np.full((4, 2), 0.5)
    xs = [np.ones((n, 1)), np.full((n, 1), wide)]
    best = true_iterates(xs, targets, [0.5, decay])
    teacher = np.array([[size, -size]])
    told = Twin(xs[0]).probabilities(exact(teacher))
    student = np.array(Twin(xs[1]).solve(told, decay).tolist(), dtype=float)
    heads = [Fixed(0.5, teacher), Fixed(decay, student)]
    found = distill(heads, [features_of(x, 2) for x in xs], targets, 2)
    return norm(exact(student) - best[1]), found


def test_the_bound_is_nearly_reached():
    """Curvature 1/2 = λ, where an error passes on most: as much as the theorem says."""
    distance, found = off_by(1e-4, 3.0, 1e4)
    assert distance <= found.chain[1].weights_bound
    assert distance > 0.99 * found.chain[1].weights_bound
    # Planted: that a round on other features passes on no more than its own gradient.
    first = found.chain[0]
    assert distance > (first.gradient_norm + first.gradient_rounding) / 1e4
    assert distance > 1e6 * found[1].certificate.weights_bound


def test_the_lipschitz_form_is_taken_where_it_is_the_better():
    """A huge weight decay: the teacher's weights are known better than its predictions ask."""
    x = np.full((4, 1), 1e-3)
    features = features_of(x, 2), features_of(np.ones((4, 1)), 2)
    targets, wrong = np.full((4, 2), 0.5), np.array([[1e-3, -1e-3]])
    found = distill([Fixed(1.0, wrong), Fixed(1.0, np.zeros((1, 2)))], features, targets, 2)
    reached = found.chain[0].gradient_norm
    passed = found.chain[1].gradient_rounding
    assert passed < 0.01 * reached * 8**-0.5
    assert passed == pytest.approx(0.5 * 1e-3 * found.chain[0].weights_bound, rel=1e-6)


def test_rows_are_decided_where_the_lipschitz_form_decides_none():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 4
    features = [
        Features(x / np.linalg.norm(x, axis=1, keepdims=True), labels)
        for x in (
            rng.standard_normal((4, d))[labels] + rng.standard_normal((300, d)) for d in (6, 9)
        )
    ]
    targets = one_hot(np.where(rng.random(300) < 0.4, rng.integers(0, 4, 300), labels), 4)
    found = distill(SoftmaxHead(1e-4, tolerance=1e-10), features, targets, 2)
    teacher, student = found.chain
    classes = found[1].labels
    _, decided = certify_predictions(found[1], features[1], labels, student)
    assert decided.mean() > 0.85
    sharp = distill(SoftmaxHead(1e-4, tolerance=1e-20), features, targets, 2)
    assert np.array_equal(sharp[1].labels[decided], classes[decided])
    # Planted: the Lipschitz form, σσ'/(2N) times the distance that the global bound gives.
    sizes = [np.linalg.norm(one.x, 2) for one in features]
    error = sizes[0] * sizes[1] / 600 * teacher.global_bound
    lipschitz = replace(student, gradient_rounding=error, decrement=np.inf)
    _, none = certify_predictions(found[1], features[1], labels, lipschitz)
    assert not none.any()


def test_rows_with_weights():
    xs = [np.array([[1.0, 0.2], [0.9, -0.3], [-0.8, 0.5]]), np.array([[1.0], [2.0], [-1.0]])]
    targets, weights = np.eye(2)[[0, 1, 1]], [1.0, 4.0, 2.0]
    heads = [SoftmaxHead(0.05, tolerance=1e-2, sample_weight=weights) for _ in range(2)]
    found = distill(heads, [features_of(x, 2) for x in xs], targets, 2)
    twins = [Twin(x, weights) for x in xs]
    first = twins[0].solve(exact(targets), 0.05)
    best = twins[1].solve(twins[0].probabilities(first), 0.05)
    assert norm(exact(found[1].weights) - best) <= found.chain[1].weights_bound


FAR = [
    np.array([[1.0, 0.1], [0.9, 0.4], [-0.3, 1.0], [-0.9, -0.7]]),
    np.array([[1.0], [0.5], [-0.5], [2.0]]),
]
SOFT = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]])


def test_top_two_students_forget_the_error_also_across_features():
    heads = [SoftmaxHead(0.01, tolerance=1e-4), SoftmaxHead(0.01, tolerance=1e-20)]
    features = [features_of(x, 3) for x in FAR]
    found = distill(heads, features, SOFT, 2, refine="top2")
    best = true_iterates(FAR, SOFT, [0.01, 0.01], refine=top_two)
    assert norm(exact(found[1].weights) - best[1]) <= found.chain[1].weights_bound < 1e-8


def test_what_theory_says_of_one_function_is_not_said_of_two():
    features = [features_of(x, 3) for x in FAR]
    found = distill(SoftmaxHead(0.1), features, SOFT, 2)
    assert found.entropy[1].least == 0.0
    assert found.weight_norms[1].most == np.inf
    assert found.entropy[1].low <= found.entropy[1].value <= found.entropy[1].high
    with pytest.raises(InvalidSetting, match="features of their own"):
        found.equivalent()
    same = distill(SoftmaxHead(0.1), [features[0]] * 2, SOFT, 2)
    plain = distill(SoftmaxHead(0.1), features[0], SOFT, 2)
    assert same.equivalent().radius == plain.equivalent().radius
    assert [c.gradient_rounding for c in same.chain] == [c.gradient_rounding for c in plain.chain]


def test_starts_are_of_ones_own_features():
    features, targets = two_sets(12, [3, 5], 2, 1)
    seen = []

    class Watched(LinearizedHead):
        def fit(self, features, targets, start=None):
            seen.append(None if start is None else start.shape)
            return super().fit(features, targets, start)

    a, b = features
    distill(Watched(0.1), [a, a, a, b, b, a], targets, 6)
    assert seen == [None, (3, 2), (3, 2), None, (5, 2), None]


def test_comparison_polish_and_figures_read_the_features_of_each_round():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    means = rng.standard_normal((3, 6))
    features = [
        Features(
            means[labels, :d] + 0.5 * rng.standard_normal((24, d)),
            labels,
            test_x=means[labels, :d] + 0.5 * rng.standard_normal((24, d)),
            test_labels=labels,
        )
        for d in (4, 6)
    ]
    targets = one_hot(np.where(rng.random(24) < 0.3, (labels + 1) % 3, labels), 3)
    decays = [0.02, 0.05]
    linear, soft = (
        distill([head(decay) for decay in decays], features, targets, 2)
        for head in (LinearizedHead, lambda decay: SoftmaxHead(decay, tolerance=1e-6))
    )
    for one in compare(linear, soft, truth=labels, certify="chain"):
        assert one.recursion_error <= one.recursion_tolerance < 1e-9
    with pytest.raises(InvalidSetting, match="different ones in round 2"):
        compare(distill([LinearizedHead(d) for d in decays], features[0], targets, 2), soft)
    better = polish_rounds(soft, 1.0, lambda words: None)
    assert better.chain[1].weights_bound < soft.chain[1].weights_bound / 10
    assert [fit.stats.polish for fit in better] == ["share reached"] * 2
    drawn = AccuracyDisplay.from_rounds(soft, labels, theory=linear)
    for fit, one, shown in zip(soft, features, drawn.exact, strict=True):
        assert shown["test_accuracy"] == (fit.predict(one.test_x) == labels).mean()
    with pytest.raises(InvalidSetting, match="same training rows"):
        TotalDecayDisplay.from_rounds([soft], labels)
    assert "2 Features" in repr(soft)


def refused(features, error, match, rounds=2):
    targets = one_hot(np.arange(12) % 3, 3)
    with pytest.raises(error, match=match):
        distill(LinearizedHead(0.1), features, targets, rounds)


def test_what_is_refused():
    x, labels = np.random.default_rng(0).standard_normal((12, 4)), np.arange(12) % 3
    one = Features(x, labels)
    refused([one] * 3, InvalidSetting, "one for each of 2 rounds, got 3; list as many")
    refused([one, Features(x[:9], labels[:9])], InvalidFeatures, "12 in round 1 and 9 in round 2")
    refused([one, x[:9]], InvalidFeatures, "12 in round 1 and 9 in round 2")
    wide = Features(x, labels, n_classes=4)
    refused([one, wide], InvalidFeatures, "3 in round 1 and 4 in round 2; give both")
    turned = Features(x, np.roll(labels, 1))
    refused([x, one, turned], InvalidFeatures, "0 in round 2 and 2 in round 3 at row 0", rounds=3)
    shards = gramlab.shard_features(x)
    refused([shards, shards], InvalidSetting, "must be Features or arrays, got shards")
    refused([], GramlabError, "2-D")


def test_bare_arrays_and_rows_as_a_list():
    x = np.random.default_rng(0).standard_normal((12, 4))
    targets = one_hot(np.arange(12) % 3, 3)
    told = distill(LinearizedHead(0.1), [x, x[:, :2]], targets, 2)
    assert [one.x.shape for one in told.features] == [(12, 4), (12, 2)]
    rows = distill(LinearizedHead(0.1), x.tolist(), targets, 2)
    assert np.array_equal(rows.features.x, x)
    assert len(rows.features_by_round) == 2
