"""``gramlab population``: the block model's condition, rounds and phase diagrams."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from gramlab.cli import options
from gramlab.cli.output import Output, draw
from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_write

__all__ = ["EXAMPLES", "population"]

EXAMPLES = (
    "gramlab population --rate 0.5 --phase rate-round --out population",
    "gramlab population --classes 6 --superclass-size 3 --superclass 0.3 --between 0.1 --json -",
)

_SIZE = "Classes in each superclass, m; without it all classes are in one."
_OUT = "Write results.json there, and the phase diagram as phase.png and phase.csv."
_WITHIN = "Correlation c of rows of one class."
_SUPERCLASS = "Correlation d of rows of one superclass."

Plane = Literal["rate-round", "rate-decay", "decay-round"]


def population(
    classes: Annotated[int, options.at_least(2, "Classes K.", 1000)] = 4,
    samples_per_class: Annotated[int, options.at_least(1, "Rows of each class, n.")] = 500,
    within: Annotated[float, typer.Option(help=_WITHIN)] = 0.4,
    superclass: Annotated[float, typer.Option(help=_SUPERCLASS)] = 0.1,
    between: Annotated[float, typer.Option(help="Correlation e otherwise.")] = 0.0,
    superclass_size: Annotated[int | None, typer.Option(help=_SIZE)] = None,
    noise: options.Noise = "symmetric",
    rate: options.Rate = 0.5,
    weight_decay: options.WeightDecay = 1e-5,
    max_rounds: Annotated[
        int, options.at_least(1, "Rounds in which to look for a perfect one.")
    ] = 100,
    phase: Annotated[Plane | None, typer.Option(help="Plane of a phase diagram.")] = None,
    round: Annotated[int, options.at_least(1, "Round of the plane rate-decay.")] = 2,
    out: Annotated[str | None, options.out(_OUT)] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """The block model: condition, least rounds, phase diagram.

    The block model with all samples there are: eigenvalues, the accuracy condition and its
    least number of rounds, the first perfect round of the linear and of the exact head, and
    phase diagrams of where both are perfect.
    """
    if phase is not None and out is None and json is None:
        raise InvalidSetting(
            f"--phase {phase} must have a place to go, got none: give --out DIR or --json"
        )
    from gramlab.population import ClassBlockModel  # loads JAX
    from gramlab.population.check import check_population, plane_diagram

    shape = {"superclass": superclass, "between": between, "superclass_size": superclass_size}
    model = ClassBlockModel(classes, samples_per_class, within, **shape)
    setting = {"rate": rate, "weight_decay": weight_decay, "max_rounds": max_rounds}
    with Output(json, out, quiet=quiet) as output:
        stage = output.progress.stage
        stage("solving exact rounds")
        asked: dict[str, Any] = {
            "classes": classes,
            "samples_per_class": samples_per_class,
            "within": within,
            **shape,
            "noise": noise,
            **setting,
            "round": round,
        }
        found = {"settings": asked} | check_population(model, noise, **setting).as_dict()
        names = "results.json"
        if phase is not None:
            diagram = plane_diagram(model, phase, noise, **setting, round=round, progress=stage)
            found["phase"] = diagram.as_dict()
            if output.folder is not None:
                from gramlab.figures import phase_figure

                stage("figure")
                draw(output.folder, {"phase": phase_figure(diagram)})
                atomic_write(output.folder / "phase.csv", diagram.as_csv())
                names = "results.json, phase.png and phase.csv"
        output.keep(found, names)
    output.show("population", **found)
