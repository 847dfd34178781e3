"""What a diagnosis found as columns of a table, under the names that cleanlab uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gramlab.diagnosis.diagnosis import Diagnosis

__all__ = ["label_columns", "suspect_columns"]


def label_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """Every row in its order, as ``cleanlab.classification.CleanLearning.get_label_issues``.

    ``is_label_issue``, ``label_quality`` (posterior of the given label, low is suspicious),
    ``given_label``, ``predicted_label`` (likeliest true label), both as the caller wrote them;
    before them ``id`` where rows have identifiers. Rows that were set aside are no issue, and the
    rest of their columns is None.
    """
    suspects, origin = diagnosis.suspects, diagnosis.origin
    given, aside = origin.spread(diagnosis.given, -1), np.isnan(suspects.quality).tolist()
    quality = zip(suspects.quality.tolist(), aside, strict=True)
    return _identifiers(diagnosis, range(origin.n_rows)) | {
        "is_label_issue": suspects.suspected.tolist(),
        "label_quality": [None if none else value for value, none in quality],
        "given_label": origin.labels(given),
        "predicted_label": origin.labels(suspects.predicted),
    }


def _identifiers(diagnosis: Diagnosis, rows: Sequence[int]) -> dict[str, list[Any]]:
    """What rows of the caller are called, as a column; none where they have no identifiers."""
    known = diagnosis.origin.identifiers
    return {} if known is None else {"id": [known[row] for row in rows]}


def suspect_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """The suspects in their order: cleanlab's columns, names, claimed precision, margin, votes.

    ``copies`` counts the rows that are copies of one another and of the suspect, itself included.
    The votes are those after the last explained round: weight of the row's own given label, and
    the strongest voters as "row:class number:weight", separated by spaces; empty for suspects that
    were not explained.
    """
    suspects, names = diagnosis.suspects, diagnosis.features.class_names
    sizes = diagnosis.origin.spread(diagnosis.copies.sizes, 1)
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
        "copies": sizes[suspects.rows].tolist(),
        "own_weight": [repr(e.own) for e in last] + missing,
        "voters": [" ".join(f"{i}:{k}:{w:.6g}" for i, k, w in each) for each in voters] + missing,
    }
