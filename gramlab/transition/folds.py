"""Heads that never saw a row's own label: folds, their weight decay, their rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from gramlab.batches import in_batches
from gramlab.features import Features
from gramlab.heads.carriers import is_small
from gramlab.heads.softmax import SoftmaxHead
from gramlab.memory import check_memory
from gramlab.streams import stream
from gramlab.targets import OneHotRows, Targets
from gramlab.transition.mixture import Mixture, fit_mixture, softmax

__all__ = ["FoldRows", "FoldedHeads", "Folds", "choose_decay", "fold_numbers", "run_rounds"]

Array = npt.NDArray[np.float64]
T = TypeVar("T")

_FOLD_STREAM = int.from_bytes(b"fold-tr1", "big")
_DECAY_START = 1e-3  # of the mean squared row norm: where the search of the weight decay begins
_DECAY_STEP = math.sqrt(10.0)
_DECAY_STEPS = 6  # at most, in either direction
_DECAY_GAIN = 0.003  # nats a row that a smaller weight decay must gain: it costs more passes
_ROUND_GAIN = 1e-3  # nats a row, below which no further round is run
_SUSPECT_SHARPNESS, _SURE_SHARPNESS = 1.5, 8.0  # see run_rounds


def fold_numbers(given: npt.NDArray[np.int64], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Fold 0 .. folds-1 of each row, shape (N,): at random, and even within each given label."""
    words = stream(seed, _FOLD_STREAM).random_raw(given.shape[0])
    result = np.empty(given.shape[0], dtype=np.int64)
    # Rows ordered by (label, random word) are dealt out in turn.
    result[np.lexsort((words, given))] = np.arange(given.shape[0]) % folds
    return result


class FoldRows:
    """The training rows of every fold as features, and the rows that are held out of them.

    Made once: what is factored for the first head of a fold serves all later ones, whichever labels
    they are fitted to.

    Parameters
    ----------
    x : np.ndarray of shape (N, d)
        Rows.
    given : np.ndarray of shape (N,)
        Given labels; heads may be fitted to others.
    n_classes : int
        K.
    fold : np.ndarray of shape (N,)
        Fold of each row, from :func:`fold_numbers`.

    Attributes
    ----------
    train, held : list of np.ndarray
        Row numbers, by fold.
    parts : list of Features
        ``x[train]``.
    tests : list of np.ndarray
        ``x[held]``.

    Raises
    ------
    NotEnoughMemory
        If the rows of all folds would not fit.
    InvalidLabels
        If the training rows of a fold carry one label.
    """

    def __init__(
        self,
        x: np.ndarray,
        given: npt.NDArray[np.int64],
        n_classes: int,
        fold: npt.NDArray[np.int64],
    ) -> None:
        count = int(fold.max()) + 1
        check_memory(
            x.itemsize * count * x.size,
            f"the features of {count} folds",
            "ask for fewer folds or use fewer rows",
        )
        self.n_classes = n_classes
        self.held = [np.flatnonzero(fold == part) for part in range(count)]
        self.train = [np.flatnonzero(fold != part) for part in range(count)]
        self.parts = [Features(x[rows], given[rows], n_classes=n_classes) for rows in self.train]
        self.tests = [x[rows] for rows in self.held]

    def __len__(self) -> int:
        """Number of folds."""
        return len(self.parts)

    def at_once(self, task: Callable[[int], T]) -> list[T]:
        """``[task(part) for each fold]``, several folds at once where they share a device."""
        compiled = not is_small(self.parts[0], self.n_classes)
        if compiled and _many_devices():  # what a fold's features keep lives on one of them
            return [task(part) for part in range(len(self))]
        parts = range(len(self))
        return in_batches(lambda part, place: task(part), parts, on_devices=compiled)


def _many_devices() -> bool:
    from gramlab import device  # and JAX with it

    return device.count() > 1


class FoldedHeads(NamedTuple):
    """One round: weights of each fold's head, and the mixture of their out-of-fold logits."""

    weight_decay: float
    round: int
    weights: tuple[Array, ...]
    logits: Array  # (N, K), out of fold
    mixture: Mixture


