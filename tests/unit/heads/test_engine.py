"""The engine: what leaves the optimum as it is, on every carrier of rows, to the last digits.

The tolerance is the certificates' own: two fits of one optimum differ by no more than the sum of
their bounds. Every identity has its planted wrong: the same change, done to one part alone.
"""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab import testing
from gramlab.errors import NotConvergedWarning
from gramlab.heads import carriers
from gramlab.heads.closed_form import RidgeHead
from gramlab.heads.loss import CrossEntropy, GeneralizedCrossEntropy
from gramlab.heads.referee import SoftmaxObjective, softmax_deviations
from gramlab.machine import device
from gramlab.targets import relative_weights

N, D, K = 45, 6, 3
TIGHT = 1e-18


@dataclass(frozen=True)
class Problem:
    """Rows (n, d), targets (n, K), λ, and weights of rows (n,) if there are any."""

    x: np.ndarray
    targets: Any
    decay: float
    weights: np.ndarray | None = None

    def head(self, **options):
        return gramlab.SoftmaxHead(self.decay, sample_weight=self.weights, **options)

    def referee(self):
        rows = relative_weights(self.weights, len(self.x))
        return SoftmaxObjective(features_of(self.x), self.targets - 1 / K, self.decay, rows)


def drawn(seed, decay=1e-2, n=N, d=D, weighted=True):
    """A problem with weights from 0.1 to 10."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((K, d))[np.arange(n) % K] + rng.standard_normal((n, d))
    weights = 10.0 ** rng.uniform(-1, 1, n) if weighted else None
    return Problem(x, rng.dirichlet(np.full(K, 0.5), n), decay, weights)


def features_of(x):
    return gramlab.Features(x, np.arange(len(x)) % K, n_classes=K)


CARRIERS = {
    "NumPy": "L-BFGS corrections by NumPy",
    "compiled": "L-BFGS corrections",
    "file": "L-BFGS corrections, rows read in blocks",
    "shards": "L-BFGS corrections on shards",
}


@pytest.fixture(scope="module", params=CARRIERS)
def solve(request, tmp_path_factory):
    """Fits a problem with the rows where the parameter says; small blocks in a file."""
    folder = tmp_path_factory.mktemp("rows")

    def rows(x):
        if request.param == "shards":
            return gramlab.shard_features(x)
        if request.param == "file":
            path = folder / f"{len(list(folder.iterdir()))}.npy"
            np.save(path, x)
            x = np.load(path, mmap_mode="r")
        return features_of(x)

    def fit(problem, start=None, **options):
        head = problem.head(**{"tolerance": TIGHT} | options)
        found = head.fit(rows(problem.x), problem.targets, start=start)
        assert found.stats.method == CARRIERS[request.param]
        return found

    fit.carrier = request.param
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "compiled":
            patch.setattr(carriers, "_HOST_WORK", 0)
        patch.setattr("gramlab.heads.problem._STREAM_BYTES", 2000)
        yield fit


def apart(first, second, back=lambda w: w, factor=1.0):
    """Distance of two fits' weights, and what their certificates allow."""
    allowed = first.certificate.weights_bound + factor * second.certificate.weights_bound
    return np.linalg.norm(first.weights - back(second.weights)), allowed


# ---- Identities: another problem with the same optimum, the way back, and the planted wrong -----


def rotation(problem, rng):
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0]
    return replace(problem, x=problem.x @ turn), lambda w: turn @ w, replace(problem, x=-problem.x)


def order_of_rows(problem, rng):
    order = rng.permutation(len(problem.x))
    x, targets, weights = problem.x[order], problem.targets[order], problem.weights[order]
    changed = replace(problem, x=x, targets=targets)
    return replace(changed, weights=weights), lambda w: w, changed


def order_of_classes(problem, rng):
    order = np.array([1, 2, 0])
    changed = replace(problem, targets=problem.targets[:, order])
    return changed, lambda w: w[:, np.argsort(order)], problem


