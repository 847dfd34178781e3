"""All theorems by name, and the one way to run them."""

import pkgutil
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import numpy as np

import gramlab.theorems as package
from gramlab.errors import InvalidSetting
from gramlab.theorems.form import Proof, Theorem

__all__ = ["Report", "dropped", "find", "refuted", "registry", "run"]

_found = (
    import_module(f"{package.__name__}.{module.name}").THEOREM
    for module in pkgutil.iter_modules(package.__path__)
    if module.name not in {"catalogue", "form", "steps"} and not module.name.startswith("_")
)
registry: dict[str, Theorem] = {theorem.name: theorem for theorem in _found}
"""Every theorem by name; one per file of this folder."""


@dataclass(frozen=True)
class Report:
    """A theorem after ``run``: its proof, and on how many drawn instances the conclusion failed.

    ``tightest_slack`` is the smallest slack seen (see ``Check``).
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
        told, counted = ("name", "title", "kind", "source", "statement"), ("instances", "failures")
        verdicts = {"verdict": self.proof.verdict, "expected": self.theorem.expected}
        return {
            **{name: getattr(self.theorem, name) for name in told},
            "hypotheses": {h.name: h.statement for h in self.theorem.hypotheses},
            "proof": {**verdicts, **asdict(self.proof), "evidence": list(self.proof.evidence)},
            "check": {name: getattr(self, name) for name in (*counted, "tightest_slack")},
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
    failures = sum(not check.holds for check in checks)
    tightest = min((abs(check.slack) for check in checks), default=float("nan"))
    return Report(theorem, theorem.prove(), instances, failures, tightest)


def refuted(theorem: Theorem, instances: int, seed: int) -> dict[str, int | None]:
    """Number of the first draw of ``run`` that refutes each planted variant; ``None`` if none."""
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


def _first_failure(draw: Any, check: Any, instances: int, seed: int) -> int | None:
    rng = np.random.default_rng(seed)
    numbers = range(1, instances + 1)
    return next((number for number in numbers if not check(draw(rng)).holds), None)
