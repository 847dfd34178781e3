"""Every kind of case: what is built, which command meets it, and how many of them a sweep does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from archives import npy_case, npz_case
from foreign import arrays_case, columns_case, csv_case
from hypothesis import strategies as st
from outputs import output_case, study_case
from pictures import image_case
from records import folder_case, safetensors_case
from runs import collision_case, environment_case, shown_case
from scene import Scene
from settings import name_case, option_case
from tables import label_case, parquet_case, torch_case

__all__ = ["KINDS", "WORDS"]

_LOOK = ["info", "verify", "import", "load", "open", "sampled", "none"]
_WORK = ["check", "study", "correlations", "transition"]


def _met_by(draw: Any, scene: Scene, path: Path) -> list[str]:
    """A command or a function of the package that reads a source."""
    verb = draw(st.sampled_from(_LOOK * 4 + _WORK))
    name = str(path)
    if verb in ("load", "open", "sampled", "none"):
        return [f"@{verb}", name]
    if verb == "info":
        return ["features", "info", name]
    if verb == "verify":
        quarantine = path.is_dir() and draw(st.booleans())
        if quarantine:
            scene.allowed.append(path)
        return ["features", "verify", name, *(["--quarantine"] if quarantine else [])]
    if verb == "import":
        return ["features", "import", name, "--out", str(scene.out / "o.safetensors")]
    if verb == "check":
        return ["check", name, "--rounds", "1", "--json", str(scene.out / "found.json")]
    if verb == "study":
        return [
            "study",
            name,
            "--recipe",
            "fig6a",
            "--dry-run",
            "--json",
            str(scene.out / "f.json"),
        ]
    if verb == "correlations":
        return ["correlations", name, "--json", "-"]
    return ["transition", name, "--folds", "2", "--rounds", "1", "--weight-decay", "1e-2"]


def _imported(draw: Any, scene: Scene, path: Path, labels: Path | None) -> list[str]:
    argv = ["features", "import", str(path), "--out", str(scene.out / "o.safetensors")]
    if labels is not None:
        argv += ["--labels", str(labels)]
    for option in ("--feature-columns", "--label-column"):
        if labels is None and draw(st.integers(0, 7)) == 0:
            argv += [
                option,
                draw(st.sampled_from(["x", "y", "a", "", "label", "embedding", "é", "0"])),
            ]
    return argv


def _source(build: Callable[[Any, Scene], Path]) -> Callable[[Any, Scene], list[str]]:
    return lambda draw, scene: _met_by(draw, scene, build(draw, scene))


KINDS: dict[str, tuple[int, Callable[[Any, Scene], list[str]]]] = {
    "npz": (1700, _source(npz_case)),
    "npy": (900, lambda draw, scene: _imported(draw, scene, *npy_case(draw, scene))),
    "safetensors": (1100, _source(safetensors_case)),
    "folder": (1300, _source(folder_case)),
    "labels": (500, lambda draw, scene: _imported(draw, scene, *label_case(draw, scene))),
    "parquet": (300, lambda draw, scene: _imported(draw, scene, parquet_case(draw, scene), None)),
    "torch": (350, lambda draw, scene: _imported(draw, scene, torch_case(draw, scene), None)),
    "csv": (800, csv_case),
    "columns": (700, columns_case),
    "arrays": (600, arrays_case),
    "names": (350, name_case),
    "options": (600, option_case),
    "study": (150, study_case),
    "outputs": (150, output_case),
    "collisions": (200, collision_case),
    "shown": (200, shown_case),
    "environment": (40, environment_case),
    "images": (60, image_case),
}
"""Kind: (cases of a whole sweep, what builds one and returns the command)."""

WORDS = {
    "npz": ".npz: array headers, archive directory, bombs, names",
    "npy": ".npy: headers, dtypes, values, labels beside them",
    "safetensors": ".safetensors: header, offsets, forged checksums",
    "folder": "feature folders: manifests, paths, links, shards",
    "labels": "label files: text, width, gaps, spellings, links",
    "parquet": ".parquet: damage, bombs",
    "torch": ".pt: tensors, views, pickles",
    "csv": ".csv: cells, quotes, rows, names, encodings, other labels",
    "columns": ".parquet: columns of every type, other labels, indices",
    "arrays": ".npz and .pt: arrays nobody knows, dtypes, sparse, nested",
    "names": "names of sources: devices, pipes, loops, encodings",
    "options": "values of options, every verb",
    "study": "folders of earlier studies: cells, settings, links",
    "outputs": "outputs that are links, pipes, folders, devices",
    "collisions": "outputs over inputs, folders in use",
    "shown": "names of classes: escapes, marks of direction, formulas",
    "environment": "environment variables, in fresh processes",
    "images": "images, backbones and folders of gramlab extract",
}
