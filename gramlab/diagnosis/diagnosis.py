"""``diagnose``: features and given labels in; structure, noise, advice and suspects out.

Pure computation: drawing, writing and printing are other rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.diagnosis.advice import Advice, RankedSetting, advise
from gramlab.diagnosis.classes import ClassSummary, some_names
from gramlab.diagnosis.cleaned import CleanedLabels, FoldPosteriors
from gramlab.diagnosis.cost import bytes_needed
from gramlab.diagnosis.explanation import Explanation, explain_rows
from gramlab.diagnosis.origin import Origin, check_classes
from gramlab.diagnosis.outliers import Outliers, find_outliers
from gramlab.diagnosis.posterior import LabelPosterior, label_posterior, nearest_rows
from gramlab.diagnosis.recorruption import Resample, recorrupt, resampled_precision
from gramlab.diagnosis.selection import SettingSearch, decay_grid
from gramlab.diagnosis.settings import DiagnosisSettings
from gramlab.diagnosis.suspects import Suspects, find_suspects, ranking_auc, reason_to_withhold
from gramlab.diagnosis.trial import Scoring, Trial, expected_accuracy
from gramlab.diagnosis.unlabelled import UnlabelledRows, predict_unlabelled, prepared_rows
from gramlab.distillation import distill
from gramlab.features import Features
from gramlab.features.copies import Copies, copies_of
from gramlab.features.inspection import describe_run
from gramlab.heads.fit import Fit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import OBSERVED, CorruptedLabels, corrupt_labels, corruption_matrix
from gramlab.machine.memory import check_memory
from gramlab.runner import Run, folds, group_numbers
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import ClassCorrelations, class_correlations
from gramlab.targets import product_of_weights, relative_weights
from gramlab.transition import TransitionEstimate, estimate_transition

__all__ = ["Diagnosis", "DiagnosisSettings", "diagnose"]


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Everything ``gramlab diagnose`` found.

    ``features`` are prepared, and their labels are the given ones, which ``spectrum`` and
    ``correlations`` of all training rows go by; ``planted`` is the truth of a trial, else None.
    ``copies`` are rows that are there several times; ``groups`` (N,) are the numbers of the groups
    of one's own that were held out together in place of the copies, None where none were given.
    ``estimate`` has the label transition matrix, ``posterior`` what is known of each true label.
    ``trials`` are the settings tried, theory first, ``advice`` says what to do, and ``fits`` are
    exact on all rows: ``"chosen"`` and ``"reference"``. ``suspects`` have a probably wrong label,
    their precision was calibrated by ``recorruption`` (None if it was not), and ``explanations``
    are of the first of them, by suspect and round; ``outliers`` belong to no class; ``unlabelled``
    rows were not diagnosed and are predicted by the chosen fit. Rows of all of these have the
    caller's numbers: ``origin`` says which rows were diagnosed and how the caller writes the
    classes.
    """

    settings: DiagnosisSettings
    features: Features = field(repr=False)
    planted: CorruptedLabels | None = field(repr=False)
    copies: Copies = field(repr=False)
    groups: npt.NDArray[np.int64] | None = field(repr=False)
    spectrum: Spectrum = field(repr=False)
    correlations: ClassCorrelations = field(repr=False)
    estimate: TransitionEstimate = field(repr=False)
    posterior: LabelPosterior = field(repr=False)
    trials: list[Trial] = field(repr=False)
    advice: Advice = field(repr=False)
    fits: dict[str, Fit] = field(repr=False)
    suspects: Suspects = field(repr=False)
    outliers: Outliers = field(repr=False)
    recorruption: tuple[Resample, ...] | None = field(repr=False)
    explanations: list[list[Explanation]] = field(repr=False)
    unlabelled: UnlabelledRows = field(repr=False)
    origin: Origin = field(repr=False)

    @property
    def set_aside(self) -> Mapping[str, npt.NDArray[np.int64]]:
        """Rows that were not diagnosed, by reason."""
        return self.origin.set_aside

    @property
    def given(self) -> npt.NDArray[np.int64]:
        """Given labels (N,)."""
        return self.features.labels

    @property
    def cleaned(self) -> CleanedLabels:
        """What to train on instead of the given labels, of every row in its order."""
        return CleanedLabels(self.given, self.posterior.posterior)

    @property
    def classes(self) -> ClassSummary:
        """What is known of each class."""
        names = self.features.class_names
        return ClassSummary(names, self.given, self.estimate, self.suspects)

    def recovery(self, fit: Fit) -> float:
        """Expected share of training rows that a fit predicts as their true label."""
        return expected_accuracy(fit.labels, self.posterior.posterior).value

    def test_agreement(self, fit: Fit) -> float | None:
        """Share of test rows predicted as their label; None without a test split."""
        if self.features.test_x is None or self.features.test_labels is None:
            return None
        return float((fit.predict(self.features.test_x) == self.features.test_labels).mean())

    def format_doubt(self) -> str:
        """Why the advice may be wrong, in a sentence; empty where nothing speaks against it.

        It rests on the same estimates of true labels as what is claimed of suspects.
        """
        reason = self.suspects.withheld
        return reason and f"This advice is in doubt, as are the accuracies it rests on: {reason}."

    def format_spared(self) -> str:
        """Which classes consist of suspects, in a sentence; empty where there are none."""
        names = [self.features.class_names[k] for k in self.cleaned.spared]
        if not names:
            return ""
        return (
            f"All rows given as {some_names(names)} are suspects. Training without the "
            "suspects keeps them, since the class would be lost."
        )

    def ranked_settings(self) -> list[RankedSetting]:
        """Settings that exact heads were fitted for, the highest estimated accuracy first."""
        theory = {t.setting: t for t in self.trials if t.head == "theory"}
        exact = [t for t in self.trials if t.head == "exact"]
        of = self.advice
        roles = {"advised": of.chosen, "in use": of.reference, "runner-up": of.runner_up}
        return [
            RankedSetting(t, theory.get(t.setting), [role for role in roles if roles[role] is t])
            for t in sorted(exact, key=lambda t: -t.accuracy.value)
        ]

    def trial(self) -> dict[str, Any] | None:
        """How the suspects compare with the planted truth; None where nothing was planted."""
        if self.planted is None:
            return None
        suspects, rows, origin = self.suspects, self.origin.rows, self.origin
        wrong = origin.spread(self.planted.flipped, False)
        truth = origin.spread(self.planted.true_labels, -1)
        found = wrong[suspects.rows]
        right = suspects.proposed == truth[suspects.rows]
        return {
            "realized_rate": self.planted.realized_rate,
            "auc": ranking_auc(-suspects.quality[rows], self.planted.flipped),
            "precision": _mean(found),
            "claimed_precision": _mean(suspects.precision),
            "recall": _mean(suspects.suspected[wrong]),
            "proposed_right": _mean(right[found]),
            "recovery": {name: _mean(fit.labels == truth[rows]) for name, fit in self.fits.items()},
        }

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable result (``--json``): results only, no times or paths."""
        features, posterior = self.features, self.posterior
        suspects, outliers = self.suspects, self.outliers
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
                "copies": self.copies.as_dict(),
                "groups": None if self.groups is None else int(self.groups.max()) + 1,
                "classes": list(self.origin.classes),
            }
            | self.origin.as_dict(),
            "advice": self.advice.as_dict() | {"doubt": self.format_doubt() or None},
            "fits": {
                name: {
                    "expected_recovery": self.recovery(fit),
                    "train_agreement": _mean(fit.labels == self.given),
                    "test_agreement": self.test_agreement(fit),
                    "certificate": fit.certificate.as_dict(),
                }
                for name, fit in self.fits.items()
            },
            "structure": self._structure(),
            "noise": self.estimate.as_dict(),
            "posterior": {
                "neighbours": posterior.neighbours,
                "vote_weight": posterior.vote_weight,
                "relative_sharpness": posterior.sharpness,
                "log_likelihood": posterior.log_likelihood,
            },
            "tried": [trial.as_dict() for trial in self.trials],
            "suspects": {
                "count": len(suspects),
                "withheld": suspects.withheld or None,
                "expected_wrong": float(suspects.precision.sum()),
                "calibration": self.recorruption and [r.as_dict() for r in self.recorruption],
                "rows": self._suspect_rows(),
            },
            "classes": _mappings(self.classes.columns()),
            "cleaned": {
                "left_out": self.advice.left_out,
                "spared_classes": self.cleaned.spared,
            },
            "outliers": {
                "count": len(outliers),
                "false_discovery_rate": outliers.false_discovery_rate,
                "rows": self._outlier_rows(),
            },
            "unlabelled": self.unlabelled.as_dict()
            | {"rows": self._by_row(self.unlabelled.columns())},
            "trial": self.trial(),
            "provenance": describe_run(features, self.settings.seed),
        }

    def _structure(self) -> dict[str, Any]:
        angles = self.spectrum.class_angles(self.given, self.features.n_classes)
        return {
            "eigenvalues": self.spectrum.eigenvalues,
            "class_angles_degrees": np.degrees(angles),
            "correlations": {
                name: pair and dict(zip(("mean", "standard_deviation"), pair, strict=True))
                for name, pair in vars(self.correlations).items()
                if name != "matrix"
            },
        }

    def _suspect_rows(self) -> list[dict[str, Any]]:
        names = self.origin.identifiers
        votes = [[one.as_dict(names) for one in rounds] for rounds in self.explanations]
        missing = [None] * (len(self.suspects) - len(votes))
        outlier = self.outliers.listed[self.suspects.rows].tolist()
        more = {"outlier": outlier, "votes": votes + missing}
        return self._by_row(self.suspects.columns() | more)

    def _outlier_rows(self) -> list[dict[str, Any]]:
        given = self.origin.spread(self.given, -1)[self.outliers.rows]
        return self._by_row(self.outliers.columns() | {"given": given.tolist()})

    def _by_row(self, columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
        """Columns as one mapping a row, with its identifier where rows have some."""
        return _mappings(columns | self.origin.id_column(columns["row"]))


def _mappings(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def diagnose(
    features: Features,
    settings: DiagnosisSettings | None = None,
    *,
    groups: object = None,
    sample_weight: object = None,
    pred_probs: object = None,
    observed: CorruptedLabels | None = None,
    origin: Origin | None = None,
    stage: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Diagnose labelled features whose labels may be wrong.

    Their labels are taken as given, not as true; a test split is only reported on.

    The features are prepared as ``settings`` say. Rows with equal entries in ``groups`` (N,), whole
    numbers or texts, are held out together and are no neighbours of one another (patients, videos);
    by default those are the copies of one row. ``observed`` labels beside the truth
    (``gramlab.observed_labels``) take the place of their own, and everything is judged as with
    planted noise. ``sample_weight`` (N,) and ``pred_probs`` (N, K) are as of ``gramlab.diagnose``,
    ``origin`` says which rows of a caller these are, and ``stage`` is called with a few words when
    a stage begins.

    Raises
    ------
    InvalidLabels
        If a class has a single row or none, so that nothing can be held out of it; it is named.
    InvalidSetting
        If there are more folds than rows or groups, groups are not one per row, a class lies in one
        group, or weights are no weights.
    InvalidTargets
        If ``pred_probs`` are no probabilities (N, K).
    InvalidFeatures, NotEnoughMemory
        If the features cannot be used.
    """
    asked, planted = settings or DiagnosisSettings(), None
    say = stage or (lambda text: None)
    k, n = features.n_classes, features.n_samples
    if observed is not None:
        planted, seen = observed, {"noise": OBSERVED, "rate": observed.realized_rate}
        asked, features = replace(asked, **seen), features.replaced(labels=observed.labels)
    elif asked.rate > 0.0:
        matrix = corruption_matrix(asked.noise, k, asked.rate, features.superclasses)
        planted = corrupt_labels(features.labels, matrix, seed=asked.seed)
        features = features.replaced(labels=planted.labels)
    check_classes(features)
    given, own = features.labels, None if groups is None else group_numbers(groups, n)
    weights, origin = relative_weights(sample_weight, n), origin or Origin.of_all(n, k)
    check_memory(
        bytes_needed(n, features.n_features + asked.constant, k, asked),
        f"the diagnosis of {n} rows",
        "use fewer rows, or features of fewer columns",
    )
    say("preparing features")
    steps = {"center": asked.center, "unit_norm": asked.unit_norm, "constant": asked.constant}
    bare = prepared_rows(features, origin.unlabelled, **steps)
    features = features.prepared(**steps)
    say("copies of rows")
    copies = copies_of(features, asked.copy_radius)
    together = copies.group if own is None else own
    fold = folds(given, asked.folds, asked.seed, together)
    say("Gram spectrum")
    spectrum, correlations = Spectrum.of(features), class_correlations(features)
    run = Run(features, k, fold, given, weights)
    estimate = estimate_transition(
        features,
        given,
        folds=run,
        copy_radius=asked.copy_radius,
        pred_probs=pred_probs,
        stage=lambda text: say(f"noise: {text}"),
    )
    say("neighbours")
    nearest = nearest_rows(features, min(50, n - int(np.bincount(together).max())), together)
    posterior = label_posterior(estimate, given, nearest)
    reference = 1.0 / n if asked.weight_decay is None else asked.weight_decay
    scoring = Scoring(posterior.posterior, given, estimate.matrix, weights)
    cleaned = FoldPosteriors(run, given, nearest, estimate, posterior).cleaned(say)
    search = SettingSearch(
        run, scoring, asked.max_rounds, cleaned, asked.seed, asked.tolerance, say
    )
    trials = search.trials(decay_grid(features), reference)
    advice = advise(trials, reference, scoring)
    say("exact heads on all rows")
    fits = {}
    for name, trial in (("chosen", advice.chosen), ("reference", advice.reference)):
        one = trial.setting
        targets, kept = CleanedLabels(given, posterior.posterior).problem(one.labels)
        counted = product_of_weights(weights, kept)
        head = SoftmaxHead(one.weight_decay, sample_weight=counted, tolerance=asked.tolerance)
        how = {"refine": one.refine or None, "seed": asked.seed}
        fits[name] = distill(head, features, targets, one.rounds, **how)[-1]
    suspects, resamples = find_suspects(posterior, given), None
    withheld = reason_to_withhold(estimate)
    if withheld:
        middle, low, high = resampled_precision((), len(suspects))
        known = {"precision": middle, "precision_low": low, "precision_high": high}
        suspects = replace(suspects, withheld=withheld, **known)
    elif asked.recorrupt:
        world = features, estimate, posterior, nearest, run
        resamples = recorrupt(*world, asked.seed, say, asked.copy_radius)
        middle, low, high = resampled_precision(resamples, len(suspects))
        suspects = replace(suspects, precision=middle, precision_low=low, precision_high=high)
    outliers = find_outliers(
        posterior.held_out, estimate.probabilities, estimate.matrix, given, asked.outlier_rate
    )
    say("explanations")
    setting = advice.on_given.setting
    explanations = explain_rows(
        spectrum,
        given,
        suspects.rows[: asked.explained],
        setting.weight_decay,
        max(2, setting.rounds) if asked.max_rounds > 1 else 1,
        n_classes=k,
        voters=asked.voters,
    )
    accuracy = None if withheld else advice.chosen.accuracy
    return Diagnosis(
        settings=asked,
        features=features,
        planted=planted,
        copies=copies,
        groups=own,
        spectrum=spectrum,
        correlations=correlations,
        estimate=estimate,
        posterior=posterior,
        trials=trials,
        advice=advice,
        fits=fits,
        suspects=suspects.renumbered(origin),
        outliers=outliers.renumbered(origin),
        recorruption=resamples,
        explanations=[[one.renumbered(origin.rows) for one in each] for each in explanations],
        unlabelled=predict_unlabelled(fits["chosen"], bare, origin, accuracy),
        origin=origin,
    )
