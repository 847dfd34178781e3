"""Class-averaged predictions and label-averaging weights, against loops over their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab.errors import InvalidLabels, InvalidSetting

DECAY, ROUNDS = 3e-3, 3


def noisy(seed: int, n: int = 30, k: int = 3) -> tuple[gramlab.Features, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % k
    x = 2.0 * rng.standard_normal((k, 5))[truth] + rng.standard_normal((n, 5))
    given_labels = np.where(rng.random(n) < 0.4, rng.integers(0, k, n), truth)
    return gramlab.Features(x, truth, n_classes=k), given_labels


def by_loops(p: np.ndarray, read: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float | None:
    means = []
    for c in set(truth[where].tolist()):
        rows = [i for i in np.flatnonzero(where) if truth[i] == c]
        means.append(np.mean([p[i, read[i]] for i in rows]))
    return float(np.mean(means)) if means else None


@examples(20)
@given(st.integers(0, 10_000))
def test_dynamics_are_class_averages_of_predictions(seed):
    features, labels = noisy(seed)
    truth = features.labels
    targets = gramlab.one_hot(labels, 3)
    for head in (gramlab.LinearizedHead(DECAY), gramlab.RidgeHead(DECAY)):
        rounds = gramlab.distill(head, features, targets, ROUNDS)
        found = gramlab.dynamics(rounds, labels, truth)
        assert gramlab.dynamics(rounds.fits, labels.tolist(), truth.tolist()) == found
        for fit, one in zip(rounds, found, strict=True):
            p, wrong = fit.probabilities, labels != truth
            expected = [by_loops(p, truth, truth, w) for w in (~wrong, wrong)]
            expected.append(by_loops(p, labels, truth, wrong))
            got = [one.clean_true, one.flipped_true, one.flipped_given]
            for a, b in zip(got, expected, strict=True):
                assert a == b if b is None else abs(a - b) <= 1e-13


def test_without_wrong_labels_there_is_nothing_to_average():
    features, _ = noisy(0)
    rounds = gramlab.distill(
        gramlab.LinearizedHead(DECAY), features, gramlab.one_hot(features.labels, 3), 1
    )
    (one,) = gramlab.dynamics(rounds, features.labels, features.labels)
    assert (one.flipped_true, one.flipped_given) == (None, None)
    assert one.clean_true > 1 / 3


@pytest.mark.parametrize("name", ["given", "truth"])
def test_labels_that_do_not_fit_the_rounds_are_named(name):
    features, labels = noisy(1)
    rounds = gramlab.distill(gramlab.LinearizedHead(DECAY), features, gramlab.one_hot(labels, 3), 1)
    asked = {"given": labels, "truth": features.labels}
    for wrong in (asked[name][:-1], asked[name] + 3):
        with pytest.raises(InvalidLabels, match=f"{name} must"):
            gramlab.dynamics(rounds, **asked | {name: wrong})


@examples(20)
@given(st.integers(0, 10_000), st.sampled_from([None, 5]))
def test_label_averaging_sums_rows_of_the_filtered_gram_matrix(seed, n_classes):
    features, _ = noisy(seed)
    truth, n = features.labels, features.n_samples
    mu = (n_classes or 3) * n * DECAY
    gram = features.x @ features.x.T
    h = np.linalg.solve(gram + mu * np.eye(n), gram)
    spectrum = gramlab.Spectrum.of(features)
    found = gramlab.label_averaging(spectrum, truth, DECAY, ROUNDS, n_classes=n_classes)
    same = truth[:, None] == truth[None, :]
    for t, weights in enumerate(found, 1):
        rows = np.linalg.matrix_power(h, t)
        own = np.trace(rows) / n
        expected = [own, rows[same].sum() / n - own, rows[~same].sum() / n]
        assert list(weights) == ["own", "same_class", "others"]
        assert np.allclose(list(weights.values()), expected, rtol=0, atol=1e-12 * n)


def test_label_averaging_refuses_what_it_cannot_read():
    features, labels = noisy(2)
    spectrum = gramlab.Spectrum.of(features)
    with pytest.raises(InvalidLabels, match="labels must"):
        gramlab.label_averaging(spectrum, labels[:-1], DECAY, ROUNDS)
    for decay, rounds, k in ((0.0, 2, 3), (DECAY, 0, 3), (DECAY, 2, 0)):
        with pytest.raises(InvalidSetting):
            gramlab.label_averaging(spectrum, labels, decay, rounds, n_classes=k)
