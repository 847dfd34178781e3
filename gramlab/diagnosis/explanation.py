"""Who voted: the label-averaging weights behind each suspect, by round.

In the linearized theory the prediction of row i after t rounds is 1/K + Σ_j h(G)^t[i, j] D_j, so
row i of h(G)^t says how much each given label contributes. The rows of the suspects are computed
in blocks, and no N×N matrix.

Source: docs/objective.md, label averaging [D]; one round is the representer-point explanation of
Yeh et al. (arXiv 1811.09720).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import label_averaging_weights, linear_mu

__all__ = ["Explanation", "explain_rows"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """The votes behind the prediction of one row, after one number of rounds.

    Attributes
    ----------
    row, round : int
        Training row i, and t.
    own : float
        h(G)^t[i, i], the weight of the row's own given label.
    voters : np.ndarray of shape (v,), int64
        Other rows with the largest weights, largest first.
    weights : np.ndarray of shape (v,)
        Their weights h(G)^t[i, j].
    labels : np.ndarray of shape (v,), int64
        Their given labels.
    by_class : np.ndarray of shape (K,)
        Sum of the weights of the other rows, by given label.
    """

    row: int
    round: int
    own: float
    voters: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    by_class: npt.NDArray[np.float64]

    def as_dict(self) -> dict[str, object]:
        """Plain values; weights by class only where they are largest."""
        top = np.argsort(-self.by_class, kind="stable")[:3]
        return {
            "round": self.round,
            "own_weight": self.own,
            "voters": [
                {"row": int(row), "label": int(label), "weight": float(weight)}
                for row, label, weight in zip(self.voters, self.labels, self.weights, strict=True)
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
    count = min(voters, n - 1)
    out: list[list[Explanation]] = [[] for _ in rows]
    step = max(1, (1 << 23) // n)  # rows whose weights are held at once
    for t in range(1, rounds + 1):
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            weights = label_averaging_weights(spectrum, block, mu, t)
            for number, (row, values) in enumerate(zip(block, weights, strict=True)):
                own, values[row] = float(values[row]), 0.0
                by_class = np.bincount(given, values, n_classes).astype(np.float64)
                values[row] = -np.inf
                top = np.argpartition(-values, count - 1)[:count]
                top = top[np.lexsort((top, -values[top]))]
                out[start + number].append(
                    Explanation(int(row), t, own, top, values[top], given[top], by_class)
                )
    return out
