"""Label transition matrices: recovery, coverage, orientation; planted faults that are caught."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binom

from gramlab import cli
from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.features import Features
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import corrupt_labels, corruption_matrix
from gramlab.runner import Run, folds
from gramlab.targets import one_hot
from gramlab.transition import (
    clopper_pearson,
    estimate_transition,
    fit_mixture,
    given_to_true,
    intervals,
)
from gramlab.transition.mixture import scattered_noise
from gramlab.transition.rounds import NoiseRounds

# Rows and columns differ, no two classes alike: a transpose or a permutation cannot hide.
STRONG = np.array([[0.6, 0.4, 0.0], [0.0, 0.9, 0.1], [0.1, 0.25, 0.65]])
EPS = np.finfo(np.float64).eps
COUNTS = {"counts", "contamination", "prior", "unsupported"}


def separable(n: int, k: int, spread: float = 0.15, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Classes around orthogonal unit vectors, far apart against their spread."""
    labels = np.arange(n) % k
    noise = np.random.default_rng(seed).standard_normal((n, k + 2))
    return np.eye(k + 2)[labels] + spread * noise, labels


@pytest.fixture(scope="module")
def strong():
    x, true = separable(3000, 3)
    given = corrupt_labels(true, STRONG, seed=3)
    return x, given, estimate_transition(x, given.labels, seed=1, weight_decay=1e-3)


def test_separable_classes_give_the_counts_themselves(strong):
    """No row is of another class, so C is the table of counts, up to how sure the heads are."""
    _, given, found = strong
    realized = given.counts / given.counts.sum(axis=1, keepdims=True)
    # An estimate from p moves a row of C by at most twice the mass that p puts on other classes.
    # Summed by the small ones: of a row that is nearly sure, 1 less the largest is 0.
    others = np.sort(found.probabilities, axis=1)[:, :-1].sum()
    mass = 2.0 * others / given.counts.sum(axis=1).min()
    rounding = 2.0 * len(given.labels) * EPS  # of the sums over rows
    assert np.abs(found.matrix - realized).sum(axis=1).max() <= 2.0 * mass + rounding
    assert mass < 0.05
    assert inside(found, STRONG)
    assert abs(found.noise_rate.value - given.realized_rate) < mass + rounding
    assert found.noise_rate.low < 1 - np.trace(STRONG) / 3 < found.noise_rate.high
    assert np.abs(found.prior - 1 / 3).max() < mass
    assert not found.unsupported.any()


def test_rows_sum_to_one_and_points_lie_in_their_intervals(strong):
    found = strong[2]
    assert np.abs(found.matrix.sum(axis=1) - 1).max() <= 3 * 4 * np.finfo(float).eps
    assert abs(found.prior.sum() - 1) <= 3 * EPS
    assert (found.lower <= found.matrix).all()
    assert (found.matrix <= found.upper).all()
    assert (found.lower >= 0).all()
    assert (found.upper <= 1).all()
    assert json.loads(json.dumps(found.as_dict()))["counts"] == found.counts.tolist()


def inside(found, truth: np.ndarray) -> bool:
    slack = 4 * EPS  # an entry that is 0 or 1 may lie on the end of its interval
    return bool(((found.lower <= truth + slack) & (truth - slack <= found.upper)).all())


def test_orientation_is_true_by_given(strong):
    found = strong[2]
    assert inside(found, STRONG)
    assert not inside(found, STRONG.T), "a transposed matrix would have passed"


def test_conversions_agree_with_cleanlab(strong):
    count = pytest.importorskip("cleanlab.count", reason="cleanlab is not installed")
    util = pytest.importorskip("cleanlab.internal.latent_algebra")
    given, found = strong[1], strong[2]
    noise = found.to_cleanlab()
    assert np.abs(noise.sum(axis=0) - 1).max() <= 4 * EPS
    by_given = util.compute_ps_py_inv_noise_matrix(given.labels, noise)
    assert by_given[0].shape == (3,)
    inverse = util.compute_inv_noise_matrix(found.prior, noise)
    assert np.abs(inverse - found.given_to_true().T).max() <= 8 * EPS
    # Its own estimate, from the same predictions in its own convention, is the same matrix.
    p = one_hot(given.true_labels, 3) * 0.94 + 0.02
    theirs = count.estimate_py_and_noise_matrices_from_probabilities(
        given.labels, p @ found.matrix
    )[1]
    assert np.abs(theirs - noise).max() < np.abs(theirs - noise.T).max() / 3


