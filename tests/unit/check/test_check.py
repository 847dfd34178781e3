"""The main job as data: its numbers, its keys, its honesty about noise and truth."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from gramlab import testing
from gramlab.check import CheckSettings, run_check
from gramlab.errors import InvalidSetting, NotConvergedWarning
from gramlab.features import Features
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import corrupt_labels, corruption_matrix
from gramlab.numerics.content import to_json
from gramlab.targets import one_hot, partial_labels

SETTINGS = CheckSettings(rate=0.4, weight_decay=1e-2, rounds=3, seed=5, center=True, unit_norm=True)


@pytest.fixture(scope="module")
def features() -> Features:
    rng = np.random.default_rng(0)
    centres = 2 * rng.standard_normal((4, 6))
    labels, test_labels = np.arange(80) % 4, np.arange(20) % 4
    return Features(
        centres[labels] + rng.standard_normal((80, 6)),
        labels,
        test_x=centres[test_labels] + rng.standard_normal((20, 6)),
        test_labels=test_labels,
    )


@pytest.fixture(scope="module")
def result(features):
    return run_check(features, SETTINGS)


def test_numbers_equal_a_run_by_hand(features, result):
    ready = features.centered().unit_norm()
    given = corrupt_labels(ready.labels, corruption_matrix("symmetric", 4, 0.4), seed=5)
    found = json.loads(to_json(result.as_dict()))
    assert found["data"]["realized_rate"] == (given.labels != ready.labels).mean()
    current = targets = one_hot(given.labels, 4)
    for t in range(1, 4):
        line = found["rounds"][t - 1]
        assert line["round"] == t
        linear = testing.dense_closed_form(ready.x @ ready.x.T, targets, 1e-2, t)
        weights = testing.dense_newton_head(ready.x, current, 1e-2)
        exact = np.exp(ready.x @ weights)
        exact /= exact.sum(axis=1, keepdims=True)
        for name, p in (("linearized", linear), ("exact", exact)):
            assert line[name]["label_recovery"] == (p.argmax(1) == ready.labels).mean()
            assert line[name]["train_accuracy"] == (p.argmax(1) == given.labels).mean()
        tested = (ready.test_x @ weights).argmax(axis=1) == ready.test_labels
        assert line["exact"]["test_accuracy"] == tested.mean()
        assert line["exact"]["certificate"]["relative_gap"] <= 1e-8
        assert line["distance"]["max_abs"] == pytest.approx(np.abs(linear - exact).max(), abs=1e-2)
        assert sum(line["certified"].values()) == pytest.approx(1, abs=1e-12)
        assert line["certified"]["undecided"] <= 0.01
        assert line["error_recursion"]["holds"]
        wrong = given.flipped
        by_class = [exact[wrong & (ready.labels == k)] for k in range(4)]
        mean = np.mean([p[:, k].mean() for k, p in enumerate(by_class)])
        averaged = found["label_averaging"][t - 1]["exact"]["flipped_true"]
        assert averaged == pytest.approx(mean, abs=1e-3)
        dense = testing.dense_filter(ready.x @ ready.x.T, 4 * 80 * 1e-2, t)
        weights_of = found["label_averaging"][t - 1]["weights"]
        assert weights_of["own"] == pytest.approx(np.diag(dense).mean(), abs=1e-12)
        assert sum(weights_of.values()) == pytest.approx(dense.sum(axis=1).mean(), abs=1e-12)
        current = exact
    teacher = result.exact[0].probabilities
    two_hot = partial_labels(teacher, 2, seed=5)
    coverage = found["partial_label_student"]["top_two_coverage"]["exact"]
    assert coverage == (two_hot[np.arange(80), ready.labels] > 0).mean()


def test_what_rounds_spent_is_told_with_what_theory_says_of_it(result):
    found = result.as_dict()
    decay, k = result.settings.weight_decay, result.features.n_classes
    targets = one_hot(result.given.labels, k) - 1.0 / k
    start = np.linalg.norm(result.features.x.T @ targets) / len(targets)
    for t, (row, fit) in enumerate(zip(found["rounds"], result.exact, strict=True), 1):
        spent = row["total_weight_decay"]
        assert spent == pytest.approx(t * decay, rel=1e-15)
        p = np.asarray(fit.probabilities)
        entropy = -(p * np.log(p)).sum(axis=1).mean()
        assert row["entropy"]["value"] == pytest.approx(entropy, rel=1e-12)
        assert row["entropy"]["low"] <= entropy <= row["entropy"]["high"]
        least = max(0.0, np.log(k) - start**2 / (4 * spent))
        assert row["entropy"]["least"] == pytest.approx(least, rel=1e-9)
        assert row["weight_norm"]["most"] == pytest.approx(start / spent, rel=1e-9)
        assert row["weight_norm"]["low"] <= np.linalg.norm(fit.weights)
    told = found["equivalent"]
    once = SoftmaxHead(told["total_weight_decay"], tolerance=1e-16)
    labels = once.fit(result.features, one_hot(result.given.labels, k)).labels
    same = (labels == result.exact[-1].labels).mean()
    assert told["same_class"] <= same <= 1.0 - told["other_class"]
    assert told["same_class"] > 0.5
    assert told["sentence"].startswith(f"{len(result.exact)} rounds at weight decay {decay:g}: one")


def undecided(found, kind: str) -> list[float]:
    return [row[kind]["certified"]["undecided"] for row in found["rounds"]]


def test_heads_are_polished_for_what_is_certified(features):
    """Solved early, most rows of late rounds are certified for their own targets alone."""
    rough = replace(SETTINGS, rounds=4, tolerance=0.1, certified_share=0.5)
    alone = run_check(features, replace(rough, certify="round"))
    found = alone.as_dict()
    assert max(undecided(found, "own")) <= 0.5
    assert max(undecided(found, "chain")) > 0.5
    assert [row["certified"] for row in found["rounds"]] == [
        row["own"]["certified"] for row in found["rounds"]
    ]
    result = run_check(features, replace(rough, certify="chain"))
    through = result.as_dict()
    assert max(undecided(through, "chain")) <= 0.5
    for row, fit, certificate in zip(
        through["rounds"], result.exact, result.exact.chain, strict=True
    ):
        assert row["certified"] == row["chain"]["certified"]
        assert row["chain"]["weights_bound"] == certificate.weights_bound
        assert row["own"]["weights_bound"] == fit.certificate.weights_bound
        assert row["exact"]["solver"]["polish"] == "share reached"
    passes = [
        [row["exact"]["solver"]["passes"] for row in run["rounds"]] for run in (found, through)
    ]
    assert all(before < after for before, after in zip(*passes, strict=True))


def test_polishing_ends_where_float64_gives_no_more(features):
    """A zero row is a tie at every round: all rows cannot be certified."""
    x = features.x.copy()
    x[3] = 0.0
    settings = replace(SETTINGS, certified_share=1.0, rounds=2, center=False, unit_norm=False)
    found = run_check(Features(x, features.labels), settings).as_dict()
    assert undecided(found, "chain") == [1 / 80] * 2
    for row in found["rounds"]:
        assert row["exact"]["solver"]["result"] == "converged"
        assert row["exact"]["solver"]["polish"] == "float64 floor"


def test_polishing_ends_at_a_gradient_of_zero():
    """Labels that the features cannot tell apart: the optimum is W = 0, and every row is a tie."""
    same = Features(np.ones((8, 2)), np.arange(8) % 2)
    settings = replace(SETTINGS, rate=0.0, rounds=2, center=False, unit_norm=False)
    found = run_check(same, settings).as_dict()
    assert undecided(found, "chain") == [1.0, 1.0]
    assert 1e-2 * found["rounds"][1]["chain"]["weights_bound"] < 1e-13  # rounding, over λ
    assert found["rounds"][1]["exact"]["solver"]["polish"] == "float64 floor"


def test_rounds_that_missed_their_tolerance_are_not_polished(features):
    stages = []

    class Listener:
        def stage(self, name):
            stages.append(name)

        def solving(self, passes, ratio):
            pass

    x = features.x.copy()
    x[3] = 0.0
    settings = replace(SETTINGS, tolerance=1e-300, certified_share=1.0, rounds=1, center=False)
    ready = Features(x, features.labels)
    settings = replace(settings, unit_norm=False)
    with pytest.warns(NotConvergedWarning):
        found = run_check(ready, settings, Listener()).as_dict()
    assert found["rounds"][0]["exact"]["solver"]["result"] == "float64 floor"
    assert not [name for name in stages if "again" in name]
    run_check(ready, replace(settings, tolerance=1e-8), Listener())
    assert "exact head again, round 1 of 1" in stages


def test_the_partial_label_student_has_a_chain_where_its_targets_are_certified(features, result):
    found = result.as_dict()["partial_label_student"]
    assert found["chain"]["reason"] is None
    assert found["chain"]["weights_bound"] == result.partial_rounds.chain[1].weights_bound
    assert sum(found["chain"]["certified"].values()) == pytest.approx(1.0)
    assert result.partial_rounds[1] is result.partial["exact"]
    # Beside the rough teacher above its targets are not known.
    rough = replace(SETTINGS, rounds=1, tolerance=0.1, certified_share=0.5)
    lost = run_check(features, rough).as_dict()["partial_label_student"]["chain"]
    assert lost["weights_bound"] is None
    assert lost["certified"] is None
    assert "two largest" in lost["reason"]


def test_keys_others_rely_on(result):
    found = json.loads(to_json(result.as_dict()))
    assert {"rounds", "partial_label_student", "spectrum", "settings", "provenance"} <= set(found)
    assert {
        "round",
        "linearized",
        "exact",
        "distance",
        "argmax_agreement",
        "certified",
    } <= set(found["rounds"][0])
    assert {"train_accuracy", "label_recovery", "test_accuracy", "certificate"} <= set(
        found["rounds"][0]["exact"]
    )
    assert {"relative_gap", "weights_bound", "local_bound", "gradient_norm", "duality_gap"} <= set(
        found["rounds"][0]["exact"]["certificate"]
    )
    assert {"versions", "device", "dtype", "data_sha256", "seed"} <= set(found["provenance"])
    assert [s["step"] for s in found["provenance"]["features"]["steps"]] == [
        "centered",
        "unit_norm",
    ]
    assert len(found["spectrum"]["eigenvalues"]) == 6
    assert found["spectrum"]["zero_eigenvalues"] == 74


def test_same_settings_give_equal_results(features, result):
    again = run_check(features, SETTINGS)
    assert to_json(again.as_dict()) == to_json(result.as_dict())
    other = run_check(features, replace(SETTINGS, seed=6))
    assert to_json(other.as_dict()) != to_json(result.as_dict())


def test_clean_labels_and_no_test_split(features):
    found = run_check(
        Features(features.x, features.labels), replace(SETTINGS, rate=0.0, rounds=1)
    ).as_dict()
    assert found["rounds"][0]["exact"]["test_accuracy"] is None
    assert found["data"]["n_test"] is None
    assert found["label_averaging"][0]["exact"]["flipped_true"] is None
    assert (
        found["rounds"][0]["exact"]["train_accuracy"]
        == found["rounds"][0]["exact"]["label_recovery"]
    )


def test_progress_names_every_stage(features):
    stages, ratios = [], []

    class Listener:
        def stage(self, name):
            stages.append(name)

        def solving(self, passes, ratio):
            ratios.append(ratio)

    run_check(features, replace(SETTINGS, rounds=2), Listener())
    assert stages[0] == "preparing features"
    assert "exact head, round 2 of 2" in stages
    assert stages[-1] == "comparison"
    assert min(ratios) < 1e-4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rate": 1.0}, "rate"),
        ({"weight_decay": 0.0}, "weight_decay"),
        ({"rounds": 0}, "rounds"),
        ({"noise": "other"}, "symmetric"),
        ({"noise": "superclass"}, "superclasses"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"seed": -1}, "seed"),
        ({"certify": "both"}, 'certify must be "round" or "chain", got \'both\''),
    ],
)
def test_bad_settings_are_refused(features, change, said):
    with pytest.raises(InvalidSetting, match=said):
        run_check(features, replace(SETTINGS, **change))
