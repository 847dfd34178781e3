"""The block model as a dense exact matrix, for checks.

Checks build the N × N Gram matrix entry by entry in rational arithmetic and solve with it, so a tie
is a tie and no check uses the formula it checks. Matrices are NumPy arrays of rationals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from gramlab.theorems.form import Instance

Counts = tuple[tuple[int, ...], ...]


def _rational(values: Any) -> np.ndarray:
    """An array of integers or booleans as rationals."""
    return np.array([fmpq(int(v)) for v in np.ravel(values)], dtype=object).reshape(values.shape)


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    found = fmpq_mat(matrix.tolist()).solve(fmpq_mat(right.tolist()))
    return np.array(found.tolist(), dtype=object)


@dataclass(frozen=True, eq=False)
class Block:
    """A finite block model with the counts of given labels; every number is rational.

    Attributes
    ----------
    counts
        counts[k][j] samples of true class k carry the given label j.
    m
        Classes per superclass.
    c, d, e
        Correlation inside a class, inside a superclass, else.
    mu
        μ = K N λ.
    """

    counts: Counts
    m: int
    c: fmpq
    d: fmpq
    e: fmpq
    mu: fmpq

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.counts)

    @property
    def n(self) -> int:
        """Samples of a class; the model has as many in all."""
        return sum(self.counts[0])

    @cached_property
    def true(self) -> np.ndarray:
        """True class of every sample (N,), class by class."""
        return np.repeat(np.arange(self.n_classes), np.sum(self.counts, axis=1))

    @cached_property
    def given(self) -> np.ndarray:
        """Given label of every sample (N,)."""
        labels = np.arange(self.n_classes)
        return np.concatenate([np.repeat(labels, row) for row in self.counts])

    @cached_property
    def _near(self) -> np.ndarray:
        """Correlation of samples of two classes (K, K)."""
        groups = np.arange(self.n_classes) // self.m
        shared = (groups[:, None] == groups) + np.eye(self.n_classes, dtype=int)
        return np.array([self.e, self.d, self.c], dtype=object)[shared]

    @cached_property
    def gram(self) -> np.ndarray:
        """The N × N Gram matrix, entry by entry."""
        gram = self._near[self.true][:, self.true]
        np.fill_diagonal(gram, fmpq(1))
        return gram

    @cached_property
    def _shifted(self) -> np.ndarray:
        return self.gram + self.mu * _rational(np.eye(len(self.true)))

    @cached_property
    def one_hot(self) -> np.ndarray:
        """Given labels as N one-hot rows."""
        return _rational(self.given[:, None] == np.arange(self.n_classes))

    def iterate(self, t: int, targets: np.ndarray | None = None) -> np.ndarray:
        """P = 1/K + (G(G+μ)⁻¹)^t (T − 1/K) by t dense solves; T is the given labels unless told."""
        x = (self.one_hot if targets is None else targets) - fmpq(1, self.n_classes)
        for _ in range(t):
            x = _solve(self._shifted, self.gram @ x)
        return x + fmpq(1, self.n_classes)

    def heldout(self, t: int) -> np.ndarray:
        """Prediction for a new point of each class, K rows: 1/K + gᵀG^{t−1}(G+μ)^{−t}D."""
        x = _solve(self._shifted, self.iterate(t - 1) - fmpq(1, self.n_classes))
        return self._near[:, self.true] @ x + fmpq(1, self.n_classes)

    def margins(self, predictions: np.ndarray) -> np.ndarray:
        """Per sample: true class minus the largest other class; positive is right without a tie."""
        others = np.arange(self.n_classes) != self.true[:, None]
        rivals = predictions[others].reshape(len(predictions), -1).max(axis=1)
        return predictions[~others] - rivals

    # The model's constants, as the formulas use them.

    def eigenvalues(self) -> tuple[fmpq, fmpq, fmpq, fmpq]:
        """s_A = 1 − c, s_B = s_A + n(c−d), s_C = s_B + nm(d−e), s_D = s_C + nKe."""
        n, k = self.n, self.n_classes
        s_a = 1 - self.c
        s_b = s_a + n * (self.c - self.d)
        s_c = s_b + n * self.m * (self.d - self.e)
        return s_a, s_b, s_c, s_c + n * k * self.e

    def filters(self, t: int = 1) -> tuple[fmpq, fmpq, fmpq, fmpq]:
        """p_•^t with p = s/(s+μ)."""
        p_a, p_b, p_c, p_d = ((s / (s + self.mu)) ** t for s in self.eigenvalues())
        return p_a, p_b, p_c, p_d

    def class_means(self) -> np.ndarray:
        """C (K, K): row k holds the fractions of given labels in class k."""
        counts = _rational(np.array(self.counts))
        return counts / counts.sum(axis=1)[:, None]

    def superclass_means(self) -> np.ndarray:
        """C̄_s of the superclass of each class (K, K)."""
        groups = self.class_means().reshape(-1, self.m, self.n_classes)
        return np.repeat(groups.sum(axis=1) / self.m, self.m, axis=0)

    def overall_mean(self) -> np.ndarray:
        """C̄ (K,)."""
        return self.class_means().sum(axis=0) / self.n_classes

    def with_ratio(self, rho: fmpq) -> Block | None:
        """The block with μ such that p_B/p_A = ρ; ``None`` unless 1 < ρ < s_B/s_A."""
        s_a, s_b = self.eigenvalues()[:2]
        if not s_a < rho * s_a < s_b:
            return None
        return replace(self, mu=(rho - 1) * s_a * s_b / (s_b - rho * s_a))

    def tied(self, t: int, delta: fmpq | None) -> Block:
        """The block with μ such that ρ^t = 1 + 1/Δ, or as it was where no rational μ does it."""
        if delta is None or delta <= 0:
            return self
        power = 1 + 1 / delta
        rho = fmpq(*(round(int(x) ** (1 / t)) for x in (power.p, power.q)))
        return (self.with_ratio(rho) if rho**t == power else None) or self


def smallest_difference(c: np.ndarray) -> fmpq | None:
    """Δ = min (C_kk − C_kk') over k' ≠ k with C_kk' > 0; None where no label is wrong."""
    k = range(len(c))
    return min((c[i, i] - c[i, j] for i in k for j in k if i != j and c[i, j] > 0), default=None)


def two_hot(predictions: np.ndarray) -> tuple[np.ndarray, bool]:
    """1/2 on each sample's two largest labels, and whether no tie decides which they are."""
    targets, clear = np.full(predictions.shape, fmpq(0)), True
    for row, target in zip(predictions, targets, strict=True):
        order = sorted(range(len(row)), key=lambda j: (-row[j], j))
        clear = clear and (len(row) == 2 or row[order[1]] > row[order[2]])
        target[order[:2]] = fmpq(1, 2)
    return targets, clear


# ---- Draws ---------------------------------------------------------------------------------------


def _counts(counts: np.ndarray) -> Counts:
    return tuple(tuple(int(x) for x in row) for row in counts)


def split(rng: np.random.Generator, k: int, n: int) -> Counts:
    """Any counts with row sums n: columns are not balanced."""
    return _counts(np.array([rng.multinomial(n, rng.dirichlet(np.full(k, 0.7))) for _ in range(k)]))


def circulant(rng: np.random.Generator, superclasses: int, row: Sequence[int]) -> Counts:
    """Counts whose every row is the given one, shifted to the true class, classes renamed."""
    m = len(row)
    counts = np.zeros((superclasses * m, superclasses * m), dtype=int)
    for s in range(0, superclasses * m, m):
        names = s + rng.permutation(m)
        for k in range(m):
            counts[names[k], np.roll(names, -k)] = row
    return _counts(counts)


def draw_block(
    rng: np.random.Generator,
    *,
    superclasses: int | None = None,
    classes: int | None = None,
    size: int | None = None,
    clean: float | None = None,
) -> Block:
    """Equal class sizes, 0 ≤ e ≤ d < c < 1, balanced corruption inside superclasses."""
    s = int(rng.integers(1, 3)) if superclasses is None else superclasses
    m = int(rng.integers(2, 5 if s == 1 else 4)) if classes is None else classes
    n = int(rng.integers(3, 9 if s == 1 else 6)) if size is None else size
    c = int(rng.integers(2, 19))
    d = int(rng.integers(0, c))
    e = int(rng.integers(0, d + 1))
    clean = float(rng.uniform(0.2, 0.95)) if clean is None else clean
    mu = fmpq(int(100 * 10 ** rng.uniform(-1.5, 1.5)) + 1, 100)
    counts = np.zeros((s * m, s * m), dtype=int)  # all row and column sums n
    for first in range(0, s * m, m):
        for _ in range(n):
            order = np.arange(m) if rng.random() < clean else rng.permutation(m)
            counts[first + np.arange(m), first + order] += 1
    return block(_counts(counts), m=m, c=c, d=d, e=e, mu=mu)


def block(counts: Counts, *, m: int, c: int, d: int, mu: Any, e: Any = 0) -> Block:
    """A block model with these counts; correlations in twentieths."""
    return Block(counts, m, fmpq(c, 20), fmpq(d, 20), fmpq(e) / 20, fmpq(mu))


# Instances on which one hypothesis of several theorems fails.


def disordered(rng: np.random.Generator) -> Instance:
    """Correlations inside the class below those beside it."""
    mu = int(rng.integers(1, 9))
    return {"block": block(((4, 1), (1, 4)), m=2, c=6, d=8, mu=mu), "t": 2}


def unbalanced(rng: np.random.Generator) -> Instance:
    """One label is given more often than the other."""
    mu = 20 + int(rng.integers(5))
    return {"block": block(((3, 2), (0, 5)), m=2, c=18, d=14, mu=mu), "t": 1}


def unequal(rng: np.random.Generator) -> Instance:
    """The last class has two samples more."""
    b = draw_block(rng, superclasses=1)
    last = (b.counts[-1][0] + 2, *b.counts[-1][1:])
    return {"block": replace(b, counts=(*b.counts[:-1], last)), "t": 2}


def crossing(rng: np.random.Generator) -> Instance:
    """Labels of another superclass."""
    counts = ((3, 0, 2, 0), (0, 3, 0, 2), (2, 0, 3, 0), (0, 2, 0, 3))
    mu = 1 + fmpq(int(rng.integers(5)), 100)
    return {"block": block(counts, m=2, c=18, d=16, mu=mu), "t": 1}
