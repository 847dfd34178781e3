"""A setting, and how it fared on rows that were held out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.accuracy import Accuracy

__all__ = ["Setting", "Trial"]


@dataclass(frozen=True, order=True)
class Setting:
    """How to train: rounds at one weight decay, or one student of the teacher's top two.

    Attributes
    ----------
    weight_decay : float
        λ.
    rounds : int
        Trainings, the teacher included.
    refine : str
        ``""`` or ``"top2"``; with the latter rounds is 2.
    """

    weight_decay: float
    rounds: int = 1
    refine: str = ""

    @property
    def distils(self) -> bool:
        """Whether there is a student."""
        return self.rounds > 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "weight_decay": self.weight_decay,
            "rounds": self.rounds,
            "refine": self.refine or None,
        }


@dataclass(frozen=True, eq=False)
class Trial:
    """A setting that was tried on held-out rows.

    Attributes
    ----------
    setting : Setting
    head : str
        ``"theory"`` or ``"exact"``.
    accuracy : Accuracy
        Estimated accuracy on true labels, from the two that follow.
    expected : Accuracy
        By the posterior.
    corrected : Accuracy or None
        By the inverse of C.
    agreement : float
        Share of held-out rows predicted as their given label.
    predicted : np.ndarray of shape (N,)
        Out-of-fold predictions.
    """

    setting: Setting
    head: str
    accuracy: Accuracy
    expected: Accuracy
    corrected: Accuracy | None
    agreement: float
    predicted: npt.NDArray[np.int64] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without the predictions."""
        return {
            **self.setting.as_dict(),
            "head": self.head,
            "accuracy": self.accuracy.value,
            "standard_error": self.accuracy.standard_error,
            "expected": self.expected.value,
            "corrected": None if self.corrected is None else self.corrected.value,
            "corrected_error": None if self.corrected is None else self.corrected.standard_error,
            "agreement": self.agreement,
        }
