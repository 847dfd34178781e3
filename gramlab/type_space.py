"""Types: the few kinds of rows on which a population's predictions live, and the exact head there.

All rows with the same (true, given) pair share one prediction. The block Gram matrix acts on
functions of types through four orthogonal projections; where the noise treats all classes alike,
three types stand for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gramlab import errors
from gramlab.heads.objective import softmax, softmax_deviations

__all__ = ["AlikeTypes", "BlockModel", "TypePredictions", "Types", "class_relation", "solve_types"]

_TIE = 1e-12  # margins below this share of the signal count as ties: no round decides them


class BlockModel(Protocol):
    """What types need to know of a block model."""

    @property
    def n_classes(self) -> int:
        """K."""
        ...

    @property
    def n_samples(self) -> int:
        """N."""
        ...

    @property
    def superclasses(self) -> np.ndarray:
        """Superclass number of each class (K,)."""
        ...

    @property
    def spectrum(self) -> np.ndarray:
        """The four eigenvalues."""
        ...


@dataclass(frozen=True, eq=False)
class TypePredictions:
    """Predictions of one round by type.

    Attributes
    ----------
    true, given : (A,)
        True and given class of each type; one representative each where classes are alike.
    deviations : (A, K)
        p − 1/K.
    margin_bound : (A,)
        How much the margin in logits can differ from the exact one; 0 for closed forms.
    logits : (A, K) or None
        Logits of the exact head.
    """

    true: np.ndarray
    given: np.ndarray
    deviations: np.ndarray
    margin_bound: np.ndarray
    logits: np.ndarray | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """P (A, K)."""
        return self.deviations + 1.0 / self.deviations.shape[1]

    def of(self, true: int, given: int) -> np.ndarray:
        """Prediction (K,) of the type (true, given), relabelled if a representative stands for it.

        Raises
        ------
        InvalidSetting
            If no sample is of that type.
        """
        where = np.flatnonzero((self.true == true) & (self.given == given))
        if not len(where):
            raise errors.InvalidSetting(
                f"no type (true {true}, given {given}) among {len(self.true)} types: its share is "
                "0, or another type stands for it (classes are alike here)"
            )
        return self.probabilities[where[0]]

    @property
    def margins(self) -> np.ndarray:
        """True class over the best other class, in logits if there are any, else in p (A,)."""
        values = self.deviations if self.logits is None else self.logits
        rows = np.arange(len(self.true))
        others = values.copy()
        others[rows, self.true] = -np.inf
        return values[rows, self.true] - others.max(axis=1)

    @property
    def perfect(self) -> bool:
        """Whether every type is predicted as its true class, by more than the certificate."""
        values = self.deviations if self.logits is None else self.logits
        return bool(np.all(self.margins > self.margin_bound + _TIE * np.ptp(values, axis=1)))


def class_relation(superclasses: np.ndarray) -> np.ndarray:
    """0 same class, 1 same superclass, 2 other superclass, for each pair of classes (K, K)."""
    same = superclasses[:, None] == superclasses[None, :]
    relation = np.where(same, 1, 2)
    np.fill_diagonal(relation, 0)
    return relation


class Types:
    """Every (true, given) pair with a positive share, and the Gram matrix acting on them."""

    def __init__(self, model: BlockModel, matrix: np.ndarray) -> None:
        self.model = model
        self.true, self.given = np.nonzero(matrix)
        self.share = matrix[self.true, self.given] / model.n_classes  # of all rows
        k = model.n_classes
        self.targets = np.eye(k)[self.given] - 1.0 / k

    def spectral(self, values: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Factors times the four projections of values (A, K): a function of G, on types."""
        k = self.model.n_classes
        weighted = self.share[:, None] * values
        by_class = np.zeros((k, k))
        np.add.at(by_class, self.true, weighted)
        by_class *= k  # class means
        group = self.model.superclasses
        by_group = np.stack([by_class[group == s].mean(axis=0) for s in range(group[-1] + 1)])
        overall = by_class.mean(axis=0)
        a, b, c, d = factors
        of_class = (b - a) * by_class + (c - b) * by_group[group] + (d - c) * overall
        return a * values + of_class[self.true]

    def inner(self, left: np.ndarray, right: np.ndarray) -> float:
        """(1/N) Σ_i ⟨left_i, right_i⟩ over all rows."""
        return float(np.einsum("a,ak,ak->", self.share, left, right))


