"""Exact numbers: the rationals that settings and corruption matrices stand for.

A float stands for the decimal that Python prints for it, so that 0.3 means 3/10. A corruption
matrix in floats has rows, and for balanced noise columns, whose sums miss 1 by rounding. After many
rounds of distillation the signal is smaller than that, so rounding would decide what is right.
Therefore the rows of the rational matrix sum to exactly 1, and so do its columns where those of the
floats do up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpq_mat

from gramlab import validation
from gramlab.errors import InvalidSetting

__all__ = ["ExactCorruption", "ball", "exact_number", "rational"]


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


def ball(value: Fraction) -> arb:
    """A ball of the precision in force that holds the number."""
    return arb(rational(value))


@dataclass(frozen=True, eq=False)
class ExactCorruption:
    """A corruption matrix C (K, K) in rational numbers, its rows summing to exactly 1.

    Attributes
    ----------
    codes : (K, K), int
        Which of the values stands in each place: entries that were equal floats stay equal.
    values
        The different entries.
    """

    codes: np.ndarray
    values: tuple[Fraction, ...]

    @classmethod
    def of(cls, matrix: np.ndarray) -> ExactCorruption:
        """The matrix that C (K, K) in floats stands for.

        Each entry is the decimal that it prints as. What a row then lacks to 1 goes to its diagonal
        entry, or to all of its entries in proportion where that one is smaller than the rounding.
        Columns whose sums miss 1 by no more than rounding are made to sum to 1 exactly, by factors
        of rows and columns that differ from 1 by as little and leave zeros what they are.
        """
        floats, codes = np.unique(matrix, return_inverse=True)
        entries = [Fraction(repr(float(x))) for x in floats]
        codes = codes.reshape(np.shape(matrix)).astype(np.int64)
        known = {value: code for code, value in enumerate(entries)}

        def code(value: Fraction) -> int:
            if value not in known:
                known[value] = len(entries)
                entries.append(value)
            return known[value]

        for k, total in enumerate(_sums(codes, entries)):
            excess = total - 1
            if excess == 0:
                continue
            own = entries[codes[k, k]]
            if own > 2 * abs(excess):
                codes[k, k] = code(own - excess)
            else:
                codes[k] = [code(entries[c] / total) for c in codes[k]]
        found = cls(codes, tuple(entries))
        columns = _sums(codes.T, entries)
        # Columns whose sums miss 1 by no more were meant to be balanced; with many classes mending
        # them would take long.
        balanced = all(abs(total - 1) <= 1e-12 for total in columns)
        if not balanced or len(codes) > 64 or all(total == 1 for total in columns):
            return found
        return _balanced(found, columns) or found

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.codes)

    def array(self, number: Callable[[Fraction], Any], dtype: type) -> np.ndarray:
        """C (K, K) as an array of numbers of another kind, such as floats or balls."""
        return np.array([number(value) for value in self.values], dtype=dtype)[self.codes]

    def mean(self, classes: Sequence[int] | np.ndarray | slice) -> list[Fraction]:
        """Mean over some rows: the given labels of those classes together, K shares."""
        rows = self.codes[classes]
        return [total / len(rows) for total in _sums(rows.T, self.values)]


def _sums(codes: np.ndarray, values: Sequence[Fraction]) -> list[Fraction]:
    """Sum of each row of ``codes``, every different value taken once with its count."""
    out = []
    for row in codes:
        present, counts = np.unique(row, return_counts=True)
        terms = (int(n) * values[c] for c, n in zip(present, counts, strict=True))
        out.append(sum(terms, Fraction(0)))
    return out


def _balanced(found: ExactCorruption, columns: list[Fraction]) -> ExactCorruption | None:
    """C_kj (1 + a_k + b_j) with all sums 1, or None where no a, b do it.

    Rows ask for a = −C b, columns then for (diag(columns) − CᵀC) b = 1 − columns.
    """
    k = found.n_classes
    c = [[found.values[code] for code in row] for row in found.codes]
    system = []
    for j in range(k):
        row = [-sum((c[i][j] * c[i][q] for i in range(k)), Fraction(0)) for q in range(k)]
        row[j] += columns[j]
        system.append([rational(x) for x in [*row, 1 - columns[j]]])
    reduced, rank = fmpq_mat(system).rref()
    b = [Fraction(0)] * k
    for i in range(rank):
        pivot = next(q for q in range(k + 1) if reduced[i, q] != 0)
        if pivot == k:
            return None
        b[pivot] = Fraction(int(reduced[i, k].p), int(reduced[i, k].q))
    a = [-sum((x * y for x, y in zip(row, b, strict=True)), Fraction(0)) for row in c]
    exact = [[c[i][j] * (1 + a[i] + b[j]) for j in range(k)] for i in range(k)]
    values = sorted({x for row in exact for x in row})
    position = {x: code for code, x in enumerate(values)}
    return ExactCorruption(np.array([[position[x] for x in row] for row in exact]), tuple(values))