@dataclass(frozen=True, eq=False)
class Folds:
    """Rows of folds and given labels; fits one head per fold."""

    rows: FoldRows
    given: npt.NDArray[np.int64]
    tolerance: float

    @property
    def n_classes(self) -> int:
        """K."""
        return self.rows.n_classes

    @property
    def mean_square(self) -> float:
        """Mean squared norm of all rows."""
        squares = [np.einsum("ij,ij->", x, x, dtype=np.float64) for x in self.rows.tests]
        return float(sum(squares) / len(self.given))

    def fit(
        self,
        weight_decay: float,
        round_: int,
        previous: FoldedHeads | None,
        warm: FoldedHeads | None,
    ) -> FoldedHeads:
        """Fit the heads of a round: to the given labels, or to posteriors under ``previous``."""
        logits = np.empty((len(self.given), self.n_classes))
        head = SoftmaxHead(weight_decay, tolerance=self.tolerance)

        def weights_of(part: int) -> Array:
            rows, labels = self.rows.parts[part], self.given[self.rows.train[part]]
            targets: OneHotRows | Targets = OneHotRows(labels, self.n_classes)
            if previous is not None:
                inside = softmax(previous.mixture.sharpness * (rows.x @ previous.weights[part]))
                posterior = inside * previous.mixture.matrix[:, labels].T
                total = posterior.sum(axis=1, keepdims=True)
                # A label that no class in question could have been given says nothing of the row.
                possible = total > np.finfo(np.float64).tiny
                posterior = np.where(possible, posterior / np.where(possible, total, 1.0), inside)
                targets = Targets(posterior - 1.0 / self.n_classes)
            start = None if warm is None else warm.weights[part]
            return np.asarray(head.fit(rows, targets, start=start).weights)

        weights = self.rows.at_once(weights_of)
        for part, held in enumerate(self.rows.held):
            logits[held] = self.rows.tests[part] @ weights[part]
        near = warm if previous is None else previous
        mixture = fit_mixture(logits, self.given, None if near is None else near.mixture)
        return FoldedHeads(weight_decay, round_, tuple(weights), logits, mixture)


def choose_decay(work: Folds, fixed: float | None, say: Callable[[str], None]) -> list[FoldedHeads]:
    """Heads of round 1 at the given weight decay, or at the best of a search uphill.

    The next smaller weight decay that was tried comes second: with less of it heads are further
    from what they were fitted to, and rounds may gain where they do not at the best.
    """
    if fixed is not None:
        say(f"round 1, weight decay {fixed:.3g}")
        return [work.fit(fixed, 1, None, None)]
    scale = work.mean_square
    start = _DECAY_START * (scale if scale > 0.0 else 1.0)
    say(f"round 1, weight decay {start:.3g}")
    best = work.fit(start, 1, None, None)
    tried = [best]
    for direction in (1.0 / _DECAY_STEP, _DECAY_STEP):
        moved = False
        for _ in range(_DECAY_STEPS):
            decay = best.weight_decay * direction
            say(f"round 1, weight decay {decay:.3g}")
            found = work.fit(decay, 1, None, best)
            tried.append(found)
            gain = found.mixture.log_likelihood - best.mixture.log_likelihood
            if gain < (_DECAY_GAIN if direction < 1.0 else 0.0):
                break
            best, moved = found, True
        if moved:
            break
    smaller = [heads for heads in tried if heads.weight_decay < best.weight_decay]
    return [best, *sorted(smaller, key=lambda heads: -heads.weight_decay)[:1]]


def run_rounds(
    work: Folds, candidates: Sequence[FoldedHeads], most: int, say: Callable[[str], None]
) -> FoldedHeads:
    """Distill with the noise model while the held-out likelihood rises; the best round.

    It begins at the first of ``candidates``, and at the next where no round has gained.
    """
    best = _rounds(candidates[0], work, most, say)
    for first in candidates[1:]:
        if best.round > 1 or most == 1:
            break
        other = _rounds(first, work, most, say)
        if other.mixture.log_likelihood > best.mixture.log_likelihood:
            best = other
    return best


def _rounds(first: FoldedHeads, work: Folds, most: int, say: Callable[[str], None]) -> FoldedHeads:
    """The best round from ``first``.

    Heads that are calibrated for the given labels explain them without any noise, at β near 1.
    That is a local optimum which strong noise between few classes can end in, so where β came out
    small a second run begins at a mixture that reads the same heads as sure of themselves.
    """
    best = _rounds_from(first, work, most, say)
    if most > 1 and first.mixture.sharpness <= _SUSPECT_SHARPNESS:
        mixture = fit_mixture(first.logits, work.given, sharpness=_SURE_SHARPNESS)
        other = _rounds_from(first._replace(mixture=mixture), work, most, say)
        if other.mixture.log_likelihood > best.mixture.log_likelihood:
            best = other
    return best


def _rounds_from(
    first: FoldedHeads, work: Folds, most: int, say: Callable[[str], None]
) -> FoldedHeads:
    best = first
    for number in range(2, most + 1):
        say(f"round {number}")
        found = work.fit(best.weight_decay, number, best, best)
        gain = found.mixture.log_likelihood - best.mixture.log_likelihood
        if gain > 0.0:
            best = found
        if gain < _ROUND_GAIN:
            break
    return best