def test_given_to_true_is_bayes_rule():
    joint = np.array([[0.3, 0.1, 0.0], [0.0, 0.4, 0.0], [0.1, 0.1, 0.0]])
    prior = joint.sum(axis=1)
    found = given_to_true(joint / prior[:, None], prior)
    by_given = (joint / np.where(joint.sum(0) > 0, joint.sum(0), 1)).T
    assert np.abs(found[:2] - by_given[:2]).max() <= 8 * EPS
    assert np.abs(found[2] - prior).max() <= 4 * EPS, "a label never given leaves the prior"
    for matrix, shares in (
        (np.eye(3), [0.5, 0.5]),
        (np.full((2, 2), np.nan), [0.5, 0.5]),
        (np.eye(2), [0.0, 0.0]),
    ):
        with pytest.raises(InvalidSetting):
            given_to_true(matrix, shares)


def test_clopper_pearson_limits():
    low, high = clopper_pearson([0, 5, 10, 0], [10, 10, 10, 0], 0.95)
    assert low[0] == low[3] == 0.0
    assert high[2] == high[3] == 1.0
    rounding = 10 * 8 * EPS  # ten trials: the tails are sums of so many terms, of size below one
    assert abs(high[0] - (1 - 0.025 ** (1 / 10))) <= rounding
    # The definition: at the limit, the tail has half of what is left of the level.
    assert abs(binom.sf(4, 10, low[1]) - 0.025) <= rounding
    assert abs(binom.cdf(5, 10, high[1]) - 0.025) <= rounding


LEVEL, FALSE_ALARM = 0.8, 1e-4


def uncovered(limits) -> tuple[int, int]:
    """Diagonal entries tried and missed by ``limits(logits, given, seed)`` over many small draws.

    The level is 80 %, so that a few hundred draws tell a wrong one from a right one.
    """
    truth = np.array([[0.7, 0.3], [0.4, 0.6]])
    true = np.arange(120) % 2
    logits = 30.0 * np.eye(2)[true]  # heads that are right and sure
    missed = tried = 0
    for seed in range(200):
        given = corrupt_labels(true, truth, seed=seed).labels
        low, high = limits(logits, given)
        missed += int(((np.diag(truth) < low) | (np.diag(truth) > high)).sum())
        tried += 2
    return tried, missed


def refused(tried: int, missed: int) -> bool:
    """Whether so many misses have a chance below FALSE_ALARM at the nominal level."""
    return bool(binom.sf(missed - 1, tried, 1 - LEVEL) < FALSE_ALARM)


def test_coverage_holds_and_shrunken_intervals_are_caught():
    def honest(logits, given, shrink=1.0):
        mixture = fit_mixture(logits, given)
        found = intervals(mixture.probabilities, given, mixture.matrix, LEVEL)
        low, high = np.diag(found.lower), np.diag(found.upper)
        middle, half = (low + high) / 2, (high - low) / 2
        return middle - shrink * half, middle + shrink * half

    assert not refused(*uncovered(honest))
    assert refused(*uncovered(lambda z, g: honest(z, g, shrink=0.5)))


def test_coverage_of_the_whole_estimate_and_own_labels_are_caught():
    """From features to intervals; a head that saw the rows' own labels is biased to no noise."""
    truth = np.array([[0.75, 0.25], [0.35, 0.65]])
    d, n = 60, 120
    missed = [0, 0]
    draws = 12

    def misses(limits) -> int:
        right = np.diag(truth)
        return int(((right < np.diag(limits.lower)) | (right > np.diag(limits.upper))).sum())

    for seed in range(draws):
        rng = np.random.default_rng(seed)
        true = np.arange(n) % 2
        x = rng.standard_normal((n, d)) / np.sqrt(d)
        x[:, 0] += np.where(true == 0, 1.5, -1.5)
        given = corrupt_labels(true, truth, seed=seed).labels
        found = estimate_transition(
            x, given, weight_decay=3e-3, rounds=2, folds=3, confidence=LEVEL, seed=seed
        )
        missed[0] += misses(found)
        # The fault: weights fitted to all rows, then read on the same rows.
        fit = SoftmaxHead(1e-5, tolerance=1e-6).fit(
            Features(x, given, n_classes=2), one_hot(given, 2)
        )
        logits = x @ np.asarray(fit.weights)
        mixture = fit_mixture(logits, given)
        own = intervals(mixture.probabilities, given, mixture.matrix, LEVEL)
        missed[1] += misses(own)
    assert not refused(2 * draws, missed[0])
    assert refused(2 * draws, missed[1])


