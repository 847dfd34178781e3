"""One walk over the registry: conclusions, tightness, dropped hypotheses, planted lies."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from gramlab.theorems import find, registry, run
from gramlab.theorems.catalogue import prove

names = pytest.mark.parametrize("name", sorted(registry))
DRAWS = 60


@names
@examples(25)
@given(seed=st.integers(0, 2**32 - 1))
def test_conclusion_follows_from_hypotheses(name, seed):
    theorem = registry[name]
    holds = theorem.check(theorem.draw(np.random.default_rng(seed))).holds
    assert holds or theorem.expected == "counterexample"


@names
def test_proof_reaches_the_expected_verdict(name):
    proof = prove(registry[name])
    assert proof.verdict == registry[name].expected, proof.evidence
    assert proof.evidence
    assert proof.scope


@names
def test_sharp_where_it_claims_to_be(name):
    theorem = registry[name]
    if theorem.tight_within is None:
        assert theorem.kind not in {"upper bound", "lower bound"}, "say how tight the bound is"
        return
    rng = np.random.default_rng(1)
    slack = min(abs(theorem.check(theorem.draw(rng)).slack) for _ in range(DRAWS))
    assert slack <= theorem.tight_within


@names
def test_dropping_a_needed_hypothesis_gives_a_counterexample(name):
    for hypothesis in registry[name].hypotheses:
        if hypothesis.without is not None:
            rng = np.random.default_rng(2)
            checks = [registry[name].check(hypothesis.without(rng)) for _ in range(5)]
            assert not all(check.holds for check in checks), hypothesis.name


@names
def test_only_the_dropped_hypothesis_fails_of_a_block_model(name):
    """Correlations keep their order unless the order is what is dropped."""
    theorem, rng = registry[name], np.random.default_rng(4)
    draws = [theorem.draw] + [h.without for h in theorem.hypotheses if h.name != "order"]
    for draw in filter(None, draws):
        for instance in (draw(rng) for _ in range(10)):
            if "block" in instance:
                block = instance["block"]
                assert 0 <= block.e <= block.d < block.c < 1
                assert block.mu > 0


def test_block_models_are_drawn_to_their_ends():
    theorem, rng = registry["label-averaging"], np.random.default_rng(5)
    drawn = [theorem.draw(rng) for _ in range(600)]
    blocks = [instance["block"] for instance in drawn]
    assert {2, 3, 20} <= {b.n_classes for b in blocks}
    assert {1, 8} <= {b.n for b in blocks}
    assert min(float(1 - b.c) for b in blocks) < 1e-6
    assert min(float(b.c - b.d) for b in blocks) < 1e-6
    assert min(float(b.mu) for b in blocks) < 1e-9
    assert max(float(b.mu) for b in blocks) > 1e9
    assert max(instance["t"] for instance in drawn) > 50
    assert max(len(i["block"].true) * i["t"] for i in drawn) <= 600  # and so is the time of each


@names
def test_planted_variants_are_refuted(name):
    theorem = registry[name]
    assert theorem.planted, "plant at least one false variant"
    for variant, check in theorem.planted.items():
        rng = np.random.default_rng(3)
        assert not all(check(theorem.draw(rng)).holds for _ in range(DRAWS)), variant


@names
def test_form(name):
    theorem = registry[name]
    assert theorem.name == name
    assert find(name) is theorem
    assert theorem.source.split()[0].rstrip(",;:") in {"P", "C", "D"} or "arXiv" in theorem.source
    assert theorem.hypotheses
    assert theorem.statement


def test_a_report_says_what_was_found():
    report = run(registry["duality-gap"], instances=20)
    assert report.ok
    assert report.as_dict()["check"] == {
        "instances": 20,
        "failures": 0,
        "tightest_slack": report.tightest_slack,
    }
