"""Damaged and hostile images for ``gramlab extract``."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from archives import damage
from hypothesis import strategies as st
from scene import Scene

__all__ = ["image_case"]


@cache
def network() -> Path:
    """A small backbone with random weights."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic"
    )
    folder = Path(mkdtemp()) / "network"
    transformers.ResNetModel(config).save_pretrained(folder)
    return folder


@cache
def _picture() -> bytes:
    import io

    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _png_bomb(side: int) -> bytes:
    """A PNG of white pixels: a few kilobytes that unpack to ``side``² pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def image_case(draw: Any, scene: Scene) -> list[str]:
    """Two classes of three images, one of which is not what it should be."""
    photos = scene.inputs / "photos"
    for name in ("ant", "bee"):
        (photos / name).mkdir(parents=True)
        for number in range(3):
            (photos / name / f"{number}.png").write_bytes(_picture())
    victim = photos / "ant" / "1.png"
    how = draw(
        st.sampled_from(["damage", "damage", "bomb", "link", "name", "class", "network", "out"])
    )
    backbone, out = network(), scene.out / "features"
    if how == "damage":
        victim.write_bytes(damage(draw, _picture()))
    elif how == "bomb":
        victim.write_bytes(_png_bomb(draw(st.sampled_from([0, 9000, 20_000, 70_000, 2**31 - 1]))))
    elif how == "link":
        victim.unlink()
        victim.symlink_to(draw(st.sampled_from(["/dev/zero", str(victim), "/", str(photos)])))
    elif how == "name":
        names = ["caf\udce9.png", "a\nb.png", "-x.png", "é.PNG", ".png", "x" * 250 + ".png"]
        victim.rename(victim.with_name(draw(st.sampled_from(names))))
    elif how == "class":
        names = ["caf\udce9", "a\nb", "-x", " ", "\x1b[31m", "é", "train"]
        (photos / "ant").rename(photos / draw(st.sampled_from(names)))
    elif how == "network":
        backbone = scene.inputs / "network"
        shutil.copytree(network(), backbone)
        name = draw(st.sampled_from(sorted(p.name for p in backbone.iterdir())))
        (backbone / name).write_bytes(damage(draw, (backbone / name).read_bytes()))
    else:
        out.mkdir()
        what = draw(
            st.sampled_from(
                ["quarantine", ".lock", "manifest.json", "plan.json", "shard", "partial"]
            )
        )
        where = scene.outside / draw(st.sampled_from(["deep", "kept.txt", "nowhere"]))
        if what == "shard":
            (out / "train-00000-of-00002.safetensors").symlink_to(where)
        elif what == "partial":
            (out / f".partial-{'0' * 16}").symlink_to(where)
        elif what == "quarantine":
            (out / what).symlink_to(where)
            (out / "train-00000-of-00002.safetensors").write_bytes(b"damaged")
        elif draw(st.booleans()):
            (out / what).symlink_to(where)
        else:
            os.mkfifo(out / what)
    argv = ["extract", "--backbone", str(backbone), "--images", str(photos), "--out", str(out)]
    argv += ["--preprocessing", "paper", "--shard-rows", "4", "--device", "cpu"]
    return [*argv, "--strict"] if draw(st.integers(0, 4)) == 0 else argv
