"""What features are made of, checked: rows, labels, which classes there are, and where from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.machine.memory import check_memory
from gramlab.numerics.content import to_json
from gramlab.validation import (
    check_different,
    check_features,
    check_integer,
    check_labels,
    check_superclasses,
)


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only view; the caller's own array stays writable."""
    view = array.view()
    view.flags.writeable = False
    return view


def _checked(
    x: object, labels: object, n_classes: int | None, split: str = ""
) -> tuple[np.ndarray, npt.NDArray[np.int64]]:
    rows = check_features(x, f"{split}x")
    return frozen(rows), frozen(check_labels(labels, len(rows), n_classes, f"{split}labels"))


def checked_parts(
    x: object,
    labels: object,
    test_x: object,
    test_labels: object,
    *,
    class_names: Sequence[str] | None,
    superclasses: object,
    n_classes: int | None,
    provenance: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The attributes of ``Features`` by their names, or what ``Features`` raises."""
    check_together(test_x=test_x, test_labels=test_labels)
    size = None if n_classes is None else check_integer("n_classes", n_classes, 1)
    names = None if class_names is None else check_class_names(class_names, size)
    size = size if names is None else len(names)
    known = size is not None
    train, y = _checked(x, labels, size)
    largest, test, y_test = y.max(), None, None
    if test_x is not None:
        test, y_test = _checked(test_x, test_labels, size, "test_")
        largest = max(largest, y_test.max())
        if test.shape[1] != train.shape[1]:
            raise InvalidFeatures(
                f"test_x must have as many columns as x ({train.shape[1]}), got "
                f"{test.shape[1]}; extract both splits with the same backbone"
            )
    size = 1 + int(largest) if size is None else size
    check_classes(y, size, known)
    if names is None:
        check_memory(64 * size, f"naming {size} classes", "pass a smaller n_classes")
        names = tuple(map(str, range(size)))
    if superclasses is not None:
        superclasses = frozen(check_superclasses(superclasses, size))
    return {
        "x": train,
        "labels": y,
        "test_x": test,
        "test_labels": y_test,
        "class_names": names,
        "superclasses": superclasses,
        "_provenance": check_provenance(provenance, train.dtype),
    }


def check_class_names(class_names: Sequence[str], n_classes: int | None) -> tuple[str, ...]:
    """Different names of classes, as many as `n_classes` says if it is given; or InvalidSetting."""
    if isinstance(class_names, (str, bytes)):
        raise InvalidSetting(
            f"class_names must be a sequence of names, got the single text {class_names!r}; "
            "pass a list"
        )
    names = tuple(str(name) for name in class_names)
    check_different(names, "class_names")
    if n_classes not in (None, len(names)):
        raise InvalidSetting(
            f"n_classes must equal the number of class_names ({len(names)}), got {n_classes}; "
            "pass one of the two"
        )
    if not names:
        raise InvalidSetting("class_names must hold at least two names, got none; leave it out")
    return names


def check_classes(labels: npt.NDArray[np.int64], size: int, known: bool) -> None:
    """Refuse labels of one class, and of K = `size` classes, if not `known`, that some are missing.

    `known` says whether K was given, and not counted from the labels (N,). Raises InvalidLabels,
    which names the first missing class.
    """
    present = np.unique(labels)
    if size < 2 or present.size < 2:
        raise InvalidLabels(
            f"labels must hold at least two classes, got only class {int(present[0])} in "
            f"{labels.size} training rows; add rows of another class"
        )
    if not known and present.size < size:
        # The first missing number is where the sorted present classes leave the count 0, 1, 2, ….
        missing = int(np.argmax(np.append(present, -1) != np.arange(present.size + 1)))
        raise InvalidLabels(
            f"labels must hold every class 0 .. {size - 1}, got no training row of class {missing} "
            f"({size - present.size} classes missing); pass n_classes={size} or class_names if "
            "that is intended"
        )


def check_together(**arrays: object) -> None:
    """Refuse, with InvalidLabels, one of two arrays without the other."""
    absent = [name for name, array in arrays.items() if array is None]
    if len(absent) == 1:
        raise InvalidLabels(
            f"{' and '.join(arrays)} go together, got no {absent[0]}; pass both or neither"
        )


def check_provenance(provenance: Mapping[str, Any] | None, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Fill in the fixed keys of a provenance, as plain data of JSON; or raise InvalidSetting."""
    if provenance is not None and not isinstance(provenance, Mapping):
        raise InvalidSetting(
            f"provenance must be a mapping, got {type(provenance).__name__}; "
            "pass {'source': 'where from'}"
        )
    record: dict[str, Any] = {
        "source": "arrays",
        "stored_dtype": str(dtype),
        "computed_dtype": "float64",
        "steps": [],
    }
    plain: dict[str, Any] = json.loads(to_json(record | dict(provenance or {})))
    steps = plain["steps"]
    if not isinstance(steps, list) or not all(isinstance(s, dict) and "step" in s for s in steps):
        raise InvalidSetting(
            f"provenance['steps'] must be a list of {{'step': name, ...}}, got {steps!r}; "
            "leave it out for features as they came"
        )
    return plain
