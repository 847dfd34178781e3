"""Extraction with a transformer that lacks its pooler: killed and resumed, and on real images."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gramlab import cli, load_features

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
Image = pytest.importorskip("PIL.Image")

POOLER = ["pooler.dense.bias", "pooler.dense.weight"]


@pytest.fixture
def vit(tmp_path) -> Path:
    """A random ViT, saved without its pooler, as many checkpoints are."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.ViTConfig(**sizes, intermediate_size=20, image_size=32, patch_size=8)
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "vit")
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(processor))
    return tmp_path / "vit"


@pytest.fixture
def photos(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(100):
            pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i:03d}.png")
    return tmp_path / "photos"


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("pooling", ["auto", "mean"])
def test_killed_and_resumed_it_is_the_extraction_that_was_never_stopped(
    vit, photos, tmp_path, pooling
):
    command = ["extract", "--backbone", str(vit), "--images", str(photos), "--shard-rows", "4"]
    command += ["--pooling", pooling, "--device", "cpu"]
    whole, out = tmp_path / "whole", tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-m", "gramlab", *command, "--out", str(out)])
    try:
        while len(list(out.glob("train-*.safetensors"))) < 3:
            assert child.poll() is None
            time.sleep(0.001)
    finally:
        child.kill()
    assert child.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in out.glob("train-*.safetensors")}
    assert 3 <= len(kept) < 50
    assert not (out / "manifest.json").exists()
    for place in (whole, out, out):  # the last finds everything there, and nothing else
        assert cli.main([*command, "--out", str(place), "--quiet"]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    names = sorted(path.name for path in whole.iterdir())
    assert len(names) == 50 + 1
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names:
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    one, other = (load_features(place).provenance for place in (whole, out))
    assert other == one | {"source": "out"}
    assert one["extraction"]["backbone"]["untrained"] == POOLER
    assert one["extraction"]["pooling"] == {"auto": "cls", "mean": "mean"}[pooling]


@pytest.mark.data
def test_the_real_transformer_gives_the_cached_rows_of_all_images(tmp_path, data_folder):
    """Which row is an image's follows from the authors' split of the whole data set."""
    from sklearn.model_selection import train_test_split

    model, photos = data_folder / "vit_tiny_hf", data_folder / "caltech101_mini"
    cached_file = data_folder / "caltech101_vit_tiny.npz"
    if not (model.is_dir() and photos.is_dir() and cached_file.is_file()):
        pytest.skip("the real transformer, its images or their cached features are not at hand")
    command = ["extract", "--backbone", str(model), "--images", str(photos), "--dtype", "float16"]
    assert cli.main([*command, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    found, cached = load_features(tmp_path / "out"), load_features(cached_file)
    assert found.provenance["extraction"]["backbone"]["untrained"] == POOLER

    # The whole data set in the order of its paths, and the place of each class in it.
    n = len(cached.x) + len(cached.test_x)
    parts = train_test_split(np.arange(n), test_size=0.2, random_state=42)
    rows, labels = np.empty((n, cached.n_features)), np.empty(n, np.int64)
    for part, x, y in zip(
        parts, (cached.x, cached.test_x), (cached.labels, cached.test_labels), strict=True
    ):
        rows[part], labels[part] = x, y
    assert (np.diff(labels) >= 0).all()
    first = dict(zip(cached.class_names, np.searchsorted(labels, np.arange(101)), strict=True))
    paths = sorted(photos.glob("*/*.jpg"), key=lambda path: (path.parent.name, path.name))
    own = np.array([first[path.parent.name] + int(path.stem[-4:]) - 1 for path in paths])
    assert len(own) == found.n_samples == 786

    x = found.x.astype(np.float64)
    sizes = np.linalg.norm(rows[own], axis=1)
    assert (np.linalg.norm(x - rows[own], axis=1) <= 2e-3 * sizes).all()  # both are float16
    assert (np.linalg.norm(x - rows[own + 1], axis=1) > 2e-3 * sizes).all()  # planted: the next
    nearest = np.argmin((rows**2).sum(axis=1) - 2.0 * x @ rows.T, axis=1)
    assert np.array_equal(nearest, own)
