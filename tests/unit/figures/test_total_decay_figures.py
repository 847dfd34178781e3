"""Total weight decay: marks stand where it was spent, titles say what pairs of cells differ by."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import problem
from pages import column, named, outside, words

import gramlab
from gramlab.errors import InvalidSetting
from gramlab.figures import TotalDecayDisplay, figure_png


def cell(kind, total, recovery, *, head="exact", t=1, test=0.5, **more):
    scores = {"recovery": recovery, "test": test}
    return {"head": head, "kind": kind, "round": t, "total_weight_decay": total} | scores | more


CELLS = [
    cell("one", 4e-4, 0.75),
    cell("one", 1e-4, 0.5),
    cell("one", 2e-4, 0.625, test=0.25),
    cell("rounds", 2e-4, 0.75, t=2, test=0.125),
    cell("rounds", 4e-4, 0.6875, t=4),
    cell("momentum", 2e-4, 1.0, t=2),
    cell("one", 2e-4, 0.25, head="linear"),
    cell("rounds", 2e-4, 0.25, head="linear", t=2),
]


def title(display, place=0):
    return " ".join(display.plot().axes_[place].get_title(loc="left").split())


def test_marks_stand_at_what_was_spent():
    display = TotalDecayDisplay.from_cells(CELLS).plot()
    found = display.artists_
    assert found["exact one recovery"].get_xdata().tolist() == [1e-4, 2e-4, 4e-4]
    assert found["exact one recovery"].get_ydata().tolist() == [0.5, 0.625, 0.75]
    assert found["exact rounds recovery 4"].get_xdata().tolist() == [4e-4]
    assert found["exact rounds recovery 4"].get_ydata().tolist() == [0.6875]
    assert found["exact rounds test 2"].get_ydata().tolist() == [0.125]
    assert found["exact momentum recovery 2"].get_marker() == "^"
    assert found["linear one recovery"].get_marker() == "_"  # a line of one point is seen
    # More rounds are darker.
    light, dark = (sum(found[f"exact rounds recovery {t}"].get_color()[:3]) for t in (2, 4))
    assert dark < light
    assert len(display.axes_) == 4
    exact, linear = display.axes_[:2]
    assert exact.get_ylim() == linear.get_ylim()


def note(display, place=0):
    shown = words(display.plot().figure_)
    assert shown
    texts = [one.get_text() for one in display.axes_[place].texts]
    return next((one for one in texts if "rounds less" in one), "")


def test_a_title_holds_for_all_pairs_of_plain_rounds_and_one_training():
    display = TotalDecayDisplay.from_cells(CELLS)
    assert display.differences("exact", "recovery") == ((0.6875 - 0.75, 0.75 - 0.625), None)
    # Outwards, in points: 6.25 is 6.3 below and 12.5 above. Momentum is not spoken of.
    said = "Exact heads: −6.3 to +12.5 points up to the best of one training"
    assert title(display) == said
    assert note(display) == "rounds less one training at the same Σλ"
    assert title(display, 1) == "Linear heads: +0.0 points up to the best of one training"
    # Of test accuracy one training is best at 1e-4, where there are no rounds.
    assert title(display, 2) == "Exact heads: −12.5 to +0.0 points beyond the best of one training"
    # A case against it: one worse pair more.
    worse = [*CELLS, cell("rounds", 1e-4, 0.125, t=2)]
    assert "−37.5 to +12.5" in title(TotalDecayDisplay.from_cells(worse))
    # Beyond the best, only the note speaks of it.
    more = [*CELLS, cell("one", 8e-4, 0.5), cell("rounds", 8e-4, 0.125, t=8)]
    display = TotalDecayDisplay.from_cells(more)
    assert display.differences("exact", "recovery") == ((-0.0625, 0.125), (-0.375, -0.375))
    assert title(display) == said
    assert note(display) == "rounds less one training; beyond −37.5"
    # Without one training at as much, nothing is said.
    alone = [one for one in CELLS if one["kind"] != "one"]
    display = TotalDecayDisplay.from_cells(alone)
    assert title(display) == "Exact heads"
    assert note(display) == ""
    assert display.differences("exact", "recovery") == (None, None)


def test_sums_of_weight_decays_meet_one_training_in_spite_of_rounding():
    total = 0.1 + 0.1 + 0.1
    assert total != 0.3
    cells = [cell("one", 0.3, 0.5), cell("rounds", total, 0.75, t=3)]
    found = TotalDecayDisplay.from_cells(cells).differences("exact", "recovery")
    assert found == ((0.25, 0.25), None)


def test_what_is_not_certified_widens_the_title():
    cells = [
        cell("one", 1e-3, 0.5, certified_right=0.5, undecided=0.125),
        cell("rounds", 1e-3, 0.625, t=2, certified_right=0.5, undecided=0.25),
    ]
    display = TotalDecayDisplay.from_cells(cells)
    assert display.differences("exact", "recovery")[0] == (-0.125, 0.25)
    assert display.differences("exact", "test")[0] == (0.0, 0.0)
    cells[1] |= {"certified_right": None}
    assert TotalDecayDisplay.from_cells(cells).differences("exact", "recovery")[0] == (0.0, 0.125)


@pytest.mark.parametrize(
    ("keep", "panels"),
    [
        (lambda c: c, 4),
        (lambda c: c | {"test": None}, 2),
        (lambda c: c | {"head": "exact"}, 2),
        (lambda c: c | {"head": "linear", "recovery": None}, 1),
    ],
)
def test_there_is_a_panel_for_what_is_known_and_all_text_is_inside(keep, panels):
    display = TotalDecayDisplay.from_cells([keep(dict(one)) for one in CELLS])
    assert len(display.plot().axes_) == panels
    assert not outside(display.figure_)
    shown = words(display.figure_)
    assert "one training" in shown
    assert "total weight decay Σλ" in shown
    figure, axes = column(panels)
    display.plot(axes, labels="legend", markersize=3.0)
    assert not outside(figure)
    assert named(figure).keys() == named(display.figure_).keys()


def test_the_longest_words_are_inside():
    """Ranges of the most digits, of both heads, beside the longest tick labels."""
    ones = [cell("one", 10.0**-i, y) for i, y in ((6, 0.8125), (5, 0.9375), (4, 0.875), (3, 0.8))]
    rounds = [cell("rounds", 10.0**-i, y) for i, y in ((6, 0.0), (5, 0.125), (4, 0.0), (3, 0.1))]
    cells = [one | {"test": one["recovery"]} for one in (*ones, *rounds)]
    display = TotalDecayDisplay.from_cells([*cells, *({**one, "head": "linear"} for one in cells)])
    assert title(display, 1) == "Linear heads: −81.3 to −81.2 points up to the best of one training"
    assert note(display, 3) == "rounds less one training; beyond −87.5 to −70.0"
    assert not outside(display.figure_)


def test_rounds_are_scored_at_the_sum_of_their_weight_decays():
    features, _ = problem(60, 8, 3, seed=0)
    features = gramlab.Features(
        features.x, features.labels, test_x=features.x[:20], test_labels=features.labels[:20]
    )
    given = gramlab.corrupt_labels(
        features.labels, gramlab.corruption_matrix("symmetric", 3, 0.4), seed=0
    ).labels
    targets = gramlab.one_hot(given, 3)
    heads = [gramlab.SoftmaxHead(decay, tolerance=1e-12) for decay in (0.1, 0.2, 0.3)]
    plain = gramlab.distill(heads, features, targets, 3)
    momentum = gramlab.distill(heads[0], features, targets, 3, momentum=True)
    linear = gramlab.distill(gramlab.LinearizedHead(0.1), features, targets, 2)
    once = gramlab.distill(gramlab.SoftmaxHead(0.6), features, targets, 1)
    runs = [plain, momentum, linear, once]
    display = TotalDecayDisplay.from_rounds(runs, features.labels)
    kinds = [(c["head"], c["kind"], c["round"]) for c in display.cells]
    assert kinds == [
        *(("exact", kind, t) for t, kind in enumerate(("one", "rounds", "rounds"), 1)),
        *(("exact", kind, t) for t, kind in enumerate(("one", "momentum", "momentum"), 1)),
        ("linear", "one", 1),
        ("linear", "rounds", 2),
        ("exact", "one", 1),
    ]
    spent = [math.fsum((0.1, 0.2, 0.3)[:t]) for t in (1, 2, 3)]
    assert [c["total_weight_decay"] for c in display.cells[:3]] == spent
    for one, fit in zip(display.cells[:3], plain, strict=True):
        assert one["recovery"] == (fit.labels == features.labels).mean()
        assert one["test"] == (fit.predict(features.test_x) == features.test_labels).mean()
        assert one["certified_right"] <= one["recovery"]
        assert one["recovery"] <= one["certified_right"] + one["undecided"]
    low, high = next(one for one in display.differences("exact", "recovery") if one)
    gain = display.cells[2]["recovery"] - display.cells[-1]["recovery"]
    assert low <= gain <= high
    # What was kept draws the same figure.
    again = TotalDecayDisplay.from_cells(display.cells)
    assert figure_png(again) == figure_png(display)


def test_what_cannot_be_drawn_is_refused_in_one_line():
    features, targets = problem(30, 4, 3, seed=1)
    other, _ = problem(30, 4, 3, seed=2)
    head = gramlab.LinearizedHead(1e-2)
    run = gramlab.distill(head, features, targets, 2)
    elsewhere = gramlab.distill(head, other, targets, 2)
    labels = features.labels
    good = CELLS[0]
    lacking = {name: value for name, value in good.items() if name != "test"}
    refused = [
        (lambda: TotalDecayDisplay.from_rounds([], labels), "runs must hold at least one"),
        (lambda: TotalDecayDisplay.from_rounds(run, labels), "each of runs must be of type Rounds"),
        (lambda: TotalDecayDisplay.from_rounds(3, labels), "runs must be of type Sequence"),
        (lambda: TotalDecayDisplay.from_rounds([run, elsewhere], labels), "same training rows"),
        (lambda: TotalDecayDisplay.from_cells([]), "cells must hold at least one"),
        (lambda: TotalDecayDisplay.from_cells([3]), r"cells\[0\] must be of type Mapping"),
        (lambda: TotalDecayDisplay.from_cells([good, lacking]), r"cells\[1\] .*entry 'test'"),
    ]
    # Planted: rounds that are no proximal steps, which were drawn as dots at their Σλ.
    for other in ({"refine": "top2"}, {"mixing": 0.5}, {"temperature": 2.0}):
        made = gramlab.distill(gramlab.SoftmaxHead(0.1), run.features, run.targets[0], 2, **other)
        refused.append(
            (lambda made=made: TotalDecayDisplay.from_rounds([run, made], labels), "plain or with")
        )
    ridge = gramlab.distill(gramlab.RidgeHead(0.1), run.features, run.targets[0], 2)
    refused.append((lambda: TotalDecayDisplay.from_rounds([ridge], labels), "of SoftmaxHead or"))
    drawn = TotalDecayDisplay.from_cells([good])
    refused.append((lambda: drawn.differences("linear", "recovery"), "head must be one that is"))
    refused.append((lambda: drawn.differences("exact", "loss"), "score must be one that is"))
    for entry, value in (
        ("head", "soft"),
        ("kind", "two"),
        ("round", 0),
        ("total_weight_decay", 0.0),
        ("recovery", "high"),
        ("recovery", -0.1),
        ("test", 1.5),
        ("undecided", np.nan),
    ):
        bad = good | {entry: value}
        message = rf"{entry} of cells\[0\] must be"
        refused.append((lambda bad=bad: TotalDecayDisplay.from_cells([bad]), message))
    unknown = good | {"recovery": None, "test": None}
    refused.append((lambda: TotalDecayDisplay.from_cells([good, unknown]), "recovery or test"))
    for make, message in refused:
        with pytest.raises(InvalidSetting, match=message) as problem_:
            make()
        assert "\n" not in str(problem_.value)
    with pytest.raises(gramlab.errors.InvalidLabels, match="truth"):
        TotalDecayDisplay.from_rounds([run], labels[1:])


def test_equal_cells_give_equal_bytes():
    one, two = (TotalDecayDisplay.from_cells(CELLS) for _ in range(2))
    assert figure_png(one) == figure_png(two)
