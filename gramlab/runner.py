"""Independent heads: several at once, and on rows of which each head leaves some out.

The diagnosis, the noise estimate and the choice of rounds all take labels, fit rounds of heads to
them and score what the heads say of rows they did not see. :func:`folds` deals the rows out,
:class:`Run` holds them and fits, :func:`parallel_map` keeps the cores busy: one head alone leaves
them idle between its products.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.features.description import check_classes
from gramlab.heads.carriers import is_small
from gramlab.heads.fit import Fit
from gramlab.machine import hardware
from gramlab.machine.memory import check_memory, is_mapped
from gramlab.numerics.streams import MAX_SEED, stream
from gramlab.targets import OneHotRows
from gramlab.validation import as_array, check_integer

__all__ = ["Run", "folds", "group_numbers", "parallel_map"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_OTHERWISE = "ask for fewer folds, give other groups, or look for copies within a radius of 0"
_FOLD_STREAM = int.from_bytes(b"fold-tr1", "big")


def folds(
    labels: npt.NDArray[np.int64], k: int, seed: int = 0, groups: object = None
) -> npt.NDArray[np.int64]:
    """Deal rows out to k folds: at random, and evenly within each label.

    Labels (N,) are 0, 1, …; the result (N,) is the fold 0 .. k-1 of each row, and no fold is
    empty. Rows with equal entries in ``groups`` (N,), as of :func:`group_numbers`, stay in one fold
    (copies, frames of one scene, images of one person). The largest groups are dealt first, each to
    the fold that has the fewest rows of its labels. Groups of single rows are as no groups.

    Raises
    ------
    InvalidSetting
        If k is not in 2 .. N (or the number of groups), the seed not in 0 .. 2**64 - 1, groups
        are not one per row, or two rows or more are all that have a label and lie in one group.
    """
    n, seed = len(labels), check_integer("seed", seed, 0, MAX_SEED)
    draw, fold = stream(seed, _FOLD_STREAM), np.empty(n, dtype=np.int64)
    group_of = np.arange(n) if groups is None else group_numbers(groups, n)
    sizes = np.bincount(group_of)
    if len(sizes) == n:
        k = check_integer("folds", k, 2, n)
        # Rows ordered by (label, random word) are dealt out in turn.
        fold[np.lexsort((draw.random_raw(n), labels))] = np.arange(n) % k
        return fold
    if (k := check_integer("folds", k, 2)) > len(sizes):
        raise InvalidSetting(
            f"folds must be an integer of at most {len(sizes)}, the number of groups of the {n} "
            f"rows (of copies, where no others are given), got {k}; {_OTHERWISE}"
        )
    _check_parted(labels, group_of)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    totals = np.bincount(labels)
    counts = np.zeros((k, len(totals)), dtype=np.int64)
    for group in np.lexsort((draw.random_raw(len(sizes)), -sizes)):
        own = labels[members[group]]
        crowded = (counts[:, own] / totals[own] ** 2).sum(axis=1)
        part = np.lexsort((counts.sum(axis=1), crowded))[0]
        np.add.at(counts[part], own, 1)
        fold[members[group]] = part
    return fold


def group_numbers(groups: object, n: int) -> npt.NDArray[np.int64]:
    """Numbers 0, 1, … (n,) of the groups of n rows, which are whole numbers or texts.

    Raises
    ------
    InvalidSetting
        If they are not one per row, a row has none, or they are of another kind or of several.
    """
    # An array of numbers and texts would be all texts.
    mixed = isinstance(groups, list | tuple)
    array = np.array(groups, dtype=object) if mixed else as_array(groups, "groups", InvalidSetting)
    if array.ndim != 1 or len(array) != n:
        came = len(array) if array.ndim == 1 else f"shape {array.shape}"
        raise InvalidSetting(
            f"groups must have one entry per row, got {came} for {n} rows; give the group of each "
            "row, in their order"
        )
    kinds = set(map(type, array.tolist()))
    texts = all(issubclass(kind, str | bytes) for kind in kinds)
    if not texts and not all(issubclass(kind, int | np.integer) for kind in kinds):
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InvalidSetting(
            f"groups must be whole numbers or texts throughout, got {found}; name the group of "
            "rows that have none, and turn numbers with a fraction into whole ones"
        )
    return np.unique(array, return_inverse=True)[1]


def _check_parted(labels: npt.NDArray[np.int64], group_of: npt.NDArray[np.int64]) -> None:
    """Refuse a label of which a head that has not seen some group has seen nothing."""
    pairs = np.unique(np.stack([labels, group_of]), axis=1)[0]
    counts = np.bincount(labels)
    whole = np.flatnonzero((np.bincount(pairs) == 1) & (counts > 1))
    if len(whole):
        more = f", as of {len(whole) - 1} more" if len(whole) > 1 else ""
        raise InvalidSetting(
            f"groups must leave each label in two of them or more, got all {counts[whole[0]]} rows "
            f"of label {whole[0]} in one group (of copies, where no others are given){more}: "
            f"nothing can be held out of it; leave such labels out, or {_OTHERWISE}"
        )


def parallel_map(
    task: Callable[[Item, int], Result],
    items: Iterable[Item],
    *,
    stop: threading.Event | None = None,
    on_devices: bool = True,
) -> list[Result]:
    """``[task(item, device number) for item in items]``, several items at once.

    Items are taken in order, each by the next worker that is free. The task is called in a thread
    whose new JAX arrays live on the device of that number; unless it computes ``on_devices``, JAX
    is not loaded and the number is 0. What it computes must not depend on the other items; then no
    result does. ``stop`` is set once a task has failed or this thread is interrupted, for tasks in
    hand to look at; nothing is begun after that.

    Raises
    ------
    BaseException
        What a task raised, once those in hand have ended.
    """
    stop = threading.Event() if stop is None else stop
    items = list(items)
    if on_devices:
        from gramlab.machine import device

        places, at = device.workers()[: len(items)], device.on_device
        alone = nullcontext() if device.accelerated() else hardware.one_blas_thread()
    else:
        places, at = [0] * min(2, hardware.cores(), len(items)), nullcontext
        alone = hardware.one_blas_thread()
    waiting: SimpleQueue[tuple[int, Item] | None] = SimpleQueue()
    for one in [*enumerate(items), *[None] * len(places)]:
        waiting.put(one)
    results: list[Any] = [None] * len(items)
    failures: list[BaseException] = []

    def worker(place: int) -> None:
        try:
            with at(place):
                for index, item in iter(waiting.get, None):
                    if stop.is_set():
                        return
                    results[index] = task(item, place)
        except BaseException as failure:
            failures.append(failure)
            stop.set()

    with alone:
        if len(places) <= 1:
            return [task(item, places[0]) for item in items]
        # An interrupt meets this thread as it waits; handing over each item would be long.
        with ThreadPoolExecutor(len(places)) as pool:
            try:
                list(pool.map(worker, places))
            except BaseException:
                stop.set()
                raise
    if failures:
        raise failures[0]
    return results


class Run:
    """One head per fold: labels, rounds of fits to them, and logits of rows the fits did not see.

    Of the rows of ``features`` (N, d), ``fold`` (N,) says in which they are (:func:`folds`; -1 is
    never held out). All heads are fitted to the same rows, so that these are held once, however
    many folds there are, and what is factored for one head serves all: rows that a head must not
    see have no weight in it. ``held`` and ``train`` are row numbers by fold, held out and all
    others; ``weights`` (N,) are those of the rows in every fit, if given. ``labels`` (N,) are what
    heads will be fitted to, if that is known.

    Raises
    ------
    NotEnoughMemory
        If features mapped from a file, which are read into memory, would not fit.
    InvalidLabels
        If the training rows of a fold carry one label.
    """

    def __init__(
        self,
        features: Features | np.ndarray,
        n_classes: int,
        fold: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64] | None = None,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        numbers = range(int(fold.max()) + 1)
        self.n_classes: int = n_classes
        self.weights: npt.NDArray[np.float64] | None = weights
        self.held: list[np.ndarray] = [np.flatnonzero(fold == number) for number in numbers]
        self.train: list[np.ndarray] = [np.flatnonzero(fold != number) for number in numbers]
        if labels is not None:
            for rows in self.train:
                check_classes(labels[rows], n_classes, True)
        self.features: Features = _in_memory(features, n_classes)

    def __len__(self) -> int:
        """Number of folds."""
        return len(self.held)

    def counted(self, *numbers: int) -> npt.NDArray[np.float64]:
        """Weights (N,) of the rows in a head that must not see these folds: 0 in them."""
        n = self.features.n_samples
        weights = np.ones(n) if self.weights is None else self.weights.astype(np.float64)
        for number in numbers:
            weights[self.held[number]] = 0.0
        return weights

    def map(self, task: Callable[[int], Result]) -> list[Result]:
        """``[task(number) for each fold]``, several folds at once where they share a device."""
        numbers, compiled = range(len(self)), not is_small(self.features, self.n_classes)
        alone = len(self) == 1
        if compiled and not alone:
            from gramlab.machine import device  # and JAX with it

            alone = device.count() > 1  # what the features keep lives on one device
        if alone:
            return [task(number) for number in numbers]
        return parallel_map(lambda number, _: task(number), numbers, on_devices=compiled)

    def one_hot(self, labels: npt.NDArray[np.int64]) -> Callable[[int], OneHotRows]:
        """Targets of :meth:`fit` from labels (N,)."""
        return lambda number: OneHotRows(labels, self.n_classes)

    def fit(
        self,
        head: Any,
        targets: Callable[[int], Any],
        start: Sequence[np.ndarray] | None = None,
    ) -> list[Fit]:
        """One round: the head on every fold, from weights (d, K) by fold if ``start`` gives them.

        ``targets`` makes from the number of a fold the targets of all rows: :meth:`one_hot` of
        labels, or for a student what follows from the round before.
        """
        starts = [None] * len(self) if start is None else [np.asarray(own) for own in start]

        def one(number: int) -> Fit:
            own = replace(head, sample_weight=self.counted(number))
            return own.fit(self.features, targets(number), start=starts[number])

        return self.map(one)

    def held_out(self, weights: Sequence[np.ndarray]) -> npt.NDArray[np.float64]:
        """Logits (N, K) by the head that did not see the row; NaN where every head saw it."""
        x = self.features.x
        logits = np.full((len(x), self.n_classes), np.nan)
        for own, held in zip(weights, self.held, strict=True):
            logits[held] = x[held] @ np.asarray(own)
        return logits


def _in_memory(features: Features | np.ndarray, n_classes: int) -> Features:
    """The features, or where they are mapped a copy; of bare rows with labels nobody reads."""
    if isinstance(features, Features):
        if not features.is_mapped:
            return features
        features = features.x
    if is_mapped(features):
        check_memory(features.nbytes, "the mapped features", "use fewer rows")
        features = np.array(features)
    return Features(features, np.arange(len(features)) % n_classes, n_classes=n_classes)
