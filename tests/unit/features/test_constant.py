"""The constant column: what the step keeps, records and refuses, and the intercept that it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import gramlab
from gramlab import testing
from gramlab.check.correlations import measure_correlations
from gramlab.errors import InvalidFeatures, InvalidSetting
from gramlab.features import Features
from gramlab.features.inspection import describe_features, format_width
from gramlab.numerics.content import to_json
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import class_correlations, class_subspace_angles

EPS = float(np.finfo(np.float64).eps)


def three(n: int = 24, d: int = 5, kind=np.float64, **changes) -> Features:
    rng = np.random.default_rng(8)
    x, test = (rng.normal(size=(rows, d)).astype(kind) for rows in (n, 6))
    split = {"test_x": test, "test_labels": np.arange(6) % 3}
    return Features(x, np.arange(n) % 3, **split | changes)


def unequal(counts: tuple[int, ...], d: int, spread: float, seed: int) -> Features:
    """Classes of those sizes around means of their own, every label right."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    means = 2.0 * rng.standard_normal((len(counts), d))
    return Features(means[labels] + spread * rng.standard_normal((len(labels), d)), labels)


# ---- The step ---------------------------------------------------------------------------------


@given(testing.matrices(9, 4), st.floats(1e-3, 1e3), st.sampled_from([np.float32, np.float64]))
def test_one_column_is_appended_to_training_and_test_rows(x, value, kind):
    y = np.arange(9) % 3
    before = Features(x, y, test_x=x[:2], test_labels=y[:2])
    after = before.with_constant(value, dtype=kind)
    column = np.full((9, 1), value)
    assert np.array_equal(after.x, np.hstack([x, column]).astype(kind))
    assert np.array_equal(after.test_x, after.x[:2])
    assert after.constant == float(kind(value))
    assert before.constant is None
    step = {"step": "with_constant", "intercept_scaling": after.constant}
    assert after.provenance["steps"] == [step | {"dtype": np.dtype(kind).name}]
    assert after.fingerprint != before.fingerprint


def test_the_step_comes_last_and_is_taken_back():
    before = three().centered().unit_norm()
    after = before.with_constant()
    assert after == three().prepared(center=True, unit_norm=True, constant=True)
    assert [s["step"] for s in after.provenance["steps"]] == [
        "centered",
        "unit_norm",
        "with_constant",
    ]
    back = after.without_constant()
    assert back == before
    assert back.provenance == before.provenance
    assert np.shares_memory(back.x, after.x)
    assert before.without_constant() is before
    assert after.prepared(test=False).test_x is None
    assert after.replaced(labels=(after.labels + 1) % 3).constant == 1.0


@pytest.mark.parametrize("step", ["centered", "unit_norm", "with_constant"])
def test_a_step_after_it_is_refused(step):
    with pytest.raises(InvalidFeatures, match=rf"last step of features, got {step} after it; .*"):
        getattr(three().with_constant(), step)()


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, "1", 1e-60, 1e60])
def test_a_value_that_is_no_positive_float32_is_refused(value):
    with pytest.raises(InvalidSetting, match="intercept_scaling must be finite and greater than 0"):
        three().with_constant(value, dtype=np.float32)
    with pytest.raises(InvalidSetting, match="dtype must be float64 or float32, got float16"):
        three().with_constant(dtype=np.float16)


def test_files_and_maps_keep_it(tmp_path):
    after = three(kind=np.float16).centered().with_constant(0.5)
    path = gramlab.save_features(after, tmp_path / "f.safetensors")
    mapped = gramlab.open_features(path)
    assert mapped.is_mapped
    for back in (gramlab.load_features(path), mapped):
        assert back == after
        assert back.constant == 0.5
        assert back.provenance == after.provenance
        assert back.without_constant() == three(kind=np.float16).centered()
        with pytest.raises(InvalidFeatures, match="last step"):
            back.with_constant()
    raw = gramlab.open_features(gramlab.save_features(three(), tmp_path / "raw.safetensors"))
    assert raw.is_mapped
    assert raw.with_constant() == three().with_constant()


def test_it_is_told_apart_in_words():
    after = three().with_constant(0.5)
    assert format_width(after.provenance, after.n_features) == "d = 5 and the constant 0.5"
    assert format_width(three().provenance, 5) == "d = 5"
    assert describe_features(after)["n_features"] == 6
    assert repr(after).endswith("steps: with_constant)")


def test_a_kernel_gets_its_square():
    rows = three(20, 4)
    kernel, test = np.exp(rows.x @ rows.x.T), np.exp(rows.test_x @ rows.x.T)
    split = {"test_gram": test, "test_labels": rows.test_labels}
    before = Features.from_gram(kernel, rows.labels, **split)
    after = before.with_constant(3.0)
    size = np.linalg.norm(after.x) ** 2
    far = before.gram_distance + 20 * 20 * EPS * size
    assert np.linalg.norm(after.x @ after.x.T - (kernel + 9.0)) <= far
    told = before.provenance["steps"][0]["test_distance"]
    far = told + 20 * 20 * EPS * np.linalg.norm(after.test_x) * np.linalg.norm(after.x)
    assert np.linalg.norm(after.test_x @ after.x.T - (test + 9.0)) <= far
    assert after.gram_distance == before.gram_distance
    words = format_width(after.provenance, after.n_features)
    assert words.startswith("a kernel of rank 20 and the constant 3 (")
    # Eigenvalues are those of the new kernel, and not those that were known of the old one.
    values = np.linalg.eigvalsh(kernel + 9.0)[::-1]
    error = Spectrum.of(after).certificate.eigenvalue_error + far
    assert np.abs(Spectrum.of(after).eigenvalues[:20] - values).max() <= error
    assert abs(Spectrum.of(before).eigenvalues[0] - values[0]) > error


