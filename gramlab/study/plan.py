"""Plans: a recipe on given features, spelled out as cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.spectrum import class_correlations
from gramlab.study.cells import Cell
from gramlab.study.recipes import LINES, Recipe, WeightDecayLine
from gramlab.study.tuning import log_grid
from gramlab.superclasses import find_superclasses

__all__ = ["Plan", "make_plan", "preparation_words", "study_superclasses"]

_TUNING_EXPONENTS = tuple(-6.0 + 0.5 * step for step in range(11))  # 1e-6 … 1e-1
_GRID_EXPONENTS = tuple(float(e) for e in range(-6, 0))  # 1e-6 … 1e-1
_Q = 0.7  # of generalized cross entropy, as published
_EPOCHS = 200  # of the published training


@dataclass(frozen=True, eq=False)
class Plan:
    """What a study will do.

    Attributes
    ----------
    recipe
        With its lists as asked for.
    features
        Prepared; their superclasses are those that the noise uses.
    name
        What the features are called.
    preparation
        What was done to them, in words.
    cells
        In the order of the rows.
    line
        Name of the line of weight decays.
    superclass_origin
        ``given``, ``found`` or ``none``.
    settings
        Everything else that was asked for, for the manifest.
    """

    recipe: Recipe
    features: Features = field(repr=False)
    name: str
    preparation: str
    cells: tuple[Cell, ...] = field(repr=False)
    line: str
    superclass_origin: str
    settings: dict[str, Any]

    def identity(self) -> dict[str, Any]:
        """What makes this study and no other, as plain data."""
        recipe = self.recipe
        groups = self.features.superclasses
        return {
            "recipe": recipe.name,
            "features": self.name,
            "features_sha256": self.features.fingerprint,
            "preparation": self.preparation,
            "noise": list(recipe.noise),
            "rates": list(recipe.rates),
            "seeds": list(recipe.seeds),
            "rounds": recipe.rounds,
            "methods": list(recipe.methods),
            "weight_decay": list(recipe.weight_decay),
            "line": self.line,
            "shares": list(recipe.shares),
            "superclasses": self.superclass_origin,
            "superclass_of_class": None if groups is None else groups.tolist(),
            **self.settings,
        }


def make_plan(
    recipe: Recipe,
    features: Features,
    name: str,
    *,
    center: bool = False,
    unit_norm: bool = False,
    line: str = "caltech-101",
    tolerance: float = 1e-8,
    local_bound: bool = False,
    epochs: int = _EPOCHS,
) -> Plan:
    """Spell out a recipe on features.

    Parameters
    ----------
    recipe
        With the lists wanted.
    features
        As they come; their labels are the truth.
    name
        What to call them.
    center, unit_norm
        Preparation, in this order.
    line
        Of ``LINES``: the weight decays called small, base and large.
    tolerance
        Relative duality gap that every exact head reaches.
    local_bound
        Sharpen certificates by the Newton decrement, at a cost above that of the heads.
    epochs
        Of the published training.

    Raises
    ------
    InvalidSetting
        If a name is unknown, a number out of range, superclasses are needed and cannot be found,
        or the published training lacks the test split by which it chooses its checkpoint.
    """
    if line not in LINES:
        raise InvalidSetting(
            f"line must be one of {', '.join(LINES)}, got {line!r}; choose the data set that is "
            "most like yours"
        )
    tolerance = validation.check_positive("tolerance", tolerance)
    epochs = validation.check_integer("epochs", epochs, 1)
    if "published" in recipe.kinds and features.test_x is None:
        raise InvalidSetting(
            f"recipe {recipe.name} needs features with a test split, by which the published "
            "training chooses its checkpoint, got none; add test_features and test_labels"
        )
    origin = "none" if features.superclasses is None else "given"
    if recipe.needs_superclasses:
        groups, origin = study_superclasses(features, recipe.name)
        features = features.replaced(superclasses=groups)
    if center:
        features = features.centered()
    if unit_norm:
        features = features.unit_norm()
    values = _weight_decays(recipe, features, LINES[line])
    common = {"tolerance": tolerance, "local_bound": bool(local_bound)}
    cells = _cells(recipe, features, values, common, LINES[line], epochs)
    settings: dict[str, Any] = dict(common)
    if "published" in recipe.kinds:
        settings["epochs"] = epochs
    return Plan(
        recipe=recipe,
        features=features,
        name=name,
        preparation=preparation_words(center, unit_norm),
        cells=tuple(cells),
        line=line,
        superclass_origin=origin,
        settings=settings,
    )


def preparation_words(center: bool, unit_norm: bool) -> str:
    """``raw``, ``centred``, ``unit norm`` or ``centred unit norm``."""
    words = [word for word, done in (("centred", center), ("unit norm", unit_norm)) if done]
    return " ".join(words) or "raw"


def study_superclasses(features: Features, recipe: str) -> tuple[np.ndarray, str]:
    """Superclass of each class, and whether it was ``given`` or ``found``.

    Without given ones they are found from the correlations of the clean, centred features, by
    complete linkage cut at 0.8 of the largest merge, as in the paper. Preparation does not change
    them, so raw and unit rows of one data set are spoilt alike.

    Raises
    ------
    InvalidSetting
        If every class is alone, so that superclass noise could change no label.
    """
    groups, origin = features.superclasses, "given"
    if groups is None:
        matrix = class_correlations(features.centered()).matrix
        groups, origin = find_superclasses(matrix).labels, "found"
    if np.bincount(groups).max() < 2:
        raise InvalidSetting(
            f"recipe {recipe} needs superclasses of two or more classes, but the {origin} ones "
            "hold one class each, so superclass noise could change no label; add coarse_of_class "
            "to the features, or leave superclass out with --noise"
        )
    return groups, origin


def _weight_decays(
    recipe: Recipe, features: Features, line: WeightDecayLine
) -> list[tuple[str, float]]:
    """Names and values: of the line, of the grid, or numbers as they were written."""
    out: list[tuple[str, float]] = []
    for name in recipe.weight_decay:
        if name == "log grid":
            out += [("log grid", value) for value in log_grid(features, _GRID_EXPONENTS)]
        elif name in ("small", "base", "large"):
            out.append((name, getattr(line, name)))
        else:
            try:
                value = float(name)
            except ValueError:
                raise InvalidSetting(
                    f"weight_decay must be small, base, large, log grid or a number, got {name!r}"
                ) from None
            out.append((name, validation.check_weight_decay(value)))
    return out


def _cells(
    recipe: Recipe,
    features: Features,
    values: list[tuple[str, float]],
    common: dict[str, Any],
    line: WeightDecayLine,
    epochs: int,
) -> list[Cell]:
    methods = [m for m in recipe.methods if m != "tuned"]
    grid = list(log_grid(features, _TUNING_EXPONENTS)) if "tuned" in recipe.methods else []
    rounds = {"rounds": recipe.rounds}
    extra: dict[str, dict[str, Any]] = {
        "grid": rounds | {"methods": methods, "q": _Q},
        "ablation": {"q": _Q},
        "published": rounds | {"q": _Q, "epochs": epochs, "learning_rate": line.learning_rate},
        "approximation": rounds,
    }
    groups = None if features.superclasses is None else features.superclasses.tolist()
    extra["structure"] = rounds | {"superclasses": groups}  # whose correlations it measures
    cells = []
    for noise in recipe.noise:
        for rate in recipe.rates:
            options = dict(common)
            if noise == "superclass":
                options["superclasses"] = groups
            for seed in recipe.seeds:
                draw = (noise, float(rate), int(seed))
                for name, value in values:
                    for kind in recipe.kinds:
                        made = options | extra[kind]
                        if kind == "approximation":
                            for share in recipe.shares:
                                own = made | {"share": share}
                                cells.append(Cell(kind, *draw, value, own, name))
                        else:
                            cells.append(Cell(kind, *draw, value, made, name))
                if grid and "grid" in recipe.kinds:
                    cells.append(Cell("tuned", *draw, None, options | {"grid": grid}, "tuned"))
    return cells
