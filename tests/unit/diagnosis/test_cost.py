"""What a diagnosis costs, known before: the whole is asked for at once, and its share is told."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gramlab
from gramlab import cli
from gramlab.cli.progress import Plan, Progress
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.cost import bytes_needed, stages
from gramlab.errors import NotEnoughMemory
from gramlab.features import Features
from gramlab.runner import Run, folds
from gramlab.transition import estimate_transition


def blobs(n: int = 120, d: int = 6) -> Features:
    rng = np.random.default_rng(1)
    labels = np.arange(n) % 3
    x = rng.standard_normal((3, d))[labels] + 0.7 * rng.standard_normal((n, d))
    labels[::7] = (labels[::7] + 1) % 3
    return Features(x, labels)


@pytest.mark.parametrize(
    "changed", [{}, {"folds": 2}, {"max_rounds": 1}, {"recorrupt": False, "explained": 0}]
)
def test_all_stages_come_in_their_order_and_make_the_whole(changed):
    settings, told = DiagnosisSettings(**changed), []
    known = [*stages(settings), ("done", 1, 0.0)]
    diagnose(blobs(), settings, stage=told.append)
    begun = [one for one in known[:-1] if any(text.startswith(one[0]) for text in told)]
    missing = [one.begins for one in known[:-1] if one not in begun]
    assert missing in ([], ["re-corrupted labels"])  # whose claims may be withheld
    plan = Plan(known)
    shares = [plan.begin(text) for text in [*told, "done"]]
    assert shares == sorted(shares)
    assert shares[-2] < shares[-1] == 1.0
    # Nobody waits before a stage that is as good as done, or after one that was not foreseen.
    assert shares[told.index("neighbours")] == pytest.approx(
        sum(cost for _, _, cost in known[:4]) / sum(cost for _, _, cost in known)
    )


def test_steps_that_nobody_foresaw_do_not_leave_their_stage():
    plan = Plan([("a", 2, 1.0), ("b", 1, 3.0), ("end", 1, 0.0)])
    names = ["loading", "a, one", "other", "more", "more", "b", "end"]
    assert [plan.begin(name) for name in names] == [0.0, 0.0, 0.125, 0.25, 0.25, 0.25, 1.0]


def test_a_log_tells_the_share_of_the_whole(capsys, monkeypatch):
    monkeypatch.setattr(Progress, "interval", 0.0)
    quick = ["--max-rounds", "1", "--folds", "2", "--no-recorrupt", "--explained", "0"]
    assert cli.main(["diagnose", "digits", *quick]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "% done" in line]
    shares = [int(re.search(r"(\d+) % done", line)[1]) for line in lines]
    assert shares == sorted(shares)
    assert len(set(shares)) > 5
    assert lines[-1].startswith("gramlab: done: 100 % done")


def test_the_whole_is_asked_for_before_anything_is_computed(monkeypatch):
    features, settings, told = blobs(), DiagnosisSettings(), []
    needed = bytes_needed(120, 7, 3, settings)  # with the constant column
    for free, fits in ((needed - 1, False), (needed, True)):
        monkeypatch.setattr("gramlab.machine.memory.bytes_available", lambda free=free: free)
        if fits:
            diagnose(features, settings, stage=told.append)
            assert told
            continue
        with pytest.raises(NotEnoughMemory, match="the diagnosis of 120 rows needs"):
            diagnose(features, settings, stage=told.append)
        monkeypatch.setattr("gramlab.machine.memory.bytes_available", lambda: 1000)
        with pytest.raises(NotEnoughMemory, match="the transition estimate of 120 rows needs"):
            estimate_transition(features, features.labels, stage=told.append)
        assert told == []


def test_twenty_classes_of_many_rows_take_six_times_their_features_at_most():
    for n, d, k in ((20_000, 512, 20), (100_000, 512, 20), (20_000, 768, 10)):
        assert bytes_needed(n, d + 1, k, DiagnosisSettings()) <= 6 * 8 * n * (d + 1)


def test_folds_hold_no_rows_of_their_own():
    features = blobs()
    weights = np.linspace(1.0, 2.0, 120)
    run = Run(features, 3, folds(features.labels, 4), features.labels, weights)
    assert run.features is features
    counted = run.counted(1, 3)
    seen = np.setdiff1d(np.arange(120), np.concatenate([run.held[1], run.held[3]]))
    assert np.array_equal(np.flatnonzero(counted), seen)
    assert np.array_equal(counted[seen], weights[seen])


def test_a_head_does_not_know_the_labels_of_rows_without_weight():
    features = blobs()
    run = Run(features, 3, folds(features.labels, 4))
    other = features.labels.copy()
    other[run.held[2]] = (other[run.held[2]] + 1) % 3
    head = gramlab.SoftmaxHead(1e-2)
    first, second = (run.fit(head, run.one_hot(y)) for y in (features.labels, other))
    assert np.array_equal(first[2].weights, second[2].weights)
    assert not np.array_equal(first[0].weights, second[0].weights)