def repeated_rows(problem, rng):
    # Powers of two: their shares of the sum are the same numbers in both problems.
    times = 2 ** rng.integers(0, 3, len(problem.x))
    x, targets = (np.repeat(a, times, axis=0) for a in (problem.x, problem.targets))
    weights = np.repeat(problem.weights / times, times)
    changed = replace(problem, x=x, targets=targets, weights=weights)
    return changed, lambda w: w, replace(changed, weights=np.repeat(problem.weights, times))


def rows_of_no_weight(problem, rng):
    x = np.vstack([problem.x, 10.0 * rng.standard_normal((3, D))])
    targets = np.vstack([problem.targets, np.eye(K)])
    changed = replace(problem, x=x, targets=targets)
    weights = [np.append(problem.weights, np.full(3, w)) for w in (0.0, 0.1)]
    return replace(changed, weights=weights[0]), lambda w: w, replace(changed, weights=weights[1])


def scale_of_weights(problem, rng):
    changed = replace(problem, weights=1e30 * problem.weights)
    return changed, lambda w: w, replace(problem, weights=problem.weights**0.5)


def scale_of_features(problem, rng):
    changed = replace(problem, x=4.0 * problem.x)
    return replace(changed, decay=16.0 * problem.decay), lambda w: 4.0 * w, changed


def rows_of_zeros(problem, rng):
    """Nothing but the mean over rows notices them: the same sum and a smaller λ."""
    weights = problem.weights
    x, targets = (
        np.vstack([problem.x, np.zeros((7, D))]),
        np.vstack([problem.targets, np.eye(K)[[0] * 7]]),
    )
    changed = replace(problem, x=x, targets=targets, weights=np.append(weights, np.ones(7)))
    decay = problem.decay * weights.sum() / (weights.sum() + 7)
    return replace(changed, decay=decay), lambda w: w, changed


IDENTITIES = [
    rotation,
    order_of_rows,
    order_of_classes,
    repeated_rows,
    rows_of_no_weight,
    scale_of_weights,
    scale_of_features,
    rows_of_zeros,
]


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("decay", [1e-1, 1e-5])  # on the rows as they are, and in the eigenbasis
def test_the_optimum_stays(solve, identity, decay):
    problem = drawn(1, decay)
    same, back, wrong = identity(problem, np.random.default_rng(0))
    fit = solve(problem)
    factor = 4.0 if identity is scale_of_features else 1.0
    distance, allowed = apart(fit, solve(same), back, factor)
    assert distance <= allowed <= 1e-4 * np.linalg.norm(fit.weights)
    distance, allowed = apart(fit, solve(wrong), back, factor)
    assert distance > allowed


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "d"), [(40, 5), (8, 20), (39, 1)])
@pytest.mark.parametrize("decay", [1e-3, 1.0])
def test_the_optimum_is_the_dense_newton_twins(solve, weighted, n, d, decay):
    """Of repeated rows, where there are weights; and the bound is not far above the distance."""
    if n < d and solve.carrier == "shards":
        pytest.skip("rows wider than many are refused there")
    problem = drawn(n, decay, n, d, weighted=False)
    times = np.random.default_rng(n).integers(1, 4, n) if weighted else np.ones(n, dtype=int)
    fit = solve(replace(problem, weights=times if weighted else None), tolerance=1e-8)
    assert fit.stats.converged
    assert fit.certificate.relative_gap <= 1e-8
    x, targets = (np.repeat(a, times, axis=0) for a in (problem.x, problem.targets))
    best = testing.dense_newton_head(x, targets, decay)
    distance = np.linalg.norm(fit.weights - best)
    assert distance <= fit.certificate.weights_bound + 1e-12
    assert fit.certificate.weights_bound <= 50 * distance + 1e-9
    # Planted: weights off by ten bounds are refused by the certificate.
    off = fit.certify(fit.weights + 10 * (fit.certificate.weights_bound + 1e-9))
    assert off.weights_bound > 2 * fit.certificate.weights_bound


