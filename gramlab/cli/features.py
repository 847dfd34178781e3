"""``gramlab features info|verify|import``: look at cached features, check them, bring your own."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from gramlab.cli import options, terminal
from gramlab.cli.output import json_path, made_folder
from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.storage import atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.features import Features

__all__ = ["EXAMPLE", "HELP", "SHORT_HELP", "app"]

HELP = "Look at cached features, check every byte of them, and import those of other tools."

SHORT_HELP = "Cached features: info, verify, import."

EXAMPLE = "gramlab features info photos-features"

_IMPORT_EXAMPLE = "gramlab features import embeddings.npy --labels y.txt --out mine.safetensors"
_SHOWN_CLASSES = 8

app = typer.Typer(
    name="features",
    help=HELP,
    short_help=SHORT_HELP,
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\nExamples:\n  {EXAMPLE}\n  {_IMPORT_EXAMPLE}",
)


@app.callback()
def features(context: typer.Context) -> None:
    """Show the help where no verb is given."""
    if context.invoked_subcommand is None:
        terminal.emit(context.get_help() + "\n")


@app.command(
    "info",
    help="Say what SOURCE holds and where it comes from.",
    epilog=f"\b\nExample:\n  {EXAMPLE}",
)
def info(
    source: options.Source,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab features info``."""
    from gramlab.sources import load_features

    def work() -> tuple[dict[str, Any], str]:
        found = _described(load_features(source))
        return found, _info_words(found)

    _report(work, json, quiet)


