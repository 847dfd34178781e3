"""What a diagnosis found as columns of a table, under the names that cleanlab uses."""

from __future__ import annotations

from typing import Any

from gramlab.diagnosis.diagnosis import Diagnosis

__all__ = ["label_columns", "suspect_columns"]


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
    """The suspects in their order: cleanlab's columns, names, claimed precision, margin, copies,
    votes.

    ``copies`` is the number of rows that are copies of the suspect, itself included.

    The votes are those after the last explained round: weight of the row's own given label, and
    the strongest voters as "row:label:weight", separated by spaces; empty for suspects that were
    not explained.
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
        "copies": diagnosis.copies.sizes[suspects.rows].tolist(),
        "own_weight": [repr(e.own) for e in last] + missing,
        "voters": [" ".join(f"{i}:{k}:{w:.6g}" for i, k, w in each) for each in voters] + missing,
    }
