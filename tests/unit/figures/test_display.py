"""What every Display does: the caller's axes and settings, words of style, files."""

from __future__ import annotations

import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from gramlab import Features, Spectrum, figures
from gramlab.check import CheckSettings, run_check
from gramlab.errors import InvalidSetting
from gramlab.spectrum.superclasses import find_superclasses


@pytest.fixture
def display() -> figures.EigenvalueDisplay:
    x = np.random.default_rng(0).standard_normal((30, 8))
    spectrum = Spectrum.of(Features(x, np.arange(30) % 3))
    return figures.EigenvalueDisplay.from_spectrum(spectrum, 3, weight_decay=1e-2, rounds=3)


def own(count: int = 2, size: tuple[float, float] = (3.3, 4.5)) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(count, 1, squeeze=False).flat)


def test_a_page_of_its_own_is_the_same_whatever_the_settings_and_shows_itself(display):
    png = display._repr_png_()
    assert png.startswith(b"\x89PNG")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.facecolor": "black"}):
        assert display.plot()._repr_png_() == png == figures.figure_png(display)
    assert display.axes_ == tuple(display.figure_.axes)
    assert display.ax_ is display.axes_[0]
    assert {"first K", "further", "mu", "error", "filter 3"} <= set(display.artists_)


def test_on_own_axes_the_callers_settings_hold_and_the_figure_keeps_its_size(display):
    with matplotlib.rc_context({"font.size": 17, "legend.fontsize": 13, "axes.titlesize": 15}):
        figure, axes = own(size=(5.0, 7.0))
        engine = figure.get_layout_engine()
        before = display._repr_png_()
        assert display.plot(axes) is display
        assert display.figure_ is figure
        assert display.axes_ == tuple(axes)
        assert tuple(figure.get_size_inches()) == (5.0, 7.0)
        assert figure.get_layout_engine() is engine
        assert axes[0].title.get_fontsize() == 15
        assert {text.get_fontsize() for text in axes[0].texts if text.get_text()} == {13}
        assert display._repr_png_() != before
    again = np.array(own()[1])  # an array of axes, as plt.subplots gives it
    assert display.plot(again).ax_ is again[0]


def test_own_axes_hold_what_a_page_of_its_own_holds(display):
    def drawn():
        lines = {n: a for n, a in display.artists_.items() if isinstance(a, Line2D)}
        return {name: line.get_xydata().tolist() for name, line in lines.items()}

    page = drawn() if display.plot() else {}
    _, axes = own()
    axes[0].plot([1, 2], [3, 4], gid="the caller's")
    display.plot(axes)
    assert drawn() == page  # and nothing of the caller's


def test_properties_go_to_every_named_line(display):
    for ax in (None, own()[1]):
        display.plot(ax, lw=0.7, alpha=0.5)
        lines = [one for one in display.artists_.values() if isinstance(one, Line2D)]
        assert {(one.get_linewidth(), one.get_alpha()) for one in lines} == {(0.7, 0.5)}


def test_titles_notes_and_names_of_lines_are_as_asked(display):
    display.plot(title="Mine", note="of mine", labels="legend")
    top, below = display.axes_
    assert top.get_title(loc="left") == "Mine"
    assert below.get_title(loc="left") == "What t rounds leave of each direction"
    names = [text.get_text() for text in top.get_legend().get_texts()]
    assert [name.partition(" ")[0] for name in names] == ["certified", "μ"]
    assert "of mine" in {text.get_text() for text in top.texts}
    display.plot(title="", note="", labels="none")
    assert [one.get_title(loc="left") for one in display.axes_] == ["", ""]
    assert not any(one.get_legend() for one in display.axes_)
    assert not any("certified" in text.get_text() for text in display.ax_.texts)
    display.plot()
    assert any("certified" in text.get_text() for text in display.ax_.texts)
    assert display.ax_.get_legend() is None


