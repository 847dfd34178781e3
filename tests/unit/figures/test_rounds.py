"""Displays of rounds draw what the functions of rounds give, from rounds of any head."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.lines import Line2D

import gramlab
from gramlab import figures
from gramlab.check import CheckSettings, run_check
from gramlab.errors import InvalidLabels, InvalidSetting


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    x = rng.standard_normal((3, 8))[labels] + 0.6 * rng.standard_normal((60, 8))
    data = gramlab.Features(x, labels, test_x=x[:20], test_labels=labels[:20])
    return run_check(data, CheckSettings(weight_decay=1e-2, rounds=3, rate=0.4))


def drawn(display: figures.Display) -> dict[str, list[float]]:
    artists = display.plot().artists_.items()
    return {
        name: np.asarray(one.get_ydata()).tolist()
        for name, one in artists
        if isinstance(one, Line2D)
    }


def test_dynamics_of_rounds_alone_and_with_the_theory(result):
    given, truth = result.given.labels, result.given.true_labels
    both = figures.DynamicsDisplay.from_rounds(result.exact, given, truth, theory=result.linearized)
    whole = drawn(figures.LabelAveragingDisplay.from_check(result))
    found = drawn(both)
    assert found.items() <= whole.items()
    exact = drawn(figures.DynamicsDisplay.from_rounds(result.exact, given, truth))
    linear = drawn(figures.DynamicsDisplay.from_rounds(result.linearized, given, truth))
    assert {name for name in exact if name.startswith("theory")} == set()
    assert {name for name in linear if name.startswith("exact")} == set()
    for name in ("clean_true", "flipped_true", "flipped_given"):
        by_hand = [getattr(one, name) for one in gramlab.dynamics(result.exact, given, truth)]
        assert exact[f"exact {name}"] == found[f"exact {name}"] == by_hand
        assert linear[f"theory {name}"] == found[f"theory {name}"]


def test_weights_are_those_of_label_averaging(result):
    asked = (result.spectrum, result.given.true_labels, 1e-2, 4)
    found = drawn(figures.AveragingDisplay.from_spectrum(*asked))
    for name in ("own", "same_class", "others"):
        expected = [one[name] for one in gramlab.label_averaging(*asked)]
        assert found[f"theory weight {name}"] == expected


def test_accuracy_of_rounds_is_that_of_the_check_less_the_student(result):
    truth = result.given.true_labels
    of_rounds = figures.AccuracyDisplay.from_rounds
    found = drawn(of_rounds(result.exact, truth, theory=result.linearized))
    whole = drawn(figures.AccuracyDisplay.from_check(result))
    student = {name for name in whole if "partial" in name or name not in found}
    assert found == {name: values for name, values in whole.items() if name not in student}
    assert {"certified 1", "certified 2", "certified 3"} <= set(found)
    alone = drawn(of_rounds(result.exact, truth))
    assert set(found) - set(alone) == {"theory label_recovery", "theory test_accuracy"}


def test_other_rounds_and_labels_are_refused(result):
    exact, given, truth = result.exact, result.given.labels, result.given.true_labels
    short = result.linearized[:2]
    with pytest.raises(InvalidSetting, match="got 2 beside 3"):
        figures.DynamicsDisplay.from_rounds(exact, given, truth, theory=short)
    with pytest.raises(InvalidSetting, match="got none"):
        figures.DynamicsDisplay.from_rounds([], given, truth)
    with pytest.raises(InvalidLabels):
        figures.DynamicsDisplay.from_rounds(exact, given[:5], truth)
    with pytest.raises(InvalidLabels):
        figures.AccuracyDisplay.from_rounds(exact, truth[:5])
    with pytest.raises(InvalidSetting, match="got 2 and 3"):
        figures.AccuracyDisplay.from_rounds(exact, truth, theory=short)


def test_names_and_classes_of_heat_maps_are_as_many_as_there_are(result):
    with pytest.raises(InvalidSetting, match="one for each of 3 classes, got 2"):
        figures.GramDisplay.from_features(result.features, class_names=["a", "b"])
    other = figures.CorrelationDisplay.from_correlations(np.eye(4)).superclasses
    with pytest.raises(InvalidSetting, match="those of the 3 classes of the matrix, got 4"):
        figures.CorrelationDisplay.from_correlations(result.correlations, other)
