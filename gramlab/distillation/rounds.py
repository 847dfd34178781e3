"""Rounds: what ``distill`` returns, with certificates through all of them.

``Rounds.chain`` says how far each round is from the iterate that exact rounds would reach. With
M(W) = XᵀP(W)/N these obey λ_t W_t + M(W_t) = XᵀT_t/N, where T_{t+1} = ξP(W_t) + (1 − ξ)Y, or with
momentum P(W_t) + β_t (P(W_t) − P(W_{t−1})). For *any* weights W̃_t let e_t be the gradient of round
t's objective at W̃_t, on the targets that W̃_{t−1} and W̃_{t−2} make. Then (derived for this
project; docs/objective.md, theorem ``chain-certificate``)

    S_t = ‖e_t‖ + E_t,  E_{t+1} = |ξ| S_t or (1 + β_t) S_t + β_t S_{t−1},  E_1 = S_0 = 0,

bounds λ_t ‖W̃_t − W_t‖ and ‖M(W̃_t) − M(W_t)‖, and the round's certificate with E_t more error in
its gradient is one about the true iterate, its local bound included. Stored predictions and targets
do not matter.

Where round t has features X' that are not X of round t − 1, S = S_{t−1} is replaced by σ(X')/N
times ‖ΔP‖ ≤ min(S √(N/(8λ)), σ(X) a/2), with σ the largest singular value, λ = λ_{t−1} and a the
bound on ‖W̃_{t−1} − W_{t−1}‖ (docs/objective.md; theorem
``other-features-chain``).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import overload

import numpy as np

from gramlab import errors, validation
from gramlab.distillation import proximal
from gramlab.distillation.classes import largest_classes
from gramlab.features import Features
from gramlab.features.sharded import ShardedFeatures
from gramlab.heads.fit import Fit, SolveStats
from gramlab.heads.referee import SoftmaxObjective, softmax_deviations
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import gamma
from gramlab.numerics.text import html_table, short_repr
from gramlab.targets import Targets, equal_weights

__all__ = ["LARGEST", "Refine", "Rounds", "check_momentum", "momentum_weight", "same_features"]

Refine = str | Callable[[np.ndarray], np.ndarray] | None

LARGEST = {"top2": 2, "hard": 1}
"""Refinements that share targets alike among the largest classes of a row, and among how many."""


def momentum_weight(t: int) -> float:
    """β_t = (t − 1)/(t + 2), the weight of P_t − P_{t−1} in the targets of round t + 1."""
    return (t - 1) / (t + 2)


def check_momentum(refine: Refine, temperature: float, mixing: float) -> None:
    """Refuse what momentum is not defined with, as InvalidSetting."""
    plain = {"refine": (refine, None), "temperature": (temperature, 1.0), "mixing": (mixing, 1.0)}
    for name, (value, default) in plain.items():
        if value != default:
            raise errors.InvalidSetting(
                f"{name} must be {default} with momentum=True, which takes predictions as they "
                f"are, got {value!r}: leave one of the two out"
            )


@dataclass(frozen=True, eq=False)
class Rounds(Sequence[Fit]):
    """The fits of a distillation, round 1 (the teacher) first: ``rounds[t - 1]`` is round t.

    ``features`` are the training features, a tuple where ``distill`` was given one for each round;
    ``targets[t - 1]`` are the targets of round t, which ``refine``, ``temperature``, ``mixing`` and
    ``momentum`` made of predictions as ``distill`` was told.
    """

    fits: tuple[Fit, ...]
    features: Features | tuple[Features, ...]
    targets: tuple[Targets, ...]
    refine: Refine = None
    temperature: float = 1.0
    mixing: float = 1.0
    momentum: bool = False

    def __post_init__(self) -> None:
        if self.momentum:
            check_momentum(self.refine, self.temperature, self.mixing)

    def __repr__(self) -> str:
        """Head, weight decays and rows; of the rest what was chosen."""
        decays = tuple(sorted({fit.weight_decay for fit in self.fits}))
        shown = {"fits": self.fits, "weight_decay": decays[0] if len(decays) == 1 else decays}
        chosen = {"temperature": self.temperature, "mixing": self.mixing}
        shown |= {"momentum": True} if self.momentum else {}
        shown |= {"features": self.features, "refine": self.refine}
        return short_repr(self, **shown | {name: x for name, x in chosen.items() if x != 1.0})

    def _repr_html_(self) -> str:
        rows = [
            {"round": t, "weight_decay": fit.weight_decay, **vars(fit.stats)}
            for t, fit in enumerate(self.fits, 1)
        ]
        words = (("method", "method", ""), ("result", "result", ""))
        numbers = (("weight decay", "weight_decay", "g"), ("passes", "passes", ".0f"))
        return html_table(rows, (("round", "round", ""), *numbers, *words), repr(self))

    @property
    def features_by_round(self) -> tuple[Features, ...]:
        """``features_by_round[t - 1]`` are those of round t, on which its fit predicts."""
        if isinstance(self.features, tuple):
            return self.features
        return (self.features,) * len(self.fits)

    @property
    def chain(self) -> tuple[Certificate | None, ...]:
        """Certificates through the rounds, ``chain[t - 1]`` for round t.

        Each bounds the distance to the true iterate, which has all earlier rounds exact too.
        Linearized rounds have a chain too: their distance from the exact ones. ``gradient_norm`` is
        ‖e_t‖ as computed, and ``gradient_rounding`` holds everything by which the gradient of the
        true objective may differ from it, E_t included, so S_t is their sum. ``None`` where
        nothing is claimed, and from there on: see ``chain_ends``.
        """
        return self._chain[0]

    @property
    def chain_ends(self) -> str:
        """Why ``chain`` holds ``None``, in words; empty where it does not."""
        return self._chain[1]

    @cached_property
    def _chain(self) -> tuple[tuple[Certificate | None, ...], str]:
        found: list[Certificate] = []
        for t in range(1, len(self.fits) + 1):
            certificate = _chained(self, t, found)
            if isinstance(certificate, str):
                return (*found, *[None] * (len(self.fits) - len(found))), certificate
            found.append(certificate)
        return tuple(found), ""

    @property
    def total_weight_decay(self) -> float:
        """Λ = Σ λ_s over all rounds."""
        return math.fsum(fit.weight_decay for fit in self.fits)

    @property
    def average_weights(self) -> np.ndarray:
        """W̄ = Σ λ_s W_s/Λ (d, K): of exact plain rounds (u_1 − M(W_t))/Λ (telescope)."""
        decays = [fit.weight_decay for fit in self.fits]
        return np.average(np.stack([fit.weights for fit in self.fits]), axis=0, weights=decays)

    @property
    def entropy(self) -> tuple[proximal.Entropy, ...]:
        """Mean entropy of the predictions of each round, certified, with what theory says of it.

        Raises
        ------
        InvalidSetting
            If a round minimizes another loss than the regularized cross-entropy.
        """
        return self._measured[0]

    @property
    def weight_norms(self) -> tuple[proximal.WeightNorm, ...]:
        """‖W_t‖ of each round, certified, with what theory says of it; raises as ``entropy``."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[tuple[proximal.Entropy, ...], tuple[proximal.WeightNorm, ...]]:
        return proximal.measure(self.fits, self._losses(), self.chain, self._recursion)

    def equivalent(self, round: int | None = None, *, combine: bool = True) -> proximal.Ball:
        """What one training at the total weight decay of rounds 1 … ``round`` would do.

        By default of all rounds. Of two balls that hold its weights the smaller is given: the one
        with W_t and W̄ at the ends of a diameter, and one about a combination of the rounds'
        weights, unless not to ``combine`` them.

        Raises
        ------
        InvalidSetting
            If there is no such round, or rounds are not plain: with ``refine``, ``temperature``,
            ``mixing`` or ``momentum``, of another loss, or on other rows or features.
        """
        count = len(self) if round is None else round
        count = validation.check_integer("round", count, 1, len(self))
        plain, certificate = self._recursion == "plain", self.chain[count - 1]
        if not plain or certificate is None:
            reason, told = "targets other than their predictions", "without refine, temperature, "
            told += "mixing and momentum"
            if not self._one_matrix:
                reason, told = "features of their own in rounds", "with one feature matrix"
            elif plain:
                reason, told = self.chain_ends, "with SoftmaxHead or LinearizedHead, on one set of "
                told += "rows and weights"
            raise errors.InvalidSetting(
                "equivalent must be asked of plain rounds of the exact or linearized head, got: "
                f"{reason}; run distill {told}"
            )
        return proximal.ball(self.fits[:count], self._losses(), certificate, combine)

    @property
    def _recursion(self) -> str:
        """``"plain"``, ``"momentum"``, or ``"other"``, of which no theorem here speaks."""
        unchanged = self.refine is None and self.temperature == 1.0 and self.mixing == 1.0
        if unchanged and self._one_matrix:
            return "momentum" if self.momentum else "plain"
        return "other"

    @property
    def _one_matrix(self) -> bool:
        """Whether all rounds have the same features, so that M is one function."""
        first, *others = self.features_by_round
        return all(same_features(first, one) for one in others)

    def _losses(self) -> list[SoftmaxObjective]:
        losses = [fit.loss for fit in self.fits if fit.loss is not None]
        if len(losses) < len(self.fits):
            raise errors.InvalidSetting(
                "rounds must minimize the regularized cross-entropy for this, got another loss: "
                "run distill with SoftmaxHead or LinearizedHead"
            )
        return losses

    def reported(self, stats: Sequence[SolveStats]) -> Rounds:
        """The same rounds, with other words on how each was reached."""
        other = copy.copy(self)
        pairs = zip(self.fits, stats, strict=True)
        other.__dict__["fits"] = tuple(fit.reported(words) for fit, words in pairs)
        return other

    def __len__(self) -> int:
        return len(self.fits)

    @overload
    def __getitem__(self, index: int) -> Fit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Fit, ...]: ...
    def __getitem__(self, index: int | slice) -> Fit | tuple[Fit, ...]:
        return self.fits[index]


