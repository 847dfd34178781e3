"""``gramlab.diagnose``: somebody's arrays and labels as they are, made ready for a diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab import validation
from gramlab.diagnosis.diagnosis import Diagnosis, DiagnosisSettings
from gramlab.diagnosis.diagnosis import diagnose as diagnose_features
from gramlab.diagnosis.origin import Origin
from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting, InvalidTargets
from gramlab.features import Features
from gramlab.features.description import check_class_names
from gramlab.features.missing import NO_LABEL, whole_rows
from gramlab.labels import observed_labels
from gramlab.targets import check_sample_weight

__all__ = ["diagnose", "diagnose_rows"]

ALONE = "only row of its class"
"""Why rows are set aside that are whole (``gramlab.features.missing`` has the other reasons)."""


def diagnose(
    x: object,
    labels: object = None,
    *,
    settings: DiagnosisSettings | None = None,
    groups: Sequence[Any] | None = None,
    sample_weight: object = None,
    pred_probs: object = None,
    truth: object = None,
    class_names: Sequence[str] | None = None,
    identifiers: Sequence[str] | None = None,
    stage: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Should I distil, and which labels are wrong: of features and labels as they are.

    Rows are prepared as ``gramlab diagnose`` does (``settings``), but a ``Features`` is taken as it
    is: neither centred nor scaled, whatever the settings say. Rows that cannot be diagnosed are
    set aside, and listed by reason in ``Diagnosis.set_aside``: "features not finite", "no label"
    and "only row of its class". Those without a label are predicted (``Diagnosis.unlabelled``). All
    results keep the caller's numbers of rows and, in ``label_columns``, the caller's labels.

    Parameters
    ----------
    x : Features, or array-like of shape (N, d)
        Also a frame of pandas or polars, a tensor of PyTorch or a list of rows; None counts as NaN.
    labels : array-like of shape (N,), optional
        Given labels, right or wrong: integers, which need not start at 0, or strings. -1, None, NaN
        and "" are no label. None beside ``Features``, which have their own.
    settings : DiagnosisSettings, optional
        What to do.
    groups : sequence of N, optional
        Rows with equal entries stay in one fold (one patient, frames of one video).
    sample_weight : array-like of shape (N,), optional
        Weights w ≥ 0 of the rows in the heads and in the scores of settings. The theory's column is
        left out then, whose spectrum is that of rows of equal weight; C is fitted to equal rows,
        and so are ranking and votes.
    pred_probs : array-like of shape (N, K), optional
        Out-of-fold probabilities of one's own, a column for each class, in the order of
        ``class_names`` or sorted. They take the place of the heads' in the estimate of the noise
        and in the posterior; settings are still scored on heads, and so is the re-corruption.
    truth : array-like of shape (N,), optional
        True labels, written as the given ones. Everything is judged by them, as with planted noise
        (``Diagnosis.trial``).
    class_names : sequence of str, optional
        Names of the classes: of integers 0 .. K-1, or the order of labels that are strings. By
        default the labels themselves, sorted.
    identifiers : sequence of N str, optional
        What the rows are called, for the tables.
    stage : callable, optional
        Called with a few words when a stage begins.

    Raises
    ------
    InvalidFeatures, InvalidLabels, InvalidSetting, InvalidTargets
        If an argument does not fit its description; rows are named in the caller's numbers. Also
        if fewer than two classes of two rows are left, or there are fewer rows or groups than
        folds.
    NotEnoughMemory
        If the features would not fit.
    """
    asked = settings or DiagnosisSettings()
    if truth is not None and asked.rate > 0.0:
        raise InvalidSetting(
            f"truth must stand without noise to plant, got settings of rate {asked.rate}; leave "
            "one of them out"
        )
    if not isinstance(x, Features):
        features, origin = _read(x, labels, class_names, identifiers)
    elif labels is None and class_names is None:
        features = x
        asked = replace(asked, center=False, unit_norm=False, constant=False)
        origin = Origin.of_all(x.n_samples, x.n_classes, _texts(identifiers, x.n_samples))
    else:
        raise InvalidSetting(
            "labels and class_names must be left out beside Features, which have their own; "
            "for others pass features.replaced(labels=...)"
        )
    return diagnose_rows(
        features,
        origin,
        asked,
        groups=groups,
        sample_weight=sample_weight,
        pred_probs=pred_probs,
        truth=truth,
        stage=stage,
    )


