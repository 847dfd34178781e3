"""Figures of a diagnosis: what was tried, what is claimed, and sentences that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pages import column, named, outside, words

import gramlab
from gramlab import figures
from gramlab.diagnosis import Diagnosis, DiagnosisSettings, diagnose
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


def test_settings_are_the_best_of_each_way_and_the_ring_is_the_advice(found):
    display = SettingsDisplay.from_diagnosis(found).plot()
    drawn, exact = named(display.figure_), [t for t in found.trials if t.head == "exact"]
    theory = {t.setting: t.accuracy.value for t in found.trials if t.head == "theory"}
    best = {
        way: [t for t in exact if t.setting.way == way] for way in {*(t.setting.way for t in exact)}
    }
    expected = {max(of, key=lambda t: t.accuracy.value).setting for of in best.values()}
    expected |= {found.advice.chosen.setting, found.advice.reference.setting}
    shown = [t for t in exact if t.setting in expected]
    assert {name for name in drawn if name.startswith("exact")} == {
        f"exact {one}" for one in expected
    }
    heights = []
    for trial in sorted(shown, key=lambda t: -t.accuracy.value):
        (x,), (y,) = line(display, f"exact {trial.setting}")
        assert x == trial.accuracy.value
        low, high = line(display, f"error {trial.setting}")[0]
        assert high - low == pytest.approx(2 * trial.accuracy.standard_error, rel=1e-12)
        heights.append(display.ax_.transData.transform((x, y))[1])
        name = f"theory {trial.setting}"
        assert (name in drawn) == (trial.setting in theory)
        left, right = display.ax_.get_xlim()
        assert left < low < high < right
        if name in drawn and left < theory[trial.setting] < right:
            assert theory[trial.setting] in line(display, name)[0]
    assert heights == sorted(heights, reverse=True)  # the best on top
    chosen, ring = found.advice.chosen, line(display, "advised")
    assert ring[0] == chosen.accuracy.value
    assert f"{chosen.setting}, advised" in words(display.figure_)
    assert line(display, "reference")[0][0] == found.advice.reference.accuracy.value


def test_theory_beyond_the_page_is_an_arrowhead(found):
    far = [
        replace(t, accuracy=t.accuracy._replace(value=0.01)) if t.head == "theory" else t
        for t in found.trials
    ]
    display = SettingsDisplay.from_diagnosis(replace(found, trials=far)).plot()
    assert display.ax_.get_xlim()[0] > 0.05
    (mark,) = named(display.figure_)[f"theory {found.advice.reference.setting}"]
    assert mark.get_marker() == "<"
    assert display.ax_.get_xlim()[0] < mark.get_xdata()[0]


def test_figures_say_the_doubt_and_claim_nothing(found):
    reason = "labels may all be right"
    doubted = replace(found, suspects=replace(found.suspects, withheld=reason))
    settings = SettingsDisplay.from_diagnosis(doubted).plot()
    assert "istil (in doubt): " in words(settings.figure_)
    assert f"In doubt: {reason}." in words(settings.figure_)
    assert "in doubt" not in words(SettingsDisplay.from_diagnosis(found).plot().figure_).lower()
    suspects = SuspectsDisplay.from_diagnosis(replace(doubted, recorruption=None)).plot()
    assert "nothing is claimed of them" in words(suspects.figure_)
    assert "claimed" not in suspects.artists_
    assert "truth" in suspects.artists_
    alone = SuspectsDisplay(doubted.suspects, None, False).plot()
    assert f"nothing is claimed: {reason}" in words(alone.figure_)
    for one in (settings, suspects, alone):
        assert not outside(one.figure_)
    nothing = replace(found.estimate, noise_rate=NoiseRate(0.01, 0.0, 0.08))
    shown = words(TransitionDisplay.from_estimate(nothing).plot().figure_)
    assert "At most 8.0 % of the labels are wrong, perhaps none (95 % interval 0.0" in shown


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


def test_suspects_are_the_claims_and_the_truth(found):
    display, suspects = SuspectsDisplay.from_diagnosis(found).plot(), found.suspects
    assert np.array_equal(line(display, "claimed")[1], suspects.precision_at())
    truth = np.cumsum(found.planted.flipped[suspects.rows]) / np.arange(1, len(suspects) + 1)
    assert np.array_equal(line(display, "truth")[1], truth)
    low, high = suspects.precision_low.sum(), suspects.precision_high.sum()
    assert low < suspects.precision.sum() < high
    said = f"{len(suspects)} suspects, of which {np.floor(low):.0f} to {np.ceil(high):.0f} are"
    assert said in words(display.figure_)
    assert "claimed its two re-corruptions truth" in words(display.figure_)


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
