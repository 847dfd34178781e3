"""The laws of exact rounds: tolerances are honest, wrong rounds are found, bad input is refused."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

import gramlab
from gramlab import Features, SoftmaxHead, distill, one_hot, testing
from gramlab.errors import GramlabError
from gramlab.testing import twins
from gramlab.theorems import check, registry

ROUNDS = ["telescope", "shrinking-weights", "entropy-step", "total-weight-decay", "the-ball"]
HEADS = [*ROUNDS, "firm-nonexpansiveness", "mixing-limit", "momentum-rate"]


def draws(name: str, count: int = 8, seed: int = 5) -> list:
    rng = np.random.default_rng(seed)
    return [registry[name].draw(rng) for _ in range(count)]


def test_draws_reach_what_the_laws_are_said_to_hold_for():
    drawn = draws("the-ball", 300)
    shapes = [instance["x"].shape for instance in drawn]
    ranks = [np.linalg.matrix_rank(instance["x"]) for instance in drawn]
    targets = [instance["targets"] for instance in drawn]
    sizes = [t.sum(axis=0) for t in targets]
    spreads = [instance["decays"].max() / instance["decays"].min() for instance in drawn]
    reached = {
        "more features than rows": [d > n for n, d in shapes],
        "low rank": [rank < min(shape) for rank, shape in zip(ranks, shapes, strict=True)],
        "signed targets": [t.min() < 0 for t in targets],
        "soft targets": [t.min() >= 0 and (t % 1 != 0).any() for t in targets],
        "labels of very unequal classes": [
            (t % 1 == 0).all() and size.max() > 4 * size.min()
            for t, size in zip(targets, sizes, strict=True)
        ],
        "one weight decay": [spread == 1 for spread in spreads],
        "schedules over decades": [spread > 100 for spread in spreads],
    }
    assert {name: sum(found) >= 20 for name, found in reached.items()} == dict.fromkeys(
        reached, True
    )


@pytest.mark.parametrize("name", HEADS)
def test_heads_that_stop_early_leave_open_what_their_certificates_do(name, monkeypatch):
    """The laws are of exact rounds, so the certificates must make good what a stop leaves."""
    monkeypatch.setattr("gramlab.theorems._rounds.TOLERANCE", 1e-2)
    assert all(registry[name].check(instance).holds for instance in draws(name))


def planted(mixing: float):
    """``distill`` that mixes the given labels in without saying so."""
    return lambda *told, **more: distill(*told, **more | {"mixing": mixing})


@pytest.mark.parametrize("name", [*ROUNDS, "firm-nonexpansiveness", "mixing-limit"])
def test_rounds_that_are_none_are_found(name, monkeypatch):
    instances = draws(name)
    assert all(registry[name].check(instance).holds for instance in instances)
    monkeypatch.setattr("gramlab.theorems._rounds.distill", planted(-0.5))
    assert not all(registry[name].check(instance).holds for instance in instances)


def test_momentum_rounds_of_another_weight_decay_are_found(monkeypatch):
    """The bound, told λ, meets heads of λ/20, which certify themselves."""

    def wrong(decay: float, **settings):
        return SoftmaxHead(decay / 20, **settings)

    monkeypatch.setattr("gramlab.theorems._rounds.SoftmaxHead", wrong)
    theorem = registry["momentum-rate"]
    assert not all(theorem.check(instance).holds for instance in draws("momentum-rate"))


# ---- On one's own features -----------------------------------------------------------------------


@examples(10)
@given(testing.problems(), testing.weight_decays(1e-3), st.integers(2, 4))
def test_the_laws_hold_on_any_problem(problem, weight_decay, rounds):
    features, targets = problem
    told = {"features": features, "targets": targets}
    for name in ROUNDS:
        report = check(name, **told, weight_decays=np.full(rounds, weight_decay))
        assert report.applies
        assert report.holds, name
    one = {**told, "weight_decay": weight_decay, "rounds": rounds}
    assert check("mixing-limit", **one, mixing=0.5).holds
    assert check("momentum-rate", **one).holds


def test_on_digits():
    digits = gramlab.load_features("digits").prepared(center=True, unit_norm=True)
    some = Features(digits.x[:60], digits.labels[:60], n_classes=10)
    told = {"features": some, "targets": one_hot(some.labels, 10)}
    for name in ROUNDS:
        assert check(name, **told, weight_decays=[1e-3, 1e-2, 1e-3]).holds, name


def test_labels_count_through_one_moment():
    """Targets with the same XᵀY/N, some of them signed, are one problem in every round."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((7, 3)), rng.dirichlet(np.ones(3), 7)
    unseen = rng.standard_normal((7, 3))
    unseen -= unseen.mean(axis=1, keepdims=True)
    unseen -= x @ np.linalg.lstsq(x, unseen)[0]
    head = SoftmaxHead(0.1, tolerance=1e-20, signed_targets=True)
    one, other = (distill(head, x, t, 3, signed_targets=True) for t in (y, y + 3 * unseen))
    for a, b, c, e in zip(one, other, one.chain, other.chain, strict=True):
        assert np.linalg.norm(a.weights - b.weights) <= c.weights_bound + e.weights_bound