def diagnose_rows(
    features: Features,
    origin: Origin,
    settings: DiagnosisSettings,
    *,
    groups: Sequence[Any] | None = None,
    sample_weight: object = None,
    pred_probs: object = None,
    truth: object = None,
    stage: Callable[[str], None] | None = None,
) -> Diagnosis:
    """``diagnose`` of features that the settings prepare, and that come from these rows.

    What is given beside them is by the caller's rows and classes.
    """
    n, known = origin.n_rows, _Classes(origin.classes)
    features, origin = _without_lone_rows(features, origin)
    rows, observed = origin.rows, None
    if truth is not None:
        true = _Classes(origin.classes).numbers(_values(truth, n, "truth"), rows, "truth")
        observed = observed_labels(features.labels, true, features.n_classes)
    weights = check_sample_weight(sample_weight, n)
    if pred_probs is not None:
        given = validation.as_array(pred_probs, "pred_probs", InvalidTargets)
        if given.shape != (n, len(known.values)):
            raise InvalidTargets(
                f"pred_probs must have a row for each of x and a column for each class, shape "
                f"({n}, {len(known.values)}), got {given.shape}"
            )
        own = given[rows][:, [known.place[one] for one in origin.classes]]
        if own.shape[1] < given.shape[1]:  # of the classes that remain
            mass = own.sum(axis=1, keepdims=True)
            own = np.where(mass > 0.0, own / np.where(mass > 0.0, mass, 1.0), 1.0 / own.shape[1])
        pred_probs = own
    if groups is not None:
        groups = [_per_row(groups, n, "groups")[row] for row in rows]
    return diagnose_features(
        features,
        settings,
        groups=groups,
        sample_weight=None if weights is None else weights[rows],
        pred_probs=pred_probs,
        observed=observed,
        origin=origin,
        stage=stage,
    )


def _without_lone_rows(features: Features, origin: Origin) -> tuple[Features, Origin]:
    """Features without classes of one row or none, out of which nothing can be held.

    Such rows are set aside in the origin, which is that of ``features``; test rows of such classes
    are left out. InvalidLabels if fewer than two classes remain.
    """
    several = np.flatnonzero(features.class_counts > 1)
    if len(several) == features.n_classes:
        return features, origin
    if len(several) < 2:
        raise InvalidLabels(
            f"labels must hold at least two classes of two rows each, got {len(several)} among "
            f"{features.n_samples} rows with a label; -1 is none: write such a class otherwise"
        )
    place = np.full(features.n_classes, -1)
    place[several] = np.arange(len(several))
    labels, groups = place[features.labels], features.superclasses
    kept = labels >= 0
    test: dict[str, Any] = {}
    if features.test_x is not None and features.test_labels is not None:
        known = place[features.test_labels]
        if (known >= 0).any():
            test = {"test_x": features.test_x[known >= 0], "test_labels": known[known >= 0]}
    aside = {ALONE: origin.rows[~kept]} if not kept.all() else {}
    rows = replace(
        origin,
        rows=origin.rows[kept],
        set_aside={**origin.set_aside, **aside},
        classes=[origin.classes[k] for k in several.tolist()],
    )
    made = Features(
        features.x[kept],
        labels[kept],
        **test,
        class_names=[features.class_names[k] for k in several],
        superclasses=None if groups is None else groups[several],
        provenance=features.provenance,
    )
    return made, rows


def _read(
    x: object,
    labels: object,
    class_names: Sequence[str] | None,
    identifiers: Sequence[str] | None,
) -> tuple[Features, Origin]:
    """Features of the rows that are finite and have a label, and where from."""
    if labels is None:
        raise InvalidLabels("labels must be one per row of x, got none; pass the given labels")
    values = _matrix(x)
    n = len(values)
    given = _values(labels, n, "labels")
    rows, aside = whole_rows(values, np.array([one is not None for one in given]))
    classes = _Classes.of(given, class_names)
    numbers = classes.numbers(given, rows, "labels")
    names = list(map(str, classes.values)) if class_names is None else list(class_names)
    features = Features(values if len(rows) == n else values[rows], numbers, class_names=names)
    unlabelled = values[aside[NO_LABEL]] if NO_LABEL in aside else None
    return features, Origin(rows, aside, classes.values, _texts(identifiers, n), unlabelled)