def test_names_at_the_ends_keep_their_distance_on_low_axes():
    figure, axes = own(1, size=(3.3, 2.2))
    weights = [{"own": 0.0, "same_class": 1e-3, "others": 2e-3}] * 3
    figures.AveragingDisplay(weights).plot(axes)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes[0].texts if text.get_text()]
    boxes.sort(key=lambda box: box.y0)
    assert len(boxes) == 3
    for low, high in itertools.pairwise(boxes):
        assert low.y1 <= high.y0 + 1


def test_a_legend_holds_marks_and_lines_together(result):
    given = result.given
    rounds = (result.exact, given.labels, given.true_labels)
    display = figures.DynamicsDisplay.from_rounds(*rounds, theory=result.linearized)
    _, (panel,) = own(1)
    display.plot(panel, labels="legend")
    names = [" ".join(text.get_text().split()) for text in panel.get_legend().get_texts()]
    assert names == [
        "theory",
        "exact head",
        "clean rows: p(true label)",
        "mislabelled: p(true label)",
        "mislabelled: p(given label)",
        "uniform: 1/3",
    ]


def test_a_legend_of_marks_stands_below_the_callers_axes_and_not_on_the_data():
    angles = {name: np.linspace(0, 1.5, 12) for name in ("raw", "centred", "preconditioned")}
    figure, (panel,) = own(1, size=(3.3, 3.0))
    figures.AnglesDisplay.from_angles(angles).plot(panel)
    figure.draw_without_rendering()
    box = panel.get_legend().get_window_extent()
    assert box.y1 <= panel.xaxis.get_tightbbox().y0 + 1
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= figure.bbox.x1


def test_a_number_is_not_parted_from_its_percent_sign():
    _, (panel,) = own(1)
    display = figures.AccuracyDisplay(
        *[[{"label_recovery": share, "test_accuracy": None} for share in (0.5, 0.6)]] * 2,
        [None, None],
    )
    words = display.plot(panel).ax_.get_title()
    assert "\n" in words
    assert words.count("\N{NO-BREAK SPACE}%") == words.count("%") == 2


def test_trees_of_many_classes_are_drawn_in_thinner_lines():
    wide = {}
    for k in (5, 102):
        rng = np.random.default_rng(0)
        matrix = np.corrcoef(rng.standard_normal((k, 30)))
        figure = Figure(figsize=(6.6, 3.3), layout="constrained")
        display = figures.CorrelationDisplay.from_correlations(matrix).plot(figure.subplots(1, 2))
        (wide[k],) = display.artists_["kept merges"].get_linewidths()
        rows = 72.0 * display.ax_.bbox.height / figure.dpi / k
        assert wide[k] <= 0.5 * rows
    assert 0.0 < wide[102] < wide[5] == 1.0


COLUMN = {  # inches high at 3.3 inches wide
    "eigenvalue_gap": 5.0,
    "gram_heatmap": 3.0,
    "label_averaging": 6.0,
    "error_by_round": 5.0,
    "accuracy_by_round": 3.0,
    "class_correlations": 4.0,
    "class_angles": 3.0,
}


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    x = rng.standard_normal((3, 8))[labels] + 0.6 * rng.standard_normal((60, 8))
    data = Features(x, labels, test_x=x[:20], test_labels=labels[:20])
    return run_check(data, CheckSettings(weight_decay=1e-2, rounds=3, rate=0.4))


@pytest.mark.parametrize("stem", COLUMN)
def test_no_text_leaves_the_figure_at_the_width_of_a_column(result, stem):
    correlations = figures.CorrelationDisplay.from_correlations(result.correlations)
    angles = figures.AnglesDisplay.from_angles(np.linspace(0, 1.5, 12))
    more = {"class_correlations": correlations, "class_angles": angles}
    display = (figures.check_displays(result) | more)[stem].plot()
    grid = display.ax_.get_subplotspec().get_gridspec()
    figure = Figure(figsize=(3.3, COLUMN[stem]), layout="constrained")
    ratios = {"width_ratios": grid.get_width_ratios()}
    axes = figure.subplots(grid.nrows, grid.ncols, squeeze=False, gridspec_kw=ratios)
    display.plot(axes, labels="legend")
    figure.draw_without_rendering()
    ticks = tick_labels(figure)
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible() and text not in ticks:
            box, page = text.get_window_extent(), figure.bbox
            assert box.x0 >= -1, text.get_text()
            assert box.y0 >= -1, text.get_text()
            assert box.x1 <= page.x1 + 1, text.get_text()
            assert box.y1 <= page.y1 + 1, text.get_text()


