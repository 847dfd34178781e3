"""Figures draw the numbers they were given, for every shape of result, and always the same way."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from gramlab import figures
from gramlab.check import CheckResult, CheckSettings, Dynamics, run_check
from gramlab.comparison import Certified, RoundComparison
from gramlab.errors import NotConvergedWarning, OutputError
from gramlab.features import Features
from gramlab.figures.heatmaps import sample_rows
from gramlab.figures.style import at_most, plain_text, spread
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import filter_power, linear_mu
from gramlab.spectrum.superclasses import find_superclasses

STEMS = ["eigenvalue_gap", "gram_heatmap", "label_averaging", "error_by_round", "accuracy_by_round"]


def features(n: int, d: int, k: int, *, test: bool = True, names=None) -> Features:
    rng = np.random.default_rng(n + d + k)
    labels = np.arange(n) % k
    x = rng.standard_normal((k, d))[labels] + 0.6 * rng.standard_normal((n, d))
    extra = {"test_x": x[: n // 2] + 0.1, "test_labels": labels[: n // 2]} if test else {}
    return Features(x, labels, class_names=names or [f"c{i}" for i in range(k)], **extra)


def check(data: Features, **settings) -> CheckResult:
    with warnings.catch_warnings():
        # The partial-label student of two classes is a tie of the method, not of the figures.
        warnings.simplefilter("ignore", NotConvergedWarning)
        return run_check(data, CheckSettings(weight_decay=1e-2, **settings))


@pytest.fixture(scope="module")
def result() -> CheckResult:
    return check(features(60, 8, 3), rounds=3, rate=0.4)


@pytest.fixture(scope="module")
def drawn(result) -> dict[str, Figure]:
    return drawn_by(figures.check_displays(result))


def drawn_by(displays) -> dict[str, Figure]:
    return {stem: display.plot().figure_ for stem, display in displays.items()}


def lines(figure: Figure) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Everything drawn under a name: x and y."""
    found = {}
    for axes in figure.axes:
        for line in axes.get_lines():
            if line.get_gid():
                assert line.get_gid() not in found
                found[line.get_gid()] = (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
    return found


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def words(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text() for text in texts(figure)).split())


def test_figures_have_the_stems_of_their_files(drawn):
    assert list(drawn) == STEMS
    assert all(isinstance(figure, Figure) for figure in drawn.values())


def test_eigenvalues_and_filters_are_those_of_the_result(result, drawn):
    found, spectrum = lines(drawn["eigenvalue_gap"]), result.spectrum
    error = spectrum.certificate.eigenvalue_error
    x = np.concatenate([found["first K"][0], found["further"][0]])
    y = np.concatenate([found["first K"][1], found["further"][1]])
    assert np.array_equal(found["first K"][0], [1, 2, 3])
    assert np.array_equal(y, spectrum.eigenvalues[x.astype(int) - 1])
    assert (y > error).all()
    assert len(y) == (spectrum.eigenvalues > error).sum()
    mu = linear_mu(3, 60, 1e-2)
    assert np.array_equal(found["mu"][1], [mu, mu])
    for t in (1, 2, 3):
        expected = filter_power(spectrum.eigenvalues, mu, t)
        assert np.array_equal(found[f"filter {t}"][1], expected)
    assert f"{spectrum.gap(3):.6g}" in words(drawn["eigenvalue_gap"])


def test_eigenvalues_below_the_certified_error_are_greyed_and_never_drawn_as_values(monkeypatch):
    x = features(40, 6, 3).x.copy()
    x[:, 5] = 0.0
    spectrum = Spectrum.of(Features(x, np.arange(40) % 3))
    low = dataclasses.replace(
        spectrum.certificate, eigenvalue_error=float(spectrum.eigenvalues[4]) / 100.0
    )
    monkeypatch.setattr(Spectrum, "certificate", property(lambda spectrum: low))
    found = lines(figures.EigenvalueDisplay.from_spectrum(spectrum, 3).plot().figure_)
    assert np.array_equal(found["not resolved"][0], [6])
    assert found["not resolved"][1].max() < low.eigenvalue_error
    assert np.array_equal(found["error"][1], [low.eigenvalue_error] * 2)
    assert np.array_equal(np.concatenate([found["first K"][0], found["further"][0]]), range(1, 6))
    assert "mu" not in found


