"""Theory against truth, round by round: distances, agreement, and what is certified.

With R_t = P^(t) − 1/K − V^(t)/K the softmax remainder at the exact head (V its logits), the error
E_t = P^(t) − P_lin^(t) obeys (derived for this project; docs/objective.md)

    E_t = h(G) E_{t−1} + (I + G/μ)^{-1} (R_t + X g_t/(λK)),    E_0 = 0,

where g_t is the gradient left in round t's head, 0 at the exact optimum. With it the identity holds
for any weights whose class columns sum to zero, and ``compare`` verifies it on the run itself.
With weights on rows H = X(XᵀΩX + μ)⁻¹XᵀΩ stands for h(G), and I − H for (I + G/μ)^{-1}. G, μ and Ω
are those of round t, which may differ from round to round.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gramlab import errors, validation
from gramlab.distillation import Rounds, largest_classes, same_features
from gramlab.features import Features
from gramlab.heads.fit import Fit
from gramlab.heads.referee import SoftmaxObjective, softmax_remainder
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import gamma
from gramlab.numerics.text import html_table, short_repr
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import apply_filter, linear_mu
from gramlab.targets import equal_weights

__all__ = ["Certified", "Comparison", "RoundComparison", "certify_predictions", "compare"]
__all__ += ["accuracy_on_test_rows", "polish_rounds"]


@dataclass(frozen=True)
class Certified:
    """What is proved of the predictions of exact weights on some rows, as shares of them.

    Exact weights are the optimum for a round's own targets, or the true iterate through all rounds:
    whatever the certificate is about that decided. Their class is certified to be the true label
    (``right``), or another (``wrong``), both ``None`` where the truth is unknown; or ``undecided``.
    """

    right: float | None
    wrong: float | None
    undecided: float


@dataclass(frozen=True)
class RoundComparison:
    """Linearized and exact head of one round t = 1, 2, …, on the training rows.

    Attributes
    ----------
    max_abs, frobenius
        Distances of the two prediction matrices.
    argmax_agreement
        Share of rows on which both predict the same class.
    certified, certified_agreement, certified_disagreement
        Of the weights that ``compare`` was told to certify, and the shares of rows whose linearized
        class is certified to be theirs, and certified to differ from it.
    recursion_error, recursion_tolerance
        Largest deviation from the error recursion of the module's docstring, and the rounding
        bound it must stay under.
    """

    round: int
    max_abs: float
    frobenius: float
    argmax_agreement: float
    certified: Certified
    certified_agreement: float
    certified_disagreement: float
    recursion_error: float
    recursion_tolerance: float


_COLUMNS = (  # of a table: heading, field, format
    ("round", "round", ""),
    ("largest |difference|", "max_abs", ".3g"),
    ("same class", "argmax_agreement", "%"),
    ("certified right", "right", "%"),
    ("certified wrong", "wrong", "%"),
    ("undecided", "undecided", "%"),
)


@dataclass(frozen=True)
class Comparison(Sequence[RoundComparison]):
    """``comparison[t - 1]`` compares round t on ``n_samples`` training rows."""

    rounds: tuple[RoundComparison, ...]
    n_samples: int

    def __repr__(self) -> str:
        """What the first and the last round show."""
        rows = [vars(one) | vars(one.certified) for one in self.rounds]
        shown: dict[str, Any] = {"rounds": len(rows)}
        for name in ("max_abs", "argmax_agreement", "right", "wrong", "undecided"):
            ends = tuple(row[name] for row in (rows[:1] + rows[1:][-1:]) if row[name] is not None)
            shown[name] = ends or None
        return short_repr(self, **shown)

    def _repr_html_(self) -> str:
        rows = [vars(one) | vars(one.certified) for one in self.rounds]
        return html_table(rows, _COLUMNS, repr(self))

    def __len__(self) -> int:
        return len(self.rounds)

    def __getitem__(self, index: Any) -> Any:
        return self.rounds[index]


def certify_predictions(
    fit: Fit,
    features: Features,
    truth: np.ndarray | None,
    certificate: Certificate | None = None,
) -> tuple[Certified, np.ndarray]:
    """Decide each training row of an exact fit: right, wrong, or not certified.

    Parameters
    ----------
    fit, features
        Fit of the exact head, and its training features.
    truth : (N,) or None
        True labels.
    certificate
        Of the fit's weights: by default its own, about the optimum for the targets it was given;
        ``Rounds.chain[t - 1]`` is about the true iterate of round t.

    Returns
    -------
    certified : Certified
    decided : (N,) bool
    """
    certificate = fit.certificate if certificate is None else certificate
    classes, decided = largest_classes(features, fit.weights, certificate, 1)
    undecided = float((~decided).mean())
    if truth is None:
        return Certified(None, None, undecided), decided
    right = decided & (classes[:, 0] == truth)
    return Certified(float(right.mean()), float((decided & ~right).mean()), undecided), decided


def accuracy_on_test_rows(fit: Fit, features: Features) -> float | None:
    """Share of the test rows whose label a fit predicts; None without labelled test rows."""
    if features.test_x is None or features.test_labels is None:
        return None
    return float((fit.predict(features.test_x) == features.test_labels).mean())


def compare(
    linearized_rounds: Rounds,
    exact_rounds: Rounds,
    *,
    truth: np.ndarray | None = None,
    certify: str = "round",
) -> Comparison:
    """Compare the same recursion run through the linearized and the exact head.

    Parameters
    ----------
    linearized_rounds, exact_rounds
        From ``distill`` with the same first targets, and in each round the same features, weight
        decay and row weights: schedules, and features of each round, are compared as they are.
    truth
        True labels (N,) of the training rows, if known.
    certify
        What ``certified`` and ``certified_disagreement`` are about: ``"round"``, the optimum for
        the targets that each round was given, or ``"chain"``, the true iterate, for which all
        earlier rounds are exact too (``Rounds.chain``).

    Raises
    ------
    InvalidSetting
        If the two did not start from the same targets, or differ in a round's features, weight
        decay or row weights; if the first predict by a softmax, as those of ``slope="secant"`` do;
        if ``certify`` is another word, or there is no chain. Schedules that differ are for
        ``compare_totals``.
    """
    if certify not in ("round", "chain"):
        raise errors.InvalidSetting(f'certify must be "round" or "chain", got {certify!r}')
    if certify == "chain" and exact_rounds.chain_ends:
        raise errors.InvalidSetting(
            f'certify must be "round" for these rounds, got "chain": {exact_rounds.chain_ends}'
        )
    if not all(fit.linear for fit in linearized_rounds):
        raise errors.InvalidSetting(
            "compare needs linear predictions in the first Rounds, got those of a softmax, for "
            'which no error recursion is known: use LinearizedHead with slope="tangent"'
        )
    certificates = exact_rounds.chain if certify == "chain" else [None] * len(exact_rounds)
    n, k = same_start("compare", linearized_rounds, exact_rounds)
    if truth is not None:
        truth = validation.check_labels(truth, n_samples=n, name="truth")
    out = []
    for t, (linear, exact) in enumerate(zip(linearized_rounds, exact_rounds, strict=False)):
        features = _same_round(t, linearized_rounds, exact_rounds)
        weight_decay, row_weights = exact.weight_decay, exact.row_weights
        spectrum, mu = Spectrum.of(features, row_weights=row_weights), linear_mu(k, n, weight_decay)
        error = exact.deviations - linear.deviations
        given, linear_given = (r.targets[t].deviations for r in (exact_rounds, linearized_rounds))
        objective = SoftmaxObjective(features, given, weight_decay, row_weights)
        logits = objective.logits(exact.weights)
        source = softmax_remainder(logits)
        source += objective.logits(objective.gradient(exact.weights)) / (weight_decay * k)
        # E_{t−1}, and where targets are made otherwise of predictions, what enters in its place.
        inner = given - linear_given - source
        predicted = apply_filter(spectrum, inner, mu) + source
        certified, decided = certify_predictions(exact, features, truth, certificates[t])
        same = linear.labels == exact.labels
        filtered = (inner, linear_given)
        out.append(
            RoundComparison(
                round=t + 1,
                max_abs=float(np.abs(error).max()),
                frobenius=float(np.linalg.norm(error)),
                argmax_agreement=float(same.mean()),
                certified=certified,
                certified_agreement=float((decided & same).mean()),
                certified_disagreement=float((decided & ~same).mean()),
                recursion_error=float(np.abs(error - predicted).max()),
                recursion_tolerance=_recursion_tolerance(objective, exact, filtered, spectrum, mu),
            )
        )
    return Comparison(tuple(out), n)


def same_start(caller: str, first: Rounds, second: Rounds) -> tuple[int, int]:
    """N and K of two Rounds with the same first targets, or InvalidSetting."""
    given, other = first.targets[0].deviations, second.targets[0].deviations
    if not np.array_equal(given, other):
        raise errors.InvalidSetting(
            f"{caller} needs both Rounds from the same first targets, got different ones: run "
            "distill twice with one array of targets"
        )
    return given.shape


def _same_round(t: int, linearized: Rounds, exact: Rounds) -> Features:
    """What both have at index t, or InvalidSetting where it is not the same."""
    first, second = linearized[t], exact[t]
    features, others = (rounds.features_by_round[t] for rounds in (exact, linearized))
    if not same_features(features, others):
        raise errors.InvalidSetting(
            f"compare needs the same features in both Rounds, got different ones in round {t + 1}: "
            "run distill twice with the same Features"
        )
    if first.weight_decay != second.weight_decay:
        raise errors.InvalidSetting(
            f"compare needs one weight decay in each round, got {first.weight_decay} (linearized) "
            f"and {second.weight_decay} (exact) in round {t + 1}: compare_totals compares schedules"
        )
    if not equal_weights(first.row_weights, second.row_weights):
        raise errors.InvalidSetting(
            "compare needs one weight for each row in both Rounds, got different ones in round "
            f"{t + 1}: give both heads the same sample_weight"
        )
    return features


def _recursion_tolerance(
    objective: SoftmaxObjective,
    exact: Fit,
    filtered: tuple[np.ndarray, ...],
    spectrum: Spectrum,
    mu: float,
) -> float:
    """Rounding allowed in the error recursion, largest over its entries.

    Each filtered matrix B passes through Z diag(1/(s + μ)) ZᵀΩ: its inner products cost at most
    γ max‖x_i‖ Σ_n ω_n ‖x_n‖ max|B_n|/μ, and the eigenvalue error ε of the spectrum at most
    ε ‖√ΩB‖_F/(2√μ) times the largest ‖x_iᵀ(XᵀΩX + μ)⁻¹‖. That is ‖x_i‖/√(μ(μ + ω_i‖x_i‖²)) at
    most, and without weights 1/(2√μ), because σ/(s + μ) is. The gradient enters as X g/(λK), so
    its rounding counts max‖x‖/(λK) times.
    """
    norms, top, weights = objective.row_norms, objective.max_row_norm, spectrum.row_weights
    length = objective.n_samples + 2 * objective.features.n_features
    certificate, k = exact.certificate, objective.n_classes
    tolerance = certificate.gradient_rounding * top / (exact.weight_decay * k)
    tolerance += top * certificate.logit_rounding + gamma(2 * k + 16)
    reach, error = 1.0 / (2.0 * np.sqrt(mu)), spectrum.certificate.eigenvalue_error
    if weights is not None:
        length += 8  # weights and their products
        reach = float((norms / np.sqrt(mu * (mu + weights * norms**2))).max())
    for values in filtered:
        given = spectrum.weighted(values)
        tolerance += gamma(length) * top * float(norms @ np.abs(given).max(axis=1)) / mu
        heard = float(np.sqrt(max(float(np.vdot(values, given)), 0.0)))
        tolerance += error * reach * heard / (2.0 * np.sqrt(mu))
    return tolerance


def polish_rounds(
    rounds: Rounds,
    share: float,
    tell: Callable[[str], None],
    solving: Callable[[float, float], None] | None = None,
) -> Rounds:
    """Rounds solved until ``share`` of the rows is certified through them, as far as float64 goes.

    What a round is certified through is the sum of its own gradient and those of the rounds before
    it, so all are solved again, each from where it ended, to a tenth of the largest gradient. If
    that does not halve what the last round is certified to, float64 gives no more. Rounds that
    missed their tolerance stay as they are. The rounds are of the exact head, plainly distilled;
    ``tell`` is told the name of each stage, ``solving`` how far a head is, as by ``SoftmaxHead``.
    """
    if not all(fit.stats.converged for fit in rounds):
        return rounds
    word, stats = "share reached", [fit.stats for fit in rounds]
    while _certified_share(rounds) < share:
        worst = max(fit.certificate.relative_gap for fit in rounds)
        if worst == 0.0:
            word = "float64 floor"
            break
        fits, targets = [], [rounds.targets[0]]
        for t, (fit, features) in enumerate(zip(rounds, rounds.features_by_round, strict=True), 1):
            tell(f"exact head again, round {t} of {len(rounds)}")
            head = SoftmaxHead(fit.weight_decay, tolerance=worst / 100.0, progress=solving)
            with warnings.catch_warnings():  # the tolerance asked for is met already
                warnings.simplefilter("ignore", errors.NotConvergedWarning)
                fits.append(head.fit(features, targets[-1], fit.weights))
            targets.append(fits[-1].as_targets())
        again = replace(rounds, fits=tuple(fits), targets=tuple(targets[:-1]))
        ends = (rounds.chain[-1], again.chain[-1])
        before, after = (np.inf if end is None else end.weights_bound for end in ends)
        if not after < before / 2.0:
            limited = any(fit.stats.result == "pass limit" for fit in again)
            word = "pass limit" if limited else "float64 floor"
            break
        # The work of both solves; whether the tolerance was met is the first one's to say.
        stats = [
            replace(
                one,
                passes=one.passes + fit.stats.passes,
                iterations=one.iterations + fit.stats.iterations,
            )
            for one, fit in zip(stats, again, strict=True)
        ]
        rounds = again
    return rounds.reported([replace(one, polish=word) for one in stats])


def _certified_share(rounds: Rounds) -> float:
    """Smallest share of rows, over rounds, whose class is certified through the rounds."""
    return min(
        float(certify_predictions(fit, features, None, certificate)[1].mean())
        for fit, features, certificate in zip(
            rounds, rounds.features_by_round, rounds.chain, strict=True
        )
    )
