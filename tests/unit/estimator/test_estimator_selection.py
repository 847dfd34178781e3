"""Choosing rounds, refinement and weight decay by given labels on held-out rows."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

from gramlab import (
    SelfDistillationClassifier,
    corrupt_labels,
    corruption_matrix,
    load_features,
)
from gramlab.errors import InvalidFeatures, InvalidSetting
from gramlab.estimator.selection import candidate_table
from gramlab.numerics.rounding import UNIT_ROUNDOFF
from gramlab.runner import folds

few = examples(20)


def noisy(rate=0.4, n=120, seed=0):
    features, _ = problem(n, 6, 3, seed=seed)
    matrix = corruption_matrix("symmetric", 3, rate)
    return features.x, corrupt_labels(features.labels, matrix, seed=seed).labels, features.labels


# ---- Why given labels may judge -----------------------------------------------------------------


@few
@given(seed=st.integers(0, 10**6), rate=st.floats(0, 0.6))
def test_symmetric_noise_makes_scores_affine_in_accuracy(seed, rate):
    """E[score] = η/(K − 1) + (1 − η − η/(K − 1)) · accuracy, for any predictions."""
    k, rng = 4, np.random.default_rng(seed)
    truth, predicted = rng.integers(0, k, (2, 200))
    c = corruption_matrix("symmetric", k, rate)
    expected_score = c[truth, predicted].mean()
    accuracy = (truth == predicted).mean()
    off = rate / (k - 1)
    assert abs(expected_score - off - (1 - rate - off) * accuracy) <= 200 * UNIT_ROUNDOFF
    # Planted: the slope 1 − η forgets that noise also agrees by luck.
    if rate > 0.01 and accuracy > 0.05:
        assert abs(expected_score - (1 - rate) * accuracy) > 1e-4


def test_other_noise_prefers_mistakes_that_it_makes_itself_but_never_to_the_truth():
    c = corruption_matrix("pair-flip", 3, 0.4)
    truth = np.repeat(np.arange(3), 40)
    with_noise, against = truth.copy(), truth.copy()
    with_noise[::4] = (truth[::4] + 1) % 3  # 25 % wrong, where the noise goes
    against[::5] = (truth[::5] + 2) % 3  # 20 % wrong, where it does not
    right, first, second = (c[truth, p].mean() for p in (truth, with_noise, against))
    assert right > first > second
    assert (with_noise == truth).mean() < (against == truth).mean()


# ---- The rule ---------------------------------------------------------------------------------


def table_of(shares, n=400, seed=0):
    """A table of rounds 1, 2, … whose candidates hit given shares of rows, nested."""
    hits = np.array([np.arange(n) < share * n for share in shares], dtype=float)
    candidates = [(1e-3, t + 1, None) for t in range(len(shares))]
    return candidate_table(candidates, hits)


def choose(table):
    assert table["chosen"].sum() == 1
    return table["chosen"].argmax()


def test_the_rule_prefers_fewer_rounds_within_one_error_and_only_there():
    # Nested hits: one row of 400 is one error, two rows are √2 errors.
    assert choose(table_of([0.8, 0.8025])) == 0
    assert choose(table_of([0.8, 0.805])) == 1
    assert choose(table_of([0.7, 0.805, 0.8075])) == 1
    assert choose(table_of([0.5, 0.8, 0.9])) == 2
    # Candidates that trade rows: 10 won and 9 lost is no evidence.
    hits = np.zeros((2, 400))
    hits[0, :209], hits[1, 10:210], hits[1, 300:310] = 1, 1, 1
    table = candidate_table([(1e-3, 1, None), (1e-3, 2, None)], hits)
    assert table["score"][0] < table["score"][1]
    assert choose(table) == 0
    assert table["behind"][0] == pytest.approx(1 / 400)
    assert table["behind_error"][0] == pytest.approx(np.sqrt(21) / 400)  # McNemar: 11 against 10
    assert table["standard_error"][0] == pytest.approx(hits[0].std() / 20)


def test_of_equal_rounds_the_best_score_then_the_larger_decay():
    candidates = [(1e-4, 1, None), (1e-3, 1, None), (1e-2, 1, None), (1e-3, 2, None)]
    hits = np.zeros((4, 400))
    # The first trades 20 rows for 16 and is 4 behind, within 6; the next two are 3 behind, past √3.
    hits[0, 20:210], hits[0, 300:312] = 1, 1
    hits[1:3, :203], hits[3, :206] = 1, 1
    table = candidate_table(candidates, hits)
    assert (table["behind"] <= table["behind_error"]).tolist() == [True, False, False, True]
    assert choose(table) == 2  # it admits one round, and of those the best score is another's
    hits[0] = 0
    assert choose(candidate_table(candidates, hits)) == 3


def test_weights_of_rows_weigh_scores():
    hits = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    candidates = [(1e-3, 1, None), (1e-3, 2, None)]
    weights = np.array([1.0, 1, 5, 5])
    table = candidate_table(candidates, hits, weights)
    repeated = candidate_table(candidates, np.repeat(hits, [1, 1, 5, 5], axis=1))
    assert table["score"].tolist() == pytest.approx(repeated["score"].tolist())
    assert table["score"][1] == pytest.approx(10 / 12)


# ---- The whole ----------------------------------------------------------------------------------


def test_scores_equal_those_of_fits_by_hand():
    x, y, _ = noisy()
    model = SelfDistillationClassifier.tuned(
        x, y, rounds=3, weight_decays=[1e-1, 1e-3], folds=3, random_state=7
    )
    table = model.search_
    assert len(table["score"]) == 2 * (3 + 1)
    fold = folds(y, 3, seed=7)
    for i in range(len(table["score"])):
        hits = np.zeros(len(x))
        for part in range(3):
            kept, held = fold != part, fold == part
            candidate = SelfDistillationClassifier(
                int(table["rounds"][i]),
                table["weight_decay"][i],
                refine=table["refine"][i],
                random_state=7,
            ).fit(x[kept], y[kept])
            hits[held] = candidate.predict(x[held]) == y[held]
        assert table["score"][i] == hits.mean()
    best = int(np.flatnonzero(table["chosen"])[0])
    assert model.rounds == table["rounds"][best]
    assert model.weight_decay == table["weight_decay"][best]
    assert model.refine == table["refine"][best]
    again = SelfDistillationClassifier(**model.get_params()).fit(x, y)
    assert np.array_equal(model.coef_, again.coef_)


def test_it_distils_where_weight_decay_is_held_too_small_and_not_where_it_may_be_raised():
    """Half the labels of the digits redrawn: at λ = 1e-5 rounds help; a larger λ helps more."""
    features = load_features("digits").centered().unit_norm()
    noise = corruption_matrix("symmetric", 10, 0.5)
    given_labels = corrupt_labels(features.labels, noise, seed=0).labels

    def accuracy(model):
        return (model.predict(features.test_x) == features.test_labels).mean()

    held = SelfDistillationClassifier.tuned(
        features.x, given_labels, folds=3, weight_decays=[1e-5], refine=[None]
    )
    teacher = SelfDistillationClassifier(1, 1e-5).fit(features.x, given_labels)
    assert held.rounds > 1
    assert accuracy(held) > accuracy(teacher)
    free = SelfDistillationClassifier.tuned(features.x, given_labels, folds=3)
    assert free.weight_decay > 1e-5
    assert accuracy(free) > accuracy(held)
    clean = SelfDistillationClassifier.tuned(features.x, features.labels, folds=3)
    assert clean.rounds == 1


def test_rows_of_weight_zero_and_whole_weights():
    x, y, _ = noisy()
    rng = np.random.default_rng(0)
    w = rng.integers(0, 3, len(x))
    options = {"rounds": 2, "weight_decays": [1e-2], "folds": 3}
    all_rows = SelfDistillationClassifier.tuned(x, y, sample_weight=w, **options)
    kept = SelfDistillationClassifier.tuned(x[w > 0], y[w > 0], sample_weight=w[w > 0], **options)
    for name in ("score", "behind", "chosen"):
        assert np.array_equal(all_rows.search_[name], kept.search_[name])
    plain = SelfDistillationClassifier.tuned(x, y, **options)
    assert not np.array_equal(plain.search_["score"], all_rows.search_["score"])


def test_soft_labels_score_by_their_probabilities_and_progress_is_told():
    x, y, _ = noisy()
    soft = 0.8 * np.eye(3)[y] + 0.2 / 3
    told = []
    options = {"rounds": 2, "weight_decays": [1e-2, 1e-1], "folds": 3}
    hard = SelfDistillationClassifier.tuned(x, y, **options)
    model = SelfDistillationClassifier.tuned(
        x, soft, progress=lambda done, total: told.append((done, total)), **options
    )
    assert told == [(i + 1, 6) for i in range(6)]
    largest = model.search_["score"].max()
    assert 0.2 / 3 < largest < 0.8 + 0.2 / 3
    assert hard.search_["score"].max() > largest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"refine": ["top3"]}, "refine must list"),
        ({"refine": []}, "refine must list"),
        ({"folds": 1}, "folds must be an integer of at least 2"),
        ({"rounds": 0}, "rounds"),
        ({"weight_decays": []}, "weight_decays must hold"),
        ({"weight_decays": [0.0]}, "weight_decay"),
    ],
)
def test_bad_settings(options, words):
    x, y, _ = noisy(n=30)
    with pytest.raises(InvalidSetting, match=words):
        SelfDistillationClassifier.tuned(x, y, **options)
    with pytest.raises(InvalidFeatures, match="all zeros"):
        SelfDistillationClassifier.tuned(np.zeros((30, 3)), y)


def test_two_hot_alone_keeps_the_teacher_as_its_rival():
    x, y, _ = noisy()
    model = SelfDistillationClassifier.tuned(x, y, refine=["top2"], weight_decays=[1e-2], folds=2)
    assert list(zip(model.search_["rounds"], model.search_["refine"], strict=True)) == [
        (1, None),
        (2, "top2"),
    ]
