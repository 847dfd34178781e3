"""What is known of each class: how many of its labels are suspected, and how far that goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.suspects import Suspects
from gramlab.numerics.text import short_repr
from gramlab.transition import TransitionEstimate

__all__ = ["ClassSummary", "some_names"]


@dataclass(frozen=True, eq=False)
class ClassSummary:
    """The K classes with what was found of each, those in most doubt first.

    ``names`` (K,) are the classes', ``given`` labels those of the diagnosed rows (N,).
    """

    names: Sequence[str] = field(repr=False)
    given: npt.NDArray[np.int64]
    estimate: TransitionEstimate
    suspects: Suspects

    def __repr__(self) -> str:
        return short_repr(self)

    def columns(self) -> dict[str, list[Any]]:
        """The classes in their order, as columns of plain values.

        Of the rows that were given the label k of the ``class``: how many there are (``rows``),
        how many are ``suspected``, what share (``share_suspected``, 0 where there are no rows), and
        how many suspects are claimed to be wrong (``claimed_wrong``, None where nothing is
        claimed). Of the rows that truly are of the class: the ``share_right`` that was given its
        label, C[k, k], in the interval of its own from ``share_right_low`` to ``share_right_high``,
        and the ``confident_rows`` that the interval rests on. ``unsupported`` classes have none
        that say anything, and labels alone may not tell a class from those in ``tied_with``.

        The order is that of ``share_right_low``, the lowest first; of equals, more of whose labels
        are suspected.
        """
        of, suspects, k = self.estimate, self.suspects, len(self.estimate.matrix)
        rows, found = (np.bincount(labels, minlength=k) for labels in (self.given, suspects.given))
        share = found / np.maximum(rows, 1)
        claimed = np.bincount(suspects.given, suspects.precision, minlength=k).tolist()
        low = np.diag(of.lower)
        tied: list[list[int]] = [[] for _ in range(k)]
        for pair in of.tied:
            for one, other in (pair, pair[::-1]):
                if other not in tied[one]:
                    tied[one].append(other)
        columns = {
            "class": list(range(k)),
            "rows": rows.tolist(),
            "suspected": found.tolist(),
            "share_suspected": share.tolist(),
            "claimed_wrong": [None] * k if suspects.withheld else claimed,
            "share_right": np.diag(of.matrix).tolist(),
            "share_right_low": low.tolist(),
            "share_right_high": np.diag(of.upper).tolist(),
            "confident_rows": of.counts.tolist(),
            "unsupported": of.unsupported.tolist(),
            "tied_with": tied,
        }
        order = np.lexsort((-share, low)).tolist()
        return {name: [values[i] for i in order] for name, values in columns.items()}

    def format_tied(self) -> str:
        """Which classes labels may not tell apart, in a sentence; empty where there are none."""
        classes = dict.fromkeys(k for pair in self.estimate.tied for k in pair)
        if not classes:
            return ""
        return (
            "Labels alone may not tell some classes apart: "
            f"{some_names([self.names[k] for k in classes])}. "
            "Look at some of their rows before believing what is said of these."
        )

    def format_unsupported(self) -> str:
        """Of which classes nothing is known, in a sentence; empty where there are none."""
        of = self.estimate
        names = [self.names[k] for k in np.flatnonzero(of.unsupported).tolist()]
        if not names:
            return ""
        share = 100.0 * float(of.prior[of.unsupported].sum())
        return (
            f"Nothing can be said about the labels of {len(names)} of the {len(of.unsupported)} "
            f"classes ({share:.3g} % of the rows), as heads are not sure enough of any of their "
            f"rows: {some_names(names)}."
        )


def some_names(names: Sequence[str]) -> str:
    """The first ten of some names, and how many more there are."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
