"""Classes of any sizes and correlations: rounds by one matrix with a row for each class."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mat

from gramlab.errors import InvalidSetting
from gramlab.heads.closed_form import LinearizedHead
from gramlab.population.exact_numbers import exact_number, rational
from gramlab.theorems._arguments import ROUNDS, array
from gramlab.theorems._block import Block, draw_mu, draw_round, split
from gramlab.theorems._heads import features
from gramlab.theorems.form import Argument, Check, Held, Hypothesis, Instance, Rocq, Theorem


@dataclass(frozen=True, eq=False)
class _Classes(Block):
    """Classes with a correlation of their own for each pair; rows of unit norm."""

    correlations: Any = None

    @cached_property
    def near(self) -> np.ndarray:
        """Γ (K, K)."""
        return self.correlations

    @property
    def sizes(self) -> np.ndarray:
        """Samples of each class (K,)."""
        return np.array(self.counts).sum(axis=1)


def _draw(rng: np.random.Generator) -> Instance:
    k = int(rng.integers(2, 6))
    v = np.diag(rng.integers(1, 4, k))  # orthogonal classes
    if rng.random() < 0.6:
        v = np.c_[rng.integers(1, 3, k), rng.integers(-2, 3, (k, int(rng.integers(1, 4))))]
    counts = np.vstack([split(rng, k, n)[:1] for n in rng.integers(1, 6, k) ** 2 // 3 + 1])
    scale = 2 ** int((v**2).sum(axis=1).max() - 1).bit_length()
    gamma = fmpq(10**6 - 1, 10**6 * scale) * (v @ v.T).astype(object)  # near to 1 now and then
    b = _of(counts, gamma, draw_mu(rng))
    return {"correlated": b, "t": draw_round(rng, b)}


def _of(counts: np.ndarray, gamma: np.ndarray, mu: fmpq) -> _Classes:
    zero = fmpq(0)
    return _Classes(counts.tolist(), 1, zero, zero, zero, mu, gamma)


def _compare(
    instance: Instance, *, more: int = 0, equal_sizes: bool = False, transposed: bool = False
) -> Check:
    """Both sides in rationals; the right one by a matrix of K rows."""
    b, t = instance["correlated"], instance["t"]
    k, gamma, c = b.n_classes, b.correlations, b.class_means()
    if transposed:
        c = c.T
    within = 1 - np.diag(gamma)
    n = b.sizes if not equal_sizes else np.full(k, fmpq(int(sum(b.sizes)), k))
    s = fmpq_mat((gamma * n + np.diag(within)).tolist())
    shift = fmpq_mat((b.mu * np.eye(k, dtype=int)).tolist())
    a, p = (s + shift).solve(s), (within / (within + b.mu)) ** (t + more)
    means = fmpq_mat((c - fmpq(1, k)).tolist())
    for _ in range(t + more):
        means = a * means
    far = np.array(means.tolist(), dtype=object)
    found = b.iterate(t)
    predicted = fmpq(1, k) + p[b.true][:, None] * (b.one_hot - c[b.true]) + far[b.true]
    margins, good = b.margins(found), (found == predicted).all()
    if not (gamma * (1 - np.eye(k, dtype=int))).any():
        rho = np.array([a[i, i] for i in range(k)]) ** (t + more) / p
        for i in range(k):
            gaps = [c[i, i] - c[i, j] for j in range(k) if j != i and c[i, j] > 0]
            right = all(gap * (rho[i] - 1) > 1 for gap in gaps)
            good = good and right == (min(margins[b.true == i]) > 0)
    return Check(bool(good), float(min(margins))).also(_agrees(b, t, found))


def _agrees(b: _Classes, t: int, found: np.ndarray) -> bool:
    """Whether the package's closed form on rows of this Gram matrix predicts the same."""
    values, vectors = np.linalg.eigh(b.gram.astype(float))
    rows = features(vectors * np.sqrt(values.clip(min=0)), b.n_classes)
    mu, (n, k) = float(b.mu), found.shape
    told = LinearizedHead(mu / (k * n)).rounds_at_once(rows, b.one_hot.astype(float), t)
    rounding = 1e-14 * n * t * (1 + values[-1] / mu)
    return bool(np.abs(told.deviations + 1 / k - found.astype(float)).max() <= rounding)


def _instance(correlations: np.ndarray, counts: np.ndarray, mu: fmpq, rounds: int) -> Instance:
    whole = counts.astype(int)
    if (whole != counts).any() or (counts < 0).any() or not counts.any(axis=1).all():
        raise InvalidSetting(
            f"counts must be whole numbers, some in every row, got {counts.tolist()}; pass how "
            "many samples of class k carry the given label j"
        )
    gamma = [[rational(exact_number("correlations", x)) for x in row] for row in correlations]
    return {"correlated": _of(whole, np.array(gamma, dtype=object), mu), "t": rounds}


def _gram(instance: Instance) -> Held:
    b = instance["correlated"]
    gamma, least = b.correlations, float(np.linalg.eigvalsh(b.gram.astype(float))[0])
    diagonal = np.diag(gamma)
    good = (gamma == gamma.T).all() and 0 <= min(diagonal) <= max(diagonal) < 1 and b.mu > 0
    good = good and least >= -1e-12 * len(b.true)
    return Held(bool(good), f"λ_min(G) = {least:.3g}, μ = {float(b.mu):.6g}")


THEOREM = Theorem(
    name="unequal-classes",
    title="Classes of unequal sizes and correlations",
    source="D",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis(
            "class-wise correlations",
            r"\langle x_i, x_j \rangle = \Gamma_{kl} = \Gamma_{lk} \text{ for } i \ne j "
            r"\text{ of classes } k, l,\ \lVert x_i \rVert = 1,\ 0 \le \Gamma_{kk} < 1,\ \mu > 0",
            test=_gram,
        ),
        Hypothesis(
            "class fractions",
            r"\text{a fraction } C_{kj} \text{ of the } n_k \text{ samples of class } k "
            r"\text{ is given the label } j",
        ),
    ),
    statement=r"P_i^{(t)} = \tfrac1K + q_k^t (y_i - C_k) + (A^t (C - \tfrac1K))_k, \quad q_k = "
    r"\frac{1 - \Gamma_{kk}}{1 - \Gamma_{kk} + \mu},\ A = S (S + \mu)^{-1},\ S = "
    r"\operatorname{diag}(1 - \Gamma_{kk}) + \Gamma \operatorname{diag}(n); \quad \text{for } "
    r"\Gamma_{kl} = 0\ (k \ne l): \text{ all of class } k \text{ is right} \iff C_{kk} - C_{kl} > "
    r"\frac{1}{(A_{kk} / q_k)^t - 1} \text{ for all } l \ne k \text{ with } C_{kl} > 0,\ \tfrac10 "
    r"= \infty",
    kernel=Rocq("unequal_classes.v", ("unequal_classes", "unequal_classes_right")),
    draw=_draw,
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, more=1),
        "sizes taken for equal": lambda i: _compare(i, equal_sizes=True),
        "transposed C": lambda i: _compare(i, transposed=True),
    },
    arguments={
        "correlations": array("Γ: of two samples of classes k and l", "K", "K"),
        "counts": array("how many samples of class k carry the given label j", "K", "K"),
        "mu": Argument("μ > 0", lambda name, value, _: rational(exact_number(name, value))),
        "rounds": ROUNDS,
    },
    instance=_instance,
    runs=("gramlab.LinearizedHead.rounds_at_once",),
)
