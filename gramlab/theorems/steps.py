"""The steps that a proof is made of, and the verdict that they add up to.

A proof is a list of steps in the order in which a reader takes them: an identity that sympy brings
to zero, an implication that z3 decides, an exact number that is positive, and sentences for what is
done by hand. What the evidence shows is what was decided: a truth value that its author passes is
no decision, and neither is a step that no procedure of this file made.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import flint
import sympy as sp
import z3

from gramlab.errors import InvalidSetting
from gramlab.theorems.form import Level, Proof, Verdict

__all__ = [
    "Step",
    "holds",
    "implications",
    "implies",
    "positive",
    "proof",
    "reals",
    "refutation",
    "vanish",
    "zero",
]


@dataclass(frozen=True)
class Step:
    """One step: its own verdict, and the line of evidence that tells it.

    ``decided`` says whether a procedure of this file found the verdict, which no caller can say.
    """

    verdict: Verdict
    line: str
    decided: bool = field(default=False, init=False)


def _decided(verdict: Verdict, line: str) -> Step:
    step = Step(verdict, line)
    object.__setattr__(step, "decided", True)
    return step


def _told(claim: str, truth: bool) -> tuple[Verdict, str]:
    """Verdict and line of a claim, with its truth at ``{}`` or behind it."""
    line = claim if "{}" in claim else f"{claim}: {{}}"
    return "proved" if truth else "unknown", line.replace("{}", str(bool(truth)), 1)


def reals(names: str) -> list[Any]:
    """Real variables for ``implies``, by their names, separated by spaces."""
    return list(z3.Reals(names))


def _reduced(residual: Any) -> Any:
    expanded = sp.expand(residual)
    return 0 if expanded == 0 else sp.simplify(expanded)


def _check_some(found: Sequence[Any], step: str, claim: str, what: str) -> None:
    if not found:
        raise InvalidSetting(
            f"{step} must have at least one {what}, got none for {claim!r}; pass what is to be "
            "decided, or leave the sentence as a text, which is a step by hand"
        )


def vanish(claim: str, residuals: Iterable[Any]) -> Step:
    """A claim that is true if sympy brings every residual to 0; its truth is shown at ``{}``.

    Raises
    ------
    InvalidSetting
        If there is no residual.
    """
    entries = list(residuals)
    _check_some(entries, "vanish", claim, "residual")
    return _decided(*_told(claim, all(_reduced(entry) == 0 for entry in entries)))


def positive(claim: str, *quantities: Any) -> Step:
    """A claim that is true if every exact quantity is above 0; its truth is shown at ``{}``.

    A quantity is a whole or rational number, a ball, all of which must be above 0, or an expression
    of sympy, by what is assumed of its symbols.

    Raises
    ------
    InvalidSetting
        If there is no quantity, or one is not exact, such as a float.
    """
    _check_some(quantities, "positive", claim, "quantity")
    for quantity in quantities:
        exact = isinstance(quantity, (int, Fraction, flint.fmpq, flint.arb, sp.Expr))
        if not exact or isinstance(quantity, (bool, sp.Float)):
            raise InvalidSetting(
                f"positive takes exact numbers, got a {type(quantity).__name__} for {claim!r}; "
                "pass a whole number, a Fraction, a ball or an expression of sympy"
            )
    return _decided(*_told(claim, all(_is_positive(quantity) for quantity in quantities)))


def _is_positive(quantity: Any) -> bool:
    if isinstance(quantity, sp.Expr):
        return bool(quantity.is_positive)  # None where sympy cannot tell
    return bool(quantity > 0)


def zero(line: str, *residuals: Any) -> Step:
    """An identity, by residuals that sympy must bring to 0; what is left is shown at ``{}``.

    Lists of residuals must be 0 throughout.

    Raises
    ------
    InvalidSetting
        If there is no residual, or an empty list of them.
    """
    _check_some(residuals, "zero", line, "residual")
    good = True
    for residual in residuals:
        entries = residual if isinstance(residual, Sequence) else [residual]
        _check_some(entries, "zero", line, "residual")
        left = [_reduced(entry) for entry in entries]
        line = line.replace("{}", str(left if entries is residual else left[0]), 1)
        good = good and all(entry == 0 for entry in left)
    return _decided("proved" if good else "unknown", line)


def holds(claim: str, truth: bool) -> Step:
    """A claim of its author, true or not; shown at ``{}`` in the claim or behind it.

    Nobody sees how the truth was found, so it counts as a step by hand. ``zero``, ``vanish``,
    ``positive`` and ``implies`` decide theirs.
    """
    return Step(*_told(claim, truth))


def implies(claim: str, given: Sequence[Any], conclusion: Any, timeout: float = 20.0) -> Step:
    """Whether ``given`` implies ``conclusion`` over the reals, by refuting the negation with z3.

    "unsat" is a proof, "sat" a counterexample whose numbers are told. An answer that is neither,
    such as none within ``timeout`` seconds, says nothing; and neither does a proof from premises
    that z3 cannot satisfy, since anything follows from a contradiction.
    """
    answer, solver = _asked([*given, z3.Not(conclusion)], timeout)
    if answer == z3.sat:
        model = solver.model()
        values = {str(name): str(model[name]) for name in model}
        return _decided("counterexample", f"{claim}: fails at {values}")
    if answer == z3.unsat:
        answer, solver = _asked(given, timeout)
        if answer == z3.sat:
            return _decided("proved", f"{claim}: z3 finds the negation unsatisfiable")
        if answer == z3.unsat:
            return _decided("unknown", f"{claim}: what is given contradicts itself")
    return _decided("unknown", f"{claim}: z3 gives up ({solver.reason_unknown()})")


def _asked(claims: Sequence[Any], timeout: float) -> tuple[Any, Any]:
    """What z3 answers to the claims together, and the solver that it came from."""
    solver = z3.SolverFor("QF_NRA")
    solver.set("timeout", int(1000 * timeout))
    solver.add(*claims)
    return solver.check(), solver


def implications(given: Sequence[Any], conclusions: Mapping[str, Any]) -> list[Step]:
    """What ``given`` implies, claim by claim."""
    return [implies(claim, given, conclusion) for claim, conclusion in conclusions.items()]


def proof(method: str, scope: str, *steps: Step | str) -> Proof:
    """The proof made of these steps; a text is a step by hand.

    It proves the theorem if every step but the texts is proved, and else leaves it unknown: where a
    step fails the proof is wrong, which says nothing of the statement. Its level is "decided" if a
    procedure decided every step and neither method nor scope says "by hand", "core" if it decided
    some, and else "asserted", as of ``holds`` and texts alone.
    """
    return _made("proved", method, scope, steps)


def refutation(method: str, scope: str, *steps: Step | str) -> Proof:
    """The counterexample that these steps establish; unknown if one of them fails.

    Each decided step is a claim on fixed numbers that contradicts the statement.
    """
    return _made("counterexample", method, scope, steps)


def _made(verdict: Verdict, method: str, scope: str, steps: Sequence[Step | str]) -> Proof:
    claims = [step for step in steps if isinstance(step, Step)]
    good = bool(claims) and all(step.verdict == "proved" for step in claims)
    evidence = tuple(step.line if isinstance(step, Step) else step for step in steps)
    made = Proof(verdict if good else "unknown", method, scope, evidence)
    decided = sum(step.decided for step in claims)
    by_hand = decided < len(steps) or any("by hand" in t.lower() for t in (method, scope))
    level: Level = "asserted" if not decided else "core" if by_hand else "decided"
    object.__setattr__(made, "level", level)  # no argument, which anybody could pass
    return made
