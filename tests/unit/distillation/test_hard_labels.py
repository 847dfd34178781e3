"""Students of hard pseudo-labels: the largest class of the round before."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from conftest import problem
from rounds_twin import DIGITS, Fixed, Twin, exact, features_of, norm

from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.targets import one_hot, partial_labels

FAR = np.array([[1.0, 0.1], [0.9, 0.4], [-0.3, 1.0], [-0.9, -0.7]])
SOFT = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]])


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(DIGITS):
        yield


def largest(p):
    """1 on the largest of each row."""
    out = mp.zeros(p.rows, p.cols)
    for i in range(p.rows):
        out[i, max(range(p.cols), key=lambda j: p[i, j])] = mp.mpf(1)
    return out


@pytest.mark.parametrize("head", [LinearizedHead(0.05), SoftmaxHead(0.05)])
def test_targets_are_the_classes_predicted(head):
    features, targets = problem(20, 5, 3, seed=0)
    found = distill(head, features, targets, 3, refine="hard")
    for before, made in zip(found, found.targets[1:], strict=False):
        assert np.array_equal(np.asarray(made), one_hot(before.labels, 3))
    assert (
        np.abs(found[1].deviations - distill(head, features, targets, 2)[1].deviations).max() > 0.1
    )


def test_linear_hard_rounds_are_filters_of_labels():
    features, targets = problem(20, 5, 3, seed=0)
    k, n, decay = 3, 20, 0.05
    found = distill(LinearizedHead(decay), features, targets, 4, refine="hard")
    gram = features.x @ features.x.T
    smooth = gram @ np.linalg.inv(gram + k * n * decay * np.eye(n))
    given = targets
    for fit in found:
        deviations = smooth @ (given - 1 / k)
        assert np.abs(fit.deviations - deviations).max() < 1e-12
        given = np.eye(k)[deviations.argmax(axis=1)]


@pytest.mark.parametrize("mixing", [1.0, 0.4])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_hard_student_is_exact_where_classes_are_certified(mixing, temperature):
    """The teacher's error is forgotten: targets are the true ones, at every temperature."""
    heads = [SoftmaxHead(0.01, tolerance=1e-4), SoftmaxHead(0.01, tolerance=1e-20)]
    options = {"mixing": mixing, "temperature": temperature}
    found = distill(heads, features_of(FAR, 3), SOFT, 2, refine="hard", **options)
    best = Twin(FAR).rounds(SOFT, [0.01, 0.01], mixing, largest)
    assert norm(exact(found[0].weights) - best[0]) > 1e-6
    assert norm(exact(found[1].weights) - best[1]) <= found.chain[1].weights_bound < 1e-9


def test_two_classes_are_decided_too():
    given = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.4, 0.6]])
    heads = [SoftmaxHead(0.01, tolerance=1e-6), SoftmaxHead(0.01, tolerance=1e-20)]
    found = distill(heads, features_of(FAR, 2), given, 2, refine="hard")
    best = Twin(FAR).rounds(given, [0.01, 0.01], 1.0, largest)
    assert norm(exact(found[1].weights) - best[1]) <= found.chain[1].weights_bound < 1e-9


def test_nothing_is_claimed_where_a_class_is_undecided():
    best = Twin(FAR).rounds(SOFT, [0.01, 0.01], 1.0, largest)
    far = -np.array(best[0].tolist(), dtype=float)
    student = SoftmaxHead(0.01, tolerance=1e-20)
    found = distill([Fixed(0.01, far), student], features_of(FAR, 3), SOFT, 2, refine="hard")
    assert found.chain[1] is None
    assert found.chain_ends == "round 1 does not certify the largest class of every row"
    # Rightly: its own bound would be false here.
    distance = norm(exact(found[1].weights) - best[1])
    assert distance > 1e3 * found[1].certificate.weights_bound


def test_ties_go_by_the_seed():
    features = Features(np.zeros((30, 2)), np.arange(30) % 5)
    targets, drawn = one_hot(features.labels, 5), {}
    for seed in (0, 1):
        found = distill(LinearizedHead(0.05), features, targets, 2, refine="hard", seed=seed)
        drawn[seed] = np.asarray(found.targets[1])
        assert np.array_equal(drawn[seed], partial_labels(np.full((30, 5), 0.2), 1, seed=seed))
    assert (drawn[0] != drawn[1]).any(axis=1).sum() > 15


def test_an_unknown_refinement_names_those_there_are():
    features, targets = problem(10, 3, 2, seed=0)
    with pytest.raises(InvalidSetting, match=r'None, "top2", "hard" or a function .* \'soft\''):
        distill(LinearizedHead(1.0), features, targets, 2, refine="soft")
    with pytest.raises(InvalidSetting, match=r"or a function .* got \['hard'\]"):
        distill(LinearizedHead(1.0), features, targets, 2, refine=["hard"])
