"""The main job: features and noise in, theory beside the exact heads out, every number certified.

frozen features → Gram spectrum → closed-form iterates → exact heads → comparison. Pure computation:
drawing, writing and printing are other rooms.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from gramlab import errors, validation
from gramlab.check.settings import CheckSettings, prepare
from gramlab.comparison import (
    Certified,
    Comparison,
    accuracy_on_test_rows,
    certify_predictions,
    compare,
    polish_rounds,
)
from gramlab.distillation import Ball, Dynamics, Rounds, distill, dynamics, label_averaging
from gramlab.features import Features
from gramlab.features.inspection import describe_run
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.fit import Fit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import (
    CorruptedLabels,
)
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.text import html_table, short_repr
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import ClassCorrelations, class_correlations
from gramlab.targets import Targets, one_hot, partial_labels

__all__ = ["CheckResult", "ProgressReport", "run_check"]

_COLUMNS = (  # of a table: heading, key, format
    ("round", "round", ""),
    ("theory: recovery", "theory", "%"),
    ("test", "theory_test", "%"),
    ("exact: recovery", "exact", "%"),
    ("test", "exact_test", "%"),
    ("largest |difference|", "largest", ".3g"),
    ("certified right", "right", "%"),
    ("wrong", "wrong", "%"),
    ("undecided", "undecided", "%"),
)


@dataclass(frozen=True, eq=False)
class CheckResult:
    """Everything ``gramlab check`` found.

    ``own`` and ``chain`` split the training rows by the certificate of each exact round for the
    targets it was given, and by the one through the rounds; ``comparison`` by the one asked for.
    ``ball`` says what one training at the total weight decay of the exact rounds would do, and
    ``partial_rounds`` are the exact teacher and the exact partial-label student.
    """

    settings: CheckSettings
    features: Features = field(repr=False)
    given: CorruptedLabels = field(repr=False)
    spectrum: Spectrum = field(repr=False)
    correlations: ClassCorrelations = field(repr=False)
    linearized: Rounds = field(repr=False)
    exact: Rounds = field(repr=False)
    ball: Ball = field(repr=False)
    comparison: Comparison
    own: tuple[Certified, ...]
    chain: tuple[Certified, ...]
    partial: dict[str, Fit] = field(repr=False)
    partial_rounds: Rounds = field(repr=False)
    partial_certified: Certified
    top_two_coverage: dict[str, float]

    def __repr__(self) -> str:
        return short_repr(self)

    def _repr_html_(self) -> str:
        rows = [
            {"round": one.round, "largest": one.max_abs, "theory": a["label_recovery"]}
            | {"exact": b["label_recovery"], "theory_test": a["test_accuracy"]}
            | {"exact_test": b["test_accuracy"], "right": one.certified.right}
            | {"wrong": one.certified.wrong, "undecided": one.certified.undecided}
            for one, a, b in zip(
                self.comparison,
                map(self.scores, self.linearized),
                map(self.scores, self.exact),
                strict=True,
            )
        ]
        return html_table(rows, _COLUMNS, repr(self))

    def dynamics(self, head: str) -> tuple[Dynamics, ...]:
        """Dynamics by round of ``"linearized"`` or ``"exact"``."""
        rounds = self.linearized if head == "linearized" else self.exact
        return dynamics(rounds, self.given.labels, self.given.true_labels)

    def averaging_weights(self) -> tuple[dict[str, float], ...]:
        """Label-averaging weights by round, as ``gramlab.label_averaging`` gives them."""
        asked, k = self.settings, self.features.n_classes
        truth = self.given.true_labels
        return label_averaging(self.spectrum, truth, asked.weight_decay, asked.rounds, n_classes=k)

    def scores(self, fit: Fit) -> dict[str, float | None]:
        """Accuracy against given labels, true labels, and the test split."""
        return {
            "train_accuracy": float((fit.labels == self.given.labels).mean()),
            "label_recovery": float((fit.labels == self.given.true_labels).mean()),
            "test_accuracy": accuracy_on_test_rows(fit, self.features),
        }

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable result (``--json``): results only, no times or paths."""
        features, spectrum = self.features, self.spectrum
        last = min(features.n_classes, features.n_samples - 1)
        angles = spectrum.class_angles(self.given.true_labels, features.n_classes)
        by_round = (self.dynamics("linearized"), self.dynamics("exact"), self.averaging_weights())
        return {
            "command": "check",
            "settings": self.settings.as_dict(),
            "data": describe_data(features, self.given),
            "rounds": [self._round(t) for t in range(len(self.exact))],
            "equivalent": self.ball.as_dict(),
            "partial_label_student": self._partial(),
            "spectrum": {
                "eigenvalues": spectrum.eigenvalues,
                "zero_eigenvalues": features.n_samples - len(spectrum.eigenvalues),
                "gap": {
                    "after": last,
                    "value": spectrum.gap(last),
                    "error_at_most": 2.0 * spectrum.certificate.eigenvalue_error,
                },
                "certificate": asdict(spectrum.certificate),
                "class_angles_degrees": np.degrees(angles),
                "correlations": {
                    name: pair and dict(zip(("mean", "standard_deviation"), pair, strict=True))
                    for name, pair in vars(self.correlations).items()
                    if name != "matrix"
                },
            },
            "label_averaging": [
                {"round": t, "linearized": asdict(a), "exact": asdict(b), "weights": weights}
                for t, (a, b, weights) in enumerate(zip(*by_round, strict=True), 1)
            ],
            "provenance": describe_run(features, self.settings.seed),
        }

    def _round(self, t: int) -> dict[str, Any]:
        found, fit = self.comparison[t], self.exact[t]
        return {
            "round": t + 1,
            "linearized": self.scores(self.linearized[t]),
            "exact": self._exact(fit),
            "distance": {"max_abs": found.max_abs, "frobenius": found.frobenius},
            "argmax_agreement": found.argmax_agreement,
            "certified": asdict(found.certified),
            "total_weight_decay": math.fsum(one.weight_decay for one in self.exact[: t + 1]),
            "entropy": asdict(self.exact.entropy[t]),
            "weight_norm": asdict(self.exact.weight_norms[t]),
            "own": _certified(fit.certificate, self.own[t]),
            "chain": _certified(self.exact.chain[t], self.chain[t]),
            "certified_disagreement": found.certified_disagreement,
            "error_recursion": {
                "residual": found.recursion_error,
                "tolerance": found.recursion_tolerance,
                "holds": found.recursion_error <= found.recursion_tolerance,
            },
        }

    def _partial(self) -> dict[str, Any]:
        fit, rounds = self.partial["exact"], self.partial_rounds
        certificate, found = rounds.chain[1], None
        if certificate is not None:
            truth = self.given.true_labels
            found, _ = certify_predictions(fit, self.features, truth, certificate)
        return {
            "linearized": self.scores(self.partial["linearized"]),
            "exact": self._exact(fit),
            "certified": asdict(self.partial_certified),
            "chain": _certified(certificate, found, rounds.chain_ends),
            "top_two_coverage": self.top_two_coverage,
        }

    def _exact(self, fit: Fit) -> dict[str, Any]:
        names = ("method", "result", "message", "polish", "passes")
        solver = {name: getattr(fit.stats, name) for name in names}
        solver["at_float64_floor"] = fit.certificate.at_rounding_floor
        return {**self.scores(fit), "certificate": fit.certificate.as_dict(), "solver": solver}


