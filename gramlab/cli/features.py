"""``gramlab features info|verify|import``: look at cached features, check them, bring your own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gramlab.cli import options, text
from gramlab.cli.output import Output, expanded, made_folder
from gramlab.errors import InvalidSetting, UnreadableSource

if TYPE_CHECKING:
    from gramlab.features import Features

__all__ = ["EXAMPLES", "app"]

EXAMPLES = ("gramlab features info photos-features",)

_VERIFY = "gramlab features verify photos-features --quarantine"
_IMPORT = "gramlab features import embeddings.npy --labels y.txt --out mine.safetensors"
_QUARANTINE = """Move damaged shards of a feature folder aside; gramlab extract then makes them
again."""
_LABELS = "Labels, where FILE has none: .npy, or text with one per line."

app = typer.Typer(
    name="features",
    help="Look at cached features, check every byte of them, and import those of other tools.",
    short_help="Cached features: info, verify, import.",
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\nExamples:\n  {EXAMPLES[0]}\n  {_IMPORT}",
)


@app.callback()
def features(context: typer.Context) -> None:
    """Show the help where no verb is given."""
    if context.invoked_subcommand is None:
        text.emit(context.get_help() + "\n")


@app.command(epilog=f"\b\nExample:\n  {EXAMPLES[0]}")
def info(
    source: options.Source,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Say what SOURCE holds and where it comes from."""
    from gramlab.features.inspection import describe_features

    with Output(json, quiet=quiet) as output:
        found = describe_features(output.load(source))
        output.keep(found)
    output.show("info", found=found, extraction=_of_images(found["provenance"]))


@app.command(epilog=f"\b\nExample:\n  {_VERIFY}")
def verify(
    source: options.Source,
    quarantine: Annotated[
        bool, options.flag("--quarantine", " ".join(_QUARANTINE.split()))
    ] = False,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Hold every byte of SOURCE against its checksums.

    The exit code is 2 if something is damaged.
    """
    from gramlab.files.shards import is_feature_folder, read_manifest
    from gramlab.files.writer import quarantine_damage

    with Output(json, quiet=quiet) as output:
        found: dict[str, Any] = {"source": Path(source).name, "whole": True, "problems": []}
        folder, manifest, whole = expanded(source), None, None
        if is_feature_folder(folder):  # shard by shard: it may be larger than memory
            problems = quarantine_damage(folder, move=quarantine)
            manifest = read_manifest(folder)
            found |= {"whole": not problems, "problems": problems}
            found["shards"] = len(manifest.shards)
        elif quarantine:
            raise InvalidSetting(
                f"--quarantine is for feature folders, got {source!r}; leave it out"
            )
        else:
            whole = output.load(source)
            found["fingerprint"] = whole.fingerprint
        output.keep(found)
    output.show("verify", found=found, features=whole, manifest=manifest)
    for problem in found["problems"]:
        text.say(problem)
    if found["problems"]:
        moved = " and moved to quarantine" if quarantine else ""
        raise UnreadableSource(
            f"{len(found['problems'])} shards of {source!r} are damaged{moved}; run the command "
            "that made the folder again, it makes what is missing"
        )


@app.command("import", epilog=f"\b\nExample:\n  {_IMPORT}")
def import_(
    path: Annotated[str, typer.Argument(metavar="FILE", help="What to read.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="A path ending in .safetensors.")],
    labels: Annotated[str | None, typer.Option(metavar="FILE", help=_LABELS)] = None,
    features_column: Annotated[str | None, typer.Option(help="Of Parquet or a mapping.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Of Parquet or a mapping.")] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Turn features of another tool into gramlab's own file.

    The file is verified whenever it is read. Accepts .npz, .npy, .parquet, .pt, .pth (tensors only)
    and feature folders; nothing is ever unpickled.
    """
    from gramlab.features.inspection import describe_features
    from gramlab.files.tensors import save_features
    from gramlab.importing import import_features

    target = expanded(out)
    columns = {"features_column": features_column, "label_column": label_column}
    with Output(json, quiet=quiet) as output:
        with made_folder(target.parent):
            imported: Features = import_features(path, labels=labels, **columns)
            save_features(imported, target)
        output.keep(describe_features(imported))
    output.show("import", features=imported, target=target, out=out)


def _of_images(provenance: dict[str, Any]) -> dict[str, Any] | None:
    """What ``gramlab extract`` notes of where features come from; other writers note others."""
    extraction: Any = provenance.get("extraction")
    try:
        backbone = extraction["backbone"]
        parts = [extraction["preprocessing"]["name"], extraction["data"]["source"]]
        parts += [backbone["name"], backbone["class"], backbone["weights"]]
        parts += [extraction["pooling"], extraction["precision"], *extraction["versions"]]
        parts += extraction["versions"].values()
    except (KeyError, TypeError, AttributeError):
        return None
    return extraction if all(isinstance(part, str) for part in parts) else None
