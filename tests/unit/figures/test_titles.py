"""What a figure says holds for all that it shows; each sentence meets a case against it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gramlab import Features, class_correlations, figures
from gramlab.comparison import Certified, RoundComparison
from gramlab.distillation import Dynamics
from gramlab.errors import InvalidSetting
from gramlab.figures.by_round import format_recovery
from gramlab.spectrum import Spectrum


def title(display: figures.Display) -> str:
    return " ".join(display.plot().ax_.get_title(loc="left").split())


def recovery(*shares: float, undecided: float | None = 0.0) -> str:
    """The title where each share may grow by what is undecided; None: nothing is certified."""
    exact = [{"label_recovery": share, "test_accuracy": None} for share in shares]
    certified = [
        None if undecided is None else Certified(share, 1.0 - share - undecided, undecided)
        for share in shares
    ]
    return title(figures.AccuracyDisplay(exact, exact, certified))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((0.5,), "Exact teacher recovers 50.0 % of labels"),
        ((0.5, 0.5), "Exact label recovery stays at 50.0 %"),
        ((0.5, 0.6, 0.6, 0.7), "Exact label recovery rises: 50.0 → 70.0 %"),
        ((0.7, 0.6), "Exact label recovery falls: 70.0 → 60.0 %"),
        # The case that was seen: it ends below its start, and yet it does not fall.
        (
            (0.778, 0.8, 0.804, 0.769),
            "Exact label recovery peaks at t = 3: 77.8 → 80.4 → 76.9 %",
        ),
        ((0.5, 0.8, 0.7), "Exact label recovery peaks at t = 2: 50.0 → 80.0 → 70.0 %"),
        # Two rounds have the most: neither is the peak.
        ((0.5, 0.8, 0.8, 0.6), "Exact label recovery: 50.0 % at t = 1, 60.0 % at t = 4"),
        ((0.7, 0.5, 0.8), "Exact label recovery: 70.0 % at t = 1, 80.0 % at t = 3"),
        ((0.8, 0.5, 0.8), "Exact label recovery: 80.0 % at t = 1, 80.0 % at t = 3"),
        ((0.5, 0.5004), "Exact label recovery rises: 50.000 → 50.040 %"),
    ],
)
def test_recovery_rises_or_falls_only_throughout(shares, expected):
    assert recovery(*shares) == expected


@pytest.mark.parametrize(
    ("shares", "claim"),
    [((0.5, 0.6, 0.7), "rises"), ((0.7, 0.6, 0.5), "falls"), ((0.5, 0.7, 0.6), "peaks at t = 2")],
)
def test_recovery_is_said_to_change_only_where_certified_ranges_are_apart(shares, claim):
    assert claim in recovery(*shares, undecided=0.09)
    for undecided in (0.11, None):
        words = f"{100 * shares[0]:.1f} % at t = 1, {100 * shares[-1]:.1f} % at t = 3"
        assert recovery(*shares, undecided=undecided) == f"Exact label recovery: {words}"


COUNTS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), min_size=2, max_size=6)


@given(COUNTS, st.data())
def test_words_of_recovery_hold_of_all_that_certificates_leave(counts, data):
    certified = [Certified(right / 25, 1.0, more / 25) for right, more in counts]
    left = [data.draw(st.integers(right, right + more)) for right, more in counts]
    words = format_recovery([right / 25 for right, _ in counts], certified)
    steps = np.diff(left)
    assert "rises" not in words or (steps >= 0).all()
    assert "falls" not in words or (steps <= 0).all()
    assert "stays" not in words or not steps.any()
    if "peaks" in words:
        peak = int(words.partition("t = ")[2].partition(":")[0])
        assert left[peak - 1] > max(left[: peak - 1] + left[peak:])


def leads(*pairs: tuple[float, float], theory=None) -> str:
    exact, beside = (
        [Dynamics(0.9, true, wrong) for true, wrong in found] for found in (pairs, theory or pairs)
    )
    return title(figures.DynamicsDisplay(exact, beside, 4))


WINS, LOSES, TIES = (0.5, 0.4), (0.4, 0.5), (0.4, 0.4)


@pytest.mark.parametrize(
    ("rounds", "when"),
    [
        ((LOSES, WINS, WINS), "leads from t = 2"),
        ((WINS,), "leads from t = 1"),
        ((LOSES, WINS, LOSES), "leads only at t = 2"),
        ((WINS, WINS, LOSES), "leads only at t = 1 to 2"),
        ((WINS, LOSES, WINS), "leads in 2 of 3 rounds"),
        ((LOSES, TIES), "never leads"),
    ],
)
def test_the_true_label_leads_from_a_round_on_only_if_it_goes_on(rounds, when):
    assert leads(*rounds) == f"Mislabelled rows: true label {when}"


def test_the_theory_is_told_where_it_differs():
    assert leads(LOSES, LOSES, theory=(WINS, LOSES)).endswith("never leads (theory: only at t = 1)")


def test_mean_cosines_are_those_of_all_rows_and_not_of_the_drawn_ones():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 5))
    x[::2] += 1.0
    data = Features(x, np.arange(80) % 2, superclasses=[0, 0])
    display = figures.GramDisplay.from_features(data, max_rows=6)
    plain = class_correlations(data.replaced(superclasses=None))
    inside, between = (f"{mean:.2f}".replace("-", "−") for mean, _ in (plain.within, plain.between))
    assert title(display) == f"Mean cosine {inside} inside classes, {between} between classes"
    pairs = display.cosines[display.drawn[:, None] == display.drawn[None, :]]
    assert f"{pairs[pairs < 1 - 1e-9].mean():.2f}" != inside.replace("−", "-")


def compared(**changes) -> RoundComparison:
    one = RoundComparison(1, 0.1, 0.2, 1.0, Certified(1.0, 0.0, 0.0), 1.0, 0.0, 1e-16, 1e-15)
    return dataclasses.replace(one, **changes)


def notes(display: figures.Display) -> str:
    return " ".join(text.get_text() for text in display.plot().ax_.texts)


def test_the_error_recursion_holds_only_in_all_rounds():
    good = figures.ErrorDisplay([compared(), compared(round=2, recursion_error=2e-16)], 10)
    assert "holds in all rounds (residual at most 2.0e-16)" in notes(good)
    assert title(good) == "Largest error of the theory: 0.1"
    bad = figures.ErrorDisplay([compared(), compared(round=2, recursion_error=1.0)], 10)
    assert "holds" not in notes(bad)
    assert "FAILS first at t = 2" in title(bad)


def test_theory_and_exact_head_name_one_class_only_if_they_do_on_every_row():
    for agreement, words in ((1.0, "The same class on every row"), (0.9, "up to 10 % of rows")):
        rounds = [compared(), compared(round=2, argmax_agreement=agreement)]
        below = figures.ErrorDisplay(rounds, 10).plot().axes_[1]
        assert words in below.get_title(loc="left")


def test_a_gap_is_told_only_where_it_is_certified(monkeypatch):
    spectrum = Spectrum.of(Features(np.diag([3.0, 2.0, 1.0, 0.5]), [0, 1, 0, 1]))
    assert (
        title(figures.EigenvalueDisplay.from_spectrum(spectrum, 2)) == "s$_{2}$ is 4 times s$_{3}$"
    )
    coarse = dataclasses.replace(spectrum.certificate, eigenvalue_error=2.0)
    monkeypatch.setattr(Spectrum, "certificate", property(lambda spectrum: coarse))
    display = figures.EigenvalueDisplay.from_spectrum(spectrum, 2)
    assert title(display) == "No certified gap after K = 2"


def test_the_filters_have_one_legend_and_no_fan_where_all_are_zero():
    spectrum = Spectrum.of(Features(np.diag([9.0, 1.0, 1e-6, 1e-6]), [0, 1, 0, 1]))
    display = figures.EigenvalueDisplay.from_spectrum(spectrum, 2, weight_decay=1e-2, rounds=4)
    below = display.plot().axes_[1]
    assert [text.get_text() for text in below.get_legend().get_texts()] == [
        f"t = {t}" for t in (1, 2, 3, 4)
    ]
    assert not any(text.get_text() for text in below.texts)


@pytest.mark.parametrize(("classes", "offset"), [(3, 0.0), (102, 0.0), (102, 3.0)])
def test_classes_have_boundaries_that_can_be_seen_however_many_there_are(classes, offset):
    labels = np.repeat(np.arange(classes), 5)
    x = offset + np.random.default_rng(0).standard_normal((len(labels), 4))
    display = figures.GramDisplay.from_features(Features(x, labels)).plot()
    lines = [a for name, a in display.artists_.items() if name.startswith("boundary")]
    step = 1 if classes == 3 else int(display.ax_.get_ylabel().split("every ")[1])
    assert len(lines) == 2 * ((classes - 1) // step)
    assert {line.get_ydata()[0] for line in lines[::2]} == {
        5 * step * (i + 1) - 0.5 for i in range(len(lines) // 2)
    }
    side = 72 * display.ax_.get_window_extent().height / display.figure_.dpi / classes
    assert all(0.7 <= line.get_linewidth() <= 0.15 * step * side for line in lines)
    # White would not be seen on the white middle of a diverging scale.
    assert {line.get_color() == "white" for line in lines} == {not display.diverging}


def test_angles_of_a_fifth_set_are_refused_and_not_left_out():
    with pytest.raises(InvalidSetting, match="one to 4 feature sets, got 5"):
        figures.AnglesDisplay.from_angles({str(i): [0.1] for i in range(5)})
    with pytest.raises(InvalidSetting, match="finite numbers in radians"):
        figures.AnglesDisplay.from_angles([[0.1]])
