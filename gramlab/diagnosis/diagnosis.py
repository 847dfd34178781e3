"""Diagnosis: what was asked, and everything that was found, as values and as plain data."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gramlab import validation
from gramlab.diagnosis.advice import Advice
from gramlab.diagnosis.explanation import Explanation
from gramlab.diagnosis.posterior import LabelPosterior
from gramlab.diagnosis.recorruption import Resample
from gramlab.diagnosis.suspects import Suspects, ranking_auc
from gramlab.diagnosis.trial import Trial, expected_accuracy
from gramlab.features import Features
from gramlab.heads.fit import Fit
from gramlab.labels import CorruptedLabels
from gramlab.machine import hardware
from gramlab.numerics.streams import MAX_SEED
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import ClassCorrelations
from gramlab.transition import TransitionEstimate

__all__ = ["Diagnosis", "DiagnosisSettings", "RankedSetting"]


@dataclass(frozen=True)
class DiagnosisSettings:
    """What ``gramlab diagnose`` was asked to do.

    Raises
    ------
    InvalidSetting
        If a setting is out of range.

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

    def __post_init__(self) -> None:
        """Refuse what is out of range before any work is done."""
        validation.check_rate("rate", self.rate)
        if self.weight_decay is not None:
            validation.check_weight_decay(self.weight_decay)
        for name, least in (("max_rounds", 1), ("folds", 2), ("explained", 0), ("voters", 1)):
            validation.check_integer(name, getattr(self, name), least)
        validation.check_integer("seed", self.seed, 0, MAX_SEED)
        validation.check_positive("tolerance", self.tolerance)