def tick_labels(figure: Figure) -> set[Text]:
    """Labels of ticks, of which those beyond the limits are not drawn."""
    every = (axis for axes in figure.findobj(Axes) for axis in (axes.xaxis, axes.yaxis))
    return {label for axis in every for label in axis.get_ticklabels(which="both")}


@pytest.mark.parametrize(
    ("ax", "got"),
    [
        (lambda: own(1)[1][0], "got 1"),
        (lambda: own(3)[1], "got 3"),
        (lambda: [], "got 0"),
        (lambda: own()[0], "got an object of type Figure"),
        (lambda: "axes", "got an object of type str"),
        (lambda: [own(1)[1][0], None], "got an object of type NoneType"),
    ],
)
def test_other_axes_are_refused(display, ax, got):
    with pytest.raises(InvalidSetting, match=f"draws on a sequence of 2 Axes.*{got}"):
        display.plot(ax())


def test_polar_axes_and_one_axes_for_two_panels_are_refused(display):
    polar = Figure().subplots(2, 1, subplot_kw={"projection": "polar"})
    with pytest.raises(InvalidSetting, match="rectilinear axes, got polar axes; give ax="):
        display.plot(polar)
    with pytest.raises(InvalidSetting, match="2 different Axes, got one of them twice; give ax="):
        display.plot([own(1)[1][0]] * 2)


WRONG = {  # data of another type than the display draws
    "features": lambda r: figures.GramDisplay.from_features(r.features.x),
    "spectrum": lambda r: figures.EigenvalueDisplay.from_spectrum(r.features, 3),
    "rounds": lambda r: figures.AccuracyDisplay.from_rounds(list(r.exact), r.given.true_labels),
    "each of theory": lambda r: figures.AccuracyDisplay.from_rounds(
        r.exact, r.given.true_labels, theory=[r.features] * 3
    ),
    "rounds ": lambda r: figures.DynamicsDisplay.from_rounds(r.features.x, [0], [0]),
    "each of rounds": lambda r: figures.DynamicsDisplay.from_rounds([r.features.x], [0], [0]),
}


@pytest.mark.parametrize("name", WRONG)
def test_data_of_another_type_is_refused_in_one_line(result, name):
    with pytest.raises(InvalidSetting, match=rf"^{name.strip()} must be of type .*, got .*: give "):
        WRONG[name](result)


def test_a_display_says_in_short_what_it_is(display):
    assert repr(display) == "<EigenvalueDisplay: not drawn; plot() draws it>"
    assert repr(display.plot(title="Mine\nand yours")) == "<EigenvalueDisplay: Mine and yours>"


