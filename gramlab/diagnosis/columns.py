"""What a diagnosis found as columns of a table, under the names that cleanlab uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from gramlab.diagnosis.diagnosis import Diagnosis

__all__ = ["label_columns", "suspect_columns"]


def label_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """Every row in its order, as ``cleanlab.classification.CleanLearning.get_label_issues``.

    ``is_label_issue``, ``label_quality`` (posterior of the given label, low is suspicious),
    ``given_label``, ``predicted_label`` (likeliest true label).
    """
    suspects = diagnosis.suspects
    issue = np.zeros(len(diagnosis.given), dtype=bool)
    issue[suspects.rows] = True
    return {
        "is_label_issue": issue.tolist(),
        "label_quality": suspects.quality.tolist(),
        "given_label": diagnosis.given.tolist(),
        "predicted_label": suspects.predicted.tolist(),
    }


def suspect_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """The suspects in their order: cleanlab's columns, names, claimed precision, margin, votes.

    The votes are those after the last explained round: weight of the row's own given label, and
    the strongest voters as "row:label:weight", separated by spaces; empty for suspects that were
    not explained.
    """
    suspects, names = diagnosis.suspects, diagnosis.features.class_names
    every = {name: np.asarray(values) for name, values in label_columns(diagnosis).items()}
    last = [votes[-1] for votes in diagnosis.explanations]
    missing = len(suspects) - len(last)
    return {
        "row": suspects.rows.tolist(),
        **{name: values[suspects.rows].tolist() for name, values in every.items()},
        "given_name": [names[label] for label in suspects.given],
        "predicted_name": [names[label] for label in suspects.proposed],
        "precision": suspects.precision.tolist(),
        "precision_low": suspects.precision_low.tolist(),
        "precision_high": suspects.precision_high.tolist(),
        "margin": suspects.margin[suspects.rows].tolist(),
        "own_weight": [repr(e.own) for e in last] + [""] * missing,
        "voters": [
            " ".join(
                f"{row}:{label}:{weight:.6g}"
                for row, label, weight in zip(e.voters, e.labels, e.weights, strict=True)
            )
            for e in last
        ]
        + [""] * missing,
    }
