"""The fixed form of a theorem: what it says, how it is proved and checked, how it could fail.

One theorem is one file with one ``THEOREM``. The same generic test walks all of them: the
conclusion must hold on every drawn instance, come near to equality where it claims to be sharp,
fail where a needed hypothesis is dropped, and every planted false variant must be refuted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gramlab.errors import one_line

__all__ = [
    "SHAKEN",
    "Argument",
    "Check",
    "Held",
    "Hypothesis",
    "Instance",
    "Kind",
    "Level",
    "Proof",
    "Rocq",
    "Theorem",
    "Verdict",
    "bound",
    "equal",
    "variants",
]

Verdict = Literal["proved", "counterexample", "unknown"]
Level = Literal["kernel", "decided", "core", "asserted"]
Kind = Literal["identity", "upper bound", "lower bound", "sufficient", "necessary and sufficient"]
Instance = Mapping[str, Any]

SHAKEN = "rests on a refuted theorem"
"""What is said of a theorem, whatever its own proof, when one fails with which it falls."""


@dataclass(frozen=True)
class Proof:
    """What ``prove`` found; the verdict ``"unknown"`` is never to be read as true.

    ``method`` names the decision procedure ("sympy", "z3", "ball arithmetic") and what was done by
    hand. ``scope`` says plainly which sizes are symbolic and which are fixed; a verified case is no
    proof for all. ``evidence`` holds lines a reader can follow: what was reduced to what, or the
    numbers of the counterexample.

    ``level`` says what stands behind the verdict: ``"kernel"``, a proof kernel checked all of it;
    ``"decided"``, a machine decided all of it; ``"core"``, a machine decided the core and steps by
    hand remain; ``"asserted"``, nobody but the author. It is no argument: ``steps.proof`` and
    ``steps.refutation`` set it from the steps that a procedure decided, ``record.kernel_proof``
    from what was recorded of the kernel, and a copy with anything replaced is asserted again.
    """

    verdict: Verdict
    method: str
    scope: str
    evidence: tuple[str, ...]
    level: Level = field(default="asserted", init=False)


@dataclass(frozen=True)
class Check:
    """Whether the conclusion holds on one instance, up to a stated rounding tolerance.

    ``slack`` of a bound is (bound − value)/bound, 0 where tight; of an identity, the residual over
    the tolerance; of a condition, the distance of the decisive quantity from its threshold.
    """

    holds: bool
    slack: float

    def also(self, condition: Any) -> Check:
        """The same, if the condition is true as well."""
        return Check(bool(self.holds and condition), self.slack)


@dataclass(frozen=True)
class Held:
    """Whether a hypothesis holds on one instance, and the number that shows it."""

    holds: bool
    why: str


@dataclass(frozen=True)
class Hypothesis:
    """One hypothesis: a short name and its statement in LaTeX.

    ``without`` draws an instance on which only this hypothesis fails and so does the conclusion;
    it is ``None`` where the theorem merely needs the hypothesis to make sense. ``test`` decides it
    on an instance; it is ``None`` where the hypothesis only says what a symbol stands for.
    """

    name: str
    statement: str
    without: Callable[[np.random.Generator], Instance] | None = None
    test: Callable[[Instance], Held] | None = None


def _as_passed(name: str, value: Any, sizes: dict[str, int]) -> Any:
    return value


@dataclass(frozen=True, repr=False)
class Argument:
    """What a theorem takes by keyword, for instances of somebody's own.

    Attributes
    ----------
    words
        What it is, in a line, with its shape.
    read
        Makes of a name, of what was passed by it, and of the sizes of letters in shapes so far what
        an instance holds; it refuses what has no meaning, and adds the sizes of new letters.
    default
        What an instance holds where nothing is passed, or a function that makes it of the instance
        so far; without one the argument must be passed.
    key
        Its name in the instance, where that is another.
    """

    words: str
    read: Callable[[str, Any, dict[str, int]], Any] = _as_passed
    default: Any = Parameter.empty
    key: str = ""

    def __repr__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Rocq:
    """Where the Rocq proof of a theorem is.

    ``file`` is a file of gramlab/theorems/rocq by its name, or a .v file of one's own by its path.
    ``theorems`` are the names there of what states the theorem, or refutes it where it is kept
    because it is false. ``covers`` says which part they state; it is empty where that is all.
    """

    file: str | Path
    theorems: tuple[str, ...]
    covers: str = ""


@dataclass(frozen=True, repr=False)
class Theorem:
    """A theorem in the fixed form.

    Attributes
    ----------
    name, title
        The file's name with dashes, and a few words.
    source
        Mark and place: "P" stated by the paper, "C" read off the authors' code, "D" derived here,
        or a reference.
    kind
        What sort of statement it is.
    hypotheses, statement
        One by one, and in LaTeX.
    draw
        Draws an instance on which all hypotheses hold.
    check
        The conclusion on an instance.
    prove
        Decides the statement, with evidence; ``None`` where the Rocq proof covers all of it.
    kernel
        Where the Rocq proof is, if there is one.
    uses
        Names of the theorems that the argument on paper rests on. The theorem falls with them,
        unless a Rocq proof of all of it does without their Rocq files.
    planted
        False variants (factor 2, transposed C, strict for non-strict, a round more), each refuted
        by some drawn instance.
    tight_within
        Bounds that claim to be sharp: some drawn instance has at most this slack.
    expected
        The verdict that the proof must reach; ``"counterexample"`` for statements kept because
        they are false.
    paper
        Where the paper has it, by the paper's own numbers ("Theorem 4.1"), as far as known.
    runs
        Public code that ``check`` runs, so that the statement is tied to what users call; empty
        where both sides are computed by dense code of the check alone.
    arguments
        What makes an instance of somebody's own features, matrices and settings (see ``check``):
        an ``Argument`` for each, or the words alone of what is taken as it is passed.
    instance
        Makes the instance of what was read, by its keys, where more is to be done than to read.
    """

    name: str
    title: str
    source: str
    kind: Kind
    hypotheses: tuple[Hypothesis, ...]
    statement: str
    draw: Callable[[np.random.Generator], Instance]
    check: Callable[[Instance], Check]
    prove: Callable[[], Proof] | None = None
    kernel: Rocq | None = None
    uses: tuple[str, ...] = ()
    planted: Mapping[str, Callable[[Instance], Check]] = field(default_factory=dict)
    tight_within: float | None = None
    expected: Verdict = "proved"
    paper: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    arguments: Mapping[str, str | Argument] = field(default_factory=dict)
    instance: Callable[..., Instance] | None = None

    def __repr__(self) -> str:
        told = f"{self.name}: {self.title}; {self.kind}; {self.source}"
        return f"<Theorem {one_line(told, 400)}>"


def variants(check: Callable[..., Check], *names: str) -> dict[str, Callable[[Instance], Check]]:
    """Planted variants by name, of a check that is told the name as ``variant``."""
    return {name: partial(check, variant=name) for name in names}


def equal(left: Any, right: Any, tolerance: float) -> Check:
    """Identity check: the largest difference against a backward-error tolerance."""
    difference = float(np.abs(np.asarray(left) - np.asarray(right)).max())
    exact = 0.0 if difference == 0 else np.inf  # where nothing is left to rounding
    slack = difference / tolerance if tolerance > 0 else exact
    return Check(bool(difference <= tolerance), float(slack))


def bound(value: float, limit: float, tolerance: float = 0.0) -> Check:
    """Upper-bound check value ≤ limit + tolerance, with its relative slack."""
    scale = abs(limit) if limit else 1.0
    return Check(bool(value <= limit + tolerance), float((limit - value) / scale))
