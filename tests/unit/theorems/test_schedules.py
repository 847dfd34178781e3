"""Schedules, momentum and top-two rounds: slow oracles, planted errors, bad input in one line."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

import gramlab
from gramlab import (
    ClassBlockModel,
    Features,
    GeneralizedCrossEntropyHead,
    LinearizedHead,
    SoftmaxHead,
    corruption_matrix,
    distill,
    one_hot,
    testing,
)
from gramlab.errors import GramlabError
from gramlab.testing import twins
from gramlab.theorems import check, registry

schedules = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5)


def draws(name: str, count: int = 20, seed: int = 6) -> list:
    rng = np.random.default_rng(seed)
    return [registry[name].draw(rng) for _ in range(count)]


def predictions(x, targets, decays) -> list[np.ndarray]:
    """P_t of exact rounds, by dense Newton."""
    made = []
    for decay in decays:
        targets = softmax(x @ twins.dense_newton_head(x, targets, decay), axis=1)
        made.append(targets)
    return made


def entropy(p: np.ndarray) -> float:
    return float(-(p * np.log(p)).sum(axis=1).mean())


# ---- One total ----------------------------------------------------------------------------------


@examples(50)
@given(schedules, st.floats(1e-3, 1e3), st.integers(0, 3))
def test_what_is_kept_lies_between_equal_rounds_and_one_training(mus, s, more):
    """By the plain quotients, for any schedule and for as many equal rounds or more."""
    total, t = sum(mus), len(mus) + more
    kept = np.prod([s / (s + mu) for mu in mus])
    room = 1 + 1e-13 * (1 + total / s)
    assert np.exp(-total / s) / room <= (1 + total / (t * s)) ** -t <= kept * room
    assert kept <= s / (s + total) * room


def test_exchanged_schedules_are_said_not_to_majorize():
    told = {"gram": np.diag([1.0, 2.0]), "mus": [2.0, 2.0], "others": [1.0, 3.0]}
    report = check("schedule-order", **told)
    assert not report.hypotheses["majorization"].holds
    assert not report.holds
    assert check("schedule-order", **told | {"mus": [1.0, 3.0], "others": [2.0, 2.0]}).holds


@pytest.mark.parametrize("name", ["schedule-order", "schedule-recovery"])
def test_another_filter_is_found(name, monkeypatch):
    """s/(s + μ²) rewards uneven steps where it is near to 1."""
    instances = draws(name)
    assert all(registry[name].check(instance).holds for instance in instances)
    place = f"gramlab.theorems.{name.replace('-', '_')}.filter_power"
    monkeypatch.setattr(place, lambda s, mu: s / (s + mu**2))
    assert not all(registry[name].check(instance).holds for instance in instances)


def test_even_rounds_recover_a_block_model_that_one_training_does_not():
    model = ClassBlockModel(3, 10, 0.5, 0.2)
    noise = corruption_matrix("symmetric", 3, 0.4)
    features, noisy = model.sample(noise, seed=0, exact_counts=True)

    def recovered(total: float, count: int) -> bool:
        heads = [LinearizedHead(total / (count * 3 * features.n_samples))] * count
        last = distill(heads, features, one_hot(noisy.labels, 3), count)[-1]
        return bool((last.labels == features.labels).all())

    assert [recovered(1.0, count) for count in (1, 2, 4, 8)] == [False, False, True, True]
    assert [recovered(1.4, count) for count in (1, 2, 4, 8)] == [False, True, True, True]


# ---- Exact heads see the order ------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "sign"), [(2, 1), (3, -1)])
def test_which_order_averages_more_depends_on_the_classes(classes, sign):
    x, targets = np.ones((2, 1)), np.eye(classes)[[0, 0]]
    rising, falling = (entropy(predictions(x, targets, one)[-1]) for one in ([1, 2], [2, 1]))
    assert sign * (rising - falling) > 3e-5


@examples(15)
@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=5),
    st.lists(st.floats(0.02, 5), min_size=3, max_size=3),
    st.floats(0, 1),
)
def test_rising_weight_decays_average_most_with_one_feature_and_two_classes(rows, decays, share):
    x = np.array(rows)[:, None]
    targets = np.tile([share, 1 - share], (len(x), 1))
    left = {}
    for order in permutations(sorted(decays)):
        p = predictions(x, targets, order)[-1]
        left[order] = float(np.linalg.norm(x.T @ (p - 0.5)))
    rising = tuple(sorted(decays))
    least, most = min(left.values()), max(left.values())
    assert left[rising] <= least + 1e-9
    assert left[rising[::-1]] >= most - 1e-9


def test_rounds_that_are_none_are_found(monkeypatch):
    instances = draws("rising-schedule")
    wrong = lambda heads, *told, **more: distill(heads[::-1], *told, **more)  # noqa: E731
    monkeypatch.setattr("gramlab.theorems._rounds.distill", wrong)
    assert not all(registry["rising-schedule"].check(one).holds for one in instances)


# ---- Momentum -----------------------------------------------------------------------------------


@examples(50)
@given(st.floats(1e-6, 1e3), st.integers(1, 60))
def test_the_filter_of_momentum_by_its_own_recursion(ratio, rounds):
    h, q = 1 / (1 + ratio), [1.0, 1 / (1 + ratio)]
    for t in range(1, rounds):
        q.append(h * (q[t] + (t - 1) / (t + 2) * (q[t] - q[t - 1])))
    t = len(q) - 1
    assert 1 - q[t] <= (t * t + 5 * t + 2) / 8 * ratio + 1e-12
    assert abs(q[t]) * (t + 1) * np.sqrt(ratio) <= 2 + 1e-12
    if min(q) >= 0:
        assert q[t] <= h**t + 1e-12


def test_rounds_without_momentum_are_found(monkeypatch):
    instances = draws("momentum-filter")
    place = "gramlab.theorems.momentum_filter.distill"
    monkeypatch.setattr(place, lambda *told, momentum: distill(*told))
    assert not all(registry["momentum-filter"].check(one).holds for one in instances)


def test_momentum_turns_rows_against_their_only_label():
    """By dense Newton on the targets of the recursion, written out."""
    x, targets = np.ones((2, 1)), np.eye(2)[[0, 0]]
    (first,), (second,) = (predictions(x, t, [4.0]) for t in (targets, targets))
    (second,) = predictions(x, first, [4.0])
    (third,) = predictions(x, second + (second - first) / 4, [4.0])
    assert first[0, 0] > second[0, 0] > 0.5 + 1e-3 > 0.5 - 1e-4 > third[0, 0]


# ---- Students that are not proximal -------------------------------------------------------------


def test_top_two_rounds_break_the_laws_by_dense_newton():
    x, y = np.array([[3.0], [2.0], [1.0]]), np.eye(3)
    first = twins.dense_newton_head(x, y, 1.0)
    p = softmax(x @ first, axis=1)
    two = np.where(p >= np.sort(p, axis=1)[:, [1]], 0.5, 0.0)
    assert (two.sum(axis=1) == 1).all()
    second = twins.dense_newton_head(x, two, 1.0)
    q = softmax(x @ second, axis=1)
    assert np.linalg.norm(second) > np.linalg.norm(first) + 0.1
    assert entropy(q) < entropy(p) - 0.01
    assert np.linalg.norm(first + second - x.T @ (y - q) / 3) > 0.1
    once, mean = twins.dense_newton_head(x, y, 2.0), (first + second) / 2
    assert np.linalg.norm(once - (mean + second) / 2) > np.linalg.norm(mean - second) / 2 + 0.1


def test_top_two_rounds_descend_on_digits_and_plain_rounds_do_not(monkeypatch):
    digits = gramlab.load_features("digits").prepared(center=True, unit_norm=True)
    some = Features(digits.x[:200], digits.labels[:200], n_classes=10)
    told = {"features": some, "targets": one_hot(some.labels, 10)}
    assert check("top-two-rounds", **told, weight_decays=[1e-4] * 6).holds
    place = "gramlab.theorems._rounds.distill"
    monkeypatch.setattr(place, lambda *told, refine, **more: distill(*told, **more))
    assert not check("top-two-rounds", **told, weight_decays=[1e-4] * 6).holds


@examples(10)
@given(testing.problems(), testing.weight_decays(1e-3), st.sampled_from([None, 0.3, 0.7, 1.0]))
def test_top_two_rounds_descend_for_every_loss_that_falls_in_each_probability(
    problem, weight_decay, q
):
    """Since each round starts from the weights of the one before, local minima suffice."""
    features, targets = problem
    head = SoftmaxHead(weight_decay)
    if q is not None:
        head = GeneralizedCrossEntropyHead(weight_decay, q=q)
    rounds = distill(head, features, targets, 5, refine="top2")
    losses = [fit.problem if q is not None else fit.loss for fit in rounds]
    values = [loss.value(fit.weights) for loss, fit in zip(losses, rounds, strict=True)][1:]
    assert all(now <= before * (1 + 1e-7) for before, now in pairwise(values))


def test_the_generalized_cross_entropy_has_two_minima():
    """By its values on a grid of w, for W = (w/2, −w/2)."""
    w = np.linspace(-5, 12, 2001)
    rows = sum((1 - expit(v) ** 0.7) / 0.7 for v in (w, -4 * w)) / 2
    values = rows + 0.01 / 2 * w**2 / 2
    inner = values[1:-1]
    assert ((inner < values[:-2]) & (inner < values[2:])).sum() == 2


# ---- What is refused -----------------------------------------------------------------------------

X, Y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.eye(2)
GRAM = {"gram": X @ X.T}
BLOCK = ClassBlockModel(2, 4, 0.5, 0.2)


@pytest.mark.parametrize(
    ("name", "arguments", "sign"),
    [
        (
            "schedule-order",
            {**GRAM, "mus": [1.0, 2.0], "others": [3.0]},
            "others must be of at least t = 2 rounds, got 1",
        ),
        ("schedule-order", {**GRAM, "mus": [[1.0]], "others": [1.0]}, "mus must be real numbers"),
        (
            "schedule-recovery",
            {"model": BLOCK, "corruption": np.eye(2), "mus": [], "others": [1.0]},
            "mus must be of at least 1 rounds, got 0",
        ),
        ("rising-schedule", {"features": X, "targets": Y, "weight_decays": [1.0]}, "at least 2"),
        (
            "top-two-rounds",
            {"features": X, "targets": Y, "weight_decays": [1.0]},
            "weight_decays must be of at least 2 rounds",
        ),
        ("momentum-class", {"features": X, "weight_decay": 1.0}, "features must be real numbers"),
        (
            "gce-optimum",
            {"features": X, "targets": Y, "weight_decay": 1.0, "start": np.ones((1, 2))},
            "start must be real numbers of shape (2, 2)",
        ),
        (
            "even-steps",
            {"features": X, "labels": [0, 2], "true_labels": [0, 1], "mus": 2.0, "others": 2.0},
            "labels must be whole numbers",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(name, arguments, sign):
    with pytest.raises(GramlabError) as refused:
        check(name, **arguments)
    assert sign in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "arguments", "failing"),
    [
        ("schedule-order", {**GRAM, "mus": [-1.0], "others": [-1.0]}, "weight decays"),
        ("momentum-filter", {"eigenvalue": 0.0, "mu": 1.0}, "eigenvalue"),
        ("momentum-class", {"features": -np.ones((2, 1)), "weight_decay": 1.0}, "one positive"),
        ("top-two-rounds", {"features": X, "targets": 2 * Y, "weight_decays": [1, 1]}, "targets"),
        (
            "gce-optimum",
            {"features": X, "targets": Y, "weight_decay": 1.0, "start": X, "q": 2.0},
            "exponent",
        ),
    ],
)
def test_no_conclusion_where_the_statement_has_no_meaning(name, arguments, failing):
    report = check(name, **arguments)
    assert report.holds is None
    assert not next(h for n, h in report.hypotheses.items() if n.startswith(failing)).holds
