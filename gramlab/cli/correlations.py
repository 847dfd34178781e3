"""``gramlab correlations SOURCE``: class correlations, superclasses, and how block-like G is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from gramlab import validation
from gramlab.cli import options
from gramlab.cli.output import Output, draw
from gramlab.errors import InvalidSetting

__all__ = ["EXAMPLES", "SuperclassMethod", "correlations"]

EXAMPLES = (
    "gramlab correlations digits --out digits-correlations",
    "gramlab correlations features.npz --superclass-method authors --json -",
)

_OUT = "Write results.json, the heat map, the angles and the eigenvalue gap there."
_METHOD = "Tree of the classes: by their distances, or by the published code's call."
_CUT = "Where to cut the tree, as a share of its height in (0, 1]; default 0.8, for authors 0.9."

SuperclassMethod = Literal["condensed", "authors"]


def _check_cut(name: str, value: float) -> float:
    if validation.check_positive(name, value) > 1.0:
        raise InvalidSetting(
            f"{name} must be at most 1, got {value:g}; it is a share of the largest merge height"
        )
    return value


def correlations(
    source: options.Source,
    center: options.Center = True,
    superclass_method: Annotated[SuperclassMethod, typer.Option(help=_METHOD)] = "condensed",
    cut: Annotated[
        float | None, typer.Option(help=_CUT, callback=options.checked(_check_cut))
    ] = None,
    out: Annotated[str | None, options.out(_OUT)] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Class correlations, superclasses, distance to a block model.

    How block-like the features of SOURCE are: correlations inside classes, inside superclasses
    and between them, the superclasses found from them, the closest pairs of classes, and the
    distance of the Gram matrix from a block model. Rows are divided by their norms.
    """
    with Output(json, out, quiet=quiet) as output:
        features = output.load(source)

        from gramlab.check.correlations import measure_correlations

        stage = output.progress.stage
        settings: Any = {"center": center, "method": superclass_method, "cut": cut}
        result = measure_correlations(features, **settings, stage=stage)

        found: dict[str, Any] = {"source": Path(source).name} | result.as_dict()
        written = ""
        if output.folder is not None:
            from gramlab.figures import class_angles, correlation_heatmap, eigenvalue_gap

            stage("figures")
            names, k = result.features.class_names, result.features.n_classes
            heatmap = correlation_heatmap(result.plain.matrix, result.superclasses, names)
            gap = eigenvalue_gap(result.spectrum, k)
            figures = {"class_correlations": heatmap, "eigenvalue_gap": gap}
            if result.angles is not None:
                figures["class_angles"] = class_angles({"": result.angles})
            draw(output.folder, figures)
            written = f"results.json and {len(figures)} figures"
        output.keep(found, written)
    angles = found["principal_angles"]
    degrees = None if angles is None else [math.degrees(angle) for angle in angles]
    output.show("correlations", found=found, degrees=degrees)
