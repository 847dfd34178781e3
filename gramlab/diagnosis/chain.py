"""``diagnose``: features and given labels in; structure, noise, advice and suspects out.

Pure computation: drawing, writing and printing are other rooms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gramlab.diagnosis.advice import advise
from gramlab.diagnosis.diagnosis import Diagnosis, DiagnosisSettings
from gramlab.diagnosis.explanation import explain_rows
from gramlab.diagnosis.posterior import label_posterior, nearest_rows
from gramlab.diagnosis.recorruption import recorrupt, resampled_precision
from gramlab.diagnosis.selection import SettingSearch, decay_grid
from gramlab.diagnosis.suspects import find_suspects
from gramlab.distillation import distill
from gramlab.errors import InvalidLabels
from gramlab.features import Features
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import corrupt_labels, corruption_matrix
from gramlab.runner import Run, folds
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import class_correlations
from gramlab.targets import one_hot
from gramlab.transition import estimate_transition

__all__ = ["diagnose"]


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
        If there are more folds than rows.
    InvalidFeatures, NotEnoughMemory
        If the features cannot be used.
    """
    asked = settings if settings is not None else DiagnosisSettings()
    say = stage if stage is not None else lambda text: None
    planted = None
    if asked.rate > 0.0:
        matrix = corruption_matrix(
            asked.noise, features.n_classes, asked.rate, features.superclasses
        )
        planted = corrupt_labels(features.labels, matrix, seed=asked.seed)
        features = features.replaced(labels=planted.labels)
    _check_classes(features)
    given, n, k = features.labels, features.n_samples, features.n_classes
    fold = folds(given, asked.folds, asked.seed)
    say("preparing features")
    if asked.center:
        features = features.centered()
    if asked.unit_norm:
        features = features.unit_norm()
    say("Gram spectrum")
    spectrum, correlations = Spectrum.of(features), class_correlations(features)
    say("Gram spectrum of every fold")
    run = Run(features.as_float64(), k, fold, given)
    run.map(lambda number: Spectrum.of(run.parts[number]))  # for all that is fitted to folds below
    estimate = estimate_transition(
        features, given, folds=run, stage=lambda text: say(f"noise: {text}")
    )
    say("neighbours")
    nearest = nearest_rows(features, min(50, n - 1))
    posterior = label_posterior(estimate, given, nearest)
    reference = asked.weight_decay if asked.weight_decay is not None else 1.0 / n
    search = SettingSearch(
        run,
        given,
        posterior.posterior,
        estimate.matrix,
        asked.max_rounds,
        seed=asked.seed,
        tolerance=asked.tolerance,
        stage=say,
    )
    trials = search.trials(decay_grid(features), reference)
    advice = advise(trials, reference, posterior.posterior)
    say("exact heads on all rows")
    fits = {
        name: distill(
            SoftmaxHead(trial.setting.weight_decay, tolerance=asked.tolerance),
            features,
            one_hot(given, k),
            trial.setting.rounds,
            refine=trial.setting.refine or None,
            seed=asked.seed,
        )[-1]
        for name, trial in (("chosen", advice.chosen), ("reference", advice.reference))
    }
    suspects, resamples = find_suspects(posterior, given), None
    if asked.recorrupt:
        resamples = recorrupt(
            features, estimate, posterior, nearest, run, seed=asked.seed, stage=say
        )
        middle, low, high = resampled_precision(resamples, len(suspects))
        suspects = replace(suspects, precision=middle, precision_low=low, precision_high=high)
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
        recorruption=resamples,
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
