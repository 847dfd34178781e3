"""Values for options and names for sources that nobody should give."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from outputs import source
from scene import Scene

__all__ = ["name_case", "option_case"]

_refused_counts = st.sampled_from(
    [*"-1|0|-9999999999999999999999|1.5|nan|| |1e3|0x10|é|--".split("|"), "9" * 5000, "-"]
)
_counts = st.sampled_from(["1", "2", "+1", "01", "1_0", "٢"]) | _refused_counts
_seeds = _counts | st.sampled_from(["18446744073709551615", "18446744073709551616", "1" * 400])
_floats = st.one_of(
    st.sampled_from(
        [
            *"nan|inf|-inf|-1|0|-0.0|1|0.5|1e-400|1e400|1e-320|1e308||half|1_0|0.1.2".split("|"),
            *"٠.٥ 1e-8 0.999999999999999999 1e-100 1e100 1e101 infinity".split(),
            "9" * 400,
        ]
    ),
    st.floats().map(repr),
)
_lists = st.one_of(
    st.sampled_from(
        [
            *"|,|,,|0.5|nan|1,1|0,0,0|0.5,0.5|-1|symmetric|base|distill|tuned|é".split("|"),
            "0" * 3000,
            ",".join(["0.1"] * 3000),
            "inf",
            "1e-400",
            "\ud800",
            "small,base,large",
            "1e999",
        ]
    ),
    st.lists(st.text(max_size=5), max_size=3).map(",".join),
)
_words = st.one_of(
    st.sampled_from(
        ["", "symmetric", "superclass", "pair-flip", "SYMMETRIC", "--help", "é", "x" * 5000, "-"]
    ),
    st.text(max_size=6),
)
_NOISE, _RATE = {"--noise": _words}, {"--rate": _floats, "--seed": _seeds}
_VERBS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "check": (
        ["--rounds", "1"],
        {"--weight-decay": _floats, "--rounds": _counts, "--tolerance": _floats}
        | {
            "--certified-share": _floats,
            "--center": None,
            "--unit-norm": None,
            "--exact-counts": None,
        }
        | _NOISE
        | _RATE,
    ),
    "diagnose": (
        ["--max-rounds", "1", "--folds", "2"],
        {
            "--weight-decay": _floats,
            "--max-rounds": _counts,
            "--folds": _counts,
            "--explained": _counts,
        }
        | _NOISE
        | _RATE,
    ),
    "transition": (
        ["--folds", "2", "--rounds", "1", "--weight-decay", "1e-2"],
        {
            "--weight-decay": _floats,
            "--folds": _counts,
            "--rounds": _counts,
            "--confidence": _floats,
        }
        | {"--allowance": _floats}
        | _NOISE
        | _RATE,
    ),
    "correlations": ([], {"--cut": _floats, "--superclass-method": _words, "--no-center": None}),
    "population": (
        ["--classes", "3", "--max-rounds", "2"],
        {
            "--within": _floats,
            "--superclass": _floats,
            "--between": _floats,
            "--superclass-size": _counts,
        }
        | {"--classes": _counts | st.sampled_from(["1001", "1" * 30]), "--max-rounds": _counts}
        | {"--samples-per-class": _counts | st.sampled_from(["9223372036854775808", "1" * 300])}
        | {"--weight-decay": _floats, "--phase": _words, "--round": _counts}
        | _NOISE
        | {"--rate": _floats},
    ),
    "theorems": (["duality-gap", "--instances", "1"], {"--instances": _counts, "--seed": _seeds}),
    "study": (
        ["--recipe", "fig6a", "--dry-run"],
        {"--recipe": _words | st.sampled_from(["fig2", "fig6b", "tables", "block", "published"])}
        | {"--noise": _lists, "--rates": _lists, "--seeds": _lists, "--rounds": _counts}
        | {"--weight-decay": _lists, "--methods": _lists, "--line": _words, "--tolerance": _floats}
        | {"--epochs": _counts, "--local-bound": None},
    ),
    "extract": (
        ["--backbone", "nowhere", "--out", "x"],
        {"--images": _words, "--dataset": st.just(""), "--recipe": _words, "--test-share": _floats}
        | {"--seed": _seeds, "--batch-size": _refused_counts, "--shard-rows": _refused_counts}
        | {"--dtype": _words, "--pooling": _words},
    ),
}


def option_case(draw: Any, scene: Scene) -> list[str]:
    """A verb with one to three options set to odd values."""
    verb = draw(st.sampled_from(list(_VERBS)))
    usual, options = _VERBS[verb]
    argv = [verb]
    if verb in ("check", "diagnose", "transition", "correlations", "study"):
        argv.append(str(source(scene)))
    argv += usual
    for name in draw(st.lists(st.sampled_from(list(options)), min_size=1, max_size=3, unique=True)):
        values = options[name]
        if values is None:
            argv.append(name)
        elif draw(st.booleans()):
            argv.append(f"{name}={draw(values)}")
        else:
            argv += [name, draw(values)]
    if draw(st.integers(0, 9)) == 0:
        argv.append(
            draw(st.sampled_from(["", "--", "-x", "--no-such", "extra", "\ud800", "-" * 3000]))
        )
    return [part.replace("\0", "") for part in argv]


_HERE = ("link.npz", "loop.npz", "pipe.npz", "folder.npz", "link.npy", "link.safetensors")
_HERE += ("pipe.pt", "loop.npy", "link.parquet")
_names = st.one_of(
    st.sampled_from(
        [
            *"|.|..|/|~|~nosuchuser/x.npz".split("|"),
            "a" * 300 + ".npz",
            "a/" * 3000,
            *"/dev/zero|/dev/null|/proc/self/mem|caf�.npz|-x|--|digits |DIGITS|x.npz/".split("|"),
            *"x.npy x.parquet link.npz loop.npz pipe.npz folder.npz link.npy".split(),
            "link.safetensors",
            *"pipe.pt loop.npy block-model block-model:".split(),
            "a\nb.npz",
            "\x1b[31m.npz",
            "x" * 100000,
            "a\\b.npz",
            "é",
            "link.parquet",
            "\x00",
            "a\x00.npz",
            *"https://example.org/x.npz file:///etc/passwd /etc /proc/self/fd/0".split(),
        ]
    ),
    st.builds(
        "block-model:{}={},{}={}".format,
        *[
            st.sampled_from(
                ["classes", "per_class", "within", "superclass", "between", "size", "other"]
            ),
            st.sampled_from(
                ["0", "-1", "1", "2", "3", "nan", "inf", "0.5", "1e9", "100000", "1" * 30, "", "é"]
            ),
        ]
        * 2,
    ),
    st.text(max_size=10),
)


def name_case(draw: Any, scene: Scene) -> list[str]:
    """A source that is no file, by its name."""
    import os

    here = scene.inputs
    for suffix in ("npz", "npy", "safetensors", "parquet"):
        (here / f"link.{suffix}").symlink_to("/dev/zero")
    for suffix in ("npz", "npy"):
        (here / f"loop.{suffix}").symlink_to(here / f"loop.{suffix}")
    os.mkfifo(here / "pipe.npz")
    os.mkfifo(here / "pipe.pt")
    (here / "folder.npz").mkdir()
    name = draw(_names)
    if name in _HERE:
        name = str(here / name)
    verb = draw(
        st.sampled_from(
            ["info", "verify", "quarantine", "import", "labels", "check", "study", "cells"]
        )
    )
    ended = ["--"] if draw(st.booleans()) else []
    if verb == "quarantine":
        return ["features", "verify", "--quarantine", *ended, name]
    if verb == "import":
        return ["features", "import", "--out", str(scene.out / "o.safetensors"), *ended, name]
    if verb == "labels":
        import numpy as np
        from scene import arrays

        np.save(here / "x.npy", arrays()["train_features"])
        good = str(here / "x.npy")
        return [
            "features",
            "import",
            good,
            f"--labels={name}",
            "--out",
            str(scene.out / "o.safetensors"),
        ]
    if verb in ("info", "verify"):
        return ["features", verb, *ended, name]
    if verb == "check":
        return ["check", "--rounds", "1", *ended, name]
    if verb == "cells":
        good = str(source(scene))
        return ["study", good, "--recipe", "fig6a", "--dry-run", f"--cells={name}"]
    return ["study", "--recipe", "fig6a", "--dry-run", *ended, name]
