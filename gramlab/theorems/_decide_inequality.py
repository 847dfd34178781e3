"""Decide a polynomial inequality over the reals by refuting its negation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import z3

from gramlab.theorems.form import Verdict

__all__ = ["decide", "reals", "verdict_of", "weakest"]

_TIMEOUT = 20_000  # milliseconds


def reals(names: str) -> list[Any]:
    """Real variables by their names, separated by spaces."""
    return list(z3.Reals(names))


def decide(
    claim: str, given: Sequence[Any], conclusion: Any, timeout: int = _TIMEOUT
) -> tuple[Verdict, str]:
    """Whether ``given`` implies ``conclusion`` over the reals, with one line of evidence."""
    solver = z3.SolverFor("QF_NRA")
    solver.set("timeout", timeout)
    solver.add(*given)
    solver.add(z3.Not(conclusion))
    verdict, words = verdict_of(solver)
    return verdict, f"{claim}: {words}"


def verdict_of(solver: z3.Solver) -> tuple[Verdict, str]:
    """What z3 says of a claim whose negation the solver holds, and in words.

    "unsat" is a proof, "sat" a counterexample whose numbers are told; an answer that is neither,
    such as a timeout, says nothing.
    """
    answer = solver.check()
    if answer == z3.unsat:
        return "proved", "z3 finds the negation unsatisfiable"
    if answer == z3.sat:
        model = solver.model()
        values: Mapping[str, str] = {str(name): str(model[name]) for name in model}
        return "counterexample", f"fails at {values}"
    return "unknown", f"z3 gives up ({solver.reason_unknown()})"


def weakest(*verdicts: Verdict) -> Verdict:
    """Verdict of a proof made of all these steps: a failed step leaves the theorem unknown."""
    return "proved" if all(verdict == "proved" for verdict in verdicts) else "unknown"
