"""Rounds solved on, until what is certified through all of them suffices."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gramlab.comparison import certify_predictions
from gramlab.distillation import Rounds
from gramlab.errors import NotConvergedWarning
from gramlab.heads.softmax import SoftmaxHead

__all__ = ["polish_rounds"]


def polish_rounds(
    rounds: Rounds,
    share: float,
    tell: Callable[[str], None],
    solving: Callable[[float, float], None] | None = None,
) -> Rounds:
    """Rounds solved until ``share`` of the rows is certified through them, as far as float64 goes.

    What a round is certified through is the sum of its own gradient and those of the rounds before
    it, so all are solved again, each from where it ended, to a tenth of the largest gradient. If
    that does not halve what the last round is certified to, float64 gives no more. Rounds that
    missed their tolerance stay as they are. The rounds are of the exact head, plainly distilled;
    ``tell`` is told the name of each stage, ``solving`` how far a head is, as by ``SoftmaxHead``.
    """
    if not all(fit.stats.converged for fit in rounds):
        return rounds
    word, stats = "share reached", [fit.stats for fit in rounds]
    while _certified_share(rounds) < share:
        worst = max(fit.certificate.relative_gap for fit in rounds)
        if worst == 0.0:
            word = "float64 floor"
            break
        fits, targets = [], [rounds.targets[0]]
        for t, fit in enumerate(rounds, 1):
            tell(f"exact head again, round {t} of {len(rounds)}")
            head = SoftmaxHead(fit.weight_decay, tolerance=worst / 100.0, progress=solving)
            with warnings.catch_warnings():  # the tolerance asked for is met already
                warnings.simplefilter("ignore", NotConvergedWarning)
                fits.append(head.fit(rounds.features, targets[-1], fit.weights))
            targets.append(fits[-1].as_targets())
        again = replace(rounds, fits=tuple(fits), targets=tuple(targets[:-1]))
        ends = (rounds.chain[-1], again.chain[-1])
        before, after = (np.inf if end is None else end.weights_bound for end in ends)
        if not after < before / 2.0:
            limited = any(fit.stats.result == "pass limit" for fit in again)
            word = "pass limit" if limited else "float64 floor"
            break
        # The work of both solves; whether the tolerance was met is the first one's to say.
        stats = [
            replace(
                one,
                passes=one.passes + fit.stats.passes,
                iterations=one.iterations + fit.stats.iterations,
            )
            for one, fit in zip(stats, again, strict=True)
        ]
        rounds = again
    return rounds.reported([replace(one, polish=word) for one in stats])


def _certified_share(rounds: Rounds) -> float:
    """Smallest share of rows, over rounds, whose class is certified through the rounds."""
    pairs = zip(rounds, rounds.chain, strict=True)
    return min(
        float(certify_predictions(fit, rounds.features, None, certificate)[1].mean())
        for fit, certificate in pairs
    )