def test_the_constant_of_the_rate_is_near_that_of_a_parabola():
    """4Λ (log K − H̄)/‖∇L(0)‖² is 1/2 at worst for a parabola, which targets near 1/K make of F*."""
    x, k = np.ones((2, 1)), 2
    targets = np.full((2, k), (0.501, 0.499))
    decay = 1 / k  # the curvature of F at 0 on zero-sum weights, Σ x²/(N K)
    p = SoftmaxHead(decay, tolerance=1e-20).fit(x, targets).probabilities
    left = np.log(k) + float((p * np.log(p)).sum(axis=1).mean())
    start = float(np.linalg.norm(x.T @ (targets - 1 / k) / 2))
    assert 4 * decay * left / start**2 == pytest.approx(0.5, rel=1e-4)


# ---- What is false, by slow code that shares nothing with the heads ------------------------------


def predictions(x, targets, decays) -> list[np.ndarray]:
    """P_t of exact rounds, by dense Newton."""
    made = []
    for decay in decays:
        targets = softmax(x @ twins.dense_newton_head(x, targets, decay), axis=1)
        made.append(targets)
    return made


def entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(p)).sum(axis=1)


def test_the_entropy_of_a_row_may_fall():
    first, second = predictions(np.array([[1.0, 0.0], [2.0, -2.0]]), np.eye(2), [1.0, 1.0])
    assert entropy(second)[0] < entropy(first)[0] - 1e-3
    assert entropy(second).mean() > entropy(first).mean()


def test_a_recovered_label_may_be_lost():
    x = np.array([[1.0, 1.0], [-1.0, 0.0], [0.0, 2.0]])
    first, second = predictions(x, one_hot([1, 1, 0], 2), [1.0, 1.0])
    assert first[1, 0] > 0.5 > second[1, 0]  # given 1, true 0


def test_one_training_may_recover_what_rounds_do_not():
    x = np.array([[-1.0, 0.0], [-3.0, 1.0], [1.0, -3.0], [-2.0, 3.0]])
    given = one_hot([1, 0, 0, 1], 2)
    (*_, last), (once,) = predictions(x, given, [1.0, 1.0]), predictions(x, given, [2.0])
    assert last[0, 0] < 0.5 < once[0, 0]  # given 1, true 0
    assert (last.argmax(axis=1)[1:] == once.argmax(axis=1)[1:]).all()


def test_one_training_may_be_more_uniform():
    x = np.array([[-7.0, 1.0], [-6.0, -1.0], [2.0, 0.0]])
    soft = np.array([[0.0, 0.0, 1.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    (*_, last), (once,) = predictions(x, soft, [0.01, 10.0]), predictions(x, soft, [10.01])
    left = np.log(3) - entropy(once).mean()
    assert entropy(last).mean() < entropy(once).mean() - 1e-3 * left


# ---- What is refused -----------------------------------------------------------------------------

X, Y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.eye(2)
TOLD = {"features": X, "targets": Y}
LABELLED = {**TOLD, "weight_decays": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("name", "arguments", "sign"),
    [
        (
            "the-ball",
            {**TOLD, "weight_decays": [1.0]},
            "weight_decays must be of at least 2 rounds",
        ),
        ("the-ball", {**TOLD, "weight_decays": [[1.0]]}, "weight_decays must be real numbers of"),
        ("telescope", {**TOLD, "weight_decays": [1.0, np.nan]}, "weight_decays must be finite"),
        ("firm-nonexpansiveness", {**LABELLED, "others": np.eye(3)}, "others must be real numbers"),
        ("recovery-ahead", {**LABELLED, "true_labels": [0, 2]}, "true_labels"),
        (
            "momentum-rate",
            {**TOLD, "weight_decay": 1.0, "rounds": 0},
            "rounds must be an integer",
        ),
        (
            "canonical-links",
            {"features": X, "labels": Y, "weight_decays": [1.0, 1.0], "link": "probit"},
            "link must be one of squared, logistic, poisson, concave",
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
        ("the-ball", {**TOLD, "weight_decays": [1.0, -1.0]}, "weight decays"),
        ("the-ball", {"features": X, "targets": 2 * Y, "weight_decays": [1.0, 1.0]}, "targets"),
        ("mixing-limit", {**TOLD, "weight_decay": 1.0, "mixing": 1.0}, "mixing"),
    ],
)
def test_no_conclusion_where_the_statement_has_no_meaning(name, arguments, failing):
    report = check(name, **arguments)
    assert report.holds is None
    assert not report.hypotheses[failing].holds
