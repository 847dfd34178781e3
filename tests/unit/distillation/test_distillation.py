"""The recursion, its refinements, and the comparison of theory with truth."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

from gramlab import comparison as comparison_room
from gramlab import testing
from gramlab.comparison import certify_predictions, compare
from gramlab.distillation import distill
from gramlab.errors import InvalidSetting, InvalidTargets
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.targets import mix_targets, partial_labels


def both(seed: int, weight_decay: float, rounds: int, **options):
    return both_heads(problem(24, 6, 3, seed=seed), weight_decay, rounds, **options)


def both_heads(made, weight_decay: float, rounds: int, **options):
    features, targets = made
    linear = distill(LinearizedHead(weight_decay), features, targets, rounds)
    exact = distill(SoftmaxHead(weight_decay, **options), features, targets, rounds)
    return features, targets, linear, exact


@examples(15)
@given(made=testing.problems(24, 6, 3), log_decay=st.floats(-3, 1))
def test_linearized_rounds_are_powers_of_the_filter(made, log_decay):
    features, targets = made
    rounds = distill(LinearizedHead(10**log_decay), features, targets, 4)
    for t, found in enumerate(rounds, 1):
        expected = testing.dense_closed_form(features.x @ features.x.T, targets, 10**log_decay, t)
        assert np.abs(found.probabilities - expected).max() < 1e-9


@pytest.mark.parametrize("made_by", [SoftmaxHead, LinearizedHead])
def test_rounds_and_their_chain_are_the_same_after_a_pickle(made_by):
    rounds = distill(made_by(1e-2), *problem(24, 6, 3, seed=1), 3)
    bounds = [certificate.weights_bound for certificate in rounds.chain]
    again = pickle.loads(pickle.dumps(rounds))
    assert [certificate.weights_bound for certificate in again.chain] == bounds
    assert np.array_equal(again[-1].weights, rounds[-1].weights)


def test_each_round_learns_the_previous_predictions():
    features, targets, _, exact = both(1, 1e-2, 3)
    assert len(exact) == 3
    assert np.array_equal(np.asarray(exact.targets[0]), targets - 1 / 3 + 1 / 3)
    current = targets
    for found in exact:
        best = testing.dense_newton_head(features.x, current, 1e-2)
        assert np.linalg.norm(found.weights - best) <= found.certificate.weights_bound + 1e-12
        current = found.probabilities
    # Planted: round 2 against the given labels (no distillation) is another optimum.
    assert np.linalg.norm(exact[1].weights - exact[0].weights) > 10 * (
        exact[0].certificate.weights_bound + exact[1].certificate.weights_bound
    )


def test_a_start_is_that_of_round_1_alone():
    features, targets = problem(40, 5, 3, 7)
    head = SoftmaxHead(1e-2, tolerance=1e-18)
    cold = distill(head, features, targets, 2)
    warm = distill(head, features, targets, 2, start=cold[0].weights)
    assert warm[0].stats.iterations < cold[0].stats.iterations
    bounds = cold[0].certificate.weights_bound + warm[0].certificate.weights_bound
    assert np.linalg.norm(warm[0].weights - cold[0].weights) <= bounds
    with pytest.raises(InvalidSetting, match="start must"):
        distill(head, features, targets, 2, start=cold[0].weights.T)


def test_refinements():
    features, targets, _, exact = both(2, 1e-2, 1)
    head = SoftmaxHead(1e-2)
    student = distill(head, features, targets, 2, refine="top2", seed=4)[1]
    two_hot = partial_labels(exact[0].probabilities, 2, seed=4)
    assert np.array_equal(student.weights, head.fit(features, two_hot, exact[0].weights).weights)
    mixed = distill(head, features, targets, 2, refine=lambda p: mix_targets(p, targets, 0.3))
    expected = 0.3 * exact[0].probabilities + 0.7 * targets
    assert np.abs(np.asarray(mixed.targets[1]) - expected).max() < 1e-15
    seen = []
    distill(head, features, targets, 3, on_round=seen.append)
    assert seen == [1, 2, 3]
    with pytest.raises(InvalidSetting, match="top3"):
        distill(head, features, targets, 2, refine="top3")
    with pytest.raises(InvalidTargets, match=r"\(24, 3\).*\(24,\)"):
        distill(head, features, targets, 2, refine=lambda p: p[:, 0])
    with pytest.raises(InvalidSetting, match="rounds"):
        distill(head, features, targets, 0)


# Where the optimum is 0 but for rounding no gap relative to it is reached; the identity holds.
@pytest.mark.filterwarnings("ignore::gramlab.NotConvergedWarning")
@examples(10)
@given(made=testing.problems(24, 6, 3), log_decay=st.floats(-3, 2))
def test_error_recursion_holds_on_the_run(made, log_decay):
    _, _, linear, exact = both_heads(made, 10**log_decay, 3)
    for found in compare(linear, exact):
        assert found.recursion_error <= found.recursion_tolerance


@pytest.mark.parametrize("planted", ["remainder", "mu", "gradient", "round"])
def test_a_wrong_recursion_is_caught(planted, monkeypatch):
    _, _, linear, exact = both(3, 1e-2, 3, tolerance=1e-4)
    room = comparison_room
    if planted == "remainder":
        original = room.softmax_remainder
        monkeypatch.setattr(room, "softmax_remainder", lambda v: 1.001 * original(v))
    elif planted == "mu":
        monkeypatch.setattr(room, "linear_mu", lambda k, n, lam: n * lam)
    elif planted == "gradient":
        monkeypatch.setattr(room.SoftmaxObjective, "gradient", lambda self, w: np.zeros_like(w))
    else:
        original_filter = room.apply_filter
        monkeypatch.setattr(room, "apply_filter", lambda s, v, mu: original_filter(s, v, mu, 2))
    found = compare(linear, exact)
    assert any(r.recursion_error > 100 * r.recursion_tolerance for r in found)


def test_comparison_numbers_equal_their_definitions():
    features, _, linear, exact = both(5, 1e-2, 2, certified_share=0.99)
    truth = features.labels
    for t, found in enumerate(compare(linear, exact, truth=truth)):
        p, q = exact[t].probabilities, linear[t].probabilities
        assert found.max_abs == pytest.approx(np.abs(p - q).max(), rel=1e-12)
        assert found.frobenius == pytest.approx(np.linalg.norm(p - q), rel=1e-12)
        assert found.argmax_agreement == (p.argmax(1) == q.argmax(1)).mean()
        best = testing.dense_newton_head(features.x, np.asarray(exact.targets[t]), 1e-2)
        right = ((features.x @ best).argmax(axis=1) == truth).mean()
        total = found.certified.right + found.certified.wrong + found.certified.undecided
        assert total == pytest.approx(1.0, abs=1e-15)
        assert found.certified.right <= right <= found.certified.right + found.certified.undecided
        assert found.certified.undecided <= 0.01
        assert found.certified_disagreement <= 1 - found.argmax_agreement + 1e-15
    unknown = compare(linear, exact)[0].certified
    assert unknown.right is None
    assert unknown.wrong is None


def test_certified_rows_never_change_class_even_from_a_rough_fit():
    features, targets = problem(24, 6, 3, seed=9, scale=3)
    best = testing.dense_newton_head(features.x, targets, 1e-2)
    decided_any = False
    for tolerance in (1e-2, 1e-4, 1e-6):
        rough = SoftmaxHead(1e-2, tolerance=tolerance).fit(features, targets)
        _, decided = certify_predictions(rough, features, features.labels)
        decided_any |= bool(decided.any())
        assert np.array_equal((features.x @ best).argmax(1)[decided], rough.labels[decided])
    assert decided_any


def test_compare_refuses_what_cannot_be_compared():
    features, targets, _, exact = both(1, 1e-2, 1)
    other = Features(features.x + 1, features.labels, n_classes=3)
    with pytest.raises(InvalidSetting, match="same features"):
        compare(distill(LinearizedHead(1e-2), other, targets, 1), exact)
    with pytest.raises(InvalidSetting, match="first targets"):
        compare(distill(LinearizedHead(1e-2), features, targets[::-1], 1), exact)
    with pytest.raises(InvalidSetting, match="one weight decay"):
        compare(distill(LinearizedHead(1e-1), features, targets, 1), exact)