@pytest.mark.parametrize("tolerance", [1e-8, 1e-20])
@pytest.mark.parametrize("decay", [10.0, 1e-3, 1e-7])
def test_tolerances_are_reached_and_the_referee_says_so(solve, tolerance, decay):
    problem = drawn(2, decay)
    fit = solve(problem, tolerance=tolerance)
    referee = problem.referee()
    norms = [np.linalg.norm(referee.gradient(w)) for w in (fit.weights, 0.0 * fit.weights)]
    assert norms[0] ** 2 <= 1.01 * tolerance * norms[1] ** 2
    assert np.abs(fit.probabilities.sum(axis=1) - 1).max() <= 1e-15 * K
    expected = softmax_deviations(problem.x @ fit.weights)
    assert np.abs(fit.deviations - expected).max() <= 1e-13 * (1 + np.abs(problem.x).max() ** 2)
    # Planted: what float32 holds of the weights is not what a tolerance of 1e-20 asks for.
    narrow = referee.gradient(fit.weights.astype(np.float32).astype(np.float64))
    assert np.linalg.norm(narrow) ** 2 > 1e-20 * norms[1] ** 2


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_the_optimum_does_not_depend_on_the_start(solve, size):
    problem = drawn(3)
    fresh = solve(problem)
    start = size * np.random.default_rng(0).standard_normal((D, K))
    begun = solve(problem, start)
    distance, allowed = apart(fresh, begun)
    assert distance <= allowed <= 1e-6
    assert begun.stats.passes <= 2 * fresh.stats.passes + 5
    # From the optimum no step is needed, and from no start at all some are.
    again = solve(problem, fresh.weights, tolerance=1e-8)
    assert again.stats.iterations == 0 < solve(problem, tolerance=1e-8).stats.iterations


def test_students_of_a_sure_teacher_unlearn(solve):
    """Targets that overturn near certainties: as few passes as from scratch, or so."""
    problem = replace(drawn(4, 1e-6), weights=None)
    teacher = solve(replace(problem, targets=np.eye(K)[np.arange(N) % K]))
    assert np.median(teacher.probabilities.max(axis=1)) > 0.99
    doubting = replace(problem, targets=gramlab.partial_labels(teacher.probabilities, seed=0))
    student, fresh = solve(doubting, teacher.weights), solve(doubting)
    distance, allowed = apart(student, fresh)
    assert distance <= allowed <= 1e-3 * np.linalg.norm(fresh.weights)
    assert student.stats.passes <= 2 * fresh.stats.passes
    assert apart(student, teacher)[0] > allowed + teacher.certificate.weights_bound  # planted


@pytest.mark.parametrize("kind", ["labels", "Targets", "signed"])
def test_targets_of_every_kind(solve, kind):
    """Labels and deviations are the rows they stand for; signed targets are solved as they are."""
    problem = drawn(5)
    labels = np.random.default_rng(0).integers(0, K, N)
    rows = np.eye(K)[labels]
    if kind == "signed":
        mixed = gramlab.mix_targets(problem.targets, rows, 1.5)
        assert mixed.min() < -0.1
        fit = solve(replace(problem, targets=mixed), signed_targets=True)
        assert fit.certificate.relative_gap <= TIGHT
        with pytest.raises(gramlab.errors.InvalidTargets, match="nonnegative"):
            solve(replace(problem, targets=mixed))
        return
    form = gramlab.OneHotRows(labels, K) if kind == "labels" else gramlab.Targets(rows - 1 / K)
    fit = solve(replace(problem, targets=form))
    distance, allowed = apart(fit, solve(replace(problem, targets=rows)))
    assert distance <= allowed <= 1e-6
    labels[0] = (labels[0] + 1) % K  # planted: another label
    distance, allowed = apart(fit, solve(replace(problem, targets=np.eye(K)[labels])))
    assert distance > allowed


