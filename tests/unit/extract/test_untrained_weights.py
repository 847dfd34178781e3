"""Checkpoints that lack weights: what a feature depends on is hashed, what it does not is named."""

import json
import re

import numpy as np
import pytest

from gramlab import load_features
from gramlab.cli import main
from gramlab.cli.progress import Progress
from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.files.shards import read_manifest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
PIL_Image = pytest.importorskip("PIL.Image")

from safetensors.torch import load_file, save_file  # noqa: E402 - after the skips

from gramlab.extract import Backbone, extract_features, open_image_folder  # noqa: E402

POOLER = ("pooler.dense.bias", "pooler.dense.weight")
PARTS = ("embeddings", "encoder", "layernorm", "pooler")  # as the file names them


def copied(folder, target, change):
    """A checkpoint whose tensors by name `change` has changed."""
    target.mkdir()
    for path in folder.glob("*.json"):
        (target / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def without(*names):
    return lambda weights: [weights.pop(name) for name in names]


@pytest.fixture(scope="module")
def vits(tmp_path_factory):
    """A random ViT that is complete, one without its pooler, and changed in one part each."""
    root = tmp_path_factory.mktemp("vits")
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 20, "image_size": 16, "patch_size": 8}
    transformers.ViTModel(transformers.ViTConfig(**sizes)).save_pretrained(root / "whole")
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
    (root / "whole" / "preprocessor_config.json").write_text(json.dumps(processor))
    found = {"whole": root / "whole"}
    found["lacking"] = copied(root / "whole", root / "lacking", without(*POOLER))

    for part in PARTS:

        def change(weights, part=part):
            own = [name for name in sorted(weights) if name.startswith(f"{part}.")]
            assert own
            for name in own:
                weights[name] += 0.1 * torch.randn(weights[name].shape)

        found[part] = copied(root / "whole", root / part, change)
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name in ("ant", "bee"):
        (root / name).mkdir()
        for i in range(5):
            blocks = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            PIL_Image.fromarray(blocks).resize((20, 20), 2).save(root / name / f"{i}.png")
    return root


def extracted(backbone, photos, out, **settings):
    images = open_image_folder(photos)
    splits = images.train_and_test()
    return extract_features(backbone, splits, images.class_names, out, shard_rows=3, **settings)


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_the_hash_changes_with_the_features_and_only_with_them(vits, pooling):
    pixels = np.random.default_rng(1).standard_normal((2, 3, 16, 16)).astype(np.float32)
    whole = Backbone.load(vits["whole"], pooling=pooling)
    assert whole.untrained == ()
    for part in PARTS:
        other = Backbone.load(vits[part], pooling=pooling)
        changed = not np.array_equal(other.features(pixels), whole.features(pixels))
        assert changed == (part != "pooler" or pooling == "pooler")
        assert (other.weights_hash != whole.weights_hash) == changed, part


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_every_load_of_a_checkpoint_without_pooler_is_the_same_backbone(vits, pooling):
    first, second = (Backbone.load(vits["lacking"], pooling=pooling) for _ in range(2))
    assert first.held_hash != second.held_hash  # their poolers are random
    assert first.describe() == second.describe()
    assert first.describe()["backbone"]["untrained"] == list(POOLER)
    complete = Backbone.load(vits["whole"], pooling=pooling)
    assert complete.weights_hash == first.weights_hash
    assert complete.describe()["backbone"]["untrained"] == []


def test_an_untrained_pooler_is_refused_and_auto_goes_round_it(vits):
    with pytest.raises(UnreadableSource, match="would be random; use --pooling cls or mean"):
        Backbone.load(vits["lacking"], pooling="pooler")
    assert Backbone.load(vits["lacking"]).pooling == "cls"
    assert Backbone.load(vits["whole"]).pooling == "pooler"


def test_weights_are_missed_only_where_the_features_depend_on_them(tmp_path, vits):
    """A mask token, which no feature reads, may be missing; part of a norm may not."""
    lost = copied(vits["whole"], tmp_path / "lost", without("layernorm.bias", *POOLER))
    said = "lacks 3 of its weights, the first 'layernorm.bias'.*random; give a complete checkpoint"
    for pooling in ("auto", "cls", "mean", "pooler"):
        with pytest.raises(UnreadableSource, match=said):
            Backbone.load(lost, pooling=pooling)
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Dinov2Config(**sizes, image_size=28, patch_size=14)
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "dino")
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 28, "width": 28}}
    (tmp_path / "dino" / "preprocessor_config.json").write_text(json.dumps(processor))
    token = "embeddings.mask_token"
    lacking = copied(tmp_path / "dino", tmp_path / "lacking", without(token))
    first, second = (Backbone.load(lacking, pooling="cls") for _ in range(2))
    assert first.untrained == (token,)
    assert first.describe() == second.describe()


