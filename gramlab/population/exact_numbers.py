"""Exact numbers: the rationals that settings and corruption matrices stand for.

A float stands for the decimal that Python prints for it, so that 0.3 means 3/10. A corruption
matrix in floats has rows, and for balanced noise columns, whose sums miss 1 by rounding. After many
rounds of distillation the signal is smaller than that, so rounding would decide what is right.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
from flint import fmpq, fmpq_mat

from gramlab import validation
from gramlab.errors import InvalidSetting

__all__ = ["exact_corruption", "exact_number", "hardest_pair", "rational"]


def exact_number(name: str, value: object) -> Fraction:
    """The rational number that a setting stands for; InvalidSetting if there is none."""
    try:
        if isinstance(value, (str, Fraction, Decimal)):
            return Fraction(value)
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            return Fraction(int(value))
    except (ValueError, OverflowError, ZeroDivisionError) as problem:
        raise InvalidSetting(
            f"{name} must be a finite number, got {value!s}; write it as 0.3 or 3/10"
        ) from problem
    return Fraction(repr(validation.check_finite(name, value)))


def rational(value: Fraction) -> fmpq:
    """The same number, to compute with by FLINT."""
    return fmpq(value.numerator, value.denominator)


def exact_corruption(matrix: np.ndarray) -> np.ndarray:
    """The matrix (K, K) of rationals that C in floats stands for; its rows sum to exactly 1.

    Each entry is the decimal that it prints as. What a row then lacks to 1 goes to its diagonal
    entry, or to all of its entries in proportion where that one is smaller than the rounding.
    Columns whose sums miss 1 by no more than rounding are made to sum to 1 exactly, by factors
    of rows and columns that differ from 1 by as little and leave zeros what they are.
    """
    floats, codes = np.unique(matrix, return_inverse=True)
    decimals = np.array([rational(Fraction(repr(x))) for x in floats.tolist()], dtype=object)
    c = decimals[codes.reshape(matrix.shape)]
    for k, excess in enumerate(c.sum(axis=1) - 1):
        if c[k, k] > 2 * abs(excess):
            c[k, k] -= excess
        else:
            c[k] /= 1 + excess
    missed = c.sum(axis=0) - 1
    # With many classes mending the columns would take long.
    balanced = len(c) <= 64 and np.abs(missed.astype(float)).max() <= 1e-12
    return _balanced(c, missed) if balanced and missed.any() else c


def hardest_pair(
    matrix: np.ndarray, exact: np.ndarray, group: np.ndarray
) -> tuple[Fraction, Fraction]:
    """C_kk and C_kl of the classes k, l with C_kl > 0 that differ least; 1 and 0 without noise.

    ``matrix`` is C (K, K) in floats, ``exact`` the rationals it stands for, and ``group`` (K,) the
    superclass of each class.

    Raises
    ------
    InvalidSetting
        If the corruption is not balanced, for which the accuracy condition has other terms:
        columns of C must have equal sums inside each superclass, and labels must stay inside it.
    """
    for s in np.unique(group):
        columns = matrix[:, group == s].sum(axis=0)
        leaving = matrix[group == s][:, group != s]
        if np.ptp(columns) > 1e-12 or leaving.sum() > 1e-12:
            raise InvalidSetting(
                "the accuracy condition needs balanced corruption, got label masses "
                f"{columns.round(6).tolist()} in superclass {s} and {leaving.sum():.3g} leaving "
                "it: use first_perfect_round, which holds for any corruption"
            )
    off = ~np.eye(len(matrix), dtype=bool) & (matrix > 0.0)
    pairs = [(exact[k, k] - exact[k, j], k, j) for k, j in np.argwhere(off).tolist()]
    if not pairs:
        return Fraction(1), Fraction(0)
    _, k, j = min(pairs)
    own, other = exact[k, k], exact[k, j]
    return Fraction(int(own.p), int(own.q)), Fraction(int(other.p), int(other.q))


def _balanced(c: np.ndarray, missed: np.ndarray) -> np.ndarray:
    """C_kj (1 + a_k + b_j) with all sums 1; C itself where no a, b do it.

    Rows ask for a = −C b, columns then for (diag(1 + missed) − CᵀC) b = −missed.
    """
    k = len(c)
    system = np.column_stack([np.diag(1 + missed) - c.T @ c, -missed])
    reduced, rank = fmpq_mat(system.tolist()).rref()
    b = np.full(k, fmpq(0))
    for row in reduced.table()[:rank]:
        pivot = next(q for q, x in enumerate(row) if x != 0)
        if pivot == k:
            return c
        b[pivot] = row[k]
    return c * (1 - (c @ b)[:, None] + b)
