"""Diagnosis: everything that was found, as values and as plain data."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab import hardware
from gramlab.diagnosis.accuracy import expected_accuracy
from gramlab.diagnosis.advice import Advice
from gramlab.diagnosis.explanation import Explanation
from gramlab.diagnosis.posterior import LabelPosterior
from gramlab.diagnosis.recorruption import Recorruption
from gramlab.diagnosis.settings import DiagnosisSettings
from gramlab.diagnosis.suspects import Suspects
from gramlab.diagnosis.trial import Trial
from gramlab.features import Features
from gramlab.heads.fit import Fit
from gramlab.labels import CorruptedLabels
from gramlab.spectrum import ClassCorrelations, Spectrum
from gramlab.transition import TransitionEstimate

__all__ = ["Diagnosis"]

_NAMED = 10  # classes that are named in a sentence


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
        Rows with a probably wrong label, and how their precision was calibrated (None if not).
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
    recorruption: Recorruption | None = field(repr=False)
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

    def tied_words(self) -> str:
        """Which classes labels may not tell apart, in a sentence; empty where there are none."""
        classes = dict.fromkeys(k for pair in self.estimate.tied for k in pair)
        names = [self.features.class_names[k] for k in classes]
        if not names:
            return ""
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return (
            f"Labels alone may not tell some classes apart: {', '.join(names[:_NAMED])}{more}. "
            "Look at some of their rows before believing what is said of these."
        )

    def trial(self) -> dict[str, Any] | None:
        """How the suspects compare with the planted truth; None where nothing was planted."""
        if self.planted is None:
            return None
        wrong = self.planted.flipped
        suspected = np.zeros(len(wrong), dtype=bool)
        suspected[self.suspects.rows] = True
        found = wrong[self.suspects.rows]
        claimed = self.suspects.precision
        right = self.suspects.proposed == self.planted.true_labels[self.suspects.rows]
        return {
            "realized_rate": self.planted.realized_rate,
            "auc": _auc(-self.suspects.quality, wrong),
            "precision": float(found.mean()) if len(found) else None,
            "claimed_precision": float(claimed.mean()) if len(found) else None,
            "recall": float(suspected[wrong].mean()) if wrong.any() else None,
            "proposed_right": float(right[found].mean()) if found.any() else None,
            "recovery": {
                name: float((fit.labels == self.planted.true_labels).mean())
                for name, fit in self.fits.items()
            },
        }

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable result (``--json``): results only, no times or paths."""
        features, suspects = self.features, self.suspects
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
                "calibration": self._calibration(),
                "rows": [self._suspect(number) for number in range(len(suspects))],
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

    def _calibration(self) -> list[dict[str, Any]] | None:
        if self.recorruption is None:
            return None
        return [
            {
                "world": world.name,
                "suspects": int(world.suspected.sum()),
                "wrong": int(world.wrong.sum()),
                "precision": world.precision,
                "recall": world.recall,
            }
            for world in self.recorruption.worlds
        ]

    def _suspect(self, number: int) -> dict[str, Any]:
        suspects = self.suspects
        row = int(suspects.rows[number])
        explained = number < len(self.explanations)
        return {
            "row": row,
            "given": int(suspects.given[number]),
            "proposed": int(suspects.proposed[number]),
            "margin": float(suspects.margin[row]),
            "label_quality": float(suspects.quality[row]),
            "precision": float(suspects.precision[number]),
            "precision_low": float(suspects.precision_low[number]),
            "precision_high": float(suspects.precision_high[number]),
            "votes": [e.as_dict() for e in self.explanations[number]] if explained else None,
        }


def _auc(score: np.ndarray, wrong: npt.NDArray[np.bool_]) -> float | None:
    """Probability that a wrong label scores above a right one, ties counting half."""
    if not wrong.any() or wrong.all():
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - 0.5 * (counts - 1)
    m = int(wrong.sum())
    total = float(ranks[inverse][wrong].sum()) - 0.5 * m * (m + 1)
    return total / (m * (len(wrong) - m))