class AlikeTypes(Types):
    """Representatives of class 0 where C only knows same class, same superclass, other.

    Functions of types are then invariant under permutations of classes inside superclasses and of
    superclasses; means over the class's other labels are means over relations.
    """

    def __init__(self, model: BlockModel, matrix: np.ndarray) -> None:
        super().__init__(model, matrix)
        relation = class_relation(model.superclasses)[0]
        counts = np.bincount(relation, minlength=3)
        first = {r: int(np.flatnonzero(relation == r)[0]) for r in range(3) if counts[r]}
        present = [r for r in first if matrix[0, first[r]] > 0.0]
        self.relation, self.counts = relation, counts
        self.true = np.zeros(len(present), dtype=np.int64)
        self.given = np.array([first[r] for r in present])
        self.share = np.array([counts[r] * matrix[0, first[r]] for r in present])
        k = model.n_classes
        self.targets = np.eye(k)[self.given] - 1.0 / k

    def spectral(self, values: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """As for all types, with the class mean spread evenly over each relation."""
        sums = np.stack([np.bincount(self.relation, row, minlength=3) for row in values])
        # Mean over class 0 of the entry on a class of each relation.
        mean = (self.share @ sums) / np.maximum(self.counts, 1)
        m, k = self.counts[0] + self.counts[1], len(self.relation)
        own, near, far = mean
        group_near = (own + (m - 1) * near) / m
        by_group = np.where(self.relation < 2, group_near, far)
        overall = (own + (m - 1) * near + (k - m) * far) / k
        a, b, c, d = factors
        of_class = (b - a) * mean[self.relation] + (c - b) * by_group + (d - c) * overall
        return a * values + of_class


def solve_types(
    types: Types, weight_decay: float, targets: np.ndarray, start: TypePredictions | None
) -> TypePredictions:
    """The exact head on types, by Newton steps in the whitened function space.

    With V = K^{1/2} U (K the Gram matrix on types) the objective is
    (1/N) Σ CE(T_i, softmax(V_i)) + (λ/2) Σ_i ‖U_i‖², the same as that of weights, and its metric at
    uniform predictions is diagonal in the four eigenspaces.
    """
    model, lam = types.model, weight_decay
    n = model.n_samples
    spectrum = model.spectrum
    root = np.sqrt(spectrum)

    def logits_of(u: np.ndarray) -> np.ndarray:
        return types.spectral(u, root)

    def gradient_of(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        # Gradient density with respect to (1/N) Σ⟨·,·⟩: g_i = K^{1/2}(P − T)_i + Nλ U_i.
        return types.spectral(softmax_deviations(v) - targets, root) + n * lam * u

    if start is None or start.logits is None:
        u = np.zeros_like(targets)
    else:
        u = types.spectral(start.logits, 1.0 / root)
    v = logits_of(u)
    g = gradient_of(u, v)
    first = math.sqrt(types.inner(targets, types.spectral(targets, spectrum)))
    best = math.inf
    for _ in range(200):
        norm = math.sqrt(types.inner(g, g))
        if norm <= 1e-15 * first or (norm >= 0.5 * best and norm <= 1e-11 * first):
            break
        best = min(best, norm)
        step = _newton_direction(types, softmax(v), g, spectrum, root, n * lam, min(0.01, norm))
        change = logits_of(step)
        size = 1.0
        slope = types.inner(g, step)
        for _ in range(60):  # the objective is convex: stop where the slope has not changed sign
            new = types.inner(gradient_of(u + size * step, v + size * change), step)
            if abs(new) <= 0.9 * abs(slope):
                break
            size *= 0.5
        u, v = u + size * step, v + size * change
        g = gradient_of(u, v)
    v = logits_of(u)
    g = gradient_of(u, v)
    # ‖∇_W L‖² = (1/N)·(1/N)Σ‖g_i‖²; ‖W − W*‖ ≤ ‖∇‖/λ; unit rows: a logit difference ≤ √2 of it.
    gradient = math.sqrt(types.inner(g, g) / n)
    rounding = 64 * np.finfo(np.float64).eps * first / math.sqrt(n)
    bound = math.sqrt(2.0) * (gradient + rounding) / lam
    return TypePredictions(
        types.true, types.given, softmax_deviations(v), np.full(len(v), bound), v
    )


def _newton_direction(types, p, g, spectrum, root, ridge, forcing):
    """Conjugate gradients on (K^{1/2} S K^{1/2} + Nλ) D = −g in the metric of uniform curvature."""
    k = p.shape[1]
    curvature = float(types.share @ (1.0 - np.einsum("ak,ak->a", p, p))) / (k - 1)
    metric = 1.0 / (curvature * spectrum + ridge)

    def product(d: np.ndarray) -> np.ndarray:
        change = types.spectral(d, root)
        change = p * (change - np.einsum("ak,ak->a", p, change)[:, None])
        return types.spectral(change, root) + ridge * d

    d = np.zeros_like(g)
    residual = -g
    scaled = types.spectral(residual, metric)
    search = scaled
    rho = types.inner(residual, scaled)
    stop = (forcing**2) * types.inner(residual, residual)
    for _ in range(500):
        curved = product(search)
        step = rho / types.inner(search, curved)
        d = d + step * search
        residual = residual - step * curved
        if types.inner(residual, residual) <= stop:
            break
        scaled = types.spectral(residual, metric)
        previous, rho = rho, types.inner(residual, scaled)
        search = scaled + (rho / previous) * search
    return d
