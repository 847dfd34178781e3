"""What a check is asked to do, and the features and given labels that it begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gramlab import errors
from gramlab.features import Features
from gramlab.heads.carriers import start_device
from gramlab.labels import (
    OBSERVED,
    CorruptedLabels,
    check_corruption_matrix,
    corrupt_labels,
    corruption_matrix,
    flipped_share,
)
from gramlab.numerics.text import short_repr

__all__ = ["CheckSettings", "prepare"]

_KIND, _RATE = "symmetric", 0.5  # of label noise, where nothing else is asked for


@dataclass(frozen=True)
class CheckSettings:
    """What ``gramlab check`` was asked to do.

    The defaults are those of the command line too, save for its source ``digits``, which is a
    demonstration with settings of its own.

    Attributes
    ----------
    noise, rate
        Corruption matrix kind and its rate η in [0, 1).
    weight_decay, rounds
        λ > 0, and trainings, the teacher included.
    seed, exact_counts
        Key of the label noise and of ties; whether to fix the number of flipped labels per class.
    center, unit_norm
        Preparation steps, in this order.
    tolerance, certified_share
        What every exact head reaches at least, and goes on to, as in ``SoftmaxHead``.
    certify
        What "certified" is about: ``"chain"``, the true iterate of a round, for which all earlier
        rounds are exact too, or ``"round"``, the optimum for the targets that it was given.
    noise_matrix
        A corruption matrix C (K, K) of one's own, kept as tuples. Then ``noise`` is ``"matrix"``
        and ``rate`` the share of labels that it changes where all classes are as frequent.

    Raises
    ------
    InvalidSetting
        If ``noise_matrix`` is no corruption matrix, or ``noise`` or ``rate`` is given beside it.
    """

    noise: str = _KIND
    rate: float = _RATE
    weight_decay: float = 5e-4
    rounds: int = 5
    seed: int = 0
    center: bool = False
    unit_norm: bool = False
    exact_counts: bool = False
    tolerance: float = 1e-8
    certified_share: float = 0.99
    certify: str = "chain"
    noise_matrix: Any = None

    def __repr__(self) -> str:
        return short_repr(self)

    def __post_init__(self) -> None:
        """Check the matrix, and tell its rate."""
        if self.noise_matrix is None:
            return
        matrix = check_corruption_matrix(self.noise_matrix, name="noise_matrix")
        rows, rate = tuple(map(tuple, matrix.tolist())), flipped_share(matrix)
        if self.noise != "matrix" and (self.noise, self.rate) != (_KIND, _RATE):
            raise errors.InvalidSetting(
                "noise_matrix must stand without noise and rate, got all of them; leave these out"
            )
        for name, value in (("noise", "matrix"), ("rate", rate), ("noise_matrix", rows)):
            object.__setattr__(self, name, value)

    def matrix(self, features: Features) -> np.ndarray:
        """The corruption matrix C (K, K) for the classes of ``features``."""
        k = features.n_classes
        if self.noise_matrix is not None:
            return check_corruption_matrix(self.noise_matrix, k, name="noise_matrix")
        return corruption_matrix(self.noise, k, self.rate, features.superclasses)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; ``noise_matrix`` is there where one was given."""
        told = asdict(self)
        if self.noise_matrix is None:
            del told["noise_matrix"]
        return told


def prepare(
    features: Features,
    settings: CheckSettings,
    tell: Callable[[str], None],
    observed: CorruptedLabels | None,
) -> tuple[Features, CorruptedLabels, CheckSettings]:
    """Prepared features, noisy labels as the settings ask for them or as observed, and settings."""
    if observed is None:
        matrix, counts = settings.matrix(features), settings.exact_counts
        given = corrupt_labels(features.labels, matrix, seed=settings.seed, exact_counts=counts)
    else:
        given, features = observed, features.replaced(labels=observed.true_labels)
        seen = {"noise": OBSERVED, "rate": observed.realized_rate}
        settings = replace(settings, **seen, noise_matrix=None, exact_counts=False)
    start_device(features, features.n_classes)
    tell("preparing features")
    prepared = features.prepared(center=settings.center, unit_norm=settings.unit_norm)
    return prepared, given, settings
