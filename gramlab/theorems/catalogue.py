"""All theorems by name, and the one way to run them."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

import gramlab.theorems as package
from gramlab.errors import InvalidSetting
from gramlab.theorems.form import Check, Instance, Proof, Theorem

__all__ = ["Report", "dropped", "find", "refuted", "registry", "run"]

_FORM = {"catalogue", "form", "steps"}


def _collect() -> Iterator[tuple[str, Theorem]]:
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in _FORM and not module.name.startswith("_"):
            theorem = import_module(f"{package.__name__}.{module.name}").THEOREM
            yield theorem.name, theorem


registry: dict[str, Theorem] = dict(_collect())
"""Every theorem by name; one per file of this folder."""


@dataclass(frozen=True)
class Report:
    """A theorem after ``run``.

    Attributes
    ----------
    theorem
        What was run.
    proof
        What ``prove`` found.
    instances, failures
        Drawn instances, and on how many of them the conclusion failed.
    tightest_slack
        Smallest slack seen (see ``Check.slack``).
    """

    theorem: Theorem
    proof: Proof
    instances: int
    failures: int
    tightest_slack: float

    @property
    def ok(self) -> bool:
        """The expected verdict was reached and, unless the statement is false, nothing failed."""
        expected = self.proof.verdict == self.theorem.expected
        return expected and (self.failures == 0 or self.theorem.expected == "counterexample")

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for ``gramlab theorems --json``."""
        return {
            "name": self.theorem.name,
            "title": self.theorem.title,
            "kind": self.theorem.kind,
            "source": self.theorem.source,
            "statement": self.theorem.statement,
            "hypotheses": {h.name: h.statement for h in self.theorem.hypotheses},
            "proof": {
                "verdict": self.proof.verdict,
                "expected": self.theorem.expected,
                "method": self.proof.method,
                "scope": self.proof.scope,
                "evidence": list(self.proof.evidence),
            },
            "check": {
                "instances": self.instances,
                "failures": self.failures,
                "tightest_slack": self.tightest_slack,
            },
            "ok": self.ok,
        }


def find(name: str) -> Theorem:
    """The theorem of that name.

    Raises
    ------
    InvalidSetting
        If there is none; the names are listed.
    """
    if name not in registry:
        raise InvalidSetting(f"unknown theorem {name!r}; known are {', '.join(sorted(registry))}")
    return registry[name]


def run(theorem: Theorem, instances: int = 100, seed: int = 0) -> Report:
    """Prove a theorem and check it on ``instances`` drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    checks = [theorem.check(theorem.draw(rng)) for _ in range(instances)]
    return Report(
        theorem=theorem,
        proof=theorem.prove(),
        instances=instances,
        failures=sum(not check.holds for check in checks),
        tightest_slack=min((abs(check.slack) for check in checks), default=float("nan")),
    )


def refuted(theorem: Theorem, instances: int, seed: int) -> dict[str, int | None]:
    """Number of the first draw that refutes each planted variant; ``None`` where none does.

    Parameters
    ----------
    theorem
        Whose variants.
    instances, seed
        As for ``run``, and the draws are the same.
    """
    return {
        variant: _first_failure(theorem.draw, check, instances, seed)
        for variant, check in theorem.planted.items()
    }


def dropped(theorem: Theorem, instances: int, seed: int) -> dict[str, int | None]:
    """Number of the first draw without each hypothesis on which the conclusion fails.

    Hypotheses that the statement merely needs to make sense are left out; ``None`` stands where
    the conclusion did not fail.
    """
    return {
        hypothesis.name: _first_failure(hypothesis.without, theorem.check, instances, seed)
        for hypothesis in theorem.hypotheses
        if hypothesis.without is not None
    }


def _first_failure(
    draw: Callable[[np.random.Generator], Instance],
    check: Callable[[Instance], Check],
    instances: int,
    seed: int,
) -> int | None:
    rng = np.random.default_rng(seed)
    numbers = range(1, instances + 1)
    return next((number for number in numbers if not check(draw(rng)).holds), None)
