"""Damaged and hostile .safetensors files and feature folders."""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import struct
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from archives import damage, small_integers
from hypothesis import strategies as st
from scene import Scene, arrays

import gramlab
from gramlab.files.shards import writing
from gramlab.numerics.content import sha256, to_json

__all__ = ["folder_case", "json_values", "safetensors_case", "study_template"]

_texts = st.one_of(
    st.sampled_from(
        ["", "..", "../outside/kept", "/etc/passwd", "\ud800", "\x00", "a\nb", "é" * 300]
    )
    | st.sampled_from(
        ["train", "test", "\x1b[31m", "NaN", "1", "train-00000-of-00001.safetensors"]
    ),
    st.text(max_size=8),
)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        small_integers,
        st.floats(),
        _texts,
        st.sampled_from([1e308, -0.0]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_DEEP = 100_000


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def changed(draw: Any, tree: Any) -> Any:
    """A JSON tree with one value at some place replaced, removed or added."""
    tree = copy.deepcopy(tree)
    here, steps = tree, 0
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            break
        key = draw(st.sampled_from(keys))
        if isinstance(here[key], (dict, list)) and here[key] and steps < 5 and draw(st.booleans()):
            here, steps = here[key], steps + 1
            continue
        how = draw(st.sampled_from(["replace", "replace", "replace", "remove", "deep"]))
        if how == "replace":
            here[key] = draw(json_values)
        elif how == "deep":
            here[key] = nested(draw(st.sampled_from([150, 300, 450, 600, 900])))
        elif isinstance(here, dict):
            del here[key]
        else:
            here.pop(key)
        break
    return tree


# ---- safetensors ------------------------------------------------------------------------------


@cache
def _cache_file() -> bytes:
    folder = Path(mkdtemp())
    kept = arrays()
    features = gramlab.Features(
        kept["train_features"],
        kept["train_labels"],
        test_x=kept["test_features"],
        test_labels=kept["test_labels"],
        class_names=kept["class_names"].tolist(),
        superclasses=kept["coarse_of_class"],
    )
    content = gramlab.save_features(features, folder / "a.safetensors").read_bytes()
    shutil.rmtree(folder)
    return content


def _parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _joined(header: bytes, body: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", (len(header) if length is None else length) % 2**64) + header + body


def _dumped(value: Any) -> bytes:
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b"[" * 400 + b"]" * 400


def safetensors_case(draw: Any, scene: Scene) -> Path:
    """A .safetensors file in the inputs."""
    path = scene.inputs / draw(
        st.sampled_from(["a.safetensors", "A.SAFETENSORS", "é\udcff.safetensors"])
    )
    header, body = _parts(_cache_file())
    how = draw(st.sampled_from(["tensors", "tensors", "sealed", "sealed", "raw", "damage", "huge"]))
    if how == "tensors":
        name = draw(st.sampled_from([n for n in header if n != "__metadata__"]))
        entry = header[name]
        what = draw(st.sampled_from(["shape", "dtype", "offsets", "tree", "name", "twice"]))
        if what == "shape":
            entry["shape"] = draw(st.lists(small_integers, max_size=4))
            if draw(st.booleans()):  # offsets that fit the shape
                size = max(0, math.prod(entry["shape"])) * 4
                entry["data_offsets"] = [entry["data_offsets"][0], entry["data_offsets"][0] + size]
        elif what == "dtype":
            kinds = "F8_E4M3 F8_E5M2 F4 BF16 F16 C64 I8 U64 BOOL U8 F6_E2M3 nonsense".split()
            entry["dtype"] = draw(st.sampled_from(kinds))
        elif what == "offsets":
            entry["data_offsets"] = draw(st.lists(small_integers, min_size=1, max_size=3))
        elif what == "tree":
            header = changed(draw, header)
        else:
            header[draw(_texts)] = entry
        content = _joined(_dumped(header), body)
        if what == "twice":
            text = _dumped(header)
            content = _joined(text[:-1] + b',"x":' + _dumped(entry) + b"}", body)
    elif how == "sealed":  # a header that vouches for itself
        inner = json.loads(header["__metadata__"]["gramlab"])
        inner = changed(draw, inner)
        if isinstance(inner, dict) and draw(st.integers(0, 4)):
            inner["checksum"] = _sealed(inner, arrays()["coarse_of_class"])
        header["__metadata__"]["gramlab"] = _dumped(inner).decode("utf-8", "replace")
        content = _joined(_dumped(header), body)
    elif how == "raw":
        text = draw(
            st.sampled_from(
                [
                    b"[" * _DEEP,
                    b'{"a":' * _DEEP,
                    b"",
                    b"{}",
                    b"null",
                    b"{\xff}",
                    b'{"x":1e999}',
                    b"[]",
                ]
            )
            | st.binary(max_size=60)
            | json_values.map(_dumped)
        )
        content = _joined(text, body)
    elif how == "huge":
        length = draw(st.sampled_from([0, 1, 7, 2**31, 2**40, 2**63, 2**64 - 1, 99_999_999]))
        content = _joined(_dumped(header), body, length)
    else:
        content = damage(draw, _cache_file())
    path.write_bytes(content)
    return path


def _sealed(inner: dict[str, Any], superclasses: np.ndarray) -> str:
    counted = {key: value for key, value in inner.items() if key != "checksum"}
    try:
        return sha256(to_json(counted), superclasses.astype(np.int64))
    except (RecursionError, gramlab.GramlabError):
        return ""


# ---- Feature folders --------------------------------------------------------------------------


@cache
def _folder_template() -> Path:
    folder = Path(mkdtemp()) / "features"
    kept = arrays()
    names = kept["class_names"].tolist()
    with writing(
        folder,
        {"backbone": "none"},
        {"train": 12, "test": 6},
        names,
        shard_rows=5,
        superclasses=[0, 0, 1],
    ) as writer:
        for shard in writer.missing():
            rows = np.arange(shard.start, shard.stop)
            writer.put(
                shard,
                kept[f"{shard.split}_features"][rows],
                kept[f"{shard.split}_labels"][rows],
                rows,
            )
        writer.finish()
    return folder


def folder_case(draw: Any, scene: Scene) -> Path:
    """A feature folder in the inputs."""
    folder = scene.inputs / draw(st.sampled_from(["feats", "f é", "-f", "caf\udce9"]))
    shutil.copytree(_folder_template(), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    shards = sorted(p.name for p in folder.glob("*.safetensors"))
    how = draw(
        st.sampled_from("tree tree plan traversal text shard links absent damage many".split())
    )
    if how == "tree":
        _write(draw, folder, changed(draw, manifest))
    elif how == "plan":  # unfinished
        (folder / "manifest.json").unlink()
        plan = {"format": manifest["format"], "plan": manifest["plan"]}
        (folder / "plan.json").write_bytes(_dumped(changed(draw, plan)))
    elif how == "many":
        manifest["plan"][draw(st.sampled_from(["splits", "shard_rows"]))] = draw(json_values)
        manifest["plan"]["splits"] = {"train": draw(small_integers | st.floats())}
        _write(draw, folder, manifest)
    elif how == "traversal":
        _traversal(draw, scene, folder, manifest, shards)
    elif how == "text":
        text = draw(
            st.sampled_from(
                [b"[" * _DEEP, b'{"format":' * _DEEP, b"", b"{}", b"null", b"\xff\xfe", b"9" * 5000]
            )
            | json_values.map(_dumped)
        )
        (folder / draw(st.sampled_from(["manifest.json", "plan.json"]))).write_bytes(text)
    elif how in ("shard", "damage"):
        name = draw(st.sampled_from([*shards, "manifest.json"]))
        content = (folder / name).read_bytes()
        if how == "shard" and name != "manifest.json":
            header, body = _parts(content)
            header = changed(draw, header)
            content = _joined(_dumped(header), body)
            (folder / name).write_bytes(content)
            if draw(st.booleans()):
                _vouch(draw, folder, manifest, name)
        else:
            (folder / name).write_bytes(damage(draw, content))
    elif how == "absent":
        (folder / draw(st.sampled_from([*shards, "manifest.json"]))).unlink()
    elif how == "links":
        _links(draw, scene, folder, shards)
    return folder


def _write(draw: Any, folder: Path, manifest: Any) -> None:
    """A manifest, with a checksum that fits in most cases."""
    if isinstance(manifest, dict) and draw(st.integers(0, 9)):
        counted = {key: value for key, value in manifest.items() if key != "checksum"}
        try:
            manifest["checksum"] = sha256(to_json(counted))
        except (RecursionError, gramlab.GramlabError):
            pass
    (folder / "manifest.json").write_bytes(_dumped(manifest))


def _vouch(draw: Any, folder: Path, manifest: dict[str, Any], name: str) -> None:
    from gramlab.files.whole import file_hash

    for entry in manifest["shards"]:
        if entry["file"] == name:
            entry["sha256"] = file_hash(folder / name)
    _write(draw, folder, manifest)


def _traversal(
    draw: Any, scene: Scene, folder: Path, manifest: dict[str, Any], shards: list[str]
) -> None:
    """A manifest whose shards lie elsewhere, and files there that would be taken for them."""
    prefix = draw(
        st.sampled_from(
            ["../../outside/train", f"{scene.outside}/train", "quarantine/../train", "./train"]
        )
    )
    target = Path(os.path.normpath(folder / f"{prefix}-00000-of-00001.safetensors"))
    shutil.copyfile(folder / shards[-1], target)
    where = draw(st.sampled_from(["splits", "files"]))
    if where == "splits":
        manifest["plan"]["splits"] = {prefix: 5}
        manifest["plan"]["shard_rows"] = 5
        manifest["shards"] = [
            {"file": f"{prefix}-00000-of-00001.safetensors", "rows": 5, "sha256": "0"}
        ]
    else:
        manifest["shards"][0]["file"] = f"{prefix}-00000-of-00001.safetensors"
    _write(draw, folder, manifest)


def _links(draw: Any, scene: Scene, folder: Path, shards: list[str]) -> None:
    """Parts of the folder that are links, pipes or folders."""
    what = draw(
        st.sampled_from(
            ["shard", "quarantine", ".lock", "manifest.json", "plan.json", "loop", "partial"]
        )
    )
    victim = folder / draw(st.sampled_from(shards))
    outside = scene.outside / "kept.txt"
    if what == "shard":
        victim.unlink()
        to = draw(st.sampled_from(["file", "copy", "dangling", "folder", "zero", "pipe"]))
        if to == "pipe":
            os.mkfifo(victim)
        elif to == "folder":
            victim.mkdir()
        else:
            shutil.copyfile(folder / shards[0], scene.outside / "copy") if (
                folder / shards[0]
            ).exists() else None
            targets = {
                "file": outside,
                "copy": scene.outside / "copy",
                "dangling": scene.outside / "nowhere",
                "zero": Path("/dev/zero"),
            }
            victim.symlink_to(targets[to])
    elif what == "quarantine":
        victim.write_bytes(damage(draw, victim.read_bytes()))
        (folder / "quarantine").symlink_to(draw(st.sampled_from([scene.outside, outside])))
    elif what == "loop":
        victim.unlink()
        victim.symlink_to(victim)
    elif what == "partial":
        (folder / f".partial-{'0' * 16}").symlink_to(scene.outside / "deep")
        victim.unlink()
    else:
        (folder / what).unlink(missing_ok=True)
        to = draw(st.sampled_from(["text", "json", "dangling", "zero", "pipe"]))
        if to == "pipe":
            os.mkfifo(folder / what)
        else:
            targets = {
                "text": outside,
                "json": scene.outside / "kept.json",
                "dangling": scene.outside / "nowhere",
                "zero": Path("/dev/zero"),
            }
            (folder / what).symlink_to(targets[to])


# ---- Study folders ----------------------------------------------------------------------------

STUDY = "--recipe fig6a --rates 0.5 --seeds 0 --rounds 1 --methods distill".split()


@cache
def study_template() -> Path:
    """A finished small study, and its source beside it."""
    from gramlab.cli import main

    folder = Path(mkdtemp())
    np.savez(folder / "a.npz", **arrays())
    argv = [
        "study",
        str(folder / "a.npz"),
        *STUDY,
        *"--weight-decay base --noise symmetric".split(),
    ]
    assert main([*argv, "--out", str(folder / "study"), "--quiet"]) == 0
    return folder
