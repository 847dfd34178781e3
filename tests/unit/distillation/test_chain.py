"""Certificates through rounds, against iterates solved in 50 digits by a Newton twin."""

from __future__ import annotations

from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from rounds_twin import DIGITS, Fixed, Twin, exact, features_of, norm, top_two

from gramlab.comparison import certify_predictions
from gramlab.distillation import Rounds, distill
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead, RidgeHead
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.certificate import Certificate
from gramlab.targets import Targets, one_hot, relative_weights


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(DIGITS):
        yield


@st.composite
def problems(draw):
    """Rows, labels and settings small enough for 50 digits, that shrink to plain ones."""
    k, d = draw(st.integers(2, 3)), draw(st.integers(1, 2))
    n = draw(st.integers(k, 5))
    eighths = st.integers(-16, 16).map(lambda i: i / 8)
    x = np.array(draw(st.lists(st.lists(eighths, min_size=d, max_size=d), min_size=n, max_size=n)))
    labels = [i % k for i in range(n)]
    decays = draw(st.lists(st.sampled_from([1.0, 0.1, 0.01, 1e-3]), min_size=3, max_size=3))
    return x, np.eye(k)[labels], decays, draw(st.sampled_from([1.0, 0.5, 0.25, 0.0, 1.5, -0.5]))


def rough(decays, **options):
    """Heads stopped early: at a tenth of the gradient they began with."""
    return [SoftmaxHead(decay, tolerance=1e-2, signed_targets=True, **options) for decay in decays]


# Where the gradient is rounding from the start, a head says that it missed its tolerance.
@pytest.mark.filterwarnings("ignore::gramlab.errors.NotConvergedWarning")
@examples(12)
@given(problem=problems())
def test_bounds_hold_on_the_true_iterates_however_early_heads_stop(problem):
    x, targets, decays, mixing = problem
    features = features_of(x, targets.shape[1])
    found = distill(rough(decays), features, targets, 3, mixing=mixing)
    truth = Twin(x).rounds(targets, decays, mixing)
    assert found.chain_ends == ""
    for fit, certificate, best in zip(found, found.chain, truth, strict=True):
        moved = exact(fit.weights) - best
        assert norm(moved) <= certificate.global_bound
        assert norm(moved) <= certificate.local_bound
        change = exact(x) * moved
        limits = certificate.logit_bound(x)
        for i in range(len(x)):
            assert max(change[i, :]) - min(change[i, :]) <= limits[i]


@pytest.mark.filterwarnings("ignore::gramlab.errors.NotConvergedWarning")
@examples(8)
@given(problem=problems(), later=st.sampled_from([1.0, 0.1, 0.01]))
def test_bounds_hold_on_the_true_iterates_of_momentum(problem, later):
    x, targets, decays, _ = problem
    decays = [*decays, later]
    features = features_of(x, targets.shape[1])
    heads = [SoftmaxHead(decay, tolerance=1e-2) for decay in decays]
    found = distill(heads, features, targets, 4, momentum=True)
    assert not any(head.signed_targets for head in heads)
    truth = Twin(x).rounds(targets, decays, momentum=True)
    for fit, certificate, best in zip(found, found.chain, truth, strict=True):
        assert norm(exact(fit.weights) - best) <= certificate.weights_bound


# Equal rows in one dimension, two classes: a round passes errors on nearly whole where its weight
# decay is small beside the curvature, and shows them nearly whole where it is large.
ROW, TARGET = np.array([[1.0], [1.0]]), np.array([[0.75, 0.25], [0.75, 0.25]])


