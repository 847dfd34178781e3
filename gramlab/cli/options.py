"""Options that verbs share: their names, help texts and types, written once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = [
    "Center",
    "ExactCounts",
    "JsonFile",
    "Noise",
    "NoiseKind",
    "OutFolder",
    "Quiet",
    "Rate",
    "Rounds",
    "Seed",
    "Source",
    "UnitNorm",
    "WeightDecay",
]


class NoiseKind(StrEnum):
    """Kinds of label noise that ``gramlab.corruption_matrix`` knows."""

    SYMMETRIC = "symmetric"
    ASYMMETRIC = "asymmetric"
    SUPERCLASS = "superclass"
    PAIR_FLIP = "pair-flip"


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        show_default=False,
        help="Features with their true labels: 'digits' (bundled), a folder written by gramlab "
        "extract, an .npz file with train_features and train_labels (optionally test_features and "
        "test_labels), or a .safetensors file written by gramlab.",
    ),
]
Noise = Annotated[NoiseKind, typer.Option("--noise", help="Kind of label noise.")]
Rate = Annotated[float, typer.Option("--rate", help="Share of labels to spoil, in [0, 1).")]
WeightDecay = Annotated[
    float, typer.Option("--weight-decay", help="Weight decay of the objective, above 0.")
]
Rounds = Annotated[int, typer.Option("--rounds", help="Trainings, the teacher included.")]
Seed = Annotated[int, typer.Option("--seed", help="Key of the label noise and of ties.")]
Center = Annotated[
    bool, typer.Option("--center/--no-center", help="Subtract the mean feature first.")
]
UnitNorm = Annotated[
    bool,
    typer.Option("--unit-norm/--no-unit-norm", help="Then divide each row by its norm."),
]
ExactCounts = Annotated[
    bool,
    typer.Option("--exact-counts", help="Spoil a fixed number of labels per class."),
]
OutFolder = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="DIR",
        show_default=False,
        help="Write results.json, report.html and the figures there.",
    ),
]
JsonFile = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE",
        show_default=False,
        help="Write the results as JSON; - is stdout, which then holds nothing else.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", help="No progress and no table; only files, warnings and errors."),
]