def test_uniform_targets_have_their_optimum_at_zero(solve):
    start = np.ones((D, K))
    fit = solve(replace(drawn(6), targets=np.full((N, K), 1 / K)), start)
    assert fit.stats.converged
    assert not fit.weights.any()
    assert fit.certificate.relative_gap == 0.0


def test_too_few_passes_and_the_floor_are_told_apart(solve):
    problem, told = drawn(7, 1e-6), []
    with pytest.warns(gramlab.NotConvergedWarning, match=r"max_passes=6 .*raise max_passes"):
        fit = solve(problem, max_passes=6, progress=lambda *report: told.append(report))
    assert fit.stats.result == "pass limit"
    assert fit.stats.passes <= 6
    assert TIGHT < fit.certificate.relative_gap < 1.0
    assert told[-1][1] == pytest.approx(np.sqrt(fit.certificate.relative_gap), rel=1e-6)
    assert [passes for passes, _ in told] == sorted(passes for passes, _ in told)
    with pytest.warns(gramlab.NotConvergedWarning, match="rounding floor of float64"):
        floor = solve(problem, tolerance=1e-60)
    assert floor.stats.result == "float64 floor"
    assert floor.certificate.at_rounding_floor
    assert floor.certificate.relative_gap < 1e-24


@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
def test_a_share_of_the_predictions_is_certified(solve, share):
    problem = replace(drawn(11, 1e-4), targets=np.eye(K)[np.arange(N) % K])
    asked = {"certified_share": share, "tolerance": 1e-4}
    if solve.carrier in ("file", "shards"):
        with pytest.raises(gramlab.errors.InvalidSetting, match="smaller tolerance instead"):
            solve(problem, **asked)
        return
    fit, plain = solve(problem, **asked), solve(problem, tolerance=1e-4)
    assert (fit.stats.polish, plain.stats.polish) == ("share reached", "")

    def decided(fit):
        top = np.sort(problem.x @ fit.weights, axis=1)
        return top[:, -1] - top[:, -2] > fit.certificate.logit_bound(problem.x)

    assert decided(fit).mean() >= share
    assert decided(plain).mean() < 1.0  # planted: without asking
    best = solve(problem, tolerance=1e-24)
    assert np.array_equal(best.labels[decided(fit)], fit.labels[decided(fit)])


# ---- Carriers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [31, 32, 33, 512, 513])  # at steps of the filled rows and beside
def test_rows_that_fill_up_and_precision_do_not_show(monkeypatch, n):
    """A compiled head of few sizes is NumPy's of the very rows, in float64 throughout."""
    problem = drawn(n, 1e-4, n)
    here = problem.head(tolerance=1e-20).fit(features_of(problem.x), problem.targets)
    monkeypatch.setattr(carriers, "_HOST_WORK", n * D * K - 1)
    there = problem.head(tolerance=1e-20).fit(features_of(problem.x), problem.targets)
    assert (here.stats.method, there.stats.method) == (CARRIERS["NumPy"], CARRIERS["compiled"])
    distance, allowed = apart(here, there)
    assert distance <= allowed <= 1e-6
    assert np.abs(here.probabilities - there.probabilities).max() <= 1e-6
    # Planted: one row more, which a sum over filled rows would have.
    more = drawn(n, 1e-4, n + 1)
    more = replace(
        more,
        x=np.vstack([problem.x, problem.x[:1]]),
        targets=np.vstack([problem.targets, problem.targets[:1]]),
    )
    more = replace(more, weights=np.append(problem.weights, problem.weights[0]))
    found = more.head(tolerance=1e-20).fit(features_of(more.x), more.targets)
    assert np.subtract(*apart(there, found)) > 0


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_features_that_float32_cannot_square(solve, scale):
    problem = drawn(8, 1e-2)
    fit = solve(replace(problem, x=scale * problem.x, decay=scale**2 * problem.decay))
    distance, allowed = apart(solve(problem), fit, lambda w: scale * w, scale)
    assert distance <= allowed <= 1e-6
    assert fit.certificate.relative_gap <= TIGHT
    assert allowed * 1e3 < np.linalg.norm(fit.weights * scale)  # planted: W = 0 is not that near


