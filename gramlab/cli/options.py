"""Options that verbs share: their types, help texts and checks, written once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from gramlab import validation

__all__ = [
    "Center",
    "ExactCounts",
    "Folds",
    "JsonFile",
    "Noise",
    "NoiseKind",
    "Quiet",
    "Rate",
    "Rounds",
    "Seed",
    "Source",
    "Tolerance",
    "TrialRate",
    "UnitNorm",
    "WeightDecay",
    "at_least",
    "checked",
    "flag",
    "out",
    "positive",
    "trial_weight_decay",
]


def checked(check: Callable[..., Any], *limits: float) -> Callable[..., Any]:
    """A callback for typer: ``check(option's name, value, *limits)`` where a value is given."""

    def callback(param: typer.CallbackParam, value: Any) -> Any:
        name = f"--{(param.name or '').replace('_', '-')}"
        return None if value is None else check(name, value, *limits)

    return callback


def at_least(smallest: int, help: str, largest: int | None = None) -> Any:
    """An option that is a whole number in a range."""
    limits = (smallest,) if largest is None else (smallest, largest)
    return typer.Option(help=help, callback=checked(validation.check_integer, *limits))


def positive(help: str) -> Any:
    """An option that is a number above zero."""
    return typer.Option(help=help, callback=checked(validation.check_positive))


def flag(name: str, help: str) -> Any:
    """An option that is there or not."""
    return typer.Option(name, help=help)


def out(help: str) -> Any:
    """``--out`` of verbs that write a folder."""
    return typer.Option("--out", metavar="DIR", help=help)


def trial_weight_decay(help: str) -> Any:
    """``--weight-decay`` of verbs that choose one where none is given."""

    def check(name: str, value: float) -> float:
        return validation.check_weight_decay(value)

    return typer.Option(help=help, callback=checked(check))


NoiseKind = Literal["symmetric", "asymmetric", "superclass", "pair-flip"]
"""Kinds of label noise that ``gramlab.corruption_matrix`` knows."""

_SOURCE = """Features with their true labels: 'digits' (bundled), a folder written by gramlab
extract, an .npz file with train_features and train_labels (optionally test_features and
test_labels), or a .safetensors file written by gramlab."""
_TRIAL = "Share of labels to corrupt for a trial; 0 takes them as given."
_JSON = "Write the results as JSON; - is stdout, which then holds nothing else."

Source = Annotated[str, typer.Argument(metavar="SOURCE", help=" ".join(_SOURCE.split()))]
Noise = Annotated[NoiseKind, typer.Option(help="Kind of label noise.")]
Rate = Annotated[
    float,
    typer.Option(
        help="Share of labels to corrupt, in [0, 1).", callback=checked(validation.check_rate)
    ),
]
TrialRate = Annotated[float, typer.Option(help=_TRIAL, callback=checked(validation.check_rate))]
WeightDecay = Annotated[float, positive("Weight decay of the objective, above 0.")]
Rounds = Annotated[int, at_least(1, "Trainings, the teacher included.")]
Seed = Annotated[int, at_least(0, "Key of the label noise and of ties.", 2**64 - 1)]
Folds = Annotated[int, at_least(2, "Folds of the held-out predictions.")]
Tolerance = Annotated[float, positive("Relative duality gap every exact head reaches.")]
Center = Annotated[bool, typer.Option(help="Subtract the mean feature first.")]
UnitNorm = Annotated[bool, typer.Option(help="Then divide each row by its norm.")]
ExactCounts = Annotated[bool, flag("--exact-counts", "Corrupt a fixed number of labels per class.")]
JsonFile = Annotated[str | None, typer.Option("--json", metavar="FILE", help=_JSON)]
Quiet = Annotated[
    bool, flag("--quiet", "No progress and no table; only files, warnings and errors.")
]
