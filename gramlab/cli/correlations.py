"""``gramlab correlations SOURCE``: class correlations, superclasses, and how block-like G is."""

from __future__ import annotations

import io
import math
import os
import textwrap
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab import validation
from gramlab.cli import options, terminal
from gramlab.cli.output import json_path, made_folder
from gramlab.errors import InvalidFeatures, InvalidSetting, OutputError
from gramlab.storage import atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.features import Features

__all__ = ["EPILOG", "EXAMPLE", "HELP", "SHORT_HELP", "correlations"]

HELP = """How block-like the features of SOURCE are: correlations inside classes, inside
superclasses and between them, the superclasses found from them, the closest pairs of classes, and
the distance of the Gram matrix from a block model. Rows are divided by their norms."""

SHORT_HELP = "Class correlations, superclasses, distance to a block model."

EXAMPLE = "gramlab correlations digits --out digits-correlations"

EPILOG = f"""\b
Examples:
  {EXAMPLE}
  gramlab correlations features.npz --superclass-method authors --json -
"""

_OUT = "Write results.json, the heat map, the angles and the eigenvalue gap there."
_PAIRS = 10
_SHOWN_GROUPS = 30


class SuperclassMethod(StrEnum):
    """Ways that ``gramlab.superclasses.find_superclasses`` knows."""

    CONDENSED = "condensed"
    AUTHORS = "authors"