def test_contamination_widens_the_interval_and_is_solved_for():
    """A share e of the rows predicted 0 is of class 1: q = (1 - e) C_00 + e C_10, exactly."""
    truth = np.array([[0.9, 0.1], [0.3, 0.7]])
    n, e = 4000, 0.1
    logit = np.log((1 - e) / e)
    logits = np.zeros((2 * n, 2))
    logits[:n, 0] = logit
    logits[n:, 1] = logit
    share = (1 - e) * truth[0, 0] + e * truth[1, 0]
    other = (1 - e) * truth[1, 1] + e * truth[0, 1]
    given = np.r_[
        (np.arange(n) >= round(share * n)).astype(int),
        (np.arange(n) < round(other * n)).astype(int),
    ]
    found = intervals(softmax(logits, axis=1), given, truth, 0.95)
    naive = clopper_pearson(round(share * n), n, 0.95)
    assert naive[1] < truth[0, 0] < found.upper[0, 0]
    assert abs(found.lower[0, 0] - naive[0]) <= 8 * EPS  # nobody else among them: as counted
    mixture = fit_mixture(logits, given, sharpness=1.0)
    assert np.abs(mixture.matrix - truth).max() < 2e-3


def test_classes_without_sure_rows_are_flagged_and_wide():
    x, true = separable(300, 3)
    given = corrupt_labels(true, STRONG, seed=0).labels
    found = estimate_transition(x, given, n_classes=5, weight_decay=1e-3)
    assert found.unsupported.tolist() == [False, False, False, True, True]
    assert (found.lower[3:] == 0).all()
    assert (found.upper[3:] == 1).all()
    assert found.counts[3:].tolist() == [0, 0]
    assert np.abs(found.matrix.sum(axis=1) - 1).max() <= 5 * EPS


def test_classes_that_may_have_traded_names_are_named(strong):
    """Ties are open where another label is nearly as frequent and the interval reaches over it."""

    def of(share: float, half: float):
        matrix = np.array([[1 - share, share, 0.0], [share, 1 - share, 0.0], [0.05, 0.05, 0.9]])
        limits = {"lower": np.clip(matrix - half, 0, 1), "upper": np.clip(matrix + half, 0, 1)}
        none = np.zeros(3, dtype=bool)
        return replace(strong[2], matrix=matrix, unsupported=none, **limits)

    assert of(0.48, 0.05).tied == [(0, 1), (1, 0)]
    assert of(0.5, 0.0).tied == [(0, 1), (1, 0)]
    assert of(0.48, 0.01).tied == []  # the interval excludes it
    assert of(0.3, 0.45).tied == []  # the interval is wide because it says little
    assert of(0.52, 0.0).tied == [(0, 1), (1, 0)]  # traded for sure
    silent = replace(of(0.48, 0.05), unsupported=np.array([True, False, False]))
    assert silent.tied == [(1, 0)]
    assert of(0.48, 0.05).as_dict()["tied"] == [[0, 1], [1, 0]]
    assert strong[2].tied == []  # class 0 gives 0.4 against 0.6, and 3000 rows tell them apart


def test_frequent_errors_and_the_comparison_with_a_truth(strong):
    _, given, found = strong
    assert found.frequent_errors(2) == [(0, 1), (2, 1)]
    assert len(found.frequent_errors(100)) == int((found.matrix > 0).sum()) - 3
    silent = replace(found, unsupported=np.array([True, False, False]))
    assert silent.frequent_errors(1) == [(2, 1)]
    compared = found.compared_with(STRONG, given.counts)
    off = np.abs(found.matrix - STRONG)
    assert compared["row_l1_error"] == pytest.approx(off.sum() / 3, rel=9 * EPS)
    assert compared["realized_noise_rate"] == pytest.approx(given.realized_rate, abs=4 * EPS)
    assert compared["coverage"] == compared["coverage_diagonal"] == 1.0
    assert compared["noise_rate_covered"]
    transposed = found.compared_with(STRONG.T, given.counts.T)
    assert transposed["coverage"] < 1.0, "a transposed truth would have passed"


