"""Class weights, vote counts and sparse rows in, scikit-learn's own class out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from conftest import problem
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.estimator_checks import check_class_weight_classifiers

from gramlab import (
    LabelAveragingClassifier,
    SelfDistillationClassifier,
    SoftLabelLogisticRegression,
)
from gramlab.errors import InvalidSetting, InvalidTargets, NotEnoughMemory
from gramlab.estimator import base

KINDS = [SoftLabelLogisticRegression, SelfDistillationClassifier, LabelAveragingClassifier]
NAMES = np.array(["ash", "birch", "cedar"])


def uneven(k=3, seed=0):
    """Rows with classes of unequal size, and their names."""
    features, _ = problem(90, 5, k, seed=seed)
    rows = np.flatnonzero((features.labels > 0) | (np.arange(90) % 3 == 0))
    return features.x[rows], NAMES[features.labels[rows]]


def same(first, second):
    """Equal coefficients: as near as both certificates say, or of the closed form as rounding."""
    bound = 100 * 90 * np.finfo(float).eps * np.linalg.norm(first.coef_)
    if isinstance(first, SoftLabelLogisticRegression):
        bound = first.certificate_.weights_bound + second.certificate_.weights_bound
    return np.linalg.norm(first.coef_ - second.coef_) <= bound


# ---- Class weights ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_class_weights_are_weights_of_rows(kind):
    x, y = uneven()
    sample = np.linspace(0.5, 2.0, len(y))
    by_class = {"ash": 4.0, "cedar": 0.5}  # a class that is not named weighs 1
    rows = sample * np.array([by_class.get(name, 1.0) for name in y])
    found = kind(class_weight=by_class).fit(x, y, sample_weight=sample)
    twin = kind().fit(x, y, sample_weight=rows)
    assert np.array_equal(found.coef_, twin.coef_)
    assert not same(found, kind().fit(x, y, sample_weight=sample)), "weights change something"


@pytest.mark.parametrize("kind", KINDS)
def test_balanced_is_what_scikit_learn_says(kind):
    x, y = uneven()
    weights = compute_class_weight("balanced", classes=NAMES, y=y)
    twin = kind(class_weight=dict(zip(NAMES.tolist(), weights.tolist(), strict=True))).fit(x, y)
    found = kind(class_weight="balanced").fit(x, y)
    assert same(found, twin)
    # One-hot soft labels are the labels, and every class weighs the same in all.
    soft = (y[:, None] == NAMES).astype(float)
    assert same(kind(class_weight="balanced", classes=NAMES).fit(x, soft), found)
    absent = kind(class_weight="balanced", classes=[*NAMES, "elm"]).fit(x, y)
    assert np.isfinite(absent.coef_).all()


@pytest.mark.parametrize("k", [2, 3])
def test_balanced_logistic_regression_has_the_same_optimum(k):
    x, y = uneven(k)
    ours = SoftLabelLogisticRegression(weight_decay=0.01, class_weight="balanced").fit(x, y)
    c = 1.0 / (0.01 * len(y))
    # Two rows of coefficients share the penalty of one: half of it each, so twice C.
    theirs = LogisticRegression(
        C=2.0 * c if k == 2 else c, fit_intercept=False, class_weight="balanced", tol=1e-12
    ).fit(x, y)
    coef = theirs.coef_ if k == 3 else np.concatenate([-theirs.coef_, theirs.coef_]) / 2.0
    # Theirs is near a stationary point; the gradient it has left bounds its distance.
    w = compute_class_weight("balanced", classes=NAMES[:k], y=y)[(y[:, None] == NAMES).argmax(1)]
    logits = x @ coef.T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    left = ((p - (y[:, None] == NAMES[:k])) * w[:, None]).T @ x / w.sum() + 0.01 * coef
    bound = np.linalg.norm(left) / 0.01 + ours.certificate_.weights_bound
    assert bound < 0.01
    assert np.linalg.norm(coef - ours.coef_) <= bound


def test_the_waived_check_wants_an_intercept_and_no_other_is_lost():
    """The tag of a poor score also waives an accuracy, which is reached."""
    with pytest.raises(AssertionError):
        check_class_weight_classifiers("", LogisticRegression(fit_intercept=False))
    x, y = make_blobs(n_samples=300, random_state=0)
    x = StandardScaler().fit_transform(x)
    for kind in KINDS:
        assert kind().fit(x, y).score(x, y) > 0.83


def test_tuned_weighs_classes_too():
    x, y = uneven()
    how = {"rounds": 2, "folds": 2, "weight_decays": [0.01]}
    found = SelfDistillationClassifier.tuned(x, y, class_weight="balanced", **how)
    weights = compute_class_weight("balanced", classes=NAMES, y=y)
    rows = weights[(y[:, None] == NAMES).argmax(axis=1)]
    twin = SelfDistillationClassifier.tuned(x, y, sample_weight=rows, **how)
    assert found.class_weight == "balanced"
    bound = 4 * len(y) * np.finfo(float).eps
    assert np.abs(found.search_["score"] - twin.search_["score"]).max() <= bound


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("even", '"balanced" or a dict'),
        ({"oak": 2.0}, r"names? classes of y.*'oak'"),
        ({"ash": -1.0}, "at least 0 for every class, got -1.0 for 'ash'"),
        ({"ash": np.nan}, "class_weight"),
    ],
)
def test_class_weights_that_cannot_be_are_refused(asked, words):
    x, y = uneven()
    with pytest.raises(InvalidSetting, match=words):
        SoftLabelLogisticRegression(class_weight=asked).fit(x, y)


# ---- Votes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_votes_are_soft_labels(kind):
    x, _ = uneven()
    votes = np.random.default_rng(0).integers(0, 4, (len(x), 3)) + np.array([0, 0, 1])
    found = kind(normalize=True).fit(x, votes)
    twin = kind().fit(x, votes / votes.sum(axis=1, keepdims=True))
    assert np.array_equal(found.coef_, twin.coef_)
    with pytest.raises(InvalidTargets, match="sum"):
        kind().fit(x, votes)
    # Labels are not votes, and stay what they are.
    assert np.array_equal(
        kind(normalize=True).fit(x, votes[:, 0]).coef_, kind().fit(x, votes[:, 0]).coef_
    )


def test_votes_weighed_one_by_one_are_rows_repeated():
    x, _ = uneven()
    votes = np.random.default_rng(1).integers(0, 3, (len(x), 3)) + np.eye(3, dtype=int)[0]
    found = SoftLabelLogisticRegression(normalize=True)
    found.fit(x, votes, sample_weight=votes.sum(axis=1))
    rows, labels = np.nonzero(votes)
    times = votes[rows, labels]
    each = SoftLabelLogisticRegression().fit(np.repeat(x[rows], times, 0), np.repeat(labels, times))
    assert same(found, each)


def test_rows_without_a_vote_are_named():
    x, _ = uneven()
    votes = np.ones((len(x), 3))
    votes[7] = 0.0
    model = SoftLabelLogisticRegression(normalize=True)
    with pytest.raises(InvalidTargets, match=r"a vote in every row.*none in row 7; leave"):
        model.fit(x, votes)
    votes[7, 2] = -1.0
    with pytest.raises(InvalidTargets, match=r"at least 0.*-1.0 at row 7, column 2"):
        model.fit(x, votes)


# ---- Sparse rows ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_sparse_rows_are_the_dense_ones(kind, form):
    x, y = uneven()
    x = np.where(np.abs(x) < 0.7, 0.0, x)
    dense, sparse = kind().fit(x, y), kind().fit(form(x), y)
    assert np.array_equal(dense.coef_, sparse.coef_)
    assert np.array_equal(dense.predict_proba(x), sparse.predict_proba(form(x)))


def test_sparse_rows_that_do_not_fit_are_refused_before(monkeypatch):
    x, y = uneven()
    model = SoftLabelLogisticRegression().fit(x, y)

    def check(needed, what, advice):
        raise NotEnoughMemory(f"{needed} {what}; {advice}")

    monkeypatch.setattr(base, "check_memory", check)
    words = rf"{8 * x.size} sparse X of shape .* as a dense matrix; .*TruncatedSVD"
    for call in (lambda rows: model.fit(rows, y), model.predict):
        with pytest.raises(NotEnoughMemory, match=words):
            call(scipy.sparse.csr_array(x))


# ---- Export -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("kind", KINDS[:2])
def test_the_export_predicts_the_same(kind, k):
    x, y = uneven(k)
    ours = kind(weight_decay=1e-3).fit(x, y)
    theirs = ours.to_sklearn()
    assert type(theirs) is LogisticRegression
    assert theirs.coef_.shape == ((1 if k == 2 else 3), x.shape[1])
    assert not theirs.intercept_.any()
    new = np.random.default_rng(0).standard_normal((200, x.shape[1]))
    assert np.array_equal(theirs.predict(new), ours.predict(new))
    assert np.array_equal(theirs.classes_, ours.classes_)
    # Rounding of the logits, which enters probabilities as it is.
    scale = np.abs(new) @ np.abs(ours.coef_).max(axis=0)
    bound = 8 * x.shape[1] * np.finfo(float).eps * (1.0 + scale)
    apart = np.abs(theirs.predict_proba(new) - ours.predict_proba(new)).max(axis=1)
    assert (apart <= bound).all()
    assert theirs.n_features_in_ == x.shape[1]


def test_the_export_knows_the_columns_and_owns_its_arrays():
    pandas = pytest.importorskip("pandas")
    x, y = uneven()
    table = pandas.DataFrame(x, columns=list("abcde"))
    ours = SoftLabelLogisticRegression().fit(table, y)
    theirs = ours.to_sklearn()
    assert theirs.feature_names_in_.tolist() == list("abcde")
    before = ours.coef_.copy()
    theirs.coef_ += 1.0
    assert np.array_equal(ours.coef_, before)