def test_shards_get_it_too():
    rows = three().centered()
    after = rows.with_constant(0.5)
    shards = gramlab.shard_features(rows.x, rows.labels)
    assert shards.constant is None
    shards = shards.with_constant(0.5)
    assert np.array_equal(shards.own_rows(shards.x), after.x)
    assert (shards.constant, shards.n_features, shards.n_samples) == (0.5, 6, 24)
    assert shards.max_row_norm == pytest.approx(np.linalg.norm(after.x, axis=1).max(), rel=8 * EPS)
    square = np.linalg.norm(after.x) ** 2
    assert shards.square_norm == pytest.approx(square, rel=after.x.size * EPS)
    with pytest.raises(InvalidFeatures, match=r"taken once, got rows that end in 0\.5"):
        shards.with_constant()
    with pytest.raises(InvalidFeatures, match="5 rows and 6 columns"):
        gramlab.shard_features(rows.x[:5]).with_constant()
    with pytest.raises(InvalidSetting, match="intercept_scaling"):
        gramlab.shard_features(rows.x).with_constant(0.0)


# ---- The intercept ----------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", [0.5, 1.0, 4.0])
def test_it_is_the_penalized_intercept_of_scikit_learn(scaling):
    """liblinear appends ``intercept_scaling`` and penalizes its weight; two classes, ‖W‖² = ½‖w‖².

    With weights w of the difference of two logits, W = (−w/2, w/2).
    """
    weight_decay, rows = 1e-2, unequal((40, 8), 3, 1.0, seed=2).centered()
    fit = gramlab.SoftmaxHead(weight_decay, tolerance=1e-14).fit(
        rows.with_constant(scaling), gramlab.one_hot(rows.labels, 2)
    )
    peer = LogisticRegression(
        C=2 / (rows.n_samples * weight_decay),
        solver="liblinear",
        intercept_scaling=scaling,
        tol=1e-12,
        max_iter=10**5,
    ).fit(rows.x, rows.labels)
    w = np.append(peer.coef_[0], peer.intercept_ / scaling)
    theirs = np.stack([-w / 2, w / 2], axis=1)
    allowed = fit.certificate.weights_bound + fit.certify(theirs).weights_bound
    assert np.linalg.norm(fit.weights - theirs) <= allowed <= 1e-4 * np.linalg.norm(w)
    # Planted: without the column it is another optimum, and so is an intercept that is free.
    free = LogisticRegression(C=2 / (rows.n_samples * weight_decay), tol=1e-10, max_iter=10**4)
    free = free.fit(rows.x, rows.labels)
    w = np.append(free.coef_[0], free.intercept_ / scaling)
    assert np.linalg.norm(fit.weights - np.stack([-w / 2, w / 2], axis=1)) > allowed


def test_centred_logits_average_to_zero_and_the_constant_mends_unequal_classes():
    rows = unequal((950, 50), 5, 1.0, seed=2)
    targets, head = gramlab.one_hot(rows.labels, 2), gramlab.SoftmaxHead(1e-3)
    centred = rows.centered()
    without = head.fit(centred, targets)
    sizes = np.linalg.norm(centred.x, axis=1).sum() * np.linalg.norm(without.weights)
    assert (
        np.abs(centred.x.sum(axis=0) @ without.weights).max() <= 1000 * EPS * sizes
    )  # N ε times the norms
    assert (without.labels == rows.labels).mean() < 0.7
    for prepared in (centred, centred.unit_norm()):
        fit = head.fit(prepared.with_constant(), targets)
        assert fit.certificate.relative_gap <= head.tolerance
        right = fit.labels == rows.labels
        assert min(right.mean(), right[rows.labels == 1].mean()) > 0.9  # the rare class too


def test_correlations_leave_it_out_and_angles_do_not():
    rows = three(60, 6, superclasses=[0, 0, 1]).centered().unit_norm()
    after = rows.with_constant()
    plain, same = class_correlations(rows), class_correlations(after)
    assert np.array_equal(same.matrix, plain.matrix)
    assert (same.within, same.superclass, same.between) == (
        plain.within,
        plain.superclass,
        plain.between,
    )
    one, two = (to_json(measure_correlations(f, center=False).as_dict()) for f in (rows, after))
    assert one == two
    # Centred rows miss the all-ones vector, which the indicators span; the constant brings it back.
    classes = Features(np.eye(3)[np.arange(60) % 3] + 0.1 * rows.x[:, :3], np.arange(60) % 3)
    centred = classes.centered()
    assert class_subspace_angles(centred)[-1] == pytest.approx(np.pi / 2, abs=1e-6)
    assert class_subspace_angles(centred.with_constant())[-1] < 0.5
