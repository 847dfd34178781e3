"""Types: the few kinds of rows on which a population's predictions live.

All rows with the same (true, given) pair share one prediction, and the block Gram matrix acts on
functions of types through four orthogonal projections. Where a group of renamings of the classes
leaves the corruption as it is and takes each class to each other, the types of class 0 stand for
all; where C only knows same class, same superclass and other, three types do.

By these renamings the mean over all rows of a softmax iterate is exactly uniform. Types that stand
for others have this built in: that direction is filtered least, so that rounding in it would
outlive the signal of late rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from gramlab import errors
from gramlab.population.exact_numbers import ExactCorruption
from gramlab.population.symmetry import class_relation, regular_symmetry

__all__ = [
    "AlikeTypes",
    "BlockModel",
    "TransitiveTypes",
    "TypePredictions",
    "Types",
    "types_of",
]


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
    def exact_spectrum(self) -> tuple[Fraction, Fraction, Fraction, Fraction]:
        """The four eigenvalues."""
        ...


@dataclass(frozen=True, eq=False)
class TypePredictions:
    """Predictions of one round by type, and what is certified of them.

    Attributes
    ----------
    true, given : (A,)
        True and given class of each type. Where classes can be renamed into each other, the types
        of class 0 stand for all, or one of each relation to it.
    deviations : (A, K)
        p − 1/K.
    margins : (A,)
        True class over the best other class, in logits if there are any, else in p; taken before
        it was rounded to float64.
    margin_bound : (A,)
        How much a margin can differ from that of the true iterate, the errors of all earlier
        rounds included; 0 for closed forms.
    sign : (A,), int
        1 where the true iterate is certified right, −1 where certified wrong, else 0: undecided, or
        of closed forms a tie.
    logits : (A, K) or None
        Logits of the exact head.
    renamings : (K, K), int, or None
        Row k renames the classes so that class 0 becomes k.
    """

    true: np.ndarray
    given: np.ndarray
    deviations: np.ndarray
    margins: np.ndarray
    margin_bound: np.ndarray
    sign: np.ndarray
    logits: np.ndarray | None = None
    renamings: np.ndarray | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """P (A, K)."""
        return self.deviations + 1.0 / self.deviations.shape[1]

    def of(self, true: int, given: int) -> np.ndarray:
        """Prediction (K,) of the type (true, given), renamed if another type stands for it.

        Raises
        ------
        InvalidSetting
            If no sample is of that type.
        """
        back = None
        if self.renamings is not None:
            back = np.argsort(self.renamings[true])
            true, given = 0, int(back[given])
        where = np.flatnonzero((self.true == true) & (self.given == given))
        if not len(where):
            raise errors.InvalidSetting(
                f"no type (true {true}, given {given}) among {len(self.true)} types: its share is "
                "0, or another type stands for it (classes are alike here)"
            )
        found = self.probabilities[where[0]]
        return found if back is None else found[back]

    @property
    def perfect(self) -> bool:
        """Whether every type is certified to be predicted as its true class."""
        return bool((self.sign > 0).all())

    @property
    def verdict(self) -> bool | None:
        """Perfect, certified not to be, or None where that is undecided; ties are not perfect."""
        if self.perfect:
            return True
        return False if ((self.sign < 0) | (self.margin_bound == 0.0)).any() else None


class Types:
    """Every (true, given) pair with a positive share, and the Gram matrix acting on them.

    Parameters
    ----------
    model
        The block model.
    corruption
        C.
    renamings
        Where the types of class 0 stand for all: row k renames the classes so that 0 becomes k.
    number, dtype
        What makes a rational a number of the kind to compute with, and NumPy's dtype of those.
    """

    def __init__(
        self,
        model: BlockModel,
        corruption: ExactCorruption,
        renamings: np.ndarray | None = None,
        number: Callable[[Fraction], Any] = float,
        dtype: type = float,
    ) -> None:
        self.model, self.corruption, self.renamings = model, corruption, renamings
        self.number, self.dtype = number, dtype
        k = model.n_classes
        positive = np.array([value > 0 for value in corruption.values])[corruption.codes]
        self.true, self.given, stand_for = self._present(positive)
        shares = corruption.array(number, dtype)[self.true, self.given]
        classes = len(np.unique(self.true))
        self.share = shares * stand_for * number(Fraction(1, classes))  # of all rows
        targets = np.full((len(self.true), k), number(Fraction(-1, k)), dtype=dtype)
        targets[np.arange(len(self.true)), self.given] = number(1 - Fraction(1, k))
        self.targets = targets

    def using(self, number: Callable[[Fraction], Any], dtype: type) -> Types:
        """The same types in another kind of numbers."""
        return type(self)(self.model, self.corruption, self.renamings, number, dtype)

    def _present(self, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | int]:
        """True and given class of each type, and for how many types of that class it stands."""
        true, given = np.nonzero(positive)
        self._starts = np.flatnonzero(np.diff(true, prepend=-1))
        return true, given, 1

    def spectral(self, values: np.ndarray, factors: Any) -> np.ndarray:
        """Factors times the four projections of values (A, K): a function of G, on types."""
        k = self.model.n_classes
        by_class = k * np.add.reduceat(self.share[:, None] * values, self._starts, axis=0)
        group = self.model.superclasses
        groups = int(group[-1]) + 1
        by_group = by_class.reshape(groups, k // groups, k).sum(axis=1) / (k // groups)
        overall = by_class.sum(axis=0) / k
        a, b, c, d = factors
        of_class = (b - a) * by_class + (c - b) * by_group[group] + (d - c) * overall
        return a * values + of_class[self.true]

    def symmetrized(self, values: np.ndarray) -> np.ndarray:
        """Values (A, K), made such that types which stand for others can."""
        return values

    def inner(self, left: np.ndarray, right: np.ndarray) -> Any:
        """(1/N) Σ_i ⟨left_i, right_i⟩ over all rows."""
        return (self.share * (left * right).sum(axis=1)).sum()

    def closed_form(self, factors: Any) -> np.ndarray:
        """Deviations (A, K) of the linear head: factors on the parts of the labels.

        The parts are exact before they meet a factor, so that one that vanishes does vanish.
        """
        corruption, k = self.corruption, self.model.n_classes
        group = self.model.superclasses
        overall = corruption.mean(slice(None))
        of_group = {s: corruption.mean(group == s) for s in np.unique(group[self.true])}
        a, b, c, d = factors
        out = np.empty((len(self.true), k), dtype=self.dtype)
        of_class: dict[int, np.ndarray] = {}
        for i, (true, given) in enumerate(zip(self.true, self.given, strict=True)):
            if true not in of_class:
                parts = zip(corruption.mean([true]), of_group[group[true]], overall, strict=True)
                of_class[true] = np.array(
                    [
                        b * self.number(own - near)
                        + c * self.number(near - every)
                        + d * self.number(every - Fraction(1, k))
                        - a * self.number(own)
                        for own, near, every in parts
                    ],
                    dtype=self.dtype,
                )
            out[i] = of_class[true]
            out[i, given] += a
        return out


class TransitiveTypes(Types):
    """Types of class 0, where a group of renamings takes it to each other class just once.

    The renamings leave C and the superclasses what they are, so the iterates, which are unique, are
    renamed with the classes: class k's mean is class 0's, renamed.
    """

    def _present(self, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | int]:
        groups, renamings = self.model.superclasses, np.asarray(self.renamings)
        # Where each entry of the mean of a class of the same superclass comes from.
        self._near = np.argsort(renamings[groups == groups[0]], axis=1)
        given = np.flatnonzero(positive[0])
        return np.zeros_like(given), given, 1

    def spectral(self, values: np.ndarray, factors: Any) -> np.ndarray:
        """As for all types. The mean over all rows is constant over classes and left out.

        So is the mean over classes of each row, which no softmax sees: what is computed belongs to
        the values less that mean, and the norm of a gradient is at most as computed.
        """
        of_class, of_group = self._means((self.share[:, None] * values).sum(axis=0))
        a, b, c, _ = factors
        return a * values + ((b - a) * of_class + (c - b) * of_group)

    def _means(self, over_types: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (K,) over class 0, and over its superclass, from that over its types."""
        return over_types, over_types[self._near].sum(axis=0) / len(self._near)


