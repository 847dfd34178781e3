r"""Real images through a real backbone: rate, agreement with cached features, and a check on both.

    python examples/extraction.py --backbone mobilenetv2_hf --images caltech101_mini \
        --cached caltech101_mobilenetv2.npz --out docs/generated

The images are some of those whose features the cached file holds, computed by another program.
Which cached row belongs to which image follows from the authors' split of the whole data set, and
is then shown by the rows themselves: the nearest of all cached rows is the image's own. At last
the theory and the exact heads run on both, with the same labels corrupted. Writes extraction.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

import gramlab
from gramlab.check import CheckSettings, run_check
from gramlab.extract import Backbone, extract_features, open_image_folder, random_split
from gramlab.files.whole import atomic_write, output_folder

SETTINGS = CheckSettings(rate=0.4, weight_decay=1e-4, rounds=3)
SPLIT = {"test_share": 0.2, "seed": 42}


def extracted(backbone: Backbone, photos: Path, out: Path) -> tuple[dict, float]:
    """Names of the rows that were computed, by split, and images per second of computing."""
    images = open_image_folder(photos)
    whole = images.train_and_test()["train"]
    train, test = random_split(len(whole), **SPLIT)
    splits = {"train": whole.taken(train), "test": whole.taken(test)}
    started = count = 0.0

    def stage(name: str, total: int) -> None:
        nonlocal started, count
        if name == "computing features":
            started, count = time.perf_counter(), float(total)

    extract_features(backbone, splits, images.class_names, out, source="photos", on_stage=stage)
    rate = count / (time.perf_counter() - started)
    return {name: split.names for name, split in splits.items()}, rate


def whole_data_set(cached: gramlab.Features) -> tuple[np.ndarray, np.ndarray]:
    """All cached rows in the order of the images' paths, and the first row of each class."""
    assert cached.test_x is not None
    assert cached.test_labels is not None
    sizes = cached.class_counts + np.bincount(cached.test_labels, minlength=cached.n_classes)
    train, test = random_split(int(sizes.sum()), **SPLIT)
    rows = np.empty((sizes.sum(), cached.n_features), cached.x.dtype)
    labels = np.empty(len(rows), np.int64)
    rows[train], rows[test] = cached.x, cached.test_x
    labels[train], labels[test] = cached.labels, cached.test_labels
    assert (np.diff(labels) >= 0).all()  # the split is the authors': the classes come out sorted
    return rows, np.cumsum(sizes) - sizes


def nearest(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Nearest of ``rows`` for every row of x."""
    x, rows = x.astype(np.float64), rows.astype(np.float64)
    return np.argmin((rows**2).sum(axis=1) - 2.0 * x @ rows.T, axis=1)


def agreement(x: np.ndarray, rows: np.ndarray, own: np.ndarray) -> list[tuple[str, str]]:
    """How the extracted rows compare with the cached ones of the same images."""
    theirs = rows[own].astype(np.float64)
    difference = np.abs(x - theirs)
    step = np.spacing(rows[own]).astype(np.float64)
    half = x.astype(np.float16)
    found = int((nearest(x, rows) == own).sum())
    relative = np.linalg.norm(difference) / np.linalg.norm(theirs)
    assert found == len(own), "an image is nearer to the cached row of another one"
    # Rounding to float16 is half a step at most; the rest is float32 in another program.
    assert relative <= 2.0**-11
    return [
        ("images", f"{len(x)}"),
        ("nearest of all cached rows is the image's own", f"{found} of {len(own)}"),
        ("largest difference", f"{difference.max():.2g} (values up to {theirs.max():.2g})"),
        ("relative difference, L2", f"{relative:.1e}"),
        ("rounded to float16: equal bits", f"{100 * np.mean(half == rows[own]):.2f} %"),
        (
            "rounded to float16: within one step",
            f"{100 * np.mean(np.abs(half - theirs) <= step):.2f} %",
        ),
    ]


def checked(features: gramlab.Features) -> list[tuple[float, ...]]:
    """Recovery and test accuracy by round, closed form and exact."""
    result = run_check(features.centered().unit_norm(), SETTINGS).as_dict()
    return [
        tuple(
            row[head][what]
            for what in ("label_recovery", "test_accuracy")
            for head in ("linearized", "exact")
        )
        for row in result["rounds"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("backbone", "images", "cached"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--out", default="out/extraction")
    options = parser.parse_args()
    folder = output_folder(options.out)
    backbone = Backbone.load(options.backbone)
    cached = gramlab.load_features(options.cached)
    with tempfile.TemporaryDirectory() as place:
        names, rate = extracted(backbone, Path(options.images), Path(place) / "features")
        found = gramlab.load_features(Path(place) / "features")
    rows, first = whole_data_set(cached)
    own = {
        split: np.array(
            [
                first[cached.class_names.index(n.split("/")[0])] + int(Path(n).stem[-4:]) - 1
                for n in own_names
            ]
        )
        for split, own_names in names.items()
    }
    assert found.test_x is not None
    table = agreement(
        np.concatenate([found.x, found.test_x]), rows, np.concatenate([own["train"], own["test"]])
    )
    same = gramlab.Features(
        rows[own["train"]],
        found.labels,
        test_x=rows[own["test"]],
        test_labels=found.test_labels,
        class_names=found.class_names,
    )
    lines = ["| extracted against cached | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in table]
    lines += [
        "",
        f"Rate: {rate:.1f} images per second, decoding, resizing and float32 forward pass together "
        f"({Path(options.backbone).name}, batches of 32, {os.cpu_count()} CPU cores).",
        "",
        f"The check on both ({SETTINGS.noise} noise, rate {SETTINGS.rate:g}, weight decay "
        f"{SETTINGS.weight_decay:g}, centred, unit norm; recovery of true training labels and test "
        "accuracy, closed form / exact):",
        "",
        "| round | extracted: recovery | test | cached: recovery | test |",
        "|---|---|---|---|---|",
    ]
    for number, (ours, theirs) in enumerate(zip(checked(found), checked(same), strict=True), 1):
        cells = [
            f"{100 * a:.1f} / {100 * b:.1f}" for v in (ours, theirs) for a, b in (v[:2], v[2:])
        ]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    atomic_write(folder / "extraction.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
