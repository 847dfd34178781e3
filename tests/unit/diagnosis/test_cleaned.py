"""Labels to train on: what is left out and proposed, and that no fold sees its own labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gramlab.diagnosis.cleaned import CleanedLabels, FoldPosteriors
from gramlab.diagnosis.posterior import label_posterior, nearest_rows, posterior_of
from gramlab.diagnosis.selection import SettingSearch
from gramlab.diagnosis.trial import LABELS, Scoring, Setting
from gramlab.features import Features
from gramlab.runner import Run, folds
from gramlab.targets import one_hot
from gramlab.transition import estimate_transition

EPS = np.finfo(np.float64).eps
NOISE = np.array([[0.7, 0.3], [0.3, 0.7]])


# ---- What is trained on -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_without_suspects_nothing_is_changed(seed):
    rng = np.random.default_rng(seed)
    given = rng.integers(0, 4, 60)
    soft = rng.dirichlet(np.ones(4), 60) + one_hot(given, 4)
    cleaned = CleanedLabels(given, soft / 2.0)
    assert cleaned.kept.all()
    assert np.array_equal(cleaned.proposed, given)
    for labels in ("given", "drop-suspects", "relabel"):
        targets, weights = cleaned.problem(labels)
        assert np.array_equal(targets[:], one_hot(given, 4) - 0.25)
        assert weights is None or (weights == 1.0).all()
    targets, weights = cleaned.problem("soft-labels")
    assert np.abs(np.asarray(targets) - cleaned.soft).max() <= 2 * EPS
    assert weights is None


def test_suspects_are_left_out_unless_their_class_would_be_lost():
    given = np.array([0, 0, 1, 1, 2, 2])
    proposed = np.array([0, 1, 0, 0, 2, 2])
    cleaned = CleanedLabels(given, 0.6 * one_hot(proposed, 3) + 0.4 / 3.0)
    assert cleaned.spared == [1]
    assert cleaned.kept.tolist() == [True, False, True, True, True, True]
    assert cleaned.problem("drop-suspects")[1].tolist() == [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    assert cleaned.problem("relabel")[0].labels.tolist() == proposed.tolist()
    wrong = cleaned.probability_wrong
    assert np.abs(wrong - np.where(given == proposed, 0.8 / 3.0, 1 - 0.4 / 3.0)).max() <= 4 * EPS
    columns = cleaned.columns()
    assert list(columns) == ["row", "given", "proposed", "probability_wrong", "kept", "weight"]
    assert columns["row"] == list(range(6))


# ---- No fold sees its own labels --------------------------------------------------------------


def posteriors(x, given, *, parts=4, rounds=2, neighbours=10, seed=0) -> FoldPosteriors:
    """At a known noise, with as many rounds and neighbours as are asked for."""
    features, k = Features(x, given, n_classes=len(NOISE)), len(NOISE)
    run = Run(x, k, folds(given, parts, seed), given)
    found = estimate_transition(features, given, folds=run, weight_decay=1e-3, rounds=1)
    estimate = replace(found, matrix=NOISE, rounds=rounds)
    nearest = nearest_rows(features, 20)
    posterior = replace(
        label_posterior(estimate, given, nearest), neighbours=neighbours, vote_weight=1.0
    )
    return FoldPosteriors(run, given, nearest, estimate, posterior)


@pytest.mark.parametrize("rounds", [1, 3])
def test_labels_of_a_fold_do_not_enter_what_its_heads_are_trained_on(rounds):
    rng = np.random.default_rng(rounds)
    x, given = rng.standard_normal((80, 6)), np.arange(80) % 2
    honest = posteriors(x, given, rounds=rounds)
    before = honest.cleaned()
    held = honest.run.held[1]
    other = given.copy()
    other[held] = 1 - given[held]
    after = replace(honest, given=other).cleaned()
    assert np.array_equal(before[1].soft, after[1].soft)
    assert np.array_equal(before[1].given, after[1].given)
    for fold in (0, 2, 3):
        assert not np.array_equal(before[fold].soft, after[fold].soft)


def test_rows_of_a_fold_are_read_by_heads_that_miss_it_too():
    """The slow twin: heads on the rows of neither fold, alone."""
    from scipy.special import softmax

    from gramlab.heads.softmax import SoftmaxHead

    rng = np.random.default_rng(5)
    x = rng.standard_normal((60, 4))
    given = (x[:, 0] + 0.5 * rng.standard_normal(60) > 0.0).astype(np.int64)
    of = replace(posteriors(x, given, parts=3, rounds=1, neighbours=0), tolerance=1e-12)
    beta, decay = of.estimate.sharpness, of.estimate.weight_decay
    # Both heads have a gap of at most 1e-12 log 2, and are as near to the optimum as it allows.
    distance = 2.0 * np.sqrt(2e-12 * np.log(2.0) / decay)
    bound = beta * distance * np.linalg.norm(x, axis=1).max()
    for f, cleaned in enumerate(of.cleaned()):
        train = of.run.train[f]
        q = np.full((60, 2), np.nan)
        for g in set(range(3)) - {f}:
            own = np.setdiff1d(train, of.run.held[g])
            head = SoftmaxHead(decay, tolerance=1e-12)
            fit = head.fit(x[own], one_hot(given[own], 2))
            logits = x[of.run.held[g]] @ fit.weights
            p = softmax(beta * logits + of.estimate.offsets, axis=1)
            q[of.run.held[g]] = posterior_of(p, of.estimate, given[of.run.held[g]])[0]
        assert np.abs(cleaned.soft - q[train]).max() <= bound
        leak = of.posterior.posterior[train]
        assert np.abs(leak - q[train]).max() > 10.0 * bound, "the q of all rows would have passed"


def test_two_folds_leave_nothing_to_learn_from():
    rng = np.random.default_rng(2)
    x, given = rng.standard_normal((40, 3)), np.arange(40) % 2
    assert posteriors(x, given, parts=2).cleaned() == []


def test_random_labels_are_predicted_no_better_than_by_chance():
    """And a planted leak, q of all rows for every fold, is seen as accuracy that is not there."""
    values: dict[str, list[float]] = {"honest": [], "leak": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x, given = rng.standard_normal((120, 80)), rng.permutation(np.arange(120) % 2)
        of = posteriors(x / np.linalg.norm(x, axis=1, keepdims=True), given, rounds=1, seed=seed)
        q = of.posterior.posterior
        leak = [CleanedLabels(given[train], q[train]) for train in of.run.train]
        scoring = Scoring(q, given, NOISE)
        for name, cleaned in (("honest", of.cleaned()), ("leak", leak)):
            search = SettingSearch(of.run, scoring, 1, cleaned)
            trials = search.trials([1e-3], 1e-3, grow=False)
            assert {t.setting.labels for t in trials} == set(LABELS)
            mended = [t for t in trials if t.setting == Setting(1e-3, labels="soft-labels")]
            values[name] += [t.corrected.value for t in mended]
    # Of 480 rows, each 1.75 or -0.75.
    error = 1.25 / np.sqrt(480)
    assert np.mean(values["honest"]) < 0.5 + 3.0 * error
    assert np.mean(values["leak"]) > 0.5 + 3.0 * error, values
