"""What a diagnosis says of each class: counts that are those of the rows, and its doubts."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from gramlab import cli
from gramlab.diagnosis import Diagnosis, DiagnosisSettings, diagnose
from gramlab.diagnosis.columns import class_columns, suspect_columns
from gramlab.features import Features


def rows_of(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng, labels = np.random.default_rng(0), np.arange(count) % 3
    return rng.standard_normal((3, 6))[labels] + 0.4 * rng.standard_normal((count, 6)), labels


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    features = Features(*rows_of(150), class_names=["ant", "bee", "cat"])
    return diagnose(features, DiagnosisSettings(rate=0.3, folds=3, max_rounds=1, seed=1))


def test_classes_count_the_rows_and_the_claims_of_the_suspects(found):
    table, suspects = class_columns(found), suspect_columns(found)
    assert sorted(table["label"]) == [0, 1, 2]
    for place, k in enumerate(table["label"]):
        of = [i for i, label in enumerate(suspects["given_label"]) if label == k]
        claimed = sum(suspects["precision"][i] for i in of)
        row = {name: values[place] for name, values in table.items()}
        assert row["name"] == found.features.class_names[k]
        assert row["rows"] == (found.given == k).sum()
        assert row["suspected"] == len(of) == pytest.approx(row["share_suspected"] * row["rows"])
        assert row["claimed_wrong"] == pytest.approx(claimed)
        assert row["share_right"] == found.estimate.matrix[k, k]
        assert row["share_right_low"] == found.estimate.lower[k, k]
        assert row["share_right_high"] == found.estimate.upper[k, k]
        assert row["confident_rows"] == found.estimate.counts[k]
    assert table["share_right_low"] == sorted(table["share_right_low"])
    assert sum(table["suspected"]) == len(found.suspects) > 0
    assert found.as_dict()["classes"][0]["class"] == table["label"][0]


def test_unsupported_and_tied_classes_come_first_and_are_named(found):
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]])
    lower, upper = matrix.copy(), matrix.copy()
    lower[0], upper[0] = 0.0, 1.0
    unknown = np.array([True, False, False])
    fields = {"matrix": matrix, "lower": lower, "upper": upper, "unsupported": unknown}
    other = replace(found, estimate=replace(found.estimate, **fields))
    table = class_columns(other)
    assert table["name"][0] == "ant"
    assert table["unsupported"] == [True, False, False]
    assert dict(zip(table["name"], table["tied_with"], strict=True)) == {
        "ant": "",
        "bee": "cat",
        "cat": "bee",
    }
    assert "of 1 of the 3 classes" in other.classes.format_unsupported()
    assert "rows: ant." in other.classes.format_unsupported()
    assert "some classes apart: bee, cat." in other.classes.format_tied()
    assert found.classes.format_unsupported() == ""


def test_nothing_is_claimed_of_classes_where_claims_are_withheld(found):
    assert found.format_doubt() == ""
    assert found.as_dict()["advice"]["doubt"] is None
    doubted = replace(found, suspects=replace(found.suspects, withheld="labels may be right"))
    assert class_columns(doubted)["claimed_wrong"] == [None] * 3
    assert doubted.format_doubt().endswith(": labels may be right.")
    assert doubted.as_dict()["advice"]["doubt"] == doubted.format_doubt()


def test_the_command_says_its_doubt_at_once_and_writes_the_classes(tmp_path, capsys):
    # Labels that have nothing to do with the features: heads are sure of no class.
    x, labels = rows_of(90)
    labels = np.random.default_rng(1).permutation(labels)
    np.savez(tmp_path / "x.npz", train_features=x, train_labels=labels)
    words = ["--folds", "3", "--max-rounds", "1", "--no-recorrupt", "--out", str(tmp_path / "out")]
    assert cli.main(["diagnose", str(tmp_path / "x.npz"), *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    first, rest = said.split(" x.npz (", 1)
    assert results["advice"]["doubt"]
    assert first.endswith(results["advice"]["doubt"])
    assert results["noise"]["unsupported"]
    assert "Nothing can be said about the labels of" in rest
    with open(tmp_path / "out" / "classes.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [int(row["label"]) for row in table] == [one["class"] for one in results["classes"]]
    assert [int(row["suspected"]) for row in table] == [
        one["suspected"] for one in results["classes"]
    ]
    assert {row["claimed_wrong"] for row in table} == {""}