def same_features(a: Features | ShardedFeatures, b: Features | ShardedFeatures) -> bool:
    """Whether two feature matrices hold the same rows; shards are the same as themselves alone."""
    if a is b or isinstance(a, ShardedFeatures) or isinstance(b, ShardedFeatures):
        return a is b
    return a.fingerprint == b.fingerprint


def _chained(rounds: Rounds, t: int, chain: Sequence[Certificate]) -> Certificate | str:
    """Round t's certificate through the rounds, of which ``chain`` has the earlier; or why none.

    T − 1/K (N, K) is made of the weights of the round before, and XᵀT/N is within ``error`` of what
    the true iterate makes of it.
    """
    losses = [fit.loss for fit in rounds.fits[:t] if fit.loss is not None]
    if len(losses) < t:
        return f"round {t} minimizes another loss than the regularized cross-entropy"
    if t == 1:
        return rounds.fits[0].certificate
    before, last, certificate = losses[-2], losses[-1], chain[-1]
    weights, refine, xi = rounds.fits[t - 2].weights, rounds.refine, rounds.mixing
    same = same_features(last.features, rounds.features_by_round[t - 1])
    if not same or not equal_weights(before.row_weights, last.row_weights):  # M is another function
        return f"round {t} is fitted on other rows, or with other weights on them, than the first"
    if callable(refine):
        return "targets are made by a function of the caller's"
    if refine in LARGEST:  # of which classes they are, the temperature does not matter
        k, count, error = before.n_classes, LARGEST[refine], 0.0
        if k == count:
            deviations = np.zeros(before.target_deviations.shape)
        else:
            classes, decided = largest_classes(before, weights, certificate, count)
            if before.row_weights is not None:
                decided |= before.row_weights == 0.0  # their targets take no part
            if before.added(np.array([np.count_nonzero(~decided)])).any():
                which = "largest class" if count == 1 else "two largest classes"
                return f"round {t - 1} does not certify the {which} of every row"
            deviations = np.full(before.target_deviations.shape, -1.0 / k)
            np.put_along_axis(deviations, classes, 1.0 / count - 1.0 / k, axis=1)
    elif rounds.temperature != 1.0:  # W ↦ M(W/τ) need not be nonexpansive in u
        return f"predictions are read at temperature {rounds.temperature:g}"
    else:
        deviations, error = _passed_on(before, rounds.fits[t - 2], certificate, last)
    parts = [(1.0, deviations, error)]
    if xi != 1.0:
        parts = [(xi, deviations, error), (1.0 - xi, losses[0].target_deviations[:], 0.0)]
    if rounds.momentum and t > 2:
        beta = momentum_weight(t - 1)
        earlier = _passed_on(losses[-3], rounds.fits[t - 3], chain[-2], last)
        parts = [(1.0 + beta, deviations, error), (-beta, *earlier)]
    if len(parts) > 1:
        # Coefficients, products and the sum round by γ_5, T − 1/K is stored within γ_2 of 1 + its
        # own size.
        sizes = sum(abs(c) * (1.0 + np.linalg.norm(part, axis=1)) for c, part, _ in parts)
        norms = last.row_norms if last.row_weights is None else last.row_norms * last.row_weights
        error = sum(abs(c) * off for c, _, off in parts)
        error += gamma(8) * float(last.added(np.array([norms @ sizes]))[0]) / last.n_samples
        deviations = sum(c * part for c, part, _ in parts)
    objective = replace(last, target_deviations=deviations)
    found = objective.certificate(rounds.fits[t - 1].weights)
    return replace(
        found,
        gradient_rounding=found.gradient_rounding + error,
        decrement=partial(_widened_decrement, found, error),
    )


