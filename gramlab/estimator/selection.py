"""Rounds, refinement and weight decay by validation on the given, noisy labels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from gramlab import errors, validation
from gramlab.batches import in_batches
from gramlab.distillation import distill
from gramlab.estimator.base import TrainingData, exact_head
from gramlab.heads.carriers import is_small
from gramlab.heads.fit import as_features
from gramlab.streams import MAX_SEED
from gramlab.targets import partial_labels

__all__ = ["choose", "validated"]

_DECADES = (-5, -4, -3, -2, -1)  # of λ over the mean of ‖x‖²


def validated(
    data: TrainingData,
    *,
    rounds: int,
    weight_decays: Sequence[float] | None,
    refine: Sequence[str | None],
    folds: int,
    tolerance: float,
    max_passes: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Score every candidate on held-out rows by their given labels.

    Returns
    -------
    dict of arrays, one entry per candidate
        As ``SelfDistillationClassifier.tuned`` describes.

    Raises
    ------
    InvalidSetting
        If a setting is out of range.
    """
    most = validation.check_integer("rounds", rounds, 1)
    parts = validation.check_integer("folds", folds, 2, data.features.n_samples // 2)
    validation.check_integer("random_state", seed, 0, MAX_SEED)
    ways = tuple(refine)
    if not ways or not set(ways) <= {None, "top2"}:
        raise errors.InvalidSetting(
            f'refine must list None, "top2" or both as candidates, got {refine!r}'
        )
    x = data.features.as_float64()
    decays = _decays(weight_decays, x)
    candidates: list[tuple[float, int, str | None]] = []
    for decay in decays:
        candidates += [(decay, t, None) for t in range(1, (most if None in ways else 1) + 1)]
        candidates += [(decay, 2, "top2")] if "top2" in ways and most >= 2 else []
    hits = np.zeros((len(candidates), len(x)))
    held_by = _folds(data.targets.argmax(axis=1), parts, seed)
    told, done = threading.Lock(), 0

    def tell() -> None:
        nonlocal done
        with told:
            done += 1
            if progress is not None:
                progress(done, parts * len(decays))

    def fold_hits(fold: int, _: int) -> None:
        """Heads of one fold, all from its one factorization."""
        held, kept = held_by == fold, held_by != fold
        weights = None if data.weights is None else data.weights[kept]
        features = as_features(x[kept], data.targets)
        train = TrainingData(features, data.targets[kept], data.classes, weights)
        truth = data.targets[held]
        row = 0
        for decay in decays:
            head = exact_head(train, decay, tolerance, max_passes, polish=False)
            fits = list(distill(head, features, train.targets, most if None in ways else 1))
            if "top2" in ways and most >= 2:
                two = partial_labels(np.asarray(fits[0].as_targets()), 2, seed=seed)
                fits.append(head.fit(features, two, start=fits[0].weights))
            for fit in fits:
                predicted = (x[held] @ fit.weights).argmax(axis=1)
                hits[row, held] = truth[np.arange(len(truth)), predicted]
                row += 1
            tell()

    compiled = not is_small(data.features, len(data.classes))
    in_batches(fold_hits, range(parts), on_devices=compiled)
    return _table(candidates, hits, data.weights)


def choose(table: dict[str, np.ndarray]) -> int:
    """Row of the chosen candidate."""
    return int(np.flatnonzero(table["chosen"])[0])


def _decays(weight_decays: Sequence[float] | None, x: np.ndarray) -> list[float]:
    if weight_decays is None:
        square = float(np.vdot(x, x)) / len(x)
        if square == 0.0:
            raise errors.InvalidFeatures("X must not be all zeros: there is nothing to tune")
        weight_decays = [10.0**power * square for power in _DECADES]
    found = sorted({validation.check_weight_decay(value) for value in weight_decays})
    if not found:
        raise errors.InvalidSetting("weight_decays must hold at least one value, got none")
    return found


def _folds(labels: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Fold of every row (N,), classes spread evenly: row by row in random order of each class."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % parts
    return fold


def _table(
    candidates: list[tuple[float, int, str | None]], hits: np.ndarray, weights: np.ndarray | None
) -> dict[str, np.ndarray]:
    w = np.ones(hits.shape[1]) if weights is None else weights / weights.max()
    scores = hits @ w / w.sum()
    difference = hits[int(np.argmax(scores))] - hits
    behind = difference @ w / w.sum()
    # McNemar's error: that of the difference if both were equally good.
    behind_error = np.sqrt(difference**2 @ w**2) / w.sum()
    rounds = np.array([t for _, t, _ in candidates])
    fewest = rounds[behind <= behind_error].min()
    chosen = np.zeros(len(candidates), dtype=bool)
    # Of those with so few rounds the best score; of equal ones the larger decay.
    order = [(rounds[i] != fewest, -scores[i], -candidates[i][0]) for i in range(len(candidates))]
    chosen[min(range(len(candidates)), key=order.__getitem__)] = True
    spread = np.sqrt((hits - scores[:, None]) ** 2 @ w**2) / w.sum()
    return {
        "weight_decay": np.array([decay for decay, _, _ in candidates]),
        "rounds": rounds,
        "refine": np.array([way for _, _, way in candidates], dtype=object),
        "score": scores,
        "standard_error": spread,
        "behind": behind,
        "behind_error": behind_error,
        "chosen": chosen,
    }
