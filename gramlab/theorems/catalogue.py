"""All theorems by name, those of others among them, and the one way to run them."""

from __future__ import annotations

import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import import_module, util
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from gramlab.errors import GramlabError, InvalidSetting, one_line
from gramlab.theorems.dependence import check_uses, rests_on
from gramlab.theorems.form import SHAKEN, Level, Proof, Theorem
from gramlab.theorems.record import kernel_proof, recorded

__all__ = [
    "Report",
    "dropped",
    "everything",
    "find",
    "from_module",
    "from_paper",
    "prove",
    "refuted",
    "registry",
    "run",
    "run_all",
]

_modules = (
    import_module(f"{__package__}.{module.name}")
    for module in pkgutil.iter_modules([str(Path(__file__).parent)])
    if module.name not in {"catalogue", "checking"} and not module.name.startswith("_")
)
registry: dict[str, Theorem] = {
    module.THEOREM.name: module.THEOREM for module in _modules if hasattr(module, "THEOREM")
}
"""Every theorem by name; one per file of this folder."""

GROUP = "gramlab.theorems"
"""Entry points by which an installed package adds its theorems."""


@dataclass(frozen=True, repr=False)
class Report:
    """A theorem after ``run``: its proof, and on how many drawn instances the conclusion failed.

    ``tightest_slack`` is the smallest slack seen (see ``Check``). ``rests_on`` names the theorems
    with which it falls, directly or through others, and ``refuted_bases`` those of them that
    failed, where these were run as well (see ``run_all``).
    """

    theorem: Theorem
    proof: Proof
    instances: int
    failures: int
    tightest_slack: float
    rests_on: tuple[str, ...] = ()
    refuted_bases: tuple[str, ...] = ()

    @property
    def holds_alone(self) -> bool:
        """The expected verdict was reached and, unless the statement is false, nothing failed."""
        expected = self.proof.verdict == self.theorem.expected
        return expected and (self.failures == 0 or self.theorem.expected == "counterexample")

    @property
    def is_false(self) -> bool:
        """Whether the statement is known to be false, as it may be meant to be."""
        return self.proof.verdict == "counterexample"

    @property
    def ok(self) -> bool:
        """It holds alone, and so does all that it rests on."""
        return self.holds_alone and not self.refuted_bases

    @property
    def verdict(self) -> str:
        """The verdict of the proof, unless something that it rests on failed."""
        return SHAKEN if self.refuted_bases else self.proof.verdict

    @property
    def level(self) -> Level | None:
        """What stands behind the verdict of the proof; ``None`` where nothing was decided."""
        return None if self.proof.verdict == "unknown" else self.proof.level

    def __repr__(self) -> str:
        behind = f" ({self.level})" if self.level else ""
        told = (
            f"{self.theorem.name}: {self.verdict}{behind}, "
            f"{self.failures} of {self.instances} instances fail, "
            f"tightest slack {self.tightest_slack:.3g}"
        )
        return f"<Report {one_line(told, 400)}>"

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for ``gramlab theorems --json``."""
        told, counted = ("name", "title", "kind", "source", "statement"), ("instances", "failures")
        proof = {**asdict(self.proof), "evidence": list(self.proof.evidence)}
        proof |= {"verdict": self.verdict, "expected": self.theorem.expected, "level": self.level}
        return {
            **{name: getattr(self.theorem, name) for name in told},
            **{name: list(getattr(self.theorem, name)) for name in ("paper", "runs", "uses")},
            "arguments": {name: str(one) for name, one in self.theorem.arguments.items()},
            "hypotheses": {h.name: h.statement for h in self.theorem.hypotheses},
            "proof": proof,
            "kernel": _kernel_as_dict(self.theorem),
            **{name: list(getattr(self, name)) for name in ("rests_on", "refuted_bases")},
            "check": {name: getattr(self, name) for name in (*counted, "tightest_slack")},
            "ok": self.ok,
        }


def _kernel_as_dict(theorem: Theorem) -> dict[str, Any] | None:
    """Where the Rocq proof is, and what is recorded of it, as plain data."""
    if theorem.kernel is None:
        return None
    place = {"file": Path(theorem.kernel.file).name, "covers": theorem.kernel.covers}
    found = recorded(theorem)
    return {**place, "recorded": None if found is None else asdict(found)}


# ---- Which theorems there are --------------------------------------------------------------------


def find(name: str, more: Iterable[Theorem] = ()) -> Theorem:
    """The theorem of that name, of the registry, an installed package, or ``more``.

    Raises
    ------
    InvalidSetting
        If there is none; the names are listed.
    """
    if name in registry:  # whatever else is installed
        return registry[name]
    known = everything(more)
    if name not in known:
        raise InvalidSetting(f"unknown theorem {name!r}; known are {', '.join(sorted(known))}")
    return known[name]


def everything(more: Iterable[Theorem] = ()) -> dict[str, Theorem]:
    """The registry, the theorems of installed packages, and ``more``, by name.

    Raises
    ------
    InvalidSetting
        If two have one name, what an installed package offers cannot be loaded, or one rests on
        itself or on a theorem that is not there.
    """
    known = dict(registry)
    for theorem in (*_installed(), *more):
        if known.setdefault(theorem.name, theorem) is not theorem:
            raise InvalidSetting(
                f"two theorems are called {theorem.name!r} ({known[theorem.name].title!r} and "
                f"{theorem.title!r}); give yours another name"
            )
    check_uses(known)
    return known


def from_paper(place: str, known: Iterable[Theorem]) -> list[Theorem]:
    """The theorems that the paper has at a place, such as "Theorem 4.1" or "eq. (10)".

    Raises
    ------
    InvalidSetting
        If none is known to be there; the known places are listed.
    """
    theorems = list(known)
    found = [t for t in theorems if _plain(place) in map(_plain, t.paper)]
    if not found:
        places = sorted({place for t in theorems for place in t.paper})
        told = f"known are {', '.join(places)}" if places else "none of these is of the paper"
        raise InvalidSetting(f"no theorem is known to be the paper's {place!r}; {told}")
    return found


def _plain(place: str) -> str:
    return re.sub(r"[\s.()]", "", place).lower()


def from_module(name: str) -> list[Theorem]:
    """Theorems of a module, by its name or the path of its file: its THEOREM, or its THEOREMS.

    A module is imported, which runs it.

    Raises
    ------
    InvalidSetting
        If it cannot be imported, or has neither.
    """
    return _theorems_of(_imported(name), f"module {name!r}")


def _imported(name: str) -> ModuleType:
    path = Path(name).expanduser()
    try:
        if path.suffix != ".py":
            if "" not in sys.path:  # as ``python -m`` does: modules of the folder one works in
                sys.path.insert(0, "")
            return import_module(name)
        own = f"theorems_of_{path.stem}"  # a name that hides no module
        spec = util.spec_from_file_location(own, path)
        module = util.module_from_spec(spec)  # type: ignore[arg-type]  (a .py file has a spec)
        sys.modules[own] = module  # where dataclasses look for it
        spec.loader.exec_module(module)  # type: ignore[union-attr]
        return module
    except (Exception, SystemExit) as problem:  # whatever the code of somebody else raises
        raise InvalidSetting(
            f"module {name!r} cannot be imported: {_told(problem)}; give the name of a module, or "
            "the path of a .py file, that imports by itself"
        ) from problem


def _told(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {one_line(str(problem))}"


def _theorems_of(module: object, where: str) -> list[Theorem]:
    """The THEOREM or THEOREMS of a module, or what an entry point names."""
    found = getattr(module, "THEOREMS", getattr(module, "THEOREM", module))
    theorems = [found] if isinstance(found, Theorem) else found
    if isinstance(theorems, (list, tuple)) and theorems:
        if all(isinstance(one, Theorem) for one in theorems):
            return list(theorems)
    raise InvalidSetting(
        f"{where} must have a THEOREM of type gramlab.theorems.form.Theorem, or a list THEOREMS of "
        f"them, got {'neither' if found is module else type(found).__name__}; see the how-to "
        "guide on own theorems"
    )


@cache
def _installed() -> tuple[Theorem, ...]:
    """The theorems of installed packages, by the entry points of the group."""
    found: list[Theorem] = []
    for point in entry_points(group=GROUP):
        where = f"entry point {point.name!r} ({point.value}) of the group {GROUP}"
        try:
            offered = point.load()
        except (Exception, SystemExit) as problem:  # whatever somebody else's code raises
            raise InvalidSetting(
                f"{where} cannot be loaded: {_told(problem)}; mend or uninstall the package that "
                "offers it"
            ) from problem
        found += _theorems_of(offered, where)
    return tuple(found)


# ---- Running them --------------------------------------------------------------------------------


def run(theorem: Theorem, instances: int = 100, seed: int = 0) -> Report:
    """Prove a theorem and check it on ``instances`` drawn from ``seed``.

    Raises
    ------
    InvalidSetting
        If it has no proof, or its ``prove`` raises, or returns no ``Proof``.
    """
    rng = np.random.default_rng(seed)
    checks = [theorem.check(theorem.draw(rng)) for _ in range(instances)]
    failures = sum(not check.holds for check in checks)
    tightest = min((abs(check.slack) for check in checks), default=float("nan"))
    return Report(theorem, prove(theorem), instances, failures, tightest)


def run_all(
    chosen: Sequence[Theorem],
    known: Mapping[str, Theorem],
    instances: int = 100,
    seed: int = 0,
    told: Callable[[str, int, int], None] = lambda name, number, total: None,
) -> list[Report]:
    """Run theorems and all that they rest on, and report the chosen ones.

    What rests on a theorem that fails is no longer proved, whatever its own proof says. ``known``
    are all theorems by name, and ``told`` hears which of how many is run.

    Raises
    ------
    InvalidSetting
        As of ``run``.
    """
    bases = {theorem.name: rests_on(theorem, known) for theorem in chosen}
    names = dict.fromkeys([*bases, *(name for found in bases.values() for name in found)])
    reports = {}
    for number, name in enumerate(names, 1):
        told(name, number, len(names))
        reports[name] = run(known[name], instances, seed)
    failed = {name for name, one in reports.items() if not one.holds_alone or one.is_false}
    return [
        replace(
            reports[name],
            rests_on=tuple(found),
            refuted_bases=tuple(base for base in found if base in failed),
        )
        for name, found in bases.items()
    ]


def prove(theorem: Theorem) -> Proof:
    """The proof of a theorem: the recorded one of Rocq if that covers all of it, else ``prove``'s.

    Raises
    ------
    InvalidSetting
        If it has neither, or its ``prove`` raises, or returns no ``Proof``.
    """
    by_kernel = kernel_proof(theorem)
    if by_kernel is not None:
        return by_kernel
    if theorem.prove is None:
        raise InvalidSetting(
            f"theorem {theorem.name!r} has no proof; give it `prove`, or a `kernel` that covers "
            "all of it"
        )
    where = f"`prove` of the theorem {theorem.name!r}"
    try:
        found = theorem.prove()
    except GramlabError:
        raise
    except (Exception, SystemExit) as problem:  # whatever the code of somebody else raises
        raise InvalidSetting(
            f"{where} must return a Proof, but raises {_told(problem)}; mend it"
        ) from problem
    if not isinstance(found, Proof):
        raise InvalidSetting(
            f"{where} must return a gramlab.theorems.form.Proof, got {type(found).__name__}; "
            "return what gramlab.theorems.steps.proof makes"
        )
    return found


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
