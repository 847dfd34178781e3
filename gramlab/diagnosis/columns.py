"""What a diagnosis found as columns of a table, and as arrays to train on."""

from __future__ import annotations

from typing import Any

import numpy as np

from gramlab.diagnosis.diagnosis import Diagnosis
from gramlab.errors import InvalidFeatures
from gramlab.features import Features

__all__ = [
    "class_columns",
    "cleaned_arrays",
    "cleaned_columns",
    "label_columns",
    "outlier_columns",
    "suspect_columns",
]


def class_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """Every class, those in most doubt first: its labels, its suspects, and what is claimed.

    ``label`` as the caller writes it and ``name``, then the columns of
    ``gramlab.diagnosis.classes.ClassSummary``, without numbers of classes: ``tied_with`` has the
    names, separated by "; ".
    """
    names, columns = diagnosis.features.class_names, diagnosis.classes.columns()
    numbers, tied = columns.pop("class"), columns.pop("tied_with")
    return {
        "label": diagnosis.origin.labels(np.array(numbers)),
        "name": [names[k] for k in numbers],
        **columns,
        "tied_with": ["; ".join(names[k] for k in others) for others in tied],
    }


def cleaned_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """Every diagnosed row in its order: what to train on.

    ``row``, ``id`` where rows have identifiers, ``given`` and ``proposed`` (likeliest true) label
    as the caller writes them, and their names,
    ``probability_wrong``, the posterior's 1 − q_i(given), ``kept`` (False of suspects), and
    ``weight``, 1 of rows that are kept and 0 of others, to train with on the given labels.
    """
    names, columns = diagnosis.features.class_names, diagnosis.cleaned.columns()
    rows, origin = diagnosis.origin.rows.tolist(), diagnosis.origin
    named = {f"{one}_name": [names[k] for k in columns[one]] for one in ("given", "proposed")}
    written = {one: origin.labels(np.array(columns[one])) for one in ("given", "proposed")}
    return {"row": rows} | origin.id_column(rows) | columns | {"row": rows} | written | named


def cleaned_arrays(diagnosis: Diagnosis, x: Features | np.ndarray) -> dict[str, np.ndarray]:
    """What to train on as arrays of numbers and text, to be saved by ``numpy.savez``.

    ``features`` (N, d) are those of x (all rows that the diagnosis was given, before it prepared
    them), without rows that were set aside; beside them ``given`` and ``proposed`` labels (N,),
    ``soft_labels`` (N, K), which are the posteriors q, ``weights`` (N,), 0 of suspects and 1 of
    others, and ``class_names`` (K,).

    Raises
    ------
    InvalidFeatures
        If they have another number of rows.
    """
    cleaned, origin = diagnosis.cleaned, diagnosis.origin
    rows = x.x if isinstance(x, Features) else x
    if len(rows) != origin.n_rows:
        raise InvalidFeatures(
            f"x must be the {origin.n_rows} rows that were to be diagnosed, got {len(rows)}; pass "
            "those that diagnose was given"
        )
    return {
        "features": rows[origin.rows],
        "given": cleaned.given,
        "proposed": cleaned.proposed,
        "soft_labels": cleaned.soft,
        "weights": cleaned.weight,
        "class_names": np.array(diagnosis.features.class_names),
    }


def label_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """Every row in its order, as ``cleanlab.classification.CleanLearning.get_label_issues``.

    ``is_label_issue``, ``label_quality`` (posterior of the given label, low is suspicious),
    ``given_label``, ``predicted_label`` (likeliest true label), both as the caller wrote them;
    before them ``id`` where rows have identifiers. Rows that were set aside are no issue. Where
    there are some, ``set_aside`` says why, and ``predicted_probability`` goes with the
    ``predicted_label`` of rows without a label, which is that of ``Diagnosis.unlabelled``; the rest
    of their columns is None, and so are these two of other rows.
    """
    suspects, origin, bare = diagnosis.suspects, diagnosis.origin, diagnosis.unlabelled
    given, aside = origin.spread(diagnosis.given, -1), np.isnan(suspects.quality).tolist()
    quality = zip(suspects.quality.tolist(), aside, strict=True)
    predicted = suspects.predicted.copy()
    predicted[bare.rows] = bare.predicted
    columns = origin.id_column(range(origin.n_rows)) | {
        "is_label_issue": suspects.suspected.tolist(),
        "label_quality": [None if none else value for value, none in quality],
        "given_label": origin.labels(given),
        "predicted_label": origin.labels(predicted),
    }
    if not origin.set_aside:
        return columns
    reasons: list[str | None] = [None] * origin.n_rows
    for reason, rows in origin.set_aside.items():
        for row in rows.tolist():
            reasons[row] = reason
    probability: list[float | None] = [None] * origin.n_rows
    told = bare.columns()
    for row, value in zip(told["row"], told["probability"], strict=True):
        probability[row] = value
    return columns | {"set_aside": reasons, "predicted_probability": probability}


def suspect_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """The suspects in their order: cleanlab's columns, names, claimed precision, margin, votes.

    ``copies`` counts the rows that are copies of one another and of the suspect, itself included.
    ``outlier`` marks suspects that probably belong to no class: no label is right there. The votes
    are those after the last explained round: weight of the row's own given label, and the strongest
    voters as "row:class number:weight", separated by spaces; empty for suspects that were not
    explained. Where rows have identifiers, ``voter_ids`` are those of the voters, separated by
    "; ".
    """
    suspects, names = diagnosis.suspects, diagnosis.features.class_names
    sizes = diagnosis.origin.spread(diagnosis.copies.sizes, 1)
    found = suspects.columns()
    cleanlab = ("id", "is_label_issue", "label_quality", "given_label", "predicted_label")
    every = {
        name: [values[row] for row in found["row"]]
        for name, values in label_columns(diagnosis).items()
        if name in cleanlab  # no suspect was set aside
    }
    last = [votes[-1] for votes in diagnosis.explanations]
    missing = [""] * (len(suspects) - len(last))
    voters = [zip(e.voters, e.labels, e.weights, strict=True) for e in last]
    called = [diagnosis.origin.id_column(e.voters.tolist()) for e in last]
    ids = ["; ".join(one.get("id", ())) for one in called] + missing
    return {
        "row": found["row"],
        **every,
        "given_name": [names[label] for label in found["given"]],
        "predicted_name": [names[label] for label in found["proposed"]],
        **{k: found[k] for k in ("precision", "precision_low", "precision_high", "margin")},
        "outlier": diagnosis.outliers.listed[suspects.rows].tolist(),
        "copies": sizes[suspects.rows].tolist(),
        "own_weight": [repr(e.own) for e in last] + missing,
        "voters": [" ".join(f"{i}:{k}:{w:.6g}" for i, k, w in each) for each in voters] + missing,
    } | ({} if diagnosis.origin.identifiers is None else {"voter_ids": ids})


def outlier_columns(diagnosis: Diagnosis) -> dict[str, list[Any]]:
    """The rows that probably belong to no class, in their order.

    ``row``, ``score`` and ``p_value`` are those of ``Outliers``; beside them ``id`` where rows have
    identifiers, the given label as the caller writes it, and its name.
    """
    outliers, names, origin = diagnosis.outliers, diagnosis.features.class_names, diagnosis.origin
    found = outliers.columns()
    given = origin.spread(diagnosis.given, -1)[outliers.rows]
    named = {
        "given_label": origin.labels(given),
        "given_name": [names[label] for label in given.tolist()],
    }
    return {"row": found["row"]} | origin.id_column(found["row"]) | found | named