def describe_data(features: Features, given: CorruptedLabels) -> dict[str, Any]:
    """Sizes of the features, and the share of labels that are wrong."""
    return {
        "n_samples": features.n_samples,
        "n_features": features.n_features,
        "n_classes": features.n_classes,
        "n_test": None if features.test_x is None else len(features.test_x),
        "realized_rate": given.realized_rate,
    }


def _certified(
    certificate: Certificate | None, found: Certified | None, reason: str = ""
) -> dict[str, Any]:
    return {
        "weights_bound": certificate and certificate.weights_bound,
        "certified": found and asdict(found),
        "reason": reason or None,
    }


class ProgressReport(Protocol):
    """How the check tells what it is doing; the CLI draws it."""

    def stage(self, name: str) -> None:
        """Begin a stage."""
        ...

    def solving(self, passes: float, ratio: float) -> None:
        """Tell how far the current head is: passes, ‖g‖/‖g(0)‖."""
        ...


def run_check(
    features: Features,
    settings: CheckSettings,
    progress: ProgressReport | None = None,
    *,
    observed: CorruptedLabels | None = None,
) -> CheckResult:
    """Run the whole chain on ``features``, whose labels are the truth that noise is added to.

    ``observed`` labels of all rows (``gramlab.observed_labels``) take the place of that noise.

    Raises
    ------
    InvalidSetting, InvalidFeatures, NotEnoughMemory, DeviceError
        On bad settings or features, or where JAX cannot compute, before the heads are fitted.
    """
    tell = progress.stage if progress is not None else lambda name: None
    solving = progress.solving if progress is not None else None
    rounds = validation.check_integer("rounds", settings.rounds, 1)
    if settings.certify not in ("round", "chain"):
        raise errors.InvalidSetting(f'certify must be "round" or "chain", got {settings.certify!r}')
    linear_head = LinearizedHead(settings.weight_decay)
    exact_head = SoftmaxHead(
        settings.weight_decay,
        tolerance=settings.tolerance,
        certified_share=settings.certified_share,
        progress=solving,
    )
    k, seed = features.n_classes, settings.seed
    features, given, settings = prepare(features, settings, tell, observed)
    truth = given.true_labels
    tell("Gram spectrum")
    spectrum, correlations = Spectrum.of(features), class_correlations(features)
    targets = Targets(one_hot(given.labels, k) - 1.0 / k)
    tell("closed form")
    linearized = distill(linear_head, features, targets, rounds)

    def on_round(t: int) -> None:
        tell(f"exact head, round {t} of {rounds}")

    exact = distill(exact_head, features, targets, rounds, on_round=on_round)
    if settings.certify == "chain":
        exact = polish_rounds(exact, settings.certified_share, tell, solving)
    tell("partial-label student")
    partial, coverage, two_hot = {}, {}, np.empty(0)
    heads = {"linearized": (linear_head, linearized), "exact": (exact_head, exact)}
    for name, (head, (teacher, *_)) in heads.items():
        two_hot = partial_labels(teacher.probabilities, 2, seed=seed)
        coverage[name] = float((two_hot[np.arange(len(two_hot)), truth] > 0).mean())
        partial[name] = head.fit(features, two_hot, start=teacher.weights)
    tell("comparison")

    def certified(fit: Fit, certificate: Certificate | None = None) -> Certified:
        return certify_predictions(fit, features, truth, certificate)[0]

    pair, history = (exact[0], partial["exact"]), (targets, Targets(two_hot - 1.0 / k))
    return CheckResult(
        settings=settings,
        features=features,
        given=given,
        spectrum=spectrum,
        correlations=correlations,
        linearized=linearized,
        exact=exact,
        ball=exact.equivalent(),
        comparison=compare(linearized, exact, truth=truth, certify=settings.certify),
        own=tuple(map(certified, exact)),
        chain=tuple(map(certified, exact, exact.chain)),
        partial=partial,
        partial_rounds=Rounds(pair, features, history, "top2"),
        partial_certified=certified(partial["exact"]),
        top_two_coverage=coverage,
    )
