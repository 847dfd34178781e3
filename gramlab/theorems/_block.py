"""The block model as a dense exact matrix, for checks.

Checks build the N × N Gram matrix entry by entry in rational arithmetic and solve with it, so a tie
is a tie and no check uses the formula it checks. Matrices are NumPy arrays of rationals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from gramlab.population import ClassBlockModel, Population
from gramlab.population.phase import Condition
from gramlab.theorems._heads import margins
from gramlab.theorems._hypotheses import Test, all_of
from gramlab.theorems.form import Held, Hypothesis, Instance

Powers = tuple[fmpq, fmpq, fmpq, fmpq]


def _rational(values: Any) -> np.ndarray:
    """An array of integers or booleans as rationals."""
    return np.array([fmpq(int(v)) for v in np.ravel(values)], dtype=object).reshape(values.shape)


def _fraction(value: fmpq) -> Fraction:
    return Fraction(int(value.p), int(value.q))


@dataclass(frozen=True, eq=False)
class Block:
    """A finite block model; counts[k, j] samples of true class k carry the given label j.

    ``m`` classes form a superclass; rational correlations c inside a class, d inside a superclass,
    else e; μ = K N λ.
    """

    counts: Any
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
        """Samples of a class."""
        return int(sum(self.counts[0]))

    @cached_property
    def true(self) -> np.ndarray:
        """True class of every sample (N,), class by class."""
        return np.repeat(np.arange(self.n_classes), [sum(row) for row in self.counts])

    @cached_property
    def near(self) -> np.ndarray:
        """Correlation of samples of two classes (K, K)."""
        groups = np.arange(self.n_classes) // self.m
        shared = (groups[:, None] == groups) + np.eye(self.n_classes, dtype=int)
        return np.array([self.e, self.d, self.c], dtype=object)[shared]

    @cached_property
    def gram(self) -> np.ndarray:
        """The N × N Gram matrix, entry by entry."""
        gram = self.near[self.true][:, self.true]
        np.fill_diagonal(gram, fmpq(1))
        return gram

    @cached_property
    def one_hot(self) -> np.ndarray:
        """Given labels as N one-hot rows."""
        labels = np.tile(np.eye(self.n_classes, dtype=int), (self.n_classes, 1))
        return _rational(np.repeat(labels, np.ravel(self.counts), axis=0))

    def _solve(self, right: np.ndarray) -> fmpq_mat:
        """(G + μ)⁻¹ applied."""
        shifted = self.gram + self.mu * _rational(np.eye(len(self.true)))
        return fmpq_mat(shifted.tolist()).solve(fmpq_mat(right.tolist()))

    @cached_property
    def _filter(self) -> fmpq_mat:
        """h(G) = (G + μ)⁻¹G (N, N) by a dense solve."""
        return self._solve(self.gram)

    def iterate(self, t: int, targets: np.ndarray | None = None) -> np.ndarray:
        """P = 1/K + h(G)^t (T − 1/K) by t dense products; T is the given labels unless told."""
        deviations = (self.one_hot if targets is None else targets) - fmpq(1, self.n_classes)
        x = fmpq_mat(deviations.tolist())
        for _ in range(t):
            x = self._filter * x
        return np.array(x.tolist(), dtype=object) + fmpq(1, self.n_classes)

    def heldout(self, t: int) -> np.ndarray:
        """Prediction for a new point of each class, K rows: 1/K + gᵀG^{t−1}(G+μ)^{−t}D."""
        x = self._solve(self.iterate(t - 1) - fmpq(1, self.n_classes))
        near = fmpq_mat(self.near[:, self.true].tolist())
        return np.array((near * x).tolist(), dtype=object) + fmpq(1, self.n_classes)

    def margins(self, predictions: np.ndarray) -> np.ndarray:
        """Per sample: true class minus the largest other class; positive is right without a tie."""
        return margins(predictions, self.true)

    # The model's constants, as the formulas use them.

    def eigenvalues(self) -> Powers:
        """s_A = 1 − c, s_B = s_A + n(c−d), s_C = s_B + nm(d−e), s_D = s_C + nKe."""
        s_a = 1 - self.c
        s_b = s_a + self.n * (self.c - self.d)
        s_c = s_b + self.n * self.m * (self.d - self.e)
        return s_a, s_b, s_c, s_c + self.n * self.n_classes * self.e

    def filters(self, t: int = 1) -> Powers:
        """p_•^t with p = s/(s+μ)."""
        p_a, p_b, p_c, p_d = ((s / (s + self.mu)) ** t for s in self.eigenvalues())
        return p_a, p_b, p_c, p_d

    def class_means(self) -> np.ndarray:
        """C (K, K): row k holds the fractions of given labels in class k."""
        counts = _rational(np.array(self.counts))
        return counts / counts.sum(axis=1)[:, None]

    def superclass_means(self) -> np.ndarray:
        """C̄ (K, K): row k holds the mean of the rows of C in the superclass of k."""
        means = self.class_means().reshape(-1, self.m, self.n_classes).sum(axis=1) / self.m
        return np.repeat(means, self.m, axis=0)

    @cached_property
    def delta(self) -> fmpq | None:
        """Δ = min (C_kk − C_kk') over k' ≠ k with C_kk' > 0; None where no label is wrong."""
        c, k = self.class_means(), range(self.n_classes)
        gaps = (c[i, i] - c[i, j] for i in k for j in k if i != j and c[i, j] > 0)
        return min(gaps, default=None)

    # The package's population of the same numbers, and whether it says the same.

    @cached_property
    def population(self) -> Population | None:
        """The population of the package; None where the package has none like it.

        Classes of unequal size and correlations out of order are no block model there.
        """
        if not (0 <= self.e <= self.d < self.c < 1 and len({sum(row) for row in self.counts}) == 1):
            return None
        c, d, e = map(float, (self.c, self.d, self.e))
        model = ClassBlockModel(self.n_classes, self.n, c, d, e, self.m)
        decay = _fraction(self.mu) / (self.n_classes * model.n_samples)
        # λ as a rational: a float would have rounded it.
        return model.population(self.class_means().astype(float), decay)  # type: ignore[arg-type]

    def tells(self, told: Callable[[Population], Any], found: Any, rounding: float) -> bool:
        """Whether the package's population, where there is one, tells what was found."""
        if self.population is None:
            return True
        off = np.array(told(self.population)) - np.array(found, dtype=float)
        return bool(np.abs(off).max() <= rounding)

    def agrees(self, t: int, predictions: np.ndarray) -> bool:
        """Whether ``Population.linearized`` predicts the same at round t, and the same are right.

        Shares that are no decimals reach the package rounded; only there is a margin within that
        rounding left open.
        """
        if self.population is None:
            return True
        found, given = self.population.linearized(t), self.one_hot.astype(int).argmax(axis=1)
        types = zip(found.true, found.given, found.probabilities, strict=True)
        off = [
            np.abs(predictions[(self.true == k) & (given == j)].astype(float) - row).max()
            for k, j, row in types
        ]
        rounding = 16 * self.n_classes * np.finfo(float).eps
        worst = min(self.margins(predictions))
        exact = (self.population.corruption == self.class_means()).all()
        open_ = not exact and abs(float(worst)) <= rounding
        return max(off) <= rounding and (open_ or found.perfect == (worst > 0))

    def conditions(self) -> list[Condition]:
        """The package's accuracy condition of each class; none where it has no such population."""
        if self.population is None:
            return []
        excess = self.population.model.filter_excess(_fraction(self.mu))
        paired = (self.n_classes if self.m == 1 or self.d == self.e else self.m) == 2
        conditions = []
        for k, row in enumerate(self.class_means()):
            own, *wrong = map(_fraction, (row[k], *np.delete(row, k), fmpq(0)))
            first, second, *_ = sorted(wrong, reverse=True)
            conditions.append(Condition(own, first, excess, second, paired))
        return conditions

    def with_ratio(self, rho: Any) -> Block:
        """The block with μ such that p_B/p_A = ρ; itself unless 1 < ρ < s_B/s_A."""
        s_a, s_b, _, _ = self.eigenvalues()
        if not s_a < rho * s_a < s_b:
            return self
        return replace(self, mu=(rho - 1) * s_a * s_b / (s_b - rho * s_a))

    def near_ratio(self, rho: float, largest: int) -> Block:
        """The same for the nearest ρ with a denominator no larger than that."""
        return self.with_ratio(fmpq(*Fraction(rho).limit_denominator(largest).as_integer_ratio()))

    def apart(self) -> Block:
        """The block with classes far apart, so that μ can make ρ large."""
        return replace(self, c=fmpq(19, 20), d=fmpq(0), e=fmpq(0))

    def tied(self, t: int) -> Block:
        """The block with μ such that ρ^t = 1 + 1/Δ; itself where no rational μ does it."""
        if self.delta is None or self.delta <= 0:
            return self
        power = 1 + 1 / self.delta
        rho = fmpq(*(round(int(x) ** (1 / t)) for x in (power.p, power.q)))
        return self.with_ratio(rho) if rho**t == power else self


# ---- Draws ---------------------------------------------------------------------------------------


def split(rng: np.random.Generator, k: int, n: int) -> np.ndarray:
    """Any counts with row sums n: columns are not balanced."""
    return np.array([rng.multinomial(n, rng.dirichlet(np.full(k, 0.7))) for _ in range(k)])


def draw_block(
    rng: np.random.Generator,
    superclasses: int = 0,
    classes: int = 0,
    size: int = 0,
    clean: float = 0.0,
) -> Block:
    """Equal class sizes, 0 ≤ e ≤ d < c < 1, balanced corruption inside superclasses.

    What is 0 is drawn: the superclasses, the classes of one, the samples of a class, and the share
    of samples that keep their label. K is 2 to 20, N at most 40 unless the size is told; c comes
    near to 1 and d near to c, and μ is of any order from 1e-10 to 1e10.
    """
    wide = rng.random() < 0.3
    s = superclasses or int(rng.integers(1, 6 if wide else 3))
    m = classes or int(rng.integers(1 if s > 1 and wide else 2, (20 // s if wide else 4) + 1))
    n = size or int(rng.integers(1, min(9, 40 // (s * m)) + 1))
    c, d, e = draw_correlations(rng)
    clean = clean or float(rng.uniform(0.2, 0.95))
    counts = np.zeros((s * m, s * m), dtype=int)  # all row and column sums n
    for first in range(0, s * m, m):
        for _ in range(n):
            order = np.arange(m) if rng.random() < clean else rng.permutation(m)
            counts[first + np.arange(m), first + order] += 1
    return Block(counts, m, c, d, e, draw_mu(rng))


def draw_correlations(rng: np.random.Generator) -> tuple[fmpq, fmpq, fmpq]:
    """0 ≤ e ≤ d < c < 1 in decimals: in twentieths, or c near to 1, d near to c, or both."""
    c = fmpq(int(rng.integers(2, 19)), 20)
    if rng.random() < 0.3:
        c = 1 - fmpq(1, 10 ** int(rng.integers(2, 9)))
    d = c - fmpq(1, 10 ** int(rng.integers(2, 9)))
    if rng.random() < 0.7:
        d = fmpq(int(rng.integers(0, int((20 * c).ceil()))), 20)
    kind = rng.random()
    e = d if kind < 0.2 else fmpq(int(rng.integers(0, int((20 * d).floor()) + 1)), 20)
    return c, d, min(e, d)


def draw_mu(rng: np.random.Generator) -> fmpq:
    """μ of three digits, mostly of the order of the eigenvalues, else of any from 1e-10 to 1e10."""
    power = rng.uniform(-10, 10) if rng.random() < 0.3 else rng.uniform(-1.5, 1.5)
    return int(rng.integers(100, 1000)) * fmpq(10) ** (int(np.floor(power)) - 2)


def draw_round(rng: np.random.Generator, b: Block) -> int:
    """A round up to 60 for which N t, and with it the cost of a check, stays below 600."""
    return round(float(max(min(60, 600 // len(b.true)), 1)) ** rng.random())


def draw_unbalanced(rng: np.random.Generator) -> Instance:
    """A block of any labels, at a round."""
    b = draw_block(rng)
    b = replace(b, counts=split(rng, b.n_classes, b.n))
    return {"block": b, "t": draw_round(rng, b)}


def block(counts: Any, m: int, c: int, d: int, mu: Any, e: Any = 0) -> Block:
    """A block model with these counts; correlations in twentieths."""
    return Block(counts, m, fmpq(c, 20), fmpq(d, 20), fmpq(e) / 20, fmpq(mu))


# ---- Instances on which one hypothesis of several theorems fails, and such hypotheses ------------


def fixed(
    counts: Any, m: int, c: int, d: int, mu: tuple[int, int], per: int = 1, t: int = 1
) -> Callable[[np.random.Generator], Instance]:
    """Draws a block model with these counts and a μ from a range of (1/per)s, at round t."""

    def draw(rng: np.random.Generator) -> Instance:
        return {"block": block(counts, m, c, d, fmpq(int(rng.integers(*mu)), per)), "t": t}

    return draw


# Correlations inside the class below those beside it; one label given more often than the other;
# labels of another superclass.
disordered = fixed(((4, 1), (1, 4)), m=2, c=6, d=8, mu=(1, 9), t=2)
unbalanced = fixed(((3, 2), (0, 5)), m=2, c=18, d=14, mu=(20, 25))
_crossed = ((3, 0, 2, 0), (0, 3, 0, 2), (2, 0, 3, 0), (0, 2, 0, 3))
crossing = fixed(_crossed, m=2, c=18, d=16, mu=(100, 105), per=100)


def unequal(rng: np.random.Generator) -> Instance:
    """The last class has two samples more."""
    b = draw_block(rng, superclasses=1)
    *counts, last = b.counts.tolist()
    return {"block": replace(b, counts=[*counts, [last[0] + 2, *last[1:]]]), "t": 2}


def in_order(instance: Instance) -> Held:
    """Whether 0 ≤ e ≤ d < c < 1."""
    b = instance["block"]
    found = ", ".join(f"{name} = {float(getattr(b, name)):.6g}" for name in "edc")
    return Held(bool(0 <= b.e <= b.d < b.c < 1), found)


def _positive_mu(instance: Instance) -> Held:
    mu = instance["block"].mu
    return Held(bool(mu > 0), f"μ = {float(mu):.6g}")


def _equal_sizes(instance: Instance) -> Held:
    sizes = [int(sum(row)) for row in instance["block"].counts]
    return Held(len(set(sizes)) == 1, f"classes of {min(sizes)} to {max(sizes)} samples")


def columns_sum_to_one(instance: Instance) -> Held:
    """Whether every label is given as often as any other."""
    # Of the shares that the statement is about, where sampled labels differ from them.
    sums = instance.get("corruption", instance["block"].class_means()).sum(axis=0)
    found = f"column sums of C from {float(min(sums)):.6g} to {float(max(sums)):.6g}"
    return Held(bool((sums == 1).all()), found)


def stays_inside(instance: Instance) -> Held:
    """Whether labels stay inside the superclass of their class."""
    b = instance["block"]
    groups = np.arange(b.n_classes) // b.m
    leaving = b.class_means()[groups[:, None] != groups]
    most = max(leaving, default=fmpq(0))
    return Held(bool(most == 0), f"largest share that leaves its superclass: {float(most):.6g}")


def _one_group(instance: Instance) -> Held:
    """Whether no superclass is nearer than the others."""
    b = instance["block"]
    found = f"S = {b.n_classes // b.m}, d = {float(b.d):.6g}, e = {float(b.e):.6g}"
    return Held(bool(b.m == b.n_classes or b.d == b.e), found)


in_model: Test = all_of(in_order, _positive_mu)
ORDER_ALONE = Hypothesis("order", r"0 \le e \le d < c < 1,\ \mu > 0", test=in_model)
ORDER = replace(ORDER_ALONE, without=disordered)
EQUAL_SIZES = Hypothesis(
    "equal class sizes", r"n \text{ samples in each of } K \text{ classes}", unequal, _equal_sizes
)
POPULATION = Hypothesis(
    "population",
    r"n \text{ samples in each class, fractions } C_{kj} \text{ of class } k "
    r"\text{ given the label } j",
)
BALANCED = Hypothesis("balanced", r"\textstyle\sum_k C_{kj} = 1", unbalanced, columns_sum_to_one)
INSIDE = Hypothesis(
    "inside superclasses",
    r"C_{kj} = 0 \text{ unless } k, j \text{ share a superclass (void for } S = 1)",
    crossing,
    stays_inside,
)


def no_superclasses(without: Callable[[np.random.Generator], Instance]) -> Hypothesis:
    """No superclass is nearer than the others; ``without`` draws instances where one is."""
    return Hypothesis("no superclasses", r"S = 1 \text{ or } d = e", without, _one_group)
