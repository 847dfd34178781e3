r"""How block-like real features are: the numbers and pictures of docs/correlations.md.

    python examples/correlations.py GROCERY.npz CALTECH101.npz CIFAR10.npz \
        --out docs/generated --images docs/images

For each source, centred and with rows of unit norm: c, d, e with standard deviations, superclasses
by both methods and at several cuts, the closest pairs of classes, principal angles, the gap after
K, and the distance to the nearest block model. Writes correlations.md, and with --images the heat
maps and the angles.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gramlab
from gramlab.features import Features
from gramlab.figures import AnglesDisplay, CorrelationDisplay
from gramlab.files.whole import atomic_write, output_folder
from gramlab.population.block_fit import fit_block_model
from gramlab.spectrum.correlations import class_subspace_angles
from gramlab.spectrum.superclasses import (
    METHODS,
    adjusted_rand_index,
    closest_pairs,
    find_superclasses,
)

CUTS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PAIRS = 10


def grouped(features: Features, superclasses) -> Features:
    names = features.class_names
    return Features(features.x, features.labels, class_names=names, superclasses=superclasses)


def measure(source: str) -> dict:
    raw = gramlab.load_features(source)
    features = raw.centered().unit_norm()
    names, true = features.class_names, features.superclasses
    matrix = gramlab.class_correlations(grouped(features, None)).matrix
    trees = {method: find_superclasses(matrix, method=method) for method in METHODS}
    groups = {f"found, {method}": tree.labels for method, tree in trees.items()}
    if true is not None:
        groups["true"] = true
    spectrum = gramlab.Spectrum.of(features)
    models = []
    for kind, labels in groups.items():
        model = grouped(features, labels)
        found, block = gramlab.class_correlations(model), fit_block_model(model)
        parts = {"c": found.within, "d": found.superclass, "e": found.between}
        norm = spectrum.eigenvalue(1)
        distances = (block.distance / norm, block.distance_at_most / norm)
        index = None if true is None else adjusted_rand_index(true, labels)
        models.append((kind, len(set(labels.tolist())), index, parts, distances))
    k = features.n_classes
    by_cut = {}
    for method in METHODS:
        at = [find_superclasses(matrix, method=method, cut=cut) for cut in CUTS]
        rand = [None if true is None else adjusted_rand_index(true, t.labels) for t in at]
        by_cut[method] = [(t.count, index) for t, index in zip(at, rand, strict=True)]
    return {
        "name": Path(source).name,
        "n": features.n_samples,
        "k": k,
        "names": names,
        "matrix": matrix,
        "trees": trees,
        "models": models,
        "by_cut": by_cut,
        "pairs": [(names[i], names[j], v) for i, j, v in closest_pairs(matrix, PAIRS)],
        "angles": class_subspace_angles(features),
        "raw_angles": class_subspace_angles(raw.unit_norm()),
        "gap": spectrum.gap(k),
        "gap_error": 2 * spectrum.certificate.eigenvalue_error,
        "eigenvalue": spectrum.eigenvalue(k),
    }


def spread(pair: tuple[float, float] | None) -> str:
    if pair is None or not np.isfinite(pair[0]):
        return "–"
    return f"{pair[0]:.3f} ± {pair[1]:.3f}".replace("-", "−")


def rand(index: float | None) -> str:
    return "–" if index is None else f"{index:.3f}".replace("-", "−")


def markdown(results: list[dict]) -> str:
    lines = [
        "| features | superclasses | number | adjusted Rand index | c | d | e | "
        "distance to block model / norm of G (certified at most) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        for kind, count, index, parts, (distance, most) in r["models"]:
            cells = [f"`{r['name']}`", kind, str(count), "1" if kind == "true" else rand(index)]
            cells += [spread(parts[letter]) for letter in "cde"]
            lines.append(f"| {' | '.join(cells)} | {distance:.2f} ({most:.2f}) |")
    lines += [
        "",
        "Superclasses by cut: their number, with the adjusted Rand index where the truth is known.",
        "",
        f"| features | tree | {' | '.join(f'{cut:g}' for cut in CUTS)} |",
        f"|---|---|{'---|' * len(CUTS)}",
    ]
    for r in results:
        for method, row in r["by_cut"].items():
            cells = [str(s) if index is None else f"{s} ({rand(index)})" for s, index in row]
            lines.append(f"| `{r['name']}` | {method} | {' | '.join(cells)} |")
    lines += [
        "",
        "Principal angles to the first K eigenvectors, and the gap after the K-th eigenvalue:",
        "",
        "| features | K | smallest | median | largest | share below 45° | the same, not centred | "
        "gap after K (error) | K-th eigenvalue |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        angles, raw = np.degrees(r["angles"]), np.degrees(r["raw_angles"])
        lines.append(
            f"| `{r['name']}` | {r['k']} | {angles[0]:.1f}° | {np.median(angles):.1f}° | "
            f"{angles[-1]:.1f}° | {100 * np.mean(angles < 45):.0f} % | "
            f"{100 * np.mean(raw < 45):.0f} % | {r['gap']:.3g} ({r['gap_error']:.0e}) | "
            f"{r['eigenvalue']:.4g} |"
        )
    lines += ["", f"The {PAIRS} closest pairs of classes:", ""]
    for r in results:
        pairs = "; ".join(f"{a} / {b} {value:.3f}" for a, b, value in r["pairs"])
        lines.append(f"- `{r['name']}`: {pairs}")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="digits, *.npz or *.safetensors")
    parser.add_argument("--out", default="out/correlations")
    parser.add_argument("--images", help="folder of the pictures; default --out")
    options = parser.parse_args()
    folder = output_folder(options.out)
    images = output_folder(options.images or folder)
    results = []
    for source in options.sources:
        results.append(measure(source))
        r = results[-1]
        assert r["pairs"][0][2] == np.max(r["matrix"][np.triu_indices(r["k"], 1)])
        print(f"{r['name']}: {r['trees']['condensed'].count} superclasses", flush=True)
        name = Path(source).stem.split("_")[0]
        tree = r["trees"]["condensed"]
        display = CorrelationDisplay.from_correlations(r["matrix"], tree, r["names"])
        display.save(images / f"correlations-{name}.png")
    atomic_write(folder / "correlations.md", markdown(results))
    short = {Path(r["name"]).stem.split("_")[0]: r["angles"] for r in results[:4]}
    AnglesDisplay.from_angles(short).save(images / "correlations-angles.png")
    print(f"written: {folder / 'correlations.md'} and {len(results) + 1} pictures to {images}")


if __name__ == "__main__":
    main()