def test_renaming_classes_renames_the_estimate(strong):
    x, given, found = strong
    order = np.array([2, 0, 1])  # class k becomes order[k]
    # The folds are dealt by label, so that the same folds need the labels' own order.
    renamed = estimate_transition(x, order[given.labels], seed=1, weight_decay=1e-3)
    back = renamed.matrix[np.ix_(order, order)]
    assert np.abs(back - found.matrix).max() < 0.02
    assert np.abs(renamed.matrix - found.matrix).max() > 0.2
    mixture = fit_mixture(30.0 * np.eye(3)[given.true_labels], given.labels)
    z = 30.0 * np.eye(3)[order[given.true_labels]]
    other = fit_mixture(z, order[given.labels])
    assert (
        np.abs(other.matrix[np.ix_(order, order)] - mixture.matrix).max() <= 3000 * EPS
    )  # sums over the rows, in another order


def test_labels_of_the_features_are_not_used(strong):
    x, given, found = strong
    told = Features(x, given.true_labels)
    again = estimate_transition(told, given.labels, seed=1, weight_decay=1e-3)
    assert np.array_equal(again.matrix, found.matrix)
    assert np.array_equal(again.lower, found.lower)


def test_rounds_begin_anew_at_the_next_candidate_where_none_has_gained():
    x, true = separable(600, 3, spread=0.35)
    given = corrupt_labels(true, corruption_matrix("symmetric", 3, 0.4), seed=0).labels
    rounds = NoiseRounds(Run(x, 3, folds(given, 3, 0), given), given, 1e-6)
    gains = rounds.teachers(1e-2)
    assert rounds.best_round([gains], 4).round > 1
    # Nothing is likelier than what is said of these heads, so that no round can gain on them.
    stuck = gains._replace(mixture=gains.mixture._replace(log_likelihood=0.0))
    assert rounds.best_round([stuck, gains], 4) is stuck
    behind = rounds.teachers(10.0)  # heads that tell nothing, and whose rounds do not gain
    alone = rounds.best_round([behind], 4)
    assert alone.round == 1
    found = rounds.best_round([behind, gains], 4)
    assert found.round > 1
    assert found.mixture.log_likelihood > alone.mixture.log_likelihood
    assert found.weight_decay == gains.weight_decay


def test_strong_pair_flip_does_not_end_in_no_noise():
    """Calibrated heads explain any labels without noise; the second start finds what is better."""
    x, true = separable(1500, 3, spread=0.35)
    truth = corruption_matrix("pair-flip", 3, 0.4)
    given = corrupt_labels(true, truth, seed=5).labels
    found = estimate_transition(x, given)
    assert 0.35 < found.noise_rate.value < 0.45
    assert np.abs(found.matrix - truth).sum(axis=1).mean() < 0.15


# ---- The mixture ------------------------------------------------------------------------------


def few_rows(kind: str, rate: float, k: int = 40, each: int = 15) -> tuple[np.ndarray, ...]:
    """Logits of heads that are sure and mostly right, given labels, C and the table of counts."""
    rng = np.random.default_rng(0)
    true = np.arange(k * each) % k
    given = corrupt_labels(true, corruption_matrix(kind, k, rate), seed=1)
    logits = rng.standard_normal((len(true), k)) + 8.0 * np.eye(k)[true]
    table = given.counts / given.counts.sum(axis=1, keepdims=True)
    return logits, given.labels, given.matrix, table


def row_l1(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).sum(axis=1).mean())


