"""A Gram matrix as feature rows, by one factorization, and what of it later steps can reuse.

A Gram matrix G determines its features up to a rotation, which changes no spectrum, head or
certificate. With G = U S Uᵀ the rows X = U√S have Gram matrix G, and a test point with kernel
values k = (k(x*, x_1), …, k(x*, x_N)) has, in the same coordinates, the projection
x* = kᵀ U S^{−1/2} on the span of the training points. So k(x*, x_i) = ⟨x*, x_i⟩ for all of them.
What a test point has outside that span, r² = k(x*, x*) − ‖x*‖², meets no training row; where
k(x*, x*) is known it becomes one more coordinate, which is 0 in all training rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy

from gramlab.errors import GramAsFeaturesWarning, InvalidFeatures
from gramlab.features.description import check_provenance, check_together
from gramlab.machine.memory import aligned, check_memory, is_mapped, row_blocks
from gramlab.numerics.content import sha256
from gramlab.numerics.rounding import UNDERFLOW, gamma, norm_bound
from gramlab.validation import as_array, check_features, check_labels

# Eigenvalues from this share of the largest one below 0 are no rounding of a positive semidefinite
# matrix. The Gram matrix of training and test points together is held to the same share.
_NEGATIVE = 1e-10
_EPS = float(np.finfo(np.float64).eps)
_RANGE = 1e-150, 1e150  # squares of the entries that features may have


class Factors(NamedTuple):
    """The spectrum of rows x (N, d), r = min(N, d), with the arrays of ``gramlab.Spectrum``."""

    eigenvalues: np.ndarray
    basis: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class GramRows:
    """Feature rows made of a Gram matrix.

    ``x`` (N, d) and ``test_x`` (N_test, d), d the rank, plus one with ``test_diagonal``;
    ``factors`` are what is known of their spectrum, ``provenance`` has their step.
    """

    x: np.ndarray
    test_x: np.ndarray | None
    factors: Factors
    provenance: dict[str, Any]


def known_factors(features: Any) -> Factors | None:
    """What the factorization of a Gram matrix told of its rows; None of other rows.

    To be asked for by ``Features.derived``, where ``Features.from_gram`` puts it.
    """
    return None


def warn_of_gram(x: np.ndarray, provenance: Any) -> None:
    """Warn (GramAsFeaturesWarning) of features x (N, d) that look like a Gram matrix.

    That is N ≥ 3 rows, symmetric to rounding, a diagonal ≥ 0 and something beside it. Blocks of
    rows are compared with columns, and the first that differs ends it. A matrix mapped from a file
    is not looked at: blocks of its columns would read the whole file once for each. Rows whose
    provenance has steps were looked at when they were made.
    """
    n = len(x)
    if isinstance(provenance, Mapping) and "steps" in provenance:
        return
    if x.shape != (n, n) or n < 3 or is_mapped(x) or (x.diagonal() < 0.0).any():
        return
    # As ``from_gram`` takes it, of kernels computed in the precision that they are stored in.
    share = n * _EPS + 8.0 * float(np.finfo(x.dtype).eps)
    tolerance = share * float(max(x.max(), -x.min()))
    for rows, block in row_blocks(x, dtype=np.float64):
        if np.abs(block - x[:, rows].T).max() > tolerance:
            return
    if np.count_nonzero(x) > np.count_nonzero(x.diagonal()):
        warnings.warn(
            f"x is a symmetric {n} x {n} matrix, which as features has the Gram matrix x @ x.T: "
            "if it holds kernel values, pass it to gramlab.Features.from_gram, or name it "
            "train_gram in an .npz file",
            GramAsFeaturesWarning,
            stacklevel=3,  # of who calls Features
        )


def factorize_gram(
    gram: object,
    labels: object,
    test_gram: object,
    test_labels: object,
    test_diagonal: object,
    provenance: Mapping[str, Any] | None,
) -> GramRows:
    """Rows of G (N, N), and of kernel values (N_test, N) and (N_test,) of test points, if any.

    Raises as ``Features.from_gram`` says, before the factorization where that can be.
    """
    check_together(test_gram=test_gram, test_labels=test_labels)
    if test_diagonal is not None and test_gram is None:
        raise InvalidFeatures("test_diagonal needs test_gram, got none; pass both, or leave it out")
    shape = np.shape(gram)  # type: ignore[arg-type]
    if len(shape) != 2 or shape[0] != shape[1]:
        raise InvalidFeatures(
            f"gram must be square, (N, N), got shape {shape}; pass the kernel values of all "
            "pairs of training points, and those of test points as test_gram"
        )
    n = shape[0]
    advice = "use fewer points, or features instead of their Gram matrix"
    check_memory(5 * 8 * n * n, f"the {n} x {n} Gram matrix and its factorization", advice)
    given = check_features(gram, "gram")
    check_labels(labels, n)
    history = check_provenance(provenance, given.dtype)
    found = None if test_gram is None else _test_values(test_gram, n)
    largest = _largest(given, "gram", least=_RANGE[0])
    symmetric = _symmetric(given.astype(np.float64, copy=False), n * _EPS * largest)
    values, vectors = scipy.linalg.eigh(symmetric, overwrite_a=True, driver="evd")
    least, top = float(values[0]), float(values[-1])
    if not least >= -_NEGATIVE * top:
        raise InvalidFeatures(
            f"gram must be positive semidefinite, got the least eigenvalue {least:.6g} beside the "
            f"largest {top:.6g} (at least {-_NEGATIVE:g} times that is allowed); compute the "
            "kernel in float64, or check that it is one"
        )
    values, vectors = values[::-1], np.ascontiguousarray(vectors[:, ::-1])
    # Below N ε s_1 an eigenvalue is not known to be positive.
    kept = values[values > n * _EPS * top]
    rank, more = len(kept), int(test_diagonal is not None)
    x = aligned((n, rank + more), np.float64)
    np.multiply(vectors[:, :rank], np.sqrt(kept), out=x[:, :rank])
    x[:, rank:] = 0.0
    facts: dict[str, Any] = {
        "step": "from_gram",
        "rank": rank,
        "least_eigenvalue": least,
        "gram_distance": _distance(given, x, x),
        "gram_sha256": sha256(given),
    }
    test_x = None
    if found is not None:
        check_memory(4 * 8 * found.size, f"the test_gram {found.shape}", "use fewer test points")
        test_x = aligned((len(found), rank + more), np.float64)
        np.matmul(found.astype(np.float64), vectors[:, :rank] / np.sqrt(kept), out=test_x[:, :rank])
        if more:
            test_x[:, rank] = _outside(test_x[:, :rank], test_diagonal, _NEGATIVE * top)
        facts |= {"test_distance": _distance(found, test_x, x), "test_diagonal": bool(more)}
    # The columns of x are orthogonal, the longest first, so they are the coordinates themselves.
    d = x.shape[1]
    r = min(n, d)
    basis = np.eye(d, r)
    factors = Factors(np.append(kept, [0.0] * more)[:r], basis, basis if d < n else vectors)
    for array in factors:
        array.setflags(write=False)
    history["steps"].append(facts)
    return GramRows(x, test_x, factors, history)


def _largest(values: np.ndarray, name: str, least: float = 0.0) -> float:
    """The largest entry, or InvalidFeatures where products would leave the range of float64."""
    largest = float(max(values.max(), -values.min()))
    if not least <= largest <= _RANGE[1]:
        raise InvalidFeatures(
            f"{name} must have its largest entry between {least:g} and {_RANGE[1]:g}, got "
            f"{largest:.3g}; multiply the kernel by a constant"
        )
    return largest


def _symmetric(gram: np.ndarray, tolerance: float) -> np.ndarray:
    """(G + Gᵀ)/2, a new array, or InvalidFeatures that names where G differs most from Gᵀ."""
    result = np.empty_like(gram, order="C")
    worst, place = 0.0, (0, 0)
    for rows, block in row_blocks(gram):
        columns = gram[:, rows].T
        np.multiply(block + columns, 0.5, out=result[rows])
        apart = np.abs(block - columns)
        if apart.max() > worst:
            i, j = np.unravel_index(int(apart.argmax()), apart.shape)
            worst, place = float(apart[i, j]), (rows.start + int(i), int(j))
    if worst > tolerance:
        i, j = place
        raise InvalidFeatures(
            f"gram must be symmetric to N·ε times its largest entry ({tolerance:.1e}), got "
            f"{gram[i, j]} at row {i}, column {j} and {gram[j, i]} at row {j}, column {i}; pass "
            "(gram + gram.T) / 2 if that is meant"
        )
    return result


def _distance(given: np.ndarray, rows: np.ndarray, x: np.ndarray) -> float:
    """Upper bound on ‖given − rows Xᵀ‖_F, what the product costs in rounding included."""
    squares: list[float] = []
    for part, block in row_blocks(given, dtype=np.float64):
        squares.append(norm_bound(block - rows[part] @ x.T))
    # |fl(RXᵀ) − RXᵀ| ≤ γ_d |R||X|ᵀ + d η entry by entry, η for what underflows.
    width = x.shape[1]
    product = gamma(width) * norm_bound(rows) * norm_bound(x)
    product += width * np.sqrt(given.size) * UNDERFLOW
    bound = norm_bound(np.array(squares)) * (1.0 + gamma(4)) + product
    return float(bound * (1.0 + gamma(16)))


def _test_values(test_gram: object, n: int) -> np.ndarray:
    found = check_features(test_gram, "test_gram")
    if found.shape[1] != n:
        turned = "its transpose" if found.shape[0] == n else "k(x*, x_i) in row *, column i"
        raise InvalidFeatures(
            f"test_gram must have shape (N_test, N), one column for each of the {n} training "
            f"points, got {found.shape}; pass {turned}"
        )
    _largest(found, "test_gram")
    return found


def _outside(test_x: np.ndarray, test_diagonal: object, tolerance: float) -> np.ndarray:
    """Coordinates r (N_test,) of k(x*, x*) = ‖x*‖² + r², or InvalidFeatures where r² is below 0."""
    given = as_array(test_diagonal, "test_diagonal")
    if given.shape != (len(test_x),):
        raise InvalidFeatures(
            f"test_diagonal must have shape (N_test,) = ({len(test_x)},), k(x*, x*) of each test "
            f"point, got {given.shape}; pass one number per row of test_gram"
        )
    diagonal = check_features(given[:, None], "test_diagonal")[:, 0].astype(np.float64)
    inside = np.einsum("ij,ij->i", test_x, test_x)
    left = diagonal - inside
    if (left < -tolerance).any():
        row = int(left.argmin())
        raise InvalidFeatures(
            f"test_diagonal must be at least what test_gram says of a point, {inside[row]:.6g} in "
            f"row {row}, got {diagonal[row]:.6g}; compute both by one kernel, in float64"
        )
    return np.sqrt(np.maximum(left, 0.0))
