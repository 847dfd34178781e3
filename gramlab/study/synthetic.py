"""The block model as features: the one data set on which every assumption of the theory holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.population import ClassBlockModel

__all__ = ["BLOCK_MODEL", "block_model_features"]

BLOCK_MODEL = "block-model"
"""Name of the source; settings follow a colon."""

_DEFAULTS = dict(classes=4, per_class=100, within=0.4, superclass=0.1, between=0.1, size=2)


def block_model_features(source: str) -> Features:
    """Rows whose Gram matrix is the block model's, to rounding, with one new row per class as test.

    The new row of class k has correlation c with the rows of its class, d and e with the others,
    and a part of its own that no training row has. The source is ``block-model``, or this with
    settings after a colon, of which the defaults are
    ``classes=4,per_class=100,within=0.4,superclass=0.1,between=0.1,size=2`` (``size`` is the number
    of classes in a superclass).

    Raises
    ------
    InvalidSetting
        If a setting is unknown or no number, or the block model refuses it.
    """
    values: dict[str, Any] = dict(_DEFAULTS)
    for part in filter(None, source.partition(":")[2].split(",")):
        name, equals, number = part.partition("=")
        if name not in values or not equals:
            raise InvalidSetting(
                f"{BLOCK_MODEL} takes {', '.join(f'{n}=…' for n in values)}, got {part!r}"
            )
        kind = type(_DEFAULTS[name])
        try:
            values[name] = kind(number)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise InvalidSetting(f"{name} must be {wanted}, got {number!r}") from None
    model = ClassBlockModel(*values.values())
    x, n, k = model.sample_features(), model.n_samples, model.n_classes
    # Columns 0 … n − 1 are what each training row has for itself; a new row has its own instead.
    shared = x[:: model.samples_per_class].copy()
    shared[:, :n] = 0.0
    test = np.hstack([shared, math.sqrt(1.0 - model.within) * np.eye(k)])
    return Features(
        np.hstack([x, np.zeros((n, k))]),
        np.repeat(np.arange(k), model.samples_per_class),
        test_x=test,
        test_labels=np.arange(k),
        n_classes=k,
        superclasses=model.superclasses,
        provenance={"source": repr(model)},
    )
