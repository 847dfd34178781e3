"""``gramlab.diagnose``: any kind of rows and labels, none lost, and all in the caller's numbers."""

from __future__ import annotations

import numpy as np
import pytest

import gramlab
from gramlab.diagnosis import DiagnosisSettings
from gramlab.diagnosis import diagnose as diagnose_features
from gramlab.diagnosis.columns import label_columns, suspect_columns
from gramlab.diagnosis.trial import Scoring, Setting, corrected_accuracy, expected_accuracy
from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting, InvalidTargets
from gramlab.targets import relative_weights
from gramlab.transition import calibration, estimate_transition
from gramlab.transition.mixture import fit_mixture

QUICK = DiagnosisSettings(max_rounds=1, recorrupt=False, folds=3, explained=3)
N, K = 90, 3
EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module")
def rows():
    """Rows (N, d), true labels, and given ones of which a share is wrong."""
    rng, truth = np.random.default_rng(1), np.arange(N) % K
    x = 1.5 * rng.standard_normal((K, 6))[truth] + rng.standard_normal((N, 6))
    matrix = gramlab.corruption_matrix("asymmetric", K, 0.3)
    return x, truth, gramlab.corrupt_labels(truth, matrix, seed=5).labels


@pytest.fixture(scope="module")
def plain(rows):
    x, truth, given = rows
    return gramlab.diagnose(x, given, truth=truth, settings=QUICK)


def same(one, other) -> bool:
    """Whether two diagnoses found the same of every row, bit for bit."""
    return np.array_equal(one.suspects.rows, other.suspects.rows) and np.array_equal(
        one.suspects.quality, other.suspects.quality, equal_nan=True
    )


@pytest.fixture
def taken(monkeypatch):
    """What a diagnosis begins with, which it does not run: its features and their origin."""

    def begin(features, settings, *, origin, **more):
        return features, origin

    monkeypatch.setattr("gramlab.diagnosis.entry.diagnose_features", begin)
    return gramlab.diagnose


# ---- What is taken ----------------------------------------------------------------------------


def test_it_is_the_diagnosis_of_features(rows, plain):
    x, _, given = rows
    twin = diagnose_features(gramlab.Features(x, given), QUICK)
    assert same(plain, twin)
    assert plain.as_dict()["advice"] == twin.as_dict()["advice"]
    assert plain.set_aside == {} == twin.set_aside
    prepared = gramlab.Features(x, given).prepared(center=True, unit_norm=True, constant=True)
    assert same(plain, gramlab.diagnose(prepared, settings=QUICK)), "Features are as they are"
    raw = gramlab.diagnose(gramlab.Features(x, given), settings=QUICK)
    assert not same(plain, raw)
    assert (raw.settings.center, raw.settings.unit_norm) == (False, False)


def test_frames_tensors_and_lists_of_rows(rows, taken):
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    torch = pytest.importorskip("torch")
    x, _, given = rows
    for form in (
        x.tolist(),
        pd.DataFrame(x),
        pd.DataFrame(x).astype("Float64"),
        pl.DataFrame(x),
        torch.tensor(x, requires_grad=True),
        x.astype(object),
    ):
        features, _ = taken(form, given)
        assert np.array_equal(features.x, x), type(form)
        assert features.x.flags.c_contiguous, "so that results are alike to the last bit"
    half = torch.tensor(x).bfloat16()
    assert np.array_equal(taken(half, given)[0].x, half.float().numpy())


def test_labels_of_every_kind(rows, taken):
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    torch = pytest.importorskip("torch")
    x, _, given = rows
    names = np.array(["ape", "bee", "cat"])
    for labels in (
        given.tolist(),
        given.astype(float),
        given.astype(np.uint8),
        7 * given - 12,
        given + 2**60,
        names[given],
        names[given].tolist(),
        names[given].astype("S"),
        pd.Series(given).astype("Int64"),
        pd.Series(names[given]).astype("category"),
        pl.Series(names[given]),
        torch.tensor(given),
    ):
        features, origin = taken(x, labels)
        assert np.array_equal(features.labels, given), labels[:3]
        assert features.class_names == tuple(map(str, origin.classes))
    assert taken(x, 7 * given - 12)[1].classes == [-12, -5, 2]
    assert taken(x, names[given])[1].classes == ["ape", "bee", "cat"]


