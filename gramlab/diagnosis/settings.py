"""What a diagnosis is asked to do, checked before any work is done."""

from __future__ import annotations

from dataclasses import dataclass

from gramlab import validation
from gramlab.features.copies import COPY_RADIUS
from gramlab.labels import OBSERVED
from gramlab.numerics.streams import MAX_SEED

__all__ = ["DiagnosisSettings"]


@dataclass(frozen=True)
class DiagnosisSettings:
    """What ``gramlab diagnose`` was asked to do.

    Raises
    ------
    InvalidSetting
        If a setting is out of range, before any work is done.

    Attributes
    ----------
    noise, rate
        Noise to plant first, for a trial; rate 0 takes the labels as given. Of labels beside a
        known truth: ``"observed"``, and the share of them that is wrong.
    weight_decay
        λ in use, which the advice is measured against; None is 1/N, scikit-learn's C = 1.
    max_rounds, folds
        Most trainings that are considered, the teacher included; folds of the held-out predictions,
        of which training on cleaned labels needs three.
    seed
        Key of the noise, the folds, the ties and the re-corruption.
    center, unit_norm, constant
        Preparation steps, in this order: the constant column is a penalized intercept, without
        which centred features cannot express classes of unequal size.
    tolerance
        Relative duality gap of the exact heads that settings are scored with.
    recorrupt
        Whether to calibrate the suspects' precision by re-corruption (it doubles the work).
    outlier_rate
        Share of the outliers, in [0, 1), that may be rows of the classes; 0 lists none.
    copy_radius
        Cosine distance at which rows are copies of one another; 0 finds exact copies alone.
    explained, voters
        Most suspects that are explained, most suspicious first; training rows named in each.
    """

    noise: str = "symmetric"
    rate: float = 0.0
    weight_decay: float | None = None
    max_rounds: int = 5
    folds: int = 5
    seed: int = 0
    center: bool = True
    unit_norm: bool = True
    constant: bool = True
    tolerance: float = 1e-8
    recorrupt: bool = True
    outlier_rate: float = 0.2
    copy_radius: float = COPY_RADIUS
    explained: int = 500
    voters: int = 5

    def __post_init__(self) -> None:
        check = validation.check_share if self.noise == OBSERVED else validation.check_rate
        check("rate", self.rate)
        validation.check_rate("outlier_rate", self.outlier_rate)
        if self.weight_decay is not None:
            validation.check_weight_decay(self.weight_decay)
        for name, least in (("max_rounds", 1), ("folds", 2), ("explained", 0), ("voters", 1)):
            validation.check_integer(name, getattr(self, name), least)
        validation.check_integer("seed", self.seed, 0, MAX_SEED)
        validation.check_positive("tolerance", self.tolerance)
        validation.check_rate("copy_radius", self.copy_radius)
