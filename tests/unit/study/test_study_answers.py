"""Answers pair seeds, separate only what an interval separates, and find thresholds that exist."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from study_rows import rounds, row

from gramlab import errors
from gramlab.numerics.content import to_json
from gramlab.study.answers import (
    answers_markdown,
    best_round,
    differences,
    paired_difference,
    study_answers,
    thresholds,
    trends,
)
from gramlab.study.rows import TEACHER, Column, groups

SECOND = Column("distill", 2)
shares = st.floats(0.0, 1.0, width=32)


def second_minus_teacher(rows, **options):
    (group,) = groups(rows)
    return paired_difference(group, 0.5, SECOND, TEACHER, **options)


@given(st.lists(st.tuples(shares, shares), min_size=2, max_size=6), st.sampled_from([0.9, 0.95]))
def test_interval_and_verdict_are_those_of_the_paired_t_test(pairs, confidence):
    found = second_minus_teacher(
        rounds({seed: list(pair) for seed, pair in enumerate(pairs)}), confidence=confidence
    )
    first, second = np.array(pairs).T
    gaps = second - first
    if np.ptp(gaps) <= 1e-9 * (1 + np.abs(gaps).max()):
        return  # the t-test divides 0 by 0, or rounding by rounding
    oracle = ttest_rel(second, first).confidence_interval(confidence)
    rounding = 1e-13 * (1.0 + abs(oracle.low) + abs(oracle.high))
    assert abs(found.low - oracle.low) <= rounding
    assert abs(found.high - oracle.high) <= rounding
    assert (found.verdict == "higher") == (found.low > 0)
    assert (found.verdict == "lower") == (found.high < 0)


def test_seeds_are_paired_and_not_merely_averaged():
    """Seeds differ by far more than the methods do; only pairing sees the gain."""
    by_seed = {0: [0.50, 0.52], 1: [0.70, 0.721], 2: [0.90, 0.919]}
    assert second_minus_teacher(rounds(by_seed)).verdict == "higher"
    # Planted: the same numbers with the second round's seeds mixed up.
    mixed = {0: [0.50, 0.919], 1: [0.70, 0.52], 2: [0.90, 0.721]}
    assert second_minus_teacher(rounds(mixed)).verdict == "not separated"
    assert second_minus_teacher(rounds(mixed)).mean == pytest.approx(0.02, abs=1e-15)
    # The order of rows is nothing.
    shuffled = list(reversed(rounds(by_seed)))
    assert second_minus_teacher(shuffled) == second_minus_teacher(rounds(by_seed))


def test_the_sign_is_first_minus_second():
    found = second_minus_teacher(rounds({0: [0.8, 0.7], 1: [0.8, 0.701]}))
    assert found.verdict == "lower"
    assert found.mean < 0
    assert found.high < 0
    assert (found.first, found.second) == ("round 2", "round 1 (teacher)")


def test_seeds_that_only_one_has_do_not_count_and_are_named():
    rows = rounds({0: [0.7, 0.8], 1: [0.7, 0.81]}) + rounds({5: [0.1]})
    found = second_minus_teacher(rows)
    assert found.seeds == (0, 1)
    assert found.unpaired == (5,)
    assert found.verdict == "higher"
    assert "1 unpaired" in answers_markdown(rows)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_without_noise_all_seeds_are_one_draw(rate):
    """Three equal differences are evidence where labels were drawn three times, and only there."""
    made = rounds({seed: [0.5, 0.6] for seed in range(3)}, rate=rate)
    verdicts = {found.verdict for found in differences(made)}
    assert verdicts == ({"not separated"} if rate == 0.0 else {"higher"})


def test_one_seed_separates_nothing():
    found = second_minus_teacher(rounds({0: [0.1, 0.9]}))
    assert found.low is found.high is None
    assert found.verdict == "not separated"
    assert second_minus_teacher(rounds({0: [0.1]})) is None
    with pytest.raises(errors.InvalidSetting, match="confidence"):
        second_minus_teacher(rounds({0: [0.1, 0.9]}), confidence=95)


def three(values, jitter=0.001):
    """Three seeds around given test accuracies by round."""
    return {
        s: [v + jitter * ((s * (t + 2)) % 3 - 1) for t, v in enumerate(values)] for s in range(3)
    }


@pytest.mark.parametrize(
    ("values", "shape", "best"),
    [
        ([0.5, 0.6, 0.7], "rises", 3),
        ([0.7, 0.6, 0.5], "falls", 1),
        ([0.5, 0.7, 0.6], "rises, then falls", 2),
        ([0.6, 0.5, 0.7], "falls, then rises", 3),
        ([0.5, 0.7, 0.6, 0.8], "turns more than once", 4),
        ([0.5, 0.5, 0.5], "not separated", 1),
        ([0.5, 0.7, 0.7, 0.9], "rises", 4),
    ],
)
def test_trends_name_the_shape_of_separated_steps(values, shape, best):
    jitter = 0.0 if len(set(values)) == 1 else 0.001
    (trend,) = trends(rounds(three(values, jitter)))
    assert (trend.shape, trend.best_round) == (shape, best)
    assert [step.first for step in trend.steps] == [f"round {t}" for t in range(2, len(values) + 1)]
    # Planted: rounds in the opposite order do not give the same shape, unless it is symmetric.
    (back,) = trends(rounds(three(values[::-1], jitter)))
    mirrored = {"rises": "falls", "falls": "rises"}
    assert back.shape == mirrored.get(shape, shape)


def test_students_are_compared_with_the_last_and_the_best_round():
    rows = rounds(three([0.5, 0.8, 0.6]))
    for method, value in (("top2-ce", 0.7), ("top2-gce", 0.9)):
        rows += [row(method, seed, value + 0.001 * seed) for seed in range(3)]
    verdicts = {(d.first, d.second): d.verdict for d in differences(rows)}
    assert verdicts["PLL (CE)", "round 1 (teacher)"] == "higher"
    assert verdicts["PLL (CE)", "round 3"] == "higher"
    assert verdicts["PLL (CE)", "best round (2)"] == "lower"
    assert verdicts["PLL (GCE)", "best round (2)"] == "higher"
    assert verdicts["round 2", "round 1 (teacher)"] == "higher"
    assert best_round(groups(rows)[0], 0.5) == SECOND


def test_tuned_heads_meet_rounds_and_students():
    rows = rounds(three([0.5, 0.6]))
    rows += [row("top2-gce", seed, 0.7 + 0.001 * seed) for seed in range(3)]
    tuned = {"round": 1, "weight_decay_name": "tuned"}
    for how, value in (("clean validation", 0.8), ("noisy validation", 0.65)):
        rows += [
            row("tuned", seed, value + 0.002 * seed, selected_on=how, **tuned) for seed in range(3)
        ]
    verdicts = {(d.first, d.second): d.verdict for d in differences(rows)}
    assert verdicts["tuned: clean validation", "PLL (GCE)"] == "higher"
    assert verdicts["tuned: noisy validation", "PLL (GCE)"] == "lower"
    assert verdicts["tuned: noisy validation", "round 2"] == "higher"


def test_ablation_and_published_runs_have_their_baselines():
    rows = rounds(three([0.5]))
    parts = {"targets": "top2", "loss": "gce", "start": "teacher"}
    rows += [row("ablation", s, 0.5, targets="given", loss="ce", start="zero") for s in range(2)]
    rows += [row("ablation", s, 0.6 + 0.001 * s, **parts) for s in range(2)]
    rows += [
        row("published", s, 0.9 + 0.001 * s, stopping="last", loss="ce", round=1) for s in range(3)
    ]
    verdicts = {(d.first, d.second): d.verdict for d in differences(rows)}
    assert verdicts["ablation: top2, gce, teacher", "ablation: given, ce, zero"] == "higher"
    assert verdicts["SGD last, round 1", "round 1 (teacher)"] == "higher"


def by_rate(pll):
    """Rates .2, .5, .8 with teachers at 0.9, 0.7, 0.5; ``pll`` is the gain over the last round."""
    rows = []
    for (rate, teacher), gain in zip({0.2: 0.9, 0.5: 0.7, 0.8: 0.5}.items(), pll, strict=True):
        rows += rounds(three([teacher, teacher + 0.05]), rate=rate, top_two_coverage=teacher + 0.08)
        rows += [row("top2-ce", s, teacher + 0.05 + gain + 0.003 * s, rate=rate) for s in range(3)]
    return rows


def test_the_least_teacher_is_found_where_there_is_one():
    found = {(t.against, t.quantity): t for t in thresholds(by_rate([0.02, 0.03, -0.2]))}
    threshold = found["last round", "test_accuracy"]
    assert threshold.least == pytest.approx(0.7, abs=1e-3)
    assert threshold.greatest_without == pytest.approx(0.5, abs=1e-3)
    assert threshold.separates
    assert (threshold.higher, threshold.lower, threshold.not_separated) == (2, 1, 0)
    coverage = found["best round", "top_two_coverage"]
    assert coverage.least == pytest.approx(0.78, abs=1e-15)


def test_a_threshold_that_does_not_separate_says_so():
    found = {(t.against, t.quantity): t for t in thresholds(by_rate([-0.2, 0.03, -0.2]))}
    assert not found["last round", "test_accuracy"].separates
    found = {(t.against, t.quantity): t for t in thresholds(by_rate([-0.2, -0.2, -0.2]))}
    threshold = found["last round", "test_accuracy"]
    assert threshold.least is None
    assert not threshold.separates


def test_each_noise_has_a_threshold_of_its_own():
    """Pooled, the symmetric win at a weak teacher would pass for one under asymmetric noise."""
    weak = by_rate([-0.2, -0.2, 0.02])
    strong = [one | {"noise": "asymmetric"} for one in by_rate([0.02, -0.2, -0.2])]
    found = {
        t.noise: t
        for t in thresholds([*weak, *strong])
        if (t.against, t.quantity) == ("last round", "test_accuracy")
    }
    assert found["symmetric"].least == pytest.approx(0.5, abs=1e-3)
    assert found["asymmetric"].least == pytest.approx(0.9, abs=1e-3)


def test_answers_are_plain_data_and_markdown():
    rows = by_rate([0.02, 0.03, -0.2])
    answers = study_answers(rows)
    assert json.loads(to_json(answers))["differences"][0]["features"] == "toy"
    assert set(answers) == {"confidence", "differences", "trends", "thresholds"}
    assert len(answers["differences"]) == len(differences(rows))
    text = answers_markdown(rows)
    tables = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    rivals = {(t["noise"], t["student"], t["against"]) for t in answers["thresholds"]}
    assert tables == [7] * 11 + [5] * 5 + [8] * (2 + len(rivals))
    assert "| last round | 70.0 %, 50.0 % | 78.0 %, 58.0 % | 2 / 1 / 0 |" in text
    assert "toy, raw, symmetric noise, base weight decay" in text