def passed_on(decays, errors, mixing=1.0, momentum=False):
    """Weights whose e_t have the given sizes along (1, −1)/√2, and the true iterates."""
    twin, direction = Twin(ROW), exact([[1.0, -1.0]]) / mp.sqrt(2)
    truth, weights = twin.rounds(TARGET, decays, mixing, momentum=momentum), []
    targets = before = exact(TARGET)
    for t, (decay, error) in enumerate(zip(decays, errors, strict=True), 1):
        weights.append(twin.solve(targets + exact([[1.0], [1.0]]) * direction * error, decay))
        made = twin.probabilities(weights[-1])
        targets = mp.mpf(mixing) * made + (1 - mp.mpf(mixing)) * exact(TARGET)
        if momentum:
            targets, before = made + (made - before) * mp.mpf(t - 1) / (t + 2), made
    heads = [
        Fixed(decay, np.array([[float(value) for value in w]]))
        for decay, w in zip(decays, weights, strict=True)
    ]
    options = {"mixing": mixing, "momentum": momentum}
    return distill(heads, features_of(ROW, 2), TARGET, len(decays), **options), truth


@pytest.mark.parametrize("mixing", [1.0, 0.5, 3.0, -2.0])
def test_errors_add_up_and_no_smaller_sum_would_do(mixing):
    sign = 1 if mixing > 0 else -1
    found, truth = passed_on([1e-4, 1e-4, 1e3], [1e-3, sign * 1e-4, 1e-5], mixing)
    sizes = [1e-3, 1e-4, 1e-5]
    for t in range(3):
        certificate = found.chain[t]
        assert certificate.gradient_norm == pytest.approx(sizes[t], rel=1e-6)
        total = sum(abs(mixing) ** (t - s) * sizes[s] for s in range(t + 1))
        assert certificate.global_bound * found[t].weight_decay == pytest.approx(total, rel=1e-6)
    distance = norm(exact(found[2].weights) - truth[2])
    bound = found.chain[2].global_bound
    assert distance <= bound * (1 + 1e-12)
    assert distance >= 0.99 * bound
    # Planted: each round's own bound, read as one on the true iterate.
    assert distance > 5 * found[2].certificate.weights_bound


def test_momentum_magnifies_errors_and_no_smaller_sum_would_do():
    """An error of round 2 alone is 5/4 of itself in the targets of round 3."""
    found, truth = passed_on([1e-4, 1e-4, 1e3], [0.0, 1e-3, 0.0], momentum=True)
    certificate = found.chain[2]
    assert certificate.gradient_rounding == pytest.approx(1.25e-3, rel=1e-6)
    distance = norm(exact(found[2].weights) - truth[2])
    assert distance <= certificate.global_bound * (1 + 1e-12)
    assert distance >= 0.99 * certificate.global_bound
    # Planted: the sum of plain rounds, which forgets the factor.
    assert distance > 1.2 * 1e-3 / 1e3
    # One of round 1 enters both terms: 5/4 of it by way of round 2, 1/4 by itself.
    found, truth = passed_on([1e-4, 1e-4, 1e3], [1e-3, 0.0, 0.0], momentum=True)
    assert found.chain[2].gradient_rounding == pytest.approx(1.5e-3, rel=1e-6)
    assert norm(exact(found[2].weights) - truth[2]) <= found.chain[2].global_bound


def test_the_local_bound_carries_earlier_errors_too():
    found, truth = passed_on([0.01, 0.01], [1e-3, 0.0])
    distance = norm(exact(found[1].weights) - truth[1])
    certificate = found.chain[1]
    assert distance <= certificate.local_bound
    assert certificate.newton_decrement == pytest.approx(1e-3 / 0.01**0.5, rel=1e-2)
    assert found[1].certificate.local_bound < 1e-6 * distance  # planted: without the error carried
    # The gradient itself enters it as well.
    both, truth = passed_on([0.01, 0.01], [1e-3, 1e-3])
    assert norm(exact(both[1].weights) - truth[1]) <= both.chain[1].local_bound
    assert both.chain[1].newton_decrement > 1.1 * certificate.newton_decrement


