"""A theorem on one's own instance: what it supposes, tested; then its conclusion, with slack."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gramlab.errors import InvalidSetting
from gramlab.numerics.text import html_table
from gramlab.theorems.catalogue import find
from gramlab.theorems.form import Argument, Held, Instance, Kind, Theorem

__all__ = ["CheckReport", "check"]


@dataclass(frozen=True, repr=False)
class CheckReport:
    """What a theorem says of one instance.

    Attributes
    ----------
    theorem
        Its name.
    hypotheses
        Each hypothesis by name: whether it holds, and the number that shows it. One that only says
        what a symbol stands for holds by definition.
    holds
        Whether the conclusion holds, up to rounding; ``None`` where a hypothesis fails without
        which it has no meaning.
    slack
        As of :class:`~gramlab.theorems.form.Check`; NaN where ``holds`` is ``None``. It is shown of
        a bound alone: of a condition that decides nothing here it is below 0 while all is well.
    kind
        What sort of statement the theorem is.
    """

    theorem: str
    hypotheses: Mapping[str, Held]
    holds: bool | None
    slack: float
    kind: Kind

    @property
    def applies(self) -> bool:
        """Whether every hypothesis holds, so that the theorem promises the conclusion."""
        return all(held.holds for held in self.hypotheses.values())

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {**asdict(self), "applies": self.applies}

    def __repr__(self) -> str:
        found = {None: "no conclusion", True: "holds", False: "FAILS"}[self.holds]
        slack = (
            f", slack {self.slack:.3g}" if "bound" in self.kind and self.holds is not None else ""
        )
        failing = [f"{k} ({held.why})" for k, held in self.hypotheses.items() if not held.holds]
        kept = {0: "no hypotheses", 1: "its hypothesis holds"}.get(
            len(self.hypotheses), f"all {len(self.hypotheses)} hypotheses hold"
        )
        supposed = f"does not apply, for want of {'; '.join(failing)}" if failing else kept
        return f"<{self.theorem}: {found}{slack}; {supposed}>"

    def _repr_html_(self) -> str:
        rows = [
            {"name": name, "holds": "yes" if held.holds else "NO", "why": held.why}
            for name, held in self.hypotheses.items()
        ]
        columns = (("hypothesis", "name", ""), ("holds", "holds", ""), ("shown by", "why", ""))
        return html_table(rows, columns, repr(self))


def check(theorem: str | Theorem, /, **arguments: Any) -> CheckReport:
    """Test a theorem's hypotheses on an instance of one's own, and then its conclusion.

    Parameters
    ----------
    theorem
        A name of the registry or of an installed package, or the theorem itself.
    **arguments
        Features, matrices and settings, as ``find(name).arguments`` and ``gramlab theorems NAME``
        list them with their shapes.

    Raises
    ------
    InvalidSetting
        If the theorem is unknown or takes no instances, or an argument is missing, unknown, or of
        the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> from gramlab.theorems import check
    >>> check("perturbation", gram=np.eye(3), other=1.1 * np.eye(3), mu=1.0, rounds=2)
    <perturbation: holds, slack 0.188; all 2 hypotheses hold>
    """
    found = theorem if isinstance(theorem, Theorem) else find(theorem)
    instance = _instance(found, arguments)
    by_definition = Held(True, "by definition")
    held = {h.name: h.test(instance) if h.test else by_definition for h in found.hypotheses}
    # Without a hypothesis that could be dropped the conclusion can still be looked at.
    if all(held[h.name].holds or h.without is not None for h in found.hypotheses):
        one = found.check(instance)
        return CheckReport(found.name, held, bool(one.holds), float(one.slack), found.kind)
    return CheckReport(found.name, held, None, float("nan"), found.kind)


def _instance(theorem: Theorem, given: Mapping[str, Any]) -> Instance:
    """The instance that a theorem makes of what was passed."""
    told = theorem.arguments
    reads = any(isinstance(one, Argument) for one in told.values())
    takes = {n: one if isinstance(one, Argument) else Argument(one) for n, one in told.items()}
    if theorem.instance is None and not reads:
        raise InvalidSetting(
            f"theorem {theorem.name!r} takes no instance of one's own, only those that it draws; "
            "give it `arguments`, or see gramlab theorems for others"
        )
    if reads:
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [inspect.Parameter(n, kind, default=one.default) for n, one in takes.items()]
        signature = inspect.Signature(parameters)
    else:
        signature = inspect.signature(theorem.instance)  # type: ignore[arg-type]
    try:
        signature.bind(**given)
    except TypeError as problem:
        words = "; ".join(f"{name}: {one}" for name, one in told.items())
        raise InvalidSetting(f"theorem {theorem.name!r}: {problem}; it takes {words}") from problem
    if not reads and theorem.instance is not None:
        return theorem.instance(**given)
    made: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for name, one in takes.items():
        value = given.get(name)  # None stands for nothing
        if value is not None or one.default is inspect.Parameter.empty:
            found = one.read(name, value, sizes)
        else:
            found = one.default(made) if callable(one.default) else one.default
        made[one.key or name] = found
    return theorem.instance(**made) if theorem.instance else made
