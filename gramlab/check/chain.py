"""The main job: features and noise in, theory beside the exact heads out, every number certified.

frozen features → Gram spectrum → closed-form iterates → exact heads → comparison. Pure computation:
drawing, writing and printing are other rooms.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any, Protocol

import numpy as np

from gramlab import errors, validation
from gramlab.check.polishing import polish_rounds
from gramlab.comparison import Certified, Comparison, certify_predictions, compare
from gramlab.distillation import Rounds, distill
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.fit import Fit
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import CorruptedLabels, corrupt_labels, corruption_matrix
from gramlab.machine import hardware
from gramlab.numerics.certificate import Certificate
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import ClassCorrelations, class_correlations
from gramlab.spectrum.filters import class_averaging_weights, linear_mu
from gramlab.targets import Targets, one_hot, partial_labels

__all__ = ["CheckResult", "CheckSettings", "Dynamics", "ProgressReport", "run_check"]


@dataclass(frozen=True)
class CheckSettings:
    """What ``gramlab check`` was asked to do.

    Attributes
    ----------
    noise, rate
        Corruption matrix kind and its rate η in [0, 1).
    weight_decay
        λ > 0.
    rounds
        Trainings, the teacher included.
    seed
        Key of the label noise and of ties.
    center, unit_norm
        Preparation steps, in this order.
    exact_counts
        Fix the number of flipped labels per class instead of drawing each.
    tolerance
        Relative duality gap every exact head reaches at least.
    certified_share
        Share of training predictions each exact head is polished to certify.
    certify
        What "certified" is about: ``"chain"``, the true iterate of a round, for which all earlier
        rounds are exact too, or ``"round"``, the optimum for the targets that it was given.
    """

    noise: str = "symmetric"
    rate: float = 0.5
    weight_decay: float = 5e-4
    rounds: int = 5
    seed: int = 0
    center: bool = False
    unit_norm: bool = False
    exact_counts: bool = False
    tolerance: float = 1e-8
    certified_share: float = 0.99
    certify: str = "chain"


@dataclass(frozen=True)
class Dynamics:
    """Class-averaged predictions of one round: what label averaging does to clean and wrong labels.

    Means over the clean rows of p(true label), over the mislabelled rows of p(true label) and
    p(given label), first within each class and then over classes. ``None`` where there are no
    such rows.
    """

    clean_true: float | None
    flipped_true: float | None
    flipped_given: float | None


@dataclass(frozen=True, eq=False)
class CheckResult:
    """Everything ``gramlab check`` found.

    ``own`` and ``chain`` split the training rows by the certificate of each exact round for the
    targets it was given, and by the one through the rounds; ``comparison`` by the one asked for.
    ``partial_rounds`` are the exact teacher and the exact partial-label student.
    """

    settings: CheckSettings
    features: Features = field(repr=False)
    given: CorruptedLabels = field(repr=False)
    spectrum: Spectrum = field(repr=False)
    correlations: ClassCorrelations = field(repr=False)
    linearized: Rounds = field(repr=False)
    exact: Rounds = field(repr=False)
    comparison: Comparison
    own: tuple[Certified, ...]
    chain: tuple[Certified, ...]
    partial: dict[str, Fit] = field(repr=False)
    partial_rounds: Rounds = field(repr=False)
    partial_certified: Certified
    top_two_coverage: dict[str, float]

    def dynamics(self, head: str) -> tuple[Dynamics, ...]:
        """Dynamics by round of ``"linearized"`` or ``"exact"``."""
        rounds = self.linearized if head == "linearized" else self.exact
        return tuple(_dynamics(fit.probabilities, self.given) for fit in rounds)

    def averaging_weights(self) -> tuple[dict[str, float], ...]:
        """Label-averaging weights by round, averaged over all rows of h(G)^t.

        On a row's own given label, on the other rows of its true class, on all other rows.
        """
        labels, n = self.given.true_labels, self.features.n_samples
        mu = linear_mu(self.features.n_classes, n, self.settings.weight_decay)
        out = []
        for t in range(1, self.settings.rounds + 1):
            own, by_class = class_averaging_weights(self.spectrum, labels, mu, t)
            in_class = by_class[np.arange(n), labels]
            out.append(
                {
                    "own": float(own.mean()),
                    "same_class": float((in_class - own).mean()),
                    "others": float((by_class.sum(axis=1) - in_class).mean()),
                }
            )
        return tuple(out)

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable result (``--json``): results only, no times or paths."""
        features, numbers = self.features, range(1, self.settings.rounds + 1)
        averaging = zip(
            numbers,
            self.dynamics("linearized"),
            self.dynamics("exact"),
            self.averaging_weights(),
            strict=True,
        )
        return {
            "command": "check",
            "settings": asdict(self.settings),
            "data": {
                "n_samples": features.n_samples,
                "n_features": features.n_features,
                "n_classes": features.n_classes,
                "n_test": None if features.test_x is None else len(features.test_x),
                "realized_rate": self.given.realized_rate,
            },
            "rounds": [self._round(t) for t in numbers],
            "partial_label_student": self._partial(),
            "spectrum": self._spectrum(),
            "label_averaging": [
                {"round": t, "linearized": asdict(a), "exact": asdict(b), "weights": weights}
                for t, a, b, weights in averaging
            ],
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

    def scores(self, fit: Fit) -> dict[str, float | None]:
        """Accuracy against given labels, true labels, and the test split."""
        test = None
        if self.features.test_x is not None and self.features.test_labels is not None:
            test = float((fit.predict(self.features.test_x) == self.features.test_labels).mean())
        return {
            "train_accuracy": float((fit.labels == self.given.labels).mean()),
            "label_recovery": float((fit.labels == self.given.true_labels).mean()),
            "test_accuracy": test,
        }

    def _round(self, t: int) -> dict[str, Any]:
        found = self.comparison[t - 1]
        return {
            "round": t,
            "linearized": self.scores(self.linearized[t - 1]),
            "exact": self.scores(self.exact[t - 1]) | _solve_report(self.exact[t - 1]),
            "distance": {"max_abs": found.max_abs, "frobenius": found.frobenius},
            "argmax_agreement": found.argmax_agreement,
            "certified": asdict(found.certified),
            "own": _certified_report(self.exact[t - 1].certificate, self.own[t - 1]),
            "chain": _certified_report(self.exact.chain[t - 1], self.chain[t - 1]),
            "certified_disagreement": found.certified_disagreement,
            "error_recursion": {
                "residual": found.recursion_error,
                "tolerance": found.recursion_tolerance,
                "holds": found.recursion_error <= found.recursion_tolerance,
            },
        }

    def _partial(self) -> dict[str, Any]:
        exact, rounds = self.partial["exact"], self.partial_rounds
        certificate, found = rounds.chain[1], None
        if certificate is not None:
            truth = self.given.true_labels
            found, _ = certify_predictions(exact, self.features, truth, certificate)
        return {
            "linearized": self.scores(self.partial["linearized"]),
            "exact": self.scores(exact) | _solve_report(exact),
            "certified": asdict(self.partial_certified),
            "chain": _certified_report(certificate, found, rounds.chain_ends),
            "top_two_coverage": self.top_two_coverage,
        }

    def _spectrum(self) -> dict[str, Any]:
        spectrum, k = self.spectrum, self.features.n_classes
        last = min(k, spectrum.n_samples - 1)
        angles = np.degrees(spectrum.class_angles(self.given.true_labels, k))
        return {
            "eigenvalues": spectrum.eigenvalues,
            "zero_eigenvalues": spectrum.n_samples - len(spectrum.eigenvalues),
            "gap": {
                "after": last,
                "value": spectrum.gap(last),
                "error_at_most": 2.0 * spectrum.certificate.eigenvalue_error,
            },
            "certificate": asdict(spectrum.certificate),
            "class_angles_degrees": angles,
            "correlations": {
                name: None if pair is None else {"mean": pair[0], "standard_deviation": pair[1]}
                for name, pair in (
                    ("within", self.correlations.within),
                    ("superclass", self.correlations.superclass),
                    ("between", self.correlations.between),
                )
            },
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
    features: Features, settings: CheckSettings, progress: ProgressReport | None = None
) -> CheckResult:
    """Run the whole chain on ``features`` with noise added to their labels.

    Parameters
    ----------
    features
        Labels are taken as the truth; noise is drawn from ``settings.seed``.
    settings
        What to do.
    progress
        Told about stages and the exact heads' progress.

    Raises
    ------
    InvalidSetting, InvalidFeatures, NotEnoughMemory
        On bad settings or features, before the heads are fitted.
    """
    tell = progress.stage if progress is not None else lambda name: None
    solving = progress.solving if progress is not None else None
    rounds = validation.check_integer("rounds", settings.rounds, 1)
    linear_head = LinearizedHead(settings.weight_decay)
    exact_head = SoftmaxHead(
        settings.weight_decay,
        tolerance=settings.tolerance,
        certified_share=settings.certified_share,
        progress=solving,
    )
    if settings.certify not in ("round", "chain"):
        raise errors.InvalidSetting(f'certify must be "round" or "chain", got {settings.certify!r}')
    k = features.n_classes
    matrix = corruption_matrix(settings.noise, k, settings.rate, features.superclasses)
    given = corrupt_labels(
        features.labels, matrix, seed=settings.seed, exact_counts=settings.exact_counts
    )
    truth = given.true_labels
    tell("preparing features")
    if settings.center:
        features = features.centered()
    if settings.unit_norm:
        features = features.unit_norm()
    tell("Gram spectrum")
    spectrum = Spectrum.of(features)
    correlations = class_correlations(features)
    targets = Targets(one_hot(given.labels, k) - 1.0 / k)
    tell("closed form")
    linearized = distill(linear_head, features, targets, rounds)
    exact = distill(
        exact_head,
        features,
        targets,
        rounds,
        on_round=lambda t: tell(f"exact head, round {t} of {rounds}"),
    )
    if settings.certify == "chain":
        exact = polish_rounds(exact, settings.certified_share, tell, solving)
    tell("partial-label student")
    partial, coverage, two_hot = {}, {}, np.empty(0)
    for name, head, teacher in (
        ("linearized", linear_head, linearized[0]),
        ("exact", exact_head, exact[0]),
    ):
        two_hot = partial_labels(teacher.probabilities, 2, seed=settings.seed)
        coverage[name] = float((two_hot[np.arange(len(two_hot)), truth] > 0).mean())
        partial[name] = head.fit(features, two_hot, start=teacher.weights)
    tell("comparison")
    pair, history = (exact[0], partial["exact"]), (targets, Targets(two_hot - 1.0 / k))
    return CheckResult(
        settings=settings,
        features=features,
        given=given,
        spectrum=spectrum,
        correlations=correlations,
        linearized=linearized,
        exact=exact,
        comparison=compare(linearized, exact, truth=truth, certify=settings.certify),
        own=tuple(certify_predictions(fit, features, truth)[0] for fit in exact),
        chain=tuple(
            certify_predictions(fit, features, truth, certificate)[0]
            for fit, certificate in zip(exact, exact.chain, strict=True)
        ),
        partial=partial,
        partial_rounds=Rounds(pair, features, history, "top2"),
        partial_certified=certify_predictions(partial["exact"], features, truth)[0],
        top_two_coverage=coverage,
    )


def _dynamics(probabilities: np.ndarray, given: CorruptedLabels) -> Dynamics:
    rows, truth, wrong = np.arange(len(probabilities)), given.true_labels, given.flipped
    of_true, of_given = probabilities[rows, truth], probabilities[rows, given.labels]
    return Dynamics(
        clean_true=_class_mean(of_true, truth, ~wrong),
        flipped_true=_class_mean(of_true, truth, wrong),
        flipped_given=_class_mean(of_given, truth, wrong),
    )


def _class_mean(values: np.ndarray, labels: np.ndarray, where: np.ndarray) -> float | None:
    if not where.any():
        return None
    counts = np.bincount(labels[where])
    sums = np.bincount(labels[where], weights=values[where])
    return float((sums[counts > 0] / counts[counts > 0]).mean())


def _solve_report(fit: Fit) -> dict[str, Any]:
    return {
        "certificate": fit.certificate.as_dict(),
        "solver": {
            "method": fit.stats.method,
            "result": fit.stats.result,
            "message": fit.stats.message,
            "polish": fit.stats.polish,
            "passes": fit.stats.passes,
            "at_float64_floor": fit.certificate.at_rounding_floor,
        },
    }


def _certified_report(
    certificate: Certificate | None, found: Certified | None, reason: str = ""
) -> dict[str, Any]:
    return {
        "weights_bound": None if certificate is None else certificate.weights_bound,
        "certified": None if found is None else asdict(found),
        "reason": reason or None,
    }
