"""What a user's type checker sees: every public name has a complete type."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import gramlab

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "gramlab",
    "gramlab.check",
    "gramlab.diagnosis",
    "gramlab.errors",
    "gramlab.figures",
    "gramlab.population",
    "gramlab.report",
    "gramlab.runner",
    "gramlab.spectrum",
    "gramlab.testing",
    "gramlab.theorems",
    "gramlab.transition",
)
# scikit-learn has no types, so what derives from its classes has none that are complete.
DERIVED = (
    gramlab.LabelAveragingClassifier,
    gramlab.SelfDistillationClassifier,
    gramlab.SoftLabelLogisticRegression,
)


def place(thing: object) -> str:
    """Where a public class or function is defined, as the type checker names it."""
    return f"{thing.__module__}.{thing.__name__}"


def public_places() -> set[str]:
    """Of the classes and functions that the rooms call public."""
    found = set()
    for room in map(import_module, ROOMS):
        for name in getattr(room, "__all__", vars(room)):
            thing = getattr(room, name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                found.add(place(thing))
    return {name for name in found if name.startswith("gramlab.")}


@pytest.fixture(scope="module")
def symbols() -> list[dict]:
    if find_spec("pyright") is None:
        pytest.skip("pyright is not installed (pip install '.[test]')")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    command += ["--verifytypes", "gramlab", "--ignoreexternal", "--outputjson"]
    # An editable installation is a line in a .pth file, behind which the checker sees no py.typed.
    kept = {"cwd": ROOT, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    done = subprocess.run(command, **kept, capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["typeCompleteness"]["symbols"]


def test_every_public_name_has_a_complete_type(symbols):
    public = public_places()
    assert len(public) > 80
    assert public <= {symbol["name"] for symbol in symbols} | {place(one) for one in DERIVED}

    def is_of(name: str, owners: set[str]) -> bool:
        return any(name == owner or name.startswith(f"{owner}.") for owner in owners)

    unknown = {s["name"] for s in symbols if s["isExported"] and not s["isTypeKnown"]}
    left = {name for name in unknown if is_of(name, public)}
    assert left == {place(one) for one in DERIVED}
