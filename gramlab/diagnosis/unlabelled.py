"""Rows that have no label, as the advised head predicts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.origin import Origin
from gramlab.diagnosis.trial import Score
from gramlab.features import Features
from gramlab.features.missing import NO_LABEL
from gramlab.features.preparation import training_mean, unit_rows, with_column
from gramlab.heads.fit import Fit
from gramlab.numerics.text import short_repr

__all__ = ["UnlabelledRows", "predict_unlabelled", "prepared_rows"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class UnlabelledRows:
    """Rows that were set aside because they have no label, in their order, and their prediction.

    ``rows`` (m,) are the caller's numbers. ``predicted`` (m,) are the classes by the advised head,
    ``Diagnosis.fits["chosen"]``, which was fitted to all diagnosed rows, and ``probability`` (m,)
    is the head's own of that class, in [0, 1]. It is not calibrated: weight decay draws it to 1/K,
    and it is of labels as those that the head was trained on. How many predictions are right is
    told by ``accuracy``, estimated for the advised setting on rows like the diagnosed ones; None
    where nothing can be claimed. A row of zeros, which has no unit norm, is predicted as -1, with
    NaN, where rows were to be scaled to it.
    """

    rows: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probability: Array
    accuracy: Score | None

    def __repr__(self) -> str:
        return short_repr(self)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def format_rows(self) -> str:
        """How many rows have no label, and how they are predicted; empty where there are none."""
        count = len(self)
        if not count:
            return ""
        which = "row has no label and is" if count == 1 else "rows have no label and are"
        told = "Nothing is claimed of these predictions."
        if self.accuracy is not None:
            value, error = (100.0 * one for one in self.accuracy)
            told = (
                f"If these are like the others, {value:.1f} ± {error:.1f} % are predicted rightly."
            )
        return f"{count} {which} predicted by the advised head. {told}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values of all but the rows."""
        value, error = self.accuracy or (None, None)
        return {
            "count": len(self),
            "fit": "chosen",
            "expected_accuracy": value,
            "standard_error": error,
        }

    def columns(self) -> dict[str, list[Any]]:
        """The rows in their order, as columns of plain numbers; None where nothing is predicted."""
        known = (self.predicted >= 0).tolist()
        columns = {"predicted": self.predicted.tolist(), "probability": self.probability.tolist()}
        return {"row": self.rows.tolist()} | {
            name: [value if has else None for value, has in zip(values, known, strict=True)]
            for name, values in columns.items()
        }


def prepared_rows(
    features: Features,
    rows: np.ndarray | None,
    *,
    center: bool,
    unit_norm: bool,
    constant: bool,
) -> Array:
    """Rows (m, d) as ``features.prepared`` makes those of a test split: by the training mean.

    Rows that have no unit norm are NaN; None are no rows.
    """
    if rows is None:
        return np.empty((0, features.n_features + constant))
    values = rows.astype(np.float64)
    if center:
        values -= training_mean(features.blocks, features.x.shape)
    if unit_norm:
        usable = values.any(axis=1)
        values[~usable] = np.nan
        values[usable] = unit_rows(values[usable], 0, "unlabelled", {})
    return with_column(values, 0, "unlabelled", 1.0) if constant else values


def predict_unlabelled(
    fit: Fit, x: Array, origin: Origin, accuracy: Score | None
) -> UnlabelledRows:
    """Predictions of a head for the rows of an origin that have no label, prepared as x (m, d)."""
    rows = origin.set_aside.get(NO_LABEL, np.empty(0, dtype=np.int64))
    predicted, probability = np.full(len(rows), -1), np.full(len(rows), np.nan)
    usable = np.isfinite(x).all(axis=1)
    if usable.any():
        predicted[usable] = found = fit.predict(x[usable])
        probability[usable] = fit.predict_proba(x[usable])[np.arange(len(found)), found]
    return UnlabelledRows(rows, predicted, probability, accuracy)
