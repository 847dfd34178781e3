"""The steps that a proof is made of, and the verdict that they add up to.

A proof is a list of steps in the order in which a reader takes them: an identity that sympy brings
to zero, an implication that z3 decides, a truth found in another exact way, and plain sentences for
what is done by hand. What the evidence shows is what was decided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
import z3

from gramlab.theorems.form import Level, Proof, Verdict

__all__ = [
    "Step",
    "holds",
    "implications",
    "implies",
    "proof",
    "reals",
    "refutation",
    "vanish",
    "zero",
]


@dataclass(frozen=True)
class Step:
    """One decided step: its own verdict, and the line of evidence that tells it."""

    verdict: Verdict
    line: str


def reals(names: str) -> list[Any]:
    """Real variables for ``implies``, by their names, separated by spaces."""
    return list(z3.Reals(names))


def _reduced(residual: Any) -> Any:
    expanded = sp.expand(residual)
    return 0 if expanded == 0 else sp.simplify(expanded)


def vanish(residuals: Iterable[Any]) -> bool:
    """Whether sympy brings every residual to 0."""
    return all(_reduced(residual) == 0 for residual in residuals)


def zero(line: str, *residuals: Any) -> Step:
    """An identity, by residuals that sympy must bring to 0; what is left is shown at ``{}``.

    Lists of residuals must be 0 throughout.
    """
    good = True
    for residual in residuals:
        entries = residual if isinstance(residual, Sequence) else [residual]
        left = [_reduced(entry) for entry in entries]
        line = line.replace("{}", str(left if entries is residual else left[0]), 1)
        good = good and all(entry == 0 for entry in left)
    return Step("proved" if good else "unknown", line)


def holds(claim: str, truth: bool) -> Step:
    """A claim that was found true or not, exactly; shown at ``{}`` in the claim or behind it."""
    line = claim if "{}" in claim else f"{claim}: {{}}"
    return Step("proved" if truth else "unknown", line.replace("{}", str(bool(truth)), 1))


def implies(claim: str, given: Sequence[Any], conclusion: Any, timeout: float = 20.0) -> Step:
    """Whether ``given`` implies ``conclusion`` over the reals, by refuting the negation with z3.

    "unsat" is a proof, "sat" a counterexample whose numbers are told. An answer that is neither,
    such as none within ``timeout`` seconds, says nothing.
    """
    solver = z3.SolverFor("QF_NRA")
    solver.set("timeout", int(1000 * timeout))
    solver.add(*given, z3.Not(conclusion))
    answer = solver.check()
    if answer == z3.unsat:
        return Step("proved", f"{claim}: z3 finds the negation unsatisfiable")
    if answer == z3.sat:
        model = solver.model()
        values = {str(name): str(model[name]) for name in model}
        return Step("counterexample", f"{claim}: fails at {values}")
    return Step("unknown", f"{claim}: z3 gives up ({solver.reason_unknown()})")


def implications(given: Sequence[Any], conclusions: Mapping[str, Any]) -> list[Step]:
    """What ``given`` implies, claim by claim."""
    return [implies(claim, given, conclusion) for claim, conclusion in conclusions.items()]


def proof(method: str, scope: str, *steps: Step | str) -> Proof:
    """The proof made of these steps; a text is a step by hand.

    It proves the theorem if every decided step is proved, and else leaves it unknown: where a step
    fails the proof is wrong, which says nothing of the statement. Its level is "decided" if no
    step is by hand and neither method nor scope says so.
    """
    return _made("proved", method, scope, steps)


def refutation(method: str, scope: str, *steps: Step | str) -> Proof:
    """The counterexample that these steps establish; unknown if one of them fails.

    Each decided step is a claim on fixed numbers that contradicts the statement.
    """
    return _made("counterexample", method, scope, steps)


def _made(verdict: Verdict, method: str, scope: str, steps: Sequence[Step | str]) -> Proof:
    decided = [step for step in steps if isinstance(step, Step)]
    good = bool(decided) and all(step.verdict == "proved" for step in decided)
    evidence = tuple(step.line if isinstance(step, Step) else step for step in steps)
    by_hand = len(decided) < len(steps) or any("by hand" in t.lower() for t in (method, scope))
    level: Level = "asserted" if not decided else "core" if by_hand else "decided"
    return Proof(verdict if good else "unknown", method, scope, evidence, level)
