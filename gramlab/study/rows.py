"""Rows of a study, one per head: which belong together, and which column of a table each one is.

A row is a mapping with the setting it was fitted in (features, preparation, noise, rate, seed,
weight decay), the method, and what was measured. A group is all rows of one setting but for rate
and seed; heads whose weight decay was tuned belong to the group of every weight decay.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gramlab.errors import InvalidSetting

__all__ = ["PLL", "TEACHER", "Column", "Group", "Row", "column_of", "groups"]

Row = Mapping[str, Any]

PLL = ("top2-ce", "top2-gce")
"""Methods of the partial-label student: cross entropy, and the paper's robust loss."""

# Name of each method, in the order of the columns, and what else tells its heads apart.
_METHODS: dict[str, tuple[str, tuple[str, ...]]] = {
    "distill": ("round", ()),
    "top2-ce": ("PLL (CE)", ()),
    "top2-gce": ("PLL (GCE)", ()),
    "mixture": ("mixture", ()),
    "tuned": ("tuned", ("selected_on",)),
    "ablation": ("ablation", ("targets", "loss", "start")),
    "published": ("SGD", ("stopping", "loss")),
}
_SETTING = ("features", "preparation", "noise", "weight_decay_name")


@dataclass(frozen=True)
class Column:
    """What was done, apart from the setting: one column of a table, one bar of a figure.

    ``round`` is t where the method has rounds, ``detail`` what else tells its heads apart. A head
    that ``selects_on_test`` was chosen by its accuracy on test rows, which is no fair score.
    """

    method: str
    round: int | None = None
    detail: tuple[str, ...] = ()
    selects_on_test: bool = False

    @property
    def label(self) -> str:
        """Its name in a table."""
        name, _ = _METHODS[self.method]
        if self.method == "distill":
            return f"{name} {self.round}" + " (teacher)" * (self.round == 1)
        if self.method == "published":
            stopping, loss = self.detail
            return f"{name} {stopping}, {'PLL (GCE)' if loss == 'gce' else f'round {self.round}'}"
        return f"{name}: {', '.join(self.detail)}" if self.detail else name


TEACHER = Column("distill", 1)


def column_of(row: Row) -> Column:
    """The column of a row.

    Raises
    ------
    InvalidSetting
        If it has no method, or one that is not known.
    """
    method = row.get("method")
    if method not in _METHODS:
        raise InvalidSetting(
            f"method of a row must be one of {', '.join(_METHODS)}, got {method!r}: pass rows as "
            "the study writes them"
        )
    detail = tuple(str(row.get(part)) for part in _METHODS[method][1])
    number = row.get("round") if method in ("distill", "published") else None
    return Column(method, number, detail, row.get("selected_on") == "test")


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of one setting by (column, rate, seed); the weight decay by its name in the study."""

    features: str
    preparation: str
    noise: str
    weight_decay: str
    rows: Mapping[tuple[Column, float, int], Row]

    def knowing(self, measure: str) -> Group:
        """The same setting, with only the rows that know this measure."""
        known = {place: row for place, row in self.rows.items() if _knows(row, measure)}
        return replace(self, rows=known)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column: rounds first, then students, baselines, parts and published runs."""

        def place(column: Column) -> tuple[Any, ...]:
            return (list(_METHODS).index(column.method), column.detail, column.round or math.inf)

        return tuple(sorted({column for column, _, _ in self.rows}, key=place))

    @property
    def rates(self) -> tuple[float, ...]:
        """Every rate, ascending."""
        return tuple(sorted({rate for _, rate, _ in self.rows}))

    @property
    def rounds(self) -> tuple[Column, ...]:
        """Rounds of plain distillation, the teacher first."""
        return tuple(column for column in self.columns if column.method == "distill")

    @property
    def title(self) -> str:
        """The setting in words."""
        parts = (self.features, self.preparation, f"{self.noise} noise")
        return ", ".join(p for p in parts if p) + f", {self.weight_decay} weight decay"

    def setting(self) -> dict[str, str]:
        """The setting as plain data, by the names that rows use."""
        values = (self.features, self.preparation, self.noise, self.weight_decay)
        return dict(zip(_SETTING, values, strict=True))

    def values(self, column: Column, rate: float, measure: str) -> dict[int, float]:
        """One measure by seed, where it is known."""
        seeds = sorted({seed for _, _, seed in self.rows})
        rows = {seed: self.rows.get((column, rate, seed), {}) for seed in seeds}
        return {seed: float(row[measure]) for seed, row in rows.items() if _knows(row, measure)}

    def mean(self, column: Column, rate: float, measure: str) -> float | None:
        """Mean of one measure over seeds; None where it is not known."""
        values = self.values(column, rate, measure).values()
        return statistics.fmean(values) if values else None


def _knows(row: Row, measure: str) -> bool:
    value = row.get(measure)
    return value is not None and math.isfinite(value)


def groups(rows: Sequence[Row]) -> list[Group]:
    """Sort rows into groups, in the order in which the groups appear.

    Raises
    ------
    InvalidSetting
        If two rows claim one place, if a rate or seed is missing, or a method is not known.
    """
    found: dict[tuple[str, ...], dict[tuple[Column, float, int], Row]] = {}
    # Tuned heads come last, when all groups that they belong to are known.
    for number, row in sorted(enumerate(rows), key=lambda one: one[1].get("method") == "tuned"):
        column, rate, seed = column_of(row), row.get("rate"), row.get("seed")
        if rate is None or seed is None:
            raise InvalidSetting(
                f"rows must have a rate and a seed, got rate {rate!r}, seed {seed!r} in row "
                f"{number}: pass rows as the study writes them"
            )
        setting = tuple(str(row.get(name) or "") for name in _SETTING)
        theirs = [setting]
        if column.method == "tuned":
            theirs = [other for other in found if other[:3] == setting[:3]] or theirs
        place = (column, float(rate), int(seed))
        for own in theirs:
            if place in found.setdefault(own, {}):
                raise InvalidSetting(
                    f"rows must differ in setting, rate, seed or method, got two of {column.label} "
                    f"at rate {rate:g}, seed {seed} (the second is row {number}): pass each result "
                    "once"
                )
            found[own][place] = row
    return [Group(*setting, rows=own) for setting, own in found.items()]