def test_what_does_not_fit_the_device_is_read_in_blocks_and_says_so(monkeypatch):
    problem = drawn(9)
    monkeypatch.setattr(carriers, "_HOST_WORK", 0)
    expected = problem.head(tolerance=TIGHT).fit(features_of(problem.x), problem.targets)
    monkeypatch.setattr(device, "bytes_free", lambda: 1_000)
    found = problem.head(tolerance=TIGHT).fit(features_of(problem.x), problem.targets)
    assert found.stats.method.startswith(f"{CARRIERS['file']} (")
    assert "1.0 kB free" in found.stats.method
    distance, allowed = apart(found, expected)
    assert distance <= allowed <= 1e-6
    # Asked for certified predictions, it goes on there as it does on the device.
    sure = problem.head(certified_share=0.95).fit(features_of(problem.x), problem.targets)
    assert sure.stats.polish == "share reached"
    top = np.sort(problem.x @ sure.weights, axis=1)
    assert (top[:, -1] - top[:, -2] > sure.certificate.logit_bound(problem.x)).mean() >= 0.95


def test_rows_of_a_file_are_read_once_a_pass(tmp_path, monkeypatch):
    problem, reads = replace(drawn(10, 1e-6, 600), weights=None), []
    problem = replace(problem, targets=np.eye(K)[np.arange(600) % K])
    np.save(tmp_path / "x.npy", problem.x)
    features = features_of(np.load(tmp_path / "x.npy", mmap_mode="r"))
    blocks = gramlab.Features.blocks

    def counted(self, *arguments, **options):
        reads.append(self)
        return blocks(self, *arguments, **options)

    monkeypatch.setattr(gramlab.Features, "blocks", counted)
    problem.head(tolerance=1e-4).fit(features, problem.targets)
    before = len(reads)  # spectrum, norms of rows and the like are there now
    fit = problem.head(tolerance=1e-12).fit(features, problem.targets)
    assert fit.certificate.relative_gap <= 1e-12
    assert fit.stats.iterations > 5
    # The start counts as half a pass; the certificate is a read, its Hessian products some more.
    assert len(reads) - before <= fit.stats.passes + 15
    assert fit.stats.passes <= 2 * fit.stats.iterations