def _passed_on(
    loss: SoftmaxObjective, fit: Fit, certificate: Certificate, to: SoftmaxObjective
) -> tuple[np.ndarray, float]:
    """P − 1/K (N, K) at a round's weights, and how far XᵀP/N is from that of the true iterate.

    X are the rows of round ``to``, which has the same weights on them.
    """
    deviations = softmax_deviations(loss.logits(fit.weights))
    reached = certificate.gradient_norm + certificate.gradient_rounding  # S
    if same_features(loss.features, to.features):
        # With these targets the gradient at the weights, computed, is λW: what gradient_rounding
        # says of it is said of the rounding of XᵀP/N.
        rounding = replace(loss, target_deviations=deviations).gradient_rounding(fit.weights)
        return deviations, reached + rounding
    n, k = loss.n_samples, loss.n_classes
    apart = min(
        reached * math.sqrt(n / (8.0 * loss.weight_decay)),
        0.5 * _largest_singular(loss) * certificate.weights_bound,
    )
    # Rows of computed P are off by half of what their logits are, and by γ_{K+8} (√K + 2).
    moved = np.minimum(math.sqrt(2.0), 0.5 * loss.logit_errors(loss.row_norms, fit.weights))
    moved += gamma(k + loss.exponential_units) * (math.sqrt(k) + 2.0)
    weights = 1.0 if loss.row_weights is None else loss.row_weights
    apart += math.sqrt(float(np.sum(weights * np.square(moved))))
    return deviations, (1.0 + gamma(n + 32)) * _largest_singular(to) * apart / n


def _largest_singular(loss: SoftmaxObjective) -> float:
    """Of √Ω X, rounded up."""
    spectrum = loss.spectrum
    top = float(spectrum.eigenvalues[0]) + spectrum.certificate.eigenvalue_error
    return (1.0 + gamma(4)) * math.sqrt(top)


def _widened_decrement(certificate: Certificate, error: float) -> float:
    """The decrement where the gradient may be off by ``error`` more."""
    return certificate.newton_decrement + error / float(np.sqrt(certificate.weight_decay))