def test_scattered_noise_maximizes_its_likelihood():
    rng = np.random.default_rng(0)
    k, n, share = 4, 4000, 0.3
    label = np.sort(rng.choice(k, n, p=[0.1, 0.2, 0.3, 0.4]))
    own = np.where(rng.uniform(size=n) < 0.7, 0.95, 0.02)
    counts = np.bincount(label, minlength=k)
    found = scattered_noise(own, counts)
    assert np.abs(found.sum(axis=1) - 1.0).max() <= k * EPS
    weights = found[[1, 0, 0, 0], range(k)]  # off the diagonal: share of each label
    share = float(weights.sum())
    assert np.abs(np.diag(found) - (1.0 - share + weights)).max() <= 4 * EPS

    def likelihood(epsilon: float, w: np.ndarray) -> float:
        prior = np.log(w).sum() / k  # one label drawn anew in all is added, spread over the labels
        return float(np.log((1.0 - epsilon) * own + epsilon * w[label]).sum() + prior)

    best = likelihood(share, weights / share)
    for factor in (0.9, 1.1):
        assert likelihood(factor * share, weights / share) < best
        for j in range(k):
            other = weights.copy()
            other[j] *= factor
            assert likelihood(share, other / other.sum()) < best


@pytest.mark.parametrize("shrinkage", [0.5, 5.0, 500.0])
def test_a_row_of_c_is_what_was_expected_and_what_it_is_shrunk_to(shrinkage):
    """EM ends where C is a fixed point; the maximum is unique, the objective being concave."""
    logits, given, _, _ = few_rows("symmetric", 0.4, k=5, each=40)
    found = fit_mixture(logits, given, sharpness=1.0, shrinkage=shrinkage)
    p = softmax(logits, axis=1)

    def objective(matrix: np.ndarray, base: np.ndarray) -> float:
        value = np.log((p * matrix[:, given].T).sum(axis=1)).sum()
        return float(value + shrinkage * (base * np.log(matrix)).sum())

    order = np.argsort(given, kind="stable")
    base = scattered_noise(p[order, given[order]], np.bincount(given, minlength=5))
    best = objective(found.matrix, base)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = rng.dirichlet(np.ones(5), size=5)
        assert objective(0.9 * found.matrix + 0.1 * other, base) < best
        assert objective(0.99 * found.matrix + 0.01 * other, base) < best
    # The fault: what belongs to another strength is not the maximum of this one.
    for other in (0.01 * shrinkage, 100.0 * shrinkage):
        fault = fit_mixture(logits, given, sharpness=1.0, shrinkage=other).matrix
        assert objective(fault, base) < best


def test_many_classes_and_few_rows_are_shrunk_below_the_error_of_counting():
    logits, given, truth, table = few_rows("symmetric", 0.6)
    found = fit_mixture(logits, given)
    assert found.shrinkage > 15  # more than the rows of a class
    assert row_l1(found.matrix, truth) < 0.3 * row_l1(table, truth)
    assert found.matrix.min() > 0.0
    # The fault: without shrinkage C is the table of counts with its zeros, and it predicts labels
    # that it was not fitted to much worse.
    fault = fit_mixture(logits, given, shrinkage=0.0)
    assert row_l1(fault.matrix, truth) > 0.9 * row_l1(table, truth)
    assert fault.log_likelihood < found.log_likelihood - 0.2


def test_noise_that_is_not_scattered_is_not_shrunk_away():
    logits, given, truth, table = few_rows("pair-flip", 0.4, each=60)
    found = fit_mixture(logits, given)
    assert found.shrinkage < 6  # a tenth of the rows of a class
    assert row_l1(found.matrix, truth) < 1.5 * row_l1(table, truth)
    fault = fit_mixture(logits, given, shrinkage=6000.0)
    assert row_l1(fault.matrix, truth) > 3.0 * row_l1(found.matrix, truth)
    assert fault.log_likelihood < found.log_likelihood


def test_a_search_that_begins_where_one_ended_ends_there():
    logits, given, _, _ = few_rows("symmetric", 0.3, k=8, each=30)
    found = fit_mixture(logits, given)
    again = fit_mixture(logits, given, found)
    assert (again.sharpness, again.shrinkage) == (found.sharpness, found.shrinkage)
    assert np.array_equal(again.probabilities, found.probabilities)