class AlikeTypes(TransitiveTypes):
    """Representatives of class 0 where C only knows same class, same superclass, other.

    Functions of types are then invariant under permutations of classes inside superclasses and of
    superclasses; means over the class's other labels are means over relations.
    """

    def _present(self, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | int]:
        relation = class_relation(self.model.superclasses)
        self.relation = relation[0]
        self.counts = np.bincount(self.relation, minlength=3)
        first = [int(np.argmax(self.relation == r)) for r in range(3) if self.counts[r]]
        given = np.array([j for j in first if positive[0, j]])
        # Classes of equal relations to 0 and to the given one: predictions of them are equal.
        kinds = 3 * relation[0] + relation[given]
        unique = [np.unique(row, return_index=True, return_inverse=True)[1:] for row in kinds]
        self._like = np.array([first[which] for first, which in unique])
        return np.zeros_like(given), given, self.counts[self.relation[given]]

    def symmetrized(self, values: np.ndarray) -> np.ndarray:
        """Equal entries for classes that are alike; rounding may have told them apart."""
        return np.take_along_axis(values, self._like, axis=1)

    def _means(self, over_types: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mean over the types is spread evenly over each relation."""
        own, near, far = (
            over_types[self.relation == r].sum() / max(int(self.counts[r]), 1) for r in range(3)
        )
        m = int(self.counts[0] + self.counts[1])
        mean = (own + (m - 1) * near) / m
        of_relation = np.array([[own, near, far], [mean, mean, far]], dtype=self.dtype)
        of_class, of_group = of_relation[:, self.relation]
        return of_class, of_group


def types_of(model: BlockModel, corruption: ExactCorruption) -> Types:
    """The fewest types that this room knows to stand for all, in float64."""
    relation = class_relation(model.superclasses)
    if all(len(set(corruption.codes[relation == r])) <= 1 for r in range(3)):
        return AlikeTypes(model, corruption)
    renamings = regular_symmetry(corruption.codes, model.superclasses)
    kind = Types if renamings is None else TransitiveTypes
    return kind(model, corruption, renamings)
