"""``gramlab transition SOURCE``: the label transition matrix, estimated from given labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gramlab import validation
from gramlab.cli import options
from gramlab.cli.output import Output, draw
from gramlab.errors import InvalidSetting

__all__ = ["EXAMPLES", "transition"]

EXAMPLES = (
    "gramlab transition digits --noise asymmetric --rate 0.3 --out noise",
    "gramlab transition my-features.npz --json -",
)

_WEIGHT_DECAY = "Weight decay of the heads; default: chosen by held-out likelihood."
_CONFIDENCE = "Level of each interval, in (0, 1)."
_ALLOWANCE = "How many times too sharp the heads may be, 1 or more."
_OUT = "Write results.json and the figure there."


def _check_confidence(name: str, value: float) -> float:
    if validation.check_positive(name, value) >= 1.0:
        raise InvalidSetting(f"{name} must be below 1, got {value}; 0.95 is 95 %")
    return value


def _check_allowance(name: str, value: float) -> float:
    if validation.check_positive(name, value) < 1.0:
        raise InvalidSetting(f"{name} must be at least 1, got {value}; the default is 2")
    return value


def transition(
    source: options.Source,
    noise: options.Noise = "symmetric",
    rate: options.TrialRate = 0.0,
    weight_decay: Annotated[float | None, options.trial_weight_decay(_WEIGHT_DECAY)] = None,
    folds: options.Folds = 5,
    rounds: Annotated[int, options.at_least(1, "Most rounds of distillation.")] = 8,
    confidence: Annotated[
        float, typer.Option(help=_CONFIDENCE, callback=options.checked(_check_confidence))
    ] = 0.95,
    allowance: Annotated[
        float, typer.Option(help=_ALLOWANCE, callback=options.checked(_check_allowance))
    ] = 2.0,
    seed: options.Seed = 0,
    center: options.Center = True,
    unit_norm: options.UnitNorm = True,
    out: Annotated[str | None, options.out(_OUT)] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """How often each class was given each label, with intervals.

    Estimate from the features and the given labels of SOURCE alone how often each class was
    given each label, C[true, given], with intervals. With --rate the labels are taken as true
    and corrupted first: a trial in which the truth is known.
    """
    asked: dict[str, Any] = {
        "weight_decay": weight_decay,
        "folds": folds,
        "rounds": rounds,
        "confidence": confidence,
        "allowance": allowance,
        "seed": seed,
    }
    steps = {"center": center, "unit_norm": unit_norm}
    with Output(json, out, quiet=quiet) as output:
        features = output.load(source, **steps)

        from gramlab.labels import corrupt_labels, corruption_matrix
        from gramlab.transition import estimate_transition

        names, stage = features.class_names, output.progress.stage
        if rate > 0.0:
            truth = corruption_matrix(noise, features.n_classes, rate, features.superclasses)
            drawn = corrupt_labels(features.labels, truth, seed=seed)
            estimate = estimate_transition(features, drawn.labels, stage=stage, **asked)
            trial = estimate.compared_with(truth, drawn.counts)
        else:
            estimate = estimate_transition(features, features.labels, stage=stage, **asked)
            truth = trial = None
        found = {
            "source": Path(source).name,
            "settings": {**asked, "noise": noise if rate else None, "rate": rate, **steps},
            "n_samples": features.n_samples,
            "class_names": list(names),
            "estimate": estimate.as_dict(),
            "trial": trial,
        }

        if output.folder is not None:
            from gramlab.figures import transition_figure

            stage("figure")
            figure = transition_figure(estimate, names, truth)
            draw(output.folder, {"transition": figure})
        output.keep(found, "results.json and transition.png")
    unsupported = [name for name, weak in zip(names, estimate.unsupported, strict=True) if weak]
    output.show("transition", estimate=estimate, names=names, unsupported=unsupported, trial=trial)
