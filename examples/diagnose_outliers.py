"""How well rows of no class are told from the others, where they were planted: a table.

    python examples/diagnose_outliers.py CIFAR10.npz GROCERY.npz --out docs/generated

For each source, and for the bundled digits, a fifth of the classes (at least two) is left out. Rows
of these, or of the other sources of the same width, are planted among at most 2,500 training rows
of the rest, so that they are 14 % of all, and labelled

* by chance: any class, whatever the row looks like;
* by looks: the class whose mean is nearest.

Beside them stand data without outliers, with the labels as they came and with a fifth of them moved
to the next class. What ``gramlab diagnose`` would list is compared with the truth. Writes
diagnose_outliers.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gramlab
from gramlab.diagnosis import DiagnosisSettings
from gramlab.diagnosis.outliers import find_outliers
from gramlab.diagnosis.posterior import label_posterior, nearest_rows
from gramlab.diagnosis.suspects import ranking_auc
from gramlab.files.whole import atomic_write, output_folder
from gramlab.runner import Run, folds
from gramlab.transition import estimate_transition

SHARE, NOISE, MOST, LEAST = 0.14, 0.2, 2500, 5
KINDS = (  # outliers from, labelled by, share of the other labels that are wrong
    ("none", "", 0.0),
    ("none", "", NOISE),
    ("other classes", "chance", 0.0),
    ("other classes", "chance", NOISE),
    ("other classes", "looks", 0.0),
    ("other data", "chance", 0.0),
    ("other data", "looks", 0.0),
)
SEED = 100
COLUMNS = "features outliers labelled_by wrong_labels rows planted AUC listed false found".split()
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n".replace("_", " ")


def numbered(labels):
    return np.unique(labels, return_inverse=True)[1]


def planted(features, others, came, by, noise):
    """Rows, given labels and which rows are outliers, in an order drawn anew."""
    rng = np.random.default_rng(SEED)
    k = features.n_classes
    left_out = rng.permutation(k)[: max(2, k // 5)]
    inside = rng.permutation(np.flatnonzero(~np.isin(features.labels, left_out)))[:MOST]
    counts = np.bincount(features.labels[inside], minlength=k)
    inside = inside[counts[features.labels[inside]] >= LEAST]
    x, labels = features.x[inside].astype(np.float64), numbered(features.labels[inside])
    strange = features.x[np.isin(features.labels, left_out)] if came == "other classes" else others
    count = 0 if came == "none" else round(len(x) * SHARE / (1.0 - SHARE))
    strange = strange[rng.permutation(len(strange))[:count]].astype(np.float64)
    k = labels.max() + 1
    means = np.stack([x[labels == c].mean(axis=0) for c in range(k)]) - x.mean(axis=0)
    means /= np.linalg.norm(means, axis=1)[:, None]
    looks = ((strange - x.mean(axis=0)) @ means.T).argmax(axis=1)
    guessed = looks if by == "looks" else rng.integers(0, k, len(strange))
    given = np.where(rng.random(len(x)) < noise, (labels + 1) % k, labels)
    order = rng.permutation(len(x) + len(strange))
    rows = np.concatenate([x, strange])[order]
    return rows, np.concatenate([given, guessed])[order], order >= len(x)


def judged(x, labels):
    """What a diagnosis finds before its advice."""
    settings = DiagnosisSettings()
    features = gramlab.Features(x, labels).prepared(center=True, unit_norm=True)
    k, given = features.n_classes, features.labels
    run = Run(features.as_float64(), k, folds(given, settings.folds, settings.seed), given)
    estimate = estimate_transition(features, given, folds=run)
    held_out = label_posterior(estimate, given, nearest_rows(features, 50)).held_out
    heads, matrix = estimate.probabilities, estimate.matrix
    return find_outliers(held_out, heads, matrix, given, settings.outlier_rate)


def percent(mask):
    return f"{100 * mask.mean():.0f} %" if len(mask) else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", metavar="FEATURES.npz")
    parser.add_argument("--out", required=True)
    asked = parser.parse_args()
    out = output_folder(asked.out)
    sources = {name: gramlab.load_features(name) for name in ("digits", *asked.sources)}
    lines = []
    for name, features in sources.items():
        alike = [
            f.x
            for f in sources.values()
            if f is not features and f.n_features == features.n_features
        ]
        for came, by, noise in KINDS:
            if came == "other data" and not alike:
                continue
            others = np.concatenate(alike) if alike else features.x[:0]
            x, labels, outlier = planted(features, others, came, by, noise)
            found = judged(x, labels)
            auc = ranking_auc(found.score, outlier)
            cells = (
                f"`{Path(name).name}`",
                came,
                by or "–",
                f"{100 * noise:.0f} %",
                f"{len(x)}",
                f"{outlier.sum()}",
                "–" if auc is None else f"{auc:.3f}",
                f"{len(found)}",
                percent(~outlier[found.rows]),
                percent(found.listed[outlier]),
            )
            lines.append(f"| {' | '.join(cells)} |\n")
            print(lines[-1], end="", flush=True)
    atomic_write(out / "diagnose_outliers.md", HEADER + "".join(lines))


if __name__ == "__main__":
    main()
