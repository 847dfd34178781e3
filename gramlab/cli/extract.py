"""``gramlab extract``: images through a frozen backbone into a folder of features."""

from __future__ import annotations

import os
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab import validation
from gramlab.cli import options, terminal
from gramlab.cli.counting import Counting
from gramlab.cli.output import json_path, made_folder
from gramlab.errors import InvalidSetting
from gramlab.storage import atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.extract import Images, ImageSplit, Recipe
    from gramlab.folder import Manifest

__all__ = ["EPILOG", "EXAMPLE", "HELP", "SHORT_HELP", "extract"]

HELP = """Compute features of labelled images with a frozen backbone and write them to a folder,
shard by shard. Stopped at any moment, the same command goes on at the first missing shard and
writes what it would have written. Needs the extra: pip install "gramlab[extract]"."""

SHORT_HELP = "Images to cached features, resumable."

EXAMPLE = "gramlab extract --backbone microsoft/resnet-34 --images photos --out feats"

EPILOG = f"""\b
Examples:
  {EXAMPLE}
  gramlab extract --backbone ./vit --dataset cifar100-on-disk --recipe cifar100 --out features
"""

_SHOWN = 5  # broken images named on the terminal; the manifest names all


class Pooling(StrEnum):
    """What of the backbone's output is the feature."""

    AUTO = "auto"
    POOLER = "pooler"
    CLS = "cls"
    MEAN = "mean"


class Preprocessing(StrEnum):
    """How images get into the backbone."""

    MODEL = "model"
    PAPER = "paper"


class Precision(StrEnum):
    """Of the forward pass."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class Stored(StrEnum):
    """Of the features in the folder."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


