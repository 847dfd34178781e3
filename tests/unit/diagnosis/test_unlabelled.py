"""Rows without a label: predicted by the advised head, prepared as all others, in every result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gramlab
from gramlab.diagnosis import DiagnosisSettings
from gramlab.diagnosis.columns import cleaned_arrays, label_columns, outlier_columns

QUICK = DiagnosisSettings(max_rounds=1, recorrupt=False, folds=3, explained=3)
N, K = 90, 3
BARE = [4, 41, 60]
NAMES = ("ape", "bee", "cat")


@pytest.fixture(scope="module")
def rows():
    """Rows (N, d) far from the origin, and labels as text, of which BARE lack theirs."""
    rng, truth = np.random.default_rng(1), np.arange(N) % K
    x = 3.0 + 2.5 * rng.standard_normal((K, 6))[truth] + rng.standard_normal((N, 6))
    matrix = gramlab.corruption_matrix("asymmetric", K, 0.3)
    given = gramlab.corrupt_labels(truth, matrix, seed=5).labels
    labels = [None if row in BARE else NAMES[k] for row, k in enumerate(given)]
    return x, labels


@pytest.fixture(scope="module")
def found(rows):
    x, labels = rows
    names = [f"img{row}.png" for row in range(N)]
    return gramlab.diagnose(x, labels, identifiers=names, settings=QUICK)


@pytest.mark.parametrize("steps", [{}, {"center": False}, {"unit_norm": False, "constant": False}])
def test_predictions_are_the_heads_of_rows_prepared_as_a_test_split(steps, rows, found):
    x, labels = rows
    asked = replace(QUICK, **steps)
    one = gramlab.diagnose(x, labels, settings=asked) if steps else found
    kept = np.setdiff1d(np.arange(N), BARE)
    numbers = [NAMES.index(labels[row]) for row in kept]
    prepare = {"center": asked.center, "unit_norm": asked.unit_norm, "constant": asked.constant}
    twin = gramlab.Features(x[kept], numbers, test_x=x[BARE], test_labels=[0, 1, 2])
    tests, fit = twin.prepared(**prepare).test_x, one.fits["chosen"]
    assert one.unlabelled.rows.tolist() == BARE
    assert np.array_equal(one.unlabelled.predicted, fit.predict(tests))
    p = fit.predict_proba(tests)
    assert np.array_equal(one.unlabelled.probability, p.max(axis=1))
    if asked.center:  # the mean is that of the labelled rows, and no other
        alone = gramlab.Features(x[BARE], [0, 1, 2]).prepared(**prepare).x
        assert not np.array_equal(fit.predict_proba(alone), p)


def test_predictions_are_in_the_tables_and_the_json(found):
    bare, columns = found.unlabelled, label_columns(found)
    assert [columns["predicted_label"][row] for row in BARE] == [NAMES[k] for k in bare.predicted]
    assert [columns["predicted_probability"][row] for row in BARE] == bare.probability.tolist()
    assert [columns["set_aside"][row] for row in BARE] == ["no label"] * 3
    assert [columns["is_label_issue"][row] for row in BARE] == [False] * 3
    for name in ("set_aside", "predicted_probability"):
        assert sum(value is not None for value in columns[name]) == len(BARE)
    told = found.as_dict()
    assert told["data"]["set_aside_ids"] == {"no label": [f"img{row}.png" for row in BARE]}
    assert told["unlabelled"]["count"] == 3
    assert told["unlabelled"]["rows"] == [
        {"row": row, "predicted": int(k), "probability": float(p), "id": f"img{row}.png"}
        for row, k, p in zip(BARE, bare.predicted, bare.probability, strict=True)
    ]


def test_how_many_are_right_is_claimed_where_anything_is(found):
    withheld = bool(found.suspects.withheld)
    accuracy = found.advice.chosen.accuracy
    assert found.unlabelled.accuracy == (None if withheld else accuracy)
    claims = replace(found.unlabelled, accuracy=accuracy)
    assert f"{100 * accuracy.value:.1f} ±" in claims.format_rows()
    nothing = replace(claims, accuracy=None)
    assert nothing.format_rows().endswith("Nothing is claimed of these predictions.")
    assert nothing.as_dict()["expected_accuracy"] is None


def test_a_row_without_a_direction_is_not_predicted(rows):
    x, labels = rows[0].copy(), rows[1]
    x[BARE[1]] = 0.0
    found = gramlab.diagnose(x, labels, settings=replace(QUICK, center=False))
    assert found.unlabelled.predicted[1] == -1
    assert (found.unlabelled.predicted[[0, 2]] >= 0).all()
    assert label_columns(found)["predicted_label"][BARE[1]] is None
    assert found.as_dict()["unlabelled"]["rows"][1]["probability"] is None


def test_rows_are_called_as_the_caller_does_wherever_they_are_named(rows, found):
    told = found.as_dict()["suspects"]["rows"]
    assert told
    assert [one["id"] for one in told] == [f"img{one['row']}.png" for one in told]
    voters = [one for suspect in told[:3] for votes in suspect["votes"] for one in votes["voters"]]
    assert [one["id"] for one in voters] == [f"img{one['row']}.png" for one in voters]
    plain = gramlab.diagnose(*rows, settings=QUICK).as_dict()
    assert "id" not in plain["suspects"]["rows"][0]
    assert plain["data"]["set_aside_ids"] is None
    last = np.array([N - 1, 5])  # numbers of the caller's, not of the rows that were diagnosed
    some = replace(found, outliers=replace(found.outliers, rows=last))
    table, listed = outlier_columns(some), some.as_dict()["outliers"]["rows"]
    assert table["id"] == [f"img{row}.png" for row in last] == [one["id"] for one in listed]
    assert table["given_label"] == [rows[1][row] for row in last] == table["given_name"]
    assert [NAMES[one["given"]] for one in listed] == table["given_label"]


def test_what_to_train_on_is_taken_from_all_rows(rows, found):
    x, _ = rows
    arrays = cleaned_arrays(found, x)
    assert np.array_equal(arrays["features"], np.delete(x, BARE, axis=0))
    assert len(arrays["given"]) == N - len(BARE)
