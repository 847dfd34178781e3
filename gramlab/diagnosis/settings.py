"""What a diagnosis is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.streams import MAX_SEED

__all__ = ["DiagnosisSettings", "check_settings"]


@dataclass(frozen=True)
class DiagnosisSettings:
    """What ``gramlab diagnose`` was asked to do.

    Attributes
    ----------
    noise, rate
        Noise to plant first, for a trial; rate 0 takes the labels as given.
    weight_decay
        λ in use, which the advice is measured against; None is 1/N, scikit-learn's C = 1.
    max_rounds
        Most trainings that are considered, the teacher included.
    folds
        Of the held-out predictions, at least 2.
    seed
        Key of the noise, the folds, the ties and the re-corruption.
    center, unit_norm
        Preparation steps, in this order.
    tolerance
        Relative duality gap of the exact heads that settings are scored with.
    recorrupt
        Whether to calibrate the suspects' precision by re-corruption (it doubles the work).
    explained
        Most suspects that are explained, most suspicious first.
    voters
        Training rows named in each explanation.
    """

    noise: str = "symmetric"
    rate: float = 0.0
    weight_decay: float | None = None
    max_rounds: int = 5
    folds: int = 5
    seed: int = 0
    center: bool = True
    unit_norm: bool = True
    tolerance: float = 1e-8
    recorrupt: bool = True
    explained: int = 500
    voters: int = 5


def check_settings(asked: DiagnosisSettings, features: Features) -> None:
    """Refuse settings that are out of range before any work is done.

    Raises
    ------
    InvalidSetting
        If a setting is out of range, or there are more folds than rows.
    """
    validation.check_rate("rate", asked.rate)
    if asked.weight_decay is not None:
        validation.check_weight_decay(asked.weight_decay)
    validation.check_integer("max_rounds", asked.max_rounds, 1)
    validation.check_integer("folds", asked.folds, 2)
    validation.check_integer("seed", asked.seed, 0, MAX_SEED)
    validation.check_positive("tolerance", asked.tolerance)
    validation.check_integer("explained", asked.explained, 0)
    validation.check_integer("voters", asked.voters, 1)
    if asked.folds > features.n_samples:
        raise InvalidSetting(
            f"folds must be at most the number of rows ({features.n_samples}), got {asked.folds}; "
            "ask for fewer folds"
        )
