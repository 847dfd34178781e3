"""Folds: training rows of each, factored once, and the rows that are held out of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gramlab.features import Features
from gramlab.transition import FoldRows

__all__ = ["Folds"]


class Folds(FoldRows):
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
        super().__init__(features.as_float64(), given, features.n_classes, fold)
        self.given = given
