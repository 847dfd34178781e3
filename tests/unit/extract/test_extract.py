"""Images to features: against a forward pass written by hand, resumed, broken, split, recorded."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from gramlab import load_features
from gramlab.cli import main
from gramlab.errors import InvalidLabels, InvalidSetting, OutputError, UnreadableSource
from gramlab.files.shards import read_manifest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
PIL_Image = pytest.importorskip("PIL.Image")

from gramlab.extract import (  # noqa: E402 - after the skips
    RECIPES,
    Backbone,
    Images,
    ImageSplit,
    extract_features,
    open_dataset,
    open_image_folder,
    random_split,
    recipe,
)

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
SIDE = 32
# Of float32 through so many products one after the other, relative to the largest feature.
ROUNDING = {kind: 8 * products * 2.0**-23 for kind, products in (("resnet", 8), ("vit", 15))}
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PROCESSOR = {
    "do_resize": True,
    "size": {"height": SIDE, "width": SIDE},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
    "image_processor_type": "ViTImageProcessor",
}


def write_backbone(folder, kind):
    torch.manual_seed(0)
    if kind == "resnet":
        config = transformers.ResNetConfig(
            embedding_size=6, hidden_sizes=[6, 10], depths=[1, 2], layer_type="basic"
        )
        model = transformers.ResNetModel(config)
        for name, buffer in model.named_buffers():  # statistics as if it had been trained
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    else:
        config = transformers.ViTConfig(
            hidden_size=12,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=20,
            image_size=SIDE,
            patch_size=8,
            hidden_dropout_prob=0.3,  # acts in training mode only
        )
        model = transformers.ViTModel(config)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


@pytest.fixture(scope="module")
def backbones(tmp_path_factory):
    root = tmp_path_factory.mktemp("backbones")
    return {kind: write_backbone(root / kind, kind) for kind in ("resnet", "vit")}


def picture(seed, mode="RGB"):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(20, 60, 2)
    blocks = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    image = PIL_Image.fromarray(blocks).resize((int(width), int(height)), 2)
    return image.convert(mode)


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory):
    """Three classes of seven images, in several modes and formats, one of them broken."""
    root = tmp_path_factory.mktemp("photos")
    for number, name in enumerate(("Zebra", "ant", "bee")):
        (root / name).mkdir()
        for i in range(7):
            mode, suffix = [("RGB", "jpg"), ("L", "png"), ("RGBA", "png"), ("P", "gif")][i % 4]
            picture([number, i], mode).save(root / name / f"{i:02d}.{suffix}")
    whole = io.BytesIO()
    picture(99).save(whole, "JPEG")
    (root / "ant" / "03.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (root / "ant" / "notes.txt").write_text("no image")
    (root / "bee" / ".hidden.jpg").write_bytes(b"")
    return root


def pixels_by_hand(image, size, mean, std):
    resized = image.convert("RGB").resize((size, size), 2)
    values = (np.asarray(resized, dtype=np.float64) / 255 - mean) / std
    return torch.tensor(values.transpose(2, 0, 1)[None], dtype=torch.float64)


def resnet_by_hand(weights, x):
    """ResNet of basic layers, from the tensors alone."""
    f = torch.nn.functional

    def conv(name, x, stride, padding, act):
        x = f.conv2d(x, weights[f"{name}.convolution.weight"], stride=stride, padding=padding)
        n = f"{name}.normalization"
        mean, var = weights[f"{n}.running_mean"], weights[f"{n}.running_var"]
        scale = weights[f"{n}.weight"] / torch.sqrt(var + 1e-5)
        x = x * scale[:, None, None] + (weights[f"{n}.bias"] - mean * scale)[:, None, None]
        return x.clamp(min=0) if act else x

    x = conv("embedder.embedder", x, 2, 3, True)
    x = f.max_pool2d(x, 3, 2, 1)
    stage = 0
    while f"encoder.stages.{stage}.layers.0.layer.0.convolution.weight" in weights:
        layer = 0
        while f"encoder.stages.{stage}.layers.{layer}.layer.0.convolution.weight" in weights:
            name = f"encoder.stages.{stage}.layers.{layer}"
            stride = 2 if layer == 0 and stage > 0 else 1
            short = x
            if f"{name}.shortcut.convolution.weight" in weights:
                short = conv(f"{name}.shortcut", x, stride, 0, False)
            y = conv(f"{name}.layer.0", x, stride, 1, True)
            x = (conv(f"{name}.layer.1", y, 1, 1, False) + short).clamp(min=0)
            layer += 1
        stage += 1
    return x.mean(dim=(2, 3))[0]


def hand_made(kind, folder, image, size=SIDE, mean=MEAN, std=STD):
    from safetensors.torch import load_file

    weights = {k: v.double() for k, v in load_file(folder / "model.safetensors").items()}
    x = pixels_by_hand(image, size, mean, std)
    if kind == "resnet":
        return resnet_by_hand(weights, x).numpy()
    return vit_by_hand(weights, x).numpy()


def vit_by_hand(weights, x, heads=2):
    """Pooled output of a vision transformer, from the tensors alone."""
    f = torch.nn.functional

    def find(*parts):
        names = [n for n in weights if all(part in n for part in parts)]
        assert len(names) == 1, (parts, names)
        return weights[names[0]]

    def linear(x, *parts):
        return x @ find(*parts, "weight").T + find(*parts, "bias")

    def norm(x, *parts):
        return f.layer_norm(x, x.shape[-1:], find(*parts, "weight"), find(*parts, "bias"), 1e-12)

    patches = f.conv2d(
        x, find("patch_embeddings", "weight"), find("patch_embeddings", "bias"), stride=8
    )
    tokens = patches.flatten(2).transpose(1, 2)
    x = torch.cat([find("cls_token"), tokens], dim=1) + find("position_embeddings")
    width = x.shape[-1] // heads
    for i in range(2):
        layer = next(
            n.split(f".{i}.")[0] for n in weights if f"layer.{i}." in n or f"layers.{i}." in n
        )
        here = f"{layer}.{i}."
        y = norm(x, here, "layernorm_before")

        def split(y):
            return y.reshape(1, -1, heads, width).transpose(1, 2)

        q, k, v = (split(linear(y, here, part)) for part in attention_names(weights, here))
        attention = torch.softmax(q @ k.transpose(2, 3) / width**0.5, dim=-1) @ v
        y = attention.transpose(1, 2).reshape(1, -1, heads * width)
        x = x + linear(y, here, output_name(weights, here))
        y = norm(x, here, "layernorm_after")
        first, second = mlp_names(weights, here)
        x = x + linear(f.gelu(linear(y, here, first)), here, second)
    x = f.layer_norm(x, x.shape[-1:], weights["layernorm.weight"], weights["layernorm.bias"], 1e-12)
    return torch.tanh(linear(x[:, 0], "pooler"))[0]


def attention_names(weights, here):
    """Query, key and value, as this version of transformers calls them."""
    inside = [n for n in weights if n.startswith(here)]
    for names in (("query", "key", "value"), ("q_proj", "k_proj", "v_proj")):
        if any(names[0] in n for n in inside):
            return [f".{name}." for name in names]
    raise AssertionError(inside)


def output_name(weights, here):
    inside = [n for n in weights if n.startswith(here)]
    options = ("attention.output.dense", "o_proj")
    return next(o for o in options if any(o in n for n in inside))


def mlp_names(weights, here):
    inside = [n for n in weights if n.startswith(here)]
    for names in (("intermediate.dense", f"{here}output.dense"), ("mlp.fc1", "mlp.fc2")):
        if any(names[0] in n for n in inside):
            return names
    raise AssertionError(inside)


def extracted(folder, kind_folder, out, **settings):
    images = open_image_folder(folder)
    loading = {
        key: settings.pop(key)
        for key in ("preprocessing", "pooling", "precision")
        if key in settings
    }
    backbone = Backbone.load(kind_folder, **loading)
    return extract_features(
        backbone, images.train_and_test(), images.class_names, out, source="photos", **settings
    )


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_features_are_those_of_a_forward_pass_by_hand(tmp_path, backbones, image_folder, kind):
    manifest = extracted(image_folder, backbones[kind], tmp_path / "out", batch_size=4)
    found = load_features(tmp_path / "out")
    paths = sorted(
        p
        for p in image_folder.rglob("*.*")
        if p.suffix != ".txt" and p.name != ".hidden.jpg" and p != image_folder / "ant" / "03.jpg"
    )
    assert found.class_names == ("Zebra", "ant", "bee")
    assert len(paths) == found.n_samples == 21
    for row, path in enumerate(paths):
        with PIL_Image.open(path) as image:
            expected = hand_made(kind, backbones[kind], image)
        assert found.class_names[found.labels[row]] == path.parent.name
        error = np.abs(found.x[row] - expected).max()
        assert error <= ROUNDING[kind] * np.abs(expected).max()
    assert [(b.row, b.name) for b in manifest.broken] == [(11, "ant/03.jpg")]
    # Planted: the image next door is not within the tolerance.
    assert np.abs(found.x[0] - found.x[1]).max() > 1e-3 * np.abs(found.x[0]).max()


def test_the_papers_preprocessing_is_a_plain_resize_and_imagenets_statistics(
    tmp_path, backbones, image_folder
):
    extracted(image_folder, backbones["resnet"], tmp_path / "out", preprocessing="paper")
    found = load_features(tmp_path / "out")
    with PIL_Image.open(image_folder / "Zebra" / "00.jpg") as image:
        expected = hand_made(
            "resnet",
            backbones["resnet"],
            image,
            224,
            (0.485, 0.456, 0.406),
            (0.229, 0.224, 0.225),
        )
    assert np.abs(found.x[0] - expected).max() <= ROUNDING["resnet"] * np.abs(expected).max()
    described = found.provenance["extraction"]["preprocessing"]
    assert described["name"] == "paper"
    assert described["resize"] == [224, 224]


def test_a_backbone_that_does_not_take_the_size_says_so(tmp_path, backbones, image_folder):
    said = "'vit' does not take the 224x224 pixels that preprocessing 'paper' makes"
    with pytest.raises(InvalidSetting, match=said):
        extracted(image_folder, backbones["vit"], tmp_path / "out", preprocessing="paper")


def test_batches_of_any_size_give_the_same_features(tmp_path, backbones, image_folder):
    found = []
    for size in (1, 3, 32):
        extracted(image_folder, backbones["vit"], tmp_path / str(size), batch_size=size)
        found.append(load_features(tmp_path / str(size)).x)
    scale = np.abs(found[0]).max()
    for other in found[1:]:
        assert np.abs(other - found[0]).max() <= ROUNDING["vit"] * scale


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_by_name(tmp_path, backbones, image_folder, pooling):
    images = open_image_folder(image_folder)
    split = images.train_and_test()["train"]
    backbone = Backbone.load(backbones["vit"], pooling=pooling)
    pixels = backbone.pixels([split.decoded(0)])
    with torch.no_grad():
        last = backbone.model(pixel_values=torch.from_numpy(pixels)).last_hidden_state
    expected = last[:, 0] if pooling == "cls" else last.mean(dim=1)
    assert np.array_equal(backbone.features(pixels), expected.numpy())
    with pytest.raises(InvalidSetting, match="no first token"):
        Backbone.load(backbones["resnet"], pooling="cls").features(pixels)


def test_other_backbones_load_as_they_are(tmp_path, image_folder):
    """DINOv2 crops and pools by its first token; nothing in the loading knows its name."""
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "dino")
    crops = {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 32},
        "crop_size": {"height": 28, "width": 28},
    }
    (tmp_path / "dino" / "preprocessor_config.json").write_text(json.dumps(crops))
    extracted(image_folder, tmp_path / "dino", tmp_path / "auto")
    extracted(image_folder, tmp_path / "dino", tmp_path / "cls", pooling="cls")
    auto, first = load_features(tmp_path / "auto"), load_features(tmp_path / "cls")
    assert auto.x.shape == (21, 12)
    assert np.array_equal(auto.x, first.x)


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [1, 9, 14])
def test_stopped_anywhere_a_rerun_writes_the_same_bytes(tmp_path, backbones, image_folder, after):
    settings = {"batch_size": 3, "shard_rows": 6}
    extracted(image_folder, backbones["vit"], tmp_path / "whole", **settings)
    computing = False
    seen = 0

    def stage(name, total):
        nonlocal computing
        computing = name == "computing features"

    def images(count):
        nonlocal seen
        seen += computing
        if seen == after:
            raise Stop

    with pytest.raises(Stop):
        extracted(
            image_folder,
            backbones["vit"],
            tmp_path / "again",
            **settings,
            on_stage=stage,
            on_images=images,
        )
    there = len(list((tmp_path / "again").glob("*.safetensors")))
    assert there == (after - 1) // 6
    extracted(image_folder, backbones["vit"], tmp_path / "again", **settings)
    for path in (tmp_path / "whole").iterdir():
        if path.name != ".lock":
            assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"batch_size": 5}, "batch_size"),
        ({"dtype": "float16"}, "stored_dtype"),
        ({"preprocessing": "paper"}, "preprocessing"),
        ({"pooling": "mean"}, "pooling"),
        ({"precision": "bfloat16"}, "precision"),
    ],
)
def test_a_cache_is_never_taken_for_another(tmp_path, backbones, image_folder, settings, named):
    out = tmp_path / "out"
    extracted(image_folder, backbones["vit"], out, batch_size=4)
    before = read_manifest(out)
    with pytest.raises(InvalidSetting, match=named):
        extracted(image_folder, backbones["vit"], out, **{"batch_size": 4, **settings})
    with pytest.raises(InvalidSetting, match="backbone"):
        extracted(image_folder, backbones["resnet"], out, batch_size=4)
    assert read_manifest(out) == before


def test_changed_weights_or_images_are_other_features(tmp_path, backbones, image_folder):
    import shutil

    from safetensors.torch import load_file, save_file

    out = tmp_path / "out"
    extracted(image_folder, backbones["vit"], out)
    changed = tmp_path / "vit"
    shutil.copytree(backbones["vit"], changed)
    weights = load_file(changed / "model.safetensors")
    weights["layernorm.bias"][0] += 1e-6
    save_file(weights, changed / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidSetting, match=r"backbone.weights"):
        extracted(image_folder, changed, out)
    photos = tmp_path / "photos"
    shutil.copytree(image_folder, photos)
    picture(5).save(photos / "bee" / "00.jpg")
    with pytest.raises(InvalidSetting, match=r"data.fingerprints.train"):
        extracted(photos, backbones["vit"], out)


def test_half_precision_is_near_and_stored_as_asked(tmp_path, backbones, image_folder):
    extracted(image_folder, backbones["vit"], tmp_path / "full")
    extracted(
        image_folder, backbones["vit"], tmp_path / "half", precision="bfloat16", dtype="float16"
    )
    full, half = load_features(tmp_path / "full").x, load_features(tmp_path / "half").x
    assert half.dtype == np.float16
    error = np.linalg.norm(half - full) / np.linalg.norm(full)
    # Storing in float16 alone rounds by at most 2^-11; bfloat16 keeps eight bits in every product.
    assert 2.0**-11 < error < 15 * 2.0**-8


def test_images_that_cannot_even_be_opened_are_broken_too(tmp_path, backbones):
    photos = tmp_path / "photos"
    for name in ("a", "b"):
        (photos / name).mkdir(parents=True)
        picture([len(name), 1]).save(photos / name / "0.png")
    (photos / "b" / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (photos / "b" / "folder.jpg").mkdir()
    manifest = extracted(photos, backbones["vit"], tmp_path / "out")
    assert {entry.name: entry.reason for entry in manifest.broken} == {
        "b/folder.jpg": "IsADirectoryError: Is a directory",
        "b/lost.jpg": "FileNotFoundError: No such file or directory",
    }
    assert load_features(tmp_path / "out").n_samples == 2
    assert str(tmp_path) not in (tmp_path / "out" / "manifest.json").read_text()
    picture(3).save(tmp_path / "nowhere.jpg", "JPEG")  # mended: no longer the same images
    with pytest.raises(InvalidSetting, match=r"data.fingerprints.train"):
        extracted(photos, backbones["vit"], tmp_path / "out")


def test_strict_stops_at_the_broken_image(tmp_path, backbones, image_folder):
    with pytest.raises(UnreadableSource, match=r"(?i)ant/03.jpg.*truncated"):
        extracted(image_folder, backbones["vit"], tmp_path / "out", strict=True)


def test_a_backbone_in_training_mode_is_noticed(backbones):
    backbone = Backbone.load(backbones["vit"])
    backbone.assert_frozen()
    backbone.model.train()
    with pytest.raises(RuntimeError, match="changed"):
        backbone.assert_frozen()
    with pytest.raises(RuntimeError, match="evaluation mode"):
        backbone.features(np.zeros((1, 3, SIDE, SIDE), np.float32))
    backbone.model.eval()
    with torch.no_grad():
        next(backbone.model.parameters()).add_(1e-3)
    with pytest.raises(RuntimeError, match="changed"):
        backbone.assert_frozen()
    half = Backbone.load(backbones["vit"], precision="bfloat16")
    half.assert_frozen()
    with torch.no_grad():
        next(half.model.parameters()).add_(1.0)
    with pytest.raises(RuntimeError, match="changed"):
        half.assert_frozen()


def test_no_shard_is_written_by_a_backbone_that_changed(tmp_path, backbones, image_folder):
    images = open_image_folder(image_folder)
    backbone = Backbone.load(backbones["vit"])

    def trained_meanwhile(name, total):
        if name == "computing features":
            with torch.no_grad():
                next(backbone.model.parameters()).add_(1e-3)

    splits = images.train_and_test()
    with pytest.raises(RuntimeError, match="changed"):
        extract_features(
            backbone, splits, images.class_names, tmp_path / "o", on_stage=trained_meanwhile
        )
    assert not list((tmp_path / "o").glob("*.safetensors"))


def test_a_folder_that_is_not_there_is_not_asked_for_on_the_hub(tmp_path, monkeypatch):
    def asked(*_, **__):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", asked)
    for name in (tmp_path / "nowhere", "./nowhere", "~/no/where", "a/b/c"):
        with pytest.raises(UnreadableSource, match="was not found; give a folder"):
            Backbone.load(name)
    with pytest.raises(UnreadableSource, match="the hub was asked"):  # a hub name is asked for
        Backbone.load("microsoft/resnet-34")


def test_a_checkpoint_without_all_weights_is_refused(tmp_path, backbones):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "vit"
    shutil.copytree(backbones["vit"], folder)
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "layernorm_before.weight" in name)
    del weights[lost]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnreadableSource, match="would be random"):
        Backbone.load(folder)


def test_a_pickled_checkpoint_is_never_opened(tmp_path, backbones):
    import shutil

    folder = tmp_path / "vit"
    shutil.copytree(backbones["vit"], folder)
    (folder / "model.safetensors").unlink()
    torch.save(
        transformers.ViTModel.from_pretrained(backbones["vit"]).state_dict(),
        folder / "pytorch_model.bin",
    )
    with pytest.raises(UnreadableSource, match="could not be loaded"):
        Backbone.load(folder)


# ---- Where images come from ---------------------------------------------------------------------


def test_the_split_is_the_authors(image_folder):
    from sklearn.model_selection import train_test_split

    for n in (5, 786, 8677):
        train, test = random_split(n, 0.2, 42)
        expected = train_test_split(np.arange(n), test_size=0.2, random_state=42)
        assert np.array_equal(train, expected[0])
        assert np.array_equal(test, expected[1])


@pytest.mark.parametrize(("n", "share", "seed"), [(4, 0.999, 42), (1, 0.5, 42), (9, 0.2, -1)])
def test_splits_that_cannot_be_drawn_are_refused(n, share, seed):
    with pytest.raises(InvalidSetting, match=r"leave both parts a row|seed must be"):
        random_split(n, share, seed)


def test_train_and_test_folders(tmp_path):
    for part, count in (("train", 3), ("val", 2)):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                picture([count, i]).save(tmp_path / part / name / f"{i}.png")
    found = open_image_folder(tmp_path).train_and_test()
    assert {name: len(split) for name, split in found.items()} == {"train": 6, "test": 4}
    assert found["test"].names[0] == "a/0.png"


@pytest.mark.parametrize("wrong", ["absent", "one", "empty"])
def test_folders_that_cannot_be_read_say_why(tmp_path, wrong):
    if wrong != "absent":
        (tmp_path / "f" / "a").mkdir(parents=True)
        picture(0).save(tmp_path / "f" / "a" / "0.png")
    if wrong == "empty":
        (tmp_path / "f" / "b").mkdir()
    match = {"absent": "was not found", "one": "at least two", "empty": "holds no image"}[wrong]
    with pytest.raises(UnreadableSource, match=match):
        open_image_folder(tmp_path / "f")


def test_class_folders_of_one_name_in_two_spellings_are_refused_before_the_work(tmp_path):
    two = ("caf\xe9", "cafe\u0301")
    for part, name in zip(("train", "test"), two, strict=True):
        for folder in (name, "bar"):
            (tmp_path / part / folder).mkdir(parents=True)
            picture(0).save(tmp_path / part / folder / "0.png")
    said = r"'cafe\\u0301' and 'caf\\xe9', which are one text"
    with pytest.raises(
        InvalidSetting, match=f"class names of '{tmp_path.name}' must differ.*{said}"
    ):
        open_image_folder(tmp_path)
    with pytest.raises(InvalidSetting, match="class_names must differ"):
        extract_features(None, {}, two, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def dataset_folder(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "img": datasets.Image(),
            "fine": datasets.ClassLabel(names=["x", "y"]),
            "id": datasets.Value("int64"),
        }
    )

    def part(count, seed):
        rows = {
            "img": [picture([seed, i]) for i in range(count)],
            "fine": [i % 2 for i in range(count)],
            "id": list(range(count)),
        }
        return datasets.Dataset.from_dict(rows, features=features)

    parts = datasets.DatasetDict({"train": part(6, 1), "test": part(4, 2)})
    parts.save_to_disk(tmp_path / "stored")
    return tmp_path / "stored"


def test_a_dataset_on_disk(tmp_path, dataset_folder, backbones):
    images = open_dataset(dataset_folder)
    assert images.class_names == ("x", "y")
    splits = images.train_and_test()
    assert np.array_equal(splits["train"].labels, [0, 1, 0, 1, 0, 1])
    expected = np.asarray(picture([2, 3]))
    assert np.array_equal(np.asarray(splits["test"].decoded(3)), expected)
    with pytest.raises(InvalidSetting, match="must have the column 'image'"):
        open_dataset(dataset_folder, image_column="image")
    with pytest.raises(InvalidSetting, match=r"'fine' .* must hold images, got ClassLabel"):
        open_dataset(dataset_folder, image_column="fine")
    with pytest.raises(UnreadableSource, match="could not be loaded"):
        open_dataset(tmp_path)
    extract_features(Backbone.load(backbones["vit"]), splits, images.class_names, tmp_path / "out")
    assert load_features(tmp_path / "out").test_x.shape == (4, 12)


@pytest.mark.parametrize("wrong", ["no labels", "no image"])
def test_rows_without_label_or_image(tmp_path, backbones, wrong):
    datasets = pytest.importorskip("datasets")
    rows = {"image": [picture(0), None, picture(1)], "label": [0, 1, 1]}
    if wrong == "no labels":
        rows["label"] = [0, 1, -1]
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y"])}
    made = datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))
    made.save_to_disk(tmp_path / "stored")
    if wrong == "no labels":
        with pytest.raises(InvalidLabels, match="leave them out"):
            open_dataset(tmp_path / "stored")
        return
    images = open_dataset(tmp_path / "stored")
    manifest = extract_features(
        Backbone.load(backbones["vit"]), images.train_and_test(), ("x", "y"), tmp_path / "out"
    )
    assert [(b.row, b.reason) for b in manifest.broken] == [
        (1, "OSError: the data set has no image in this row")
    ]


def made_up(sizes, n_classes, names=None):
    """A data set of the right size whose images nobody looks at."""

    def split(name, size):
        return ImageSplit([f"{name}/{i}" for i in range(size)], np.arange(size) % n_classes, bytes)

    names = names or tuple(f"class {k}" for k in range(n_classes))
    return Images("made up", {n: split(n, s) for n, s in sizes.items()}, names)


@pytest.mark.parametrize("name", list(RECIPES))
def test_recipes_have_the_papers_splits(name):
    rule = recipe(name)
    if rule.split == "random":
        extra = (rule.dropped[0],)
        names = tuple(f"class {k}" for k in range(rule.n_classes)) + extra
        rows = rule.train + rule.test
        labels = np.concatenate([np.arange(rows) % rule.n_classes, np.full(9, rule.n_classes)])
        whole = ImageSplit([str(i) for i in range(len(labels))], labels, bytes)
        images = Images("made up", {"train": whole}, names)
        splits, kept = rule.splits(images)
        assert kept == names[:-1]
        assert max(splits["train"].labels.max(), splits["test"].labels.max()) == rule.n_classes - 1
        taken = [int(n) for s in ("train", "test") for n in splits[s].names]
        assert sorted(taken) == list(range(rows))
    else:
        official = (rule.train, rule.test) if rule.split == "official" else (rule.test, rule.train)
        images = made_up(
            dict(zip(("train", rule.test_names[0]), official, strict=True)), rule.n_classes
        )
        splits, _ = rule.splits(images)
        assert splits["train"].names[0] == ("test/0" if rule.split == "swapped" else "train/0")
    assert (len(splits["train"]), len(splits["test"])) == (rule.train, rule.test)
    with pytest.raises(InvalidSetting, match="expects"):
        rule.splits(made_up({"train": 50, "test": 20}, 5))


def test_the_swapped_split_is_said_aloud(tmp_path, backbones, monkeypatch, capsys):
    small = dataclasses.replace(RECIPES["flowers102"], n_classes=2, train=6, test=2)
    monkeypatch.setitem(RECIPES, "flowers102", small)
    for part, count in (("train", 1), ("test", 3)):
        for name in ("a", "b"):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for i in range(count):
                picture([count, i]).save(tmp_path / "images" / part / name / f"{i}.png")
    arguments = ["--images", str(tmp_path / "images"), "--out", str(tmp_path / "out")]
    arguments += ["--backbone", str(backbones["vit"]), "--recipe", "flowers102"]
    assert main(["extract", *arguments]) == 0
    said = capsys.readouterr()
    assert "the official test split (6149 images) is trained on" in said.err
    assert "6 train rows and 2 test rows" in said.out


def test_recipes_are_those_of_the_paper():
    found = {r.name: (r.n_classes, r.train, r.test, r.split) for r in RECIPES.values()}
    assert found["flowers102"] == (102, 6149, 1020, "swapped")
    assert found["caltech101"] == (101, 6941, 1736, "random")
    assert set(found) == {
        "cifar100", "caltech256", "food101", "caltech101", "stanford-cars", "flowers102",
    }  # fmt: skip
    with pytest.raises(InvalidSetting, match="must be one of cifar100"):
        recipe("imagenet")


# ---- The command line ---------------------------------------------------------------------------


def test_from_images_to_a_check(tmp_path, backbones, image_folder, capsys):
    out = str(tmp_path / "features")
    command = ["extract", "--backbone", str(backbones["resnet"]), "--images", str(image_folder)]
    assert (
        main([*command, "--out", out, "--test-share", "0.3", "--json", str(tmp_path / "m.json")])
        == 0
    )
    said = capsys.readouterr()
    assert "14 train rows and 7 test rows, 10 features, 3 classes" in said.out
    assert "1 image could not be read and has no row" in said.err
    assert "ant/03.jpg" in said.err
    manifest = json.loads((tmp_path / "m.json").read_text())
    assert manifest["rows"] == {"train": 14, "test": 7}
    assert main(["features", "info", out]) == 0
    assert "broken       1 images" in capsys.readouterr().out
    assert main(["features", "verify", out]) == 0
    assert "whole: " in capsys.readouterr().out
    assert main(["check", out, "--rounds", "2", "--quiet", "--rate", "0.1"]) == 0
    shard = next(Path(out).glob("train*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(bytes(content))
    report = tmp_path / "v.json"
    assert main(["features", "verify", out, "--quarantine", "--json", str(report)]) == 2
    assert "damaged and moved to quarantine" in capsys.readouterr().err
    found = json.loads(report.read_text())
    assert found["whole"] is False
    assert [shard.name in problem for problem in found["problems"]] == [True]
    assert main(["check", out]) == 2
    assert main([*command, "--out", out, "--test-share", "0.3", "--quiet"]) == 0
    assert main(["features", "verify", out]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--images", "PHOTOS", "--dataset", "x"], "exclude each other"),
        ([], "images are needed"),
        (["--images", "PHOTOS", "--recipe", "cifar100"], "must have a split 'test'"),
        (["--images", "PHOTOS", "--recipe", "x"], "must be one of"),
        (["--images", "PHOTOS", "--batch-size", "0"], "--batch-size"),
        (["--images", "PHOTOS", "--label-column", "y"], "--label-column is of --dataset"),
        (["--images", "PHOTOS", "--test-share", "0.3", "--seed", "-1"], "seed must be"),
        (["--images", "PHOTOS", "--test-share", "1.5"], "test_share"),
        (["--images", "nowhere"], "was not found"),
        (["--images", "PHOTOS", "--device", "quantum"], "device 'quantum' cannot be used"),
    ],
)
def test_wrong_calls_say_what_is_wrong(tmp_path, backbones, image_folder, capsys, arguments, said):
    filled = [str(image_folder) if a == "PHOTOS" else a for a in arguments]
    code = main(
        ["extract", "--backbone", str(backbones["vit"]), "--out", str(tmp_path / "o"), *filled]
    )
    assert code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_an_output_that_cannot_be_written(tmp_path, backbones, image_folder):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        extracted(image_folder, backbones["vit"], tmp_path / "file")


# ---- A real backbone and real images -------------------------------------------------------------


@pytest.mark.data
def test_the_real_backbone_gives_the_cached_features_of_the_same_images(tmp_path, data_folder):
    """Rows are matched by the authors' split of the whole data set, so that is shown as well."""
    model, photos = data_folder / "mobilenetv2_hf", data_folder / "caltech101_mini"
    cached_file = data_folder / "caltech101_mobilenetv2.npz"
    if not (model.is_dir() and photos.is_dir() and cached_file.is_file()):
        pytest.skip("the real backbone, its images or their cached features are not at hand")
    for folder in sorted(photos.iterdir()):
        (tmp_path / "photos" / folder.name).mkdir(parents=True)
        for image in sorted(folder.iterdir())[:2]:
            (tmp_path / "photos" / folder.name / image.name).symlink_to(image)
    cached = load_features(cached_file)
    sizes = cached.class_counts + np.bincount(cached.test_labels, minlength=cached.n_classes)
    first_of_class = np.cumsum(sizes) - sizes
    train, test = random_split(int(sizes.sum()), 0.2, 42)
    whole = np.empty((sizes.sum(), cached.n_features), cached.x.dtype)
    whole[train], whole[test] = cached.x, cached.test_x

    command = ["extract", "--backbone", str(model), "--images", str(tmp_path / "photos")]
    assert main([*command, "--dtype", "float16", "--out", str(tmp_path / "out"), "--quiet"]) == 0
    found = load_features(tmp_path / "out")
    names = open_image_folder(tmp_path / "photos").train_and_test()["train"].names
    rows = [
        first_of_class[cached.class_names.index(name.split("/")[0])] + int(name[-8:-4]) - 1
        for name in names
    ]
    assert len(rows) == found.n_samples == 40
    difference = found.x.astype(np.float64) - whole[rows]
    # One step of float16 at the largest values; the cached ones were computed by another program.
    assert np.abs(difference).max() <= np.spacing(np.abs(whole[rows]).max())
    # Both are rounded to float16.
    size = np.linalg.norm(whole[rows].astype(np.float64))
    assert np.linalg.norm(difference) <= 2 * 2.0**-11 * size
    # No other of the 8677 cached rows is nearer: the rows show themselves whose they are.
    x, y = found.x.astype(np.float64), whole.astype(np.float64)
    assert np.array_equal(np.argmin((y**2).sum(axis=1) - 2 * x @ y.T, axis=1), rows)
    assert np.abs(found.x[0] - whole[rows[1]]).max() > 1.0  # planted: another image is far away
    assert main(["check", str(tmp_path / "out"), "--rounds", "2", "--unit-norm", "--quiet"]) == 0


@pytest.mark.data
def test_the_truncated_image_is_named(tmp_path, data_folder):
    broken = data_folder / "broken_images"
    if not broken.is_dir():
        pytest.skip("no broken images at hand")
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "good.jpg").symlink_to(broken / "good.jpg")
    (tmp_path / "photos" / "b" / "truncated.jpg").symlink_to(broken / "truncated.jpg")
    split = open_image_folder(tmp_path / "photos").train_and_test()["train"]
    split.decoded(0)
    with pytest.raises(OSError, match=r"(?i)truncated"):
        split.decoded(2)
