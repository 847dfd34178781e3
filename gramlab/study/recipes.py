"""Recipes: the experiments of the paper by the name of their figure or table.

A recipe says which cells a study has; every list in it can be narrowed. The weight decays of the
paper come in two lines, one per group of data sets, each with a small, a base and a large value.

Source: arXiv 2402.10482, Fig. 2, App. C (Fig. 6) and App. G (Figs. 7 and 8, tables), and its
authors' code for the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from gramlab.errors import InvalidSetting
from gramlab.numerics.streams import MAX_SEED
from gramlab.validation import check_integer, check_rate

__all__ = ["LINES", "METHODS", "RECIPES", "Recipe", "WeightDecayLine", "recipe_named"]

METHODS = ("distill", "top2-ce", "top2-gce", "mixture", "tuned")
NOISES = ("symmetric", "asymmetric", "superclass", "pair-flip")


class WeightDecayLine(NamedTuple):
    """A line of the paper's settings: weight decays, and the published training's learning rate."""

    small: float
    base: float
    large: float
    learning_rate: float


LINES = {
    "caltech-101": WeightDecayLine(2e-4, 5e-4, 1e-3, 0.01),
    "stanford-cars": WeightDecayLine(2e-4, 5e-4, 1e-3, 0.1),
    "flowers-102": WeightDecayLine(2e-4, 5e-4, 1e-3, 0.05),
    "cifar-100": WeightDecayLine(2e-5, 5e-5, 1e-4, 0.05),
    "caltech-256": WeightDecayLine(2e-5, 5e-5, 1e-4, 0.01),
    "food-101": WeightDecayLine(2e-5, 5e-5, 1e-4, 0.01),
}
"""Settings of the six data sets; features of other data take the line of one that is like them."""


@dataclass(frozen=True)
class Recipe:
    """One experiment: its name on the command line, what it shows, and the lists of its cells.

    ``kinds`` of cells are ``grid`` (the rounds and their rivals), ``ablation``, ``published``,
    ``structure`` and ``approximation``; tuned cells come with the method. ``weight_decay`` holds
    names on the line, numbers, or ``"log grid"``: decades relative to the mean square of a row.
    ``methods`` are for grid cells, ``shares`` of the training rows for ``approximation``. ``rates``
    are shares of wrong labels, ``seeds`` keys of their draws; ``rounds`` count the teacher.
    """

    name: str
    title: str
    kinds: tuple[str, ...] = ("grid",)
    noise: tuple[str, ...] = ("symmetric",)
    weight_decay: tuple[str, ...] = ("base",)
    methods: tuple[str, ...] = METHODS
    rates: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
    seeds: tuple[int, ...] = (0, 1, 2)
    rounds: int = 5
    shares: tuple[float, ...] = (1.0,)

    @property
    def needs_superclasses(self) -> bool:
        """Whether classes must be grouped."""
        return "superclass" in self.noise and any(rate > 0.0 for rate in self.rates)

    def narrowed(
        self,
        *,
        noise: Sequence[str] | None = None,
        rates: Sequence[float] | None = None,
        seeds: Sequence[int] | None = None,
        rounds: int | None = None,
        weight_decay: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
    ) -> Recipe:
        """The same recipe with other lists; what is ``None`` stays.

        Raises
        ------
        InvalidSetting
            If a list is empty, names something unknown or twice, or holds a value out of range.
        """
        lists = {
            "noise": (noise, lambda value: _known("noise", value, NOISES)),
            "rates": (rates, lambda value: check_rate("rates", value)),
            "seeds": (seeds, lambda value: check_integer("seeds", value, 0, MAX_SEED)),
            "weight_decay": (weight_decay, str),
            "methods": (methods, lambda value: _known("methods", value, METHODS)),
        }
        changes: dict[str, Any] = {}
        for name, (values, check) in lists.items():
            if values is not None:
                changes[name] = checked = tuple(map(check, values))
                if not checked:
                    raise InvalidSetting(
                        f"{name} must hold at least one value, got none; leave it out"
                    )
                twice = [value for i, value in enumerate(checked) if value in checked[:i]]
                if twice:
                    raise InvalidSetting(f"{name} must hold different values, got {twice[0]} twice")
        if rounds is not None:
            changes["rounds"] = check_integer("rounds", rounds, 1)
        if "distill" not in changes.get("methods", METHODS):
            raise InvalidSetting(
                f"methods must include distill, got {', '.join(changes['methods'])}; the others "
                "are compared with its rounds"
            )
        return replace(self, **changes)


def _known(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise InvalidSetting(
            f"{name} must be of {', '.join(known)}, got {value!r}; choose from these"
        )
    return value


def _figure(number: str, noise: str, size: str) -> Recipe:
    title = f"Fig. {number}: {noise} noise, {size} weight decay"
    return Recipe(f"fig{number}", title, noise=(noise,), weight_decay=(size,))


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _figure("2", "superclass", "base"),
        _figure("6a", "symmetric", "base"),
        _figure("6b", "asymmetric", "base"),
        _figure("7a", "superclass", "small"),
        _figure("7b", "symmetric", "small"),
        _figure("7c", "asymmetric", "small"),
        _figure("8a", "superclass", "large"),
        _figure("8b", "symmetric", "large"),
        _figure("8c", "asymmetric", "large"),
        Recipe(
            "tables",
            "App. G.3: all noises, all weight decays",
            noise=NOISES[:3],
            weight_decay=("small", "base", "large"),
        ),
        Recipe(
            "block",
            "Block structure of the Gram matrix and its eigenvalue gap",
            kinds=("structure",),
            weight_decay=("log grid",),
            rates=(0.0, 0.5),
            seeds=(0,),
        ),
        Recipe(
            "approximation",
            "Linearized softmax against exact heads, by weight decay and sample size",
            kinds=("approximation",),
            weight_decay=("log grid",),
            rates=(0.0, 0.5),
            rounds=3,
            shares=(0.125, 0.25, 0.5, 1.0),
        ),
        Recipe(
            "refinement",
            "Partial labels against rounds, by corruption",
            noise=NOISES,
            methods=METHODS[:3],
        ),
        Recipe(
            "top2",
            "Top-two coverage, and the least teacher with which partial labels win",
            noise=NOISES,
            weight_decay=("small", "base", "large"),
            methods=METHODS[:3],
            rounds=2,
        ),
        Recipe(
            "ablation",
            "Partial labels taken apart: targets, loss and start",
            kinds=("ablation",),
            rates=(0.3, 0.5, 0.7, 0.8, 0.9),
        ),
        Recipe(
            "published",
            "The published training beside the exact optimum",
            kinds=("grid", "published"),
            rates=(0.5, 0.8),
            seeds=(0,),
            methods=METHODS[:3],
        ),
    )
}
"""Every recipe by its name."""


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises
    ------
    InvalidSetting
        If there is none; the known names are listed.
    """
    if name not in RECIPES:
        raise InvalidSetting(
            f"recipe must be one of {', '.join(RECIPES)}, got {name!r}; choose one of these"
        )
    return RECIPES[name]