def test_the_rounding_of_the_round_before_is_carried():
    """Large weights that cancel at the teacher, small ones at the student."""
    x = np.array([[1.0, 1.0 / 3.0, -4.0 / 3.0], [0.7, -0.1, -0.6]])
    base = np.array([[0.3, 0.0], [0.3, 0.0], [0.3, 0.0]])
    teacher = 1e9 * base + np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    targets = np.eye(2)
    heads = [Fixed(1e-12, teacher), Fixed(1.0, np.zeros((3, 2)))]
    found = distill(heads, features_of(x, 2), targets, 2)
    certificate = found.chain[1]
    twin = Twin(x)
    made = twin.probabilities(exact(teacher))
    true = norm(twin.gradient(mp.zeros(3, 2), made, mp.mpf(1)))
    carried = found.chain[0].gradient_norm + found.chain[0].gradient_rounding
    off = abs(true - certificate.gradient_norm)
    own = SoftmaxObjective(found.features, found[0].deviations, 1.0).certificate(np.zeros((3, 2)))
    assert off <= certificate.gradient_rounding - carried
    assert off > 10 * own.gradient_rounding  # planted: the student's own rounding alone


@pytest.mark.parametrize("weights", [[1.0] * 40, [1e9] + [1.0] * 39])
def test_the_rounding_of_a_mixture_is_carried(weights):
    """Targets that a mixture leaves as they are, but for its rounding: ξY + (1 − ξ)Y."""
    x = np.full((40, 1), 1.0 if weights[0] == 1.0 else 1e-6)
    x[0] = 1.0
    targets, twin = np.tile([0.5, 0.5, 0.0], (40, 1)), Twin(x, weights)
    teacher = np.array(twin.solve(exact(targets), 0.1).tolist(), dtype=float)
    heads = [
        Fixed(0.1, teacher, row_weights=weights),
        Fixed(1.0, np.zeros((1, 3)), row_weights=weights),
    ]
    found = distill(heads, features_of(x, 3), targets, 2, refine="top2", mixing=1e9 + 0.1)
    certificate = found.chain[1]
    true = norm(twin.gradient(mp.zeros(1, 3), exact(targets), mp.mpf(1)))
    off = abs(true - certificate.gradient_norm)
    assert off <= certificate.gradient_rounding
    plain = replace(found[1].loss, target_deviations=targets - 1 / 3)
    assert off > 10 * plain.certificate(np.zeros((1, 3))).gradient_rounding  # planted: left out


def test_late_rounds_near_the_floor():
    x, targets = (
        np.array([[1.0, 0.2], [0.9, -0.3], [-0.8, 0.5], [-1.0, 0.1]]),
        np.eye(2)[[0, 0, 1, 0]],
    )
    found = distill(SoftmaxHead(0.01, tolerance=1e-30), features_of(x, 2), targets, 12)
    for fit, certificate, best in zip(
        found, found.chain, Twin(x).rounds(targets, [0.01] * 12), strict=True
    ):
        distance = norm(exact(fit.weights) - best)
        assert distance <= certificate.weights_bound
        assert certificate.weights_bound < 1e-9
    assert [c.global_bound for c in found.chain] == sorted(c.global_bound for c in found.chain)


def test_stored_targets_do_not_matter():
    """Round 2 was given other targets than it should have been: its chain says so."""
    x, targets = np.array([[1.0, 0.2], [0.9, -0.3], [-0.8, 0.5]]), np.eye(2)[[0, 1, 1]]
    features, head = features_of(x, 2), SoftmaxHead(0.05, tolerance=1e-20)
    teacher = head.fit(features, targets)
    off = teacher.probabilities + np.array([0.05, -0.05])
    student = head.fit(features, off)
    made = Targets(targets - 0.5)
    found = Rounds((teacher, student), features, (made, Targets(off - 0.5)))
    best = Twin(x).rounds(targets, [0.05, 0.05])[1]
    distance = norm(exact(student.weights) - best)
    assert student.certificate.weights_bound < 1e-6 * distance
    assert distance <= found.chain[1].weights_bound


def test_linearized_rounds_are_bounded_from_the_exact_ones():
    x, targets = np.array([[1.0, 0.2], [0.9, -0.3], [-0.8, 0.5]]), np.eye(3)
    found = distill(LinearizedHead(1.0), features_of(x, 3), targets, 3)
    for fit, certificate, best in zip(
        found, found.chain, Twin(x).rounds(targets, [1.0] * 3), strict=True
    ):
        assert norm(exact(fit.weights) - best) <= certificate.weights_bound
        assert certificate.weights_bound < 0.1