class RankedSetting(NamedTuple):
    """An exact setting beside what the theory says of it, and its role in the advice.

    Attributes
    ----------
    exact : Trial
    theory : Trial or None
        None where the theory was not asked.
    roles : list of str
        Of ``"advised"``, ``"in use"`` and ``"runner-up"``.
    """

    exact: Trial
    theory: Trial | None
    roles: list[str]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Everything ``gramlab diagnose`` found.

    Attributes
    ----------
    settings
        What was asked.
    features
        Prepared; their labels are the given ones.
    planted
        The trial's truth, None where the labels were taken as given.
    spectrum, correlations
        Of all training rows; classes are the given labels.
    estimate
        The label transition matrix.
    posterior
        Of each row's true label.
    trials
        Settings tried, theory first.
    advice
        What to do.
    fits
        Exact fits on all rows: ``"chosen"`` and ``"reference"``.
    suspects, recorruption
        Rows with a probably wrong label, and the resamples that their precision was calibrated by
        (None if it was not).
    explanations
        Of the first suspects, by suspect and round.
    """

    settings: DiagnosisSettings
    features: Features = field(repr=False)
    planted: CorruptedLabels | None = field(repr=False)
    spectrum: Spectrum = field(repr=False)
    correlations: ClassCorrelations = field(repr=False)
    estimate: TransitionEstimate = field(repr=False)
    posterior: LabelPosterior = field(repr=False)
    trials: list[Trial] = field(repr=False)
    advice: Advice = field(repr=False)
    fits: dict[str, Fit] = field(repr=False)
    suspects: Suspects = field(repr=False)
    recorruption: tuple[Resample, ...] | None = field(repr=False)
    explanations: list[list[Explanation]] = field(repr=False)

    @property
    def given(self) -> npt.NDArray[np.int64]:
        """Given labels (N,)."""
        return self.features.labels

    def recovery(self, fit: Fit) -> float:
        """Expected share of training rows that a fit predicts as their true label."""
        return expected_accuracy(fit.labels, self.posterior.posterior).value

    def test_agreement(self, fit: Fit) -> float | None:
        """Share of test rows predicted as their label; None without a test split."""
        if self.features.test_x is None or self.features.test_labels is None:
            return None
        return float((fit.predict(self.features.test_x) == self.features.test_labels).mean())

    def format_tied(self) -> str:
        """Which classes labels may not tell apart, in a sentence; empty where there are none."""
        classes = dict.fromkeys(k for pair in self.estimate.tied for k in pair)
        names = [self.features.class_names[k] for k in classes]
        if not names:
            return ""
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        return (
            f"Labels alone may not tell some classes apart: {', '.join(names[:10])}{more}. "
            "Look at some of their rows before believing what is said of these."
        )

    def ranked_settings(self) -> list[RankedSetting]:
        """Settings that exact heads were fitted for, the highest estimated accuracy first."""
        theory = {t.setting: t for t in self.trials if t.head == "theory"}
        exact = [t for t in self.trials if t.head == "exact"]
        advice = self.advice
        roles = (
            ("advised", advice.chosen),
            ("in use", advice.reference),
            ("runner-up", advice.runner_up),
        )
        return [
            RankedSetting(t, theory.get(t.setting), [role for role, one in roles if one is t])
            for t in sorted(exact, key=lambda t: -t.accuracy.value)
        ]

    def trial(self) -> dict[str, Any] | None:
        """How the suspects compare with the planted truth; None where nothing was planted."""
        if self.planted is None:
            return None
        suspects, truth, wrong = self.suspects, self.planted.true_labels, self.planted.flipped
        found = wrong[suspects.rows]
        right = suspects.proposed == truth[suspects.rows]
        return {
            "realized_rate": self.planted.realized_rate,
            "auc": ranking_auc(-suspects.quality, wrong),
            "precision": _mean(found),
            "claimed_precision": _mean(suspects.precision),
            "recall": _mean(suspects.suspected[wrong]),
            "proposed_right": _mean(right[found]),
            "recovery": {
                name: float((fit.labels == truth).mean()) for name, fit in self.fits.items()
            },
        }

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable result (``--json``): results only, no times or paths."""
        features, suspects, resamples = self.features, self.suspects, self.recorruption
        return {
            "command": "diagnose",
            "settings": asdict(self.settings),
            "data": {
                "n_samples": features.n_samples,
                "n_features": features.n_features,
                "n_classes": features.n_classes,
                "n_test": None if features.test_x is None else len(features.test_x),
                "class_names": list(features.class_names),
                "class_counts": features.class_counts.tolist(),
            },
            "advice": self.advice.as_dict(),
            "fits": {
                name: {
                    "expected_recovery": self.recovery(fit),
                    "train_agreement": float((fit.labels == self.given).mean()),
                    "test_agreement": self.test_agreement(fit),
                    "certificate": fit.certificate.as_dict(),
                }
                for name, fit in self.fits.items()
            },
            "structure": self._structure(),
            "noise": self.estimate.as_dict(),
            "posterior": {
                "neighbours": self.posterior.neighbours,
                "vote_weight": self.posterior.vote_weight,
                "relative_sharpness": self.posterior.sharpness,
                "log_likelihood": self.posterior.log_likelihood,
            },
            "tried": [trial.as_dict() for trial in self.trials],
            "suspects": {
                "count": len(suspects),
                "expected_wrong": float(suspects.precision.sum()),
                "calibration": None if resamples is None else [r.as_dict() for r in resamples],
                "rows": self._suspect_rows(),
            },
            "trial": self.trial(),
            "provenance": {
                "features": features.provenance,
                "data_sha256": features.fingerprint,
                "seed": self.settings.seed,
                "dtype": "float64",
                "device": hardware.describe(),
                "versions": {
                    "python": platform.python_version(),
                    **{n: metadata.version(n) for n in ("gramlab", "numpy", "scipy", "jax")},
                },
            },
        }

    def _structure(self) -> dict[str, Any]:
        spectrum, k = self.spectrum, self.features.n_classes
        present = np.flatnonzero(self.features.class_counts)
        angles = spectrum.class_angles(
            np.searchsorted(present, self.given), min(k, spectrum.n_samples - 1)
        )
        pairs = self.correlations
        return {
            "eigenvalues": spectrum.eigenvalues,
            "class_angles_degrees": np.degrees(angles),
            "correlations": {
                name: None if pair is None else {"mean": pair[0], "standard_deviation": pair[1]}
                for name, pair in (
                    ("within", pairs.within),
                    ("superclass", pairs.superclass),
                    ("between", pairs.between),
                )
            },
        }

    def _suspect_rows(self) -> list[dict[str, Any]]:
        votes = [[one.as_dict() for one in rounds] for rounds in self.explanations]
        missing = [None] * (len(self.suspects) - len(votes))
        columns = {**self.suspects.columns(), "votes": votes + missing}
        return [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