def test_axes_of_two_figures_are_refused_and_those_of_a_subfigure_drawn_on(display):
    with pytest.raises(InvalidSetting, match="axes of one figure, got axes of several"):
        display.plot([own(1)[1][0], own(1)[1][0]])
    figure = Figure(figsize=(6, 5), layout="constrained")
    left, _ = figure.subfigures(1, 2)
    display.plot(left.subplots(2, 1))
    assert display.figure_ is figure
    assert display._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ({"colour": "red"}, "unknown word of style 'colour': known are title, labels, note"),
        ({"gid": "x"}, "unknown word of style 'gid'"),
        ({"labels": "end"}, "labels must be one of 'ends', 'legend', 'none', got 'end'"),
        ({"labels": ["ends"]}, "labels must be one of"),
        ({"title": 3}, 'title must be text \\("" for none\\), got 3'),
        ({"linewidth": "wide"}, "Matplotlib cannot set .*wide"),
        ({"path_effects": 3}, "Matplotlib cannot set .*path_effects"),
        ({"markevery": "a"}, "Matplotlib cannot set .*markevery"),
        ({"sketch_params": "x"}, "Matplotlib cannot set .*sketch_params"),
        ({"agg_filter": 3}, "Matplotlib cannot set .*agg_filter"),
        ({"lw": 1, "linewidth": 2}, "each word of style once"),
    ],
)
def test_other_words_of_style_are_refused_before_anything_is_drawn(display, style, words):
    _, axes = own()
    with pytest.raises(InvalidSetting, match=words):
        display.plot(axes, **style)
    assert not axes[0].get_lines()


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_files_are_of_their_kind_and_equal(display, tmp_path, kind):
    one = display.save(tmp_path / f"one.{kind}").read_bytes()
    two = figures.save_figure(display.plot().figure_, tmp_path / f"two.{kind.upper()}").read_bytes()
    assert one == two
    start = {"pdf": b"%PDF-", "svg": b"<?xml", "png": b"\x89PNG"}[kind]
    assert one.startswith(start)
    for mark in (b"/CreationDate", b"/Producer", b"dc:date", b"dc:creator", b"Software"):
        assert mark not in one
    if kind == "svg":  # the curves are paths, not an image
        assert one.count(b"<path") > 20
        assert b"<image" not in one
    if kind == "pdf":
        assert b"/Subtype /Image" not in one


def test_files_of_other_kinds_are_refused(display, tmp_path):
    for name in ("figure.jpg", "figure"):
        with pytest.raises(InvalidSetting, match=r"end in \.png, \.pdf or \.svg, got"):
            display.save(tmp_path / name)
        assert not (tmp_path / name).exists()


OLD = {  # old functions, and what they are told to be now
    "eigenvalue_gap": ("EigenvalueDisplay", lambda r: (r.spectrum, 3)),
    "gram_heatmap": ("GramDisplay", lambda r: (r.features,)),
    "class_angles": ("AnglesDisplay", lambda r: ({"": np.array([0.1, 0.2])},)),
    "error_by_round": ("ErrorDisplay", lambda r: (r.comparison, 60)),
    "accuracy_by_round": ("AccuracyDisplay", lambda r: (r,)),
    "correlation_heatmap": (
        "CorrelationDisplay",
        lambda r: (r.correlations.matrix, find_superclasses(r.correlations.matrix)),
    ),
}


@pytest.mark.parametrize("old", OLD)
def test_old_functions_name_the_display_and_draw_the_same(result, old):
    new, arguments = OLD[old]
    with pytest.warns(DeprecationWarning, match=rf"{old} leaves .* use gramlab\.figures\.{new}$"):
        figure = getattr(figures, old)(*arguments(result))
    same = {
        **figures.check_displays(result),
        "eigenvalue_gap": figures.EigenvalueDisplay.from_spectrum(result.spectrum, 3),
        "correlation_heatmap": figures.CorrelationDisplay.from_correlations(result.correlations),
        "class_angles": figures.AnglesDisplay.from_angles([0.1, 0.2]),
    }[old]
    assert figures.figure_png(figure) == figures.figure_png(same)


def test_old_sets_of_figures_name_the_new_ones_and_warn_where_they_are_called(result):
    with pytest.warns(DeprecationWarning, match=r"use gramlab\.figures\.check_displays$") as found:
        drawn = figures.check_figures(result)
    assert [one.filename for one in found] == [__file__]
    for stem, display in figures.check_displays(result).items():
        assert figures.figure_png(drawn[stem]) == figures.figure_png(display)
    heads = map(result.dynamics, ("linearized", "exact"))
    with pytest.warns(DeprecationWarning, match=r"use gramlab\.figures\.LabelAveragingDisplay$"):
        old = figures.label_averaging(*heads, n_classes=3, weights=result.averaging_weights())
    assert figures.figure_png(old) == figures.figure_png(drawn["label_averaging"])
