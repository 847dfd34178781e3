"""How far claims about suspects are off class by class, where the truth is known: a table.

    python examples/diagnose_claims.py digits CIFAR10.npz GROCERY.npz --out docs/generated

Labels that are right are made wrong by class, and diagnosed without the truth. For each given
label the claimed precision of its suspects is compared with the share of them that is wrong: *by
class* is the mean of |claimed − wrong| over the suspects of classes with at least ten, in points,
and *chance* what it would be if every claim were right. *Offsets* is the same of claims with an
offset in log-odds per given class, fitted to the re-corrupted labels: a normal law of the offsets
shrinks them to 0, of a variance that maximizes Laplace's approximation of the evidence (MacKay
1992). *Loss* is the log loss of a claim in nats, without and with offsets. Writes
diagnose_claims.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from judged_noise import KINDS, Sample
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, logit

import gramlab
from gramlab.diagnosis import DiagnosisSettings
from gramlab.diagnosis.posterior import label_posterior, nearest_rows
from gramlab.diagnosis.recorruption import recorrupt, resampled_precision
from gramlab.diagnosis.suspects import find_suspects, reason_to_withhold
from gramlab.files.whole import atomic_write, output_folder
from gramlab.runner import Run, folds
from gramlab.transition import estimate_transition

ASKED = ("symmetric", "asymmetric", "class-dependent")
SEED, MOST, LEAST = 100, 3000, 10
CERTAIN = 1e-6  # claims are kept that far from 0 and 1, so that their log-odds are finite
VARIANCES = (-10.0, 4.0)  # of offsets, in logarithms
COLUMNS = "features kind suspects claimed wrong by_class chance offsets loss loss_offsets".split()
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|\n".replace("_", " ")


def log_odds(claims):
    return logit(np.clip(claims, CERTAIN, 1.0 - CERTAIN))


def offsets(start, wrong, given, k):
    """Offsets (K,) of the log-odds ``start`` (m,) by given class, and their evidence maximized."""

    def fitted(log_variance):
        precision, found = np.exp(-log_variance), np.zeros(k)
        for _ in range(100):
            p = expit(start + found[given])
            slope = np.bincount(given, wrong - p, k) - precision * found
            bend = np.bincount(given, p * (1.0 - p), k) + precision
            step = np.clip(slope / bend, -1.0, 1.0)
            found += step
            if np.abs(step).max() < 1e-9:
                break
        eta = start + found[given]
        fit = log_expit(np.where(wrong, eta, -eta)).sum() - 0.5 * precision * (found**2).sum()
        return found, fit - 0.5 * np.log(bend / precision).sum()

    best = minimize_scalar(lambda v: -fitted(v)[1], bounds=VARIANCES, method="bounded").x
    return fitted(best)[0]


def by_class_claims(resamples, given, k):
    """Claims of suspects with given labels (m,) in their order, with offsets by class."""
    claims = []
    for one in resamples:
        order = np.argsort(-one.score[one.suspected], kind="stable")
        labels, wrong = one.given[one.suspected][order], one.wrong[one.suspected][order]
        found = offsets(log_odds(resampled_precision([one], len(order))[0]), wrong, labels, k)
        claims.append(expit(log_odds(resampled_precision([one], len(given))[0]) + found[given]))
    return np.mean(claims, axis=0)


def off(claims, wrong, given, k):
    """Mean over suspects of |claimed − wrong| of their class, and what chance makes of it."""
    count = np.bincount(given, minlength=k)
    many = count >= LEAST
    if not many.any():
        return np.nan, np.nan
    excess = np.abs(np.bincount(given, claims - wrong, k))[many].sum()
    # A sum of independent right claims is nearly normal, of mean size (2/π)^½ standard deviations.
    spread = np.sqrt(2.0 / np.pi * np.bincount(given, claims * (1.0 - claims), k))[many].sum()
    return excess / count[many].sum(), spread / count[many].sum()


def loss(claims, wrong):
    eta = log_odds(claims)
    return -log_expit(np.where(wrong, eta, -eta)).mean()


def judged(planted):
    """Cells of a line, and the mean distance by class without and with offsets."""
    asked, given = DiagnosisSettings(), planted.features.labels
    features = planted.features.prepared(
        center=asked.center, unit_norm=asked.unit_norm, constant=asked.constant
    )
    k = features.n_classes
    run = Run(features.as_float64(), k, folds(given, asked.folds, asked.seed), given)
    estimate = estimate_transition(features, given, folds=run)
    nearest = nearest_rows(features, 50)
    posterior = label_posterior(estimate, given, nearest)
    suspects = find_suspects(posterior, given)
    count = f"{len(suspects)}"
    if reason_to_withhold(estimate):
        return (count, "withheld", *("–",) * 6)
    resamples = recorrupt(features, estimate, posterior, nearest, run, asked.seed, lambda _: None)
    wrong = (planted.true != given)[suspects.rows]
    claims = resampled_precision(resamples, len(suspects))[0]
    shifted = by_class_claims(resamples, suspects.given, k)
    common, chance = off(claims, wrong, suspects.given, k)
    shares = (
        claims.mean(),
        wrong.mean(),
        common,
        chance,
        off(shifted, wrong, suspects.given, k)[0],
    )
    losses = (loss(claims, wrong), loss(shifted, wrong))
    return (count, *(f"{100 * s:.1f}" for s in shares), *(f"{one:.3f}" for one in losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", metavar="FEATURES.npz")
    parser.add_argument("--out", required=True)
    asked = parser.parse_args()
    out = output_folder(asked.out)
    lines = []
    for name in asked.sources:
        sample = Sample.of(gramlab.load_features(name), MOST, SEED, None)
        for kind in ASKED:
            cells = (f"`{Path(name).name}`", kind, *judged(KINDS[kind](sample)))
            lines.append(f"| {' | '.join(cells)} |\n")
            print(lines[-1], end="", flush=True)
    atomic_write(out / "diagnose_claims.md", HEADER + "".join(lines))


if __name__ == "__main__":
    main()
