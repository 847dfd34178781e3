"""Calibrated precision: spoil labels that are known, look for them, and count what was found.

The posterior's own word, 1 − q_i(given), is as overconfident as its heads. So the whole search is
run again where the truth is known: true labels y are made up, given labels are drawn from the
estimated matrix, g' ~ C[y, ·], and the transition matrix and the posterior are estimated anew from
g' alone. How often labels of a given rank were wrong *there* is what is claimed *here*.

Two worlds are made, because nobody knows the true y:

``cleaned``
    y_i = argmax q_i. The features agree with these labels better than with the true ones, so the
    precision found is on the high side.
``drawn``
    y_i ~ q_i. Rows whose label is uncertain get one that the features may contradict; where q is
    right this is the distribution of the truth, and where q is too unsure it is on the low side.

In each world an isotonic regression maps a suspect's rank to a precision. The claim is the middle
of the two, and they are the ends of its range.

Source: the parametric bootstrap (Efron 1979) with the noise model of ``gramlab.transition``; pool
adjacent violators as Ayer et al. (1955).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

from gramlab.diagnosis.folds import Folds
from gramlab.diagnosis.posterior import LabelPosterior, label_posterior
from gramlab.features import Features
from gramlab.labels import corrupt_labels
from gramlab.streams import stream
from gramlab.transition import TransitionEstimate, estimate_transition

__all__ = ["Recorruption", "World", "isotonic_map", "recorrupt"]

Array = npt.NDArray[np.float64]

WORLDS = ("cleaned", "drawn")
_DRAW_STREAM = int.from_bytes(b"truth-d1", "big")
_PRIOR = 1.0  # rows added at either end, so that no claim is sure


class World(NamedTuple):
    """One re-corrupted world, whose truth is known.

    Attributes
    ----------
    name : str
        ``"cleaned"`` or ``"drawn"``.
    score : np.ndarray of shape (N,)
        1 − q'_i(g'_i), found from g' alone.
    suspected, wrong : np.ndarray of shape (N,), bool
        Whether the row became a suspect, and whether its label was wrong.
    """

    name: str
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


@dataclass(frozen=True, eq=False)
class Recorruption:
    """What the worlds say about suspects."""

    worlds: tuple[World, ...] = field(repr=False)

    def precision(self, count: int) -> tuple[Array, Array, Array]:
        """Precision by rank: the mean over the worlds, the lowest and the highest.

        Parameters
        ----------
        count : int
            Number of suspects m; entry k of each result (m,) is for the k-th most suspicious.

        Notes
        -----
        Ranks are compared as shares of the suspects, because scores are not comparable: each run
        finds its own sharpness.
        """
        at = _falling_ranks(count)
        found = [
            isotonic_map(_falling_ranks(len(order)), world.wrong[world.suspected][order], at)
            for world in self.worlds
            for order in [np.argsort(-world.score[world.suspected], kind="stable")]
        ]
        if not found:
            return np.full(count, 0.5), np.zeros(count), np.ones(count)
        return np.mean(found, axis=0), np.min(found, axis=0), np.max(found, axis=0)


def _falling_ranks(count: int) -> Array:
    """1 − (k + ½)/m for k = 0 … m − 1: near 1 for the most suspicious, near 0 for the last."""
    return 1.0 - (np.arange(count) + 0.5) / max(count, 1)


def isotonic_map(scores: Array, wrong: npt.NDArray[np.bool_], at: Array) -> Array:
    """Share of wrong labels as a rising function of the score, read at other scores.

    Parameters
    ----------
    scores : np.ndarray of shape (n,)
        Of rows whose truth is known.
    wrong : np.ndarray of shape (n,)
        Whether they were wrong.
    at : np.ndarray of shape (m,)
        Where to read it; linear between the scores, constant outside of them.

    Returns
    -------
    np.ndarray of shape (m,)
        In (0, 1): one wrong label below the lowest score and one right label above the highest
        keep a few rows from claiming certainty. ½ everywhere without any row.
    """
    order = np.argsort(scores, kind="stable")
    x = np.concatenate([[-np.inf], scores[order], [np.inf]])
    y = np.concatenate([[1.0], wrong[order].astype(np.float64), [0.0]])
    weights = np.concatenate([[_PRIOR], np.ones(len(order)), [_PRIOR]])
    values = scipy.optimize.isotonic_regression(y, weights=weights).x
    if not len(order):
        return np.full(len(at), 0.5)
    return np.interp(at, x[1:-1], values[1:-1])


def recorrupt(
    features: Features,
    estimate: TransitionEstimate,
    posterior: LabelPosterior,
    nearest: npt.NDArray[np.int64] | None,
    folds: Folds,
    *,
    seed: int,
    tolerance: float = 1e-5,
    stage: Callable[[str], None] = lambda words: None,
) -> Recorruption:
    """Run the search for wrong labels in both worlds.

    Parameters
    ----------
    features : Features
        N rows.
    estimate, posterior
        Found from the given labels.
    nearest : np.ndarray, optional
        Neighbours, which do not depend on labels.
    folds : Folds
        Those of the given labels: what is factored for them serves the worlds too.
    seed, tolerance
        As for the estimate.
    stage : callable
        Called with a few words when a stage begins.
    """
    worlds = []
    for number, name in enumerate(WORLDS):
        stage(f"re-corrupted labels, world {number + 1} of {len(WORLDS)}")
        true = posterior.labels if name == "cleaned" else _drawn(posterior.posterior, seed)
        given = corrupt_labels(true, estimate.matrix, seed=(seed + 1 + number) % 2**64).labels
        if (given == given[0]).all():
            continue  # one label everywhere: nothing can be looked for
        found = estimate_transition(
            features,
            given,
            n_classes=features.n_classes,
            weight_decay=estimate.weight_decay,
            rounds=estimate.rounds,
            rows=folds,
            seed=seed,
            tolerance=tolerance,
        )
        again = label_posterior(found, given, nearest)
        score = 1.0 - again.posterior[np.arange(len(given)), given]
        worlds.append(World(name, score, again.labels != given, given != true))
    return Recorruption(tuple(worlds))


def _drawn(posterior: Array, seed: int) -> npt.NDArray[np.int64]:
    """One label a row, drawn from its posterior; the same on every machine for one seed."""
    words = stream(seed, _DRAW_STREAM).random_raw(len(posterior))
    uniform = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    below = (np.cumsum(posterior, axis=1) <= uniform[:, None]).sum(axis=1)
    return np.minimum(below, posterior.shape[1] - 1).astype(np.int64)
