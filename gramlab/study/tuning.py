"""Tuned cells: one head, its weight decay chosen on held-out rows. The rival of every round.

A fifth of the training rows is held out, the same rows in every cell. For each weight decay of a
grid a head is fitted to the given labels of the other rows; the one with the most held-out rows
right is then fitted to all rows. Held-out rows are judged once by their given labels, as everybody
can (``noisy validation``), and once by their true ones, which takes clean data (``clean
validation``). Equal scores go to the larger weight decay.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from gramlab.errors import NotConvergedWarning
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.streams import stream
from gramlab.study.draws import Draw
from gramlab.targets import one_hot

__all__ = ["SELECTIONS", "held_out_rows", "log_grid", "tuned_rows"]

SELECTIONS = {"noisy validation": "labels", "clean validation": "true_labels"}
"""How the weight decay is selected, and by which labels held-out rows are judged."""

_HELD_OUT = int.from_bytes(b"heldout1", "big")
_SHARE = 5  # one row in so many is held out
_TOLERANCE = 1e-6  # relative gap while selecting: classes are read off, not probabilities


def log_grid(features: Features, exponents: Iterable[float]) -> tuple[float, ...]:
    """Weight decays 10^e times the mean square of a row, to three digits, in the order of e.

    Scaling all rows by a and λ by a² leaves predictions as they are, so this grid means the same
    for raw rows and for unit ones.
    """
    square = sum(float(np.vdot(block, block)) for _, block in features.blocks())
    return tuple(float(f"{square / features.n_samples * 10.0**e:.3g}") for e in exponents)


def held_out_rows(n_samples: int) -> np.ndarray:
    """Which rows are held out (N,), by a fixed key and the row's number alone."""
    words = stream(0, _HELD_OUT).random_raw(n_samples)
    held = np.zeros(n_samples, dtype=bool)
    held[np.argsort(words, kind="stable")[: max(1, n_samples // _SHARE)]] = True
    return held


def tuned_rows(draw: Draw) -> list[dict[str, Any]]:
    """Two rows, one per way to select, each with a certified head beside its closed form."""
    grid = sorted(draw.cell.options["grid"], reverse=True)
    scores = _held_out_scores(draw, grid)
    rows, fitted = [], {}
    for selection in SELECTIONS:
        best = int(np.argmax(scores[selection]))  # the first of equals: the largest weight decay
        value = grid[best]
        if value not in fitted:
            fitted[value] = draw.head(value).fit(draw.features, draw.targets)
            draw.work.done(fitted[value])
        else:
            draw.work.on_head()  # foreseen, but not needed twice
        rows.append(
            draw.exact_row(
                "tuned",
                fitted[value],
                LinearizedHead(value).fit(draw.features, draw.targets),
                round=1,
                selected_on=selection,
                held_out_accuracy=scores[selection][best],
                at_end_of_grid=best in (0, len(grid) - 1),
            )
        )
    return rows


def _held_out_scores(draw: Draw, grid: list[float]) -> dict[str, list[float]]:
    features, k = draw.features, draw.features.n_classes
    held = held_out_rows(features.n_samples)
    rest = features.derived(_remaining)
    targets = one_hot(draw.given.labels[~held], k)
    x = np.asarray(features.x[held], dtype=np.float64)
    scores: dict[str, list[float]] = {selection: [] for selection in SELECTIONS}
    start = None
    for value in grid:
        head = SoftmaxHead(value, tolerance=max(_TOLERANCE, draw.cell.options["tolerance"]))
        with warnings.catch_warnings():
            # What counts is the held-out score it gets, wherever it stopped.
            warnings.simplefilter("ignore", NotConvergedWarning)
            fit = head.fit(rest, targets, start=start)
        draw.work.done(fit)
        start = fit.weights
        labels = fit.predict(x)
        for selection, judged_by in SELECTIONS.items():
            right = labels == getattr(draw.given, judged_by)[held]
            scores[selection].append(float(right.mean()))
    return scores


def _remaining(features: Features) -> Features:
    """The rows that are not held out; heads read targets, so their labels are placeholders."""
    x, k = features.x[~held_out_rows(features.n_samples)], features.n_classes
    return Features(x, np.arange(len(x)) % k, n_classes=k)
