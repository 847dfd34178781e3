"""Theorems of the paper and of this project, proved and checked: one theorem per file.

``registry`` maps names to theorems; ``run`` proves and checks one; ``find`` looks one up.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gramlab.theorems.catalogue import find, registry, run

__all__ = ["find", "registry", "run"]


def __getattr__(name: str) -> Any:
    """Load the catalogue on first use: it imports the algebra systems."""
    if name in __all__:
        return getattr(import_module("gramlab.theorems.catalogue"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
