"""``gramlab population``: the block model's condition, rounds and phase diagrams."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from typer import Context

from gramlab.cli import options
from gramlab.cli.options import at_least, listed, option
from gramlab.cli.output import given, running
from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_write

EXAMPLES = (
    "gramlab population --rate 0.5 --phase rate-round --out population",
    "gramlab population --classes 6 --superclass-size 3 --superclass 0.3 --between 0.1 --json -",
)

_SIZE = "Classes in each superclass, m; without it all classes are in one."
_SUPERCLASS = "Correlation d of rows of one superclass."
_RATES = listed("Rates on the axis of a phase diagram, increasing.", float)
_DECAYS = listed("Weight decays on its axis, increasing.", float)
_ROUNDS = listed("Rounds on its axis, increasing.", int)
_OUT = "Write results.json there, and the phase diagram as a figure and as phase.csv."

Plane = Literal["rate-round", "rate-decay", "decay-round"]


def population(
    context: Context,
    classes: Annotated[int, at_least(2, "Classes K.", 1000)] = 4,
    samples_per_class: Annotated[int, at_least(1, "Rows of each class, n.")] = 500,
    within: Annotated[float, option("Correlation c of rows of one class.")] = 0.4,
    superclass: Annotated[float, option(_SUPERCLASS)] = 0.1,
    between: Annotated[float, option("Correlation e otherwise.")] = 0.0,
    superclass_size: Annotated[int | None, option(_SIZE)] = None,
    noise: options.Noise = "symmetric",
    rate: options.Rate = 0.5,
    noise_matrix: options.NoiseMatrix = None,
    weight_decay: options.WeightDecay = 1e-5,
    max_rounds: Annotated[int, at_least(1, "Rounds in which to look for a perfect one.")] = 100,
    phase: Annotated[Plane | None, option("Plane of a phase diagram.")] = None,
    round: Annotated[int, at_least(1, "Round of the plane rate-decay.")] = 2,
    rates: Annotated[list[str] | None, _RATES] = None,
    weight_decays: Annotated[list[str] | None, _DECAYS] = None,
    rounds: Annotated[list[str] | None, _ROUNDS] = None,
    out: Annotated[str | None, option(_OUT, metavar="DIR")] = None,
    figure_format: options.FigureFormat = "png",
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
    grids = {"--rates": rates, "--weight-decays": weight_decays, "--rounds": rounds}
    if phase is None and any(grids.values()):
        name = next(name for name, grid in grids.items() if grid)
        raise InvalidSetting(f"{name} must go with --phase, got none; add --phase, or leave it out")
    from gramlab.labels import flipped_share
    from gramlab.population import ClassBlockModel  # loads JAX
    from gramlab.population.check import check_population, plane_diagram

    shape, setting = given(context, ClassBlockModel), given(context, check_population)
    model, own = ClassBlockModel(classes, **shape), options.own_matrix(context)
    over = given(context, plane_diagram)
    if own is not None:
        setting |= {"noise": None, "rate": None, "noise_matrix": own}
        over |= {"noise": "matrix", "rate": None, "noise_matrix": own}
        told = {"noise": "matrix", "rate": flipped_share(own), "noise_matrix": own.tolist()}
    else:
        told = {"noise": noise, "rate": rate}
        del setting["noise_matrix"]
    with running(context, out) as output:
        stage = output.progress.stage
        stage("solving exact rounds")
        asked = {"classes": classes, **shape, **setting, **told, "round": round}
        found: dict[str, Any] = {"settings": asked} | check_population(model, **setting).as_dict()
        names = "results.json"
        if phase is not None:
            diagram = plane_diagram(model, phase, **over, progress=stage)
            found["phase"] = diagram.as_dict()
            if output.folder is not None:
                from gramlab.figures import PhaseDisplay

                stage("figure")
                output.draw({"phase": PhaseDisplay.from_diagram(diagram)})
                atomic_write(output.folder / "phase.csv", diagram.as_csv())
                names = f"results.json, phase.{output.figure_format} and phase.csv"
        output.keep(found, names)
    output.show("population", "", **found)
