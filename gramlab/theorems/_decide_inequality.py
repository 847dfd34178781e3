"""Decide a polynomial inequality over the reals by refuting its negation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import z3

from gramlab.theorems.form import Verdict

__all__ = ["decide", "reals", "weakest"]

_TIMEOUT = 20_000  # milliseconds


def reals(names: str) -> list[Any]:
    """Real variables by their names, separated by spaces."""
    return list(z3.Reals(names))


def decide(
    claim: str, given: Sequence[Any], conclusion: Any, timeout: int = _TIMEOUT
) -> tuple[Verdict, str]:
    """Whether ``given`` implies ``conclusion`` over the reals, with one line of evidence.

    The negation is handed to z3: "unsat" is a proof, "sat" a counterexample whose numbers are
    printed, anything else stays unknown.
    """
    solver = z3.SolverFor("QF_NRA")
    solver.set("timeout", timeout)
    solver.add(*given)
    solver.add(z3.Not(conclusion))
    answer = solver.check()
    if answer == z3.unsat:
        return "proved", f"{claim}: z3 finds the negation unsatisfiable"
    if answer == z3.sat:
        model = solver.model()
        values: Mapping[str, str] = {str(name): str(model[name]) for name in model}
        return "counterexample", f"{claim}: fails at {values}"
    return "unknown", f"{claim}: z3 gives up ({solver.reason_unknown()})"


def weakest(*verdicts: Verdict) -> Verdict:
    """Verdict of a proof made of all these steps: a failed step leaves the theorem unknown."""
    return "proved" if all(verdict == "proved" for verdict in verdicts) else "unknown"
