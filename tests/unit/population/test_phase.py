"""Phase diagrams against brute force, and cells on the boundary itself."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from gramlab.errors import InvalidSetting
from gramlab.figures import PhaseDisplay, figure_png
from gramlab.labels import corruption_matrix
from gramlab.population import ClassBlockModel, Population, phase
from gramlab.population.phase import (
    Condition,
    condition,
    exact_number,
    matrix_condition,
    phase_diagram,
)

REFERENCE = ClassBlockModel(4, 500, 0.4, 0.1)
# s_A = 1/2, s_B = 3/2, μ = 3/2: p_A = 1/4, p_B = 1/2, ρ = 2 exactly.
DOUBLING, DECAY = ClassBlockModel(4, 2, 0.5, 0.0), Fraction(3, 64)
TINY = Fraction(1, 10**18)


def brute(model, kind, rate, weight_decay, round):
    matrix = corruption_matrix(kind, model.n_classes, float(rate), model.superclasses)
    found = model.population(matrix, float(weight_decay)).linearized(int(round))
    least = found.margins.min() / np.ptp(found.deviations)
    return None if abs(least) < 1e-11 else found.perfect


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (REFERENCE, "symmetric"),
        (REFERENCE, "asymmetric"),
        (REFERENCE, "pair-flip"),
        (ClassBlockModel(2, 30, 0.4, 0.1), "asymmetric"),
        (ClassBlockModel(6, 40, 0.5, 0.3, 0.1, 3), "superclass"),
        (ClassBlockModel(6, 40, 0.5, 0.3, 0.1, 2), "symmetric"),
        (ClassBlockModel(4, 5, 0.4, 0.39, 0.05, 1), "symmetric"),
        (ClassBlockModel(4, 5, 0.4, 0.39, 0.05, 1), "pair-flip"),
        (ClassBlockModel(4, 50, 0.4, 0.1, 0.1, 2), "asymmetric"),
    ],
)
@pytest.mark.parametrize(
    ("x_axis", "y_axis"), [("rate", "round"), ("rate", "weight_decay"), ("weight_decay", "round")]
)
def test_theory_cells_equal_brute_force(model, kind, x_axis, y_axis):
    settings = {
        "rate": [0, 0.013, 0.171, 0.333, 0.419, 0.523, 0.677, 0.831],
        "weight_decay": [1.3e-6, 1.7e-5, 2.1e-4, 3.3e-3, 0.11],
        "round": [1, 2, 3, 5, 8, 13, 30],
    }
    fixed = {"rate": 0.271, "weight_decay": 1.9e-5, "round": 4}
    given = {name: settings[name] if name in (x_axis, y_axis) else fixed[name] for name in fixed}
    diagram = phase_diagram(model, kind, x_axis, y_axis, **given, max_rounds=0)
    assert diagram.theory.shape == (len(settings[y_axis]), len(settings[x_axis]))
    skipped = 0
    for i, y in enumerate(settings[y_axis]):
        for j, x in enumerate(settings[x_axis]):
            cell = {diagram.fixed_axis: fixed[diagram.fixed_axis], x_axis: x, y_axis: y}
            expected = brute(model, kind, **cell)
            assert expected in (None, diagram.theory[i, j]), cell
            skipped += expected is None
    assert skipped <= 2  # the class signal drowns in that of superclasses
    assert diagram.theory.any()
    assert not diagram.theory.all()
    assert not diagram.known.any()
    assert not diagram.by_ball.any()


def test_exact_cells_are_those_of_the_population_and_differ_where_the_rounds_do():
    rates, rounds = [0.1, 0.3, 0.5], range(1, 17)
    diagram = phase_diagram(
        REFERENCE, "symmetric", "rate", "round", rate=rates, round=rounds, weight_decay=1e-5,
        max_rounds=15,
    )  # fmt: skip
    assert diagram.exact[-1].tolist() == [None] * 3
    # First perfect rounds of the reference (linear, exact): 7/6, 8/9, 12/14.
    assert [int(np.argmax(column)) + 1 for column in diagram.theory.T] == [7, 8, 12]
    assert [int(np.argmax(column == True)) + 1 for column in diagram.exact.T] == [6, 9, 14]  # noqa: E712
    assert {(j, i + 1) for i, j in np.argwhere(diagram.disagree)} == {
        (0, 6), (1, 8), (2, 12), (2, 13)
    }  # fmt: skip
    turned = phase_diagram(
        REFERENCE, "symmetric", "round", "rate", rate=rates, round=rounds, weight_decay=1e-5,
        max_rounds=15,
    )  # fmt: skip
    assert np.array_equal(turned.exact, diagram.exact.T)
    assert np.array_equal(turned.theory, diagram.theory.T)


def test_an_undecided_cell_is_neither_perfect_nor_a_disagreement(monkeypatch):
    """Planted: a certificate that says nothing of round 2."""
    exact = Population.exact

    def of(self, t):
        found = exact(self, t)
        return replace(found, sign=0 * found.sign) if t == 2 else found

    monkeypatch.setattr(Population, "exact", of)
    diagram = phase_diagram(
        REFERENCE, "symmetric", "rate", "round", rate=[0.1, 0.3], round=[1, 2, 3],
        weight_decay=1e-3, max_rounds=2,
    )  # fmt: skip
    assert diagram.exact.tolist() == [[True, True], [None, None], [None, None]]
    assert diagram.undecided.tolist() == [[False, False], [True, True], [False, False]]
    assert diagram.theory.all()
    assert not diagram.disagree.any()
    assert diagram.as_dict()["undecided"] == diagram.undecided.tolist()
    assert [line[-1] for line in diagram.as_csv().splitlines()[1:]] == list("001100")
    (axes,) = PhaseDisplay.from_diagram(diagram).plot().figure_.axes
    cells = next(c for c in axes.collections if c.get_gid() == "cells")
    assert cells.get_array().reshape(3, 2).tolist() == [[1, 1], [5, 5], [4, 4]]
    assert axes.get_title(loc="left") == "Theory and exact head agree in all 2 decided cells"
    assert any(text.get_text().endswith("; undecided: 2 cells") for text in axes.texts)


def test_partial_labels_at_their_threshold_are_a_tie():
    """Right iff (C_kl* − C_kj)(ρ − 1) < 1: here it is 1 exactly, and next to it."""
    own, other, second = Fraction(1, 2), Fraction(1, 3), Fraction(1, 12)
    assert Condition(own, other, Fraction(4), second).partial_labels == "tie"
    assert Condition(own, other, 4 - TINY, second).partial_labels == "right"


# Δ = 1 − 4r/3 = 1/(2^t − 1) at r = 3/4 (1 − 1/(2^t − 1)).
TIES = [(t, Fraction(3, 4) * (1 - Fraction(1, 2**t - 1))) for t in (2, 3, 5, 10, 60)]


def wrong_cells() -> int:
    """How many of the ties and their neighbours on both sides are decided wrongly."""
    wrong = 0
    for t, rate in TIES:
        found = [
            condition(DOUBLING, "symmetric", rate + step, DECAY).perfect(t)
            for step in (-TINY, 0, TINY)
        ]
        wrong += sum(a != b for a, b in zip(found, (True, False, False), strict=True))
    return wrong


def test_a_tie_is_not_perfect_and_its_neighbours_are_decided_right(monkeypatch):
    assert condition(DOUBLING, "symmetric", TIES[0][1], DECAY).excess == 1
    assert wrong_cells() == 0
    # On one diagram: the tie at t = 2, r = 1/2 between two neighbours.
    rates = [Fraction(1, 2) - TINY, 0.5, Fraction(1, 2) + TINY]
    diagram = phase_diagram(
        DOUBLING, "symmetric", "rate", "round", rate=rates, round=[1, 2, 3], weight_decay=DECAY
    )
    assert diagram.theory[1].tolist() == [True, False, False]
    assert diagram.decided_by[1].tolist() == ["ball", "rational", "ball"]
    assert diagram.by_ball[1].all()
    assert not diagram.by_ball[[0, 2]].any()
    # Planted: comparing in float64 alone cannot tell the neighbours apart.
    monkeypatch.setattr(phase, "_FLOAT_MARGIN", 0.0)
    assert wrong_cells() >= 3


def test_the_tie_is_also_found_along_weight_decay():
    for step, expected in ((-TINY, False), (0, False), (TINY, True)):
        found = condition(DOUBLING, "symmetric", Fraction(1, 2), DECAY + step)
        assert found.decide(2) == (expected, "ball" if step else "rational")


def test_float64_decides_only_what_a_long_ball_confirms():
    rng = np.random.default_rng(0)
    for _ in range(300):
        rate = Fraction(int(rng.integers(1, 10**6)), 2 * 10**6)
        found = condition(
            REFERENCE, "symmetric", rate, Fraction(int(rng.integers(1, 10**4)), 10**9)
        )
        t = max(1, math.floor(found.minimum_rounds)) + int(rng.integers(0, 2))
        power = (1 + found.excess) ** t
        assert found.perfect(t) == (found.difference * (power - 1) > 1)


def test_far_ends_of_the_range_are_decided():
    small = condition(REFERENCE, "symmetric", 0.5, 1e-100)
    assert small.perfect(1000) is False
    assert condition(REFERENCE, "symmetric", 0.5, 1e100).perfect(10**6) is True
    nearly = Fraction(3, 4) - Fraction(1, 10**400)  # Δ underflows in float64
    assert condition(REFERENCE, "symmetric", nearly, 1).decide(10**4) == (True, "ball")
    assert condition(REFERENCE, "symmetric", 0.75, 1).minimum_rounds == math.inf
    assert condition(REFERENCE, "symmetric", 0, 1e-100).perfect(1) is True


def test_minimum_rounds_of_the_reference():
    found = condition(REFERENCE, "symmetric", 0.5, 1e-5)
    assert found.minimum_rounds == pytest.approx(11.123094561358247, rel=1e-14)
    assert found.difference == Fraction(1, 3)
    assert [found.perfect(t) for t in (11, 12)] == [False, True]


def test_numbers_are_read_as_written():
    assert exact_number("x", 0.3) == exact_number("x", "0.3") == Fraction(3, 10)
    assert exact_number("x", np.float64(1e-5)) == Fraction(1, 10**5)
    assert exact_number("x", np.int64(3)) == 3
    for bad in ("ten", True, math.nan, "1/0", None, Fraction):
        with pytest.raises(InvalidSetting, match="x must be"):
            exact_number("x", bad)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"x_axis": "noise"}, "two of rate, weight_decay, round"),
        ({"y_axis": "rate"}, "two of rate"),
        ({"rate": 0.5}, "sequence of numbers"),
        ({"weight_decay": [1e-5]}, "one number"),
        ({"round": []}, "not empty"),
        ({"round": [2, 1]}, "increasing"),
        ({"round": [0]}, "at least 1"),
        ({"rate": [0.5, 1]}, "less than 1"),
        ({"rate": [1 - Fraction(1, 10**30)]}, "less than 1"),
        ({"weight_decay": 0}, "weight_decay"),
        ({"max_rounds": -1}, "max_rounds"),
        ({"kind": "random"}, "kind must be"),
        ({"kind": "asymmetric"}, "not balanced"),
        ({"kind": "pair-flip"}, "not balanced"),
        ({"model": ClassBlockModel(4, 5, 0.4, 0.2, 0.1, 1), "kind": "superclass"}, "superclasses"),
    ],
)
def test_bad_settings_are_refused(changes, match):
    given = {
        "model": ClassBlockModel(4, 5, 0.4, 0.2, 0.1, 2), "kind": "symmetric", "x_axis": "rate",
        "y_axis": "round", "rate": [0.1, 0.2], "round": [1, 2], "weight_decay": 1e-3,
    } | changes  # fmt: skip
    with pytest.raises(InvalidSetting, match=match):
        phase_diagram(**given)


def test_plain_data():
    diagram = phase_diagram(
        REFERENCE, "symmetric", "weight_decay", "round", rate=0.5, round=[1, 12],
        weight_decay=[1e-5, 1e-3], max_rounds=1,
    )  # fmt: skip
    found = diagram.as_dict()
    assert found["theory"] == [[False, True], [True, True]]
    assert found["exact"] == [[False, True], [None, None]]
    assert found["disagree"] == [[False, False], [False, False]]
    assert (found["x"], found["y"], found["fixed"]) == ([1e-5, 1e-3], [1, 12], {"rate": 0.5})
    assert diagram.as_csv().splitlines()[:3] == [
        "weight_decay,round,theory,exact,decided_by,undecided",
        "1e-05,1,0,0,float64,0",
        "0.001,1,1,1,float64,0",
    ]
    assert diagram.as_csv().splitlines()[3] == "1e-05,12,1,,float64,0"
    with pytest.raises(ValueError, match="read-only"):
        diagram.theory[0, 0] = True


def test_the_figure_shows_every_cell_and_hatches_where_they_differ():
    diagram = phase_diagram(
        REFERENCE, "symmetric", "rate", "round", rate=[0.1, 0.3, 0.5], round=range(1, 17),
        weight_decay=1e-5, max_rounds=15,
    )  # fmt: skip
    figure = PhaseDisplay.from_diagram(diagram).plot().figure_
    (axes,) = figure.axes
    drawn = {}
    for artist in axes.collections:
        drawn.setdefault(artist.get_gid(), []).append(artist)
    state = drawn["cells"][0].get_array().reshape(16, 3)
    assert np.array_equal(np.isin(state, [2, 3]), diagram.disagree)
    assert np.array_equal(state == 1, diagram.theory & (diagram.exact == True))  # noqa: E712
    assert np.array_equal(state == 4, ~diagram.known)
    assert len(drawn["hatched theory alone"]) == 3  # joined within a row
    assert len(drawn["hatched exact head alone"]) == 1
    assert "theory border" in {line.get_gid() for line in axes.get_lines()}
    assert axes.get_title(loc="left") == "Theory and exact head differ in 4 of 45 decided\ncells"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("noise rate η", "round t (1 = teacher)")
    assert figure_png(figure) == figure_png(PhaseDisplay.from_diagram(diagram).plot().figure_)
    single = phase_diagram(
        REFERENCE, "symmetric", "weight_decay", "rate", rate=[0.5], round=3, weight_decay=[1e-4],
        max_rounds=0,
    )  # fmt: skip
    (axes,) = PhaseDisplay.from_diagram(single).plot().figure_.axes
    assert axes.get_xscale() == "log"
    assert axes.get_title(loc="left") == "100 % accuracy: theory"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (ClassBlockModel(2, 6, 0.4, 0.1), "tie"),
        (ClassBlockModel(4, 6, 0.4, 0.2, 0.1, 2), "tie"),
        (ClassBlockModel(4, 6, 0.4, 0.2, 0.2, 2), "right"),  # no superclass is nearer
        (ClassBlockModel(3, 6, 0.4, 0.1), "right"),
    ],
)
def test_without_noise_partial_labels_tie_where_one_label_is_always_the_second(model, told):
    """Of labels that are all right the second place is drawn, unless only one is left for it."""
    from gramlab.heads.closed_form import LinearizedHead
    from gramlab.targets import partial_labels

    k = model.n_classes
    features, labels = model.sample(np.eye(k), seed=3, exact_counts=True)
    head = LinearizedHead(1e-2)
    teacher = head.fit(features, np.eye(k)[labels.labels])
    two_hot = partial_labels(teacher.probabilities, 2, seed=1, tie_tolerance=1e-9)
    least = head.fit(features, two_hot).margins(features.labels).min()
    assert (least > 1e-9) == (told == "right")
    assert least > -1e-9
    assert condition(model, "superclass", 0, 1e-2).partial_labels == told


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "superclass", "pair-flip"])
@pytest.mark.parametrize("weight_decay", [1e-5, 1e-3, 1.0])
def test_partial_labels_verdict_equals_a_student_on_samples(kind, weight_decay):
    """The top-two student of the linear teacher, on the whole population (n C whole)."""
    from gramlab.heads.closed_form import LinearizedHead
    from gramlab.targets import partial_labels

    model = ClassBlockModel(4, 60, 0.4, 0.1)
    found = condition(model, kind, 0.4, weight_decay)
    features, labels = model.sample(
        corruption_matrix(kind, 4, 0.4, np.zeros(4, int)), seed=3, exact_counts=True
    )
    head = LinearizedHead(weight_decay)
    teacher = head.fit(features, np.eye(4)[labels.labels])
    two_hot = partial_labels(teacher.probabilities, 2, seed=1, tie_tolerance=1e-9)
    margins = head.fit(features, two_hot).margins(features.labels)
    if found.partial_labels == "right":
        assert margins.min() > 1e-9
    else:
        assert found.partial_labels == "tie"
        assert abs(margins.min()) < 1e-9


@examples(30)
@given(
    st.lists(st.tuples(st.permutations(range(4)), st.integers(0, 6)), max_size=3),
    st.sampled_from([1e-5, 1e-3, 0.1]),
)
def test_the_condition_of_a_balanced_matrix_decides_its_linear_rounds(swaps, weight_decay):
    """Mixtures of permutations are balanced, and classes differ in what they are given for."""
    total = 8 + sum(share for _, share in swaps)
    matrix = sum((share * np.eye(4)[list(p)] for p, share in swaps), 8 * np.eye(4)) / total
    population = ClassBlockModel(4, 50, 0.4, 0.1).population(matrix, weight_decay)
    found = matrix_condition(population)
    for t in (1, 2, 3, 5, 9):
        predictions = population.linearized(t)
        if predictions.verdict is not None:
            assert found.perfect(t) == predictions.perfect
    assert found.minimum_rounds == population.minimum_rounds()


def test_a_plane_of_an_own_matrix_is_that_of_its_kind():
    matrix = [
        [0.7, 0.1, 0.1, 0.1],
        [0.1, 0.7, 0.1, 0.1],
        [0.1, 0.1, 0.7, 0.1],
        [0.1, 0.1, 0.1, 0.7],
    ]
    grid = {"weight_decay": [1e-6, 1e-5, 1e-4], "round": [1, 3, 6, 9], "max_rounds": 6}
    own = phase_diagram(REFERENCE, "matrix", "weight_decay", "round", **grid, noise_matrix=matrix)
    named = phase_diagram(REFERENCE, "symmetric", "weight_decay", "round", **grid, rate=0.3)
    for name in ("theory", "exact", "undecided", "decided_by"):
        assert np.array_equal(getattr(own, name), getattr(named, name)), name
    assert (own.kind, own.fixed_axis) == ("matrix", "rate")
    assert float(own.fixed) == pytest.approx(0.3, rel=1e-15)
    assert own.theory.any()
    assert not own.theory.all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "symmetric"}, "noise_matrix goes with kind"),
        ({"rate": 0.3}, "noise_matrix goes with kind"),
        ({"x_axis": "rate", "rate": [0.1], "weight_decay": 1e-4}, "choose the plane decay-round"),
        ({"noise_matrix": None}, "noise_matrix must"),
        ({"noise_matrix": np.eye(3)}, "one row and column for each of 4 classes"),
        ({"noise_matrix": np.eye(4)[[0, 0, 1, 2]]}, "balanced corruption, got label masses"),
    ],
)
def test_an_own_matrix_is_refused_where_the_condition_does_not_speak_of_it(changes, words):
    asked = {"kind": "matrix", "x_axis": "weight_decay", "y_axis": "round", "round": [1, 2]}
    asked |= {"weight_decay": [1e-5, 1e-4], "noise_matrix": np.eye(4)}
    with pytest.raises(InvalidSetting, match=words):
        phase_diagram(REFERENCE, **asked | changes)
