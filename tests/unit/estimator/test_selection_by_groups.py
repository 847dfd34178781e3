"""Choosing rounds by held-out rows: copies and groups are held out together."""

from __future__ import annotations

import numpy as np
import pytest

from gramlab import SelfDistillationClassifier
from gramlab.errors import InvalidSetting

HOW = {"rounds": 1, "weight_decays": [1e-6], "refine": [None], "folds": 3}


def noise(copies: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels that the rows know nothing of, each row stored several times."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((90, 60)), np.arange(90) % 3
    return np.repeat(x, copies, axis=0), np.repeat(y, copies)


def score(*data, **how) -> float:
    return float(SelfDistillationClassifier.tuned(*data, **HOW, **how).search_["score"][0])


def test_copies_of_training_rows_are_not_held_out():
    x, y = noise(4)
    assert score(x, y) < 0.45
    assert score(x, y, groups=np.arange(360)) > 0.9, "the planted fault: copies vote"
    names = np.repeat([f"row {i}" for i in range(90)], 4)
    shaken = x + 1e-2 * np.random.default_rng(1).standard_normal(x.shape)
    assert score(shaken, y, groups=names) < 0.45


def test_groups_of_single_rows_change_nothing_and_weights_of_zero_take_theirs_along():
    x, y = noise(1)
    plain = SelfDistillationClassifier.tuned(x, y, **HOW)
    alone = SelfDistillationClassifier.tuned(x, y, **HOW, groups=[f"{i}" for i in range(90)])
    assert np.array_equal(plain.coef_, alone.coef_)
    x, y = noise(2)
    groups, kept = np.arange(180) // 2, np.arange(180) % 6 > 0
    weighted = score(x, y, sample_weight=kept.astype(float), groups=groups)
    assert weighted == score(x[kept], y[kept], groups=groups[kept])


def test_groups_that_do_not_fit_are_refused():
    x, y = noise(1)
    with pytest.raises(InvalidSetting, match="one entry per row, got 3 for 90"):
        SelfDistillationClassifier.tuned(x, y, groups=[1, 2, 3], **HOW)
    with pytest.raises(InvalidSetting, match="of label 0 in one group"):
        SelfDistillationClassifier.tuned(x, y, groups=y, **HOW)
    with pytest.raises(InvalidSetting, match="one entry per row, got 3 for 90"):
        SelfDistillationClassifier.tuned(x, y, sample_weight=1.0, groups=[1, 2, 3], **HOW)
