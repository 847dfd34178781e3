"""How well rows of no class are told from the others, where they were planted: a table.

    python examples/diagnose_outliers.py CIFAR10.npz GROCERY.npz CALTECH.npz --out docs/generated

For each source, and for the bundled digits, a fifth of the classes (at least two) is left out. Rows
of these, or of the other sources of the same width, are planted among at most 2,500 training rows
of the rest, so that they are 14 % of all, and labelled

* by chance: any class, whatever the row looks like;
* by looks: the class whose mean is nearest.

Beside them stand data without outliers, with the labels as they came and with a fifth of them moved
to another class by chance. What ``gramlab diagnose`` would list is compared with the truth. *At
best* is the share of the outliers in the longest list of the first rows that keeps the promise of
false ones, cut by who knows the truth.

A second table ranks the same rows by the distance to the nearest class instead: in the kernel
metric, between a row and the mean of the rows of other folds that are likely of the class. Its list
needs a law of the distances of rows of classes. It takes squared distances for chi-square, so that
their cube roots are normal (Wilson and Hilferty 1931), fits the normal law to the lower half of all
rows, in which few outliers are, and cuts by Benjamini and Hochberg's rule. Writes
diagnose_outliers.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import false_discovery_control, norm

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
COLUMNS = (
    "features outliers labelled_by wrong_labels rows planted AUC listed false found at_best".split()
)
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
    given = np.where(rng.random(len(x)) < noise, (labels + rng.integers(1, k, len(x))) % k, labels)
    order = rng.permutation(len(x) + len(strange))
    rows = np.concatenate([x, strange])[order]
    return rows, np.concatenate([given, guessed])[order], order >= len(x)


def judged(x, labels, rate):
    """Scores and list of a diagnosis, before its advice, and of distances."""
    asked = DiagnosisSettings()
    features = gramlab.Features(x, labels).prepared(
        center=asked.center, unit_norm=asked.unit_norm, constant=asked.constant
    )
    k, given = features.n_classes, features.labels
    fold = folds(given, asked.folds, asked.seed)
    run = Run(features.as_float64(), k, fold, given)
    estimate = estimate_transition(features, given, folds=run)
    posterior = label_posterior(estimate, given, nearest_rows(features, 50))
    heads, matrix = estimate.probabilities, estimate.matrix
    found = find_outliers(posterior.held_out, heads, matrix, given, rate)
    distance = np.cbrt(squared_distances(features.as_float64(), posterior.labels, fold))
    return (found.score, found.listed), (distance, far_rows(distance, rate))


def squared_distances(x, likeliest, fold):
    """From each row to the nearest mean of a class, of the rows in other folds."""
    distance = np.empty(len(x))
    for one in np.unique(fold):
        held, rest = fold == one, fold != one
        classes = np.unique(likeliest[rest])
        means = np.stack([x[rest & (likeliest == c)].mean(axis=0) for c in classes])
        distance[held] = cdist(x[held], means, "sqeuclidean").min(axis=1)
    return distance


def far_rows(distance, rate):
    """Rows that are too far for a normal law that fits the lower half, by Benjamini-Hochberg."""
    above = distance - np.median(distance)
    spread = np.sqrt(np.mean(above[above <= 0.0] ** 2))
    return false_discovery_control(norm.sf(above / spread)) <= rate


def at_best(score, outlier, rate):
    """Share of the outliers in the longest list of the first rows with that share of false ones."""
    right = np.cumsum(outlier[np.argsort(-score, kind="stable")])
    kept = right[right >= (1.0 - rate) * np.arange(1, len(score) + 1)]
    return kept.max(initial=0) / outlier.sum()


def cells(score, listed, outlier, rate):
    """AUC, length of the list, and shares of it and of the outliers."""
    auc = ranking_auc(score, outlier)
    return (
        "–" if auc is None else f"{auc:.3f}",
        f"{listed.sum()}",
        percent(~outlier[listed]),
        percent(listed[outlier]),
        f"{100 * at_best(score, outlier, rate):.0f} %" if outlier.any() else "–",
    )


def percent(mask):
    return f"{100 * mask.mean():.0f} %" if len(mask) else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", metavar="FEATURES.npz")
    parser.add_argument("--out", required=True)
    asked = parser.parse_args()
    out = output_folder(asked.out)
    sources = {name: gramlab.load_features(name) for name in ("digits", *asked.sources)}
    by_labels, by_distance = [], []
    rate = DiagnosisSettings().outlier_rate
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
            what = (
                f"`{Path(name).name}`",
                came,
                by or "–",
                f"{100 * noise:.0f} %",
                f"{len(x)}",
                f"{outlier.sum()}",
            )
            lists = (by_labels, by_distance)
            for lines, (score, listed) in zip(lists, judged(x, labels, rate), strict=True):
                lines.append(f"| {' | '.join((*what, *cells(score, listed, outlier, rate)))} |\n")
                print(lines[-1], end="", flush=True)
    text = "".join([HEADER, *by_labels, "\nBy distance to the nearest class:\n\n", HEADER])
    atomic_write(out / "diagnose_outliers.md", text + "".join(by_distance))


if __name__ == "__main__":
    main()
