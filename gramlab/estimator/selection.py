"""Rounds, refinement and weight decay by validation on the given, noisy labels."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gramlab import errors, validation
from gramlab.distillation import distill
from gramlab.estimator.base import TrainingData
from gramlab.features.copies import copies_of
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.streams import MAX_SEED
from gramlab.runner import Run, folds
from gramlab.targets import partial_labels

__all__ = ["candidate_table", "compared"]

Candidate = tuple[float, int, str | None]  # weight decay, rounds, refinement


def compared(
    data: TrainingData,
    rounds: int,
    weight_decays: Sequence[float] | None,
    refine: Sequence[str | None],
    parts: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    groups: object = None,
    **solver: Any,
) -> dict[str, np.ndarray]:
    """Score every candidate on held-out rows by their given labels.

    As ``SelfDistillationClassifier.tuned`` describes; ``solver`` is for ``SoftmaxHead``.
    """
    most = validation.check_integer("rounds", rounds, 1)
    parts = validation.check_integer("folds", parts, 2, data.features.n_samples // 2)
    validation.check_integer("random_state", seed, 0, MAX_SEED)
    if not refine or not set(refine) <= {None, "top2"}:
        raise errors.InvalidSetting(
            f'refine must list None, "top2" or both as candidates, got {refine!r}'
        )
    x = data.features.as_float64()
    if weight_decays is None:
        square = float(np.vdot(x, x)) / len(x)
        if square == 0.0:
            raise errors.InvalidFeatures("X must not be all zeros: there is nothing to tune")
        weight_decays = [10.0**power * square for power in range(-5, 0)]
    decays = sorted({validation.check_weight_decay(value) for value in weight_decays})
    if not decays:
        raise errors.InvalidSetting("weight_decays must hold at least one value, got none")
    plain = most if None in refine else 1  # the teacher is in any case the students' rival
    variants: list[tuple[int, str | None]] = [(t, None) for t in range(1, plain + 1)]
    if "top2" in refine and most >= 2:
        variants.append((2, "top2"))
    candidates = [(decay, t, way) for decay in decays for t, way in variants]
    hits = np.zeros((len(candidates), len(x)))
    together = copies_of(data.features).group if groups is None else groups
    fold = folds(data.targets.argmax(axis=1), parts, seed, together)
    run = Run(data.features, len(data.classes), fold, weights=data.weights)
    done, telling = itertools.count(1), threading.Lock()

    def score(number: int) -> None:
        """Heads of one fold."""
        weights, held = run.counted(number), run.held[number]
        truth, rows = data.targets[held], iter(hits)
        for decay in decays:
            head = SoftmaxHead(decay, sample_weight=weights, **solver)
            fits = list(distill(head, run.features, data.targets, plain))
            if len(variants) > plain:
                two = partial_labels(np.asarray(fits[0].as_targets()), 2, seed=seed)
                fits.append(head.fit(run.features, two, start=fits[0].weights))
            for fit in fits:
                predicted = (x[held] @ fit.weights).argmax(axis=1)
                next(rows)[held] = truth[np.arange(len(truth)), predicted]
            if progress is not None:
                with telling:
                    progress(next(done), parts * len(decays))

    run.map(score)
    return candidate_table(candidates, hits, data.weights)


def candidate_table(
    candidates: Sequence[Candidate], hits: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Scores of candidates, their errors, and which one is chosen.

    ``hits`` (candidates, N) are 1 where one predicts the given label of a held-out row, a share for
    soft labels; ``weights`` (N,) are those of the rows.
    """
    w = np.ones(hits.shape[1]) if weights is None else weights / weights.max()
    scores = hits @ w / w.sum()
    difference = hits[int(np.argmax(scores))] - hits
    behind = difference @ w / w.sum()
    # McNemar's error: that of the difference if both were equally good.
    behind_error = np.sqrt(difference**2 @ w**2) / w.sum()
    decays, rounds = (np.array([one[i] for one in candidates]) for i in (0, 1))
    # The fewest rounds within one error; of those the best score, of equal ones the larger decay.
    fewest = rounds[behind <= behind_error].min()
    best = np.lexsort((-decays, -scores, rounds != fewest))[0]
    return {
        "weight_decay": decays,
        "rounds": rounds,
        "refine": np.array([way for _, _, way in candidates], dtype=object),
        "score": scores,
        "standard_error": np.sqrt((hits - scores[:, None]) ** 2 @ w**2) / w.sum(),
        "behind": behind,
        "behind_error": behind_error,
        "chosen": np.arange(len(candidates)) == best,
    }