@pytest.mark.parametrize(
    ("n", "d", "k", "title"),
    [
        (12, 20, 20, "12 rows: no gap after K = 20"),
        (40, 3, 6, "Rank at most 3: no gap after K = 6"),
    ],
)
def test_where_there_is_no_gap_the_title_says_so(n, d, k, title):
    x = np.random.default_rng(0).standard_normal((n, d))
    data = Features(x, np.arange(n) % min(n, k), n_classes=k)
    figure = (
        figures.EigenvalueDisplay.from_spectrum(Spectrum.of(data), k, weight_decay=1e-3, rounds=30)
        .plot()
        .figure_
    )
    assert title in words(figure)
    assert len([name for name in lines(figure) if name.startswith("filter")]) == 4


def test_dynamics_theory_is_the_line_and_exact_the_dots(result, drawn):
    found = lines(drawn["label_averaging"])
    for head, word in (("linearized", "theory"), ("exact", "exact")):
        for name in ("clean_true", "flipped_true", "flipped_given"):
            expected = [getattr(one, name) for one in result.dynamics(head)]
            assert np.array_equal(found[f"{word} {name}"][0], [1, 2, 3])
            assert np.array_equal(found[f"{word} {name}"][1], expected)
    for name in ("own", "same_class", "others"):
        expected = [one[name] for one in result.averaging_weights()]
        assert np.array_equal(found[f"theory weight {name}"][1], expected)
    assert np.array_equal(found["uniform"][1], [1 / 3, 1 / 3])


def test_swapped_theory_and_exact_are_noticed(result, drawn):
    swapped = dynamics_figure(result.dynamics("exact"), result.dynamics("linearized"), 3)
    right, wrong = lines(drawn["label_averaging"]), lines(swapped)
    for name in ("clean_true", "flipped_true", "flipped_given"):
        assert not np.array_equal(right[f"theory {name}"][1], wrong[f"theory {name}"][1])
        assert np.array_equal(right[f"theory {name}"][1], wrong[f"exact {name}"][1])
    straight = dynamics_figure(result.dynamics("linearized"), result.dynamics("exact"), 3)
    assert figures.figure_png(straight) != figures.figure_png(swapped)


def dynamics_figure(theory, exact, n_classes: int) -> Figure:
    return figures.DynamicsDisplay(exact, theory, n_classes).plot().figure_


def crossing(true: list[float], wrong: list[float]) -> list[Dynamics]:
    return [Dynamics(0.9, a, b) for a, b in zip(true, wrong, strict=True)]


def test_crossing_is_marked_where_the_exact_head_crosses():
    theory = crossing([0.1, 0.5, 0.6], [0.8, 0.4, 0.3])
    exact = crossing([0.1, 0.3, 0.6], [0.8, 0.4, 0.3])
    figure = dynamics_figure(theory, exact, 4)
    assert np.array_equal(lines(figure)["crossing"][0], [3, 3])
    assert "true label leads from t = 3 (theory: from t = 2)" in words(figure)
    assert figures.crossing_round(exact) == 3
    # Swapping the heads must move the mark.
    assert np.array_equal(lines(dynamics_figure(exact, theory, 4))["crossing"][0], [2, 2])


def test_no_crossing_and_no_mislabelled_rows():
    never = crossing([0.1, 0.2], [0.8, 0.7])
    figure = dynamics_figure(never, never, 2)
    assert figures.crossing_round(never) is None
    assert "true label never leads" in words(figure)
    assert "crossing" not in lines(figure)
    clean = [Dynamics(0.9, None, None)]
    figure = dynamics_figure(clean, clean, 2)
    assert "No mislabelled rows" in words(figure)
    assert {"theory clean_true", "exact clean_true", "uniform"} == set(lines(figure))


@pytest.mark.parametrize("k", [3, 12, 30])
def test_class_tree_has_its_whole_title_and_every_framed_class(k):
    matrix = np.corrcoef(np.random.default_rng(k).standard_normal((k, 9)))
    found = find_superclasses(matrix, method="authors")
    figure = figures.CorrelationDisplay.from_correlations(matrix, found).plot().figure_
    (title,) = (text for text in texts(figure) if "complete linkage" in text.get_text())
    assert title.get_window_extent().x1 <= figure.bbox.x1
    frames = [one for one in figure.findobj(Rectangle) if one.get_gid() == "superclass"]
    assert sorted(one.get_width() for one in frames) == sorted(np.bincount(found.labels))
    (image,) = (one for one in figure.findobj(AxesImage) if one.get_gid() == "correlations")
    assert np.array_equal(image.get_array(), matrix[np.ix_(found.order, found.order)])


