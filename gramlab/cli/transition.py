"""``gramlab transition SOURCE``: the label transition matrix, estimated from given labels."""

from __future__ import annotations

from itertools import compress
from pathlib import Path
from typing import Annotated, Any

from typer import Context

from gramlab.cli import options
from gramlab.cli.options import positive
from gramlab.cli.output import given, running

EXAMPLES = (
    "gramlab transition digits --noise asymmetric --rate 0.3 --out noise",
    "gramlab transition my-features.npz --json -",
)

_WEIGHT_DECAY = "Weight decay of the heads; default: chosen by held-out likelihood."
_CONFIDENCE = positive("Level of each interval, in (0, 1).", "below 1", "0.95 is 95 %")
_ALLOWANCE = positive(
    "How many times as often as they expect heads may err, 1 or more.",
    "at least 1",
    "the default is 2",
)
_OUT = "Write results.json and the figure there."


def transition(
    context: Context,
    source: options.Source,
    noise: options.Noise = "symmetric",
    rate: options.TrialRate = 0.0,
    noise_matrix: options.NoiseMatrix = None,
    given_file: options.Given = None,
    truth_file: options.Truth = None,
    weight_decay: Annotated[float | None, positive(_WEIGHT_DECAY)] = None,
    folds: options.Folds = 5,
    groups_file: options.Groups = None,
    copy_radius: options.CopyRadius = 1e-6,
    rounds: Annotated[int, options.at_least(1, "Most rounds of distillation.")] = 8,
    confidence: Annotated[float, _CONFIDENCE] = 0.95,
    allowance: Annotated[float, _ALLOWANCE] = 2.0,
    seed: options.Seed = 0,
    center: options.Center = True,
    unit_norm: options.UnitNorm = True,
    constant: options.Constant = True,
    out: Annotated[str | None, options.option(_OUT, metavar="DIR")] = None,
    figure_format: options.FigureFormat = "png",
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """How often each class was given each label, with intervals.

    Estimate from the features and the given labels of SOURCE alone how often each class was
    given each label, C[true, given], with intervals. With --rate or --noise-matrix the
    labels are taken as true and corrupted first: a trial in which the truth is known. So it is
    with --given or --truth, where somebody has given labels beside the true ones.
    """
    own, observed = options.own_matrix(context), options.observed(context)
    with running(context, out) as output:
        steps = {"center": center, "unit_norm": unit_norm, "constant": constant}
        features = output.load(**steps, test=False)

        from gramlab.features.copies import copies_of
        from gramlab.labels import (
            OBSERVED,
            check_corruption_matrix,
            corrupt_labels,
            corruption_matrix,
            flipped_share,
        )
        from gramlab.runner import group_numbers
        from gramlab.transition import estimate_transition

        asked, stage = given(context, estimate_transition), output.progress.stage
        truth, noisy = None, None
        planted: dict[str, Any] = {"noise": noise if rate else None, "rate": rate}
        if observed is not None:
            noisy = observed(features)
            planted = {"noise": OBSERVED, "rate": noisy.realized_rate}
        elif own is not None:
            truth = check_corruption_matrix(own, features.n_classes, "--noise-matrix")
            planted = {"noise": "matrix", "rate": flipped_share(own), "noise_matrix": own}
        elif rate > 0.0:
            truth = corruption_matrix(noise, features.n_classes, rate, features.superclasses)
        if truth is not None:
            noisy = corrupt_labels(features.labels, truth, seed=seed)
        labels, trial = features.labels if noisy is None else noisy.labels, None
        groups = options.own_groups(context)
        groups = None if groups is None else group_numbers(groups, features.n_samples)
        estimate = estimate_transition(features, labels, groups=groups, stage=stage, **asked)
        copies = copies_of(features, copy_radius)
        if noisy is not None:
            trial = estimate.compared_with(noisy.matrix, noisy.counts)
        names = features.class_names
        settings = {**asked, **planted}
        found = {
            "command": "transition",
            "source": Path(source).name,
            "settings": settings | steps,
            "n_samples": features.n_samples,
            "copies": copies.as_dict(),
            "groups": None if groups is None else int(groups.max()) + 1,
            "class_names": list(names),
            "estimate": estimate.as_dict(),
            "trial": trial,
        }

        if output.folder is not None:
            from gramlab.figures import TransitionDisplay

            stage("figure")
            display = TransitionDisplay.from_estimate(estimate, names, noisy and noisy.matrix)
            output.draw({"transition": display})
        output.keep(found, f"results.json and transition.{output.figure_format}")
    unsupported = list(compress(names, estimate.unsupported))
    shown = {"estimate": estimate, "names": names, "unsupported": unsupported, "trial": trial}
    shown |= {"settings": found["settings"], "copies": copies.format_copies(groups)}
    output.show("transition", "", **shown)
