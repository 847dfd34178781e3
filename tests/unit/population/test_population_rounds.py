"""Late rounds of a population: certified through all rounds before them, against 170 digits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from conftest import examples
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st
from population_twin import RESOLVED, Twin, kind_matrix

from gramlab.labels import corruption_matrix
from gramlab.population import ClassBlockModel
from gramlab.population import rounds as rounds_room
from gramlab.population.exact_numbers import exact_corruption, exact_number
from gramlab.population.types import types_of

LATE = ClassBlockModel(3, 20, 0.86, 0.857), 0.0019423130380512362
LATE_TWIN = (
    (3, 20, 3),
    ("0.86", "0.857", "0"),
    kind_matrix("asymmetric", 3, "0.48"),
    "0.0019423130380512362",
)


def late_population():
    model, weight_decay = LATE
    return model.population(corruption_matrix("asymmetric", 3, 0.48), weight_decay)


def decided_like_the_twin(population, twin, rounds: int) -> int:
    """Hold every type of every round against the twin; how many rounds are undecided."""
    undecided = 0
    for t in range(1, rounds + 1):
        truth = dict(zip(twin.types, twin.round(), strict=True))
        known = 10**10 * twin.scale * RESOLVED  # what the twin resolves, after some rounds
        found = population.exact(t)
        for i, pair in enumerate(zip(found.true, found.given, strict=True)):
            margin = truth[int(pair[0]), int(pair[1])]
            assert abs(margin - float(found.margins[i])) <= float(found.margin_bound[i]) + known
            assert abs(margin) <= known or found.sign[i] * margin >= 0
        assert found.verdict in (None, all(margin > 0 for margin in truth.values()))
        undecided += found.verdict is None
    return undecided


def test_a_margin_below_what_float64_carries_is_decided_right():
    population = late_population()
    assert population.exact(35).margins.min() == pytest.approx(2.813804812543658e-16, rel=1e-13)
    twin = Twin(*LATE_TWIN)
    assert decided_like_the_twin(population, twin, 40) == 0
    assert [population.exact(t).perfect for t in (7, 12, 35, 100)] == [False, True, True, True]
    assert population.undecided_rounds("exact", 100) == ()


@pytest.mark.parametrize(
    ("sizes", "correlations", "matrix", "weight_decay", "rounds"),
    [
        ((2, 30, 2), ("0.5", "0.3", "0"), [["0.8", "0.2"], ["0.35", "0.65"]], "0.03", 60),
        # Labels leave their superclass, and class 1 never keeps a label of its own.
        (
            (4, 7, 2),
            ("0.6", "0.35", "0.1"),
            [
                ["0.6", "0.1", "0.3", "0"],
                ["0.5", "0", "0.25", "0.25"],
                ["0", "0.2", "0.7", "0.1"],
                ["0.1", "0.1", "0.3", "0.5"],
            ],
            "0.5",
            12,
        ),
        ((3, 5, 3), ("0.9", "0", "0"), [["0.5", "0.3", "0.2"]] * 3, "0.0001", 20),
    ],
)  # fmt: skip
def test_any_corruption_is_decided_like_the_twin(sizes, correlations, matrix, weight_decay, rounds):
    k, n, m = sizes
    exact = [[Fraction(x) for x in row] for row in matrix]
    model = ClassBlockModel(k, n, *map(float, correlations), None if m == k else m)
    population = model.population(np.array(matrix, dtype=float), float(weight_decay))
    twin = Twin(sizes, correlations, exact, weight_decay)
    assert decided_like_the_twin(population, twin, rounds) == 0


@examples(8)
@given(
    k=st.integers(2, 3),
    n=st.integers(1, 50),
    within=st.integers(10, 95),
    superclass=st.floats(0, 0.99),
    kind=st.sampled_from(["symmetric", "asymmetric", "pair-flip"]),
    rate=st.integers(1, 80),
    log_decay=st.integers(-60, 10),
    rounds=st.integers(1, 12),
)
def test_drawn_populations_are_decided_like_the_twin(
    k, n, within, superclass, kind, rate, log_decay, rounds
):
    c, d = within / 100, round(superclass * within / 100, 3)
    weight_decay, share = float(f"{10 ** (log_decay / 10):.4g}"), str(rate / 100)
    if not d < c:
        return
    population = ClassBlockModel(k, n, c, d).population(
        corruption_matrix(kind, k, float(share)), weight_decay
    )
    twin = Twin((k, n, k), (repr(c), repr(d), "0"), kind_matrix(kind, k, share), repr(weight_decay))
    decided_like_the_twin(population, twin, rounds)


def test_nearly_every_round_of_a_grid_is_decided():
    """K to 20, four kinds, weight decays over six decades, rounds to 100: at least 95 %."""
    rounds = undecided = 0
    grid = [
        (k, kind, w)
        for w in (1e-6, 1e-4, 1e-2)
        for k, kind in ((3, "asymmetric"), (5, "pair-flip"))
    ]
    for k, kind, weight_decay in [*grid, (10, "symmetric", 1e-3), (20, "asymmetric", 1e-4)]:
        population = ClassBlockModel(k, 50, 0.5, 0.45).population(
            corruption_matrix(kind, k, 0.4), weight_decay
        )
        for t in (1, 2, 5, 10, 20, 50, 100):
            rounds += 1
            undecided += population.exact(t).verdict is None
    assert undecided <= 0.05 * rounds


@pytest.mark.parametrize("weight_decay", [1e-20, 1e-60, 1e30])
def test_the_ends_of_the_weight_decays_are_decided(weight_decay):
    """Predictions that round to 0 and 1, and ones that round to 1/K."""
    model = ClassBlockModel(4, 500, 0.4, 0.1)
    population = model.population(corruption_matrix("asymmetric", 4, 0.4), weight_decay)
    for t in (1, 2, 3):
        assert population.exact(t).verdict is (weight_decay > 1)
        assert population.exact(t).margin_bound.max() < 0.01


# ---- The bound --------------------------------------------------------------------------------


def stopped_early(monkeypatch, population, rounds: int):
    """Rounds of which the first few end with weights a hundredth too large, in float64 alone."""
    solve, left = rounds_room._newton, iter([1.01] * rounds)
    monkeypatch.setattr(rounds_room, "_newton", lambda *args: next(left, 1.0) * solve(*args))
    decay, model = exact_number("weight_decay", population.weight_decay), population.model
    return rounds_room.ExactRounds(
        population.types, model.exact_spectrum, model.n_samples, decay, 128
    )


@pytest.mark.parametrize(
    "matrix", [[[8, 2, 0], [1, 9, 0], [3, 2, 5]], [[5, 3, 2], [2, 5, 3], [3, 2, 5]]]
)
def test_the_bound_is_the_residuals_of_all_rounds_on_the_features_themselves(matrix, monkeypatch):
    """√2/λ Σ ‖λW_s + Xᵀ(P_s − P_{s−1})/N‖, with weights and features in full."""
    model, weight_decay = ClassBlockModel(3, 10, 0.5, 0.2), 1e-2
    shares = np.array(matrix) / 10
    rounds = stopped_early(monkeypatch, model.population(shares, weight_decay), 4)
    features, labels = model.sample(shares, seed=0, exact_counts=True)
    x, before, total = features.x, np.eye(3)[labels.labels], 0.0
    for t in (1, 2, 3, 4):
        found = rounds.predictions(t)
        rows = [
            dict_of(found)(true, given)
            for true, given in zip(features.labels, labels.labels, strict=True)
        ]
        weights = np.linalg.lstsq(x, np.array(rows), rcond=None)[0]
        p = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
        total += np.linalg.norm(weight_decay * weights + x.T @ (p - before) / len(x))
        expected = np.sqrt(2) * total / weight_decay
        assert found.margin_bound == pytest.approx(np.full(len(found.true), expected), rel=1e-9)
        before = p


def dict_of(found):
    """Logits (K,) of a type, renamed where another stands for it."""

    def of(true, given):
        other = type(found)(**{**vars(found), "deviations": found.logits})
        return other.of(true, given) - 1.0 / found.logits.shape[1]

    return of


def test_what_is_left_of_earlier_rounds_counts(monkeypatch):
    """After a first round solved to two digits, what a later round adds is not its distance."""
    rounds = stopped_early(monkeypatch, late_population(), 1)
    twin = Twin(*LATE_TWIN)
    previous, fooled = 0.0, 0
    for t in range(1, 9):
        truth = dict(zip(twin.types, twin.round(), strict=True))
        found = rounds.predictions(t)
        added = found.margin_bound[0] - previous
        previous = found.margin_bound[0]
        for i, given_label in enumerate(found.given):
            miss = abs(truth[0, int(given_label)] - float(found.margins[i]))
            assert miss <= found.margin_bound[i]
            fooled += miss > added
    assert fooled > 0


def test_a_margin_equal_to_its_bound_is_undecided(monkeypatch):
    monkeypatch.setattr(rounds_room, "_margins", lambda values, true: np.array(
        [rounds_room.arb(0)] * len(true), dtype=object
    ))  # fmt: skip
    population = late_population()
    monkeypatch.setattr(
        rounds_room.ExactRounds,
        "_next",
        lambda self, before, u: rounds_room._Round(
            self._whitened.types.targets, self._whitened.types.targets,
            self._whitened.types.targets, rounds_room.arb(0),
        ),
    )  # fmt: skip
    found = population.exact(1)
    assert found.sign.tolist() == [0] * len(found.true)
    assert (found.perfect, found.verdict) == (False, None)


def test_classes_that_are_alike_have_equal_predictions_to_the_last_bit():
    """One type stands for others only if classes alike to it are; planted: some noise in each."""
    model = ClassBlockModel(6, 20, 0.5, 0.2, 0.1, 3)
    population = model.population(corruption_matrix("symmetric", 6, 0.3), 1e-3)
    types, rng = population.types, np.random.default_rng(0)
    assert types.given.tolist() == [0, 1, 3]
    exact = types.targets.astype(float)
    assert np.array_equal(types.symmetrized(exact), exact)
    mended = types.symmetrized(exact + 1e-10 * rng.standard_normal(exact.shape))
    assert [len(set(row)) for row in mended] == [3, 4, 4]
    assert [len({row[3], row[4], row[5]}) for row in mended] == [1, 1, 2]


# ---- The closed form ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "n", "c", "d", "weight_decay", "rate"),
    [
        (100, 500, 0.4, 0.1, 1e-3, 0.5),
        (10, 5000, 0.6, 0.5, 1e-2, 0.4),
        (6, 50, 0.4, 0.1, 1e-3, 0.5),
    ],
)
def test_the_closed_form_is_perfect_from_the_least_round_on(k, n, c, d, weight_decay, rate):
    model = ClassBlockModel(k, n, c, d)
    population = model.population(corruption_matrix("asymmetric", k, rate), weight_decay)
    first = int(population.minimum_rounds()) + 1
    for t in (first, first + 1, first + 11, first + 40, 500):
        assert population.linearized(t).perfect
        assert (population.linearized(t).margins > 0).all()
    assert all(population.linearized(t).verdict is False for t in range(1, first))


def test_a_tie_of_the_closed_form_is_a_tie():
    # s_A = 1/2, s_B = 3, μ = 2: ρ = 3, and 1 − 2r = 1/2 = 1/(ρ − 1) at r = 1/4.
    model = ClassBlockModel(4, 5, 0.5, 0.0)
    found = model.population(corruption_matrix("pair-flip", 4, 0.25), 0.025).linearized(1)
    assert dict(zip(found.given.tolist(), found.sign.tolist(), strict=True)) == {0: 1, 1: 0}
    assert found.margins[found.sign == 0].tolist() == [0.0]
    assert (found.perfect, found.verdict) == (False, False)
    for rate, perfect in ((0.2499999999999999, True), (0.2500000000000001, False)):
        population = model.population(corruption_matrix("pair-flip", 4, rate), 0.025)
        assert population.linearized(1).verdict is perfect


# ---- Symmetry, and what a matrix of floats stands for ------------------------------------------


def test_renamed_classes_have_the_same_rounds():
    """Shifts under other names, and other symmetries, cost time and change nothing."""
    names = np.array([2, 0, 4, 1, 3])
    pair_flip = corruption_matrix("pair-flip", 5, 0.3)
    exclusive = np.array([0.55, 0.25, 0.15, 0.05])[np.arange(4)[:, None] ^ np.arange(4)]
    for matrix, order in ((pair_flip, names), (exclusive, np.arange(4))):
        model = ClassBlockModel(len(matrix), 20, 0.5, 0.2)
        plain, renamed = (model.population(c, 1e-3) for c in (matrix, matrix[np.ix_(order, order)]))
        assert renamed.types.renamings is None
        found = [
            tuple(map(p.first_perfect_round, ("linearized", "exact"))) for p in (plain, renamed)
        ]
        assert found[0] == found[1]
        assert None not in found[0]
        for t in (1, 2, 5):
            left, right = plain.exact(t), renamed.exact(t)
            for true, given_label in zip(right.true, right.given, strict=True):
                expected = left.of(order[true], order[given_label])[order]
                assert np.abs(right.of(true, given_label) - expected).max() < 1e-12
        assert renamed.exact(60).verdict is True


@pytest.mark.parametrize("kind", ["asymmetric", "pair-flip"])
def test_types_of_one_class_say_the_same_as_all_types(kind):
    model = ClassBlockModel(5, 20, 0.5, 0.2)
    few, every = (model.population(corruption_matrix(kind, 5, 0.3), 1e-3) for _ in range(2))
    every.__dict__["types"] = types_of(model.superclasses, every.corruption, fewest=False)
    assert few.types.renamings is not None
    assert len(few.types.true) * 5 == len(every.types.true)
    for t in (1, 3):
        for name in ("linearized", "exact"):
            left, right = few.at(name, t), every.at(name, t)
            for true, given_label in zip(right.true, right.given, strict=True):
                expected = right.of(true, given_label)
                assert np.abs(left.of(true, given_label) - expected).max() < 1e-12
            assert left.verdict is right.verdict


def test_superclasses_are_kept_by_shifts_inside_and_between_them():
    model = ClassBlockModel(6, 10, 0.5, 0.3, 0.1, 3)
    inside = np.array([[6, 3, 1], [1, 6, 3], [3, 1, 6]]) / 10
    population = model.population(np.kron(np.eye(2), inside), 1e-2)
    every = model.population(np.kron(np.eye(2), inside), 1e-2)
    every.__dict__["types"] = types_of(model.superclasses, every.corruption, fewest=False)
    assert population.types.renamings is not None
    for t in (1, 2, 6):
        for name in ("linearized", "exact"):
            left, right = population.at(name, t), every.at(name, t)
            for true, given_label in zip(right.true, right.given, strict=True):
                expected = right.of(true, given_label)
                assert np.abs(left.of(true, given_label) - expected).max() < 1e-12


@given(st.integers(2, 9), st.integers(1, 99), st.sampled_from(["symmetric", "asymmetric"]))
def test_rows_and_balanced_columns_sum_to_exactly_one(k, percent, kind):
    matrix = corruption_matrix(kind, k, percent / 100)
    exact = exact_corruption(matrix)
    assert set(exact.sum(axis=0)) == set(exact.sum(axis=1)) == {1}
    assert np.abs(exact.astype(float) - matrix).max() <= 2e-16


@given(st.lists(st.floats(0.05, 1), min_size=2, max_size=5), st.integers(3, 6), st.randoms())
def test_balanced_columns_of_mixtures_are_mended_and_zeros_kept(shares, k, random):
    matrix = np.zeros((k, k))
    for share in shares:
        order = list(range(k))
        random.shuffle(order)
        matrix[np.arange(k), order] += share / sum(shares)
    exact = exact_corruption(matrix)
    assert set(exact.sum(axis=0)) == set(exact.sum(axis=1)) == {1}
    found = exact.astype(float)
    assert np.abs(found - matrix).max() <= 1e-14
    assert np.array_equal(found == 0, matrix == 0)


def test_columns_that_are_not_balanced_stay_so():
    exact = exact_corruption(np.array([[0.9, 0.1], [0.3, 0.7]]))
    assert exact.sum(axis=0).tolist() == [fmpq(12, 10), fmpq(8, 10)]
    thirds = exact_corruption(np.array([[0.0, 1 / 3, 2 / 3], [0.5, 0.5, 0], [0.2, 0.4, 0.4]]))
    assert set(thirds.sum(axis=1)) == {1}
    assert thirds[0, 0] == 0
