"""Who voted: the label-averaging weights behind each suspect, by round.

In the linearized theory the prediction of row i after t rounds is 1/K + Σ_j h(G)^t[i, j] D_j, so
row i of h(G)^t says how much each given label contributes. The rows of the suspects are computed
in blocks, and no N×N matrix.

Source: docs/objective.md, label averaging [D]; one round is the representer-point explanation of
Yeh et al. (arXiv 1811.09720).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gramlab.numerics.text import short_repr
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import label_averaging_weights, linear_mu

__all__ = ["Explanation", "explain_rows"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """The votes behind the prediction of one ``row`` i after one number of rounds, ``round`` t.

    ``own`` is h(G)^t[i, i], the weight of the row's own given label; ``voters`` (v,) are the other
    rows j with the largest ``weights`` h(G)^t[i, j], largest first, and ``labels`` those given to
    them; ``by_class`` (K,) sums the weights of all other rows by given label.
    """

    row: int
    round: int
    own: float
    voters: np.ndarray
    weights: np.ndarray
    labels: np.ndarray
    by_class: np.ndarray

    def __repr__(self) -> str:
        return short_repr(self)

    def renumbered(self, rows: npt.NDArray[np.int64]) -> Explanation:
        """The same with ``rows`` (N,) for the numbers of rows."""
        return replace(self, row=int(rows[self.row]), voters=rows[self.voters])

    def as_dict(self, names: Sequence[str] | None = None) -> dict[str, object]:
        """Plain values; weights by class only where they are largest.

        Voters also have what they are called, by their numbers in ``names``, if there are any.
        """
        top = np.argsort(-self.by_class, kind="stable")[:3]
        voters = zip(self.voters.tolist(), self.labels.tolist(), self.weights.tolist(), strict=True)
        return {
            "round": self.round,
            "own_weight": self.own,
            "voters": [
                {"row": i, "label": label, "weight": w}
                | ({} if names is None else {"id": names[i]})
                for i, label, w in voters
            ],
            "largest_classes": [
                {"label": int(label), "weight": float(self.by_class[label])} for label in top
            ],
        }


def explain_rows(
    spectrum: Spectrum,
    given: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    weight_decay: float,
    rounds: int,
    *,
    n_classes: int,
    voters: int = 5,
) -> list[list[Explanation]]:
    """Explain rows (m,) by the given labels (N,) of the training rows that voted.

    Returns one list a row, with an entry for each of the rounds 1 … ``rounds``; ``voters`` is how
    many single voters are named.
    """
    n = spectrum.n_samples
    mu = linear_mu(n_classes, n, weight_decay)
    out: list[list[Explanation]] = [[] for _ in rows]
    step = max(1, (1 << 20) // n)  # rows whose weights are held at once
    for t in range(1, rounds + 1):
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            weights = label_averaging_weights(spectrum, block, mu, t)
            for found, row, values in zip(out[start:], block, weights, strict=False):
                own, values[row] = float(values[row]), 0.0
                by_class = np.bincount(given, values, n_classes)
                values[row] = -np.inf
                # A copy, lest each explanation keep the order of all N rows.
                top = np.argsort(-values, kind="stable")[: min(voters, n - 1)].copy()
                found.append(Explanation(int(row), t, own, top, values[top], given[top], by_class))
    return out
