"""``diagnose``: features and given labels in; structure, noise, advice and suspects out.

Pure computation: drawing, writing and printing are other rooms.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab import device, validation
from gramlab.diagnosis.accuracy import expected_accuracy
from gramlab.diagnosis.advice import Advice, advise
from gramlab.diagnosis.explanation import Explanation, explain_rows
from gramlab.diagnosis.neighbours import nearest_rows
from gramlab.diagnosis.posterior import LabelPosterior, label_posterior
from gramlab.diagnosis.recorruption import Recorruption, recorrupt
from gramlab.diagnosis.selection import Folds, Setting, Trial, decay_grid, try_settings
from gramlab.diagnosis.suspects import Suspects, find_suspects
from gramlab.distillation import distill
from gramlab.errors import InvalidLabels, InvalidSetting
from gramlab.features import Features
from gramlab.heads.fit import Fit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import CorruptedLabels, corrupt_labels, corruption_matrix
from gramlab.spectrum import ClassCorrelations, Spectrum, class_correlations
from gramlab.streams import MAX_SEED
from gramlab.targets import one_hot
from gramlab.transition import TransitionEstimate, estimate_transition, fold_numbers

__all__ = ["Diagnosis", "DiagnosisSettings", "diagnose"]

_NEIGHBOURS = 50


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
    tolerance: float = 1e-6
    recorrupt: bool = True
    explained: int = 500
    voters: int = 5


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
                "device": device.describe(),
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


def diagnose(
    features: Features,
    settings: DiagnosisSettings | None = None,
    *,
    stage: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Diagnose labelled features whose labels may be wrong.

    Parameters
    ----------
    features : Features
        Their labels are taken as given, not as true. A test split is not needed, and if there is
        one it is only reported on.
    settings : DiagnosisSettings, optional
        What to do.
    stage : callable, optional
        Called with a few words when a stage begins.

    Returns
    -------
    Diagnosis

    Raises
    ------
    InvalidLabels
        If a class has a single row or none, so that nothing can be held out of it; it is named.
    InvalidSetting
        If a setting is out of range; with more folds than the smallest class has rows, all are
        named.
    InvalidFeatures, NotEnoughMemory
        If the features cannot be used.
    """
    asked = settings if settings is not None else DiagnosisSettings()
    say = stage if stage is not None else lambda words: None
    _check(asked, features)
    planted = None
    if asked.rate > 0.0:
        matrix = corruption_matrix(
            asked.noise, features.n_classes, asked.rate, features.superclasses
        )
        planted = corrupt_labels(features.labels, matrix, seed=asked.seed)
        features = _relabelled(features, planted.labels)
    _check_classes(features)
    say("preparing features")
    if asked.center:
        features = features.centered()
    if asked.unit_norm:
        features = features.unit_norm()
    given, n, k = features.labels, features.n_samples, features.n_classes
    say("Gram spectrum")
    spectrum, correlations = Spectrum.of(features), class_correlations(features)
    estimate = estimate_transition(
        features, given, folds=asked.folds, seed=asked.seed, stage=lambda w: say(f"noise: {w}")
    )
    say("neighbours")
    nearest = nearest_rows(features, min(_NEIGHBOURS, n - 1))
    posterior = label_posterior(estimate, given, nearest)
    reference = asked.weight_decay if asked.weight_decay is not None else 1.0 / n
    trials = try_settings(
        Folds(features, given, fold_numbers(given, asked.folds, asked.seed)),
        posterior.posterior,
        estimate.matrix,
        decay_grid(features),
        asked.max_rounds,
        reference=reference,
        seed=asked.seed,
        tolerance=asked.tolerance,
        stage=say,
    )
    advice = advise(trials, reference, posterior.posterior)
    say("exact heads on all rows")
    fits = {
        name: _fitted(features, trial.setting, k, asked)
        for name, trial in (("chosen", advice.chosen), ("reference", advice.reference))
    }
    suspects, worlds = find_suspects(posterior, given), None
    if asked.recorrupt:
        worlds = recorrupt(
            features, estimate, posterior, nearest, folds=asked.folds, seed=asked.seed, stage=say
        )
        score = 1.0 - suspects.quality[suspects.rows]
        suspects = find_suspects(posterior, given, worlds.precision(score))
    say("explanations")
    explanations = explain_rows(
        spectrum,
        given,
        suspects.rows[: asked.explained],
        advice.chosen.setting.weight_decay,
        max(2, advice.chosen.setting.rounds) if asked.max_rounds > 1 else 1,
        n_classes=k,
        voters=asked.voters,
    )
    return Diagnosis(
        settings=asked,
        features=features,
        planted=planted,
        spectrum=spectrum,
        correlations=correlations,
        estimate=estimate,
        posterior=posterior,
        trials=trials,
        advice=advice,
        fits=fits,
        suspects=suspects,
        recorruption=worlds,
        explanations=explanations,
    )


def _check(asked: DiagnosisSettings, features: Features) -> None:
    """Refuse settings that are out of range before any work is done."""
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


def _check_classes(features: Features) -> None:
    """Every class needs two rows: one to learn from when the other is held out."""
    counts = features.class_counts
    few = np.flatnonzero(counts < 2)
    if len(few):
        names = ", ".join(repr(features.class_names[i]) for i in few[:5])
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        raise InvalidLabels(
            f"every class must have at least 2 rows, got {int(counts[few[0]])} of class {names}"
            f"{more}: nothing can be held out of it; leave such classes out or merge them"
        )


def _relabelled(features: Features, labels: npt.NDArray[np.int64]) -> Features:
    """The same features with other training labels."""
    return Features(
        features.x,
        labels,
        test_x=features.test_x,
        test_labels=features.test_labels,
        class_names=features.class_names,
        superclasses=features.superclasses,
        provenance=features.provenance,
    )


def _fitted(features: Features, setting: Setting, k: int, asked: DiagnosisSettings) -> Fit:
    """The exact fit of a setting on all rows."""
    return distill(
        SoftmaxHead(setting.weight_decay, tolerance=asked.tolerance),
        features,
        one_hot(features.labels, k),
        setting.rounds,
        refine=setting.refine or None,
        seed=asked.seed,
    )[-1]


def _auc(score: np.ndarray, wrong: npt.NDArray[np.bool_]) -> float | None:
    """Probability that a wrong label scores above a right one, ties counting half."""
    if not wrong.any() or wrong.all():
        return None
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - 0.5 * (counts - 1)
    m = int(wrong.sum())
    total = float(ranks[inverse][wrong].sum()) - 0.5 * m * (m + 1)
    return total / (m * (len(wrong) - m))