def test_class_names_give_names_or_the_order(rows, taken):
    x, _, given = rows
    names, text = ["c", "b", "a"], np.array(["c", "b", "a"])[given]
    for labels, classes in ((given, [0, 1, 2]), (text, names)):
        features, origin = taken(x, labels, class_names=names)
        assert np.array_equal(features.labels, given)
        assert features.class_names == ("c", "b", "a")
        assert list(origin.classes) == classes
    features, _ = taken(x, text)
    assert features.class_names == ("a", "b", "c")
    assert np.array_equal(features.labels, 2 - given)


# ---- What is set aside ------------------------------------------------------------------------


def test_nothing_is_lost_and_every_number_is_the_callers(rows, plain):
    x, truth, given = rows
    places = [0, 17, 40, 91]  # in what the caller gives
    kept = np.delete(np.arange(N + 4), places)
    wide = np.full((N + 4, 6), 1.0)
    labels = np.full(N + 4, None, dtype=object)
    true = np.full(N + 4, "ape", dtype=object)
    names = np.array(["ape", "bee", "cat"])
    wide[kept], labels[kept], true[kept] = x, names[given], names[truth]
    wide[0, 3], labels[0] = np.nan, "bee"
    wide[17] = np.inf  # and no label
    labels[91], true[91] = "gnu", "gnu"
    found = gramlab.diagnose(wide, labels, truth=true, settings=QUICK)
    assert {reason: rows.tolist() for reason, rows in found.set_aside.items()} == {
        "features not finite": [0, 17],
        "no label": [40],
        "only row of its class": [91],
    }
    assert np.array_equal(found.suspects.rows, kept[plain.suspects.rows])
    assert np.array_equal(found.suspects.quality[kept], plain.suspects.quality)
    assert np.isnan(found.suspects.quality[places]).all()
    assert found.suspects.predicted[places].tolist() == [-1] * 4
    for ours, theirs in zip(found.explanations, plain.explanations, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.row == kept[other.row]
            assert np.array_equal(one.voters, kept[other.voters])
    columns = label_columns(found)
    assert all(len(column) == N + 4 for column in columns.values())
    assert [columns["given_label"][row] for row in places] == [None] * 4
    assert [columns["given_label"][row] for row in kept] == names[given].tolist()
    assert [columns["predicted_label"][row] for row in kept] == [
        names[k] for k in plain.suspects.predicted
    ]
    suspects = suspect_columns(found)
    assert suspects["given_label"] == suspects["given_name"]
    assert [labels[row] for row in suspects["row"]] == suspects["given_label"]
    assert found.trial() == plain.trial()
    told = found.as_dict()
    assert told["data"]["set_aside"]["no label"] == [40]
    assert told["data"]["classes"] == ["ape", "bee", "cat"]
    assert [row["row"] for row in told["suspects"]["rows"]] == found.suspects.rows.tolist()
    assert found.origin.format_set_aside().startswith("Rows that were set aside: 2 (features not")


@pytest.mark.parametrize("missing", [-1, -1.0, None, np.nan, ""])
def test_what_is_no_label(missing, rows, taken):
    pd = pytest.importorskip("pandas")
    x, _, given = rows
    labels = (np.array(["a", "b", "c"])[given] if missing == "" else given).astype(object)
    labels[5] = missing
    features, origin = taken(x, labels)
    assert {reason: rows.tolist() for reason, rows in origin.set_aside.items()} == {"no label": [5]}
    assert np.array_equal(features.labels, np.delete(given, 5))
    assert np.array_equal(features.x, np.delete(x, 5, axis=0))
    if missing is np.nan:  # which an array of text would hold as text
        text = [["a", "b", "c"][k] for k in given]
        text[5] = np.nan
        assert taken(x, text)[1].as_dict() == origin.as_dict()
    if missing is None:
        nullable = pd.Series(given).astype("Int64")
        nullable[5] = pd.NA
        assert taken(x, nullable)[1].as_dict() == origin.as_dict()


def test_a_lone_row_in_features_takes_its_class_and_test_rows_along(rows):
    x, _, given = rows
    labels = np.append(given + (given > 0), 1)  # class 1 has the last row alone
    features = gramlab.Features(
        np.vstack([x, np.ones(6)]),
        labels,
        test_x=np.vstack([x[:4], np.ones((1, 6))]),
        test_labels=[0, 2, 3, 0, 1],
        class_names=["a", "b", "c", "d"],
        superclasses=[0, 0, 1, 1],
    )
    found = gramlab.diagnose(features, settings=QUICK)
    assert {k: v.tolist() for k, v in found.set_aside.items()} == {"only row of its class": [N]}
    assert found.features.class_names == ("a", "c", "d")
    assert found.features.test_labels.tolist() == [0, 1, 2, 0]
    assert found.features.superclasses.tolist() == [0, 1, 1]
    assert label_columns(found)["given_label"] == [*labels[:-1].tolist(), None]
    with pytest.raises(InvalidLabels, match="at least 2 rows, got 1 of class 'b'"):
        diagnose_features(features, QUICK)


# ---- What goes beside them --------------------------------------------------------------------


def test_own_probabilities_take_the_place_of_the_heads(rows, plain):
    x, truth, given = rows
    p = np.random.default_rng(0).dirichlet(np.ones(K), N) * 0.2 + 0.8 * np.eye(K)[truth]
    found = gramlab.diagnose(x, given, pred_probs=p, truth=truth, settings=QUICK)
    twin = fit_mixture(np.log(p), given)
    twin = calibration.calibrated(np.log(p), given, twin, np.arange(N))
    assert np.array_equal(found.estimate.matrix, twin.matrix)
    assert np.array_equal(found.estimate.probabilities, twin.probabilities)
    assert found.estimate.weight_decay is None
    assert found.trial()["auc"] > plain.trial()["auc"], "these know the truth"
    swapped = estimate_transition(x, given, pred_probs=p[:, ::-1])
    assert swapped.log_likelihood < twin.log_likelihood
    again = gramlab.diagnose(
        np.vstack([x, np.nan * x[:1], x[:1]]),
        [*given.tolist(), 0, 9],
        pred_probs=np.hstack([np.vstack([p, p[:2]]), np.zeros((N + 2, 1))]),
        settings=QUICK,
    )
    assert np.allclose(again.estimate.matrix, twin.matrix, rtol=0, atol=64 * EPS)
    calibrated = DiagnosisSettings(max_rounds=1, folds=3)
    assert gramlab.diagnose(x, given, pred_probs=p, settings=calibrated).recorruption


def difference(scoring, first, second):
    """Of two settings with these held-out predictions."""
    return scoring.difference(
        *(scoring.trial(Setting(1.0), "exact", predicted) for predicted in (first, second))
    )


def test_weights_of_rows_are_repeated_rows_in_the_scores():
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 4, 40)
    q, given = rng.dirichlet(np.ones(K), 40), rng.integers(0, K, 40)
    first, second = rng.integers(0, K, 40), rng.integers(0, K, 40)
    matrix = gramlab.corruption_matrix("asymmetric", K, 0.3)
    w, often = relative_weights(counts, 40), np.repeat(np.arange(40), counts)
    for weighted, repeated in (
        (expected_accuracy(first, q, w), expected_accuracy(first[often], q[often])),
        (
            corrected_accuracy(first, given, matrix, w),
            corrected_accuracy(first[often], given[often], matrix),
        ),
        (
            difference(Scoring(q, given, matrix, w), first, second),
            difference(Scoring(q[often], given[often], matrix), first[often], second[often]),
        ),
    ):
        assert weighted.value == pytest.approx(repeated.value, abs=100 * EPS)
        assert weighted.standard_error > repeated.standard_error, "copies are no new evidence"
    assert expected_accuracy(first, q, np.ones(40)) == expected_accuracy(first, q)
    equal, none = Scoring(q, given, matrix, np.ones(40)), Scoring(q, given, matrix)
    assert difference(equal, first, second) == difference(none, first, second)


