"""Calibrated precision: corrupt labels that are known, look for them, and count what was found.

True labels y are made up, given labels are drawn from the estimated matrix, g' ~ C[y, ·], and the
whole search is run again on g' alone. How often labels of a given rank were wrong *there*, by an
isotonic regression, is what is claimed *here*. Nobody knows the true y, so there are two resamples:
``cleaned``, y_i = argmax q_i, with which the features agree too well, and ``drawn``, y_i ~ q_i,
which they may contradict. The claim is the middle of the two (docs/diagnose.md). Copies that all
have one label were labelled once: their true and their given label are drawn once, together.

Source: the parametric bootstrap (Efron 1979) with the noise model of ``gramlab.transition``; pool
adjacent violators as Ayer et al. (1955).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

from gramlab.diagnosis.posterior import LabelPosterior, label_posterior
from gramlab.features import Features
from gramlab.features.copies import COPY_RADIUS, copies_of
from gramlab.labels import corrupt_labels
from gramlab.numerics.streams import stream, uniforms
from gramlab.runner import Run
from gramlab.transition import TransitionEstimate, estimate_transition

__all__ = ["Resample", "isotonic_map", "recorrupt", "resampled_precision"]

Array = npt.NDArray[np.float64]

_DRAW_STREAM = int.from_bytes(b"truth-d1", "big")


class Resample(NamedTuple):
    """Labels corrupted again, whose truth is known, and what the search found among them.

    ``name`` is ``"cleaned"`` or ``"drawn"``; of all N rows, ``given`` are the labels g', ``score``
    is 1 − q'_i(g'_i), found from g' alone, and ``suspected`` and ``wrong`` whether a row became a
    suspect, and was mislabelled.
    """

    name: str
    given: npt.NDArray[np.int64]
    score: Array
    suspected: npt.NDArray[np.bool_]
    wrong: npt.NDArray[np.bool_]

    @property
    def precision(self) -> float | None:
        """Share of suspects whose label was wrong; None without suspects."""
        return float(self.wrong[self.suspected].mean()) if self.suspected.any() else None

    @property
    def recall(self) -> float | None:
        """Share of wrong labels that were suspected; None without wrong labels."""
        return float(self.suspected[self.wrong].mean()) if self.wrong.any() else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values: counts and shares."""
        return {
            "world": self.name,
            "suspects": int(self.suspected.sum()),
            "wrong": int(self.wrong.sum()),
            "precision": self.precision,
            "recall": self.recall,
        }


def resampled_precision(resamples: Sequence[Resample], count: int) -> tuple[Array, Array, Array]:
    """Precision of suspects by rank: the mean over the resamples, the lowest and the highest.

    Ranks are compared as shares of the suspects, because scores are not comparable: each run finds
    its own sharpness. Entry k of each result (count,) is for the k-th most suspicious; without any
    resample ½ between 0 and 1 is claimed.
    """

    def falling(m: int) -> Array:
        """1 − (k + ½)/m for k = 0 … m − 1: near 1 for the most suspicious, near 0 for the last."""
        return 1.0 - (np.arange(m) + 0.5) / max(m, 1)

    if not resamples:
        return np.full(count, 0.5), np.zeros(count), np.ones(count)
    found = []
    for one in resamples:
        order = np.argsort(-one.score[one.suspected], kind="stable")
        wrong = one.wrong[one.suspected][order]
        found.append(isotonic_map(falling(len(order)), wrong, falling(count)))
    return np.mean(found, axis=0), np.min(found, axis=0), np.max(found, axis=0)


def isotonic_map(scores: Array, wrong: npt.NDArray[np.bool_], at: Array) -> Array:
    """Share of wrong labels as a rising function of the scores (n,), read at other scores (m,).

    It is linear between the scores and constant outside of them. One wrong label below the lowest
    and one right label above the highest keep a few rows from claiming certainty; without any row
    it is ½.
    """
    if not len(scores):
        return np.full(len(at), 0.5)
    order = np.argsort(scores, kind="stable")
    values = scipy.optimize.isotonic_regression([1.0, *wrong[order], 0.0]).x
    return np.interp(at, scores[order], values[1:-1])


def recorrupt(
    features: Features,
    estimate: TransitionEstimate,
    posterior: LabelPosterior,
    nearest: npt.NDArray[np.int32],
    run: Run,
    seed: int,
    stage: Callable[[str], None],
    copy_radius: float = COPY_RADIUS,
) -> tuple[Resample, ...]:
    """Run the search for wrong labels in both resamples.

    What does not depend on labels is that of the given ones: the neighbours, and what was factored
    for the folds of ``run``. Copies are those of the features within ``copy_radius``.
    """
    made = []
    first = copies_of(features, copy_radius).labelled_once(features.labels)
    truths = {"cleaned": posterior.labels, "drawn": _drawn(posterior.posterior, seed)}
    for number, (name, true) in enumerate(truths.items(), 1):
        stage(f"re-corrupted labels, resample {number} of {len(truths)}")
        true = true[first]
        drawn = corrupt_labels(true, estimate.matrix, seed=(seed + number) % 2**64)
        given = drawn.labels[first]
        if (given == given[0]).all():
            continue  # one label everywhere: nothing can be looked for
        found = estimate_transition(
            features,
            given,
            weight_decay=estimate.weight_decay,
            rounds=estimate.rounds,
            folds=run,
            copy_radius=copy_radius,
        )
        again = label_posterior(found, given, nearest)
        score = 1.0 - again.posterior[np.arange(len(given)), given]
        made.append(Resample(name, given, score, again.labels != given, given != true))
    return tuple(made)


def _drawn(posterior: Array, seed: int) -> npt.NDArray[np.int64]:
    """One label a row, drawn from its posterior; the same on every machine for one seed."""
    uniform = uniforms(stream(seed, _DRAW_STREAM).random_raw(len(posterior)))
    below = (np.cumsum(posterior, axis=1) <= uniform[:, None]).sum(axis=1)
    return np.minimum(below, posterior.shape[1] - 1)
