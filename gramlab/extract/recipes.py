"""The paper's six data sets: where they come from and how they are split (theory: experiments)."""

from __future__ import annotations

from dataclasses import dataclass

from gramlab.errors import InvalidSetting
from gramlab.extract.images import Images, ImageSplit, random_split

__all__ = ["RECIPES", "Recipe", "recipe"]


@dataclass(frozen=True)
class Recipe:
    """One data set of the paper.

    Attributes
    ----------
    name
        As the command line knows it.
    n_classes, train, test
        Classes K after dropping, and sizes that the splits must have.
    split
        ``"official"``, ``"swapped"`` (train on the official test split and test on the official
        train split) or ``"random"`` (80/20 of all rows in the byte order of their paths, seed 42).
    hub, label_column
        Name on the Hugging Face hub, where there is a copy, and its column if it has several.
    dropped, test_names
        Classes that the authors leave out, and what the official test split may be called.
    note
        What a user should know, said aloud when the recipe runs.
    """

    name: str
    n_classes: int
    train: int
    test: int
    split: str
    hub: str | None = None
    dropped: tuple[str, ...] = ()
    test_names: tuple[str, ...] = ("test",)
    label_column: str | None = None
    note: str = ""

    def splits(self, images: Images) -> tuple[dict[str, ImageSplit], tuple[str, ...]]:
        """Train and test as the paper has them, and the class names.

        Raises
        ------
        InvalidSetting
            If the data set has other splits, classes or sizes than the recipe's.
        """
        images = images.without(*self.dropped)
        train = images.split("train")
        if self.split == "random":
            rows, test_rows = random_split(len(train), 0.2, 42)
            train, test = train.taken(rows), train.taken(test_rows)
        else:
            test = images.split(*self.test_names)
        if self.split == "swapped":
            train, test = test, train
        sizes = (len(images.class_names), len(train), len(test))
        expected = (self.n_classes, self.train, self.test)
        if sizes != expected:
            raise InvalidSetting(
                f"recipe {self.name!r} expects (classes, train, test) = {expected}, got {sizes} "
                f"from {images.source!r}; give a complete copy, or leave --recipe out to take the "
                "images as they are"
            )
        return {"train": train, "test": test}, images.class_names


_ALL = (
    Recipe(
        "cifar100", 100, 50_000, 10_000, "official", "uoft-cs/cifar100", label_column="fine_label"
    ),
    Recipe("caltech256", 256, 23_824, 5_956, "random", dropped=("257.clutter", "clutter")),
    Recipe("food101", 101, 75_750, 25_250, "official", "ethz/food101", (), ("test", "validation")),
    Recipe(
        *("caltech101", 101, 6_941, 1_736, "random", "flwrlabs/caltech101"),
        dropped=("BACKGROUND_Google",),
        note="the random split follows the order of the rows: an image folder gives the "
        "authors' split, a copy on the hub in another order gives another one",
    ),
    Recipe("stanford-cars", 196, 8_144, 8_041, "official", "tanganke/stanford_cars"),
    Recipe(
        *("flowers102", 102, 6_149, 1_020, "swapped"),
        note="as in the authors' code, the official test split (6149 images) is trained on "
        "and the official train split (1020) is tested on",
    ),
)
RECIPES: dict[str, Recipe] = {entry.name: entry for entry in _ALL}


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises
    ------
    InvalidSetting
        If there is none; those that are there are named.
    """
    if name not in RECIPES:
        raise InvalidSetting(f"recipe must be one of {', '.join(RECIPES)}, got {name!r}")
    return RECIPES[name]