def test_weights_enter_the_heads(rows, plain):
    x, _, given = rows
    equal = gramlab.diagnose(x, given, sample_weight=np.full(N, 2.0), settings=QUICK)
    assert same(equal, plain)
    assert equal.as_dict()["tried"] == plain.as_dict()["tried"]
    weights = np.where(np.arange(N) < 30, 5.0, 1.0)
    found = gramlab.diagnose(x, given, sample_weight=weights, settings=QUICK)
    assert not same(found, plain)
    assert {trial.head for trial in found.trials} == {"exact"}
    one = found.advice.chosen.setting
    head = gramlab.SoftmaxHead(one.weight_decay, sample_weight=weights, tolerance=1e-8)
    twin = head.fit(found.features, gramlab.one_hot(given, K))
    fit = found.fits["chosen"]
    distance = np.linalg.norm(fit.weights - twin.weights)
    assert distance <= fit.certificate.weights_bound + twin.certificate.weights_bound


def test_groups_stay_in_one_fold(rows, monkeypatch):
    import gramlab.diagnosis.diagnosis as room

    x, _, given = rows
    dealt, honest = [], room.folds

    def folds(*arguments):
        dealt.append((arguments[3], honest(*arguments)))
        return dealt[-1][1]

    monkeypatch.setattr(room, "folds", folds)
    groups = [f"patient {row // 3}" for row in range(N + 1)]
    gramlab.diagnose(np.vstack([np.nan * x[:1], x]), [0, *given], groups=groups, settings=QUICK)
    (asked, fold), *_ = dealt
    names = np.array(groups[1:])
    assert len({*zip(names, asked, strict=True)}) == len({*names}) == len({*asked})
    assert all(len({*fold[names == one]}) == 1 for one in names)


