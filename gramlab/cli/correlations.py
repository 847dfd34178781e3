"""``gramlab correlations SOURCE``: class correlations, superclasses, and how block-like G is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from typer import Context

from gramlab.cli import options
from gramlab.cli.output import running

EXAMPLES = (
    "gramlab correlations digits --out digits-correlations",
    "gramlab correlations features.npz --superclass-method authors --json -",
)

_OUT = "Write results.json, the heat map, the angles and the eigenvalue gap there."
_METHOD = "Tree of the classes: by their distances, or by the published code's call."
_CUT = options.positive(
    "Where to cut the tree, as a share of its height in (0, 1]; default 0.8, for authors 0.9.",
    "at most 1",
    "it is a share of the largest merge height",
)

SuperclassMethod = Literal["condensed", "authors"]


def correlations(
    context: Context,
    source: options.Source,
    center: options.Center = True,
    superclass_method: Annotated[SuperclassMethod, options.option(_METHOD)] = "condensed",
    cut: Annotated[float | None, _CUT] = None,
    out: Annotated[str | None, options.option(_OUT, metavar="DIR")] = None,
    figure_format: options.FigureFormat = "png",
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Class correlations, superclasses, distance to a block model.

    How block-like the features of SOURCE are: correlations inside classes, inside superclasses
    and between them, the superclasses found from them, the closest pairs of classes, and the
    distance of the Gram matrix from a block model. Rows are divided by their norms.
    """
    with running(context, out) as output:
        features, stage = output.load(), output.progress.stage

        from gramlab.check.correlations import measure_correlations

        result = measure_correlations(
            features, center=center, method=superclass_method, cut=cut, stage=stage
        )

        found: dict[str, Any] = {"source": Path(source).name} | result.as_dict()
        names = ""
        if output.folder is not None:
            from gramlab.figures import (
                AnglesDisplay,
                CorrelationDisplay,
                Display,
                EigenvalueDisplay,
            )

            stage("figures")
            classes = result.features.class_names
            figures: dict[str, Display] = {
                "class_correlations": CorrelationDisplay.from_correlations(
                    result.plain, result.superclasses, classes
                ),
                "eigenvalue_gap": EigenvalueDisplay.from_spectrum(result.spectrum, len(classes)),
            }
            if result.angles is not None:
                figures["class_angles"] = AnglesDisplay.from_angles(result.angles)
            output.draw(figures)
            names = f"results.json and {len(figures)} figures"
        output.keep(found, names)
    degrees = None if result.angles is None else np.degrees(result.angles)
    output.show("correlations", "figures and results", found=found, degrees=degrees)