@examples(20)
@given(seed=st.integers(0, 10**6), size=st.floats(-12, 1), sure=st.floats(0, 3))
def test_changes_are_accurate_relative_to_the_change(seed, size, sure):
    """In float32, where a difference of softmaxes has no digits left of a small step."""
    rng = np.random.default_rng(seed)
    v, u = 10.0**sure * rng.standard_normal((5, 4)), 10.0**size * rng.standard_normal((5, 4))
    u = u.astype(np.float32).astype(np.float64)
    wide = np.longdouble

    def softmax(logits):
        e = np.exp(wide(logits) - wide(logits).max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    exact = np.asarray(softmax(wide(v) + wide(u)) - softmax(v), dtype=np.float64)
    p = softmax(v).astype(np.float32)
    found = CrossEntropy(p).change(u.astype(np.float32), 1)
    allowed = 32 * np.finfo(np.float32).eps * (1 + np.abs(u).max()) * np.minimum(np.abs(u).max(), 1)
    assert np.abs(found - exact).max() <= allowed
    if size < -7:  # planted: the plain difference
        plain = softmax((v + u).astype(np.float32)).astype(np.float32) - p
        assert np.abs(plain - exact).max() > allowed or np.abs(exact).max() < allowed


@pytest.mark.parametrize("q", [0.1, 0.7, 1.0])
def test_the_other_loss_is_its_gradient(q):
    """Residuals are derivatives of values, by a step into the imaginary direction."""
    rng = np.random.default_rng(0)
    v, targets = rng.standard_normal((4, 3)), rng.dirichlet(np.ones(3), 4)
    _, loss = GeneralizedCrossEntropy.at(np.zeros((4, 3)), targets - 1 / 3, q)

    def value(v):
        e = np.exp(v)
        return (targets * (1 - (e / e.sum(axis=1, keepdims=True)) ** q) / q).sum()

    assert loss.values(v, 1).sum() == pytest.approx(value(v), rel=1e-13)
    slopes = np.array(
        [value(v + 1e-200j * np.eye(12)[i].reshape(4, 3)).imag / 1e-200 for i in range(12)]
    ).reshape(4, 3)
    assert np.abs(loss.residuals(v, 1) - slopes).max() <= 1e-14
    assert np.abs(loss.change(v, 1) + loss.residuals(0 * v, 1) - slopes).max() <= 1e-14
    other = loss._replace(q=loss.q * 0.9).residuals(v, 1)  # planted: another exponent
    assert np.abs(other - slopes).max() > 1e-4


@pytest.mark.parametrize("apart", [1e-12, 1e-10, 1e-8])
def test_a_gradient_that_cancels_is_known_in_float64(apart):
    """Rows repeated under every label: float32 sees rounding where the first gradient should be."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.standard_normal((1500, 50)), 4, axis=0)
    x += apart * rng.standard_normal(x.shape)
    labels = np.arange(6000) % 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)
        fit = gramlab.SoftmaxHead(10.0).fit(x, gramlab.one_hot(labels, 4))
    assert not fit.stats.converged or fit.certificate.relative_gap <= 1e-8
    assert apart < 1e-11 or fit.stats.converged
    moments = x.astype(np.float32).T @ (gramlab.one_hot(labels, 4) - 0.25).astype(np.float32)
    known = fit.certificate.start_gradient_norm  # planted: float32's own
    assert np.linalg.norm(moments) / 6000 > 1.5 * known or apart > 1e-9


def test_a_line_search_does_not_go_in_a_circle():
    """Newton's steps between two lengths alone once came back to where they were, to the end."""
    x = np.random.default_rng(15).normal(size=(64, 100))
    weights = np.r_[1e8, np.ones(63)]
    head = gramlab.SoftmaxHead(1e-5, tolerance=1e-12, sample_weight=weights)
    fit = head.fit(x, gramlab.one_hot(np.arange(64) % 4, 4))
    assert fit.stats.converged
    assert fit.certificate.relative_gap <= 1e-12


def test_base_probabilities_keep_the_digits_of_rare_classes():
    v = np.array([[0.0, -30.0, -45.0, -100.0]])
    _, loss = CrossEntropy.at(v, 0.0 * v)
    exact = np.exp(v) / np.exp(v).sum()
    assert np.abs(loss.probabilities / exact - 1).max() <= 1e-14
    planted = softmax_deviations(v) + 0.25
    assert np.abs(planted / exact - 1).max() > 0.9
    takes_over = loss.change(np.array([[0.0, 0.0, 0.0, 200.0]]), 1)
    assert np.abs(takes_over - (np.array([[0.0, 0.0, 0.0, 1.0]]) - exact)).max() <= 1e-14


@pytest.mark.parametrize(
    "head", [gramlab.SoftmaxHead(1e-3), gramlab.LinearizedHead(1e-3), RidgeHead(1e-3)]
)
def test_a_fit_is_the_same_after_a_pickle(head):
    x = np.random.default_rng(0).normal(size=(30, 3))
    fit = head.fit(x, gramlab.one_hot(np.arange(30) % 2, 2))
    bound = fit.certificate.weights_bound
    again = pickle.loads(pickle.dumps(fit))
    assert np.array_equal(again.probabilities, fit.probabilities)
    assert np.array_equal(again.known_logits(), fit.known_logits())
    assert again.certificate.weights_bound == bound
    if hasattr(fit, "closed_form_error"):
        assert again.closed_form_error == fit.closed_form_error