def test_features_that_overflow_are_not_taken_for_untrained_ones(tmp_path, vits):
    def change(weights):
        weights["layernorm.weight"] *= 1e6

    large = copied(vits["lacking"], tmp_path / "large", change)
    assert Backbone.load(large).untrained == POOLER
    with pytest.raises(InvalidSetting, match="not finite; compute with --precision float32"):
        Backbone.load(large, precision="float16")


def test_auto_is_recorded_as_what_it_was(vits, photos, tmp_path):
    """So that equal features have equal provenance, and the cache of one is that of the other."""
    extracted(Backbone.load(vits["lacking"]), photos, tmp_path / "out")
    before = read_manifest(tmp_path / "out")
    assert before.plan["pooling"] == "cls"
    assert extracted(Backbone.load(vits["lacking"], pooling="cls"), photos, tmp_path / "out") == (
        before
    )
    with pytest.raises(InvalidSetting, match=r"made otherwise \(pooling"):
        extracted(Backbone.load(vits["lacking"], pooling="mean"), photos, tmp_path / "out")


class Stop(Exception):
    pass


def test_stopped_and_loaded_anew_it_goes_on_and_leaves_the_same_bytes(vits, photos, tmp_path):
    whole, again = tmp_path / "whole", tmp_path / "again"
    extracted(Backbone.load(vits["lacking"]), photos, whole)
    seen = 0

    def images(count):
        nonlocal seen
        seen += count
        if seen == 10 + 7:  # all are looked at before the first is computed
            raise Stop

    with pytest.raises(Stop):
        extracted(Backbone.load(vits["lacking"]), photos, again, on_images=images)
    kept = {path: path.stat().st_mtime_ns for path in again.glob("*.safetensors")}
    assert len(kept) == 2
    for _ in range(2):  # it goes on, and once finished it has nothing to complain of
        extracted(Backbone.load(vits["lacking"]), photos, again)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    names = sorted(path.name for path in whole.iterdir())
    assert sorted(path.name for path in again.iterdir()) == names
    for name in names:
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    assert load_features(again).provenance == load_features(whole).provenance | {"source": "again"}


def test_a_shard_of_broken_images_only_has_as_many_columns(vits, photos, tmp_path):
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(3):
            content = b"" if name == "ant" else (photos / name / f"{i}.png").read_bytes()
            (tmp_path / "photos" / name / f"{i}.png").write_bytes(content)
    backbone = Backbone.load(vits["lacking"])
    manifest = extracted(backbone, tmp_path / "photos", tmp_path / "out")
    assert [rows for rows, _ in manifest.shards.values()] == [0, 3]
    assert backbone.n_features == manifest.n_features == 12


# ---- The command line ---------------------------------------------------------------------------


def test_the_command_says_what_is_untrained(vits, photos, tmp_path, capsys):
    command = ["extract", "--backbone", str(vits["lacking"]), "--images", str(photos)]
    names = "pooler.dense.bias, pooler.dense.weight"
    out = str(tmp_path / "out")
    assert main([*command, "--out", out]) == 0
    said = capsys.readouterr()
    assert f"note: --pooling auto is cls; the checkpoint lacks {names}, on which" in said.err
    assert f"untrained {names}: not in the checkpoint" in said.out
    assert main(["features", "info", out]) == 0
    assert f"untrained    {names}: not in the checkpoint, not used" in capsys.readouterr().out
    assert main([*command, "--out", out, "--pooling", "cls"]) == 0
    assert "note" not in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "p"), "--pooling", "pooler"]) == 2
    error = capsys.readouterr().err
    assert "use --pooling cls or mean, or give a complete checkpoint" in error
    assert error.count("\n") == 1
    whole = [*command[:2], str(vits["whole"]), *command[3:], "--out", str(tmp_path / "whole")]
    assert main(whole) == 0
    assert main(["features", "info", str(tmp_path / "whole")]) == 0
    said = capsys.readouterr()
    assert "untrained" not in said.out
    assert "note" not in said.err


def test_a_log_tells_where_an_extraction_is(vits, photos, tmp_path, capsys, monkeypatch):
    """Its beginning and its end at least, also where it takes less than the interval of lines."""
    command = ["extract", "--backbone", str(vits["whole"]), "--images", str(photos)]
    monkeypatch.setattr(Progress, "interval", 1e9)
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "features" in line]
    assert len(lines) == 2
    assert re.fullmatch(r"gramlab: computing features: 0 % done, 0/10, \d+ s", lines[0])
    told = r"gramlab: computing features: 100 % done, 10/10, 0 s left, [\d.]+ images/s, \d+ s"
    assert re.fullmatch(told, lines[1])
    monkeypatch.setattr(Progress, "interval", 0.0)
    assert main([*command, "--out", str(tmp_path / "b")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("gramlab: computing features: ") for line in lines) == 11
    assert any(re.search(r": 40 % done, 4/10, \d+ s left, [\d.]+ images/s, ", x) for x in lines)
    assert main([*command, "--out", str(tmp_path / "c"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
