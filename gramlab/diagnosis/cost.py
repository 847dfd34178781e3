"""What a diagnosis will cost, known before it begins: bytes of memory, and shares of its time."""

from __future__ import annotations

from typing import NamedTuple

from gramlab.diagnosis.settings import DiagnosisSettings
from gramlab.transition.rounds import bytes_needed as transition_bytes

__all__ = ["Stage", "bytes_needed", "stages"]


class Stage(NamedTuple):
    """A part of a run, begun by a text that starts with ``begins``, of about so many ``steps``.

    ``seconds`` are about those of one core in ``examples/diagnose_cost.py 20000 512 20``: what
    counts is how they compare.
    """

    begins: str
    steps: int
    seconds: float


def bytes_needed(n: int, d: int, n_classes: int, settings: DiagnosisSettings) -> int:
    """Peak of the memory that a diagnosis of n rows takes beside the features it was given.

    d is their width, with the constant column.
    """
    rounds, features = transition_bytes(n, d, n_classes), 8 * n * d
    # Prepared rows, and their coordinates or, before, what one step of preparation takes from
    # another or inner products of rows with all others; for every fold what heads without it say of
    # the rest, and labels mended by that; 50 neighbours of each row.
    return rounds + 2 * features + 2 * settings.folds * 8 * n * n_classes + 4 * 50 * n


def stages(settings: DiagnosisSettings) -> list[Stage]:
    """The parts of a diagnosis in their order, of which the last is its end."""
    found = [
        Stage("preparing features", 1, 1.0),
        Stage("copies of rows", 1, 1.0),
        Stage("Gram spectrum", 1, 4.0),
        Stage("noise: ", 8, 30.0),
        Stage("neighbours", 1, 16.0),
    ]
    if settings.folds > 2:
        found.append(Stage("heads that miss two", 1, 11.0))
    found.append(Stage("closed form on every fold", 40 if settings.max_rounds > 1 else 20, 80.0))
    found.append(Stage("exact heads on all rows", 1, 2.0))
    if settings.recorrupt:
        found.append(Stage("re-corrupted labels", 2, 40.0))
    return [*found, Stage("explanations", 1, 5.0)]
