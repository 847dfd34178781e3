"""Images to features with a frozen backbone (extra ``extract``).

The only rooms that know PyTorch, transformers, datasets and Pillow, loaded when something is
extracted.
"""

from gramlab.extract.backbone import Backbone
from gramlab.extract.extraction import extract_features
from gramlab.extract.images import (
    Images,
    ImageSplit,
    open_dataset,
    open_image_folder,
    random_split,
)
from gramlab.extract.recipes import RECIPES, Recipe, recipe

__all__ = [
    "RECIPES",
    "Backbone",
    "ImageSplit",
    "Images",
    "Recipe",
    "extract_features",
    "open_dataset",
    "open_image_folder",
    "random_split",
    "recipe",
]
