"""Copies and groups in a diagnosis: wrong labels among copies are found, and all of it is told."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gramlab
from gramlab import cli
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.columns import suspect_columns
from gramlab.diagnosis.posterior import label_posterior, nearest_rows
from gramlab.diagnosis.recorruption import recorrupt
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.report import diagnosis_report
from gramlab.runner import Run, folds
from gramlab.transition import estimate_transition

QUICK = DiagnosisSettings(max_rounds=1, recorrupt=False, explained=5)


def stored_often(n: int = 250, share: float = 0.5, copies: int = 4, shaken: float = 0.0):
    """Digits with 30 % of their labels wrong, a share of them stored several times with one."""
    digits, rng = gramlab.load_features("digits"), np.random.default_rng(0)
    y = digits.labels[:n]
    given = np.where(rng.random(n) < 0.3, (y + rng.integers(1, 10, n)) % 10, y)
    count = np.where(rng.random(n) < share, copies, 1)
    rows = rng.permutation(np.repeat(np.arange(n), count))
    x = digits.x[rows] + shaken * rng.standard_normal((len(rows), 64))
    return Features(x, given[rows], n_classes=10), y[rows], rows


@pytest.fixture(scope="module")
def found():
    features, truth, rows = stored_often()
    return diagnose(features, QUICK), truth, rows


def recall(diagnosis, truth, rows) -> tuple[float, float]:
    """Share of wrong labels that are suspected: of rows stored several times, and of the others."""
    wrong, several = diagnosis.given != truth, np.bincount(rows)[rows] > 1
    hit = diagnosis.suspects.suspected
    return hit[wrong & several].mean(), hit[wrong & ~several].mean()


def test_wrong_labels_of_copies_are_found_as_those_of_others(found):
    diagnosis, truth, rows = found
    copied, single = recall(*found)
    assert copied > single - 0.15
    rate = diagnosis.estimate.noise_rate
    assert rate.low <= (diagnosis.given != truth).mean() <= rate.high
    # The planted fault: every row for itself.
    alone = diagnose(stored_often()[0], QUICK, groups=np.arange(len(rows)))
    assert recall(alone, truth, rows)[0] < copied - 0.3


def test_copies_in_single_precision_and_groups_of_ones_own_do_as_well():
    features, truth, rows = stored_often(share=0.4, copies=3, shaken=1e-5)
    near = diagnose(features, QUICK)
    assert near.copies.near == near.copies.sizes[near.copies.sizes > 1].size > 0
    own = diagnose(features, DiagnosisSettings(**{**vars(QUICK), "copy_radius": 0.0}), groups=rows)
    assert own.copies.groups == 0
    for one in (near, own):
        copied, single = recall(one, truth, rows)
        assert copied > single - 0.15


def test_all_of_it_is_told(found):
    diagnosis, _, rows = found
    copies = diagnosis.copies
    assert np.array_equal(copies.sizes, np.bincount(rows)[rows])
    told = diagnosis.as_dict()["data"]
    assert told["copies"] == {
        "exact": int((copies.sizes > 1).sum()),
        "near": 0,
        "groups": int((np.bincount(rows) > 1).sum()),
    }
    assert told["groups"] is None
    assert suspect_columns(diagnosis)["copies"] == copies.sizes[diagnosis.suspects.rows].tolist()
    page = diagnosis_report(diagnosis)
    assert f"{copies.exact} rows are copies of others, in {copies.groups} groups." in page
    assert "--groups" not in page


def test_neighbours_are_of_other_groups():
    rng = np.random.default_rng(1)
    features = Features(rng.standard_normal((60, 5)), np.arange(60) % 3)
    group = rng.integers(0, 20, 60)
    group = np.unique(group, return_inverse=True)[1]
    products = features.x @ features.x.T
    products[group[:, None] == group] = -np.inf
    twin = np.argsort(-products, axis=1, kind="stable")[:, :7]
    assert np.array_equal(nearest_rows(features, 7, group), twin)
    assert not np.array_equal(nearest_rows(features, 7), twin)
    assert nearest_rows(features, 7, np.arange(60)) is nearest_rows(features, 7)
    with pytest.raises(InvalidSetting, match="count"):
        nearest_rows(features, 61 - int(np.bincount(group).max()), group)


def test_what_was_labelled_once_is_drawn_once():
    features, _, rows = stored_often(200)
    given = features.labels.copy()
    twice = np.flatnonzero(np.bincount(rows)[rows] > 1)
    torn = np.flatnonzero(rows == rows[twice[0]])
    given[torn] = [1, 2, 2, 2]  # copies with two labels: labelled one by one
    features = Features(features.x, given, n_classes=10).prepared(center=True, unit_norm=True)
    run = Run(features.as_float64(), 10, folds(given, 3, 0, rows), given)
    estimate = estimate_transition(features, given, folds=run, weight_decay=1e-3, rounds=1)
    nearest = nearest_rows(features, 10)
    posterior = label_posterior(estimate, given, nearest)
    uneven = posterior.posterior + np.random.default_rng(2).random(posterior.posterior.shape)
    uneven /= uneven.sum(axis=1, keepdims=True)  # so that rows drawn one by one would differ
    posterior = type(posterior)(posterior.held_out, uneven, 0, 0.0, 1.0, 0.0)
    quiet = lambda text: None  # noqa: E731
    for one in recorrupt(features, estimate, posterior, nearest, run, 0, quiet):
        spread = [np.ptp(one.wrong[rows == row].astype(int)) for row in set(rows[twice])]
        assert sum(spread) == np.ptp(one.wrong[torn].astype(int))


def test_rows_without_copies_give_the_same_bits():
    digits = gramlab.load_features("digits")
    features = Features(digits.x[:300], digits.labels[:300], n_classes=10)
    settings = DiagnosisSettings(max_rounds=1, rate=0.2, explained=5)
    plain = diagnose(features, settings)
    alone = diagnose(features, settings, groups=[f"patient {i}" for i in range(300)])
    assert plain.copies.groups == 0
    told, same = plain.as_dict(), alone.as_dict()
    assert same["data"].pop("groups") == 300
    assert told["data"].pop("groups") is None
    assert json.dumps(told, default=str) == json.dumps(same, default=str)


# ---- The command line -------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path):
    features, _, rows = stored_often(200)
    np.savez(tmp_path / "f.npz", train_features=features.x, train_labels=features.labels)
    np.save(tmp_path / "groups.npy", rows)
    np.savez(tmp_path / "groups.npz", patient=rows, other=rows[:5])
    (tmp_path / "groups.txt").write_text("".join(f"image {row}\n" for row in rows))
    return tmp_path, rows


@pytest.mark.parametrize("verb", ["diagnose", "transition"])
def test_groups_of_ones_own_come_from_a_file(verb, source, capsys):
    folder, rows = source
    short = ["--max-rounds", "1", "--no-recorrupt"] if verb == "diagnose" else ["--rounds", "1"]
    results = []
    for name in ("groups.npy", "groups.npz:patient", "groups.txt"):
        argv = [verb, str(folder / "f.npz"), "--groups", str(folder / name), "--json", "-"]
        assert cli.main([*argv, "--copy-radius", "0", *short]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["settings"]["copy_radius"] == 0.0
        data = told["data"] if verb == "diagnose" else told
        assert data["groups"] == 200
        assert data["copies"]["groups"] == (np.bincount(rows) > 1).sum()
        results.append(told["noise" if verb == "diagnose" else "estimate"])
    assert results[0]["noise_rate"] == results[1]["noise_rate"]
    assert cli.main([verb, str(folder / "f.npz"), *short]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"rows are copies of others, in {(np.bincount(rows) > 1).sum()} groups." in said


def test_a_file_of_groups_that_does_not_fit_is_refused(source, capsys):
    folder, rows = source
    argv = ["transition", str(folder / "f.npz"), "--groups"]
    for name, message in (
        ("groups.npz:other", f"groups must have one entry per row, got 5 for {len(rows)} rows"),
        ("groups.npz:nothing", "has no array 'nothing', it holds patient, other"),
        ("none.npy", "was not found"),
    ):
        assert cli.main([*argv, str(folder / name)]) == 2
        assert message in capsys.readouterr().err
    before = (folder / "groups.npz").read_bytes()
    assert cli.main([*argv, str(folder / "groups.npz:patient"), "--json", f"{folder}/groups.npz"])
    assert (folder / "groups.npz").read_bytes() == before
    assert cli.main(["transition", str(folder / "f.npz"), "--copy-radius", "1"]) == 2
    assert "--copy-radius must be at least 0" in capsys.readouterr().err
