"""Diagnosis: noise found, claims kept, votes exact; planted faults that are caught."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import problem

import gramlab
from gramlab import cli
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.advice import KINDS, advise
from gramlab.diagnosis.columns import (
    cleaned_arrays,
    cleaned_columns,
    label_columns,
    suspect_columns,
)
from gramlab.diagnosis.explanation import explain_rows
from gramlab.diagnosis.posterior import nearest_rows, neighbour_votes
from gramlab.diagnosis.recorruption import isotonic_map
from gramlab.diagnosis.selection import SettingSearch, decay_grid
from gramlab.diagnosis.suspects import ranking_auc
from gramlab.diagnosis.trial import (
    LABELS,
    Scoring,
    Setting,
    Trial,
    corrected_accuracy,
    expected_accuracy,
)
from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.runner import Run, folds
from gramlab.spectrum import Spectrum, dense_gram
from gramlab.transition.mixture import given_label_posterior

EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module")
def noisy():
    """Digits with 40 % asymmetric noise: not symmetric, so that a transpose shows."""
    settings = DiagnosisSettings(noise="asymmetric", rate=0.4, seed=3, max_rounds=3)
    return diagnose(gramlab.load_features("digits"), settings)


def knnranking_auc(diagnosis, count: int) -> float:
    nearest = nearest_rows(diagnosis.features, count)
    agree = (diagnosis.given[nearest] == diagnosis.given[:, None]).mean(axis=1)
    found = ranking_auc(-agree, diagnosis.planted.flipped)
    assert found is not None
    return found


# ---- What it is for ---------------------------------------------------------------------------


def test_planted_noise_is_ranked_better_than_by_a_vote_of_neighbours(noisy):
    ours = noisy.trial()["auc"]
    assert ours > max(knnranking_auc(noisy, count) for count in (5, 10, 20, 50))


def test_heads_that_saw_the_labels_find_less(noisy):
    """The planted fault: in-sample predictions of a head that memorizes."""
    features, given, wrong = noisy.features, noisy.given, noisy.planted.flipped
    k = features.n_classes
    head = gramlab.SoftmaxHead(1e-7, tolerance=1e-4)
    inside = np.asarray(head.fit(features, gramlab.one_hot(given, k)).probabilities)
    memorized, _ = given_label_posterior(inside, noisy.estimate.matrix, given)
    rows = np.arange(len(given))
    found = ranking_auc(-memorized[rows, given], wrong)
    assert found is not None
    assert found < noisy.trial()["auc"] - 0.02, found


def test_claimed_precision_is_within_five_points_of_the_truth(noisy):
    """The goal the claim is made for; at the median suspect and at the last."""
    suspects, wrong = noisy.suspects, noisy.planted.flipped
    claimed = suspects.precision_at()
    truth = np.cumsum(wrong[suspects.rows]) / np.arange(1, len(suspects) + 1)
    for k in (len(suspects) // 2, len(suspects)):
        assert abs(claimed[k - 1] - truth[k - 1]) <= 0.05
    assert noisy.trial()["claimed_precision"] == pytest.approx(claimed[-1], rel=1e-12)


def test_clean_labels_are_left_alone():
    found = diagnose(
        gramlab.load_features("digits"),
        DiagnosisSettings(max_rounds=2, recorrupt=False, tolerance=1e-8),
    )
    assert not found.advice.distils
    assert found.advice.kind in KINDS[:3]
    exact = {t.setting: t for t in found.trials if t.head == "exact"}
    mended = [one for one in exact if one.cleaned and Setting(one.weight_decay) in exact]
    assert {one.labels for one in mended} == set(LABELS[1:])
    for one in mended:  # hardly anything is changed, and nothing that is measured
        if one.labels == "soft-labels":
            continue  # which are half the heads' own where noise by class was not shown
        plain = exact[Setting(one.weight_decay)].accuracy
        assert abs(exact[one].accuracy.value - plain.value) < plain.standard_error
    assert found.advice.sentence.startswith("Do not distil")
    assert len(found.suspects) < 0.02 * found.features.n_samples
    assert found.trial() is None
    assert found.recorruption is None


def test_cleaned_labels_are_better_to_train_on_and_their_accuracy_is_known(noisy):
    truth = noisy.planted.true_labels
    exact = [t for t in noisy.trials if t.head == "exact"]
    best = {}
    for trial in exact:
        true = float((trial.predicted == truth).mean())
        # The whole error of an accuracy; that of differences is smaller.
        assert abs(trial.accuracy.value - true) <= 3.0 * trial.accuracy.standard_error
        kind = trial.setting.labels
        best[kind] = max(best.get(kind, 0.0), true)
    assert set(best) == set(LABELS)
    assert all(best[kind] > best["given"] + 0.01 for kind in LABELS[1:])
    assert noisy.advice.kind in LABELS[1:]
    assert noisy.advice.sentence.startswith("Do not distil: train again ")


def test_the_final_fit_is_that_of_the_advice_on_all_rows(noisy):
    setting = noisy.advice.chosen.setting
    targets, weights = noisy.cleaned.problem(setting.labels)
    head = gramlab.SoftmaxHead(setting.weight_decay, sample_weight=weights)
    twin, found = head.fit(noisy.features, targets), noisy.fits["chosen"]
    bound = twin.certificate.weights_bound + found.certificate.weights_bound
    assert np.linalg.norm(np.asarray(twin.weights) - np.asarray(found.weights)) <= bound
    assert noisy.recovery(found) > noisy.recovery(noisy.fits["reference"])
    assert {one["labels"] for one in noisy.as_dict()["tried"]} == set(LABELS)
    assert noisy.as_dict()["cleaned"] == {
        "left_out": int((noisy.cleaned.weight == 0.0).sum()),
        "spared_classes": [],
    }


def test_cleaned_labels_are_exported_whole_and_read_without_pickle(noisy, tmp_path):
    raw = gramlab.load_features("digits")
    np.savez(tmp_path / "cleaned.npz", **cleaned_arrays(noisy, raw))
    with np.load(tmp_path / "cleaned.npz", allow_pickle=False) as file:
        found = dict(file)
    assert np.array_equal(found["features"], raw.x)
    assert np.array_equal(found["given"], noisy.given)
    assert np.array_equal(found["proposed"], noisy.suspects.predicted)
    assert np.array_equal(found["soft_labels"], noisy.posterior.posterior)
    assert np.array_equal(found["weights"] == 0.0, noisy.suspects.suspected)
    assert tuple(found["class_names"]) == raw.class_names
    columns = cleaned_columns(noisy)
    assert columns["kept"] == (found["weights"] == 1.0).tolist()
    assert columns["probability_wrong"] == (1.0 - noisy.suspects.quality).tolist()
    names = [raw.class_names[label] for label in columns["proposed"]]
    assert columns["proposed_name"] == names
    short = gramlab.Features(raw.x[:-1], raw.labels[:-1])
    with pytest.raises(InvalidFeatures, match="1437 rows that were to be diagnosed, got 1436"):
        cleaned_arrays(noisy, short)


def test_classes_of_suspects_alone_are_named(noisy):
    assert noisy.format_spared() == ""
    none = noisy.posterior.posterior.copy()
    none[noisy.given == 4, 4] = 0.0
    other = replace(noisy, posterior=replace(noisy.posterior, posterior=none))
    assert other.format_spared().startswith("All rows given as 4 are suspects.")
    assert other.as_dict()["cleaned"]["spared_classes"] == [4]


# ---- The posterior and the orientation of C ---------------------------------------------------


def test_a_transposed_matrix_is_refused_or_explains_less(noisy):
    p, given = noisy.posterior.held_out, noisy.given
    uneven = np.array([[0.9, 0.1], [0.4, 0.6]])
    with pytest.raises(InvalidSetting, match="transpose"):
        given_label_posterior(np.full((4, 2), 0.5), uneven.T, np.array([0, 1, 0, 1]))
    # The planted matrix is doubly stochastic, so that its transpose passes; the likelihood tells.
    truth = noisy.planted.matrix
    _, right = given_label_posterior(p, truth, given)
    posterior, swapped = given_label_posterior(p, truth.T, given)
    assert swapped < right
    rows = np.arange(len(given))
    assert ranking_auc(-posterior[rows, given], noisy.planted.flipped) < noisy.trial()["auc"]


def test_the_posterior_is_bayes_rule():
    matrix = np.array([[0.8, 0.2], [0.3, 0.7]])
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    found, value = given_label_posterior(p, matrix, np.array([1, 1]))
    assert np.abs(found - [[0.2 / 0.9, 0.7 / 0.9], [1.0, 0.0]]).max() <= 4 * EPS
    assert value == pytest.approx((np.log(0.45) + np.log(0.2)) / 2, rel=8 * EPS)
    impossible, _ = given_label_posterior(p, np.eye(2), np.array([1, 1]))
    assert impossible[1].tolist() == [1.0, 0.0], "a label without probability teaches nothing"


def test_neighbours_are_the_largest_inner_products():
    features, _ = problem(60, 5, 3, seed=2)
    products = features.x @ features.x.T
    np.fill_diagonal(products, -np.inf)
    twin = np.argsort(-products, axis=1, kind="stable")[:, :7]
    assert np.array_equal(nearest_rows(features, 7), twin)
    votes = neighbour_votes(twin, features.labels, 3)
    assert votes[4].tolist() == np.bincount(features.labels[twin[4]], minlength=3).tolist()
    with pytest.raises(InvalidSetting):
        nearest_rows(features, 60)


# ---- Accuracy without true labels -------------------------------------------------------------


def test_corrected_accuracy_is_exact_on_exact_counts():
    """Given labels in exactly the expected numbers: the correction is an identity."""
    matrix = np.array([[0.5, 0.5, 0.0], [0.0, 0.75, 0.25], [0.25, 0.25, 0.5]])
    joint = np.array([[30, 2, 1], [4, 20, 2], [1, 3, 25]])  # [predicted, true], times 4
    predicted, given = [], []
    for (a, y), n in np.ndenumerate(joint):
        for g in range(3):
            count = round(4 * n * matrix[y, g])
            predicted += [a] * count
            given += [g] * count
    a, g = np.array(predicted), np.array(given)
    found = corrected_accuracy(a, g, matrix)
    assert found is not None
    truth = np.trace(joint) / joint.sum()
    scale = np.linalg.norm(np.linalg.inv(matrix), 2) * np.linalg.cond(matrix)
    assert abs(found.value - truth) <= 4 * len(a) * EPS * scale
    wrong = corrected_accuracy(a, g, matrix.T / matrix.T.sum(axis=1, keepdims=True))
    assert wrong is not None
    assert abs(wrong.value - truth) > 0.01, "a transposed matrix would have passed"
    assert abs((a == g).mean() - truth) > 0.01, "and so would agreement with given labels"
    assert corrected_accuracy(a, g, np.full((3, 3), 1 / 3)) is None


def test_expected_accuracy_and_its_pairs_are_counts_when_labels_are_known():
    rng = np.random.default_rng(0)
    true, a, b = rng.integers(0, 3, (3, 200))
    scoring = Scoring(np.eye(3)[true], true, np.eye(3))
    one, other = (scoring.trial(Setting(1.0), "exact", predicted) for predicted in (a, b))
    assert one.expected.value == (a == true).mean()
    assert one.accuracy == pytest.approx(one.expected, rel=8 * EPS)
    only_a = int(((a == true) & (b != true)).sum())
    only_b = int(((b == true) & (a != true)).sum())
    found = scoring.difference(one, other)
    assert found.value == pytest.approx((only_a - only_b) / 200, abs=4 * EPS)
    assert found.standard_error**2 == pytest.approx((only_a + only_b) / 200**2, rel=1e-13)
    assert found.value == pytest.approx(one.accuracy.value - other.accuracy.value, abs=4 * EPS)
    assert scoring.difference(one, one) == (0.0, 0.0)


def test_the_error_of_a_difference_is_that_of_the_value_used():
    """Both estimates row by row, and what q leaves open of the true labels: from the definition."""
    rng = np.random.default_rng(1)
    q, given = rng.dirichlet(np.ones(3), 50), rng.integers(0, 3, 50)
    matrix = np.array([[0.7, 0.2, 0.1], [0.0, 0.8, 0.2], [0.3, 0.1, 0.6]])
    a, b = rng.integers(0, 3, (2, 50))
    inverse = np.linalg.inv(matrix)
    total, square = 0.0, 0.0
    for i in range(50):
        d = q[i, a[i]] - q[i, b[i]]
        both = 0.5 * (d + inverse[given[i], a[i]] - inverse[given[i], b[i]])
        truth = np.array([1.0 * (a[i] == y) - (b[i] == y) for y in range(3)])
        total += both
        square += both**2 + q[i] @ (truth - q[i] @ truth) ** 2
    scoring = Scoring(q, given, matrix)
    one, other = (scoring.trial(Setting(1.0), "exact", predicted) for predicted in (a, b))
    found = scoring.difference(one, other)
    assert found.value == pytest.approx(total / 50, rel=1e-12)
    assert found.standard_error == pytest.approx(np.sqrt(square) / 50, rel=1e-12)


def test_one_row_does_not_decide():
    """One row of 600 whose label is known and is far from common under C."""
    given = np.zeros(600, dtype=np.int64)
    scoring = Scoring(np.tile([1.0, 0.0], (600, 1)), given, np.array([[0.7, 0.3], [0.3, 0.7]]))
    in_use = np.arange(600) < 200
    better = in_use.copy()
    better[200] = True
    trials = [
        scoring.trial(Setting(decay), "exact", np.where(right, 0, 1))
        for decay, right in ((1.0, in_use), (0.1, better))
    ]
    found = advise(trials, 1.0, scoring)
    assert found.best is trials[1]
    assert found.behind.value == pytest.approx(1.75 / 600)
    assert found.behind.standard_error == found.behind.value
    assert found.kind == "keep"
    better[201] = True
    more = scoring.trial(Setting(0.1), "exact", np.where(better, 0, 1))
    assert advise([trials[0], more], 1.0, scoring).kind == "lower-weight-decay"


# ---- Settings and advice ----------------------------------------------------------------------


def test_theory_on_folds_is_the_linearized_head_on_its_training_rows():
    features, _ = problem(90, 6, 3, seed=5, soft=False)
    given = np.where(np.arange(90) % 7 == 0, (features.labels + 1) % 3, features.labels)
    fold = folds(given, 3, 0)
    decays = decay_grid(features)[:3]
    run = Run(features.x, 3, fold, given)
    search = SettingSearch(run, Scoring(np.eye(3)[given], given, np.eye(3)), 3)
    trials = search.trials(decays, decays[1], grow=False)
    theory = {t.setting: t.predicted for t in trials if t.head == "theory"}
    assert {s for s in theory if s.weight_decay in decays} == {
        Setting(decay, t, refine)
        for decay in decays
        for t, refine in ((1, ""), (2, ""), (3, ""), (2, "top2"))
    }
    for part in range(3):
        train = fold != part
        rows = gramlab.Features(features.x[train], given[train], n_classes=3)
        targets = gramlab.one_hot(given[train], 3)
        for decay in decays:
            head = gramlab.LinearizedHead(decay)
            rounds = gramlab.distill(head, rows, targets, 3)
            for t in (1, 2, 3):
                twin = rounds[t - 1].predict(features.x[~train])
                assert np.array_equal(theory[Setting(decay, t)][~train], twin)
            student = head.fit(rows, gramlab.partial_labels(rounds[0].probabilities, 2, seed=0))
            twin = student.predict(features.x[~train])
            assert np.array_equal(theory[Setting(decay, 2, "top2")][~train], twin)
    exact = {t.setting for t in trials if t.head == "exact"}
    assert {Setting(decay) for decay in decays} <= exact
    once = np.array([s.weight_decay for s in exact if not s.distils])
    rounds = [s for s in exact if s.distils and not s.refine]
    assert {s.rounds for s in rounds} >= {2}
    for setting in rounds:  # beside one training at what they spend
        spent = setting.rounds * setting.weight_decay
        assert np.abs(np.log(once / spent)).min() < np.log(1.1)


def test_rounds_have_to_beat_one_training_at_their_total_weight_decay():
    def trial(setting, first, last):
        predicted = 1 - np.isin(np.arange(400), np.arange(first, last)).astype(np.int64)
        found = expected_accuracy(predicted, TRUE)
        return Trial(setting, "exact", found, found, None, 0.0, predicted)

    trials = [
        trial(Setting(1.0), 0, 300),
        trial(Setting(0.5), 0, 345),  # nearly the rounds' own rows: surely behind them
        trial(Setting(1.0, 3), 0, 350),
    ]
    total = trial(Setting(3.0), 41, 385)  # further behind, but on other rows: within the error
    found = advise([*trials, total], 1.0, KNOWN)
    assert found.kind == "raise-weight-decay"
    assert found.chosen is total
    assert found.at_total is None
    beaten = trial(Setting(3.1), 0, 344)
    found = advise([*trials, beaten], 1.0, KNOWN)
    assert found.kind == "distil"
    assert found.at_total is beaten
    assert found.against_total is not None
    assert found.against_total.value == pytest.approx(6 / 400)
    error = f"{100 * found.against_total.standard_error:.1f}"
    assert f"+1.5 ± {error} over one at 3.1, near the total 3;" in found.sentence
    exact = advise([*trials, trial(Setting(3.0), 0, 344)], 1.0, KNOWN)
    assert f"+1.5 ± {error} over one at the total 3;" in exact.sentence
    assert found.as_dict()["at_total"]["weight_decay"] == 3.1
    # The top-two student spends what no theorem counts.
    student = trial(Setting(1.0, 2, "top2"), 0, 360)
    assert advise([*trials, total, student], 1.0, KNOWN).at_total is None


def made_up(setting: Setting, right: int, n: int = 400) -> Trial:
    """A setting that is right on ``right`` rows, which ones is its own; all true labels are 0."""
    key = round(setting.weight_decay * 10) + setting.rounds + 100 * LABELS.index(setting.labels)
    order = np.random.default_rng(key).permutation(n)
    predicted = (order >= right).astype(np.int64)
    found = expected_accuracy(predicted, TRUE)
    return Trial(setting, "exact", found, found, None, 0.0, predicted)


TRUE = np.tile([1.0, 0.0], (400, 1))
KNOWN = Scoring(TRUE, np.zeros(400, dtype=np.int64), np.eye(2))


@pytest.mark.parametrize(
    ("right", "kind"),
    [
        # in use, more decay, less decay, dropped, relabelled, soft, three rounds, top-2; of 400
        ((300, 300, 300, 301, 300, 300, 301, 300), "keep"),
        ((300, 340, 310, 341, 300, 341, 341, 300), "raise-weight-decay"),
        ((300, 310, 340, 300, 341, 300, 341, 300), "lower-weight-decay"),
        ((300, 310, 310, 350, 350, 350, 350, 300), "drop-suspects"),
        ((300, 310, 310, 310, 350, 350, 350, 300), "relabel"),
        ((300, 310, 310, 310, 310, 350, 351, 351), "soft-labels"),
        ((300, 310, 310, 300, 310, 310, 350, 300), "distil"),
        ((300, 310, 310, 310, 300, 310, 300, 350), "top2-student"),
    ],
)
def test_every_kind_of_advice_is_given_where_it_is_due(right, kind):
    settings = [Setting(1.0), Setting(10.0), Setting(0.1)]
    settings += [Setting(0.5, labels=labels) for labels in LABELS[1:]]
    settings += [Setting(1.0, 3), Setting(1.0, 2, "top2")]
    trials = [made_up(s, r) for s, r in zip(settings, right, strict=True)]
    found = advise(trials, 1.0, KNOWN)
    assert found.kind == kind
    assert found.distils == (kind in KINDS[-2:])
    assert found.sentence.startswith("Do not distil") == (kind in KINDS[:-2])
    assert found.runner_up is not None
    assert found.runner_up is not found.chosen
    assert not found.on_given.setting.cleaned
    assert (found.on_given is found.chosen) == (kind not in LABELS)
    assert found.behind.value <= found.behind.standard_error or found.behind.value == 0.0


def test_settings_are_ranked_beside_the_theory(noisy):
    ranked = noisy.ranked_settings()
    values = [one.exact.accuracy.value for one in ranked]
    assert values == sorted(values, reverse=True)
    assert {one.exact.head for one in ranked} == {"exact"}
    assert [one.theory is None for one in ranked] == [one.exact.setting.cleaned for one in ranked]
    theory = [(one, one.theory) for one in ranked if one.theory is not None]
    assert all(found.setting == one.exact.setting for one, found in theory)
    assert all(found.head == "theory" for _, found in theory)
    roles = {role: one.exact for one in ranked for role in one.roles}
    advice = noisy.advice
    assert roles == {
        "advised": advice.chosen,
        "in use": advice.reference,
        "runner-up": advice.runner_up,
    }


# ---- Who voted --------------------------------------------------------------------------------


def test_votes_are_rows_of_the_dense_filter():
    features, _ = problem(50, 8, 3, seed=1)
    n, k, decay = 50, 3, 0.01
    gram = dense_gram(features)
    step = gram @ np.linalg.inv(gram + k * n * decay * np.eye(n))
    missing_k = gram @ np.linalg.inv(gram + n * decay * np.eye(n))
    rows = np.array([7, 31])
    found = explain_rows(
        Spectrum.of(features), features.labels, rows, decay, 3, n_classes=k, voters=4
    )
    tolerance = 100 * n * EPS * np.linalg.cond(gram + k * n * decay * np.eye(n))
    for votes, row in zip(found, rows, strict=True):
        for t, one in enumerate(votes, 1):
            dense = np.linalg.matrix_power(step, t)[row]
            assert one.row == row
            assert one.round == t
            assert abs(one.own - dense[row]) <= tolerance
            assert row not in one.voters
            assert one.voters.base is None, "it would keep the order of all rows"
            assert np.abs(one.weights - dense[one.voters]).max() <= tolerance
            others = np.delete(dense, row)
            assert np.abs(np.sort(others)[::-1][:4] - one.weights).max() <= tolerance
            assert np.array_equal(one.labels, features.labels[one.voters])
            total = np.bincount(np.delete(features.labels, row), weights=others, minlength=k)
            assert np.abs(total - one.by_class).max() <= n * tolerance
            fault = np.linalg.matrix_power(missing_k, t)[row]
            assert abs(one.own - fault[row]) > tolerance, "a missing factor K would have passed"


# ---- Calibration ------------------------------------------------------------------------------


def test_calibration_is_isotonic_and_never_sure():
    scores = np.arange(1.0, 9.0)
    split = isotonic_map(scores, np.arange(8) >= 4, scores)
    # With one wrong label below and one right one above: 1 0 0 0 0 | 1 1 1 1 0.
    assert np.abs(split - np.repeat([0.2, 0.8], 4)).max() <= 8 * EPS
    mixed = isotonic_map(scores, np.array([0, 1, 1, 0, 0, 1, 1, 1], dtype=bool), scores)
    assert (np.diff(mixed) >= 0).all()
    assert (mixed > 0).all()
    assert (mixed < 1).all()
    upside_down = isotonic_map(scores, np.arange(8) < 4, scores)
    assert np.ptp(upside_down) <= 8 * EPS, "a score that ranks the wrong way earns no order"
    assert isotonic_map(scores[:0], np.zeros(0, dtype=bool), scores).tolist() == [0.5] * 8


def test_resamples_know_their_truth(noisy):
    assert [one.name for one in noisy.recorruption] == ["cleaned", "drawn"]
    for resample in noisy.recorruption:
        n = noisy.features.n_samples
        rate = noisy.estimate.noise_rate.value
        # Five standard deviations of the number of labels that the estimated noise corrupts.
        assert abs(resample.wrong.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / n) + 0.02
        assert resample.precision == resample.wrong[resample.suspected].mean()
    suspects = noisy.suspects
    assert (suspects.precision_low <= suspects.precision).all()
    assert (suspects.precision <= suspects.precision_high).all()
    assert (np.diff(suspects.quality[suspects.rows]) >= 0).all()
    assert (suspects.proposed != suspects.given).all()


# ---- Small and odd data -----------------------------------------------------------------------


def test_two_classes_without_a_test_split():
    features, _ = problem(40, 4, 2, seed=3, scale=2.0)
    found = diagnose(features, DiagnosisSettings(folds=2, max_rounds=3))
    assert not any(t.setting.refine for t in found.trials), "two labels of two say nothing"
    assert found.test_agreement(found.fits["chosen"]) is None
    assert json.loads(json.dumps(found.as_dict()["advice"]))["kind"] in KINDS


def test_what_cannot_be_diagnosed_is_refused_in_one_line():
    features, _ = problem(31, 4, 3, seed=0)
    lonely = gramlab.Features(features.x, [*([0, 1] * 15), 2], class_names=["a", "b", "lonely"])
    with pytest.raises(InvalidLabels, match="'lonely'") as caught:
        diagnose(lonely)
    assert "\n" not in str(caught.value)
    for change in ({"folds": 1}, {"folds": 32}, {"max_rounds": 0}, {"rate": 1.0}, {"voters": 0}):
        with pytest.raises(InvalidSetting):
            diagnose(features, DiagnosisSettings(**change))
    with pytest.raises(InvalidSetting, match="weight_decay"):
        DiagnosisSettings(weight_decay=-1.0)  # at once, before there is any data


# ---- Tables and the command line --------------------------------------------------------------


def test_columns_are_those_of_cleanlab(noisy):
    every, ranked = label_columns(noisy), suspect_columns(noisy)
    assert list(every) == ["is_label_issue", "label_quality", "given_label", "predicted_label"]
    assert sum(every["is_label_issue"]) == len(ranked["row"]) == len(noisy.suspects)
    for number, row in enumerate(ranked["row"]):
        assert ranked["label_quality"][number] == every["label_quality"][row]
        assert ranked["given_label"][number] == noisy.given[row]
    assert [len(v) for v in ranked.values()] == [len(noisy.suspects)] * len(ranked)


def test_command_line_writes_json_alone_to_stdout(capsys):
    arguments = "diagnose digits --folds 2 --max-rounds 1 --no-recorrupt --json -".split()
    assert cli.main(arguments) == 0
    found = json.load(io.StringIO(capsys.readouterr().out))
    assert found["trial"] is None
    assert {one["rounds"] for one in found["tried"]} == {1}
    assert not found["advice"]["distil"]


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "1"], ["--folds", "1"], ["--max-rounds", "0"], ["--weight-decay", "-1"]],
)
def test_command_line_refuses(arguments, capsys):
    assert cli.main(["diagnose", "digits", *arguments]) == 2
    assert capsys.readouterr().err.startswith("gramlab: error: ")
