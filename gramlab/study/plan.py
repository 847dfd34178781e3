"""Plans: a recipe on given features, spelled out as cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.labels import OBSERVED, CorruptedLabels
from gramlab.numerics.content import sha256
from gramlab.spectrum.correlations import class_correlations
from gramlab.spectrum.superclasses import find_superclasses
from gramlab.study.cells import Cell
from gramlab.study.recipes import LINES, Recipe, WeightDecayLine

__all__ = ["Plan", "log_grid", "make_plan", "study_superclasses"]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a study will do.

    The recipe has its lists as asked for. Features are prepared, in words ``preparation``; their
    superclasses are those that the noise uses, ``given``, ``found`` or ``none``. Cells are in the
    order of the rows. ``line`` names the line of weight decays, and ``settings`` are everything
    else that was asked for. ``observed`` are given labels that take the place of planted noise.
    """

    recipe: Recipe
    features: Features = field(repr=False)
    name: str
    preparation: str
    cells: tuple[Cell, ...] = field(repr=False)
    line: str
    superclass_origin: str
    settings: dict[str, Any]
    observed: CorruptedLabels | None = field(default=None, repr=False)

    def identity(self) -> dict[str, Any]:
        """What makes this study and no other, as plain data."""
        recipe, groups = self.recipe, self.features.superclasses
        lists = ("noise", "rates", "seeds", "rounds", "methods", "weight_decay")
        return {
            "recipe": recipe.name,
            "features": self.name,
            "features_sha256": self.features.fingerprint,
            "preparation": self.preparation,
            **{name: getattr(recipe, name) for name in lists},
            "line": self.line,
            "shares": recipe.shares,
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
    epochs: int = 200,
    observed: CorruptedLabels | None = None,
) -> Plan:
    """Spell out a recipe on features, as they come; their labels are the truth.

    They are called ``name``, and prepared first: centred, then scaled to ``unit_norm``. ``line``,
    of ``LINES``, says which weight decays are small, base and large. Every exact head reaches the
    relative duality gap ``tolerance``. ``local_bound`` sharpens certificates by the Newton
    decrement, at a cost above that of the heads. ``epochs`` are those of the published training.
    ``observed`` labels of all rows (``gramlab.observed_labels``) take the place of the recipe's
    noises, rates and seeds: one draw, of noise "observed" at its own rate.

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
    settings: dict[str, Any] = {"tolerance": tolerance, "local_bound": bool(local_bound)}
    if observed is not None:
        seen = {"noise": (OBSERVED,), "rates": (observed.realized_rate,)}
        recipe = replace(recipe, **seen, seeds=recipe.seeds[:1])
        features = features.replaced(labels=observed.true_labels)
        settings["given_sha256"] = sha256(observed.labels)
    origin = "none" if features.superclasses is None else "given"
    if recipe.needs_superclasses:
        groups, origin = study_superclasses(features, recipe.name)
        features = features.replaced(superclasses=groups)
    features = features.prepared(center=center, unit_norm=unit_norm)
    cells = tuple(_cells(recipe, features, settings, LINES[line], epochs))
    if "published" in recipe.kinds:
        settings = settings | {"epochs": epochs}
    steps = {"centred": center, "unit norm": unit_norm}
    preparation = " ".join(step for step in steps if steps[step]) or "raw"
    return Plan(recipe, features, name, preparation, cells, line, origin, settings, observed)


def study_superclasses(features: Features, recipe: str) -> tuple[np.ndarray, str]:
    """Superclass of each class, and whether it was ``given`` or ``found``.

    They are found from the correlations of the clean, centred features, by complete linkage cut at
    0.8 of the largest merge, as in the paper. Preparation does not change them, so raw and unit
    rows of one data set are corrupted alike.

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


def log_grid(features: Features, exponents: Iterable[float]) -> tuple[float, ...]:
    """Weight decays 10^e times the mean square of a row, to three digits, in the order of e.

    Scaling all rows by a and λ by a² leaves predictions as they are, so this grid means the same
    for raw rows and for unit ones.
    """
    square = sum(float(np.vdot(block, block)) for _, block in features.blocks())
    return tuple(float(f"{square / features.n_samples * 10.0**e:.3g}") for e in exponents)


def _weight_decays(
    recipe: Recipe, features: Features, line: WeightDecayLine
) -> list[tuple[str, float]]:
    """Names and values: of the line, of the grid, or numbers as they were written."""
    known = {name: [getattr(line, name)] for name in ("small", "base", "large")}
    known["log grid"] = list(log_grid(features, range(-6, 0)))
    out = []
    for name in recipe.weight_decay:
        try:
            values = known.get(name) or [float(name)]
        except ValueError:
            raise InvalidSetting(
                f"weight_decay must be {', '.join(known)} or a number, got {name!r}"
            ) from None
        out += [(name, validation.check_weight_decay(value)) for value in values]
    return out


def _cells(
    recipe: Recipe,
    features: Features,
    settings: dict[str, Any],
    line: WeightDecayLine,
    epochs: int,
) -> Iterator[Cell]:
    groups = None if features.superclasses is None else features.superclasses.tolist()
    rounds, q = {"rounds": recipe.rounds}, {"q": 0.7}  # of generalized cross entropy, as published
    methods = [method for method in recipe.methods if method != "tuned"]
    own: dict[str, list[dict[str, Any]]] = {
        "grid": [rounds | {"methods": methods} | q],
        "ablation": [q],
        "published": [rounds | q | {"epochs": epochs, "learning_rate": line.learning_rate}],
        "approximation": [rounds | {"share": share} for share in recipe.shares],
        "structure": [rounds | {"superclasses": groups}],  # whose correlations it measures
    }
    decays = _weight_decays(recipe, features, line)
    tuned = {"grid": list(log_grid(features, np.linspace(-6.0, -1.0, 11)))}
    for noise, rate, seed in product(recipe.noise, recipe.rates, recipe.seeds):
        draw = (noise, float(rate), int(seed))
        shared = settings | ({"superclasses": groups} if noise == "superclass" else {})
        for (name, value), kind in product(decays, recipe.kinds):
            for options in own[kind]:
                yield Cell(kind, *draw, value, shared | options, name)
        if "tuned" in recipe.methods and "grid" in recipe.kinds:
            yield Cell("tuned", *draw, None, shared | tuned, "tuned")
