"""The classifiers: scikit-learn's own checks, oracles, and invariances within certificates."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gramlab import (
    LabelAveragingClassifier,
    LinearizedHead,
    SelfDistillationClassifier,
    SoftLabelLogisticRegression,
    testing,
)
from gramlab.errors import (
    GramlabError,
    InvalidLabels,
    InvalidSetting,
    InvalidTargets,
    NotConvergedWarning,
)
from gramlab.estimator.averaging import simplex_projection
from gramlab.heads import carriers
from gramlab.heads.problem import as_features
from gramlab.heads.referee import SoftmaxObjective
from gramlab.numerics.rounding import UNIT_ROUNDOFF

few = examples(10)
seeds = st.integers(0, 10**6)
decays = st.floats(-4, 1).map(lambda e: 10.0**e)
KINDS = [SoftLabelLogisticRegression, SelfDistillationClassifier, LabelAveragingClassifier]


@parametrize_with_checks(
    [
        SoftLabelLogisticRegression(),
        SelfDistillationClassifier(),
        SelfDistillationClassifier(rounds=3, refine="top2", mixing=0.7, temperature=2.0),
        LabelAveragingClassifier(),
        LabelAveragingClassifier(rounds=5, weight_decay=1e-2),
    ]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def data(seed=0, n=90, d=6, k=3, names=("ash", "birch", "cedar")):
    features, _ = problem(n, d, k, seed=seed)
    return features.x, np.array(names)[features.labels]


def certificate_of(x, targets, weight_decay, weights):
    features = as_features(x, targets)
    return SoftmaxObjective(features, targets - 1 / targets.shape[1], weight_decay).certificate(
        weights
    )


# ---- The exact head -----------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("work", [0, 10**9], ids=["compiled", "host"])
@pytest.mark.parametrize("names", [("ash", "birch", "cedar"), (7, -1, 3)])
def test_same_optimum_as_logistic_regression(monkeypatch, weighted, work, names):
    monkeypatch.setattr(carriers, "_HOST_WORK", work)
    x, y = data(names=names)
    lam = 1e-2
    w = np.random.default_rng(1).integers(1, 4, len(x)) if weighted else np.ones(len(x), int)
    ours = SoftLabelLogisticRegression(lam).fit(x, y, sample_weight=w if weighted else None)
    peer = LogisticRegression(C=1 / (w.sum() * lam), fit_intercept=False, tol=1e-10, max_iter=10**4)
    peer.fit(x, y, sample_weight=w)
    assert np.array_equal(ours.classes_, peer.classes_)
    assert ours.relative_gap_ <= 1e-8
    # Both certificates refer to the rows repeated, which is the definition of whole weights.
    rows = np.repeat(x, w, axis=0)
    targets = (np.repeat(y, w)[:, None] == peer.classes_).astype(float)
    other = certificate_of(rows, targets, lam, peer.coef_.T).weights_bound
    bound = ours.certificate_.weights_bound + other
    assert np.linalg.norm(ours.coef_ - peer.coef_) <= bound
    assert bound <= 1e-2 * np.linalg.norm(peer.coef_)
    # Planted: the other convention for C, without N, is outside it.
    wrong = LogisticRegression(C=1 / lam, fit_intercept=False, max_iter=10**4).fit(x, y)
    assert np.linalg.norm(ours.coef_ - wrong.coef_) > bound


@few
@given(seed=seeds, weight_decay=decays)
def test_soft_labels_against_the_dense_twin(seed, weight_decay):
    features, targets = problem(30, 5, 3, seed=seed)
    model = SoftLabelLogisticRegression(weight_decay).fit(features.x, targets)
    best = testing.dense_newton_head(features.x, targets, weight_decay)
    distance = np.linalg.norm(model.coef_.T - best)
    assert distance <= model.certificate_.weights_bound + 1e-12 * (1 + np.linalg.norm(best))
    again = certificate_of(features.x, targets, weight_decay, model.coef_.T)
    floor = model.certificate_.gradient_rounding
    assert abs(again.gradient_norm - model.certificate_.gradient_norm) <= 2 * floor
    # Planted: hardened labels have another optimum.
    hard = np.eye(3)[targets.argmax(axis=1)]
    wrong = SoftLabelLogisticRegression(weight_decay).fit(features.x, hard)
    assert np.linalg.norm(wrong.coef_.T - best) > wrong.certificate_.weights_bound


def test_one_hot_rows_are_labels():
    x, y = data()
    hard = SoftLabelLogisticRegression().fit(x, y)
    targets = (y[:, None] == hard.classes_).astype(float)
    soft = SoftLabelLogisticRegression(classes=hard.classes_).fit(x, targets)
    assert np.array_equal(hard.coef_, soft.coef_)
    assert np.array_equal(soft.predict(x), hard.predict(x))
    assert SoftLabelLogisticRegression().fit(x, targets).classes_.tolist() == [0, 1, 2]


@few
@given(seed=seeds, weight_decay=decays, scale=st.floats(0.1, 10))
def test_metamorphic(seed, weight_decay, scale):
    """Repeated rows are weights, classes permute, X by a and λ by a² is W by 1/a; zero is absence.

    All optima are proved to be one, so fits differ by no more than their two bounds.
    """
    features, targets = problem(24, 5, 3, seed=seed)
    x, rng = features.x, np.random.default_rng(seed)
    order, times = rng.permutation(3), rng.integers(0, 4, 24)
    times[:2] = 1

    def fit(x, targets, weight_decay=weight_decay, w=None):
        return SoftLabelLogisticRegression(weight_decay).fit(x, targets, sample_weight=w)

    first = fit(x, targets)
    weighted = fit(x, targets, w=times)
    pairs = [
        (first.coef_[order], fit(x, targets[:, order]), 1.0),
        (first.coef_, fit(scale * x, targets, scale**2 * weight_decay), scale),
        (first.coef_, fit(x, targets, w=np.full(24, 0.3)), 1.0),
        (
            weighted.coef_,
            fit(np.repeat(x, times, axis=0), np.repeat(targets, times, axis=0)),
            1.0,
        ),
        (weighted.coef_, fit(x[times > 0], targets[times > 0], w=times[times > 0] * 5.0), 1.0),
    ]
    one = max(first.certificate_.weights_bound, weighted.certificate_.weights_bound)
    for coef, other, factor in pairs:
        allowed = one + factor * other.certificate_.weights_bound
        assert np.linalg.norm(coef - factor * other.coef_) <= allowed
        assert allowed <= 1e-6 * (1 + np.linalg.norm(coef))
    # Planted: weights that are ignored.
    assert np.linalg.norm(first.coef_ - weighted.coef_) > 2 * one


def test_certified_predictions_are_those_of_the_optimum():
    x, y = data(n=60)
    targets = (y[:, None] == np.unique(y)).astype(float)
    best = testing.dense_newton_head(x, targets, 1e-2)
    model = SoftLabelLogisticRegression(1e-2).fit(x, y)
    points = np.random.default_rng(0).standard_normal((400, 6))
    assert model.certified(points).mean() > 0.99
    # A rough head: bounds that leave rows open, and no certified row that the optimum denies.
    rough = clone(model)
    rough.coef_, rough.classes_ = model.coef_ + 0.02 * points[:3, :6], model.classes_
    rough.n_features_in_ = 6
    rough.certificate_ = certificate_of(x, targets, 1e-2, rough.coef_.T)
    sure = rough.certified(points)
    truth = model.classes_[(points @ best).argmax(axis=1)]
    assert 0 < sure.sum() < 400
    assert (rough.predict(points)[sure] == truth[sure]).all()
    assert (rough.predict(points)[~sure] != truth[~sure]).any()


def test_probabilities_and_their_logarithms_far_out():
    x, y = data()
    model = SoftLabelLogisticRegression().fit(x, y)
    far = 1e4 * x[:5]
    probabilities, logs = model.predict_proba(far), model.predict_log_proba(far)
    assert np.abs(probabilities.sum(axis=1) - 1).max() <= 8 * UNIT_ROUNDOFF
    assert np.isfinite(logs).all()
    assert (logs.min(axis=1) < -1000).all()
    assert np.array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(far))


def test_a_missed_tolerance_says_so():
    x, y = data()
    with pytest.warns(NotConvergedWarning, match="max_passes"):
        model = SoftLabelLogisticRegression(1e-7, max_passes=2).fit(x, y)
    assert model.relative_gap_ > 1e-8


# ---- Rounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"mixing": 0.6}, {"mixing": 1.5}, {"temperature": 2.0}])
def test_each_round_is_the_optimum_for_the_predictions_before_it(options):
    x, y = data()
    model = SelfDistillationClassifier(rounds=3, weight_decay=1e-2, **options).fit(x, y)
    given_targets = (y[:, None] == model.classes_).astype(float)
    targets, tau = given_targets, options.get("temperature", 1.0)
    for fitted in model.rounds_:
        again = certificate_of(x, targets, 1e-2, fitted.coef.T)
        assert fitted.certificate.relative_gap <= 1e-8
        slack = 4 * again.gradient_rounding
        assert abs(again.gradient_norm - fitted.certificate.gradient_norm) <= slack
        logits = x @ fitted.coef.T / tau
        softened = np.exp(logits - logits.max(axis=1, keepdims=True))
        softened /= softened.sum(axis=1, keepdims=True)
        xi = options.get("mixing", 1.0)
        targets = xi * softened + (1 - xi) * given_targets
    assert model.certificate_ is model.rounds_[-1].certificate
    staged = list(model.staged_predict_proba(x))
    assert np.array_equal(staged[-1], model.predict_proba(x))
    assert np.array_equal(list(model.staged_predict(x))[-1], model.predict(x))
    assert all(not np.allclose(a, b) for a, b in pairwise(staged))


def test_one_round_is_the_plain_head_and_two_hot_students_are_fitted_to_two_halves():
    x, y = data()
    plain = SoftLabelLogisticRegression(1e-2).fit(x, y)
    one = SelfDistillationClassifier(rounds=1, weight_decay=1e-2).fit(x, y)
    assert np.array_equal(one.coef_, plain.coef_)
    two = SelfDistillationClassifier(rounds=2, weight_decay=1e-2, refine="top2").fit(x, y)
    top = np.argsort(-plain.predict_proba(x), axis=1)[:, :2]
    halves = np.zeros((len(x), 3))
    np.put_along_axis(halves, top, 0.5, axis=1)
    best = SoftLabelLogisticRegression(1e-2).fit(x, halves)
    allowed = two.certificate_.weights_bound + best.certificate_.weights_bound
    assert np.linalg.norm(two.coef_ - best.coef_) <= allowed


@few
@given(seed=seeds)
def test_weights_repeat_rows_in_every_round(seed):
    """Student targets are a function of the row, so repeated rows stay repeated."""
    features, targets = problem(20, 4, 3, seed=seed)
    times = np.random.default_rng(seed).integers(0, 4, 20)
    times[:2] = 1
    x = features.x
    few_rounds = SelfDistillationClassifier(rounds=3, weight_decay=1e-2)
    averaged = LabelAveragingClassifier(rounds=3, weight_decay=1e-2)
    for model in (few_rounds, averaged):
        w = clone(model).fit(x, targets, sample_weight=times)
        r = clone(model).fit(np.repeat(x, times, axis=0), np.repeat(targets, times, axis=0))
        size = np.linalg.norm(w.coef_)
        # Gaps of 1e-24 are gradients of 1e-12, over λ = 1e-2, through three rounds.
        assert np.linalg.norm(w.coef_ - r.coef_) <= 1e-9 * size
        plain = clone(model).fit(x, targets)
        assert np.linalg.norm(w.coef_ - plain.coef_) > 1e-6 * size
        a, b = w.certificate_, r.certificate_
        assert a.max_row_norm == b.max_row_norm
        assert a.start_gradient_norm == pytest.approx(b.start_gradient_norm, rel=1e-9)
        if model is averaged:
            assert a.gradient_norm == pytest.approx(b.gradient_norm, rel=1e-6)


# ---- Label averaging ----------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_label_averaging_is_the_closed_form(rounds):
    x, y = data(n=40)
    model = LabelAveragingClassifier(rounds, 1e-2).fit(x, y)
    targets = (y[:, None] == model.classes_).astype(float)
    expected = testing.dense_closed_form(x @ x.T, targets, 1e-2, rounds)
    raw = model.decision_function(x) + 1 / 3
    condition = 1 + np.linalg.norm(x, 2) ** 2 / (3 * 40 * 1e-2)
    bound = 20 * rounds * 46 * UNIT_ROUNDOFF * condition
    assert np.abs(raw - expected).max() <= bound
    fit = LinearizedHead(1e-2).rounds_at_once(as_features(x, targets), targets, rounds)
    own, theirs = model.certificate_, fit.certificate
    assert own.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-9)
    assert own.local_bound == pytest.approx(theirs.local_bound, rel=1e-6)
    # The distance to the exact head on the same targets is within it.
    before = testing.dense_closed_form(x @ x.T, targets, 1e-2, rounds - 1)
    distance = np.linalg.norm(model.coef_.T - testing.dense_newton_head(x, before, 1e-2))
    assert distance <= own.weights_bound
    # Planted: one round more is another prediction.
    other = LabelAveragingClassifier(rounds + 1, 1e-2).fit(x, y).decision_function(x) + 1 / 3
    assert np.abs(other - expected).max() > 100 * bound


def test_label_averaging_leaves_the_simplex_and_is_projected_by_name():
    x, y = data(n=40)
    model = LabelAveragingClassifier(1, 1e-6).fit(x, y)
    points = 3 * x
    raw = model.decision_function(points) + 1 / 3
    assert raw.min() < -0.1
    assert np.abs(raw.sum(axis=1) - 1).max() <= 1e-12 * np.abs(raw).max()
    assert model.predict_proba(points).min() == 0.0
    assert np.array_equal(model.classes_[raw.argmax(axis=1)], model.predict(points))
    assert not hasattr(model, "predict_log_proba")


@few
@given(st.integers(2, 6).flatmap(lambda k: testing.matrices(20, k)), st.floats(-2, 2))
def test_projection_is_the_nearest_point(v, size):
    """p is nearest iff ⟨v − p, q − p⟩ ≤ 0 for every corner q of the simplex."""
    k = v.shape[1]
    v = 10**size * v
    v += (1 - v.sum(axis=1, keepdims=True)) / k

    def worst(p):
        corners = (v - p)[:, None, :] * (np.eye(k)[None] - p[:, None, :])
        return corners.sum(axis=2).max()

    p = simplex_projection(v)
    bound = 100 * k * UNIT_ROUNDOFF * (1 + np.abs(v).max())
    assert p.min() >= 0
    assert np.abs(p.sum(axis=1) - 1).max() <= bound
    assert worst(p) <= bound * (1 + np.abs(v).max())
    assert np.abs(simplex_projection(p) - p).max() <= bound
    # Planted: clipping and dividing is not it, wherever it clips and keeps two unequal entries.
    clipped = np.maximum(v, 0)
    clipped /= clipped.sum(axis=1, keepdims=True)
    apart = np.ptp(np.where(clipped > 0, clipped, clipped.max(axis=1, keepdims=True)), axis=1)
    if ((v.min(axis=1) < -1e-3) & (apart > 1e-3)).any():
        assert worst(clipped) > bound * (1 + np.abs(v).max())


def test_a_signal_of_many_rounds_still_ranks_classes():
    x, y = data(n=40)
    model = LabelAveragingClassifier(300, 10.0).fit(x, y)
    scores = model.decision_function(x)
    assert 0 < np.abs(scores).max() < 1e-20
    assert len(np.unique(model.predict(x))) > 1
    assert np.array_equal(model.classes_[scores.argmax(axis=1)], model.predict(x))


# ---- As scikit-learn is used --------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("kind", KINDS)
def test_tables(kind, library):
    frame = pytest.importorskip(library).DataFrame
    x, y = data()
    expected = kind(weight_decay=1e-2).fit(x, y)
    names = [f"f{i}" for i in range(6)]
    table = frame(dict(zip(names, x.T, strict=True)))
    model = kind(weight_decay=1e-2).fit(table, frame({"y": y})["y"])
    assert np.array_equal(model.coef_, expected.coef_)
    assert model.feature_names_in_.tolist() == names
    assert np.array_equal(model.predict(table), expected.predict(x))


@pytest.mark.parametrize("kind", KINDS)
def test_tensors(kind):
    torch = pytest.importorskip("torch")
    x, y = data()
    expected = kind(weight_decay=1e-2).fit(x, y)
    tensor = torch.tensor(x)
    codes = torch.from_numpy(np.unique(y, return_inverse=True)[1])
    model = kind(weight_decay=1e-2).fit(tensor, codes)
    assert np.array_equal(model.coef_, expected.coef_)
    assert np.array_equal(model.predict_proba(tensor), expected.predict_proba(x))


@pytest.mark.parametrize("kind", KINDS)
def test_pipelines_and_searches(kind):
    x, y = data()
    pipe = make_pipeline(StandardScaler(), kind())
    name = kind.__name__.lower()
    grid = GridSearchCV(pipe, {f"{name}__weight_decay": [1e-3, 1e-1]}, cv=3).fit(x, y)
    assert grid.best_score_ > 0.8
    assert cross_val_predict(kind(), x, y, method="predict_proba").shape == (90, 3)


def test_sample_weights_are_routed():
    x, y = data()
    w = np.random.default_rng(0).uniform(0, 2, 90)
    with config_context(enable_metadata_routing=True):
        asked = SoftLabelLogisticRegression().set_fit_request(sample_weight=True)
        asked.set_score_request(sample_weight=True)
        grid = GridSearchCV(asked, {"weight_decay": [1e-3, 1e-2]}, cv=3).fit(x, y, sample_weight=w)
    best = SoftLabelLogisticRegression(**grid.best_params_).fit(x, y, sample_weight=w)
    assert np.array_equal(grid.best_estimator_.coef_, best.coef_)


@pytest.mark.parametrize("kind", KINDS)
def test_faults_are_named(kind):
    x, y = data()
    soft = np.full((90, 3), 1 / 3)
    off = soft.copy()
    off[7] *= 2
    with pytest.raises(InvalidTargets, match=r"row 7"):
        kind().fit(x, off)
    with pytest.raises(InvalidLabels, match="only 1 class: "):
        kind().fit(x, np.zeros(90))
    with pytest.raises(InvalidLabels, match="positive sample_weight"):
        kind().fit(x, y, sample_weight=(y == "ash").astype(float))
    with pytest.raises(InvalidSetting, match="2 names"):
        kind(classes=["a", "b"]).fit(x, soft)
    with pytest.raises(InvalidSetting, match="different class names"):
        kind(classes=["a", "a", "b"]).fit(x, soft)
    with pytest.raises(InvalidLabels, match="unseen labels: \\['cedar'\\]"):
        kind(classes=["ash", "birch"]).fit(x, y)
    with pytest.raises(InvalidSetting, match="weight_decay"):
        kind(weight_decay=-1.0).fit(x, y)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        kind().fit(x, y, sample_weight=-np.ones(90))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        kind().fit(x, y[:80])
    with pytest.raises(ValueError, match="expecting 6 features"):
        kind().fit(x, y).predict(x[:, :5])
    assert issubclass(InvalidTargets, (GramlabError, ValueError))
    model = kind(classes=["dogwood", "cedar", "birch", "ash"]).fit(x, y)
    assert model.classes_.tolist() == ["dogwood", "cedar", "birch", "ash"]
    assert "dogwood" not in model.predict(x)


def test_small_problems_do_without_jax():
    program = (
        "import sys, numpy as np, gramlab\n"
        "x = np.random.default_rng(0).standard_normal((30, 4)); y = (x[:, 0] > 0).astype(int)\n"
        "gramlab.SelfDistillationClassifier().fit(x, y)\n"
        "print('jax' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == "False", found.stderr


def test_large_problems_are_solved_to_the_same_optimum(monkeypatch):
    x, y = data()
    host = SelfDistillationClassifier(rounds=2, weight_decay=1e-2).fit(x, y)
    monkeypatch.setattr(carriers, "_HOST_WORK", 0)
    other = SelfDistillationClassifier(rounds=2, weight_decay=1e-2).fit(x, y)
    first, second = host.rounds_[0], other.rounds_[0]
    allowed = first.certificate.weights_bound + second.certificate.weights_bound
    assert np.linalg.norm(first.coef - second.coef) <= allowed
    assert other.relative_gap_ <= 1e-8


# ---- The page -----------------------------------------------------------------------------------


def test_the_examples_of_the_page_run():
    for library in ("pandas", "polars", "torch", "datasets"):
        pytest.importorskip(library)
    page = Path(__file__).resolve().parents[3] / "docs" / "estimators.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    names: dict = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"estimators.md, block {number}", "exec"), names)
    assert names["model"].search_["chosen"].sum() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_docstring_examples_run(kind):
    runner = doctest.DocTestRunner()
    found = doctest.DocTestFinder(recurse=False).find(kind, kind.__name__)
    assert [runner.run(example).failed for example in found if example.examples] == [0]
