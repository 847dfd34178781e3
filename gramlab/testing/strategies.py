"""Hypothesis strategies: small instances that shrink to the plainest one that still fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.population import ClassBlockModel

try:
    from hypothesis import strategies as st
    from hypothesis.extra.numpy import arrays
except ImportError as problem:
    raise validation.missing_extra("gramlab.testing", "testing", problem) from problem

__all__ = ["features", "gram_matrices", "matrices", "near_floor", "problems", "spectra"]
__all__ += ["near_ties", "targets", "corruption_matrices", "block_models", "weight_decays"]

Array = npt.NDArray[np.float64]
Size = int | st.SearchStrategy[int]
Eigenvalues = npt.ArrayLike | st.SearchStrategy[Array]
Draw = Callable[[st.SearchStrategy[Any]], Any]

_SHARES = 8  # largest share of an entry before rows are divided by their sums


def _number(draw: Draw, size: Size | None, fewest: int, most: int) -> int:
    """The size asked for, or one of ``fewest`` to ``most``."""
    if size is None:  # counted from the fewest, which may depend on what else shrinks
        return fewest + draw(st.integers(0, most - fewest))
    return size if isinstance(size, int) else draw(size)


def _integers(draw: Draw, shape: int | tuple[int, int], low: int, high: int) -> Any:
    """An array of integers, each drawn by itself, so that each shrinks by itself."""
    return draw(arrays(np.int64, shape, elements=st.integers(low, high), fill=st.nothing()))


def _shares_of_one(shares: npt.NDArray[np.int64]) -> Array:
    """Rows (n, k) of nonnegative integers divided by their sums; rows of zeros become uniform."""
    shares = np.where(shares.any(axis=1, keepdims=True), shares, 1)
    return shares / shares.sum(axis=1, keepdims=True)


# ---- Matrices ------------------------------------------------------------------------------------


@st.composite
def matrices(
    draw: Draw,
    n_rows: Size | None = None,
    n_columns: Size | None = None,
    *,
    largest: float = 4.0,
) -> Array:
    """Matrices (n, d) of float64, entries in 32 equal steps up to ``largest`` each way.

    Where ``largest`` is a power of two, entries are exact, and so are sums of their products.
    Shrink to zeros, then to few and small entries.
    """
    shape = _number(draw, n_rows, 1, 12), _number(draw, n_columns, 1, 5)
    steps = _integers(draw, shape, -32, 32)
    return steps * (validation.check_positive("largest", largest) / 32.0)


@st.composite
def spectra(
    draw: Draw, size: Size | None = None, *, largest: float = 1.0, decades: int = 6
) -> Array:
    """Eigenvalues (r,) of a Gram matrix, descending; some are equal, some are 0.

    What is not 0 lies in quarter decades from ``largest`` down to ``largest`` 10^−decades. Shrink
    to all equal to ``largest``.
    """
    quarters = range(1 + 4 * validation.check_integer("decades", decades, 0))
    values = st.sampled_from([*(largest * 10.0 ** (-q / 4) for q in quarters), 0.0])
    count = _number(draw, size, 1, 4)
    found = draw(st.lists(values, min_size=count, max_size=count))
    return np.sort(np.array(found, dtype=np.float64))[::-1].copy()


def _orthonormal(draw: Draw, rows: int, columns: int) -> Array:
    """Orthonormal columns (rows, columns): two reflections of the unit vectors, or fewer."""
    q = np.eye(rows, columns)
    for v in _integers(draw, (2, rows), -3, 3):
        if v.any():
            q -= np.outer(v, 2.0 * (v @ q) / (v @ v))
    return q


@st.composite
def gram_matrices(
    draw: Draw,
    n_samples: Size | None = None,
    rank: Size | None = None,
    *,
    spectrum: Eigenvalues | None = None,
) -> Array:
    """Gram matrices G (N, N), symmetric and positive semidefinite.

    Without a ``spectrum`` G = A Aᵀ of a drawn A (N, rank) of eighths up to 4: every entry is exact,
    so that G is positive semidefinite without any rounding; shrink to zeros. With one, given or
    drawn, the non-zero eigenvalues are its own (r,), r ≤ N, to rounding, and ``rank`` is not used;
    shrink to diagonal.

    Raises
    ------
    InvalidSetting
        If the spectrum has more than N eigenvalues, or one that is negative or not finite.
    """
    n = _number(draw, n_samples, 2, 8)
    if spectrum is None:
        factor = draw(matrices(n, _number(draw, rank, 1, 4)))
        return factor @ factor.T
    eigenvalues = _eigenvalues(draw, spectrum)
    _check_count(eigenvalues, "n_samples", n)
    q = _orthonormal(draw, n, len(eigenvalues))
    gram = q * eigenvalues @ q.T
    return (gram + gram.T) / 2.0


def _eigenvalues(draw: Draw, spectrum: Eigenvalues) -> Array:
    """The eigenvalues (r,) asked for, given or drawn."""
    given = draw(spectrum) if isinstance(spectrum, st.SearchStrategy) else spectrum
    found = validation.as_array(given, "spectrum", InvalidSetting)
    if found.ndim != 1 or found.dtype.kind not in "fiu":
        raise InvalidSetting(
            f"spectrum must be real eigenvalues (r,), or a strategy that draws them, got "
            f"{type(given).__name__} of {found.dtype}, shape {found.shape}; pass such as "
            "[3.0, 2.0, 1.0] or spectra(3)"
        )
    message = "spectrum must be finite and at least 0, got {entry}; a Gram matrix has no other"
    validation.check_entries(found, lambda s: np.isfinite(s) & (s >= 0), message, InvalidSetting)
    return found.astype(np.float64)


def _check_count(eigenvalues: Array, name: str, size: int) -> None:
    if len(eigenvalues) > size:
        raise InvalidSetting(
            f"spectrum must have at most {name} = {size} eigenvalues, got {len(eigenvalues)}: "
            f"draw fewer, or raise {name}"
        )


# ---- Features and what is fitted to them ---------------------------------------------------------


@st.composite
def features(
    draw: Draw,
    n_samples: Size | None = None,
    n_features: Size | None = None,
    n_classes: Size | None = None,
    *,
    spectrum: Eigenvalues | None = None,
) -> Features:
    """``Features`` X (N, d) of K classes, with equal rows, zero rows and unequal classes.

    Shrink to zeros (with a ``spectrum`` to a diagonal X), and to labels 0 past one row a class.

    Parameters
    ----------
    n_samples
        N ≥ 2; by default up to 8 rows more than are needed. With N ≥ K every class has a row.
    n_features
        d; by default up to 4 columns more than are needed.
    n_classes
        K ≥ 2; by default up to 4.
    spectrum
        Eigenvalues (r,) of X Xᵀ, r ≤ min(N, d), or a strategy that draws them, such as
        ``spectra``; they then hold to rounding. Without, entries are eighths up to 4, see
        ``matrices``.

    Raises
    ------
    InvalidSetting
        If the spectrum has more than N or d eigenvalues, or one that is negative or not finite.
    """
    k = _number(draw, n_classes, 2, 4)
    eigenvalues = np.zeros(0) if spectrum is None else _eigenvalues(draw, spectrum)
    rows, columns = max(k, len(eigenvalues)), max(1, len(eigenvalues))
    n = _number(draw, n_samples, rows, rows + 8)
    d = _number(draw, n_features, columns, columns + 4)
    if spectrum is None:
        x = draw(matrices(n, d))
    else:
        _check_count(eigenvalues, "n_samples", n)
        _check_count(eigenvalues, "n_features", d)
        left, right = (_orthonormal(draw, size, len(eigenvalues)) for size in (n, d))
        x = left * np.sqrt(eigenvalues) @ right.T
    more = _integers(draw, max(0, n - k), 0, k - 1)
    given = np.concatenate([np.arange(min(n, k)), more])
    # A square symmetric draw is meant as features: steps that are told leave out the warning.
    return Features(x, given, n_classes=k, provenance={"steps": []})


@st.composite
def targets(
    draw: Draw,
    n_samples: Size | None = None,
    n_classes: Size | None = None,
    *,
    kind: Literal["any", "one-hot", "uniform"] = "any",
) -> Array:
    """Soft targets (N, K), rows on the simplex.

    Of ``kind`` "any" a row has shares of whole numbers up to 8, which makes one-hot and uniform
    rows, and zeros, common. Shrink to uniform rows, one-hot ones to class 0.

    Raises
    ------
    InvalidSetting
        If the kind is unknown.
    """
    if kind not in ("any", "one-hot", "uniform"):
        raise InvalidSetting(f"kind must be any, one-hot or uniform, got {kind!r}; choose one")
    n, k = _number(draw, n_samples, 1, 12), _number(draw, n_classes, 2, 4)
    if kind == "uniform":
        return np.full((n, k), 1.0 / k)
    if kind == "one-hot":
        return np.eye(k)[_integers(draw, n, 0, k - 1)]
    return _shares_of_one(_integers(draw, (n, k), 0, _SHARES))


@st.composite
def problems(
    draw: Draw,
    n_samples: Size | None = None,
    n_features: Size | None = None,
    n_classes: Size | None = None,
) -> tuple[Features, Array]:
    """``features`` and ``targets`` (N, K) of theirs; they shrink as those do."""
    found = draw(features(n_samples, n_features, n_classes))
    return found, draw(targets(found.n_samples, found.n_classes))


def weight_decays(smallest: float = 1e-6, largest: float = 10.0) -> st.SearchStrategy[float]:
    """Weight decays λ, evenly over the decades from ``smallest`` to ``largest``.

    Shrink to 1 where that is allowed, else to the power of ten next to it.

    Raises
    ------
    InvalidSetting
        If the two are not above 0, or not in order.
    """
    low, high = (
        float(np.log10(validation.check_positive(name, value)))
        for name, value in (("smallest", smallest), ("largest", largest))
    )
    if low > high:
        raise InvalidSetting(
            f"smallest must be at most largest = {largest}, got {smallest}: exchange the two"
        )
    return st.floats(low, high).map(lambda exponent: float(10.0**exponent))


@st.composite
def corruption_matrices(
    draw: Draw, n_classes: Size | None = None, *, dominant: bool = False
) -> Array:
    """Corruption matrices C (K, K) of any kind: C[k, j] = P(given label j | true label k).

    With ``dominant`` the true label is likelier than each other one, in every row. Shrink to the
    identity, which is no noise.
    """
    k = _number(draw, n_classes, 2, 4)
    shares = _integers(draw, (k, k), 0, _SHARES)
    np.fill_diagonal(shares, 0)
    own = np.full(k, 9) if dominant else _integers(draw, k, 0, _SHARES)
    np.fill_diagonal(shares, np.where(shares.any(axis=1), own, 1))
    return _shares_of_one(shares)


@st.composite
def block_models(
    draw: Draw,
    n_classes: Size | None = None,
    samples_per_class: Size | None = None,
) -> ClassBlockModel:
    """``ClassBlockModel`` of any correlations 0 ≤ e ≤ d < c < 1 in hundredths, and superclasses.

    Shrink to c = 0.01, d = e = 0 and all classes in one superclass.
    """
    k, n = _number(draw, n_classes, 2, 6), _number(draw, samples_per_class, 1, 5)
    sizes = [size for size in range(1, k) if k % size == 0]
    m = draw(st.none() | st.sampled_from(sizes))
    within = draw(st.integers(1, 99))
    superclass = draw(st.integers(0, within - 1))
    between = 0 if m is None else draw(st.integers(0, superclass))
    return ClassBlockModel(k, n, within / 100, superclass / 100, between / 100, m)


# ---- Where rounding decides ----------------------------------------------------------------------


@st.composite
def near_ties(draw: Draw, n_rows: Size | None = None, n_classes: Size | None = None) -> Array:
    """Probabilities (n, K) whose two largest entries are equal or differ by 2⁻⁵³ to 2⁻²⁰.

    What compares classes (an argmax, the two largest labels, a certified prediction) is tried
    here. Shrink to ties of classes 0 and 1 that share all.
    """
    n = _number(draw, n_rows, 1, 12)
    k = validation.check_integer("n_classes", _number(draw, n_classes, 2, 4), 2)
    rows = _integers(draw, (n, k), 0, _SHARES)
    gaps = draw(st.lists(st.just(0.0) | _TINY, min_size=n, max_size=n))
    firsts = _integers(draw, n, 0, k - 1)
    steps = _integers(draw, n, 1, k - 1)
    every, seconds = np.arange(n), (firsts + steps) % k
    rows[every, firsts] = rows[every, seconds] = 8
    found = _shares_of_one(rows)
    found[every, firsts] += np.array(gaps) / 2.0
    found[every, seconds] -= np.array(gaps) / 2.0
    return found


_TINY = st.integers(20, 53).map(lambda power: 2.0**-power)


@st.composite
def near_floor(
    draw: Draw,
    n_samples: Size | None = None,
    n_features: Size | None = None,
    n_classes: Size | None = None,
) -> Features:
    """``Features`` whose rank float64 cannot tell: one eigenvalue 1, the others about N times ε.

    What is 0 but for rounding, of ratios from 2⁻⁸ to 2⁸ to that floor, or exactly 0. What divides
    by eigenvalues or counts them is tried here, beside weight decays as small. Shrink to a diagonal
    X with the others at the floor itself.
    """
    n, d = _number(draw, n_samples, 4, 12), _number(draw, n_features, 2, 5)
    floor = n * float(np.finfo(np.float64).eps)
    powers = sorted(range(-8, 9), key=abs)  # what comes first is what it shrinks to
    small = st.sampled_from([*(floor * 2.0**power for power in powers), 0.0])
    others = st.lists(small, min_size=min(n, d) - 1, max_size=min(n, d) - 1)
    spectrum = others.map(lambda found: np.array([1.0, *sorted(found, reverse=True)]))
    return draw(features(n, d, n_classes, spectrum=spectrum))
