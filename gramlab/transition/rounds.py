"""Heads that never saw a row's own label: their weight decay, and rounds that know the noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gramlab.heads.referee import softmax
from gramlab.heads.softmax import SoftmaxHead
from gramlab.runner import Run
from gramlab.targets import Targets
from gramlab.transition.mixture import Mixture, fit_mixture, given_label_posterior

__all__ = ["HeldOutHeads", "NoiseRounds", "bytes_needed"]

Array = npt.NDArray[np.float64]


def bytes_needed(n: int, d: int, n_classes: int) -> int:
    """Peak of the memory that rounds on n rows of width d take beside the features."""
    # Rows on a device in float64 and twice in float32, with zero rows behind them; logits and
    # probabilities of the weight decays that are tried, and of parts of the rows; of two threads
    # three copies of a Gram matrix.
    return 17 * n * d + 32 * 8 * n * n_classes + 6 * 8 * min(n, d) ** 2


class HeldOutHeads(NamedTuple):
    """One round: weights of each fold's head, and the mixture of their out-of-fold logits."""

    weight_decay: float
    round: int
    weights: Sequence[Array]
    logits: Array  # (N, K), out of fold
    mixture: Mixture

    @property
    def log_likelihood(self) -> float:
        """Of the given labels, nats a row."""
        return self.mixture.log_likelihood


@dataclass(frozen=True, eq=False)
class NoiseRounds:
    """Fits one head per fold, round after round, and keeps what explains the given labels best.

    Of the folds of ``run`` and ``given`` labels (N,), with heads to a relative duality gap
    ``tolerance``; ``stage`` is called with a few words when one begins, and ``group`` (N,) is that
    of ``fit_mixture``.
    """

    run: Run
    given: npt.NDArray[np.int64]
    tolerance: float
    stage: Callable[[str], None] = lambda text: None
    group: npt.NDArray[np.int64] | None = None

    def teachers(self, weight_decay: float, near: HeldOutHeads | None = None) -> HeldOutHeads:
        """Heads on the given labels, begun at those that are near."""
        self.stage(f"round 1, weight decay {weight_decay:.3g}")
        return self._fitted(weight_decay, 1, self.run.one_hot(self.given), near)

    def students(self, before: HeldOutHeads) -> HeldOutHeads:
        """Heads on the posteriors of their own training rows, by the heads of the round before."""
        self.stage(f"round {before.round + 1}")
        run, mixture = self.run, before.mixture

        def posteriors(number: int) -> Targets:
            logits = run.features.x @ before.weights[number]
            inside = softmax(mixture.sharpness * logits)
            posterior, _ = given_label_posterior(inside, mixture.matrix, self.given)
            return Targets(posterior - 1.0 / run.n_classes)

        return self._fitted(before.weight_decay, before.round + 1, posteriors, before)

    def _fitted(
        self, decay: float, number: int, targets: Callable[[int], Any], near: HeldOutHeads | None
    ) -> HeldOutHeads:
        head = SoftmaxHead(decay, tolerance=self.tolerance)
        fits = self.run.fit(head, targets, near and near.weights)
        weights = [np.asarray(fit.weights) for fit in fits]
        logits = self.run.held_out(weights)
        mixture = fit_mixture(logits, self.given, near and near.mixture, group=self.group)
        return HeldOutHeads(decay, number, weights, logits, mixture)

    def first_rounds(self, weight_decay: float | None = None) -> list[HeldOutHeads]:
        """Heads of round 1 at a weight decay, or at the best of a search uphill in steps of √10.

        The next smaller weight decay that was tried comes second: with less of it heads are further
        from what they were fitted to, and rounds may gain where they do not at the best.
        """
        search = weight_decay is None
        if weight_decay is None:
            squares = sum(np.vdot(block, block) for _, block in self.run.features.blocks())
            weight_decay = 1e-3 * (float(squares) / len(self.given) if squares > 0.0 else 1.0)
        best = self.teachers(weight_decay)
        tried = [best]
        # A smaller weight decay must gain 0.003 nats a row: it costs more passes.
        for factor, least in ((1.0 / math.sqrt(10.0), 0.003), (math.sqrt(10.0), 0.0)):
            for _ in range(6 if search else 0):
                tried.append(self.teachers(best.weight_decay * factor, best))
                if tried[-1].log_likelihood - best.log_likelihood < least:
                    break
                best = tried[-1]
            if best is not tried[0]:
                break
        smaller = [heads for heads in tried if heads.weight_decay < best.weight_decay]
        return [best, *sorted(smaller, key=lambda heads: -heads.weight_decay)[:1]]

    def best_round(self, candidates: Sequence[HeldOutHeads], most: int) -> HeldOutHeads:
        """Distill with the noise model while the held-out likelihood rises; the best round.

        It begins at the first of ``candidates``, and at the next where no round has gained.

        Heads that are calibrated for the given labels explain them without any noise, at β near 1.
        That is a local optimum which strong noise between few classes can end in, so where β came
        out small a second run begins at a mixture that reads the same heads as sure of themselves.
        """
        found: list[HeldOutHeads] = []
        for first in candidates if most > 1 else candidates[:1]:
            runs = [self._uphill(first, most)]
            if most > 1 and first.mixture.sharpness <= 1.5:
                sure = fit_mixture(first.logits, self.given, sharpness=8.0, group=self.group)
                runs.append(self._uphill(first._replace(mixture=sure), most))
            found.append(max(runs, key=lambda heads: heads.log_likelihood))
            if found[-1].round > 1:
                break
        return max(found, key=lambda heads: heads.log_likelihood)

    def _uphill(self, best: HeldOutHeads, most: int) -> HeldOutHeads:
        """Rounds from ``best`` on, until one gains less than a thousandth of a nat a row."""
        for _ in range(most - 1):
            found = self.students(best)
            gain = found.log_likelihood - best.log_likelihood
            if gain > 0.0:
                best = found
            if gain < 1e-3:
                break
        return best
