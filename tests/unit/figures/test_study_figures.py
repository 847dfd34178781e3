"""Figures of a study draw the means of its rows, paired by seed, and the theory beside them."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from pages import column, outside, words
from study_rows import rounds, row

from gramlab import figures
from gramlab.errors import InvalidSetting


def study(rates=(0.1, 0.5, 0.9), seeds=(0, 1, 2), **more):
    rows = []
    for rate in rates:
        for seed in seeds:
            base = 0.9 - 0.4 * rate + 0.02 * seed
            made = {"rate": rate, **more}
            for t in range(1, 4):
                found = {"label_recovery": base - 0.1, "top_two_coverage": base + 0.05}
                theory = {"linearized_test_accuracy": base + 0.03 * t}
                value = base + 0.01 * t * (1 + seed)
                rows.append(row("distill", seed, value, round=t, **found, **theory, **made))
            theory = {"linearized_test_accuracy": base}
            rows.append(row("top2-ce", seed, base - 0.03, **theory, **made))
            rows.append(row("top2-gce", seed, base + 0.2, **made))
    return rows


def gains(*given, **settings):
    return figures.GainDisplay.from_rows(*given, **settings).plot().figure_


def rounds_of(*given, **settings):
    return figures.RoundsDisplay.from_rows(*given, **settings).plot().figure_


def coverage(rows):
    return figures.CoverageDisplay.from_rows(rows).plot().figure_


def errors(rows):
    return figures.ApproximationDisplay.from_rows(rows).plot().figure_


def named(figure, kind=None):
    found = {}
    for axes in figure.axes:
        for artist in [*axes.get_lines(), *axes.patches]:
            if artist.get_gid() and (kind is None or isinstance(artist, kind)):
                assert artist.get_gid() not in found
                found[artist.get_gid()] = artist
    return found


def test_bars_are_paired_gains_and_dashes_the_theory():
    figure = gains(study())
    bars = named(figure, Rectangle)
    # The paper's figures begin at a rate of one half.
    columns = ["round 2", "round 3", "PLL (CE)", "PLL (GCE)"]
    assert list(bars) == [f"gain {c} {r}" for c in columns for r in (0.5, 0.9)]
    wins = [0.01 * (1 + seed) for seed in range(3)]
    assert bars["gain round 2 0.5"].get_height() == pytest.approx(statistics.fmean(wins), abs=1e-15)
    assert bars["gain PLL (CE) 0.5"].get_height() < 0  # a loss is drawn downwards
    lines = named(figure)
    low, high = lines["seeds round 2 0.5"].get_ydata()
    assert high - low == pytest.approx(2 * statistics.stdev(wins), abs=1e-15)
    assert np.allclose(lines["theory round 3 0.9"].get_ydata(), 0.06, atol=1e-15, rtol=0)
    assert np.allclose(lines["theory PLL (CE) 0.9"].get_ydata(), -0.03, atol=1e-15, rtol=0)
    assert "theory PLL (GCE) 0.5" not in lines  # the local loss has no closed form
    assert "toy, raw, symmetric noise, base weight decay" in words(figure)


def test_gains_pair_seeds():
    rows = [
        r for r in study() if not (r["method"] == "distill" and r["seed"] == 2 and r["round"] == 1)
    ]
    bar = named(gains(rows), Rectangle)["gain round 2 0.5"]
    assert bar.get_height() == pytest.approx(0.015, abs=1e-15)
    # Planted: the difference of unpaired means is another number.
    assert bar.get_height() != pytest.approx(0.03, abs=1e-3)


def test_rates_can_be_chosen():
    figure = gains(study(), rates=[0.1])
    assert all(name.endswith(" 0.1") for name in named(figure))
    assert "10 %" in words(figure)
    low = gains(study(rates=(0.1, 0.2)))
    assert len(named(low, Rectangle)) == 8


def test_curves_by_round_are_means_of_seeds():
    found = named(rounds_of(study()))
    dot = found["exact round 2 0.5"]
    assert list(dot.get_xdata()) == [2]
    base = 0.9 - 0.2 + 0.02
    assert dot.get_ydata()[0] == pytest.approx(base + 0.04, abs=1e-15)
    theory = found["theory 0.5"]
    assert list(theory.get_xdata()) == [1, 2, 3]
    assert np.allclose(theory.get_ydata(), base + 0.03 * np.arange(1, 4), atol=1e-15, rtol=0)
    assert found["exact PLL (CE) 0.9"].get_xdata()[0] < found["exact PLL (GCE) 0.9"].get_xdata()[0]
    assert found["exact PLL (CE) 0.9"].get_xdata()[0] > 3


def test_coverage_is_that_of_the_teacher():
    rows = study() + study(weight_decay_name="large", seeds=(0,))
    figure = coverage(rows)
    found = named(figure)
    curve = found["coverage base weight decay"]
    assert list(curve.get_xdata()) == [0.1, 0.5, 0.9]
    assert curve.get_ydata()[1] == pytest.approx(0.9 - 0.2 + 0.02 + 0.05, abs=1e-15)
    assert found["recovery large weight decay"].get_ydata()[1] == pytest.approx(0.6, abs=1e-15)
    assert "toy, raw, symmetric noise" in words(figure)


@pytest.mark.parametrize("draw", [gains, rounds_of, coverage])
@pytest.mark.parametrize(
    "shape", [{}, {"rates": (0.5,), "seeds": (0,)}, {"features": "a long name " * 9}]
)
def test_equal_rows_give_equal_pictures_with_all_text_inside(draw, shape):
    figure = draw(study(**shape))
    assert figures.figure_png(figure) == figures.figure_png(draw(study(**shape)))
    changed = study(**shape)
    changed[0]["test_accuracy"] += 0.05
    changed[0]["top_two_coverage"] -= 0.05
    if len(changed) > 5:
        changed[-3]["test_accuracy"] += 0.05
    assert figures.figure_png(figure) != figures.figure_png(draw(changed))
    assert not outside(figure)


def test_rows_that_make_no_figure_are_refused():
    two = study() + study(noise="asymmetric")
    for draw in (gains, rounds_of):
        with pytest.raises(InvalidSetting, match=r"one setting, got 2 .*asymmetric"):
            draw(two)
        with pytest.raises(InvalidSetting, match="measure must be one of"):
            draw(study(), measure="top_two_coverage")
    with pytest.raises(InvalidSetting, match="rates must be some of"):
        gains(study(), rates=[0.3])
    with pytest.raises(InvalidSetting, match="more than one round"):
        gains(rounds({0: [0.5]}))
    with pytest.raises(InvalidSetting, match=r"rates must be some of 0.1, 0.5, 0.9, got 0.3"):
        rounds_of(study(), rates=[0.3, 0.5])
    with pytest.raises(InvalidSetting, match="label_recovery by round, got none"):
        rounds_of(rounds({0: [0.5]}), measure="label_recovery")
    with pytest.raises(InvalidSetting, match="top_two_coverage of 1 to 5 settings, got 0"):
        coverage(rounds({0: [0.5]}))


def test_errors_stand_at_their_logits_below_the_remainder_bound():
    rows = [
        row("approximation", seed, 0.5, round=t, rate=rate, n_samples=n)
        | {"largest_logit_range": 0.1 * n * t, "rms_distance": 1e-3 * (1.0 + rate) * t}
        for seed, rate, n in ((0, 0.0, 10), (0, 0.5, 20))
        for t in (1, 2)
    ]
    drawn = named(errors(rows))
    assert list(drawn) == ["rate 0, 10 rows", "rate 0.5, 20 rows", "bound"]
    assert drawn["rate 0, 10 rows"].get_xdata()[0] == 1.0
    assert drawn["rate 0.5, 20 rows"].get_ydata()[0] == 1.5e-3
    assert drawn["rate 0, 10 rows"].get_marker() != drawn["rate 0.5, 20 rows"].get_marker()
    bound = drawn["bound"]
    assert np.array_equal(bound.get_ydata(), bound.get_xdata() ** 2 / 4.0)
    with pytest.raises(InvalidSetting, match="round 1 of method approximation"):
        errors(study())


def approximation(**more):
    return [
        row("approximation", seed, 0.5, round=1, n_samples=10, **({"rate": rate} | more))
        | {"largest_logit_range": 0.1 + seed, "rms_distance": 1e-3 * seed}
        for seed, rate in ((0, 0.0), (1, 0.0), (2, 0.5))
    ]


def test_what_has_no_place_on_a_log_axis_is_counted_and_settings_are_not_mixed():
    assert "teachers; 1 without error left out" in words(errors(approximation()))
    assert "left out" not in words(errors(approximation()[1:]))
    with pytest.raises(InvalidSetting, match=r"one setting, got 2 \(toy, raw, symmetric; toy"):
        errors(approximation() + approximation(noise="asymmetric"))
    with pytest.raises(InvalidSetting, match="error above 0, got none of 1"):
        errors(approximation()[:1])
    many = [row_ | {"rate": i / 20} for i, row_ in enumerate(approximation()[1:2] * 11)]
    with pytest.raises(InvalidSetting, match="at most 10 rates, got 11"):
        errors(many)
    symbols = {one.get_marker() for n, one in named(errors(many[:10])).items() if n != "bound"}
    assert len(symbols) == 10  # no two rates under one mark


def test_a_series_of_one_point_is_seen():
    found = named(coverage(study(rates=(0.5,))))
    assert all(line.get_marker() in ("o", "s") for line in found.values())
    one = [r for r in study() if r["method"] == "distill" and r["round"] == 1]
    assert named(rounds_of(one))["theory 0.5"].get_marker() == "_"
    assert named(rounds_of(study()))["theory 0.5"].get_marker() == "None"


@pytest.mark.parametrize("labels", ["ends", "legend", "none"])
def test_they_draw_on_a_column_of_a_paper(labels):
    rows = study() + study(weight_decay_name="large", seeds=(0,))
    base = [r for r in rows if r["weight_decay_name"] == "base"]
    for display in (
        figures.GainDisplay.from_rows(base),
        figures.RoundsDisplay.from_rows(base),
        figures.CoverageDisplay.from_rows(rows),
        figures.ApproximationDisplay.from_rows(approximation()),
    ):
        page = set(display.plot().artists_)
        figure, axes = column(1)
        display.plot(axes, labels=labels, markersize=3.0, linewidth=0.8)
        assert set(display.artists_) == page
        assert display.figure_ is figure
        if labels != "ends":
            assert not outside(figure)
        if labels == "none":
            assert display.ax_.get_legend() is None
    found = figures.CoverageDisplay.from_rows(rows).plot(column(1)[1], labels=labels)
    if labels == "legend":
        texts = [text.get_text() for text in found.ax_.get_legend().get_texts()]
        assert texts[:2] == ["in the top two", "first (recovered)"]
        assert texts[2:] == ["base weight decay", "large weight decay"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gain_over_teacher", "Gain"),
        ("accuracy_by_rounds", "Rounds"),
        ("coverage_by_rate", "Coverage"),
        ("error_by_logits", "Approximation"),
    ],
)
def test_old_functions_name_the_displays(old, new):
    with pytest.warns(DeprecationWarning, match=f"use gramlab.figures.{new}Display"):
        getattr(figures, old)(approximation() if new == "Approximation" else study())
