"""Rows of no class: the list against its definition, planted outliers, and worlds without any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import problem

from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.columns import outlier_columns, suspect_columns
from gramlab.diagnosis.outliers import find_outliers
from gramlab.errors import InvalidSetting
from gramlab.report import diagnosis_report
from gramlab.report.diagnosis import diagnosis_headline

EPS = np.finfo(np.float64).eps
RATE = 0.2


def world(seed: int, n: int, k: int, outliers: int):
    """p_i, C and labels: of rows of classes drawn from p_i C, of the last rows from thin air."""
    rng = np.random.default_rng(seed)
    flat = np.concatenate([rng.uniform(0.02, 0.3, n - outliers), np.full(outliers, 1.0)])
    p = rng.gamma(np.tile(flat[:, None], k)) + 1e-12
    p /= p.sum(axis=1, keepdims=True)
    matrix = 0.9 * np.eye(k) + 0.1 / k
    below = np.cumsum(p @ matrix, axis=1)
    given = (rng.random(n)[:, None] >= below[:, :-1]).sum(axis=1)
    given[n - outliers :] = rng.integers(0, k, outliers)
    return p, matrix, given


def by_definition(p, matrix, given, rate):
    """The rule of the docstring, one row and one class at a time."""
    n, k = p.shape
    shares = [sum(int(g) == c for g in given) / n for c in range(k)]
    score = [-sum(v * np.log(v) for v in row if v > 0.0) for row in p]
    agreed = [[sum(p[i, y] * matrix[y, c] for y in range(k)) for c in range(k)] for i in range(n)]
    weight = []
    for row in agreed:
        ratio = [a / b for a, b in zip(row, shares, strict=True)]
        weight.append([(r - 1.0) / (max(ratio) - 1.0) for r in ratio])
    count = []
    for i in range(n):
        first = [j for j in range(n) if score[j] >= score[i]]
        seen = sum(weight[j][given[j]] for j in first)
        most = sum(agreed[j][c] * weight[j][c] for j in first for c in range(k))
        share = min(1.0, (1.0 + max(seen, 0.0)) / most)
        count.append((len(first), share * len(first)))
    p_value = [max(c for m, c in count if m <= mine) / n for mine, _ in count]
    ranks = [m for (m, _), value in zip(count, p_value, strict=True) if value <= rate * m / n]
    return np.array(p_value), max(ranks, default=0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_list_is_that_of_the_definition(seed):
    p, matrix, given = world(seed, 200, 8, 90)
    found = find_outliers(p, p, matrix, given, RATE)
    p_value, m = by_definition(p, matrix, given, RATE)
    assert np.abs(found.p_value - p_value).max() <= 200 * 8 * EPS
    assert len(found) == m > 0
    order = np.argsort(-found.score, kind="stable")
    assert np.array_equal(found.rows, order[:m])
    assert (np.diff(found.p_value[order]) >= 0.0).all()
    assert found.false_discovery_rate <= RATE * (1.0 + 8 * EPS)
    assert np.array_equal(np.flatnonzero(found.listed), np.sort(found.rows))


def test_at_most_the_stated_share_of_the_list_belongs_to_a_class():
    false, found = [], []
    for seed in range(40):
        p, matrix, given = world(seed, 3000, 8, 450)
        rows = find_outliers(p, p, matrix, given, RATE).rows
        false.append((rows < 2550).mean() if len(rows) else 0.0)
        found.append((rows >= 2550).sum() / 450)
    assert np.mean(false) <= RATE
    assert np.mean(found) >= 0.5
    # The planted fault: a list cut where the score looks high has no such bound.
    p, _, _ = world(0, 600, 8, 90)
    score = find_outliers(p, p, np.eye(8), np.arange(600) % 8, RATE).score
    assert (np.argsort(-score)[:300] < 510).mean() > RATE


def test_hard_rows_are_no_outliers():
    """As flat as outliers, but their labels come from where p_i says."""
    lists = []
    for seed in range(40):
        p, matrix, _ = world(seed, 600, 8, 90)
        rng = np.random.default_rng([seed, 1])
        below = np.cumsum(p @ matrix, axis=1)
        hard = (rng.random(600)[:, None] >= below[:, :-1]).sum(axis=1)
        lists.append(len(find_outliers(p, p, matrix, hard, RATE)) > 0)
        assert len(find_outliers(p, p, matrix, p.argmax(axis=1), RATE)) == 0
    assert np.mean(lists) <= RATE  # without outliers every list is false


def test_all_labels_count_and_not_the_likeliest_alone():
    """Two labels as likely as each other: which one is first says half of what is known."""
    found, false = [], []
    for seed in range(20):
        rng = np.random.default_rng([seed, 2])
        n, k, outliers = 600, 8, 60
        flat = np.where(np.arange(n) < n - outliers, 0.0, rng.uniform(0.3, 0.4, n))[:, None]
        pair = np.array([rng.permutation(np.repeat([0.5, 0.0], [2, k - 2])) for _ in range(n)])
        p = (1.0 - flat) * pair + flat / k
        given = (rng.random(n)[:, None] >= np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
        given[n - outliers :] = rng.integers(0, k, outliers)
        listed = find_outliers(p, p, np.eye(k), given, RATE).listed
        found.append(listed[n - outliers :].mean())
        false.append(listed[: n - outliers].sum() / max(listed.sum(), 1))
    assert np.mean(found) >= 0.9
    assert np.mean(false) <= RATE


def test_labels_that_nobody_was_given_count_for_nothing():
    p, matrix, given = world(1, 400, 8, 120)
    found = find_outliers(p, p, matrix, given, RATE)
    # One more class, which p_i and C nearly rule out.
    more = np.pad(p, ((0, 0), (0, 1)))
    wider = np.pad(matrix, ((0, 1), (0, 1)))
    wider[8, 8] = 1.0
    again = find_outliers(more, more, wider, given, RATE)
    assert np.array_equal(again.rows, found.rows)
    assert len(found) > 0
    assert np.abs(again.p_value - found.p_value).max() <= 400 * 8 * EPS


def test_order_of_rows_and_names_of_classes_do_not_matter():
    p, matrix, given = world(5, 300, 5, 80)
    found = find_outliers(p, p, matrix, given, RATE)
    rng = np.random.default_rng(0)
    rows, classes = rng.permutation(300), rng.permutation(5)
    new = np.argsort(classes)  # column k of the permuted is class classes[k]
    moved = p[np.ix_(rows, classes)]
    again = find_outliers(moved, moved, matrix[np.ix_(classes, classes)], new[given[rows]], RATE)
    assert set(rows[again.rows]) == set(found.rows)
    assert np.abs(again.p_value - found.p_value[rows]).max() <= 300 * 5 * EPS


def test_small_cases_are_exact():
    p, matrix, given = world(0, 200, 8, 90)
    assert len(find_outliers(p, p, matrix, given, 0.0)) == 0
    # Equal scores have equal p-values, however the rows are ordered, and are listed together.
    flat = np.tile([0.3, 0.3, 0.2, 0.2], (40, 1))
    labels = np.arange(40) % 4
    tied = find_outliers(flat, flat, np.eye(4), labels, 0.9)
    assert np.ptp(tied.p_value) == 0.0
    assert len(tied) == 40
    # Each label was given to 10 of 40, and their weights are 1, 1, −1 and −1: nothing is seen
    # beyond chance where 40 (0.3 + 0.3 − 0.2 − 0.2) = 8 is expected.
    assert tied.p_value[0] == pytest.approx(1.0 / 8.0, rel=40 * EPS)
    # Heads that tell less than the shares of the labels: nobody is an outlier.
    blind = find_outliers(np.full((40, 4), 0.25), np.full((40, 4), 0.25), np.eye(4), labels, 0.9)
    assert len(blind) == 0
    assert (blind.p_value == 1.0).all()
    assert blind.false_discovery_rate == 0.0


def test_a_diagnosis_tells_its_outliers_everywhere():
    features, _ = problem(60, 4, 3, seed=3, scale=2.0)
    settings = DiagnosisSettings(rate=0.3, max_rounds=1, folds=2, recorrupt=False)
    bare = diagnose(features, settings)
    # Whatever was found: the first suspect and a row that is none.
    other = np.flatnonzero(~bare.suspects.suspected)[0]
    rows = np.array([bare.suspects.rows[0], other])
    found = replace(bare, outliers=replace(bare.outliers, rows=rows))
    told = found.as_dict()["outliers"]
    assert told["count"] == len(found.outliers) == 2
    assert [one["row"] for one in told["rows"]] == rows.tolist()
    columns = outlier_columns(found)
    assert columns["score"] == found.outliers.score[rows].tolist()
    assert columns["given_label"] == found.given[rows].tolist()
    assert columns["given_name"] == [str(k) for k in columns["given_label"]]
    marks = [True] + [False] * (len(found.suspects) - 1)
    assert suspect_columns(found)["outlier"] == marks
    assert [one["outlier"] for one in found.as_dict()["suspects"]["rows"]] == marks
    page = diagnosis_report(found)
    assert "2 rows for which no class stands out" in page
    assert page.count("or no class") == 1
    assert "2 of 60 rows seem to belong to no class." in diagnosis_headline(found.as_dict())


def test_a_rate_of_one_is_refused():
    with pytest.raises(InvalidSetting, match="outlier_rate"):
        DiagnosisSettings(outlier_rate=1.0)
