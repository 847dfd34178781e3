"""Folds: training rows of each, factored once, and the rows that are held out of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gramlab.features import Features
from gramlab.memory import check_memory

__all__ = ["Folds"]


class Folds:
    """The training rows of every fold as features, factored once, and what is held out.

    Parameters
    ----------
    features : Features
        N rows.
    given : np.ndarray of shape (N,)
        Given labels.
    fold : np.ndarray of shape (N,)
        Fold of each row, from :func:`gramlab.transition.fold_numbers`.

    Raises
    ------
    NotEnoughMemory
        If the rows of all folds would not fit.
    """

    def __init__(
        self, features: Features, given: npt.NDArray[np.int64], fold: npt.NDArray[np.int64]
    ) -> None:
        parts = int(fold.max()) + 1
        check_memory(
            8 * parts * features.n_samples * features.n_features,
            f"the features of {parts} folds",
            "ask for fewer folds or use fewer rows",
        )
        x = features.as_float64()
        self.n_classes = features.n_classes
        self.given = given
        self.held = [np.flatnonzero(fold == part) for part in range(parts)]
        self.train = [np.flatnonzero(fold != part) for part in range(parts)]
        self.parts = [
            Features(x[rows], given[rows], n_classes=self.n_classes) for rows in self.train
        ]
        self.tests = [x[rows] for rows in self.held]

    def __len__(self) -> int:
        """Number of folds."""
        return len(self.parts)
