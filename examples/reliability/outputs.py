"""Outputs that are links, pipes, folders or somebody else's files, and folders of other studies."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from archives import damage
from hypothesis import strategies as st
from records import STUDY, changed, nested, study_template
from scene import Scene, arrays

__all__ = ["output_case", "study_case"]

_WRITERS = {
    "check": ["--rounds", "1", "--tolerance", "1e-4"],
    "correlations": [],
    "transition": ["--folds", "2", "--rounds", "1", "--weight-decay", "1e-2"],
    "population": ["--classes", "3", "--max-rounds", "2"],
    "study": [*STUDY, "--weight-decay", "base", "--noise", "symmetric"],
}
_FILES = {
    "check": ["results.json", "report.html", "label_averaging.png", "accuracy.png", "errors.png"],
    "correlations": ["results.json", "eigenvalue_gap.png", "class_correlations.png"],
    "transition": ["results.json", "transition.png"],
    "population": ["results.json"],
    "study": ["manifest.json", "rows.csv", "rows.parquet", "table.md", "cells", "study.json"],
}

_PLACES = ["", ".", "..", "/", "~", "~nosuchuser/x", "a" * 300, "a/" * 2000, "/proc/x", "/dev/null"]
_PLACES += [
    "-",
    "--",
    "a\x00b",
    "caf\udce9",
    "out\n\x1b[31m",
    " ",
    "a\\b",
    "//",
    "/dev/full",
    "x" * 5000,
]


def source(scene: Scene) -> Path:
    """A good source in the inputs."""
    path = scene.inputs / "good.npz"
    np.savez(path, **arrays())
    return path


def _obstacle(draw: Any, scene: Scene, path: Path) -> None:
    """Put something at a path that is to be written; links lead outside."""
    what = draw(
        st.sampled_from(
            ["file link", "dangling", "folder link", "folder", "file", "pipe", "loop", "device"]
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if what == "file":
        path.write_bytes(draw(st.binary(max_size=20)))
    elif what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        targets = {
            "file link": draw(
                st.sampled_from([scene.outside / "kept.txt", scene.outside / "kept.json"])
            ),
            "dangling": scene.outside / "new",
            "folder link": scene.outside / "deep",
            "loop": path,
            "device": Path("/dev/zero"),
        }
        path.symlink_to(targets[what])


def output_case(draw: Any, scene: Scene) -> list[str]:
    """A command that works, told to write where something is in the way."""
    good = source(scene)
    how = draw(st.sampled_from(["json"] * 6 + ["import"] * 4 + ["folder"] * 3 + ["place"] * 5))
    if how == "json":
        file = scene.out / draw(st.sampled_from(["a.json", "é.json", "caf\udce9.json", "a"]))
        _obstacle(draw, scene, file)
        # The user named the link, so what it leads to was asked for.
        if file.is_symlink():
            scene.allowed.append(scene.outside)
        return ["features", "info", str(good), "--json", str(file)]
    if how == "import":
        file = scene.out / draw(
            st.sampled_from(["a.safetensors", "a.npz", ".safetensors", "a\udce9"])
        )
        if file != scene.out and draw(st.booleans()):
            _obstacle(draw, scene, file)
            if file.is_symlink():
                scene.allowed.append(scene.outside)
        return ["features", "import", str(good), "--out", str(file)]
    if how == "place":
        place = draw(st.sampled_from(_PLACES))
        option = draw(st.sampled_from(["--json", "--out"]))
        named = os.path.expanduser(place)
        if os.path.isabs(named):  # the user may well have meant it
            scene.allowed += [Path(os.path.realpath(named)), Path(os.path.realpath(named)).parent]
        if option == "--json" or named in ("/", "//", "..", os.path.expanduser("~")):
            return ["features", "info", str(good), "--json", place]
        verb = draw(st.sampled_from(["population", "correlations"]))
        first = [] if verb == "population" else [str(good)]
        return [verb, *first, *_WRITERS[verb], "--out", place, "--quiet"]
    verb = draw(st.sampled_from(list(_WRITERS)))
    folder = scene.out / "results"
    if verb == "study" and draw(st.booleans()):
        shutil.copytree(study_template() / "study", folder)
        good = study_template() / "a.npz"
    folder.mkdir(exist_ok=True)
    for name in draw(st.lists(st.sampled_from(_FILES[verb]), min_size=1, max_size=2, unique=True)):
        _obstacle(draw, scene, folder / name)
    first = [] if verb == "population" else [str(good)]
    return [verb, *first, *_WRITERS[verb], "--out", str(folder)]


def study_case(draw: Any, scene: Scene) -> list[str]:
    """A study over the folder of an earlier one, in which something was changed."""
    folder = scene.out / "study"
    shutil.copytree(study_template() / "study", folder)
    cells = sorted((folder / "cells").glob("*.json"))
    path = draw(st.sampled_from([folder / "study.json", *cells]))
    how = draw(st.sampled_from(["tree", "text", "damage", "obstacle", "values"]))
    if how == "tree":
        path.write_text(_text(changed(draw, json.loads(path.read_text()))))
    elif how == "values":  # a cell that vouches for other results
        from gramlab.numerics.content import sha256
        from gramlab.study.cells import canonical_json

        content = json.loads(cells[0].read_text())
        content["results"] = changed(draw, content["results"])
        try:
            content["sha256"] = sha256(canonical_json(content["results"]))
        except Exception:  # what cannot be written is left with the old hash
            pass
        cells[0].write_text(_text(content))
    elif how == "text":
        path.write_bytes(
            draw(
                st.sampled_from([b"[" * 100_000, b"", b"null", b"[]", b"\xff", b"9" * 5000, b"{}"])
                | st.binary(max_size=30)
            )
        )
    elif how == "damage":
        path.write_bytes(damage(draw, path.read_bytes()))
    else:
        _obstacle(
            draw, scene, draw(st.sampled_from([path, folder / "cells", folder / "rows.json"]))
        )
    argv = ["study", str(study_template() / "a.npz"), *_WRITERS["study"], "--out", str(folder)]
    return [*argv, "--dry-run"] if draw(st.integers(0, 2)) else argv


def _text(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return json.dumps(nested(300))
