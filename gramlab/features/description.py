"""What is said of features beside their numbers: which classes there are, and where from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidLabels, InvalidSetting
from gramlab.numerics.content import to_json

__all__ = ["check_class_names", "check_classes", "check_provenance"]


def check_class_names(class_names: Sequence[str], n_classes: int | None) -> tuple[str, ...]:
    """Names of classes as a tuple.

    Raises
    ------
    InvalidSetting
        If they are a single text, none, not different, or not `n_classes`, where that was given.
    """
    if isinstance(class_names, (str, bytes)):
        raise InvalidSetting(
            f"class_names must be a sequence of names, got the single text {class_names!r}; "
            "pass a list"
        )
    names = tuple(str(name) for name in class_names)
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            raise InvalidSetting(
                f"class_names must differ, got {name!r} at positions {first[name]} and {index}; "
                "rename one of them"
            )
    if n_classes is not None and n_classes != len(names):
        raise InvalidSetting(
            f"n_classes must equal the number of class_names ({len(names)}), got {n_classes}; "
            "pass one of the two"
        )
    if not names:
        raise InvalidSetting("class_names must hold at least two names, got none; leave it out")
    return names


def check_classes(labels: npt.NDArray[np.int64], size: int, known: bool) -> None:
    """Refuse labels (N,) of a single class, and classes that nobody said are missing on purpose.

    `known` says whether `size`, the number of classes K, was given and not counted from the labels.

    Raises
    ------
    InvalidLabels
        If so; a missing class is named.
    """
    present = np.unique(labels)
    if size < 2 or present.size < 2:
        raise InvalidLabels(
            f"labels must hold at least two classes, got only class {int(present[0])} in "
            f"{labels.size} training rows; add rows of another class"
        )
    if not known and present.size < size:
        # The first missing number is where the sorted present classes leave the count 0, 1, 2, ….
        gaps = np.flatnonzero(present != np.arange(present.size))
        first = int(gaps[0]) if gaps.size else int(present.size)
        raise InvalidLabels(
            f"labels must hold every class 0 .. {size - 1}, got no training row of class {first} "
            f"({size - present.size} classes missing); pass n_classes={size} or class_names if "
            "that is intended"
        )


def check_provenance(provenance: Mapping[str, Any] | None, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Fill in the fixed keys of a provenance, and prove that the rest survives JSON.

    Raises
    ------
    InvalidSetting
        If it is no mapping, has no JSON form, or its steps are not a list of named steps.
    """
    record: dict[str, Any] = {
        "source": "arrays",
        "stored_dtype": str(dtype),
        "computed_dtype": "float64",
        "steps": [],
    }
    if provenance is not None and not isinstance(provenance, Mapping):
        raise InvalidSetting(
            f"provenance must be a mapping, got {type(provenance).__name__}; "
            "pass {'source': 'where from'}"
        )
    record.update(provenance or {})
    plain: dict[str, Any] = json.loads(to_json(record))
    steps = plain["steps"]
    if not isinstance(steps, list) or not all(
        isinstance(step, dict) and "step" in step for step in steps
    ):
        raise InvalidSetting(
            f"provenance['steps'] must be a list of {{'step': name, ...}}, got {steps!r}; "
            "leave it out for features as they came"
        )
    return plain
