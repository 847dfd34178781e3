"""``diagnose``: features and given labels in; structure, noise, advice and suspects out.

Pure computation: drawing, writing and printing are other rooms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gramlab.diagnosis.advice import advise
from gramlab.diagnosis.diagnosis import Diagnosis
from gramlab.diagnosis.explanation import explain_rows
from gramlab.diagnosis.folds import Folds
from gramlab.diagnosis.neighbours import nearest_rows
from gramlab.diagnosis.posterior import label_posterior
from gramlab.diagnosis.recorruption import recorrupt
from gramlab.diagnosis.selection import decay_grid, try_settings
from gramlab.diagnosis.settings import DiagnosisSettings, check_settings
from gramlab.diagnosis.suspects import find_suspects
from gramlab.diagnosis.trial import Setting
from gramlab.distillation import distill
from gramlab.errors import InvalidLabels
from gramlab.features import Features
from gramlab.heads.fit import Fit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import corrupt_labels, corruption_matrix
from gramlab.spectrum import Spectrum, class_correlations
from gramlab.targets import one_hot
from gramlab.transition import estimate_transition, fold_numbers

__all__ = ["diagnose"]

_NEIGHBOURS = 50


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
    check_settings(asked, features)
    planted = None
    if asked.rate > 0.0:
        matrix = corruption_matrix(
            asked.noise, features.n_classes, asked.rate, features.superclasses
        )
        planted = corrupt_labels(features.labels, matrix, seed=asked.seed)
        features = features.replaced(labels=planted.labels)
    _check_classes(features)
    say("preparing features")
    if asked.center:
        features = features.centered()
    if asked.unit_norm:
        features = features.unit_norm()
    given, n, k = features.labels, features.n_samples, features.n_classes
    say("Gram spectrum")
    spectrum, correlations = Spectrum.of(features), class_correlations(features)
    say("Gram spectrum of every fold")
    folds = Folds(features, given, fold_numbers(given, asked.folds, asked.seed))
    # For the theory, and for all heads on folds from here on.
    folds.at_once(lambda number: Spectrum.of(folds.parts[number]))
    estimate = estimate_transition(
        features, given, rows=folds, seed=asked.seed, stage=lambda w: say(f"noise: {w}")
    )
    say("neighbours")
    nearest = nearest_rows(features, min(_NEIGHBOURS, n - 1))
    posterior = label_posterior(estimate, given, nearest)
    reference = asked.weight_decay if asked.weight_decay is not None else 1.0 / n
    trials = try_settings(
        folds,
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
            features, estimate, posterior, nearest, folds, seed=asked.seed, stage=say
        )
        suspects = find_suspects(posterior, given, worlds.precision(len(suspects)))
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