def test_errors_are_those_of_the_comparison(result, drawn):
    found, compared = lines(drawn["error_by_round"]), result.comparison
    expected = {
        "max_abs": [one.max_abs for one in compared],
        "rms": [one.frobenius / np.sqrt(60) for one in compared],
        "disagreement": [1 - one.argmax_agreement for one in compared],
        "certified disagreement": [one.certified_disagreement for one in compared],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name][1], values, rtol=4 * np.finfo(float).eps)
    assert "error recursion holds in all rounds" in words(drawn["error_by_round"])


def test_broken_recursion_is_said(result):
    broken = dataclasses.replace(result.comparison[1], recursion_error=1.0)
    rounds = (result.comparison[0], broken, result.comparison[2])
    assert "FAILS first at t = 2" in words(figures.ErrorDisplay(rounds, 60).plot().figure_)
    lost = dataclasses.replace(result.comparison[0], recursion_error=float("nan"))
    assert "FAILS first at t = 1" in words(figures.ErrorDisplay((lost,), 60).plot().figure_)


def test_errors_of_exactly_zero_have_a_figure():
    none = RoundComparison(1, 0.0, 0.0, 1.0, Certified(1.0, 0.0, 0.0), 1.0, 0.0, 0.0, 0.0)
    assert figures.figure_png(figures.ErrorDisplay([none], 5).plot().figure_)


def test_accuracies_are_the_scores_and_the_certified_ranges(result, drawn):
    found = lines(drawn["accuracy_by_round"])
    for word, rounds, student in (
        ("theory", result.linearized, result.partial["linearized"]),
        ("exact", result.exact, result.partial["exact"]),
    ):
        for name in ("label_recovery", "test_accuracy"):
            expected = [result.scores(fit)[name] for fit in rounds]
            assert np.array_equal(found[f"{word} {name}"][1], expected)
            x, y = found[f"{word} partial {name}"]
            assert x[0] > 3
            assert y[0] == result.scores(student)[name]
    for t, one in enumerate(result.comparison, 1):
        low, high = found[f"certified {t}"][1]
        assert (low, high) == (one.certified.right, one.certified.right + one.certified.undecided)
        recovery = found["exact label_recovery"][1][t - 1]
        assert low - 1e-12 <= recovery <= high + 1e-12  # shares of 60 rows differ by 1/60


def test_heat_map_holds_the_cosines_of_the_sampled_rows(result):
    data = result.features
    figure = figures.GramDisplay.from_features(data, max_rows=30).plot().figure_
    (image,) = [image for image in figure.axes[0].images if image.get_gid() == "cosines"]
    drawn, rows = np.asarray(image.get_array()), sample_rows(data.labels, 30)
    assert drawn.shape == (30, 30)
    for i in (0, 11, 29):
        for j in (0, 17, 28):
            a, b = data.x[rows[i]], data.x[rows[j]]
            expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            # Two normalizations and one inner product of length d.
            assert abs(drawn[i, j] - expected) <= 4 * (data.n_features + 4) * np.finfo(float).eps
    low, high = image.get_clim()
    assert low == -high  # centred at 0, as there are negative cosines
    assert "30 of 60 rows" in words(figure)


def test_heat_map_of_positive_cosines_is_sequential_and_zero_rows_have_cosine_zero():
    x = np.abs(np.random.default_rng(0).standard_normal((20, 4)))
    figure = figures.GramDisplay.from_features(Features(x, np.arange(20) % 2)).plot().figure_
    (image,) = figure.axes[0].images
    assert image.get_cmap().name == "viridis"
    x[3] = 0.0
    (image,) = (
        figures.GramDisplay.from_features(Features(x, np.arange(20) % 2))
        .plot()
        .figure_.axes[0]
        .images
    )
    assert np.isfinite(np.asarray(image.get_array())).all()


