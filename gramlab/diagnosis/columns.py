"""What a diagnosis found as columns of a table, and as arrays to train on."""

from __future__ import annotations

from typing import Any

import numpy as np

from gramlab.diagnosis.diagnosis import Diagnosis
from gramlab.errors import InvalidFeatures
from gramlab.features import Features

__all__ = [
    "cleaned_arrays",
    "cleaned_columns",
    "label_columns",
    "outlier_columns",
    "suspect_columns",
]


def cleaned_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """Every row in its order: what to train on.

    ``row``, ``given`` and ``proposed`` (likeliest true) label and their names,
    ``probability_wrong``, the posterior's 1 − q_i(given), ``kept`` (False of suspects), and
    ``weight``, 1 of rows that are kept and 0 of others, to train with on the given labels.
    """
    names, columns = diagnosis.features.class_names, diagnosis.cleaned.columns()
    proposed = [names[label] for label in columns["proposed"]]
    given = [names[label] for label in columns["given"]]
    return columns | {"given_name": given, "proposed_name": proposed}


def cleaned_arrays(diagnosis: Diagnosis, features: Features) -> dict[str, np.ndarray]:
    """What to train on as arrays of numbers and text, to be saved by ``numpy.savez``.

    ``features`` (N, d) are those that the diagnosis was given, before it prepared them; beside
    them ``given`` and ``proposed`` labels (N,), ``soft_labels`` (N, K), which are the posteriors
    q, ``weights`` (N,), 0 of suspects and 1 of others, and ``class_names`` (K,).

    Raises
    ------
    InvalidFeatures
        If they have another number of rows than was diagnosed.
    """
    cleaned = diagnosis.cleaned
    if features.n_samples != len(cleaned.given):
        raise InvalidFeatures(
            f"features must be the {len(cleaned.given)} rows that were diagnosed, got "
            f"{features.n_samples}; pass those that diagnose was given"
        )
    return {
        "features": features.x,
        "given": cleaned.given,
        "proposed": cleaned.proposed,
        "soft_labels": cleaned.soft,
        "weights": cleaned.weight,
        "class_names": np.array(diagnosis.features.class_names),
    }


def label_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """Every row in its order, as ``cleanlab.classification.CleanLearning.get_label_issues``.

    ``is_label_issue``, ``label_quality`` (posterior of the given label, low is suspicious),
    ``given_label``, ``predicted_label`` (likeliest true label).
    """
    suspects = diagnosis.suspects
    return {
        "is_label_issue": suspects.suspected.tolist(),
        "label_quality": suspects.quality.tolist(),
        "given_label": diagnosis.given.tolist(),
        "predicted_label": suspects.predicted.tolist(),
    }


def suspect_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """The suspects in their order: cleanlab's columns, names, claimed precision, margin, votes.

    ``outlier`` marks suspects that probably belong to no class: no label is right there. The votes
    are those after the last explained round: weight of the row's own given label, and the strongest
    voters as "row:label:weight", separated by spaces; empty for suspects that were not explained.
    """
    suspects, names = diagnosis.suspects, diagnosis.features.class_names
    found = suspects.columns()
    every = {
        name: [values[row] for row in found["row"]]
        for name, values in label_columns(diagnosis).items()
    }
    last = [votes[-1] for votes in diagnosis.explanations]
    missing = [""] * (len(suspects) - len(last))
    voters = [zip(e.voters, e.labels, e.weights, strict=True) for e in last]
    return {
        "row": found["row"],
        **every,
        "given_name": [names[label] for label in found["given"]],
        "predicted_name": [names[label] for label in found["proposed"]],
        **{k: found[k] for k in ("precision", "precision_low", "precision_high", "margin")},
        "outlier": diagnosis.outliers.listed[suspects.rows].tolist(),
        "own_weight": [repr(e.own) for e in last] + missing,
        "voters": [" ".join(f"{i}:{k}:{w:.6g}" for i, k, w in each) for each in voters] + missing,
    }


def outlier_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """The rows that probably belong to no class, in their order.

    ``row``, ``score`` and ``p_value`` are those of ``Outliers``; beside them the given label and
    its name.
    """
    outliers, names = diagnosis.outliers, diagnosis.features.class_names
    given = diagnosis.given[outliers.rows].tolist()
    named = {"given_label": given, "given_name": [names[label] for label in given]}
    return outliers.columns() | named