@app.command(
    "verify",
    help="Read SOURCE whole and hold every byte against its checksums; the exit code is 2 if "
    "something is damaged.",
    short_help="Hold every byte of SOURCE against its checksums.",
    epilog="\b\nExample:\n  gramlab features verify photos-features --quarantine",
)
def verify(
    source: options.Source,
    quarantine: Annotated[
        bool,
        typer.Option(
            "--quarantine",
            help="Move damaged shards of a feature folder aside; gramlab extract then makes them "
            "again.",
        ),
    ] = False,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab features verify``."""
    from gramlab.folder import is_feature_folder, quarantine_damage, read_manifest
    from gramlab.sources import load_features

    problems: list[str] = []

    def work() -> tuple[dict[str, Any], str]:
        found: dict[str, Any] = {"source": Path(source).name, "whole": True, "problems": problems}
        folder = os.path.expanduser(source)
        if not is_feature_folder(folder):
            if quarantine:
                raise InvalidSetting(
                    f"--quarantine is for feature folders, got {source!r}; leave it out"
                )
            features = load_features(source)
            found["fingerprint"] = features.fingerprint
            return found, f"{features!r}\nwhole: {features.fingerprint}\n"
        # Shard by shard: a folder may be larger than memory.
        problems.extend(quarantine_damage(folder, move=quarantine))
        manifest = read_manifest(folder)
        found |= {"whole": not problems, "shards": len(manifest.shards)}
        rows = " and ".join(f"{manifest.rows(split)} {split}" for split in manifest.plan["splits"])
        words = f"whole: {len(manifest.shards)} shards as the manifest has them, {rows} rows\n"
        return found, "" if problems else words

    _report(work, json, quiet)
    for problem in problems:
        terminal.say(problem)
    if problems:
        moved = " and moved to quarantine" if quarantine else ""
        raise UnreadableSource(
            f"{len(problems)} shards of {source!r} are damaged{moved}; run the command that "
            "made the folder again, it makes what is missing"
        )


@app.command(
    "import",
    help="Turn features of another tool into gramlab's own file, which is verified whenever it is "
    "read. Accepts .npz, .npy, .parquet, .pt, .pth (tensors only) and feature folders; nothing is "
    "ever unpickled.",
    short_help="Turn features of another tool into gramlab's own file.",
    epilog=f"\b\nExample:\n  {_IMPORT_EXAMPLE}",
)
def import_(
    path: Annotated[str, typer.Argument(metavar="FILE", show_default=False, help="What to read.")],
    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="FILE", show_default=False, help="A path ending in .safetensors."
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            show_default=False,
            help="Labels, where FILE has none: .npy, or text with one per line.",
        ),
    ] = None,
    features_column: Annotated[
        str | None,
        typer.Option("--features-column", show_default=False, help="Of Parquet or a mapping."),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option("--label-column", show_default=False, help="Of Parquet or a mapping."),
    ] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab features import``."""
    from gramlab.cache import save_features
    from gramlab.importing import import_features

    target = Path(os.path.expanduser(out))

    def work() -> tuple[dict[str, Any], str]:
        with made_folder(target.parent):
            features = import_features(
                path, labels=labels, features_column=features_column, label_column=label_column
            )
            save_features(features, target)
        words = f"{features!r}\nwrote {target}\nnext: gramlab check {out}\n"
        return _described(features), words

    _report(work, json, quiet)


def _report(work: Callable[[], tuple[dict[str, Any], str]], json: str | None, quiet: bool) -> None:
    """Do the work; what it found goes to the JSON file, its words to the terminal."""
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        found, words = work()
        text = to_json(found)
        if file is not None:
            atomic_write(file, text)
    if json == "-":
        terminal.emit(text)
    elif not quiet:
        terminal.emit(words)


def _described(features: Features) -> dict[str, Any]:
    return {
        "source": features.provenance["source"],
        "n_samples": features.n_samples,
        "n_features": features.n_features,
        "n_classes": features.n_classes,
        "n_test": 0 if features.test_x is None else len(features.test_x),
        "dtype": str(features.x.dtype),
        "bytes": features.x.nbytes,
        "class_names": list(features.class_names),
        "class_counts": features.class_counts,
        "superclasses": features.superclasses,
        "norms": _norms(features),
        "fingerprint": features.fingerprint,
        "provenance": features.provenance,
    }


def _norms(features: Features) -> dict[str, float]:
    norms = np.concatenate([np.linalg.norm(b, axis=1) for _, b in features.blocks()])
    return {"min": norms.min(), "mean": norms.mean(), "max": norms.max()}


def _is_of_images(extraction: Any) -> bool:
    """Whether this is what ``gramlab extract`` notes; other writers note other things."""
    try:
        parts = (extraction["preprocessing"]["name"], extraction["data"]["source"])
        backbone = extraction["backbone"]
        parts += (backbone["name"], backbone["class"], backbone["weights"])
        parts += (extraction["pooling"], extraction["precision"], *extraction["versions"].items())
    except (KeyError, TypeError, AttributeError):
        return False
    return all(isinstance(part, (str, tuple)) for part in parts)


def _info_words(found: dict[str, Any]) -> str:
    counts, names = found["class_counts"], found["class_names"]
    shown = ", ".join(f"{names[k]} {counts[k]}" for k in range(min(len(names), _SHOWN_CLASSES)))
    more = f", and {len(names) - _SHOWN_CLASSES} more" if len(names) > _SHOWN_CLASSES else ""
    norms = found["norms"]
    lines = [
        f"source       {found['source']}",
        f"rows         {found['n_samples']} train, {found['n_test']} test",
        f"features     {found['n_features']}, {found['dtype']}, "
        f"norms {norms['min']:.3g} to {norms['max']:.3g}, mean {norms['mean']:.3g}",
        f"classes      {found['n_classes']}, {counts.min()} to {counts.max()} rows: {shown}{more}",
    ]
    extraction = found["provenance"].get("extraction")
    if _is_of_images(extraction):
        backbone = extraction["backbone"]
        versions = ", ".join(f"{name} {v}" for name, v in extraction["versions"].items())
        lines += [
            f"backbone     {backbone['name']} ({backbone['class']}), weights "
            f"{backbone['weights'][:16]}",
            f"images       {extraction['data']['source']}, {extraction['preprocessing']['name']} "
            f"preprocessing, {extraction['pooling']} pooling, {extraction['precision']}",
            f"broken       {found['provenance'].get('broken', 0)} images without a row",
            f"versions     {versions}",
        ]
    lines.append(f"fingerprint  {found['fingerprint']}")
    return "\n".join(lines) + "\n"
