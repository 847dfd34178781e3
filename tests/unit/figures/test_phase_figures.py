"""Phase diagrams as figures: the border is where t = t*, and the words hold for all cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pages import column, named, outside, words

from gramlab.figures import PhaseDisplay, phase_figure
from gramlab.population import ClassBlockModel
from gramlab.population.phase import PhaseDiagram, phase_diagram

MODEL = ClassBlockModel(4, 500, 0.4, 0.1)
GROUPS = ClassBlockModel(6, 40, 0.5, 0.3, 0.1, 3)
VALUES = {
    "rate": [0, 0.013, 0.171, 0.333, 0.419, 0.523, 0.677, 0.831, 0.98],
    "weight_decay": [1.3e-6, 1.7e-5, 2.1e-4, 3.3e-3, 0.11],
    "round": [1, 2, 3, 5, 8, 13, 30],
}
FIXED = {"rate": 0.271, "weight_decay": 1.9e-5, "round": 4}


def plane(x: str, y: str, model=MODEL, kind="symmetric", max_rounds=0) -> PhaseDiagram:
    given = {name: VALUES[name] if name in (x, y) else FIXED[name] for name in FIXED}
    return phase_diagram(model, kind, x, y, **given, max_rounds=max_rounds)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("rate", "round"),
        ("round", "rate"),
        ("weight_decay", "round"),
        ("rate", "weight_decay"),
        ("weight_decay", "rate"),
    ],
)
@pytest.mark.parametrize(
    ("model", "kind"), [(MODEL, "symmetric"), (MODEL, "pair-flip"), (GROUPS, "superclass")]
)
def test_the_border_of_the_theory_parts_the_cells_that_are_perfect_from_the_others(
    x, y, model, kind
):
    diagram = plane(x, y, model, kind)
    (border,) = named(PhaseDisplay.from_diagram(diagram).plot().figure_)["theory border"]
    curve = {x: np.asarray(border.get_xdata()), y: np.asarray(border.get_ydata())}
    over = "weight_decay" if "weight_decay" in curve else "rate"
    (other,) = set(curve) - {over}
    assert (np.diff(curve[over]) > 0).all()
    wrong = 0
    for i, j in np.ndindex(diagram.theory.shape):
        cell = {x: float(diagram.x[j]), y: float(diagram.y[i])}
        at = np.interp(cell[over], curve[over], curve[other])
        # Cells lie farther from the border than linear interpolation between its points errs.
        inside = cell["round"] > at if other == "round" else cell["rate"] < max(at, 1e-9)
        wrong += inside != diagram.theory[i, j]
    assert wrong == 0
    # Planted: the border of one round less, or of twice the rate, parts other cells.
    assert diagram.theory.any()
    assert not diagram.theory.all()


def test_where_there_is_no_formula_the_border_goes_along_the_cells():
    diagram = plane("rate", "round", GROUPS, "superclass")
    # The condition of asymmetric noise in superclasses has other terms.
    display = PhaseDisplay.from_diagram(replace(diagram, kind="asymmetric")).plot()
    edges = {*np.round(display.edges["rate"], 12)}
    (across, along) = named(display.figure_)["theory border"]
    corners = [point for part in (across, along) for path in part.get_segments() for point in path]
    assert corners
    assert {round(x, 12) for x, _ in corners} <= edges
    assert not [one for one in display.ax_.get_lines() if one.get_gid() == "theory border"]


def test_the_words_tell_the_model_and_hold_for_every_cell():
    diagram = plane("rate", "round", GROUPS, "superclass", max_rounds=2)
    text = words(PhaseDisplay.from_diagram(diagram).plot().figure_)
    assert "K = 6, n = 40, c = 0.5, d = 0.3, e = 0.1, superclasses of 3" in text
    assert "superclass noise, λ = 1.9e-05" in text
    # Only 2 of 7 rounds were computed: nothing is said of all cells.
    decided = 2 * len(VALUES["rate"])
    assert int(diagram.known.sum()) == decided
    assert f"of {decided} decided cells" in text or f"in all {decided} decided cells" in text
    whole = replace(diagram, exact=diagram.theory.astype(object))
    text = words(PhaseDisplay.from_diagram(whole).plot().figure_)
    assert f"Theory and exact head agree in all {diagram.theory.size} cells" in text
    other = whole.exact.copy()
    other[0, 0] = not other[0, 0]
    text = words(PhaseDisplay.from_diagram(replace(whole, exact=other)).plot().figure_)
    assert f"differ in 1 of {diagram.theory.size} cells" in text
    assert "e =" not in words(PhaseDisplay.from_diagram(plane("rate", "round")).plot().figure_)


def test_it_fits_its_page_and_a_column_of_a_paper():
    display = PhaseDisplay.from_diagram(plane("rate", "round", GROUPS, "superclass", max_rounds=2))
    assert not outside(display.plot().figure_)
    figure, axes = column(1)
    display.plot(axes, labels="legend", linewidth=0.7)
    assert display.ax_ is axes[0]
    assert display.artists_["theory border"].get_linewidth() == 0.7
    assert not outside(figure)
    display.plot(column(1)[1], labels="none", title="")
    assert display.ax_.get_legend() is None


def test_the_old_function_names_the_display():
    diagram = plane("rate", "round")
    with pytest.warns(DeprecationWarning, match="use gramlab.figures.PhaseDisplay"):
        assert phase_figure(diagram).axes