def test_rows_with_weights():
    x, targets = np.array([[1.0, 0.2], [0.9, -0.3], [-0.8, 0.5]]), np.eye(2)[[0, 1, 1]]
    weights, features = [1.0, 4.0, 2.0], features_of(x, 2)
    found = distill(rough([0.01, 0.1], sample_weight=weights), features, targets, 2)
    truth = Twin(x, weights).rounds(targets, [0.01, 0.1])
    for fit, certificate, best in zip(found, found.chain, truth, strict=True):
        assert norm(exact(fit.weights) - best) <= certificate.weights_bound
    # Planted: without weights the same numbers are no bound.
    plain = Twin(x).rounds(targets, [0.01, 0.1])[0]
    exactly = SoftmaxHead(0.01, sample_weight=weights, tolerance=1e-20).fit(features, targets)
    assert norm(exact(exactly.weights) - plain) > exactly.certificate.weights_bound
    # Rounds with different weights have no chain: M is not one function.
    heads = [SoftmaxHead(0.1, sample_weight=weights), SoftmaxHead(0.1)]
    found = distill(heads, features, targets, 2)
    assert found.chain[0] is not None
    assert found.chain[1] is None
    assert "weights" in found.chain_ends


# ---- Students on the two largest labels ----------------------------------------------------------

FAR = np.array([[1.0, 0.1], [0.9, 0.4], [-0.3, 1.0], [-0.9, -0.7]])
SOFT = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]])


@pytest.mark.parametrize("mixing", [1.0, 0.4])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_top_two_student_is_exact_where_the_top_two_are_certified(mixing, temperature):
    """The teacher's error is forgotten: targets are the true ones, at every temperature."""
    heads = [SoftmaxHead(0.01, tolerance=1e-4), SoftmaxHead(0.01, tolerance=1e-20)]
    found = distill(
        heads, features_of(FAR, 3), SOFT, 2, refine="top2", mixing=mixing, temperature=temperature
    )
    best = Twin(FAR).rounds(SOFT, [0.01, 0.01], mixing, top_two)
    assert norm(exact(found[0].weights) - best[0]) > 1e-6
    assert norm(exact(found[1].weights) - best[1]) <= found.chain[1].weights_bound
    assert found.chain[1].weights_bound < 1e-9
    assert found.chain[0].weights_bound > 1e-6


def test_nothing_is_claimed_where_the_top_two_are_undecided():
    """A teacher far off has other top twos than the true one: no claim, and rightly."""
    best = Twin(FAR).rounds(SOFT, [0.01, 0.01], 1.0, top_two)
    far = -np.array(best[0].tolist(), dtype=float)
    student = SoftmaxHead(0.01, tolerance=1e-20)
    found = distill([Fixed(0.01, far), student], features_of(FAR, 3), SOFT, 2, refine="top2")
    assert found.chain[0] is not None
    assert found.chain[1] is None
    assert "two largest" in found.chain_ends
    distance = norm(exact(found[1].weights) - best[1])
    assert distance > 1e3 * found[1].certificate.weights_bound  # its own would be false here
    # A later round cannot take up what an earlier one lost.
    heads = [Fixed(0.01, far), student, student]
    assert distill(heads, features_of(FAR, 3), SOFT, 3, refine="top2").chain[2] is None


def test_with_two_classes_the_two_largest_are_all():
    found = distill(
        SoftmaxHead(0.1), features_of(FAR, 2), np.eye(2)[[0, 1, 1, 0]], 2, refine="top2"
    )
    assert found.chain[1].weights_bound < 1e-12  # targets 1/2: the optimum is 0


# ---- Where nothing is claimed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [({"temperature": 2.0}, "temperature 2"), ({"refine": lambda p: p}, "function")],
)
def test_no_claim_past_the_teacher(options, said):
    found = distill(SoftmaxHead(0.1), features_of(FAR, 3), SOFT, 3, **options)
    assert isinstance(found.chain[0], Certificate)
    assert found.chain[1:] == (None, None)
    assert said in found.chain_ends