def correlations(
    source: options.Source,
    center: options.Center = True,
    superclass_method: Annotated[
        SuperclassMethod,
        typer.Option(
            "--superclass-method",
            help="Tree of the classes: by their distances, or by the published code's call.",
        ),
    ] = SuperclassMethod.CONDENSED,
    cut: Annotated[
        float | None,
        typer.Option(
            "--cut",
            show_default=False,
            help="Where to cut the tree, as a share of its height in (0, 1]; default 0.8, for "
            "authors 0.9.",
        ),
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", show_default=False, help=_OUT)
    ] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab correlations``: settings and output paths first, then work, then the files."""
    if cut is not None and validation.check_positive("--cut", cut) > 1.0:
        raise InvalidSetting(
            f"--cut must be at most 1, got {cut:g}; it is a share of the largest merge height"
        )
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        folder = None if out is None else Path(os.path.expanduser(out))
        if folder is not None:
            stack.enter_context(made_folder(folder))
        progress = stack.enter_context(terminal.Progress(1.0, quiet=quiet))
        found, draw = _found(source, center, superclass_method.value, cut, progress.stage)
        text = to_json(found)
        written = []
        if folder is not None:
            progress.stage("figures")
            written = _write(folder, text, draw)
        if file is not None:
            written.append(str(atomic_write(file, text)))
    if json == "-":
        terminal.emit(text)
    elif not quiet:
        terminal.emit(_summary(found, written))


def _found(source: str, center: bool, method: str, cut: float | None, stage) -> tuple[Any, Any]:
    """Everything measured, as plain data, and what draws it."""
    from gramlab.sources import load_features

    stage("loading features")
    features = load_features(source)

    from gramlab.spectrum import Spectrum, class_correlations
    from gramlab.superclasses import (
        METHODS,
        adjusted_rand_index,
        class_subspace_angles,
        closest_pairs,
        find_superclasses,
    )

    if center:
        features = features.centered()
    features = features.unit_norm()
    names, k, true = features.class_names, features.n_classes, features.superclasses
    stage("class correlations")
    plain = class_correlations(features.replaced(superclasses=None))
    groups = find_superclasses(plain.matrix, method=method, cut=cut)
    found_ones = features.replaced(superclasses=groups.labels)
    stage("spectrum")
    spectrum = Spectrum.of(features)
    angles = None
    try:
        angles = class_subspace_angles(features)
    except InvalidFeatures:  # fewer directions than classes: there is no eigenspace to compare
        pass
    has_gap = k < features.n_samples
    found: dict[str, Any] = {
        "source": Path(source).name,
        "centered": center,
        "n_samples": features.n_samples,
        "n_features": features.n_features,
        "n_classes": k,
        "class_names": list(names),
        "within_mean": plain.within[0],
        "within_standard_deviation": plain.within[1],
        "other_class_mean": plain.between[0],
        "other_class_standard_deviation": plain.between[1],
        "superclass_method": method,
        "superclass_cut": METHODS[method] if cut is None else cut,
        "superclass_threshold": groups.threshold,
        "n_found_superclasses": groups.count,
        "found_superclass_of_class": groups.labels,
        "found_superclass_members": [[names[i] for i in own] for own in groups.members()],
        "n_true_superclasses": None if true is None else len(set(true.tolist())),
        "true_superclass_of_class": true,
        "adjusted_rand_index": None if true is None else adjusted_rand_index(true, groups.labels),
        "closest_pairs": [
            {"first": names[i], "second": names[j], "correlation": value}
            for i, j, value in closest_pairs(plain.matrix, _PAIRS)
        ],
        "principal_angles": angles,
        "largest_eigenvalue": spectrum.eigenvalue(1),
        "eigenvalue_k": spectrum.eigenvalue(k) if k <= features.n_samples else None,
        "gap_after_k": spectrum.gap(k) if has_gap else None,
        "gap_error_at_most": 2.0 * spectrum.certificate.eigenvalue_error if has_gap else None,
    }
    stage("distance to a block model")
    found |= _block("found", found_ones, spectrum.eigenvalue(1))
    found |= _block("true", features if true is not None else None, spectrum.eigenvalue(1))

    def draw() -> dict[str, Any]:
        from gramlab.figures import class_angles, correlation_heatmap, eigenvalue_gap

        figures = {
            "class_correlations": correlation_heatmap(plain.matrix, groups, names),
            "eigenvalue_gap": eigenvalue_gap(spectrum, k),
        }
        if angles is not None:
            figures["class_angles"] = class_angles({"": angles})
        return figures

    return found, draw


def _block(kind: str, features: Features | None, norm: float) -> dict[str, Any]:
    """Correlations by superclass and the distance to the block model that has them."""
    keys = ("superclass_mean", "superclass_standard_deviation")
    keys += ("between_mean", "between_standard_deviation")
    keys += ("block_distance", "block_distance_at_most", "block_distance_relative")
    names = [f"{kind}_{key}" for key in keys]
    if features is None:
        return dict.fromkeys(names)
    from gramlab.block_fit import fit_block_model
    from gramlab.spectrum import class_correlations

    measured = class_correlations(features)
    block = fit_block_model(features)
    near = measured.superclass or (math.nan, math.nan)
    values = [*near, *measured.between, block.distance, block.distance_at_most]
    return dict(zip(names, [*values, block.distance / norm], strict=True))


def _write(folder: Path, text: str, draw) -> list[str]:
    """Write the figures and the results; what was written, in words."""
    from gramlab.figures import save_figure

    # results.json closes the set: while it is there, it belongs to the files beside it.
    try:
        (folder / "results.json").unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(
            f"expected to replace {str(folder / 'results.json')!r}, but: {problem.strerror}; "
            "remove it or choose another folder"
        ) from problem
    figures = draw()
    for stem, figure in figures.items():
        save_figure(figure, folder / f"{stem}.png")
    atomic_write(folder / "results.json", text)
    return [f"results.json and {len(figures)} figures to {folder}"]


def _summary(found: dict[str, Any], written: list[str]) -> str:
    """Lay out what was found, for the width of the terminal."""
    from rich.console import Console

    text, width = io.StringIO(), max(20, Console().width)

    def paragraph(words: str, indent: str = "  ") -> None:
        form: Any = {"break_long_words": False, "break_on_hyphens": False}
        text.write(textwrap.fill(words, width, subsequent_indent=indent, **form) + "\n")

    steps = "centred, unit norm" if found["centered"] else "unit norm"
    paragraph(
        f"{found['source']} ({steps}): N = {found['n_samples']} training rows, "
        f"d = {found['n_features']}, K = {found['n_classes']}."
    )
    text.write("\ncosine of two rows                         mean   std. dev.\n")
    for words, key in (
        ("c  same class", "within"),
        ("   another class", "other_class"),
        ("d  found superclass, another class", "found_superclass"),
        ("e  another found superclass", "found_between"),
        ("d  true superclass, another class", "true_superclass"),
        ("e  another true superclass", "true_between"),
    ):
        mean, spread = found[f"{key}_mean"], found[f"{key}_standard_deviation"]
        if mean is not None:
            cells = ("-".rjust(8) if math.isnan(v) else f"{v:8.4f}" for v in (mean, spread))
            text.write(f"{words:39}{'    '.join(cells)}\n")
    text.write("\n")
    paragraph(_superclass_words(found))
    for number, members in enumerate(found["found_superclass_members"][:_SHOWN_GROUPS]):
        paragraph(f"{number:4}  {', '.join(members)}", "      ")
    hidden = found["n_found_superclasses"] - _SHOWN_GROUPS
    if hidden > 0:
        paragraph(f"      … and {hidden} more; --json writes all of them.")
    text.write("\nclosest classes\n")
    for pair in found["closest_pairs"]:
        paragraph(f"{pair['correlation']:8.4f}  {pair['first']} / {pair['second']}", " " * 10)
    text.write("\n")
    paragraph(_angle_words(found))
    paragraph(_gap_words(found))
    paragraph(_block_words(found))
    for files in written:
        text.write(f"Wrote {files}\n")  # not wrapped: a path must stay whole
    if not written:
        paragraph("Nothing was written; --out DIR writes figures and results.")
    return text.getvalue()


def _superclass_words(found: dict[str, Any]) -> str:
    words = (
        f"{found['n_found_superclasses']} superclasses by complete linkage "
        f"({found['superclass_method']}), cut at {found['superclass_cut']:g} of the largest merge"
    )
    if found["adjusted_rand_index"] is None:
        return f"{words}:"
    return (
        f"{words}; adjusted Rand index {found['adjusted_rand_index']:.3f} against the "
        f"{found['n_true_superclasses']} true ones:"
    )


def _angle_words(found: dict[str, Any]) -> str:
    angles = found["principal_angles"]
    if angles is None:
        return "Principal angles: the first K eigenvectors are not determined."
    degrees = [math.degrees(angle) for angle in angles]
    middle = (degrees[(len(degrees) - 1) // 2] + degrees[len(degrees) // 2]) / 2
    return (
        f"Principal angles of the classes to the first K eigenvectors: {degrees[0]:.1f}° to "
        f"{degrees[-1]:.1f}°, median {middle:.1f}° (block model: 0°; after centring one is near "
        "90°)."
    )


def _gap_words(found: dict[str, Any]) -> str:
    if found["gap_after_k"] is None:
        return "Gap after eigenvalue K: none, there are not more rows than classes."
    return (
        f"Gap after eigenvalue K = {found['n_classes']}: {found['gap_after_k']:.4g}, certified to "
        f"within {found['gap_error_at_most']:.1e}; the eigenvalue is {found['eigenvalue_k']:.4g}, "
        f"the largest {found['largest_eigenvalue']:.4g}."
    )


def _block_words(found: dict[str, Any]) -> str:
    parts = []
    for kind in ("found", "true"):
        distance = found[f"{kind}_block_distance"]
        if distance is not None:
            parts.append(
                f"‖G − B‖ = {distance:.4g} with the {kind} superclasses, at most "
                f"{found[f'{kind}_block_distance_at_most']:.4g}, "
                f"{100 * found[f'{kind}_block_distance_relative']:.1f} % of ‖G‖"
            )
    return f"Nearest block model B: {'; '.join(parts)}."
