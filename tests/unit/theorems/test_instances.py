"""Theorems on one's own instance: hypotheses are decided, and the public code is what is run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from gramlab import ClassBlockModel, Features, corruption_matrix, testing
from gramlab.errors import GramlabError, InvalidSetting
from gramlab.heads.closed_form import LinearizedHead, RidgeHead
from gramlab.population import Population
from gramlab.population.block_fit import BlockFit
from gramlab.population.phase import Condition
from gramlab.spectrum import filters
from gramlab.theorems import check, checking, registry

names = pytest.mark.parametrize("name", sorted(registry))
seeds = st.integers(0, 2**32 - 1)


def as_arguments(theorem, instance) -> dict:
    """A drawn instance in the words in which a user would give it."""
    if "block" in instance:
        b = instance["block"]
        c, d, e = map(float, (b.c, b.d, b.e))
        told = {
            "model": ClassBlockModel(b.n_classes, b.n, c, d, e, b.m),
            "corruption": np.array(b.counts) / b.n,
            "mu": Fraction(int(b.mu.p), int(b.mu.q)),
            "rounds": instance.get("t"),
            "top": instance.get("top"),
            "targets": instance.get("targets"),
            "weight_decays": instance.get("decays"),
            **{
                key: [Fraction(int(mu.p), int(mu.q)) for mu in instance[key]]
                for key in ("mus", "others")
                if key in instance
            },
        }
        return {key: value for key, value in told.items() if key in theorem.arguments}
    if "correlated" in instance:
        b = instance["correlated"]
        mu = Fraction(int(b.mu.p), int(b.mu.q))
        told = {"correlations": b.correlations.astype(float), "counts": b.counts}
        return {**told, "mu": mu, "rounds": instance["t"]}
    words = {getattr(one, "key", "") or name: name for name, one in theorem.arguments.items()}
    return {words[key]: value for key, value in instance.items()}


# ---- Hypotheses ----------------------------------------------------------------------------------


@names
@examples(10)
@given(seed=seeds)
def test_hypotheses_hold_on_what_is_drawn(name, seed):
    theorem = registry[name]
    instance = theorem.draw(np.random.default_rng(seed))
    for hypothesis in theorem.hypotheses:
        held = hypothesis.test and hypothesis.test(instance)
        assert held is None or held.holds, (hypothesis.name, held)


@names
@examples(10)
@given(seed=seeds)
def test_a_dropped_hypothesis_is_the_only_one_that_fails(name, seed):
    theorem = registry[name]
    for hypothesis in theorem.hypotheses:
        if hypothesis.without is not None:
            instance = hypothesis.without(np.random.default_rng(seed))
            others = {h.name: h.test(instance) for h in theorem.hypotheses if h.test}
            failing = {one for one, held in others.items() if not held.holds}
            # Two classes that become one cannot both take their rows of C along.
            allowed = {"noise goes along"} if hypothesis.name == "traded names" else set()
            assert failing - allowed == {hypothesis.name}


@names
@examples(10)
@given(seed=seeds)
def test_one_s_own_instance_is_checked_as_a_drawn_one(name, seed):
    theorem = registry[name]
    drawn = theorem.draw(np.random.default_rng(seed))
    report, expected = check(name, **as_arguments(theorem, drawn)), theorem.check(drawn)
    assert report.applies
    assert report.holds == expected.holds
    assert report.slack == expected.slack
    assert list(report.hypotheses) == [hypothesis.name for hypothesis in theorem.hypotheses]


MODELS = [name for name, t in registry.items() if {"model", "corruption", "mu"} <= set(t.arguments)]


@pytest.mark.parametrize("name", [name for name in MODELS if name != "finite-sample"])
@examples(25)
@given(model=testing.block_models(), draws=st.data())
def test_a_theorem_holds_wherever_it_applies(name, model, draws):
    k, n = model.n_classes, model.samples_per_class
    labels = draws.draw(st.lists(st.integers(0, k - 1), min_size=k * n, max_size=k * n))
    shares = np.eye(k)[np.reshape(labels, (k, n))].mean(axis=1)
    if draws.draw(st.booleans()):  # balanced inside superclasses
        row = draws.draw(st.permutations(range(n)))[0]
        size = model.superclass_size or k
        inside = np.roll(np.eye(size), 1, axis=1)
        shares = np.kron(np.eye(k // size), (row * inside + (n - row) * np.eye(size)) / n)
    mu = draws.draw(st.sampled_from(["1/7", "1", "40"]))
    report = check(name, model=model, corruption=shares, mu=mu)
    assert report.holds is not False or not report.applies or "unconditional" in name


@examples(25)
@given(testing.problems(), testing.weight_decays(1e-3), st.integers(1, 3))
def test_theorems_on_heads_hold_on_any_problem(problem, weight_decay, rounds):
    features, targets = problem
    weights = np.ones((rounds, features.n_features, targets.shape[1]))
    told = {"features": features, "targets": targets, "weight_decay": weight_decay}
    for name in ("closed-form", "temperature-reading", "error-recursion", "duality-gap"):
        more = {"rounds": rounds, "temperature": 2.0, "weights": weights}
        if name == "duality-gap":
            more["weights"] = weights[0]
        more = {key: x for key, x in more.items() if key in registry[name].arguments}
        assert check(name, **told, **more).holds, name


@examples(25)
@given(testing.gram_matrices(4), testing.gram_matrices(4), st.floats(0.01, 10.0), st.integers(1, 4))
def test_theorems_on_matrices_hold_on_any_gram_matrix(gram, other, mu, rounds):
    assert check("perturbation", gram=gram, other=other, mu=mu, rounds=rounds).holds


@pytest.mark.parametrize("rounds", [*range(1, 13), 20, 40, 60])
def test_close_matrices_come_near_to_the_perturbation_bound_at_every_round(rounds):
    where = (rounds - 1) / 2 * np.eye(2)  # h^t is steepest there
    report = check(
        "perturbation", gram=where, other=where + 1e-5 * np.eye(2), mu=1.0, rounds=rounds
    )
    assert report.holds
    assert report.slack <= (0.1 if rounds <= 5 else 0.23 if rounds <= 20 else 0.33)


@names
def test_arguments_are_those_that_are_taken(name):
    theorem = registry[name]
    taken = [getattr(one, "key", "") or name for name, one in theorem.arguments.items()]
    if theorem.instance is not None:
        inspect.signature(theorem.instance).bind(**dict.fromkeys(taken))
    assert len(set(taken)) == len(taken)
    assert all(str(one) and "\n" not in str(one) for one in theorem.arguments.values())


GRAM = np.array([[1.0, 0.4], [0.4, 1.0]])
MODEL = ClassBlockModel(4, 20, 0.4, 0.1)
NOISE = corruption_matrix("symmetric", 4, 0.3)


def test_a_failing_hypothesis_is_named_with_its_number():
    report = check("perturbation", gram=-GRAM, other=GRAM, mu=2.0)
    assert not report.applies
    assert report.hypotheses["positive semidefinite"].why.startswith("λ_min(gram) = -1.4")
    assert report.hypotheses["weight decay"].holds
    assert report.holds is False  # the conclusion is looked at all the same, and fails
    assert "does not apply, for want of positive semidefinite (λ_min(gram) = -1.4" in repr(report)
    table = report._repr_html_()
    assert "<td>positive semidefinite</td><td>NO</td><td>λ_min(gram) = -1.4" in table
    assert "<td>weight decay</td><td>yes</td><td>μ = 2</td>" in table


def test_no_conclusion_where_it_has_no_meaning():
    report = check("perturbation", gram=GRAM, other=GRAM, mu=-1.0)
    assert report.holds is None
    assert np.isnan(report.slack)
    assert repr(report).startswith("<perturbation: no conclusion; does not apply")
    assert report.as_dict()["hypotheses"]["weight decay"] == {"holds": False, "why": "μ = -1"}


def test_a_weight_decay_is_as_good_as_its_mu():
    other = 1.1 * GRAM
    by_mu = check("perturbation", gram=GRAM, other=other, mu=3 * 2 * 0.25, rounds=3)
    by_decay = check(
        "perturbation", gram=GRAM, other=other, weight_decay=0.25, n_classes=3, rounds=3
    )
    assert by_mu == by_decay
    assert by_mu.holds
    settings = {"model": MODEL, "corruption": NOISE, "rounds": 2}
    assert check("population-accuracy", weight_decay="1/1000", **settings) == check(
        "population-accuracy", mu=Fraction(4 * 80, 1000), **settings
    )


def test_features_bring_their_number_of_classes():
    x = np.random.default_rng(0).standard_normal((6, 3))
    features, gram = Features(x, [0, 1, 2] * 2), x @ x.T
    given = {"gram": features, "other": 1.1 * gram, "weight_decay": 0.25}
    by_mu = check("perturbation", gram=gram, other=1.1 * gram, mu=3 * 6 * 0.25)
    assert check("perturbation", **given) == check("perturbation", **given, n_classes=3) == by_mu
    with pytest.raises(InvalidSetting, match=r"one number of classes, got \[2, 3\]"):
        check("perturbation", **given, n_classes=2)


def test_slack_is_shown_of_bounds_alone():
    model = ClassBlockModel(4, 20, 0.4, 0.1)
    noise = corruption_matrix("symmetric", 4, 0.9)
    report = check("population-accuracy", model=model, corruption=noise, mu=1)
    assert report.holds
    assert report.slack < 0
    assert "slack" not in repr(report)
    report = check("softmax-remainder", logits=[0.1, 0.2])
    assert "its hypothesis holds" in repr(report) or len(report.hypotheses) != 1
    assert "slack" in repr(report)
    assert "all 1 hypotheses" not in repr(report)


def test_features_stand_for_their_rows_and_for_their_gram_matrix():
    x = np.random.default_rng(0).standard_normal((6, 3))
    features = Features(x, [0, 1] * 3)
    targets = np.eye(2)[[0, 1] * 3]
    one = check("closed-form", features=features, targets=targets, weight_decay=0.1, rounds=2)
    assert one.holds
    assert one == check("closed-form", features=x, targets=targets, weight_decay=0.1, rounds=2)
    assert check("perturbation", gram=features, other=x @ x.T, mu=1.0) == check(
        "perturbation", gram=x @ x.T, other=features, mu=1.0
    )


def test_what_a_fit_computes_is_an_instance():
    x = np.random.default_rng(1).standard_normal((8, 3))
    targets = np.eye(2)[[0, 1] * 4]
    features = Features(x, [0, 1] * 4)
    fit = LinearizedHead(0.1).fit(features, targets)
    given = {"features": features, "targets": targets, "weight_decay": 0.1}
    assert check("duality-gap", **given, weights=fit.weights).holds
    assert check("global-certificate", **given, weights=fit.weights).holds


def test_a_number_stands_for_its_multiple_of_the_identity():
    x = np.random.default_rng(2).standard_normal((5, 3))
    told = {"features": x, "theta": [1.0, -1.0, 0.5], "penalty": 0.7}
    by_number = check("das-sanghavi", **told, noise=0.5)
    assert by_number.holds
    assert by_number == check("das-sanghavi", **told, noise=0.5 * np.eye(5))
    with pytest.raises(InvalidSetting, match=r"noise must be real numbers of shape \(5, 5\)"):
        check("das-sanghavi", **told, noise=np.eye(4))


def test_one_penalty_for_each_feature():
    rng = np.random.default_rng(3)
    told = {"features": rng.standard_normal((6, 3)), "targets": np.eye(2)[[0, 1] * 3]}
    told |= {"weight_decay": 0.1, "weights": rng.standard_normal((3, 2))}
    assert check("global-certificate", **told, penalty=[0.1, 0.2, 3.0]).holds
    assert not check("global-certificate", **told, penalty=[0.0, 0.2, 3.0]).applies
    with pytest.raises(InvalidSetting, match=r"penalty must be real numbers of shape \(3\)"):
        check("global-certificate", **told, penalty=[0.1, 0.2])


@pytest.mark.parametrize("mixing", [[0.0], [0.5, 0.0, 0.8], [1.0, 1.0], [2.0, -1.0]])
def test_a_step_may_be_trained_on_the_labels_alone(mixing):
    x = np.random.default_rng(4).standard_normal((6, 3))
    told = {"features": x, "labels": np.arange(6.0), "weight_decay": 0.2}
    report = check("polynomial-preconditioner", **told, mixing=mixing)
    assert report.applies
    assert report.holds


PAIR = {"gram": GRAM, "other": GRAM}
BLOCK = {"model": MODEL, "corruption": NOISE}


@pytest.mark.parametrize(
    ("name", "arguments", "sign"),
    [
        ("perturbations", {}, "unknown theorem 'perturbations'"),
        ("perturbation", {"gram": GRAM, "mu": 1}, "missing a required argument: 'other'"),
        ("perturbation", {**PAIR, "mu": 1, "turns": 2}, "unexpected keyword argument 'turns'"),
        ("perturbation", PAIR, "pass either mu or weight_decay"),
        ("perturbation", {**PAIR, "weight_decay": 1}, "weight_decay and n_classes go together"),
        ("perturbation", {**PAIR, "mu": 1, "other": np.eye(3)}, "numbers of shape (2, 2)"),
        ("perturbation", {**PAIR, "mu": 1, "gram": [[1, 2], [0, 1]]}, "gram must be symmetric"),
        ("perturbation", {**PAIR, "mu": 1, "gram": np.ones((2, 3))}, "gram must be real numbers"),
        ("perturbation", {**PAIR, "mu": np.nan}, "mu must be finite"),
        ("perturbation", {**PAIR, "mu": 1, "rounds": 0}, "rounds must be an integer"),
        ("label-averaging", {**BLOCK, "mu": 1, "model": 3}, "gramlab.ClassBlockModel"),
        ("label-averaging", {**BLOCK, "mu": 1, "corruption": NOISE[:3]}, "corruption must have"),
        (
            "label-averaging",
            {**BLOCK, "mu": 1, "corruption": corruption_matrix("symmetric", 4, 0.31)},
            "n C[k, j] must be whole numbers, got 13.8 at k = 0, j = 0",
        ),
        (
            "duality-gap",
            {"features": GRAM, "targets": GRAM, "weight_decay": 1, "weights": np.eye(3)},
            "weights must be real numbers of shape (2, 2)",
        ),
        (
            "borup-limit",
            {"features": 1e6 * GRAM, "labels": [0.0, 1.0], "weight_decay": 1e-3, "alpha": 0.5},
            "N weight_decay must be at least",
        ),
        ("softmax-remainder", {"logits": [0.0, np.inf]}, "logits must be finite"),
        (
            "block-spectrum",
            {"model": ClassBlockModel(4, 10**6, 0.4, 0.1)},
            "dense rational matrices of 4000000 samples",
        ),
        (
            "finite-sample",
            {"model": ClassBlockModel(2, 10**6, 0.4), "corruption": np.eye(2), "mu": 1},
            "choose a smaller samples_per_class",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(name, arguments, sign):
    with pytest.raises(GramlabError) as refused:
        check(name, **arguments)
    assert sign in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_theorem_without_instances_says_so():
    theorem = replace(registry["perturbation"], arguments={}, instance=None)
    with pytest.raises(InvalidSetting, match=r"takes no instance of one's own"):
        check(theorem, gram=GRAM)


def test_the_example_of_check_is_what_it_prints():
    assert doctest.testmod(checking) == (0, 3)


# ---- The public code that checks run -------------------------------------------------------------


def resolved(path: str):
    """The code of a function, method or property by its dotted name."""
    found, *parts = importlib.import_module("gramlab"), *path.split(".")[1:]
    for part in parts:
        if inspect.ismodule(found) and not hasattr(found, part):
            found = importlib.import_module(f"{found.__name__}.{part}")
        else:
            found = inspect.getattr_static(found, part, None) or getattr(found, part)
    found = getattr(found, "__func__", getattr(found, "fget", found))
    return inspect.unwrap(found).__code__


@names
def test_a_check_runs_what_it_says_it_runs(name):
    theorem = registry[name]
    rng = np.random.default_rng(5)
    instances = [theorem.draw(rng) for _ in range(5)]
    entered = set()
    sys.setprofile(lambda frame, event, _: event == "call" and entered.add(frame.f_code))
    try:
        for instance in instances:
            theorem.check(instance)
    finally:
        sys.setprofile(None)
    for path in theorem.runs:
        assert resolved(path) in entered, path
    if not theorem.runs:  # then it runs none, as it says
        theorems = importlib.import_module("gramlab.theorems").__path__[0]
        package = theorems.removesuffix("theorems")
        public = {code.co_filename for code in entered if code.co_filename.startswith(package)}
        assert {path for path in public if not path.startswith(theorems)} == set()


def one_round_more(self, round):
    return RIGHT["linearized"](self, round + 1)


RIGHT = {"linearized": Population.linearized, "filter_power": filters.filter_power}
BLOCKS = [
    name for name, t in registry.items() if "gramlab.population.Population.linearized" in t.runs
]
WRONG = [
    *((name, Population, "linearized", one_round_more) for name in BLOCKS),
    ("label-averaging", Population, "averaging_weights", lambda self, t: dict.fromkeys("abcde", 0)),
    ("label-averaging", BlockFit, "apply_filter", lambda self, values, mu, t: values),
    ("heldout-invariance", Population, "held_out", lambda self, k, t: np.eye(len(self.matrix))[k]),
    ("least-rounds", Population, "first_perfect_round", lambda self, kind, most: 1),
    ("least-rounds", Population, "minimum_rounds", lambda self: 0.5),
    ("population-accuracy", Condition, "perfect", lambda self, t: True),
    ("partial-labels", Condition, "partial_labels", property(lambda self: "right")),
    ("block-spectrum", ClassBlockModel, "eigenvalues", lambda self: ()),
    ("block-spectrum", ClassBlockModel, "gram", lambda self: np.eye(self.n_samples)),
    ("block-spectrum", ClassBlockModel, "_between", property(lambda self: 0.01)),
]


@pytest.mark.parametrize(("name", "owner", "attribute", "wrong"), WRONG)
def test_a_check_fails_where_the_public_code_is_wrong(name, owner, attribute, wrong, monkeypatch):
    theorem = registry[name]
    instances = [theorem.draw(np.random.default_rng(seed)) for seed in range(12)]
    before = [theorem.check(instance).holds for instance in instances]
    monkeypatch.setattr(owner, attribute, wrong)
    for instance in instances:  # what was made of the right code is forgotten
        vars(instance["block"]).pop("population", None)
    after = [theorem.check(instance).holds for instance in instances]
    assert sum(after) < sum(before)


def test_a_wrong_ridge_head_is_found(monkeypatch):
    theorem, rng = registry["ridge-filter"], np.random.default_rng(7)
    instances = [theorem.draw(rng) for _ in range(5)]
    assert all(theorem.check(instance).holds for instance in instances)
    monkeypatch.setattr(RidgeHead, "_softmax", True)  # K for 1 in its constant
    assert not any(theorem.check(instance).holds for instance in instances)


def test_a_wrong_filter_is_found_by_the_theorems_on_it(monkeypatch):
    for name in ("perturbation", "ridge-filter", "borup-limit"):
        module = importlib.import_module(f"gramlab.theorems.{name.replace('-', '_')}")
        monkeypatch.setattr(
            module, "filter_power", lambda s, mu, t=1: RIGHT["filter_power"](s, 2 * mu, t)
        )
        rng = np.random.default_rng(6)
        assert not all(registry[name].check(registry[name].draw(rng)).holds for _ in range(5))
