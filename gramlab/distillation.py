"""distill: fit a head to targets, take its predictions as the next targets.

Round t = 1 is the teacher (targets Y), rounds t ≥ 2 are students: T^(t) = refine(P^(t−1)). The
recursion is the same for every head, so theory and truth differ in the head alone.

``Rounds.chain`` says how far each round is from the iterate that exact rounds would reach; a
student's own certificate is about the targets it was given, which were computed. With
M(W) = XᵀP(W)/N the true iterates obey λ_t W_t + M(W_t) = u_t, where u_t = XᵀT_t/N and T_{t+1} is
ξP(W_t) + (1 − ξ)Y. For *any* weights W̃_t let e_t be the gradient of round t's objective at W̃_t, on
the targets that the weights of the round before make. Because u ↦ M((λ + M)⁻¹u) is firmly
nonexpansive (derived for this project; proof in docs/objective.md, theorem ``chain-certificate``),

    S_t = ‖e_t‖ + |ξ| S_{t−1},  S_0 = 0,   bounds λ_t ‖W̃_t − W_t‖ and ‖M(W̃_t) − M(W_t)‖,

with a weight decay for each round. The true objective of round t differs from that of e_t in the
targets alone, by at most |ξ| S_{t−1} in its gradient: so the round's certificate with that much
more error is one about the true iterate, its local bound included. Only weights are read:
predictions and targets that were stored on the way do not matter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Protocol, overload

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.heads.fit import Fit, SolveStats
from gramlab.heads.problem import as_features
from gramlab.heads.referee import SoftmaxObjective, softmax_deviations
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import gamma
from gramlab.targets import OneHotRows, Targets, equal_weights, partial_labels, target_deviations

__all__ = ["Head", "Rounds", "distill"]

Refine = str | Callable[[np.ndarray], np.ndarray] | None


class Head(Protocol):
    """What ``distill`` asks of a head."""

    weight_decay: float

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | np.ndarray,
        start: np.ndarray | None = None,
    ) -> Fit:
        """Fit to targets (N, K), or refuse them."""
        ...


@dataclass(frozen=True, eq=False)
class Rounds(Sequence[Fit]):
    """The fits of a distillation, round 1 (the teacher) first: ``rounds[t - 1]`` is round t.

    Attributes
    ----------
    fits
        One Fit per round.
    features
        The training features.
    targets
        Targets of each round; ``targets[0]`` are the given ones.
    refine, temperature, mixing
        How targets were made of predictions, as ``distill`` was told.
    """

    fits: tuple[Fit, ...]
    features: Features
    targets: tuple[Targets, ...]
    refine: Refine = None
    temperature: float = 1.0
    mixing: float = 1.0

    @property
    def chain(self) -> tuple[Certificate | None, ...]:
        """Certificates through the rounds, ``chain[t - 1]`` for round t.

        Each bounds the distance to the true iterate, which has all earlier rounds exact too;
        ``fits[t - 1].certificate`` is about the targets that round t was given. Linearized rounds
        have a chain too: their distance from the exact ones. ``gradient_norm`` is ‖e_t‖ as
        computed, and ``gradient_rounding`` holds everything by which the gradient of the true
        objective may differ from it, |ξ| S_{t−1} included, so S_t is their sum. ``None`` where
        nothing is claimed, and from there on: see ``chain_ends``.
        """
        return self._chain[0]

    @property
    def chain_ends(self) -> str:
        """Why ``chain`` holds ``None``, in words; empty where it does not."""
        return self._chain[1]

    @cached_property
    def _chain(self) -> tuple[tuple[Certificate | None, ...], str]:
        certificates: list[Certificate] = []
        losses: list[SoftmaxObjective] = []
        reason = ""
        for t, fit in enumerate(self.fits, 1):
            if fit.loss is None:
                reason = f"round {t} minimizes another loss than the regularized cross-entropy"
                break
            losses.append(fit.loss)
            if t == 1:
                certificates.append(fit.certificate)
                continue
            made = _true_targets(self, losses, certificates[-1])
            if isinstance(made, str):
                reason = made
                break
            deviations, error = made
            objective = replace(fit.loss, target_deviations=deviations)
            certificates.append(_widened(objective.certificate(fit.weights), error))
        nothing = [None] * (len(self.fits) - len(certificates))
        return (*certificates, *nothing), reason

    def reported(self, stats: Sequence[SolveStats]) -> Rounds:
        """The same rounds, with other words on how each was reached."""
        other = copy.copy(self)
        pairs = zip(self.fits, stats, strict=True)
        other.__dict__["fits"] = tuple(fit.reported(words) for fit, words in pairs)
        return other

    def __len__(self) -> int:
        """Number of rounds."""
        return len(self.fits)

    @overload
    def __getitem__(self, index: int) -> Fit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Fit, ...]: ...
    def __getitem__(self, index: int | slice) -> Fit | tuple[Fit, ...]:
        """Fit of round ``index + 1``."""
        return self.fits[index]


def distill(
    head: Head | Sequence[Head],
    features: Features | np.ndarray,
    targets: Targets | OneHotRows | np.ndarray,
    rounds: int,
    *,
    refine: Refine = None,
    temperature: float = 1.0,
    mixing: float = 1.0,
    seed: int = 0,
    signed_targets: bool = False,
    on_round: Callable[[int], None] | None = None,
) -> Rounds:
    """Run ``rounds`` rounds of self-distillation.

    Parameters
    ----------
    head
        ``LinearizedHead``, ``SoftmaxHead``, or anything with the same ``fit``; or one for each
        round, with weight decays of their own.
    features
        Features, or a bare array x (N, d).
    targets
        Targets T (N, K) of round 1, e.g. ``one_hot(given_labels, n_classes)``. Rows that miss the
        sum 1 by the rounding of their precision are divided by it, before anything else.
    rounds
        Number of trainings, counted from 1 (the teacher).
    refine
        What turns predictions P^(t−1) (N, K) into the targets of round t: ``None`` takes them as
        they are, ``"top2"`` gives 1/2 to the two largest classes of each row (the paper's
        partial-label student; ties are drawn from ``seed``), a callable does anything else.
    temperature
        τ > 0 at which predictions are read before they become targets (training stays at 1): each
        round shrinks linear deviations by 1/τ and leaves their order alone.
    mixing
        ξ: targets are ξ · (predictions, refined) + (1 − ξ) · (given targets). 1 is plain
        distillation; 1/(1 − p_A) removes the own label in the linear block model.
    seed
        Key for ties of ``"top2"``.
    signed_targets
        Accept given targets with negative entries, for heads that do: the closed forms, and
        ``SoftmaxHead(..., signed_targets=True)``. What a round makes is for the head to judge.
    on_round
        Called with t before round t is fitted.

    Returns
    -------
    Rounds
        Each student starts from the weights of the rounds before it; optima do not depend on it.

    Raises
    ------
    InvalidSetting
        If ``rounds`` < 1, ``refine`` is an unknown name, there are heads but not ``rounds``, or
        ``temperature`` is so small that predictions read at it overflow.
    InvalidTargets
        If the given targets or those of a round are no distributions over classes.
    """
    rounds = validation.check_integer("rounds", rounds, 1)
    heads = head if isinstance(head, Sequence) else [head] * rounds
    if len(heads) != rounds:
        raise errors.InvalidSetting(
            f"head must be one head, or one for each of {rounds} rounds, got {len(heads)}"
        )
    make = _refinement(refine, seed, temperature)
    xi = validation.check_finite("mixing", mixing)
    features = as_features(features, targets)
    signed = signed_targets or isinstance(targets, Targets)  # then the head has the last word
    targets = Targets(target_deviations(targets, features.n_samples, signed=signed))
    fits: list[Fit] = []
    history: list[Targets] = []
    start = None
    for t in range(1, rounds + 1):
        if on_round is not None:
            on_round(t)
        if fits:
            targets = _mixed(make(fits[-1]), history[0], xi)
            start = _extrapolated(fits) if refine is None else fits[-1].weights
        history.append(targets)
        fits.append(heads[t - 1].fit(features, targets, start=start))
    return Rounds(tuple(fits), features, tuple(history), refine, temperature, xi)


def _extrapolated(fits: Sequence[Fit]) -> np.ndarray:
    """Weights (d, K) near the next round's: each round moves them on, by less than the last did.

    Every eigendirection of the Gram matrix is filtered anew by a factor below 1, so that its
    changes from round to round shrink like a geometric sequence; 0.6 to 0.8 do as well.
    """
    if len(fits) < 2:
        return fits[-1].weights
    return fits[-1].weights + 0.7 * (fits[-1].weights - fits[-2].weights)


def _mixed(predictions: Targets, given: Targets, xi: float) -> Targets:
    if xi == 1.0:
        return predictions
    return Targets(xi * predictions.deviations + (1.0 - xi) * given.deviations)


def _refinement(refine: Refine, seed: int, temperature: float) -> Callable[[Fit], Targets]:
    validation.check_positive("temperature", temperature)
    if refine is None:
        return lambda fit: fit.as_targets(temperature)
    function: Callable[[np.ndarray], np.ndarray]
    if refine == "top2":
        function = partial(partial_labels, k=2, seed=seed)
    elif callable(refine):
        function = refine
    else:
        raise errors.InvalidSetting(
            f'refine must be None, "top2" or a function of the predictions, got {refine!r}'
        )

    def make(fit: Fit) -> Targets:
        refined = function(np.asarray(fit.as_targets(temperature)))
        checked = validation.check_targets(
            refined, *fit.deviations.shape, signed=True, name="what refine returns"
        )
        return Targets(checked - 1.0 / checked.shape[1])

    return make


def _true_targets(
    rounds: Rounds, losses: Sequence[SoftmaxObjective], certificate: Certificate
) -> tuple[np.ndarray, float] | str:
    """What the weights of the last but one loss make the last one's targets, were all exact.

    Returns
    -------
    (deviations, error) or reason
        T − 1/K (N, K), and a bound on the distance of XᵀT/N from that of the true iterate; or why
        there is none.
    """
    before, last, t = losses[-2], losses[-1], len(losses)
    weights, refine, xi = rounds.fits[t - 2].weights, rounds.refine, rounds.mixing
    same = before.features is last.features
    same = same or before.features.fingerprint == last.features.fingerprint
    if not same or not equal_weights(before.row_weights, last.row_weights):  # M is another function
        return f"round {t} is fitted on other rows, or with other weights on them, than the first"
    if callable(refine):
        return "targets are made by a function of the caller's"
    if refine == "top2":  # of which classes they are, the temperature does not matter
        deviations, error = _top_two(before, weights, certificate), 0.0
        if deviations is None:
            return f"round {t - 1} does not certify the two largest classes of every row"
    elif rounds.temperature != 1.0:  # W ↦ M(W/τ) need not be nonexpansive in u
        return f"predictions are read at temperature {rounds.temperature:g}"
    else:
        # With these targets the gradient at the weights, computed, is λW: what gradient_rounding
        # says of it is said of the rounding of XᵀP/N.
        deviations = softmax_deviations(before.logits(weights))
        error = replace(before, target_deviations=deviations).gradient_rounding(weights)
        error = certificate.gradient_norm + certificate.gradient_rounding + error
    if xi == 1.0:
        return deviations, error
    # 1 − ξ, two products and a sum round by γ_3, Y − 1/K was stored within γ_2 of 1 + |Y − 1/K|.
    given = losses[0].target_deviations[:]
    sizes = abs(xi) * np.linalg.norm(deviations, axis=1)
    sizes += abs(1.0 - xi) * (1.0 + np.linalg.norm(given, axis=1))
    norms = last.row_norms if last.row_weights is None else last.row_norms * last.row_weights
    error = abs(xi) * error + gamma(8) * float(norms @ sizes) / last.n_samples
    return xi * deviations + (1.0 - xi) * given, error


def _top_two(
    objective: SoftmaxObjective, weights: np.ndarray, certificate: Certificate
) -> np.ndarray | None:
    """1/2 on the two largest classes of the true iterate, as deviations; None if not certified.

    A row of weight 0 need not be: its targets take no part.
    """
    k = objective.n_classes
    deviations = np.full((objective.n_samples, k), -1.0 / k)
    for rows, block in objective.features.blocks():
        logits = block @ weights
        order = np.argsort(logits, axis=1)
        if k > 2:
            second, third = np.take_along_axis(logits, order[:, [-2, -3]], axis=1).T
            decided = second - third > certificate.logit_bound(block)
            if objective.row_weights is not None:
                decided |= objective.row_weights[rows] == 0.0
            if not decided.all():
                return None
        np.put_along_axis(deviations[rows], order[:, -2:], 0.5 - 1.0 / k, axis=1)
    return deviations


def _widened(certificate: Certificate, error: float) -> Certificate:
    """The certificate where the gradient may be off by ``error`` more."""
    return replace(
        certificate,
        gradient_rounding=certificate.gradient_rounding + error,
        decrement=partial(_widened_decrement, certificate, error),
    )


def _widened_decrement(certificate: Certificate, error: float) -> float:
    return certificate.newton_decrement + error / float(np.sqrt(certificate.weight_decay))
