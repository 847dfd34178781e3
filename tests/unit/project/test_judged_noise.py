"""examples/judged_noise.py: each kind plants what it says, as the truth beside it shows."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

import gramlab

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def noise():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        yield importlib.import_module("judged_noise")


@pytest.fixture(scope="module")
def sample(noise):
    return noise.Sample.of(gramlab.load_features("digits"), 300, 3, None)


@pytest.fixture(scope="module")
def planted(noise, sample):
    kinds = [kind for kind in noise.KINDS if kind not in noise.HUMAN]
    return {kind: noise.KINDS[kind](sample) for kind in kinds}


def wrong(planted):
    return planted.features.labels != planted.true


def test_as_many_labels_are_wrong_as_are_asked_for(planted):
    rate = {kind: wrong(one).mean() for kind, one in planted.items()}
    assert rate["clean"] == 0.0
    assert rate["boundary"] == 0.2
    for kind in ("symmetric", "asymmetric", "superclass", "duplicates", "long-tail"):
        assert rate[kind] == pytest.approx(0.3, abs=0.08), kind
    assert rate["class-dependent"] == pytest.approx(
        1.0 - np.diag(planted["class-dependent"].matrix).mean(), abs=0.06
    )
    assert rate["annotator"] == pytest.approx(0.2, abs=0.05)


def test_rows_keep_their_features_and_true_labels(sample, planted):
    label = dict(zip(map(bytes, sample.features.x), sample.features.labels, strict=True))
    for kind, one in planted.items():
        if kind != "outliers":
            assert [label[bytes(row)] for row in one.features.x] == one.true.tolist(), kind
    one, own = planted["outliers"], {}  # classes are renumbered: one number for each
    for row, true in zip(one.features.x, one.true, strict=True):
        own.setdefault(true, set()).add(label[bytes(row)])
    assert len(own.pop(-1)) == 2
    assert len(own) == 8 == one.features.n_classes
    assert all(len(labels) == 1 for labels in own.values())


def test_superclasses_have_four_classes_or_more(noise, sample):
    pairs = sample.features.replaced(superclasses=np.arange(10) // 2)
    for features in (sample.features, pairs):
        group = noise.groups_of_four(features)
        assert np.bincount(group).min() >= 4
    assert all(len(set(group[two])) == 1 for two in np.arange(10).reshape(5, 2))


def test_copies_are_whole_and_carry_one_label(planted):
    one = planted["duplicates"].features
    _, place, count = np.unique(one.x, axis=0, return_inverse=True, return_counts=True)
    assert set(count) == {1, 3}
    assert np.mean(count == 3) == pytest.approx(0.4, abs=0.01)
    assert all(len(set(one.labels[place == row])) == 1 for row in range(len(count)))


def test_the_tail_is_a_twentieth_of_the_head_in_both_splits(noise, sample, planted):
    one = planted["long-tail"]
    sizes = np.sort(np.bincount(one.true))
    assert sizes[0] == noise.LEAST_ROWS
    assert sizes[-1] == pytest.approx(30, abs=2)
    share = np.bincount(one.features.test_labels) / np.bincount(sample.features.test_labels)
    assert share.max() == 1.0
    assert share.min() < 0.1


def test_outliers_are_of_classes_that_were_left_out(planted):
    one = planted["outliers"]
    assert np.mean(one.true < 0) == pytest.approx(0.14, abs=0.01)
    assert one.features.labels.max() < 8
    assert one.features.test_labels.max() < 8


def test_labels_near_the_boundary_are_wrong_where_a_head_is_unsure(sample, planted):
    sure = np.sort(sample.probabilities, axis=1)[:, -1]
    for kind in ("boundary", "annotator"):
        where = wrong(planted[kind])
        assert sure[where].mean() < sure[~where].mean() - 0.05, kind


def test_ties_are_of_the_law_of_the_labels(noise, sample):
    symmetric = noise.by_class(sample.features, 3, rate=0.85)
    assert symmetric.tied == 0.0
    traded = noise.drawn(sample.features, np.eye(10)[[1, 0, *range(2, 10)]], 3)
    assert traded.tied == np.mean(sample.features.labels < 2)
    # Of observed labels, by the labels themselves.
    assert noise.Planted(traded.features, traded.true).tied == traded.tied


def test_human_labels_are_of_the_rows_that_were_drawn(noise, tmp_path):
    digits, path = gramlab.load_features("digits"), tmp_path / "people.npz"
    given = (digits.labels + 1) % 10
    np.savez(path, train_clean_label=digits.labels, train_worse_label=given)
    assert noise.known_to_people(digits, path)
    assert not noise.known_to_people(digits.replaced(labels=given), path)
    assert not noise.known_to_people(digits, None)
    sample = noise.Sample.of(digits, 300, 5, path)
    one = noise.KINDS["human-worse"](sample)
    assert one.features.labels.tolist() == ((one.true + 1) % 10).tolist()
    assert np.bincount(one.true).min() >= 28