def test_identifiers_are_in_the_tables(rows):
    x, _, given = rows
    labels = given.tolist()
    labels[0] = None
    names = [f"img{row}.png" for row in range(N)]
    found = gramlab.diagnose(x, labels, identifiers=names, settings=QUICK)
    assert label_columns(found)["id"] == names
    suspects = suspect_columns(found)
    assert suspects["id"] == [names[row] for row in suspects["row"]]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"labels": None}, InvalidLabels, "labels must be one per row of x, got none"),
        ({"labels": [0, 1]}, InvalidLabels, "labels must be one per row, shape (90,), got shape"),
        ({"labels": [0.5] * N}, InvalidLabels, "must be integers or strings, got 0.5 in row 0"),
        ({"labels": [0, "a"] * 45}, InvalidLabels, "all integers or all strings, got both"),
        ({"labels": [-1, 1] * 45}, InvalidLabels, "two classes"),
        ({"labels": [None] * N}, InvalidLabels, "a row that is finite and has a label, got none"),
        ({"labels": [*range(2, N), 0, 0]}, InvalidLabels, "at least two classes of two rows each"),
        ({"class_names": ["a", "b"]}, InvalidLabels, "of the classes 0, 1, got 2 in row"),
        ({"truth": [7] * N}, InvalidLabels, "truth must be of the classes 0, 1, 2, got 7 in row 0"),
        ({"truth": [None] * N}, InvalidLabels, "got None in row 0"),
        ({"truth": [0]}, InvalidLabels, "truth must be one per row"),
        ({"groups": [1, 2]}, InvalidSetting, "groups must have one entry per row, got 2 for 90"),
        ({"groups": [1] * N}, InvalidSetting, "folds must be an integer of at most 1"),
        ({"identifiers": ["a"]}, InvalidSetting, "identifiers must have one entry per row, got 1"),
        ({"sample_weight": [1.0]}, InvalidSetting, "sample_weight must be one real number per row"),
        ({"sample_weight": [-1.0] * N}, InvalidSetting, "at least 0, got -1.0 at row 0"),
        ({"pred_probs": np.ones((N, 2)) / 2}, InvalidTargets, "shape (90, 3), got (90, 2)"),
        ({"pred_probs": np.ones((N, 3))}, InvalidTargets, "pred_probs must have rows that sum"),
        ({"x": [["a"] * 6] * N}, InvalidFeatures, "got dtype"),
        ({"x": np.full((N, 6), "a", object)}, InvalidFeatures, "numbers, got the text 'a'"),
        ({"x": np.zeros(N)}, InvalidFeatures, "must be 2-D"),
        (
            {"truth": [0] * N, "settings": DiagnosisSettings(rate=0.3)},
            InvalidSetting,
            "truth must stand without noise to plant",
        ),
    ],
)
def test_what_is_refused(arguments, error, words, rows):
    x, _, given = rows
    with pytest.raises(error) as refused:
        gramlab.diagnose(**({"x": x, "labels": given, "settings": QUICK} | arguments))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_features_bring_their_own_labels(rows):
    x, _, given = rows
    with pytest.raises(InvalidSetting, match="left out beside Features"):
        gramlab.diagnose(gramlab.Features(x, given), given)
