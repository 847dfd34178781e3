"""``gramlab features info|verify|import``: look at cached features, check them, bring your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gramlab.cli import options, text
from gramlab.cli.options import option
from gramlab.cli.output import expanded, given, made_folder, running
from gramlab.cli.parsing import Group, Verb
from gramlab.errors import InvalidSetting, UnreadableSource

EXAMPLES = ("gramlab features info photos-features",)

_VERIFY = "gramlab features verify photos-features --quarantine"
_IMPORT = "gramlab features import embeddings.npy --labels y.txt --out mine.safetensors"
_QUARANTINE = """Move damaged shards of a feature folder aside; gramlab extract then makes them
again."""
_OUT = "A path ending in .safetensors."

app = typer.Typer(
    name="features",
    cls=Group,
    callback=text.show_help,
    help="Look at cached features, check every byte of them, and import those of other tools.",
    short_help="Cached features: info, verify, import.",
    invoke_without_command=True,
    epilog=f"\b\nExamples:\n  {EXAMPLES[0]}\n  {_IMPORT}",
)


@app.command(cls=Verb, epilog=f"\b\nExample:\n  {EXAMPLES[0]}")
def info(
    context: typer.Context,
    source: options.Source,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Say what SOURCE holds and where it comes from."""
    from gramlab.features.inspection import describe_features

    with running(context) as output:
        found = describe_features(output.load())
        output.keep(found)
    output.show("info", found=found, origin=_of_images(found["provenance"]))


@app.command(cls=Verb, epilog=f"\b\nExample:\n  {_VERIFY}")
def verify(
    context: typer.Context,
    source: options.Source,
    quarantine: Annotated[bool, option(_QUARANTINE, "--quarantine")] = False,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Hold every byte of SOURCE against its checksums.

    The exit code is 2 if something is damaged.
    """
    from gramlab.files.shards import is_feature_folder, quarantine_damage, read_manifest

    with running(context) as output:
        found: dict[str, Any] = {"source": Path(source).name, "whole": True, "problems": []}
        folder, manifest, whole = expanded(source), None, None
        if is_feature_folder(folder):  # shard by shard: it may be larger than memory
            problems = quarantine_damage(folder, move=quarantine)
            manifest = read_manifest(folder)
            found |= {"whole": not problems, "problems": problems, "shards": len(manifest.shards)}
        elif quarantine:
            raise InvalidSetting(
                f"--quarantine is for feature folders, got {source!r}; leave it out"
            )
        else:
            whole = output.load()
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


@app.command("import", cls=Verb, epilog=f"\b\nExample:\n  {_IMPORT}")
def import_(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="FILE", help="What to read.")],
    out: Annotated[str, option(_OUT, metavar="FILE")],
    labels: options.Labels = None,
    feature_columns: options.FeatureColumns = None,
    label_column: options.LabelColumn = None,
    drop: options.Drop = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Turn features of another tool into gramlab's own file.

    The file is verified whenever it is read. Accepts .npz, .npy, .parquet, .csv, .pt, .pth and .bin
    (tensors only), and feature folders; nothing is ever unpickled. What is neither a feature nor
    the label is named and decided by you.
    """
    from gramlab.features.inspection import describe_features
    from gramlab.files.tensors import save_features
    from gramlab.importing import import_features

    target = expanded(out)
    with running(context) as output:
        with made_folder(target.parent):
            imported = import_features(**given(context, import_features))
            save_features(imported, target)
        output.keep(describe_features(imported))
    output.show("import", features=imported, target=target, out=out)


def _of_images(provenance: dict[str, Any]) -> dict[str, str]:
    """What ``gramlab extract`` notes of where features come from; other writers note others."""
    origin: Any = provenance.get("extraction")
    try:
        model, source = origin["backbone"], origin["data"]["source"]
        steps = f"{origin['preprocessing']['name']} preprocessing, {origin['pooling']} pooling"
        versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
        untrained = text.several(model.get("untrained", ()))  # added in a later version
        note = f"{untrained}: not in the checkpoint, not used"
        return {
            "backbone": f"{model['name']} ({model['class']}), weights {model['weights'][:16]}",
            **({"untrained": note} if untrained else {}),
            "images": f"{source}, {steps}, {origin['precision']}",
            "broken": f"{provenance.get('broken', 0)} images without a row",
            "versions": versions,
        }
    except (KeyError, TypeError, AttributeError):
        return {}
