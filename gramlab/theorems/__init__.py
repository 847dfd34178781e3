"""Theorems of the paper and of this project, proved and checked: one theorem per file.

``registry`` maps names to theorems; ``run`` proves and checks one, ``run_all`` some and all that
they rest on; ``find`` looks one up; ``check`` tests one on an instance of one's own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gramlab.theorems.catalogue import find, registry, run, run_all
    from gramlab.theorems.checking import CheckReport, check

__all__ = ["CheckReport", "check", "find", "registry", "run", "run_all"]

_HOMES = {"CheckReport": "checking", "check": "checking"}


def __getattr__(name: str) -> Any:
    """Load the catalogue on first use: it imports the algebra systems."""
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'catalogue')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