@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=30), most=st.integers(2, 200))
def test_sampled_rows_are_bounded_ordered_and_even(counts, most):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = sample_rows(labels, most)
    assert len(rows) <= most
    assert len(np.unique(rows)) == len(rows)
    taken = np.bincount(labels[rows], minlength=len(counts))
    assert (np.diff(labels[rows]) >= 0).all()
    if len(counts) <= most:
        quota = taken.max()
        assert np.array_equal(taken, np.minimum(counts, quota))
        # No class could have given one more without breaking the bound or the evenness.
        assert np.minimum(counts, quota + 1).sum() > most or quota == max(counts)


def test_large_heat_map_takes_six_hundred_rows_and_never_more():
    labels = np.arange(50_000) % 101
    assert len(sample_rows(labels, 600)) == 505
    assert len(sample_rows(np.arange(5_000), 600)) == 600


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (features(24, 5, 2, test=False, names=["<b>$x$_", "日本\n"]), {"rounds": 1, "rate": 0.0}),
        (features(12, 14, 20), {"rounds": 12, "rate": 0.5}),
        (features(256, 8, 256, test=False), {"rounds": 1, "rate": 0.5}),
    ],
    ids=["two classes, one round, no test, no noise", "N < K", "K = 256"],
)
def test_every_shape_is_drawn_inside_the_page(data, settings):
    for stem, figure in drawn_by(figures.check_displays(check(data, **settings))).items():
        page = figure.bbox
        figure.draw_without_rendering()  # titles find their height when drawn
        ticks = {
            label
            for axes in figure.axes
            for axis in (axes.xaxis, axes.yaxis)
            for label in axis.get_ticklabels(which="both")
        }  # beyond the limits: not drawn
        for text in set(texts(figure)) - ticks:
            box = text.get_window_extent()
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= page.x1 + 1
            assert inside, (stem, text.get_text())
            assert box.y1 <= page.y1 + 1, (stem, text.get_text())


def test_equal_results_give_equal_bytes(result, drawn, tmp_path):
    again = figures.check_displays(result)
    for stem, figure in drawn.items():
        first = figures.save_figure(figure, tmp_path / "first.png").read_bytes()
        assert first == figures.save_figure(again[stem], tmp_path / "second.png").read_bytes()
        assert first.startswith(b"\x89PNG")
        for mark in (b"Software", b"matplotlib", b"tIME", b"Date"):
            assert mark not in first
    # The first drawing of a figure must not change what the second one shows.
    assert first == figures.figure_png(drawn[STEMS[-1]])
    with pytest.raises(OutputError):
        figures.save_figure(drawn["gram_heatmap"], tmp_path / "absent" / "a.png")


def test_users_matplotlib_settings_neither_matter_nor_change(result, drawn):
    before = matplotlib.rcParams.copy()  # reading "backend" would choose one
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linewidth": 9}):
        other = figures.ErrorDisplay(result.comparison, 60).plot().figure_
        assert figures.figure_png(other) == figures.figure_png(drawn["error_by_round"])
        assert matplotlib.rcParams["font.size"] == 30
    assert all(matplotlib.rcParams[key] == before[key] for key in before if key != "backend")


def test_pyplot_is_never_imported():
    code = (
        "import sys, gramlab.figures, gramlab.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(wanted=st.lists(st.floats(0, 1), min_size=1, max_size=6), room=st.sampled_from([0.05, 0.15]))
def test_labels_keep_their_distance_and_order(wanted, room):
    placed = np.array(spread(wanted, room))
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(placed[order]) >= room - 1e-12).all()  # sums of at most six terms below 2
    assert placed.min() >= 0
    assert placed.max() <= 1 + 1e-12
    if (np.diff(np.array(wanted)[order]) >= room).all():
        np.testing.assert_allclose(placed, wanted, atol=1e-12)


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_printed_bound_is_a_bound_and_nearly_tight(value):
    printed = float(at_most(value))
    # Only a value that two digits already write exactly may lose its last bits.
    assert value * (1 - 1e-11) <= printed <= 1.11 * value


def test_names_are_drawn_as_plain_text():
    assert plain_text("a$b$", "x") == r"a\$b\$"
    assert plain_text("日本", "class 4") == "class 4"
    assert plain_text("two\nlines", "x") == "two lines"
    assert plain_text("a\u0000", "x") == "x"
    assert len(plain_text("y" * 50, "x")) == 16
