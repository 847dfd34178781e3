"""Outputs over inputs, folders in use, names of classes that steer, and odd environments."""

from __future__ import annotations

import fcntl
import os
from typing import Any

import numpy as np
from hypothesis import strategies as st
from outputs import _FILES, _WRITERS
from scene import Scene, arrays

import gramlab
from gramlab.files.shards import writing

__all__ = ["collision_case", "environment_case", "shown_case"]

_READ = ["a.npz", "a.safetensors", "feats", "x.npy"]


def collision_case(draw: Any, scene: Scene) -> list[str]:
    """An output that is, or lies in, what is read, or in a folder that another run writes."""
    here, kept = scene.inputs, arrays()
    x, y = kept["train_features"], kept["train_labels"]
    np.savez(here / "a.npz", **kept)
    gramlab.save_features(gramlab.Features(x, y), here / "a.safetensors")
    np.save(here / "x.npy", x)
    (here / "y.txt").write_text("".join(f"{label}\n" for label in y))
    with writing(here / "feats", {"by": "test"}, {"train": len(y)}, ["a", "b", "c"]) as writer:
        writer.put(writer.missing()[0], x, y, np.arange(len(y)))
        writer.finish()
    name = draw(st.sampled_from(_READ))
    (here / "link.json").symlink_to(draw(st.sampled_from([name, here / name, f"../inputs/{name}"])))
    (here / "doors").symlink_to("feats")
    (scene.out / "way").symlink_to(here)
    if name != "feats":
        os.link(here / name, here / "hard.json")
    if draw(st.integers(0, 3)) == 0:  # a folder in which another run works
        verb = draw(st.sampled_from([*_WRITERS]))
        folder = scene.out / "results"
        folder.mkdir()
        for file in (".lock", "results.json", "manifest.json"):
            (folder / file).touch()
        (scene.out / "other").symlink_to(folder)
        lock = open(folder / ".lock")  # the scene closes it
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        scene.locks, scene.kept = [lock], [folder]
        first = [] if verb == "population" else [str(here / "a.npz")]
        out = draw(st.sampled_from(["results", "other", "./results/", "way/../out/results"]))
        return [verb, *first, *_WRITERS[verb], "--out", str(scene.out / out)]
    places = [name, "link.json", "hard.json", f"./{name}", *["y.txt"] * (name == "x.npy")]
    if name == "feats":
        places = ["feats/manifest.json", "doors", "doors/new.json", "feats/new/a.json", "link.json"]
    place = str(draw(st.sampled_from([here, scene.out / "way"])) / draw(st.sampled_from(places)))
    read = str(here / draw(st.sampled_from([name, name, "link.json"])))
    if name == "x.npy" or draw(st.integers(0, 2)) == 0:
        out = str(scene.out / "o.safetensors")
        labels = ["--labels", str(here / "y.txt")] if name == "x.npy" else []
        to = draw(st.sampled_from([["--out", place], ["--out", out, "--json", place]]))
        to = draw(st.sampled_from([to, to, ["--out", out, "--json", out]]))
        return ["features", "import", read, *to, *labels]
    verb = draw(st.sampled_from(["check", "correlations", "transition", "features info"]))
    options = _WRITERS.get(verb, [])
    to = ["--json", place]
    if verb in _WRITERS:
        own = str(scene.out / "r" / draw(st.sampled_from([*_FILES[verb], ".", "a.png", "A.JSON"])))
        to = draw(
            st.sampled_from([to, ["--out", place], ["--out", str(scene.out / "r"), "--json", own]])
        )
    return [*verb.split(), read, *options, *to]


_STARTS = ["=1+1", "+cmd", "-cat", "@SUM(A1)", "\uff1d1", "\uff0b1", "\uff0dcat", "\uff20S"]
_STARTS += ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m", "line\u2028s", "\u202egnp\u2066"]
_STARTS += ["\u200bb\u2060", "\ufeff", "\xad", "caf\udce9", "\ud800", "new\nline", "[bold]m[/]"]
_STARTS += ["<script>", "東京", "long " * 400, "%s{}", "-1.5", "$x$", "\\", "\0", "¶ x", "🐈\u200d"]
_BEFORE = ["", "", "", " ", "\xa0", "\u3000", "\t", "\r", "\n", ";", ",", ' "', "\u200b", "|", "a;"]
_VERBS = {
    "diagnose": ["--folds", "2", "--max-rounds", "1", "--no-recorrupt"],
    "features info": [],
    "features verify": [],
    "features import": ["--out", "o.safetensors"],
} | {verb: options for verb, options in _WRITERS.items() if verb != "population"}


def shown_case(draw: Any, scene: Scene) -> list[str]:
    """Any verb on classes, and a file, whose names steer terminals or begin formulas."""
    part = st.sampled_from(_STARTS)
    names = draw(st.lists(st.tuples(st.sampled_from(_BEFORE), part), min_size=3, max_size=3))
    kept = arrays() | {"class_names": np.array(["".join(pair) for pair in names])}
    if draw(st.integers(0, 3)):  # mostly names that differ, so that the verb does its work
        kept["class_names"] = np.array([f"{name}{i}" for i, name in enumerate(kept["class_names"])])
    stem = draw(part).replace("/", "").replace("\0", "")[:50]
    path = scene.inputs / f"{stem}.npz".encode("utf-8", "replace").decode()
    np.savez(scene.inputs / "a.npz", **kept)
    os.rename(scene.inputs / "a.npz", path)
    verb = draw(st.sampled_from([*_VERBS, "diagnose", "diagnose"]))
    argv = [*verb.split(), str(path), *_VERBS[verb]]
    if not verb.startswith("features"):
        argv += ["--out", str(scene.out / "results")] if draw(st.integers(0, 3)) else []
    return argv + (["--json", "-"] if draw(st.integers(0, 3)) == 0 else [])


_VALUES = ["", " ", "bogus", "-1", "0", "1e9", "é", "\x1b[31m", "cpu,bogus", "tpu", "cuda", "true"]
_VALUES += [
    "/dev/null",
    "/proc/self",
    "9" * 30,
    "x" * 5000,
    "agg",
    "module://none",
    "\udcff",
    "maybe",
]
_NAMES = "JAX_PLATFORMS JAX_ENABLE_X64 JAX_NUM_CPU_DEVICES JAX_DEFAULT_MATMUL_PRECISION MPLBACKEND"
_NAMES += " JAX_LOG_COMPILES JAX_COMPILATION_CACHE_DIR JAX_TRACEBACK_FILTERING MPLCONFIGDIR COLUMNS"
_NAMES += (
    " JAX_DEBUG_NANS XDG_CACHE_HOME GRAMLAB_COMPILATION_CACHE JAX_DEFAULT_DTYPE_BITS TERM LANG"
)


def environment_case(draw: Any, scene: Scene) -> list[str]:
    """A fresh process in an environment with nonsense in one or two variables."""
    names = st.lists(st.sampled_from(_NAMES.split()), min_size=1, max_size=2, unique=True)
    values = [f"{name}={draw(st.sampled_from(_VALUES))}" for name in draw(names)]
    # Features as large as digits are solved by JAX; the rest is work for NumPy and Matplotlib.
    verb = draw(st.sampled_from(["check", "check", "correlations", "population"]))
    first = [] if verb == "population" else ["digits"]
    out = ["--out", str(scene.out / "results")]
    return ["@environment", *values, "--", verb, *first, *_WRITERS[verb], *out]