def test_no_claim_for_another_loss_or_other_rows():
    features = features_of(FAR, 3)
    assert distill(RidgeHead(0.1), features, SOFT, 2).chain == (None, None)
    mixed = distill([SoftmaxHead(0.1), RidgeHead(0.1)], features, SOFT, 2)
    assert mixed.chain[1] is None
    assert "another loss" in mixed.chain_ends
    head = SoftmaxHead(0.1)
    fits = (head.fit(features, SOFT), head.fit(features_of(2 * FAR, 3), SOFT))
    other = Rounds(fits, features, (Targets(SOFT - 1 / 3),) * 2)
    assert other.chain[1] is None
    assert "other rows" in other.chain_ends


def test_one_head_for_each_round_or_one_for_all():
    with pytest.raises(InvalidSetting, match="each of 3 rounds, got 2"):
        distill([SoftmaxHead(0.1)] * 2, features_of(FAR, 3), SOFT, 3)


# ---- What is decided through the rounds ----------------------------------------------------------


def test_predictions_decided_through_the_rounds_are_those_of_the_true_iterate():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((16, 2))
    labels = (x[:, 0] > 0.2).astype(int)
    features = Features(x, labels, n_classes=2)
    targets = one_hot(np.where(rng.random(16) < 0.3, 1 - labels, labels), 2)
    found = distill(SoftmaxHead(0.01, tolerance=1e-3), features, targets, 3)
    lost = kept = 0
    for fit, certificate, true in zip(
        found, found.chain, Twin(x).rounds(targets, [0.01] * 3), strict=True
    ):
        _, own = certify_predictions(fit, features, labels)
        counts, decided = certify_predictions(fit, features, labels, certificate)
        v = exact(x) * true
        classes = np.array([int(v[i, 1] > v[i, 0]) for i in range(16)])
        assert np.array_equal(classes[decided], fit.labels[decided])
        assert counts.right == (decided & (classes == labels)).mean()
        assert counts.wrong == (decided & (classes != labels)).mean()
        assert counts.undecided == (~decided).mean()
        lost, kept = lost + (own & ~decided).sum(), kept + decided.sum()
    assert lost > 0
    assert kept > 0


def test_rows_that_stay_in_their_file(tmp_path):
    """The same chain within rounding, read in blocks from a mapped file."""
    path = tmp_path / "x.npy"
    np.save(path, np.tile(FAR, (3, 1)))
    x = np.load(path, mmap_mode="r")
    labels = np.arange(12) % 3
    targets = np.tile(SOFT, (3, 1))
    heads = [Fixed(0.01, 0.1 * np.ones((2, 3)) * [1, 2, 4]), Fixed(0.01, np.eye(3)[:2])]
    chains = []
    for rows in (Features(x, labels), Features(np.array(x), labels)):
        for head in heads:
            head.weights = [head.weights[0]] * 2
        chains.append(distill(heads, rows, targets, 2, mixing=0.5).chain)
    assert Features(x, labels).is_mapped
    for mapped, held in zip(*chains, strict=True):
        assert mapped.gradient_norm == pytest.approx(held.gradient_norm, rel=1e-12)
        assert mapped.gradient_rounding == pytest.approx(held.gradient_rounding, rel=1e-12)
        assert mapped.newton_decrement == pytest.approx(held.newton_decrement, rel=1e-9)


def test_row_weights_are_those_of_the_objective():
    weights = [1.0, 2.0, 4.0, 1.0]
    fit = SoftmaxHead(0.1, sample_weight=weights).fit(features_of(FAR, 3), SOFT)
    assert np.array_equal(fit.loss.row_weights, relative_weights(weights, 4))
    again = replace(fit.loss, target_deviations=SOFT - 1 / 3)
    assert np.array_equal(again.gradient(fit.weights), fit.loss.gradient(fit.weights))