# ---- Bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"folds": 1}, InvalidSetting),
        ({"folds": 31}, InvalidSetting),
        ({"rounds": 0}, InvalidSetting),
        ({"confidence": 1.0}, InvalidSetting),
        ({"confidence": 0.0}, InvalidSetting),
        ({"allowance": 0.5}, InvalidSetting),
        ({"weight_decay": 0.0}, InvalidSetting),
        ({"seed": -1}, InvalidSetting),
        ({"n_classes": 2}, InvalidLabels),
        ({"given_labels": [0] * 30}, InvalidLabels),
        ({"given_labels": [0, 1] * 4}, InvalidLabels),
        ({"features": np.full((30, 5), np.nan)}, InvalidFeatures),
    ],
)
def test_bad_input_is_refused_in_one_line(change, error):
    x, true = separable(30, 3)
    with pytest.raises(error) as caught:
        estimate_transition(**{"features": x, "given_labels": true, **change})
    assert "\n" not in str(caught.value)


KEYS = {"command", "source", "settings", "n_samples", "class_names", "estimate", "trial"}
KEYS |= {"copies", "groups"}


def test_command_line_trial(capsys, tmp_path):
    arguments = ["transition", "digits", "--rate", "0.3", "--weight-decay", "1e-3"]
    arguments += ["--rounds", "2", "--folds", "3"]
    files = [tmp_path / name for name in ("a.json", "b.json")]
    assert cli.main([*arguments, "--json", str(files[0]), "--out", str(tmp_path / "out")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "of the labels are wrong (95 % interval" in shown
    assert "Most frequent wrong labels" in shown
    assert "the true noise rate is 30.0 %" in shown
    assert (tmp_path / "out" / "transition.png").read_bytes()[:4] == b"\x89PNG"
    assert cli.main([*arguments, "--json", str(files[1]), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert files[0].read_bytes() == files[1].read_bytes()
    assert (tmp_path / "out" / "results.json").read_bytes() == files[0].read_bytes()
    found = json.loads(files[0].read_text())
    assert set(found) == KEYS
    assert {"matrix", "lower", "upper", "noise_rate", "orientation"} | COUNTS <= set(
        found["estimate"]
    )
    assert found["trial"]["coverage"] > 0.9


def test_command_line_trial_with_a_matrix_from_a_file(capsys, tmp_path):
    x, true = separable(30, 3)
    np.savez(tmp_path / "x.npz", train_features=x, train_labels=true)
    np.savetxt(tmp_path / "c.csv", corruption_matrix("symmetric", 3, 0.3), delimiter=",")
    words = ["transition", str(tmp_path / "x.npz"), "--weight-decay", "1e-2", "--folds", "2"]
    results = []
    for noise in (["--rate", "0.3"], ["--noise-matrix", str(tmp_path / "c.csv")]):
        assert cli.main([*words, *noise, "--json", "-"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    named, own = (result.pop("settings") for result in results)
    assert results[0] == results[1]
    assert own.pop("noise_matrix") == corruption_matrix("symmetric", 3, 0.3).tolist()
    assert own.pop("rate") == pytest.approx(named.pop("rate"), rel=1e-15)
    assert (named.pop("noise"), own.pop("noise")) == ("symmetric", "matrix")
    assert own == named


def test_command_line_takes_labels_as_given(capsys):
    assert (
        cli.main(["transition", "digits", "--weight-decay", "1e-3", "--folds", "3", "--json", "-"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found["trial"] is None
    assert found["estimate"]["noise_rate"]["value"] < 0.05


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "1"], ["--confidence", "2"], ["--allowance", "0.1"], ["--folds", "1"]],
)
def test_command_line_refuses(arguments, capsys):
    assert cli.main(["transition", "digits", *arguments]) == 2
    assert capsys.readouterr().err.startswith("gramlab: error: ")


def test_a_label_that_no_class_could_have_been_given_leaves_its_rows_to_the_head():
    """EM drives entries of C to 0; the posterior of such a row would be 0/0."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    x = 3.0 * np.eye(3)[labels] + 0.1 * rng.standard_normal((90, 3))
    rounds = NoiseRounds(Run(x, 3, folds(labels, 3, 0), labels), labels, 1e-8)
    first = rounds.teachers(1e-2)
    never_two = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    impossible = first._replace(mixture=first.mixture._replace(matrix=never_two, sharpness=8.0))
    found = rounds.students(impossible)
    assert all(np.isfinite(weights).all() for weights in found.weights)
    assert (found.logits.argmax(axis=1) == labels).all()
