"""``gramlab extract``: images through a frozen backbone into a folder of features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gramlab.cli import options, text
from gramlab.cli.output import Output, expanded
from gramlab.errors import InvalidSetting

if TYPE_CHECKING:
    from gramlab.extract import Images, ImageSplit, Recipe

__all__ = ["EXAMPLES", "extract"]

EXAMPLES = (
    "gramlab extract --backbone microsoft/resnet-34 --images photos --out feats",
    "gramlab extract --backbone ./vit --dataset cifar100-on-disk --recipe cifar100 --out features",
)

_BACKBONE = "Hub name or local folder of anything AutoModel loads."
_IMAGES = "Folder with one folder of images per class, perhaps under train and test."
_DATASET = "Data set of the datasets library: a folder by save_to_disk, or a hub name."
_RECIPE = """Splits of the paper: cifar100, caltech256, food101, caltech101, stanford-cars,
flowers102."""
_TEST_SHARE = "Hold out this share of the images as test rows, where there are none."
_PREPROCESSING = "The model's own, or the paper's 224x224 resize."


def extract(
    backbone: Annotated[str, typer.Option(metavar="NAME", help=_BACKBONE)],
    out: Annotated[str, options.out("Folder for the features.")],
    images: Annotated[str | None, typer.Option(metavar="DIR", help=_IMAGES)] = None,
    dataset: Annotated[str | None, typer.Option(metavar="NAME", help=_DATASET)] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help=" ".join(_RECIPE.split()))
    ] = None,
    test_share: Annotated[float | None, typer.Option(help=_TEST_SHARE)] = None,
    seed: Annotated[int, typer.Option(help="Seed of --test-share.")] = 42,
    preprocessing: Annotated[
        Literal["model", "paper"], typer.Option(help=_PREPROCESSING)
    ] = "model",
    pooling: Annotated[
        Literal["auto", "pooler", "cls", "mean"],
        typer.Option(help="What of the output is the feature."),
    ] = "auto",
    precision: Annotated[
        Literal["float32", "float16", "bfloat16"], typer.Option(help="Of the forward pass.")
    ] = "float32",
    dtype: Annotated[
        Literal["float32", "float16"], typer.Option(help="Of the stored features.")
    ] = "float32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …; default the fastest.")] = None,
    batch_size: Annotated[int, options.at_least(1, "Images of a pass.")] = 32,
    shard_rows: Annotated[
        int, options.at_least(1, "Images of a shard, the unit of resuming.")
    ] = 1024,
    image_column: Annotated[str | None, typer.Option(help="Of --dataset.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Of --dataset.")] = None,
    strict: Annotated[
        bool, options.flag("--strict", "Stop at the first image that cannot be read.")
    ] = False,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Images to cached features, resumable.

    Compute features of labelled images with a frozen backbone and write them to a folder, shard
    by shard. Stopped at any moment, the same command goes on at the first missing shard and
    writes what it would have written. Needs the extra: pip install "gramlab[extract]".
    """
    from gramlab.extract import Backbone, extract_features
    from gramlab.extract import recipe as recipe_of

    chosen = None if recipe is None else recipe_of(recipe)
    with Output(json, quiet=quiet, unit="images") as output:
        progress = output.progress
        progress.stage("opening the images")
        found = _opened(images, dataset, chosen, image_column, label_column)
        splits, names = _split(found, chosen, test_share, seed)
        if chosen is not None and chosen.note and not quiet:
            text.say(f"note: recipe {chosen.name}: {chosen.note}")
        progress.stage("loading the backbone")
        model = Backbone.load(
            backbone,
            preprocessing=preprocessing,
            pooling=pooling,
            precision=precision,
            device=device,
        )
        manifest = extract_features(
            model,
            splits,
            names,
            expanded(out),
            source=found.source,
            batch_size=batch_size,
            shard_rows=shard_rows,
            dtype=dtype,
            strict=strict,
            on_stage=progress.stage,
            on_images=progress.advance,
        )
        output.keep(manifest.as_dict())
    broken = manifest.broken
    if broken:
        named = ", ".join(f"{entry.name} ({entry.reason})" for entry in broken[:5])
        rest = f" and {len(broken) - 5} more" if len(broken) > 5 else ""
        images_have = "image could not be read and has"
        if len(broken) > 1:
            images_have = "images could not be read and have"
        text.say(
            f"warning: {len(broken)} {images_have} no row: {named}{rest}; all are listed in "
            "manifest.json"
        )
    output.show("extract", manifest=manifest, plan=manifest.plan, out=out, folder=Path(out))


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
