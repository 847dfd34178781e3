"""Spectrum: prescribed answers, dense twins, and certificates that hold and catch wrong bases."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
import scipy.linalg
from conftest import examples, orthonormal, problem, with_spectrum
from hypothesis import given

from gramlab import testing
from gramlab.errors import InvalidSetting, NotEnoughMemory
from gramlab.features import Features
from gramlab.numerics.rounding import UNIT_ROUNDOFF
from gramlab.spectrum import Spectrum, dense_gram
from gramlab.spectrum.correlations import class_correlations


def features_of(x: np.ndarray, k: int = 2, **more) -> Features:
    return Features(x, np.arange(len(x)) % k, n_classes=k, **more)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (7, 40), (12, 12), (200, 3), (3, 200)])
@pytest.mark.parametrize("decades", [0, 4, 12])
def test_prescribed_spectrum_is_found_within_the_certificate(n, d, decades):
    rng = np.random.default_rng(n * d + decades)
    sigma = np.logspace(1, 1 - decades, min(n, d))
    found = Spectrum.of(features_of(with_spectrum(sigma, n, d, rng)))
    assert found.eigenvalues.shape == (min(n, d),)
    assert np.all(np.diff(found.eigenvalues) <= 0)
    assert np.all(found.eigenvalues >= 0)
    # Building X from its factors rounds too: backward error of three products of length ≤ n + d.
    built = 10 * (n + d) * UNIT_ROUNDOFF * sigma[0] ** 2
    error = np.abs(found.eigenvalues - sigma**2).max()
    assert error <= found.certificate.eigenvalue_error + built
    # The bound is of use: it resolves eigenvalues 1e10 times smaller than the largest.
    assert found.certificate.eigenvalue_error <= 1e-10 * sigma[0] ** 2
    v = found.basis
    assert np.linalg.norm(v.T @ v - np.eye(v.shape[1])) <= 10 * (n + d) ** 1.5 * UNIT_ROUNDOFF


@examples(50)
@given(testing.near_floor())
def test_eigenvalues_at_the_rounding_floor_are_within_the_certificate(features):
    """Singular values from LAPACK are known to γ_d s_1 (d ≤ 5), so their squares are for this."""
    found = Spectrum.of(features)
    singular = np.linalg.svd(features.x, compute_uv=False)
    known = 64 * UNIT_ROUNDOFF * singular[0] * (singular + 64 * UNIT_ROUNDOFF * singular[0])
    off = np.abs(found.eigenvalues - singular**2)
    assert np.all(off <= found.certificate.eigenvalue_error + known)
    assert found.certificate.eigenvalue_error < 1e-12  # of use: s_1 is 1


def test_a_wrong_answer_is_caught_by_the_certificate():
    rng = np.random.default_rng(3)
    features = features_of(rng.standard_normal((50, 6)))
    right = Spectrum.of(features).certificate.eigenvalue_error
    # A random orthonormal basis is orthonormal to the last digit and still no eigenbasis.

    def certify(basis):
        quotients = np.square(features.as_float64() @ basis).sum(axis=0)
        return Spectrum(quotients, basis, features, basis).certificate

    wrong = certify(orthonormal(6, 6, rng))
    assert wrong.orthogonality < 1e-13
    assert wrong.eigenvalue_error > 1e6 * right
    # A basis that is not orthonormal, though its columns are eigenvectors.
    scaled = Spectrum.of(features).basis * np.array([1, 1, 1, 1, 1, 1.01])
    stretched = certify(scaled)
    assert stretched.eigenvalue_error > 1e6 * right


@pytest.mark.parametrize(("n", "d"), [(30, 5), (5, 30)])
def test_rank_deficient_and_duplicate_rows(n, d):
    rng = np.random.default_rng(0)
    x = with_spectrum(np.array([3.0, 1.0]), n, d, rng)
    x[1] = x[0]
    found = Spectrum.of(features_of(x))
    expected = np.sort(np.linalg.svd(x, compute_uv=False) ** 2)[::-1]
    assert np.abs(found.eigenvalues - expected).max() <= found.certificate.eigenvalue_error
    z = found.coordinates
    # The row space is kept whole: Z V^T gives X back although eigenvalues vanish.
    assert np.abs(z @ found.basis.T - x).max() <= 100 * (n + d) * UNIT_ROUNDOFF * np.abs(x).max()


def test_gap_counts_the_zero_eigenvalues_of_g():
    x = with_spectrum(np.array([3.0, 2.0, 1.0]), 10, 3, np.random.default_rng(1))
    found = Spectrum.of(features_of(x))
    tolerance = 2 * found.certificate.eigenvalue_error
    assert abs(found.gap(1) - 5.0) <= tolerance
    assert abs(found.gap(3) - 1.0) <= tolerance
    assert found.gap(4) == 0.0
    assert found.eigenvalue(10) == 0.0
    with pytest.raises(InvalidSetting, match="at most 9, got 10"):
        found.gap(10)
    with pytest.raises(InvalidSetting, match="at most 10, got 11"):
        found.eigenvalue(11)


def test_decomposed_once_per_features():
    features = features_of(np.random.default_rng(0).standard_normal((9, 4)))
    assert Spectrum.of(features) is Spectrum.of(features)
    assert Spectrum.of(features.centered()) is not Spectrum.of(features)


def test_float16_rows_are_computed_in_float64():
    x = np.random.default_rng(5).standard_normal((60, 8)).astype(np.float16)
    found = Spectrum.of(features_of(x))
    expected = np.linalg.svd(x.astype(np.float64), compute_uv=False) ** 2
    assert np.abs(found.eigenvalues - expected).max() <= found.certificate.eigenvalue_error


@pytest.mark.parametrize(("n", "d"), [(20_000, 8), (8, 20_000)])
def test_memory_stays_far_below_a_dense_gram(n, d):
    features = features_of(np.random.default_rng(0).standard_normal((n, d)).astype(np.float32))
    tracemalloc.start()
    Spectrum.of(features)
    class_correlations(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000**2 * 8 / 40  # the dense array would be 3.2 GB


def test_dense_gram_only_after_a_memory_check():
    x = np.random.default_rng(0).standard_normal((6, 3))
    assert np.array_equal(dense_gram(features_of(x)), x @ x.T)
    big = features_of(np.ones((2_000_000, 1), dtype=np.float16) / 2)
    with pytest.raises(NotEnoughMemory, match=r"2000000 x 2000000.*needs.*TB.*Spectrum\.of"):
        dense_gram(big)


def test_class_correlations_equal_the_dense_twin():
    rng = np.random.default_rng(2)
    k, n, d = 6, 45, 4
    labels = rng.integers(0, k, n)
    groups = np.array([0, 0, 1, 1, 1, 2])
    features = Features(rng.standard_normal((n, d)), labels, n_classes=k, superclasses=groups)
    unit = features.x / np.linalg.norm(features.x, axis=1, keepdims=True)
    cosine = unit @ unit.T
    off = ~np.eye(n, dtype=bool)
    same = labels[:, None] == labels[None, :]
    near = groups[labels][:, None] == groups[labels][None, :]
    found = class_correlations(features)
    for pair, where in (
        (found.within, same & off),
        (found.superclass, near & ~same),
        (found.between, ~near),
    ):
        assert np.allclose(pair, (cosine[where].mean(), cosine[where].std()), atol=1e-13, rtol=0)
    assert np.isclose(
        found.matrix[0, 1], cosine[np.ix_(labels == 0, labels == 1)].mean(), atol=1e-13
    )
    # Planted: other labels give other correlations.
    assert abs(class_correlations(features, np.roll(labels, 1)).within[0] - found.within[0]) > 1e-3


def test_correlations_are_of_directions_however_short_the_rows():
    rng = np.random.default_rng(2)
    x, labels = rng.standard_normal((30, 4)), np.arange(30) % 3
    short = x * 10.0 ** rng.uniform(-250, 0, 30)[:, None]
    found, same = (class_correlations(Features(rows, labels)) for rows in (x, short))
    assert np.allclose(found.matrix, same.matrix, atol=1e-13, rtol=0)


def test_class_angles_equal_scipy_subspace_angles():
    features, _ = problem(40, 9, 3, seed=4)
    found = Spectrum.of(features)
    left = np.linalg.svd(features.x)[0][:, :3]
    indicators = np.eye(3)[features.labels]
    expected = np.sort(scipy.linalg.subspace_angles(left, indicators))
    assert np.allclose(found.class_angles(features.labels, 3), expected, atol=1e-7, rtol=0)


def test_certificate_is_frozen_data():
    found = Spectrum.of(features_of(np.eye(4)[:, :3] + 0.1))
    assert replace(found.certificate, residual=1.0) != found.certificate
    with pytest.raises(ValueError, match="read-only"):
        found.eigenvalues[0] = 0.0


@pytest.mark.parametrize("n", [2, 3, 7])
def test_the_certificate_counts_the_rounding_of_its_own_residual(n):
    """One column: C is a sum of squares, its eigenvector 1, and nothing but rounding is wrong."""
    used = 0.0
    for seed in range(40):
        x = np.random.default_rng(seed).standard_normal((n, 1))
        found = Spectrum.of(features_of(x))
        exact = sum(Fraction(float(v)) ** 2 for v in x[:, 0])
        error = abs(Fraction(float(found.eigenvalues[0])) - exact)
        assert error <= Fraction(found.certificate.eigenvalue_error)
        assert error <= Fraction(found.certificate.residual) + Fraction(found.certificate.rounding)
        used = max(used, float(error) / found.certificate.rounding)
    assert used > 1 / (16 * n)  # the constant is of this size


def test_the_certificate_sees_a_basis_that_misses_a_direction():
    """The leading eigenvector twice: residual 0, and one eigenvalue is not there."""
    x = with_spectrum(np.array([3.0, 1.0]), 9, 2, np.random.default_rng(0))
    found = Spectrum.of(features_of(x))
    twice, both = found.vectors[:, [0, 0]], found.eigenvalues[[0, 0]]
    certificate = replace(found, vectors=twice, eigenvalues=both).certificate
    assert certificate.residual + certificate.rounding < 1e-12
    assert certificate.eigenvalue_error >= both[1] - found.eigenvalues[1]


def largest_cosine(spectrum):
    """Between the coordinates of different eigenvectors, which exact ones have at 0."""
    unit = spectrum.coordinates / np.linalg.norm(spectrum.coordinates, axis=0)
    return np.abs(unit.T @ unit - np.eye(unit.shape[1])).max()


@pytest.mark.parametrize(("n", "d"), [(12, 4), (4, 12)])
@pytest.mark.parametrize("long", [1e5, 1e8])
def test_small_eigenvalues_beside_a_long_direction_keep_their_digits(n, d, long):
    rng = np.random.default_rng(0)
    x = np.c_[rng.standard_normal((n, d - 1)), long * (1 + 1e-6 * rng.standard_normal(n))]
    x = x @ orthonormal(d, d, rng)
    features = features_of(x)
    found = Spectrum.of(features, beside=1e-4)
    with mp.workdps(60):
        gram = mp.matrix(x.tolist())
        gram = gram.T * gram if d < n else gram * gram.T
        exact = sorted(mp.eigsy(gram, eigvals_only=True), reverse=True)
        for mine, value in zip(found.eigenvalues, exact, strict=True):
            error = abs(mp.mpf(float(mine)) - value)
            assert error <= found.certificate.eigenvalue_error
            root = abs(mp.sqrt(mp.mpf(float(mine))) - mp.sqrt(value))
            assert root <= 40 * UNIT_ROUNDOFF * mp.sqrt(exact[0])
    assert Spectrum.of(features, beside=1e-4) is found
    grade = np.sqrt(found.eigenvalues[0] / found.eigenvalues[-1])
    assert largest_cosine(found) <= 40 * UNIT_ROUNDOFF * grade
    # Planted: squares mix the small ones.
    assert largest_cosine(Spectrum.of(features)) > 100 * largest_cosine(found)
    z, v = found.coordinates, found.basis
    assert np.abs(z @ v.T - x).max() <= 100 * UNIT_ROUNDOFF * long
    assert np.linalg.norm(v.T @ v - np.eye(v.shape[1])) <= 100 * UNIT_ROUNDOFF


def test_squares_are_left_only_where_they_would_cost():
    features, _ = problem(30, 4, 3, seed=0)
    plain = Spectrum.of(features)
    assert Spectrum.of(features, beside=2e-6 * plain.eigenvalues[0]) is plain
    assert Spectrum.of(features, beside=0.5e-6 * plain.eigenvalues[0]) is not plain


def test_the_route_without_squares_reads_blocks(monkeypatch):
    x = np.random.default_rng(0).standard_normal((2000, 4))
    whole = Spectrum.of(features_of(x), beside=1e-12)
    monkeypatch.setattr("gramlab.machine.memory._BLOCK_BYTES", 8 * 4 * 50)  # fifty rows at a time
    tracemalloc.start()
    blocks = Spectrum.of(features_of(x), beside=1e-12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.allclose(whole.eigenvalues, blocks.eigenvalues, rtol=1e-13)
    assert peak < 2000**2 * 8 / 40  # the dense array
