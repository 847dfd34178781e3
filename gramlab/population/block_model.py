"""The block model and its population: linear iterates in closed form, exact iterates by symmetry.

Block model (paper; theory of the Gram matrix of classes and superclasses): ⟨x_i, x_j⟩ is 1 for
i = j, c inside a class, d inside a superclass, e elsewhere, 0 ≤ e ≤ d < c < 1. Population: every
class has n rows, and a share C[k, j] of class k carries the given label j.

Both the linear and the exact iterates live on at most K² *types* of rows (``types``), so n is only
a number, and n = 10⁸ costs what n = 10 does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.labels import CorruptedLabels, corrupt_labels
from gramlab.numerics.streams import stream, uniforms
from gramlab.numerics.text import short_repr
from gramlab.population.exact_numbers import exact_corruption, exact_number, hardest_pair
from gramlab.population.rounds import BITS, ExactRounds, closed_form
from gramlab.population.types import TypePredictions, Types, types_of
from gramlab.spectrum.filters import filter_power

__all__ = ["BlockEigenvalue", "ClassBlockModel", "Population"]

Kind = Literal["linearized", "exact"]


@dataclass(frozen=True)
class BlockEigenvalue:
    """One eigenvalue of the block Gram matrix, its multiplicity and its eigenspace in words."""

    value: float
    multiplicity: int
    eigenspace: str


@dataclass(frozen=True)
class ClassBlockModel:
    """Gram matrix with K balanced classes in superclasses of equal size.

    Parameters
    ----------
    n_classes
        K ≥ 2.
    samples_per_class
        n ≥ 1; N = K n.
    within, superclass, between
        c, d, e: correlation inside a class, between classes of one superclass, between
        superclasses; 0 ≤ e ≤ d < c < 1.
    superclass_size
        m, a divisor of K; ``None`` puts all classes into one superclass (then e is not used).

    Raises
    ------
    InvalidSetting
        If the parameters are out of range, or m does not divide K.
    """

    n_classes: int
    samples_per_class: int
    within: float
    superclass: float = 0.0
    between: float = 0.0
    superclass_size: int | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        validation.check_integer("n_classes", self.n_classes, 2)
        validation.check_integer("samples_per_class", self.samples_per_class, 1)
        c, d, e = (
            validation.check_finite(name, getattr(self, name))
            for name in ("within", "superclass", "between")
        )
        if self.superclass_size is None and e != 0.0:
            raise errors.InvalidSetting(
                f"between = {e} has no meaning without superclass_size: give the correlation of "
                "classes as superclass, or the size of a superclass"
            )
        if not 0.0 <= e <= d < c < 1.0:
            raise errors.InvalidSetting(
                "correlations must satisfy 0 <= between <= superclass < within < 1, got between = "
                f"{e}, superclass = {d}, within = {c}: outside it the Gram matrix is not of this "
                "model or not positive definite"
            )
        if self.superclass_size is not None:
            m = validation.check_integer("superclass_size", self.superclass_size, 1)
            if self.n_classes % m:
                raise errors.InvalidSetting(
                    f"superclass_size must divide n_classes = {self.n_classes}, got {m}: choose "
                    "one of its divisors"
                )

    @property
    def n_samples(self) -> int:
        """N = K n."""
        return self.n_classes * self.samples_per_class

    @property
    def _size(self) -> int:
        return self.superclass_size or self.n_classes

    @property
    def _between(self) -> float:
        return self.superclass if self.superclass_size is None else self.between

    @property
    def _classes(self) -> np.ndarray:
        """True class of each row (N,)."""
        return np.repeat(np.arange(self.n_classes), self.samples_per_class)

    @property
    def superclasses(self) -> np.ndarray:
        """Superclass number of each class (K,)."""
        return np.arange(self.n_classes) // self._size

    @property
    def exact_spectrum(self) -> tuple[Fraction, Fraction, Fraction, Fraction]:
        """The four eigenvalues of the decimals that the correlations print as."""
        n, k = self.samples_per_class, self.n_classes
        c, d, e = (
            exact_number("correlation", x) for x in (self.within, self.superclass, self._between)
        )
        of_classes = 1 - c + n * (c - d)
        of_superclasses = of_classes + n * self._size * (d - e)
        return 1 - c, of_classes, of_superclasses, of_superclasses + n * k * e

    @property
    def spectrum(self) -> np.ndarray:
        """(s_A, s_B, s_C, s_D): inside a class, class and superclass differences, all ones."""
        return np.array([float(s) for s in self.exact_spectrum])

    def eigenvalues(self) -> tuple[BlockEigenvalue, ...]:
        """Eigenvalues with multiplicities and eigenspaces; empty eigenspaces are left out."""
        k, n, groups = self.n_classes, self.samples_per_class, self.n_classes // self._size
        names = "inside a class", "class differences inside a superclass", "superclass differences"
        counts = k * (n - 1), k - groups, groups - 1, 1
        found = map(BlockEigenvalue, self.spectrum.tolist(), counts, (*names, "all ones"))
        return tuple(eigenvalue for eigenvalue in found if eigenvalue.multiplicity)

    def gram(self) -> np.ndarray:
        """G (N, N) in full, for small models and checks."""
        group = self.superclasses
        blocks = np.where(group[:, None] == group, self.superclass, self._between)
        np.fill_diagonal(blocks, self.within)
        gram = blocks[np.ix_(self._classes, self._classes)]
        np.fill_diagonal(gram, 1.0)
        return gram

    def sample_features(self) -> np.ndarray:
        """Rows x (N, K + S + 1 + N) whose Gram matrix is exactly this model's.

        x_i = √(1−c) e_i + √(c−d) e_class + √(d−e) e_superclass + √e 1: a factor of the block Gram,
        so it is positive semidefinite by construction. Entrywise noise on G has no such factor.
        """
        classes, groups = self._classes, self.superclasses[self._classes]
        return np.hstack(
            [
                math.sqrt(1.0 - self.within) * np.eye(self.n_samples),
                math.sqrt(self.within - self.superclass) * np.eye(self.n_classes)[classes],
                math.sqrt(self.superclass - self._between) * np.eye(int(groups[-1]) + 1)[groups],
                np.full((self.n_samples, 1), math.sqrt(self._between)),
            ]
        )

    def sample(
        self, matrix: np.ndarray, *, seed: int, exact_counts: bool = False
    ) -> tuple[Features, CorruptedLabels]:
        """A finite sample: features with exactly this Gram matrix, and noisy labels.

        With ``exact_counts`` every class has exactly n C[k, j] labels j, the population itself.

        Raises
        ------
        InvalidSetting
            If C is not a corruption matrix, or ``exact_counts`` is asked for and n C is not whole.
        """
        c = _checked(matrix, self.n_classes)
        expected = self.samples_per_class * c
        missed = np.abs(expected - np.round(expected))
        if exact_counts and missed.max() > 1e-9:
            k, j = np.unravel_index(missed.argmax(), c.shape)
            raise errors.InvalidSetting(
                f"exact counts need whole numbers n C[k, j], got {expected[k, j]:.6g} at k = {k}, "
                f"j = {j} for n = {self.samples_per_class}: choose a larger or more divisible "
                "samples_per_class"
            )
        features = Features(
            self.sample_features(),
            self._classes,
            n_classes=self.n_classes,
            superclasses=self.superclasses,
            provenance={"source": repr(self)},
        )
        return features, corrupt_labels(self._classes, c, seed=seed, exact_counts=exact_counts)

    def published_gram(self, epsilon: float, *, seed: int, project: bool = False) -> np.ndarray:
        """The entrywise-noise "Gram" of the authors' synthetic experiments, by name only.

        Their matrix adds independent uniform noise on [−ε, ε] to every entry. It is not symmetric
        and, at their ε = 0.05, not positive semidefinite, so no features produce it.

        With ``project`` the result is the nearest positive semidefinite matrix to its symmetric
        part.

        Raises
        ------
        InvalidSetting
            If the matrix is not positive semidefinite and ``project`` is False; the smallest
            eigenvalue and the count of negative ones are named.
        """
        width = validation.check_positive("epsilon", epsilon)
        purpose = int.from_bytes(b"noisegrm", "big")
        words = stream(validation.check_integer("seed", seed, 0), purpose)
        n = self.n_samples
        noise = width * (2.0 * uniforms(words.random_raw(n * n)).reshape(n, n) - 1.0)
        values, vectors = np.linalg.eigh(self.gram() + (noise + noise.T) / 2.0)
        if project:
            return (vectors * np.maximum(values, 0.0)) @ vectors.T
        raise errors.InvalidSetting(
            f"the published matrix is not symmetric, and its symmetric part has "
            f"{(values < 0).sum()} of {n} negative eigenvalues (smallest {values[0]:.3g}): no "
            "features have this Gram matrix; use sample_features(), or project=True for the "
            "nearest Gram matrix"
        )

    def population(self, matrix: np.ndarray, weight_decay: float) -> Population:
        """The population with corruption matrix C (K, K) at weight decay λ, else InvalidSetting."""
        return Population(self, _checked(matrix, self.n_classes), weight_decay)

    def filter_excess(self, mu: Fraction) -> Fraction:
        """ρ − 1 = μ(s_B − s_A)/(s_A(s_B + μ)), how much more class differences are kept.

        With superclasses of one class, class differences are superclass differences: s_C for s_B.
        """
        a, s = self.exact_spectrum[0], self.exact_spectrum[2 if self.superclass_size == 1 else 1]
        return mu * (s - a) / (a * (s + mu))


def _checked(matrix: np.ndarray, n_classes: int) -> np.ndarray:
    """C (K, K) as float64, its rows on the simplex."""
    try:
        return validation.check_targets(matrix, n_classes, n_classes, name="matrix")
    except errors.InvalidTargets as problem:
        raise errors.InvalidSetting(f"{problem}; or use gramlab.corruption_matrix") from problem


def least_rounds(difference: float | Fraction, excess: float | Fraction) -> float:
    """t* = ln(1 + 1/Δ)/ln ρ (paper), from Δ and ρ − 1; infinite if Δ ≤ 0."""
    return math.inf if difference <= 0 else math.log1p(1 / difference) / math.log1p(excess)


@dataclass(frozen=True, eq=False)
class Population:
    """All training rows of a block model with class label fractions C (K, K), at weight decay λ."""

    model: ClassBlockModel
    matrix: np.ndarray
    weight_decay: float
    _rounds: list[ExactRounds] = field(default_factory=list, repr=False)
    _decided: dict[int, TypePredictions] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return short_repr(self)

    def __post_init__(self) -> None:
        """Check λ."""
        validation.check_weight_decay(self.weight_decay)

    @property
    def mu(self) -> float:
        """μ = K N λ."""
        return self.model.n_classes * self.model.n_samples * self.weight_decay

    @property
    def _exact_mu(self) -> Fraction:
        decay = exact_number("weight_decay", self.weight_decay)
        return self.model.n_classes * self.model.n_samples * decay

    def factors(self, rounds: int = 1) -> np.ndarray:
        """(p_A, p_B, p_C, p_D)^t, the filter on the four eigenspaces."""
        return filter_power(self.model.spectrum, self.mu, rounds)

    @property
    def rho(self) -> float:
        """ρ > 1, the filter on class differences over the filter inside a class: p_B/p_A.

        With superclasses of one class, class differences are superclass differences: p_C/p_A.
        """
        return float(1 + self.model.filter_excess(self._exact_mu))

    def averaging_weights(self, round: int) -> dict[str, float]:
        """Own label, class, superclass and uniform weights at round t; they sum to 1."""
        factors = np.diff(self.factors(round), prepend=0.0, append=1.0).tolist()
        return dict(zip(("own", "class", "superclass", "overall", "uniform"), factors, strict=True))

    @cached_property
    def corruption(self) -> np.ndarray:
        """C (K, K) in the rationals it stands for: what the iterates are those of."""
        return exact_corruption(self.matrix)

    @cached_property
    def types(self) -> Types:
        """Types of this population: as few as its symmetry allows."""
        return types_of(self.model.superclasses, self.corruption)

    def linearized(self, round: int) -> TypePredictions:
        """Closed form at round t ≥ 1: ``p^t`` of each eigenspace on its part of the labels."""
        validation.check_integer("round", round, 1)
        return closed_form(self.types, self.model.exact_spectrum, self._exact_mu, round)

    def exact(self, round: int) -> TypePredictions:
        """Exact softmax head at round t, certified against the true iterate of that round.

        Rounds are solved in float64, and in longer numbers from the round on that float64 leaves
        undecided; they are kept.
        """
        validation.check_integer("round", round, 1)
        if round in self._decided:
            return self._decided[round]
        # A later round is no easier to decide than an earlier one: shorter numbers are past.
        for level in range(max(len(self._rounds) - 1, 0), len(BITS) + 1):
            if level == len(self._rounds):
                model, decay = self.model, exact_number("weight_decay", self.weight_decay)
                where = self.types, model.exact_spectrum, model.n_samples, decay
                coarser = self._rounds[-1] if level else None
                self._rounds.append(ExactRounds(*where, BITS[max(level - 1, 0)], coarser))
            found = self._rounds[level].predictions(round)
            if found.verdict is not None:
                break
        self._decided[round] = found
        return found

    def at(self, kind: Kind, round: int) -> TypePredictions:
        """``linearized(round)`` or ``exact(round)``, by name."""
        if kind not in ("linearized", "exact"):
            raise errors.InvalidSetting(f'kind must be "linearized" or "exact", got {kind!r}')
        return self.linearized(round) if kind == "linearized" else self.exact(round)

    def first_perfect_round(self, kind: Kind, max_rounds: int = 100) -> int | None:
        """The first round certified to have 100 % population accuracy; None within ``max_rounds``.

        ``undecided_rounds`` has the rounds before it that could be perfect as well. Circulant noise
        without superclasses stays perfect from there, exact heads too (theorem ``persistence``).
        """
        validation.check_integer("max_rounds", max_rounds, 1)
        return next((t for t in range(1, max_rounds + 1) if self.at(kind, t).perfect), None)

    def undecided_rounds(self, kind: Kind, max_rounds: int = 100) -> tuple[int, ...]:
        """Rounds up to the first perfect one, or ``max_rounds``, that are left undecided."""
        last = self.first_perfect_round(kind, max_rounds) or max_rounds
        return tuple(t for t in range(1, last + 1) if self.at(kind, t).verdict is None)

    @cached_property
    def hardest_pair(self) -> tuple[Fraction, Fraction]:
        """C_kk and C_kl of the classes that differ least (``exact_numbers.hardest_pair``)."""
        group, spectrum = self.model.superclasses, self.model.spectrum
        if spectrum[1] == spectrum[2] or self.model.superclass_size == 1:  # any two are alike
            group = np.zeros_like(group)
        return hardest_pair(self.matrix, self.corruption, group)

    def minimum_rounds(self) -> float:
        """t* = ln(1 + 1/Δ)/ln ρ, Δ the least C_kk − C_kl over l with C_kl > 0 (paper).

        The linear head is perfect at round t iff t > t*. Infinite if Δ ≤ 0; 0 without noise.

        Raises
        ------
        InvalidSetting
            If the corruption is not balanced (``hardest_pair``).
        """
        own, other = self.hardest_pair
        excess = self.model.filter_excess(self._exact_mu)
        return 0.0 if other == 0 else least_rounds(own - other, excess)

    def held_out(self, true: int, round: int = 1) -> np.ndarray:
        """Linear prediction p (K,) for a new point of class ``true`` at round t.

        Its row of correlations lies in the span of the class indicators, so nothing of the own
        label enters: p − 1/K is the sum of ``(1 − s_A/s) p^t`` times the class, superclass and
        overall parts of the given labels. For balanced corruption inside superclasses its argmax is
        argmax_l C[true, l] at every t: rounds change training accuracy only.
        """
        k, spectrum, group = self.model.n_classes, self.model.spectrum, self.model.superclasses
        true = validation.check_integer("true", true, 0, k - 1)
        _, b, c, d = (1.0 - spectrum[0] / spectrum) * self.factors(round)
        labels = self.matrix - 1.0 / k
        near, every = labels[group == group[true]].mean(axis=0), labels.mean(axis=0)
        return 1.0 / k + b * (labels[true] - near) + c * (near - every) + d * every
