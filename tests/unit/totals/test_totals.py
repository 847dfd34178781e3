"""Schedules with one total weight decay: what is paired, and what is certified of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import problem

import gramlab
from gramlab.comparison import certify_predictions
from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.totals import compare_totals


def rounds(head, decays, features, targets, **options):
    return distill([head(decay) for decay in decays], features, targets, len(decays), **options)


def rough(decay):
    return SoftmaxHead(decay, tolerance=1e-7)


def test_rounds_are_paired_by_what_they_have_spent():
    features, targets = problem(24, 5, 3, seed=1)
    first = rounds(LinearizedHead, [0.1] * 6, features, targets)
    second = rounds(LinearizedHead, [0.2, 0.1, 0.3, 0.7], features, targets)
    found = compare_totals(first, second)
    # 0.1 + 0.1 + 0.1 and 0.2 + 0.1 differ in the last bit.
    assert [one.rounds for one in found] == [(2, 1), (3, 2), (6, 3)]
    assert [one.total_weight_decay for one in found] == pytest.approx([0.2, 0.3, 0.6])
    for one in found:
        a, b = (run[t - 1] for run, t in zip((first, second), one.rounds, strict=True))
        assert one.max_abs == np.abs(a.deviations - b.deviations).max() > 0
        assert one.frobenius == np.linalg.norm(a.deviations - b.deviations)
        assert one.argmax_agreement == one.certified_agreement == (a.labels == b.labels).mean()


def test_classes_are_certified_through_both_chains():
    features, _ = problem(40, 6, 3, seed=1)
    targets = np.eye(3)[np.random.default_rng(1).integers(0, 3, 40)]
    even, uneven = (rounds(rough, d, features, targets) for d in ([2e-3] * 3, [1e-3, 5e-3]))
    (found,) = compare_totals(even, uneven)
    assert found.rounds == (3, 2)
    decided = np.ones(40, dtype=bool)
    for run in (even, uneven):
        decided &= certify_predictions(run[-1], features, None, run.chain[-1])[1]
    same = even[-1].labels == uneven[-1].labels
    assert found.certified_agreement == (decided & same).mean()
    assert found.certified_disagreement == (decided & ~same).mean()
    assert 0 < found.certified_agreement < found.argmax_agreement  # planted: undecided rows left in
    # What is certified is true of heads that are exact to many digits.
    sharp = [
        rounds(lambda decay: SoftmaxHead(decay, tolerance=1e-20), d, features, targets)
        for d in ([2e-3] * 3, [1e-3, 5e-3])
    ]
    true = sharp[0][-1].labels == sharp[1][-1].labels
    assert np.array_equal(true[decided], same[decided])


def test_without_a_chain_nothing_is_certified():
    features, targets = problem(24, 5, 3, seed=1)
    warm = rounds(rough, [0.1, 0.2], features, targets, temperature=2.0)
    plain = rounds(rough, [0.3], features, targets)
    (found,) = gramlab.compare_totals(warm, plain)
    assert found.certified_agreement is None
    assert found.certified_disagreement is None
    assert found.max_abs > 0


def test_what_is_refused():
    features, targets = problem(12, 4, 3, seed=1)
    other, _ = problem(12, 4, 3, seed=2)
    one = rounds(LinearizedHead, [0.1, 0.1], features, targets)

    def refuse(second, match):
        with pytest.raises(InvalidSetting, match=match):
            compare_totals(one, second)

    refuse(rounds(LinearizedHead, [0.3, 0.1], features, targets), r"0\.1 to 0\.2 and 0\.3 to 0\.4")
    refuse(rounds(LinearizedHead, [0.2], other, targets), "same features")
    refuse(distill(LinearizedHead(0.1), [features, other], targets, 2), "same features")
    refuse(rounds(LinearizedHead, [0.2], features, targets[::-1]), "same first targets")
    weighed = LinearizedHead(0.2, sample_weight=np.arange(1, 13))
    refuse(distill(weighed, features, targets, 1), "one weight for each row")