def extract(
    backbone: Annotated[
        str,
        typer.Option(
            "--backbone",
            metavar="NAME",
            show_default=False,
            help="Hub name or local folder of anything AutoModel loads.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option("--out", metavar="DIR", show_default=False, help="Folder for the features."),
    ],
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="DIR",
            show_default=False,
            help="Folder with one folder of images per class, perhaps under train and test.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            show_default=False,
            help="Data set of the datasets library: a folder by save_to_disk, or a hub name.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            show_default=False,
            help="Splits of the paper: cifar100, caltech256, food101, caltech101, stanford-cars, "
            "flowers102.",
        ),
    ] = None,
    test_share: Annotated[
        float | None,
        typer.Option(
            "--test-share",
            show_default=False,
            help="Hold out this share of the images as test rows, where there are none.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of --test-share.")] = 42,
    preprocessing: Annotated[
        Preprocessing,
        typer.Option("--preprocessing", help="The model's own, or the paper's 224x224 resize."),
    ] = Preprocessing.MODEL,
    pooling: Annotated[
        Pooling, typer.Option("--pooling", help="What of the output is the feature.")
    ] = Pooling.AUTO,
    precision: Annotated[
        Precision, typer.Option("--precision", help="Of the forward pass.")
    ] = Precision.FLOAT32,
    dtype: Annotated[
        Stored, typer.Option("--dtype", help="Of the stored features.")
    ] = Stored.FLOAT32,
    device: Annotated[
        str | None,
        typer.Option("--device", show_default=False, help="cpu, cuda, …; default the fastest."),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images of a pass.")] = 32,
    shard_rows: Annotated[
        int, typer.Option("--shard-rows", help="Images of a shard, the unit of resuming.")
    ] = 1024,
    image_column: Annotated[
        str | None, typer.Option("--image-column", show_default=False, help="Of --dataset.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option("--label-column", show_default=False, help="Of --dataset.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first image that cannot be read.")
    ] = False,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab extract``: settings first, then the images, then the model, then the work."""
    validation.check_integer("--batch-size", batch_size, 1)
    validation.check_integer("--shard-rows", shard_rows, 1)
    from gramlab.extract import Backbone, extract_features
    from gramlab.extract import recipe as recipe_of

    chosen = None if recipe is None else recipe_of(recipe)
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        bar = stack.enter_context(Counting("images", quiet=quiet))
        bar.stage("opening the images")
        found = _opened(images, dataset, chosen, image_column, label_column)
        splits, names = _split(found, chosen, test_share, seed)
        if chosen is not None and chosen.note and not quiet:
            terminal.say(f"note: recipe {chosen.name}: {chosen.note}")
        bar.stage("loading the backbone")
        model = Backbone.load(
            backbone,
            preprocessing=preprocessing.value,
            pooling=pooling.value,
            precision=precision.value,
            device=device,
        )
        manifest = extract_features(
            model,
            splits,
            names,
            os.path.expanduser(out),
            source=found.source,
            batch_size=batch_size,
            shard_rows=shard_rows,
            dtype=dtype.value,
            strict=strict,
            on_stage=bar.stage,
            on_images=bar.advance,
        )
        text = to_json(manifest.as_dict())
        if file is not None:
            atomic_write(file, text)
    if manifest.broken:
        terminal.say(f"warning: {_broken_words(manifest)}")
    if json == "-":
        terminal.emit(text)
    elif not quiet:
        terminal.emit(_summary(manifest, out))


def _opened(
    images: str | None,
    dataset: str | None,
    recipe: Recipe | None,
    image_column: str | None,
    label_column: str | None,
) -> Images:
    from gramlab.extract import open_dataset, open_image_folder

    if images is not None and dataset is not None:
        raise InvalidSetting("--images and --dataset exclude each other; give one of them")
    if images is not None:
        for option, column in (("--image-column", image_column), ("--label-column", label_column)):
            if column is not None:
                raise InvalidSetting(f"{option} is of --dataset; leave it out with --images")
        return open_image_folder(images)
    name = dataset or (None if recipe is None else recipe.hub)
    if name is None:
        raise InvalidSetting("images are needed; give --images DIR or --dataset NAME")
    column = label_column or (None if recipe is None else recipe.label_column)
    return open_dataset(name, image_column=image_column, label_column=column)


def _split(
    found: Images, recipe: Recipe | None, test_share: float | None, seed: int
) -> tuple[dict[str, ImageSplit], tuple[str, ...]]:
    from gramlab.extract import random_split

    if recipe is not None:
        if test_share is not None:
            raise InvalidSetting("--recipe brings its own split; leave --test-share out")
        return recipe.splits(found)
    splits = found.train_and_test()
    if test_share is not None:
        if "test" in splits:
            raise InvalidSetting(
                f"{found.source!r} brings its own test split; leave --test-share out"
            )
        whole = splits["train"]
        train, test = random_split(len(whole), test_share, seed)
        splits = {"train": whole.taken(train), "test": whole.taken(test)}
    return splits, found.class_names


def _broken_words(manifest: Manifest) -> str:
    named = ", ".join(f"{entry.name} ({entry.reason})" for entry in manifest.broken[:_SHOWN])
    more = len(manifest.broken) - _SHOWN
    rest = f" and {more} more" if more > 0 else ""
    count = len(manifest.broken)
    plural = (
        "image could not be read and has" if count == 1 else "images could not be read and have"
    )
    return f"{count} {plural} no row: {named}{rest}; all are listed in manifest.json"


def _summary(manifest: Manifest, out: str) -> str:
    plan: dict[str, Any] = manifest.plan
    rows = " and ".join(f"{manifest.rows(split)} {split} rows" for split in plan["splits"])
    backbone = plan["backbone"]
    return (
        f"{rows}, {manifest.n_features} features, {len(plan['class_names'])} classes in "
        f"{Path(out)}\n"
        f"backbone {backbone['name']} ({backbone['class']}, weights {backbone['weights'][:12]}), "
        f"{plan['preprocessing']['name']} preprocessing, {plan['pooling']} pooling\n"
        f"next: gramlab check {out}\n"
    )
