"""Kernels in place of features: the Gram matrix of features is those features, to rounding."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy
from conftest import examples, orthonormal
from hypothesis import assume, given
from hypothesis import strategies as st

import gramlab
from gramlab import Features, LinearizedHead, SoftmaxHead, Spectrum, distill, one_hot
from gramlab.check import CheckSettings, run_check
from gramlab.errors import (
    GramAsFeaturesWarning,
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    NotEnoughMemory,
)
from gramlab.spectrum import representer_weights
from gramlab.testing import matrices

ROOT = Path(__file__).resolve().parents[3]
EPS = float(np.finfo(np.float64).eps)
K = 3


def rows(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Training rows (30, d) and test rows (8, d) with class structure."""
    rng = np.random.default_rng(3)
    n, d = 30, {"d > N": 50, "d = N": 30}.get(kind, 12)
    x = rng.standard_normal((K, d))[np.arange(n) % K] + 0.7 * rng.standard_normal((n, d))
    if kind == "rank 4":
        x = x @ np.diag(np.arange(d) < 4)
    if kind == "duplicates":
        x[n // 2 :] = x[: n // 2]
    if kind == "zero rows":
        x[:4] = 0.0
    test = x[:8] + 0.3 * rng.standard_normal((8, d))
    return x, test @ np.diag(np.arange(d) < 4) if kind == "rank 4" else test


def both(kind: str, diagonal: bool = True) -> tuple[Features, Features]:
    """The same rows as features, and as their Gram matrix."""
    x, test = rows(kind)
    labels, test_labels = np.arange(len(x)) % K, np.arange(len(test)) % K
    norms = {"test_diagonal": np.square(test).sum(axis=1)} if diagonal else {}
    gram = Features.from_gram(
        x @ x.T, labels, test_gram=test @ x.T, test_labels=test_labels, **norms
    )
    return Features(x, labels, test_x=test, test_labels=test_labels), gram


KINDS = ["plain", "d > N", "d = N", "rank 4", "duplicates", "zero rows"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_linear_kernel_is_its_features(kind):
    plain, kernel = both(kind)
    assert kernel.is_gram
    assert not plain.is_gram
    assert plain.gram_distance is None
    x, test = rows(kind)
    size, n = np.linalg.norm(x, 2) ** 2, len(x)
    assert np.linalg.norm(kernel.x @ kernel.x.T - x @ x.T) <= kernel.gram_distance
    assert kernel.gram_distance <= 100 * n * EPS * size
    # What is dropped of a row is below √(N ε s_1).
    inner = kernel.test_x @ kernel.x.T - test @ x.T
    assert np.abs(inner).max() <= np.sqrt(size * n * EPS * np.square(test).sum(axis=1).max())
    norms = np.linalg.norm(kernel.test_x, axis=1)
    assert np.allclose(norms, np.linalg.norm(test, axis=1), rtol=100 * n * EPS, atol=0)

    one, other = Spectrum.of(plain), Spectrum.of(kernel)
    allowed = kernel.gram_distance + sum(s.certificate.eigenvalue_error for s in (one, other))
    for k in range(1, n + 1):
        assert abs(one.eigenvalue(k) - other.eigenvalue(k)) <= allowed
    assert np.linalg.norm(other.basis.T @ other.basis - np.eye(other.basis.shape[1])) <= n * EPS


@pytest.mark.parametrize("kind", KINDS)
def test_the_closed_form_is_that_of_the_features(kind):
    plain, kernel = both(kind)
    targets, weight_decay = one_hot(plain.labels, K), 1e-3
    mu, size = K * 30 * weight_decay, np.linalg.norm(plain.x, 2) ** 2
    head = LinearizedHead(weight_decay)
    one, other = (distill(head, f, targets, 4)[-1] for f in (plain, kernel))
    # A change of G by D changes h(G)^t by t‖D‖/μ at most.
    allowed = 4 * (kernel.gram_distance + 100 * 30 * EPS * size) / mu
    assert np.abs(one.probabilities - other.probabilities).max() <= allowed


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_exact_heads_are_those_of_the_features(kind, weighted):
    plain, kernel = both(kind)
    targets = one_hot(plain.labels, K)
    weights = np.where(np.arange(30) % 4 == 0, 3.0, 1.0) if weighted else None
    head = SoftmaxHead(1e-3, tolerance=1e-20, certified_share=1.0, sample_weight=weights)
    fits = [head.fit(f, targets) for f in (plain, kernel)]
    for split in ("x", "test_x"):
        parts = [getattr(f, split) for f in (plain, kernel)]
        logits = [part @ fit.weights for part, fit in zip(parts, fits, strict=True)]
        bounds = [fit.certificate.logit_bound(part) for part, fit in zip(parts, fits, strict=True)]
        apart = logits[0] - logits[1]
        apart = apart - apart[:, :1]
        assert sum(bounds).max() < 1e-5  # otherwise the next line says nothing
        assert np.all(np.abs(apart) <= sum(bounds)[:, None])


@examples(40)
@given(matrices(6, 4), matrices(3, 4))
def test_any_features_come_back_to_rounding(x, test):
    assume(x.any())
    gram, labels = x @ x.T, np.arange(6) % 2
    kernel = Features.from_gram(
        gram,
        labels,
        test_gram=test @ x.T,
        test_labels=[0, 1, 0],
        test_diagonal=np.square(test).sum(axis=1),
    )
    exact = np.linalg.norm(kernel.x @ kernel.x.T - gram)
    size = np.linalg.norm(x) ** 2
    assert exact <= kernel.gram_distance <= exact + 40 * EPS * size
    step = kernel.provenance["steps"][0]
    assert step["rank"] == kernel.n_features - 1 == np.linalg.matrix_rank(x)
    assert np.linalg.norm(kernel.test_x @ kernel.x.T - test @ x.T) <= step["test_distance"]
    assert (kernel.x[:, -1] == 0.0).all()
    assert (kernel.test_x[:, -1] >= 0.0).all()


def test_the_spectrum_of_a_kernel_is_not_computed_again(monkeypatch):
    calls = []
    for room, name in ((scipy.linalg, "eigh"), (scipy.linalg, "svd"), (np.linalg, "eigh")):
        real = getattr(room, name)

        def counted(*args, real=real, **settings):
            calls.append(real.__name__)
            return real(*args, **settings)

        monkeypatch.setattr(room, name, counted)
    x, test = rows("plain")
    for more in ({}, {"test_gram": test @ x.T, "test_labels": np.arange(8) % K}):
        for gram in (x @ x.T, x @ x.T + np.eye(30)):  # of low and of full rank
            kernel = Features.from_gram(gram, np.arange(30) % K, **more)
            for beside in (None, 1e-12):
                assert Spectrum.of(kernel, beside) is Spectrum.of(kernel)
            result = run_check(kernel, CheckSettings(rounds=2, weight_decay=1e-2))
            assert result.spectrum.features.is_gram
    assert calls == ["eigh"] * 4


def rbf(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = np.square(a[:, None] - b[None]).sum(axis=2)
    return np.exp(-squares / 12.0)


def ntk(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Tangent kernel of the two-layer ReLU network, both layers trained, from its formula.

    Θ(x, z) = ‖x‖‖z‖ (κ₁(u) + u κ₀(u)), u their cosine, κ the arc-cosine kernels of degree 0 and 1.
    """
    sizes = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
    u = np.clip(a @ b.T / sizes, -1.0, 1.0)
    angle = np.arccos(u)
    degree_0 = (np.pi - angle) / np.pi
    degree_1 = (np.sin(angle) + (np.pi - angle) * u) / np.pi
    return sizes * (degree_1 + u * degree_0)


def tangent_features(x: np.ndarray, width: int) -> np.ndarray:
    """Gradients (N, width (1 + d)) of f(x) = √(2/m) Σ_j a_j relu(w_jᵀx), a_j = ±1."""
    rng = np.random.default_rng(1)
    w, a = rng.standard_normal((x.shape[1], width)), rng.choice([-1.0, 1.0], width)
    pre = x @ w
    inner = (a * (pre > 0))[:, :, None] * x[:, None, :]
    return np.hstack([np.maximum(pre, 0.0), inner.reshape(len(x), -1)]) * np.sqrt(2.0 / width)


def test_the_tangent_kernel_of_wide_networks():
    x, _ = rows("plain")
    x = x[:, :5]
    theta, width = ntk(x, x), 4000
    assert np.allclose(np.diag(theta), 2 * np.square(x).sum(axis=1), rtol=1e-7)
    wide = tangent_features(x, width)
    # Entries are means of `width` draws, whose spread is of the order of the entries.
    sizes = np.sqrt(np.outer(np.diag(theta), np.diag(theta)))
    assert (np.abs(wide @ wide.T - theta) / sizes).max() <= 6.0 / np.sqrt(width)
    labels = np.arange(30) % K
    limit, finite = Features.from_gram(theta, labels), Features(wide, labels)
    targets, weight_decay = one_hot(labels, K), 1e-2
    head = LinearizedHead(weight_decay)
    predicted = [head.fit(f, targets).probabilities for f in (limit, finite)]
    apart = np.linalg.norm(wide @ wide.T - theta, 2)
    given_norm = np.linalg.norm(targets[:] - 1 / K)
    bound = apart / (K * 30 * weight_decay) * given_norm  # theorem "perturbation", c_1 = 1
    assert np.linalg.norm(predicted[0] - predicted[1]) <= bound


@pytest.mark.parametrize("kernel", [rbf, ntk])
def test_heads_of_a_nonlinear_kernel_are_those_of_its_dense_formulas(kernel):
    x, test = rows("plain")
    gram, test_gram, labels = kernel(x, x), kernel(test, x), np.arange(30) % K
    features = Features.from_gram(gram, labels, test_gram=test_gram, test_labels=labels[:8])
    targets, weight_decay = one_hot(labels, K), 1e-3
    mu, deviations = K * 30 * weight_decay, targets[:] - 1 / K
    # The dense twin: one solve with G itself.
    dense = np.linalg.solve(gram + mu * np.eye(30), deviations)
    linear = LinearizedHead(weight_decay).fit(features, targets)
    allowed = 100 * 30 * EPS * (1 + np.linalg.norm(gram, 2) / mu) + features.gram_distance / mu
    assert np.abs(linear.deviations - gram @ dense).max() <= allowed
    held_out = linear.predict_proba(features.test_x) - 1 / K
    assert np.abs(held_out - test_gram @ dense).max() <= allowed * np.linalg.norm(test_gram, 2)

    # At the optimum the representer weights are Ω(T − P)/(Nλ), Ω = 1.
    fit = SoftmaxHead(weight_decay, tolerance=1e-20).fit(features, targets)
    representer = representer_weights(features, fit.weights)
    residual = (targets[:] - fit.probabilities) / (30 * weight_decay)
    # XᵀA = W, and λ(W − XᵀR) is the gradient: A and R agree on the span of the rows.
    found = np.linalg.norm(features.x.T @ (representer - residual))
    assert found <= 2 * fit.certificate.global_bound + 1000 * EPS * np.linalg.norm(fit.weights)
    logits = features.test_x @ fit.weights
    rounding = 100 * 30 * EPS * np.linalg.norm(test_gram) * np.linalg.norm(representer)
    assert np.abs(test_gram @ representer - logits).max() <= rounding


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_representer_weights_give_the_weights_back(kind, weighted):
    plain, kernel = both(kind)
    x, test = rows(kind)
    weights = np.where(np.arange(30) % 5 == 1, 0.0, 1.25) if weighted else None
    for features in (plain, kernel, kernel.centered()):
        fit = SoftmaxHead(1e-2, sample_weight=weights).fit(features, one_hot(plain.labels, K))
        a = representer_weights(features, fit.weights)
        assert a.shape == (30, K)
        rounding = 30 * EPS * np.linalg.norm(features.x, 2) * np.linalg.norm(a)
        assert np.linalg.norm(features.x.T @ a - fit.weights) <= 2 * rounding
        if features is not kernel or kind == "zero rows":
            continue
        rounding = 100 * 30 * EPS * np.linalg.norm(test @ x.T) * np.linalg.norm(a)
        assert np.abs(test @ x.T @ a - kernel.test_x @ fit.weights).max() <= rounding


def test_weights_outside_the_span_have_no_representer():
    _, kernel = both("plain")
    outside = np.zeros((kernel.n_features, K))
    outside[-1] = 1.0  # the coordinate that no training row has
    with pytest.raises(InvalidSetting, match="span of the rows"):
        representer_weights(kernel, outside)
    with pytest.raises(InvalidSetting, match="shape"):
        representer_weights(kernel, np.zeros((2, K)))


# Preparation


@pytest.mark.parametrize("kind", ["plain", "d > N", "duplicates"])
def test_centring_and_unit_norm_are_those_of_the_features(kind):
    plain, kernel = both(kind)
    n, size = 30, np.linalg.norm(rows(kind)[0], 2) ** 2
    h = np.eye(n) - 1 / n
    double = kernel.centered()
    gram = plain.x @ plain.x.T
    assert np.linalg.norm(double.x @ double.x.T - h @ gram @ h) <= 100 * n * EPS * size
    unit, lengths = kernel.unit_norm(), np.sqrt(np.diag(gram))
    cosines = gram / np.outer(lengths, lengths)
    assert np.linalg.norm(unit.x @ unit.x.T - cosines) <= 1000 * n * EPS * size / lengths.min() ** 2
    one, other = plain.centered().unit_norm(), kernel.centered().unit_norm()
    assert [s["step"] for s in other.provenance["steps"]] == ["from_gram", "centered", "unit_norm"]
    allowed = 1e4 * n * EPS
    assert np.abs(one.x @ one.x.T - other.x @ other.x.T).max() <= allowed
    assert np.abs(one.test_x @ one.x.T - other.test_x @ other.x.T).max() <= allowed
    assert np.abs(np.linalg.norm(other.test_x, axis=1) - 1).max() <= 10 * EPS


def test_without_its_diagonal_a_test_point_has_no_norm():
    plain, kernel = both("plain", diagonal=False)
    known = both("plain")[1]
    # In the span of the training rows the projection is the point: here rows span everything.
    assert np.abs(known.test_x[:, -1]).max() <= 1e-6
    for features in (kernel, kernel.centered(), pickle.loads(pickle.dumps(kernel))):
        with pytest.raises(InvalidFeatures, match="test_diagonal"):
            features.unit_norm()
    no_test = Features.from_gram(plain.x @ plain.x.T, plain.labels)
    assert np.allclose(np.linalg.norm(no_test.unit_norm().x, axis=1), 1.0, rtol=1e-14)


def test_a_point_outside_the_span_keeps_its_norm():
    gram, labels = np.diag([2.0, 1.0, 0.5]) + 0.1, [0, 1, 0]
    found = Features.from_gram(
        gram, labels, test_gram=[[0.0, 0.0, 0.0]], test_labels=[1], test_diagonal=[9.0]
    )
    assert found.test_x.tolist() == [[0.0, 0.0, 0.0, 3.0]]
    assert found.unit_norm().test_x.tolist() == [[0.0, 0.0, 0.0, 1.0]]


# What is kept


def test_copies_files_and_relabelled_features_stay_kernels(tmp_path):
    _, kernel = both("plain", diagonal=False)
    path = gramlab.save_features(kernel, tmp_path / "k.safetensors")
    again = [gramlab.load_features(path), gramlab.open_features(path), copy.deepcopy(kernel)]
    again += [pickle.loads(pickle.dumps(kernel)), kernel.replaced()]
    for other in again:
        assert other == kernel
        assert (other.is_gram, other.gram_distance) == (True, kernel.gram_distance)
        with pytest.raises(InvalidFeatures, match="test_diagonal"):
            other.unit_norm()
        one, two = Spectrum.of(kernel), Spectrum.of(other)
        allowed = one.certificate.eigenvalue_error + two.certificate.eigenvalue_error
        assert np.abs(one.eigenvalues - two.eigenvalues).max() <= allowed
    relabelled = kernel.replaced(labels=kernel.labels[::-1].copy())
    assert Spectrum.of(relabelled) is Spectrum.of(kernel)


def test_what_is_said_of_a_kernel():
    gram = np.diag([3.0, 2.0, 1.0]).astype(np.float32)
    features = Features.from_gram(gram, [0, 1, 0], provenance={"source": "mine"})
    step = features.provenance["steps"][0]
    assert (step["step"], step["rank"], step["least_eigenvalue"]) == ("from_gram", 3, 1.0)
    assert features.provenance["stored_dtype"] == "float32"
    assert features.x.dtype == np.float64
    assert "'mine': 3 samples x 3 features of a kernel of rank 3, within " in repr(features)


def test_small_negative_eigenvalues_are_clipped_and_counted():
    rng = np.random.default_rng(2)
    basis = orthonormal(20, 20, rng)
    values = np.concatenate([np.geomspace(1.0, 1e-2, 10), np.zeros(5), np.full(5, -5e-11)])
    gram = (basis * values) @ basis.T
    gram = (gram + gram.T) / 2
    features = Features.from_gram(gram, np.arange(20) % 2)
    assert features.n_features == 10
    clipped = np.sqrt(5) * 5e-11
    assert clipped * (1 - 1e-3) <= features.gram_distance <= clipped * (1 + 1e-3)
    assert features.provenance["steps"][0]["least_eigenvalue"] == pytest.approx(-5e-11, rel=1e-3)
    with pytest.raises(InvalidFeatures, match=r"positive semidefinite, got .* -0\.0001"):
        Features.from_gram(gram - 1e-4 * np.eye(20), np.arange(20) % 2)


# What is refused, in one line


def refused(error, match, **changes):
    settings = {"gram": np.eye(4) + 0.5, "labels": [0, 1, 0, 1]} | changes
    with pytest.raises(error, match=match) as caught:
        Features.from_gram(settings.pop("gram"), settings.pop("labels"), **settings)
    assert "\n" not in str(caught.value)


def test_refusals():
    eye = np.eye(4) + 0.5
    skew = eye.copy()
    skew[1, 3] += 1e-9
    refused(InvalidFeatures, r"symmetric .* at row 1, column 3 and 0\.5 at row 3", gram=skew)
    refused(InvalidFeatures, r"must be square.*\(4, 3\)", gram=eye[:, :3])
    refused(InvalidFeatures, "least eigenvalue -1 ", gram=np.eye(4) - 0.5)
    refused(InvalidFeatures, "real numbers", gram=eye.astype(complex))
    refused(InvalidFeatures, "finite, got nan at row 0, column 0", gram=eye * np.nan)
    refused(InvalidFeatures, "largest entry", gram=np.zeros((4, 4)))
    refused(InvalidFeatures, "largest entry", gram=1e200 * eye)
    refused(InvalidLabels, "expected 4, got 3", labels=[0, 1, 0])
    refused(InvalidSetting, "provenance", provenance="mine")
    test = {"test_gram": np.full((2, 4), 0.5), "test_labels": [0, 1]}
    refused(InvalidLabels, "got no test_labels", test_gram=test["test_gram"])
    refused(InvalidLabels, "got no test_gram", test_labels=[0, 1])
    refused(InvalidFeatures, "needs test_gram", test_diagonal=[1.0])
    refused(
        InvalidFeatures, r"got \(4, 2\); pass its transpose", **test | {"test_gram": eye[:, :2]}
    )
    refused(InvalidFeatures, r"got \(2, 3\)", **test | {"test_gram": eye[:2, :3]})
    refused(
        InvalidFeatures, "test_gram must have its largest", **test | {"test_gram": 1e160 * eye[:2]}
    )
    refused(InvalidFeatures, r"shape \(N_test,\) = \(2,\)", **test, test_diagonal=[1.0])
    refused(InvalidFeatures, "test_diagonal must be finite", **test, test_diagonal=[1.0, np.inf])
    # ‖x*‖² of a point that meets each row as the mean of the rows does.
    refused(InvalidFeatures, "at least what test_gram says", **test, test_diagonal=[1.0, 0.1])


def test_memory_is_asked_before_the_factorization(monkeypatch):
    monkeypatch.setattr("gramlab.machine.memory.bytes_available", lambda: 5 * 8 * 16 - 1)
    refused(NotEnoughMemory, "4 x 4 Gram matrix")


# A Gram matrix where features are expected


def test_a_gram_matrix_passed_as_features_is_told():
    x, _ = rows("plain")
    gram, labels = x @ x.T, np.arange(30) % K
    for read in (
        lambda: Features(gram, labels),
        lambda: SoftmaxHead(1e-2).fit(gram, one_hot(labels, K)),
        lambda: distill(LinearizedHead(1e-2), gram.astype(np.float32), one_hot(labels, K), 2),
    ):
        with pytest.warns(GramAsFeaturesWarning, match=r"30 x 30 .*Features\.from_gram") as told:
            read()
        assert len(told) == 1


@given(st.sampled_from(["entry", "diagonal", "diagonal only", "two rows", "tall"]), st.data())
def test_what_is_no_gram_matrix_passes_silently(change, data):
    x = np.arange(25.0).reshape(5, 5)
    x = x + x.T
    if change == "entry":
        i, j = data.draw(st.sampled_from([(i, j) for i in range(5) for j in range(5) if i != j]))
        x[i, j] += 1e-9
    elif change == "diagonal":
        i = data.draw(st.integers(0, 4))
        x[i, i] = -1.0
    elif change == "diagonal only":
        x = np.diag(np.diag(x))
    else:
        x = x[:2, :2] if change == "two rows" else x[:, :4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Features(x, np.arange(len(x)) % 2)


def test_features_are_looked_at_once():
    x = np.ones((4, 4)) + np.eye(4)
    with pytest.warns(GramAsFeaturesWarning):
        features = Features(x, [0, 1, 0, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert features.replaced(labels=[1, 0, 1, 0]).n_samples == 4
        assert features.replaced().unit_norm().n_samples == 4


# The page
