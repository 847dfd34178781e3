"""Labels to train on that the posterior q has mended, and q of rows that a fold must not have seen.

There are three ways, one training each: leave out the suspects, whose likeliest true label is not
the given one (``drop-suspects``); train on the likeliest (``relabel``); train on q itself
(``soft-labels``). A head is scored on a fold only if nothing it was trained with has seen the
labels of that fold. The q of all rows comes from heads on the other folds and from all neighbours,
so for every fold q is made again from heads that miss a second fold beside it, and from neighbours
outside of it. What noise there is, and how sharp and how much heads and neighbours count, are
numbers of all rows.

Source: cross-fitting as of Chernozhukov et al. (2018), twice; leaving out suspects as confident
learning does (Northcutt et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.posterior import (
    Evidence,
    LabelPosterior,
    neighbour_votes,
    posterior_of,
)
from gramlab.heads.referee import softmax
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.text import short_repr
from gramlab.runner import Run
from gramlab.targets import OneHotRows, Targets
from gramlab.transition import TransitionEstimate
from gramlab.transition.mixture import given_label_posterior

__all__ = ["CleanedLabels", "FoldPosteriors"]

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CleanedLabels:
    """What to train on, of N rows in their order: ``given`` labels (N,), mended by ``soft`` (N, K).

    ``soft`` are the posteriors q_i of the true labels, whose rows sum to one.
    """

    given: Labels
    soft: Array

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def proposed(self) -> Labels:
        """The likeliest true labels (N,); of the suspects others than the given ones."""
        return self.soft.argmax(axis=1)

    @property
    def probability_wrong(self) -> Array:
        """1 − q_i(given) (N,), as the posterior has it; that of suspects is calibrated elsewhere.

        See ``Suspects.precision``.
        """
        return 1.0 - self.soft[np.arange(len(self.given)), self.given]

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """The rows that are no suspects, and all rows of ``spared`` classes; shape (N,)."""
        return (self.proposed == self.given) | np.isin(self.given, self.spared)

    @property
    def spared(self) -> list[int]:
        """Given classes all of whose rows are suspects: without them the class would be lost."""
        right = self.given[self.proposed == self.given]
        return np.setdiff1d(self.given, right).tolist()

    @property
    def weight(self) -> Array:
        """1 of rows that are kept, else 0 (N,): weights to train with on the given labels."""
        return self.kept.astype(np.float64)

    def columns(self) -> dict[str, list[Any]]:
        """All rows in their order, as columns of plain numbers."""
        columns = {
            "row": np.arange(len(self.given)),
            "given": self.given,
            "proposed": self.proposed,
            "probability_wrong": self.probability_wrong,
            "kept": self.kept,
            "weight": self.weight,
        }
        return {name: values.tolist() for name, values in columns.items()}

    def problem(self, labels: str) -> tuple[OneHotRows | Targets, Array | None]:
        """Targets (N, K) and weights (N,) of one of ``trial.LABELS``; None weighs rows alike."""
        k = self.soft.shape[1]
        if labels == "soft-labels":
            return Targets(self.soft - 1.0 / k), None
        targets = OneHotRows(self.proposed if labels == "relabel" else self.given, k)
        return targets, self.weight if labels == "drop-suspects" else None


@dataclass(frozen=True, eq=False)
class FoldPosteriors:
    """Makes q of the training rows of every fold without the labels of that fold.

    ``run`` holds the folds, ``given`` are labels (N,), ``nearest`` rows (N, k) as of
    ``nearest_rows``; ``estimate`` and ``posterior`` are of all rows.
    """

    run: Run
    given: Labels
    nearest: npt.NDArray[np.int32]
    estimate: TransitionEstimate
    posterior: LabelPosterior
    tolerance: float = 1e-5

    def cleaned(self, stage: Callable[[str], None] = lambda text: None) -> list[CleanedLabels]:
        """Labels of the ``train`` rows of each fold, as everything but that fold mends them.

        There are F(F − 1)/2 heads for F folds, each on the rows of all but two; of two folds none
        would be left, and the list is empty. So it is where the estimate rests on probabilities of
        the caller's, which cannot be made again without a fold.
        """
        run, decay = self.run, self.estimate.weight_decay
        if len(run) < 3 or decay is None:
            return []
        stage(f"heads that miss two of {len(run)} folds")
        logits: dict[tuple[int, int], Array] = {}  # by fold that is missed and fold of the rows
        for found in run.map(lambda f: {(f, g): self._logits(f, g, decay) for g in range(f)}):
            for (f, g), (of_f, of_g) in found.items():
                logits[f, g], logits[g, f] = of_g, of_f
        return [self._without(fold, logits) for fold in range(len(run))]

    def _logits(self, f: int, g: int, decay: float) -> tuple[Array, Array]:
        """Logits of the rows of two folds, by the heads of the estimate without both."""
        run, k = self.run, self.run.n_classes
        features, given = run.features, self.given
        head = SoftmaxHead(decay, sample_weight=run.counted(f, g), tolerance=self.tolerance)
        fit = head.fit(features, OneHotRows(given, k))
        for _ in range(1, self.estimate.rounds):
            inside = self._calibrated(features.x @ np.asarray(fit.weights))
            q, _ = given_label_posterior(inside, self.estimate.matrix, given)
            fit = head.fit(features, Targets(q - 1.0 / k), start=fit.weights)
        weights = np.asarray(fit.weights)
        return features.x[run.held[f]] @ weights, features.x[run.held[g]] @ weights

    def _calibrated(self, logits: Array) -> Array:
        """Probabilities (m, K) of heads, with the calibration of the estimate."""
        return softmax(self.estimate.sharpness * logits + self.estimate.offsets)

    def _without(self, fold: int, logits: dict[tuple[int, int], Array]) -> CleanedLabels:
        """Labels of all rows but those of a fold, by heads and neighbours that have not seen it."""
        train, of = self.run.train[fold], self.posterior
        unseen = np.empty((len(self.given), self.run.n_classes))
        for other in set(range(len(self.run))) - {fold}:
            unseen[self.run.held[other]] = logits[fold, other]
        p = self._calibrated(unseen[train])
        if of.neighbours:
            near = self.nearest[train, : of.neighbours]
            outside = ~np.isin(near, self.run.held[fold])
            votes = neighbour_votes(near, self.given, self.run.n_classes, outside)
            sharpness = self.estimate.sharpness
            evidence = Evidence.of(p, votes, sharpness)
            p = evidence.probabilities(of.vote_weight, of.sharpness * sharpness)
        q, _ = posterior_of(p, self.estimate, self.given[train])
        return CleanedLabels(self.given[train], q)
