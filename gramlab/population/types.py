"""Types: the few kinds of rows on which a population's predictions live.

All rows with the same (true, given) pair share one prediction, and the block Gram matrix acts on
functions of types through four orthogonal projections. Where shifts of the classes leave the
corruption as it is, the types of class 0 stand for all; where C only knows same class, same
superclass and other, three types do.

By these renamings the mean over all rows of a softmax iterate is exactly uniform. Types that stand
for others have this built in: that direction is filtered least, so that rounding in it would
outlive the signal of late rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from flint import fmpq

from gramlab import errors
from gramlab.numerics.text import short_repr

__all__ = ["TypePredictions", "Types", "types_of"]


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

    def __repr__(self) -> str:
        return short_repr(self)

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
        back = np.arange(self.deviations.shape[1])
        if self.renamings is not None:
            back = np.argsort(self.renamings[true])
            true, given = 0, int(back[given])
        where = np.flatnonzero((self.true == true) & (self.given == given))
        if not len(where):
            raise errors.InvalidSetting(
                f"no type (true {true}, given {given}) among {len(self.true)} types: its share is "
                "0, or another type stands for it (classes are alike here)"
            )
        return self.probabilities[where[0]][back]

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


@dataclass(frozen=True, eq=False)
class Types:
    """(true, given) pairs that stand for all rows, and the Gram matrix acting on them.

    Attributes
    ----------
    superclasses : (K,)
        Superclass number of each class, in order and of equal size.
    true, given : (A,)
        True and given class of each type, sorted.
    share : (A,)
        Of all rows, how many it stands for, as rationals or what ``using`` makes of them.
    targets : (A, K)
        Deviations of the given labels, likewise.
    renamings : (K, K), int, or None
        Where the types of class 0 stand for all: row k renames the classes so that 0 becomes k and
        leaves C and the superclasses what they are. The iterates, which are unique, are renamed
        with the classes: class k's mean is class 0's, renamed.
    alike : (A, K), int, or None
        Where one type of class 0 stands for each relation of a label to it: the first class of
        those whose predictions are equal, having the same relations to 0 and to the given class.
    """

    superclasses: np.ndarray
    true: np.ndarray
    given: np.ndarray
    share: np.ndarray
    targets: np.ndarray
    renamings: np.ndarray | None = None
    alike: np.ndarray | None = None

    def __repr__(self) -> str:
        return short_repr(self)

    def using(self, number: Callable[[fmpq], Any], dtype: type) -> Types:
        """The same types in another kind of numbers, float or balls."""
        cast = np.frompyfunc(number, 1, 1)
        share, targets = (cast(array).astype(dtype) for array in (self.share, self.targets))
        return replace(self, share=share, targets=targets)

    def means(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any]:
        """Means of values (A, K) over each class, its superclass and all classes.

        They are of those classes that have types. Where class 0 stands for all, the mean over all
        rows is constant over classes and left out. So is the mean over classes of each row, which
        no softmax sees: what is computed then belongs to the values less that mean, and the norm of
        a gradient is at most as computed.
        """
        sums = np.add.reduceat(self.share[:, None] * values, self._starts, axis=0)
        own = len(self._starts) * sums
        k, groups = len(self.superclasses), int(self.superclasses[-1]) + 1
        if self.alike is not None:
            own, near = (
                (np.add.reduceat(own, starts, axis=1) / counts)[:, run]
                for starts, run, counts in self._runs
            )
            return own, near, 0
        if self.renamings is not None:
            return own, own[0][self._sources].sum(axis=0)[None] / (k // groups), 0
        near = own.reshape(groups, k // groups, k).sum(axis=1) / (k // groups)
        return own, near[self.superclasses], own.sum(axis=0) / k

    @cached_property
    def _starts(self) -> np.ndarray:
        """The first type of each class that has types."""
        return np.flatnonzero(np.diff(self.true, prepend=-1))

    @cached_property
    def _runs(self) -> list[tuple[np.ndarray, ...]]:
        """Runs of classes with one relation to class 0, and of those inside and outside its
        superclass: where they start, the run of each class, their lengths.
        """
        relation = class_relation(self.superclasses)[0]
        return [
            np.unique(kinds, return_index=True, return_inverse=True, return_counts=True)[1:]
            for kinds in (relation, relation == 2)
        ]

    @cached_property
    def _sources(self) -> np.ndarray:
        """Where each entry of the mean of a class of the first superclass comes from."""
        if self.renamings is None:
            raise errors.InvalidSetting(
                "expected types of one class for all, got none; use their means"
            )
        return np.argsort(self.renamings[self.superclasses == 0], axis=1)

    @cached_property
    def label_means(self) -> tuple[np.ndarray, np.ndarray, Any]:
        """Means of the targets."""
        return self.means(self.targets)

    def spectral(self, values: np.ndarray, factors: Any) -> np.ndarray:
        """Factors times the four projections of values (A, K): a function of G, on types."""
        own, near, every = self.means(values)
        a, b, c, d = factors
        of_class = (b - a) * own + (c - b) * near + (d - c) * every
        return a * values + of_class[self.true]

    def symmetrized(self, values: np.ndarray) -> np.ndarray:
        """Equal entries for classes that are alike; rounding may have told them apart."""
        return values if self.alike is None else np.take_along_axis(values, self.alike, axis=1)

    def inner(self, left: np.ndarray, right: np.ndarray) -> Any:
        """(1/N) Σ_i ⟨left_i, right_i⟩ over all rows."""
        return (self.share * (left * right).sum(axis=1)).sum()


def types_of(superclasses: np.ndarray, corruption: np.ndarray, *, fewest: bool = True) -> Types:
    """The fewest types that are known to stand for all, or every one with a positive share.

    ``corruption`` (K, K) is of rationals, and so are shares and targets.
    """
    k = len(corruption)
    relation = class_relation(superclasses)
    renamings = alike = None
    if fewest and all(len(set(corruption[relation == r])) <= 1 for r in range(3)):
        first = np.unique(relation[0], return_index=True)[1]
        given = first[corruption[0, first] > 0]
        true, count = np.zeros_like(given), np.bincount(relation[0])[relation[0][given]]
        kinds = 3 * relation[0] + relation[given]
        unique = [np.unique(row, return_index=True, return_inverse=True)[1:] for row in kinds]
        alike = np.array([first[which] for first, which in unique])
    else:
        renamings = _shifts(superclasses, corruption) if fewest else None
        true, given = np.nonzero((corruption if renamings is None else corruption[:1]) > 0)
        count = np.ones_like(given)
    classes = len(np.unique(true))
    share = corruption[true, given] * count.astype(object) / classes
    targets = np.full((len(given), k), fmpq(-1, k))
    targets[np.arange(len(given)), given] += 1
    return Types(superclasses, true, given, share, targets, renamings, alike)


def class_relation(superclasses: np.ndarray) -> np.ndarray:
    """0 same class, 1 same superclass, 2 other superclass, for each pair of classes (K, K)."""
    relation = np.where(superclasses[:, None] == superclasses, 1, 2)
    np.fill_diagonal(relation, 0)
    return relation


def _shifts(superclasses: np.ndarray, corruption: np.ndarray) -> np.ndarray | None:
    """Renamings (K, K) by shifts inside and between superclasses; None where one changes C."""
    k, groups = len(superclasses), int(superclasses[-1]) + 1
    size = k // groups
    s, a = np.divmod(np.arange(k), size)
    shifts = (s[:, None] + s) % groups * size + (a[:, None] + a) % size
    one_on = shifts[[size % k, 1 % size]]  # one superclass on, one class on: they make up the rest
    kept = all(np.array_equal(corruption[np.ix_(g, g)], corruption) for g in one_on)
    return shifts if kept else None
