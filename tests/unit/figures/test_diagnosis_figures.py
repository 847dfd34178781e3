"""Figures of a diagnosis: what was tried, what is claimed, and sentences that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pages import column, named, outside, words

import gramlab
from gramlab import figures
from gramlab.diagnosis import Diagnosis, DiagnosisSettings, diagnose
from gramlab.diagnosis.trial import LABELS
from gramlab.errors import InvalidSetting
from gramlab.figures import SettingsDisplay, SuspectsDisplay, TransitionDisplay
from gramlab.transition import NoiseRate


@pytest.fixture(scope="module")
def found() -> Diagnosis:
    digits = gramlab.load_features("digits")
    rows = np.arange(0, digits.n_samples, 7)
    small = gramlab.Features(digits.x[rows], digits.labels[rows])
    return diagnose(small, DiagnosisSettings(noise="symmetric", rate=0.3, seed=3, max_rounds=2))


def line(display, name):
    (artist,) = named(display.figure_)[name]
    return np.asarray(artist.get_xdata()), np.asarray(artist.get_ydata())


def test_settings_are_the_trials_and_the_ring_is_the_advice(found):
    display = SettingsDisplay.from_diagnosis(found).plot()
    for head in ("theory", "exact"):
        own = [t for t in found.trials if t.head == head and t.setting.rounds == 2]
        own = sorted(
            (t.setting.weight_decay, t.accuracy.value) for t in own if not t.setting.refine
        )
        x, y = line(display, f"{head} 2")
        assert list(zip(x.tolist(), y.tolist(), strict=True)) == own
    for labels in LABELS[1:]:
        own = [t for t in found.trials if t.setting.labels == labels]
        x, y = line(display, f"exact 1 {labels}")
        assert dict(zip(x, y, strict=True)) == {
            t.setting.weight_decay: t.accuracy.value for t in own
        }
        assert f"theory 1 {labels}" not in named(display.figure_)
    chosen = found.advice.chosen
    ring = line(display, "advised")
    assert (*ring[0], *ring[1]) == (chosen.setting.weight_decay, chosen.accuracy.value)
    low, high = line(display, "standard error")[1]
    assert high - low == pytest.approx(2 * chosen.accuracy.standard_error, rel=1e-12)
    bottom, top = display.ax_.get_ylim()
    assert bottom < low < high < top


@pytest.mark.parametrize(
    ("rounds", "labels", "words_"),
    [
        (1, "given", "Do not distil: 1 round"),
        (1, "relabel", "Do not distil: proposed labels at"),
        (2, "given", "Distil: 2 ro"),
    ],
)
def test_the_title_is_the_advice(found, rounds, labels, words_):
    chosen = next(
        t
        for t in found.trials
        if t.head == "exact" and (t.setting.rounds, t.setting.labels) == (rounds, labels)
    )
    other = replace(found, advice=replace(found.advice, chosen=chosen))
    assert words_ in words(SettingsDisplay.from_diagnosis(other).plot().figure_)


def test_one_weight_decay_is_seen(found):
    one = found.advice.reference.setting.weight_decay
    trials = [t for t in found.trials if t.setting.weight_decay == one]
    display = SettingsDisplay.from_diagnosis(replace(found, trials=trials)).plot()
    (mark,) = named(display.figure_)["theory 1"]
    assert mark.get_marker() == "_"


def test_suspects_are_the_claims_and_the_truth(found):
    display, suspects = SuspectsDisplay.from_diagnosis(found).plot(), found.suspects
    assert np.array_equal(line(display, "claimed")[1], suspects.precision_at())
    truth = np.cumsum(found.planted.flipped[suspects.rows]) / np.arange(1, len(suspects) + 1)
    assert np.array_equal(line(display, "truth")[1], truth)
    low, high = suspects.precision_low.sum(), suspects.precision_high.sum()
    assert low < suspects.precision.sum() < high
    said = f"{len(suspects)} suspects, of which {np.floor(low):.0f} to {np.ceil(high):.0f} are"
    assert said in words(display.figure_)
    assert "band: the two re-corruptions, red: truth" in words(display.figure_)


def few(found, count, *, flat=False):
    """The first suspects only; with a flat claim, nothing was corrupted again."""
    s = found.suspects
    fields = ("rows", "given", "proposed", "precision", "precision_low", "precision_high")
    cut = {name: getattr(s, name)[:count] for name in fields}
    if flat:
        cut["precision_low"] = cut["precision_high"] = cut["precision"]
    again = None if flat else found.recorruption
    return replace(found, suspects=replace(s, **cut), recorruption=again)


def test_what_is_said_of_suspects_holds_for_few_of_them(found):
    one = SuspectsDisplay.from_diagnosis(few(found, 1)).plot()
    assert "1 suspect, of which 0 to 1 are expected to be wrong" in words(one.figure_)
    assert named(one.figure_)["claimed"][0].get_marker() == "_"
    assert named(one.figure_)["re-corruptions"][0].get_linewidth()[0] > 0
    flat = SuspectsDisplay.from_diagnosis(few(found, 3, flat=True)).plot()
    claimed = found.suspects.precision[:3].sum()
    assert f"3 suspects, of which {claimed:.1f} are expected" in words(flat.figure_)
    assert "re-corruptions" not in words(flat.figure_)
    assert "re-corruptions" not in flat.artists_
    none = SuspectsDisplay.from_diagnosis(few(found, 0)).plot(column(1)[1])
    assert "No label is suspected" in words(none.figure_)


def test_the_share_of_wrong_labels_is_told_with_its_interval(found):
    rate = found.estimate.noise_rate
    shown = words(TransitionDisplay.from_estimate(found.estimate).plot().figure_)
    assert f"About {100 * rate.value:.1f} % of the labels are wrong (95 % interval" in shown
    # Ends are rounded outwards: what is printed holds what was found.
    narrow = replace(found.estimate, noise_rate=NoiseRate(0.0004, 0.00039, 0.00041))
    shown = words(TransitionDisplay.from_estimate(narrow).plot().figure_)
    assert "About 0.0 % of the labels are wrong (95 % interval 0.0 to 0.1 %)" in shown


def test_the_matrix_and_its_diagonal_are_those_of_the_estimate(found):
    truth = found.planted.matrix
    display = TransitionDisplay.from_estimate(found.estimate, None, truth).plot()
    (image,) = named(display.figure_)["matrix"]
    assert np.array_equal(image.get_array(), found.estimate.matrix)
    order = np.argsort(np.diag(found.estimate.matrix), kind="stable")
    (dots,), (dash,) = (named(display.figure_)[name] for name in ("estimate", "truth"))
    assert np.array_equal(dots.get_offsets()[:, 1], np.diag(found.estimate.matrix)[order])
    assert np.array_equal(dash.get_offsets()[:, 1], np.diag(truth)[order])
    with pytest.raises(InvalidSetting, match="class_names must be the 10 of the estimate, got 2"):
        TransitionDisplay.from_estimate(found.estimate, ["a", "b"])
    with pytest.raises(InvalidSetting, match=r"shape \(10, 10\), got shape \(10,\)"):
        TransitionDisplay.from_estimate(found.estimate, None, np.diag(truth))


def test_the_title_of_many_suspects_stays_on_the_page(found):
    s, count = found.suspects, 90_000
    fields = ("rows", "given", "proposed", "precision", "precision_low", "precision_high")
    many = replace(s, **{name: np.resize(getattr(s, name), count) for name in fields})
    display = SuspectsDisplay.from_diagnosis(replace(found, suspects=many))
    assert "90000 suspects, of which " in words(display.plot().figure_)
    assert not outside(display.figure_)


def test_many_classes_are_drawn(found):
    k = 40
    share = np.full((k, k), 0.3 / (k - 1)) + np.eye(k) * (0.7 - 0.3 / (k - 1))
    fields = {"matrix": share, "lower": 0.5 * share, "upper": np.minimum(2 * share, 1.0)}
    many = replace(found.estimate, **fields, unsupported=np.zeros(k, dtype=bool))
    shown = words(TransitionDisplay.from_estimate(many).plot().figure_)
    assert "40 true classes, sorted by the estimate" in shown
    assert "entries in %" not in shown


def test_they_fit_their_pages_and_a_column_of_a_paper(found):
    for stem, display in figures.diagnosis_displays(found).items():
        assert not outside(display.plot().figure_), stem
        figure, axes = column(len(display.axes_))
        display.plot(axes, labels="legend", title="")
        assert not outside(figure), stem


def test_old_functions_name_the_displays(found):
    for name, new in (("settings", "Settings"), ("suspects", "Suspects")):
        with pytest.warns(DeprecationWarning, match=f"use gramlab.figures.{new}Display"):
            getattr(figures, f"{name}_figure")(found)
    with pytest.warns(DeprecationWarning, match="use gramlab.figures.TransitionDisplay"):
        figures.transition_figure(found.estimate)
    with pytest.warns(DeprecationWarning, match="diagnosis_figures leaves"):
        assert list(figures.diagnosis_figures(found)) == list(figures.diagnosis_displays(found))
