"""``gramlab extract``: images through a frozen backbone into a folder of features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Context

from gramlab.cli import options, text
from gramlab.cli.options import at_least, option
from gramlab.cli.output import expanded, given, running
from gramlab.errors import InvalidSetting

EXAMPLES = (
    "gramlab extract --backbone microsoft/resnet-34 --images photos --out feats",
    "gramlab extract --backbone ./vit --dataset cifar100-on-disk --recipe cifar100 --out features",
)

_BACKBONE = option("Hub name or local folder of anything AutoModel loads.", metavar="NAME")
_IMAGES = "Folder with one folder of images per class, perhaps under train and test."
_DATASET = "Data set of the datasets library: a folder by save_to_disk, or a hub name."
_RECIPE = """Splits of the paper: cifar100, caltech256, food101, caltech101, stanford-cars,
flowers102."""
_TEST_SHARE = "Hold out this share of the images as test rows, where there are none."
_PREPROCESSING = "The model's own, or the paper's 224x224 resize."
_SHARD_ROWS = "Images of a shard, the unit of resuming."
_STRICT = option("Stop at the first image that cannot be read.", "--strict")

Preprocessing = Literal["model", "paper"]
Pooling = Literal["auto", "pooler", "cls", "mean"]
Precision = Literal["float32", "float16", "bfloat16"]
Stored = Literal["float32", "float16"]


def extract(
    context: Context,
    backbone: Annotated[str, _BACKBONE],
    out: Annotated[str, option("Folder for the features.", metavar="DIR")],
    images: Annotated[str | None, option(_IMAGES, metavar="DIR")] = None,
    dataset: Annotated[str | None, option(_DATASET, metavar="NAME")] = None,
    recipe: Annotated[str | None, option(_RECIPE, metavar="NAME")] = None,
    test_share: Annotated[float | None, option(_TEST_SHARE)] = None,
    seed: Annotated[int, option("Seed of --test-share.")] = 42,
    preprocessing: Annotated[Preprocessing, option(_PREPROCESSING)] = "model",
    pooling: Annotated[Pooling, option("What of the output is the feature.")] = "auto",
    precision: Annotated[Precision, option("Of the forward pass.")] = "float32",
    dtype: Annotated[Stored, option("Of the stored features.")] = "float32",
    device: Annotated[str | None, option("cpu, cuda, …; default the fastest.")] = None,
    batch_size: Annotated[int, at_least(1, "Images of a pass.")] = 32,
    shard_rows: Annotated[int, at_least(1, _SHARD_ROWS)] = 1024,
    image_column: Annotated[str | None, option("Of --dataset.")] = None,
    label_column: Annotated[str | None, option("Of --dataset.")] = None,
    strict: Annotated[bool, _STRICT] = False,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Images to cached features, resumable.

    Compute features of labelled images with a frozen backbone and write them to a folder, shard
    by shard. Stopped at any moment, the same command goes on at the first missing shard and
    writes what it would have written. Needs the extra: pip install ".[extract]".
    """
    from gramlab.extract import (
        Backbone,
        extract_features,
        open_dataset,
        open_image_folder,
        random_split,
    )
    from gramlab.extract import recipe as recipe_of

    chosen = None if recipe is None else recipe_of(recipe)
    with running(context, unit="images") as output:
        progress = output.progress
        progress.stage("opening the images")
        if images is not None and dataset is not None:
            raise InvalidSetting("--images and --dataset exclude each other; give one of them")
        if images is not None:
            for name in ("image_column", "label_column"):
                if context.params[name] is not None:
                    given_as = f"--{name.replace('_', '-')}"
                    raise InvalidSetting(f"{given_as} is of --dataset; leave it out with --images")
            found = open_image_folder(images)
        else:
            name = dataset or (chosen and chosen.hub)
            if name is None:
                raise InvalidSetting("images are needed; give --images DIR or --dataset NAME")
            column = label_column or (chosen and chosen.label_column)
            found = open_dataset(name, image_column=image_column, label_column=column)
        if chosen is not None:
            if test_share is not None:
                raise InvalidSetting("--recipe brings its own split; leave --test-share out")
            splits, names = chosen.splits(found)
            if chosen.note and not quiet:
                text.say(f"note: recipe {chosen.name}: {chosen.note}")
        else:
            splits, names = found.train_and_test(), found.class_names
            if test_share is not None and "test" in splits:
                raise InvalidSetting(
                    f"{found.source!r} brings its own test split; leave --test-share out"
                )
            if test_share is not None:
                whole = splits["train"]
                train, test = random_split(len(whole), test_share, seed)
                splits = {"train": whole.taken(train), "test": whole.taken(test)}
        progress.stage("loading the backbone")
        model = Backbone.load(backbone, **given(context, Backbone.load))
        if pooling == "auto" and model.untrained and not quiet:
            text.say(
                f"note: --pooling auto is {model.pooling}; the checkpoint lacks "
                f"{text.several(model.untrained)}, on which these features do not depend"
            )
        asked = given(context, extract_features) | {"backbone": model, "out": expanded(out)}
        asked |= {"splits": splits, "class_names": names, "source": found.source}
        asked |= {"on_stage": progress.stage, "on_images": progress.advance}
        manifest = extract_features(**asked)
        output.keep(manifest.as_dict())
    broken = manifest.broken
    if broken:
        named = text.several([f"{entry.name} ({entry.reason})" for entry in broken])
        have = "has" if len(broken) == 1 else "have"
        text.say(
            f"warning: {text.counted(len(broken), 'image')} could not be read and {have} no row: "
            f"{named}; all are listed in manifest.json"
        )
    untrained = text.several(manifest.plan["backbone"]["untrained"])
    told = {"manifest": manifest, "plan": manifest.plan, "untrained": untrained}
    output.show("extract", out=out, folder=Path(out), **told)
