"""A path over weight decays: the map holds the agreement, and hatches where it is not certain."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from pages import column, named, outside, words

import gramlab
from gramlab.figures import PathDisplay, figure_png

DECAYS = (1e-4, 1e-3, 1e-2)


def path(decays=DECAYS, rounds=6, *, agreement=None, undecided=0.0, truth=True, test=True):
    """What a display reads of a ``DistillationPath``, with known numbers."""
    cells = []
    for i, decay in enumerate(decays):
        for t in range(1, rounds + 1):
            score = 0.5 + 0.01 * t + 0.1 * i
            cell = {"weight_decay": decay, "round": t, "undecided": undecided}
            cell["argmax_agreement"] = 0.9 + 0.005 * t if agreement is None else agreement
            for known, name in ((truth, "recovery"), (test, "test")):
                cell[f"linearized_{name}"] = score if known else None
                cell[f"secant_{name}"] = score - 0.01 if known else None
                cell[f"exact_{name}"] = score - 0.02 if known else None
            cells.append(cell)
    return SimpleNamespace(weight_decays=tuple(decays), rounds=rounds, cells=tuple(cells))


def test_the_map_holds_the_agreement_by_round_and_weight_decay():
    given = path()
    given.cells[7]["argmax_agreement"] = 0.25  # second decay, round 2: a transpose would show
    display = PathDisplay.from_path(given).plot()
    shades = np.asarray(display.artists_["agreement"].get_array()).reshape(6, 3)
    assert shades[1, 1] == 0.25
    assert shades[4].tolist() == [0.9 + 0.005 * 5] * 3
    assert "25.0 to 93.0 % of the training rows" in words(display.figure_)
    found = named(display.figure_)
    # At most four rounds, the first and the last among them.
    drawn = [name for name in found if name.startswith("theory recovery")]
    assert drawn == [f"theory recovery {t}" for t in (1, 3, 4, 6)]
    (line,), (dots,) = found["theory test 6"], found["exact test 6"]
    assert line.get_ydata().tolist() == [0.5 + 0.06 + 0.1 * i for i in range(3)]
    assert dots.get_ydata().tolist() == [0.5 + 0.06 + 0.1 * i - 0.02 for i in range(3)]
    assert dots.get_xdata().tolist() == list(DECAYS)
    (dashed,) = found["secant test 6"]
    assert dashed.get_ydata().tolist() == [0.5 + 0.06 + 0.1 * i - 0.01 for i in range(3)]
    assert dashed.get_linestyle() == "--"
    assert "secant" in words(display.figure_)


def test_a_cell_is_hatched_where_more_is_undecided_than_differs():
    given = path(agreement=0.9, undecided=1.0 - 0.9)  # as many: not more
    display = PathDisplay.from_path(given).plot()
    assert "not certified" not in display.artists_
    assert "hatched" not in words(display.figure_)
    given.cells[0]["undecided"] = 0.2
    display = PathDisplay.from_path(given).plot()
    assert len(named(display.figure_)["not certified"]) == 1
    assert "hatched: more rows undecided than differ" in words(display.figure_)


@pytest.mark.parametrize(
    ("agreement", "title"),
    [
        (1.0, "Theory and exact head agree on every row"),
        (0.9996, "agree on 99.96 % of the training rows"),
        (0.5, "agree on 50.0 % of the training rows"),
    ],
)
def test_the_title_holds_for_every_cell(agreement, title):
    given = path(agreement=agreement)
    assert title in words(PathDisplay.from_path(given).plot().figure_)
    given.cells[3]["argmax_agreement"] = 0.8765
    shown = words(PathDisplay.from_path(given).plot().figure_)
    assert title not in shown
    assert "every row" not in shown
    assert "87.6" in shown or "50.0 to 87.7" in shown  # rounded outwards


@pytest.mark.parametrize(
    ("known", "panels", "shape"),
    [
        ({}, 3, {}),
        ({"truth": False}, 2, {"decays": (1e-3,), "rounds": 1}),
        ({"test": False}, 2, {"rounds": 1}),
        ({"truth": False, "test": False}, 1, {"decays": (1e-3,), "rounds": 12}),
    ],
)
def test_there_is_a_panel_for_what_is_known_and_all_text_is_inside(known, panels, shape):
    display = PathDisplay.from_path(path(**known, **shape))
    assert len(display.plot().axes_) == panels
    assert not outside(display.figure_)
    if "decays" in shape and panels > 1:  # a series of one point is seen
        line = next(a for n, a in display.artists_.items() if n.startswith("theory"))
        assert line.get_marker() == "_"
    figure, axes = column(panels)
    display.plot(axes, labels="legend", markersize=3.0)
    assert not outside(figure)


def test_equal_paths_give_equal_bytes():
    one, two = (PathDisplay.from_path(path(rounds=2)) for _ in range(2))
    assert figure_png(one) == figure_png(two)


def test_a_path_draws_itself():
    x = np.random.default_rng(0).standard_normal((30, 4))
    labels = np.arange(30) % 3
    given = gramlab.distillation_path(x, gramlab.one_hot(labels, 3), [1e-2, 1e-1], 2, truth=labels)
    display = given.plot(title="Mine")
    assert isinstance(display, PathDisplay)
    shades = np.asarray(display.artists_["agreement"].get_array()).reshape(2, 2)
    assert shades.T.ravel().tolist() == [cell["argmax_agreement"] for cell in given.cells]
    assert display.ax_.get_title(loc="left") == "Mine"


def test_one_share_of_agreement_is_no_range():
    given = path(rounds=2)
    for cell in given.cells:
        cell["argmax_agreement"] = 0.9596
    assert "agree on 96.0 % of" in " ".join(
        PathDisplay.from_path(given).plot().ax_.get_title(loc="left").split()
    )
