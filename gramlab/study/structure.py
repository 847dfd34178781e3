"""Structure and approximation cells: the theory's premises, measured.

``structure`` asks how block-like the Gram matrix is: correlations, eigenvalues beside those of the
nearest block model, the gap after the K-th, and what the distance to that model promises for
predictions. ``approximation`` asks how far the linearized softmax is from the exact heads, over
weight decay and sample size, and how large the logits are there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gramlab.block_fit import BlockFit, fit_block_model
from gramlab.comparison import RoundComparison
from gramlab.features import Features
from gramlab.filters import linear_mu
from gramlab.heads.fit import Fit
from gramlab.spectrum import Spectrum, class_correlations
from gramlab.storage import sha256
from gramlab.streams import stream
from gramlab.study.draws import Draw

__all__ = ["approximation_rows", "structure_rows", "subsample"]

_SUBSAMPLE = int.from_bytes(b"subsampl", "big")


def structure_rows(draw: Draw) -> list[dict[str, Any]]:
    """One row per round; method ``structure``. Only the last columns depend on λ and the round."""
    features, weight_decay = draw.features, draw.head().weight_decay
    measured, model = features.derived(_structure, _labelling(features))
    mu = linear_mu(features.n_classes, features.n_samples, weight_decay)
    return [
        draw.empty_row(
            "structure",
            weight_decay=weight_decay,
            round=t,
            **measured,
            promised_distance=model.promised(mu, t),
            seen_distance=model.seen(draw.targets.deviations, mu, t),
        )
        for t in range(1, draw.cell.options["rounds"] + 1)
    ]


def _labelling(features: Features) -> str:
    """What tells apart features of the same rows, who share what is derived from these."""
    return sha256(features.labels, features.superclasses)


def _structure(features: Features, labelling: str) -> tuple[dict[str, Any], BlockFit]:
    found, model = class_correlations(features), fit_block_model(features)
    spectrum, n, k = Spectrum.of(features), features.n_samples, features.n_classes
    values = np.zeros(n)
    values[: len(spectrum.eigenvalues)] = spectrum.eigenvalues[:n]
    groups = features.superclasses
    s = 1 if groups is None else len(np.unique(groups))
    per_class = n / k
    inside = model.diagonal - model.within
    between_classes = inside + per_class * (model.within - model.superclass)
    superclasses = between_classes + per_class * k / s * (model.superclass - model.between)
    means = superclasses + per_class * k * model.between
    out: dict[str, Any] = {
        "within": found.within[0],
        "within_sd": found.within[1],
        "superclass": None if found.superclass is None else found.superclass[0],
        "superclass_sd": None if found.superclass is None else found.superclass[1],
        "between": found.between[0],
        "between_sd": found.between[1],
        "gap": spectrum.gap(min(k, n - 1)),
        "gap_error_at_most": 2.0 * spectrum.certificate.eigenvalue_error,
        "largest_eigenvalue": float(values[0]),
        "block_distance": model.distance,
    }
    # Mean eigenvalues of the runs where a balanced block model has s_D, s_C, s_B and s_A.
    for name, part, predicted in (
        ("all_ones", values[:1], means),
        ("superclasses", values[1:s], superclasses),
        ("classes", values[s:k], between_classes),
        ("inside", values[k:], inside),
    ):
        out[f"eigenvalue_{name}"] = float(part.mean()) if part.size else None
        out[f"eigenvalue_{name}_block"] = float(predicted) if part.size else None
    return out, model


def approximation_rows(draw: Draw) -> list[dict[str, Any]]:
    """One row per round; method ``approximation``.

    Beside the columns of every certified head: the root mean square over rows of the distance of
    the two predictions, the largest and the mean range over classes of the exact logits, and what
    the remainder bound osc²/4 allows a single round at the largest of them.
    """
    share = draw.cell.options["share"]
    features = subsample(draw.features, share)
    part = Draw(features, draw.cell, draw.work)

    def logits(fit: Fit, found: RoundComparison) -> dict[str, Any]:
        ranges = np.ptp(features.as_float64() @ fit.weights, axis=1)
        return {
            "share": share,
            "n_samples": features.n_samples,
            "rms_distance": found.frobenius / features.n_samples**0.5,
            "largest_logit_range": float(ranges.max()),
            "mean_logit_range": float(ranges.mean()),
            "remainder_bound": float(ranges.max() ** 2 / 4.0),
        }

    rounds = draw.cell.options["rounds"]
    return part.round_rows("approximation", part.head(), rounds, logits)[0]


def subsample(features: Features, share: float) -> Features:
    """A share of the training rows, nested in larger shares; the test split stays as it is."""
    if share == 1.0:
        return features
    return features.derived(_subsample, share, _labelling(features))


def _subsample(features: Features, share: float, labelling: str) -> Features:
    words = stream(0, _SUBSAMPLE).random_raw(features.n_samples)
    count = max(1, round(share * features.n_samples))
    rows = np.sort(np.argsort(words, kind="stable")[:count])
    return Features(
        features.x[rows],
        features.labels[rows],
        test_x=features.test_x,
        test_labels=features.test_labels,
        n_classes=features.n_classes,
        superclasses=features.superclasses,
    )
