"""Which of the caller's rows were diagnosed, and what the caller calls them and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidLabels
from gramlab.features import Features
from gramlab.numerics.text import short_repr

__all__ = ["Origin", "check_classes"]


@dataclass(frozen=True, eq=False)
class Origin:
    """Where the N diagnosed rows and K classes come from.

    ``rows`` (N,) are the caller's numbers of the diagnosed rows, ascending; ``set_aside`` has the
    numbers of all others, by reason. ``classes`` (K,) are the caller's labels of the classes, and
    ``identifiers`` what all rows of the caller are called, if anything. ``unlabelled`` (m, d) are
    the features, as they came, of the rows that were set aside for want of a label, if there are.
    """

    rows: npt.NDArray[np.int64]
    set_aside: Mapping[str, npt.NDArray[np.int64]]
    classes: Sequence[Any]
    identifiers: Sequence[str] | None = None
    unlabelled: np.ndarray | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return short_repr(self)

    @classmethod
    def of_all(
        cls, n_samples: int, n_classes: int, identifiers: Sequence[str] | None = None
    ) -> Origin:
        """All rows and classes, by their numbers."""
        return cls(np.arange(n_samples), {}, range(n_classes), identifiers)

    @property
    def n_rows(self) -> int:
        """Rows of the caller, those set aside included."""
        return len(self.rows) + sum(map(len, self.set_aside.values()))

    def spread(self, values: np.ndarray, fill: Any) -> np.ndarray:
        """Values of the diagnosed rows (N, …) in the caller's numbering, ``fill`` elsewhere."""
        out = np.full((self.n_rows, *values.shape[1:]), fill, dtype=values.dtype)
        out[self.rows] = values
        return out

    def labels(self, numbers: np.ndarray) -> list[Any]:
        """Class numbers (m,), -1 for none, as the caller's labels, None for none."""
        return [None if number < 0 else self.classes[number] for number in numbers.tolist()]

    def called(self, row: int) -> str:
        """The number of a row and, behind it, what the caller calls the row."""
        return str(row) if self.identifiers is None else f"{row} ({self.identifiers[row]})"

    def id_column(self, rows: Iterable[int]) -> dict[str, list[str]]:
        """What rows are called, as the column "id"; no column where rows have no identifiers."""
        known = self.identifiers
        return {} if known is None else {"id": [known[row] for row in rows]}

    def format_set_aside(self) -> str:
        """What was set aside, in a sentence; empty where nothing was."""
        if not self.set_aside:
            return ""
        told = "; ".join(
            f"{len(rows)} ({reason}): {', '.join(map(self.called, rows[:10].tolist()))}"
            + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")
            for reason, rows in self.set_aside.items()
        )
        return f"Rows that were set aside: {told}."

    def as_dict(self) -> dict[str, Any]:
        """Plain values: rows that were set aside by reason, and their identifiers if any."""
        rows = {reason: found.tolist() for reason, found in self.set_aside.items()}
        names = {reason: self.id_column(found).get("id") for reason, found in rows.items()}
        return {
            "set_aside": rows,
            "set_aside_ids": None if self.identifiers is None else names,
        }


def check_classes(features: Features) -> None:
    """Every class needs two rows: one to learn from when the other is held out; InvalidLabels."""
    counts = features.class_counts
    few = np.flatnonzero(counts < 2)
    if len(few):
        names = ", ".join(repr(features.class_names[i]) for i in few[:5])
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        raise InvalidLabels(
            f"every class must have at least 2 rows, got {int(counts[few[0]])} of class {names}"
            f"{more}: nothing can be held out of it; leave such classes out or merge them"
        )