class _Classes:
    """The caller's labels of classes 0 .. K-1."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values
        self.place = {one: number for number, one in enumerate(values)}

    @classmethod
    def of(cls, given: Sequence[Any], names: Sequence[str] | None) -> _Classes:
        """The classes of labels, None for none: those in ``names``, by number or name, or all."""
        found = {*given} - {None}
        if len({isinstance(one, str) for one in found}) > 1:
            text = next(one for one in found if isinstance(one, str))
            raise InvalidLabels(
                f"labels must be all integers or all strings, got both, such as {text!r}; write "
                "each class in one way"
            )
        if names is None:
            return cls(sorted(found))
        known = check_class_names(names, None)
        return cls(known if isinstance(next(iter(found)), str) else range(len(known)))

    def numbers(
        self, labels: Sequence[Any], rows: npt.NDArray[np.int64], name: str
    ) -> npt.NDArray[np.int64]:
        """Numbers of the classes of some ``rows`` (m,) of labels (N,)."""
        for row in rows.tolist():
            if labels[row] not in self.place:
                few = ", ".join(map(repr, self.values[:5])) + ", ..." * (len(self.values) > 5)
                raise InvalidLabels(
                    f"{name} must be of the classes {few}, got {labels[row]!r} in row {row}; "
                    "correct it, or leave the row out"
                )
        return np.array([self.place[labels[row]] for row in rows.tolist()], dtype=np.int64)


def _plain(value: Any) -> Any:
    """A tensor in main memory, as what NumPy reads; all else as it is."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        return value.float() if str(value.dtype) == "torch.bfloat16" else value  # NumPy has none
    return value


def _matrix(x: object) -> np.ndarray:
    """Rows (N, d), in which None of a frame is NaN."""
    array = validation.as_array(_plain(x), "x")
    if array.dtype == object:
        try:
            array = np.array([[_number(one) for one in row] for row in array], dtype=np.float64)
        except (TypeError, ValueError) as problem:
            raise InvalidFeatures(
                f"x must hold numbers, got {problem}; leave columns of text out"
            ) from problem
    # Frames hold columns; rows are read one by one, and come out alike whatever they came in.
    return np.ascontiguousarray(validation.check_features(array, finite=False))


def _number(value: Any) -> float:
    if isinstance(value, str):
        raise ValueError(f"the text {value!r}")
    return np.nan if _is_missing(value) else float(value)


def _values(labels: object, n: int, name: str) -> list[Any]:
    """Labels (N,) as integers and strings, None for none."""
    if isinstance(labels, (list, tuple)):  # an array of which would make text of a NaN among text
        shape, values = (len(labels),), [v.item() if hasattr(v, "item") else v for v in labels]
    else:
        array = validation.as_array(_plain(labels), name, InvalidLabels)
        shape, values = array.shape, array.tolist()
    if shape != (n,):
        raise InvalidLabels(
            f"{name} must be one per row, shape ({n},), got shape {shape}; a column can be "
            "flattened with .ravel(), one-hot rows with .argmax(axis=1)"
        )
    found: list[Any] = []
    for row, value in enumerate(values):
        one = value.decode() if isinstance(value, bytes) else value
        if isinstance(one, str):
            found.append(one or None)
            continue
        number = np.nan if _is_missing(one) else one
        if isinstance(number, float) and number != number:
            found.append(None)
            continue
        if not isinstance(number, (int, float)) or number != round(number):
            raise InvalidLabels(
                f"{name} must be integers or strings, got {one!r} in row {row}; write it as one"
            )
        found.append(None if number == -1 else int(number))
    return found


def _is_missing(value: Any) -> bool:
    """Whether a value is None, or what pandas writes in its place."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _per_row(values: Sequence[Any], n: int, name: str) -> list[Any]:
    found = list(values)
    if len(found) != n:
        raise InvalidSetting(f"{name} must have one entry per row, got {len(found)} for {n} rows")
    return found


def _texts(identifiers: Sequence[str] | None, n: int) -> list[str] | None:
    return None if identifiers is None else list(map(str, _per_row(identifiers, n, "identifiers")))
