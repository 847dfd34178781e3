"""distill: fit a head to targets, take its predictions as the next targets.

Round t = 1 is the teacher (targets Y), rounds t ≥ 2 are students: T^(t) = refine(P^(t−1)). The
recursion is the same for every head, so theory and truth differ in the head alone.

``Rounds.chain`` says how far each round is from the iterate that exact rounds would reach. With
M(W) = XᵀP(W)/N these obey λ_t W_t + M(W_t) = XᵀT_t/N, where T_{t+1} = ξP(W_t) + (1 − ξ)Y. For *any*
weights W̃_t let e_t be the gradient of round t's objective at W̃_t, on the targets that W̃_{t−1}
makes. Then (derived for this project; docs/objective.md, theorem ``chain-certificate``)

    S_t = ‖e_t‖ + |ξ| S_{t−1},  S_0 = 0,   bounds λ_t ‖W̃_t − W_t‖ and ‖M(W̃_t) − M(W_t)‖,

and the round's certificate with |ξ| S_{t−1} more error in its gradient is one about the true
iterate, its local bound included. Stored predictions and targets do not matter.
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
from gramlab.heads.referee import softmax_deviations
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import gamma
from gramlab.numerics.text import html_table, short_repr
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

    ``features`` are the training features, ``targets[t - 1]`` the targets of round t, and
    ``refine``, ``temperature`` and ``mixing`` made them of predictions, as ``distill`` was told.
    """

    fits: tuple[Fit, ...]
    features: Features
    targets: tuple[Targets, ...]
    refine: Refine = None
    temperature: float = 1.0
    mixing: float = 1.0

    def __repr__(self) -> str:
        """Head, weight decays and rows; of the rest what was chosen."""
        decays = tuple(sorted({fit.weight_decay for fit in self.fits}))
        shown = {"fits": self.fits, "weight_decay": decays[0] if len(decays) == 1 else decays}
        chosen = {"temperature": self.temperature, "mixing": self.mixing}
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
    def chain(self) -> tuple[Certificate | None, ...]:
        """Certificates through the rounds, ``chain[t - 1]`` for round t.

        Each bounds the distance to the true iterate, which has all earlier rounds exact too.
        Linearized rounds have a chain too: their distance from the exact ones. ``gradient_norm`` is
        ‖e_t‖ as computed, and ``gradient_rounding`` holds everything by which the gradient of the
        true objective may differ from it, |ξ| S_{t−1} included, so S_t is their sum. ``None`` where
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
    start: np.ndarray | None = None,
    on_round: Callable[[int], None] | None = None,
) -> Rounds:
    """Run ``rounds`` rounds of self-distillation.

    Parameters
    ----------
    head
        ``LinearizedHead``, ``SoftmaxHead``, or anything with the same ``fit``; or one for each
        round, with weight decays of their own.
    features
        Or a bare array x (N, d).
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
    start
        Weights (d, K) for round 1 to start from, such as a teacher's of another weight decay.
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
    validation.check_positive("temperature", temperature)
    if refine not in (None, "top2") and not callable(refine):
        raise errors.InvalidSetting(
            f'refine must be None, "top2" or a function of the predictions, got {refine!r}'
        )
    xi = validation.check_finite("mixing", mixing)
    features = as_features(features, targets)
    signed = signed_targets or isinstance(targets, Targets)  # then the head has the last word
    history = [Targets(target_deviations(targets, features.n_samples, signed=signed))]
    fits: list[Fit] = []
    for t, head in enumerate(heads, 1):
        if on_round is not None:
            on_round(t)
        if fits:
            made = _refined(fits[-1].as_targets(temperature), refine, seed)
            if xi != 1.0:
                made = Targets(xi * made.deviations + (1.0 - xi) * history[0].deviations)
            history.append(made)
            start = fits[-1].weights
            if refine is None and t > 2:
                # Every eigendirection of the Gram matrix is filtered anew by a factor below 1, so
                # changes shrink like a geometric sequence; 0.6 to 0.8 do as well.
                start = start + 0.7 * (start - fits[-2].weights)
        fits.append(head.fit(features, history[-1], start=start))
    return Rounds(tuple(fits), features, tuple(history), refine, temperature, xi)


def _refined(predictions: Targets, refine: Refine, seed: int) -> Targets:
    """What the predictions of one round make the targets of the next."""
    if refine is None:
        return predictions
    given = np.asarray(predictions)
    made = refine(given) if callable(refine) else partial_labels(given, k=2, seed=seed)
    name = "what refine returns"
    checked = validation.check_targets(made, *given.shape, signed=True, name=name)
    return Targets(checked - 1.0 / given.shape[1])


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
    same = before.features is last.features
    same = same or before.features.fingerprint == last.features.fingerprint
    if not same or not equal_weights(before.row_weights, last.row_weights):  # M is another function
        return f"round {t} is fitted on other rows, or with other weights on them, than the first"
    if callable(refine):
        return "targets are made by a function of the caller's"
    if refine == "top2":  # of which classes they are, the temperature does not matter
        k, error = before.n_classes, 0.0
        if k == 2:
            deviations = np.zeros((before.n_samples, 2))
        else:
            classes, decided = largest_classes(before.features, weights, certificate, 2)
            if before.row_weights is not None:
                decided |= before.row_weights == 0.0  # their targets take no part
            if not decided.all():
                return f"round {t - 1} does not certify the two largest classes of every row"
            deviations = np.full((before.n_samples, k), -1.0 / k)
            np.put_along_axis(deviations, classes, 0.5 - 1.0 / k, axis=1)
    elif rounds.temperature != 1.0:  # W ↦ M(W/τ) need not be nonexpansive in u
        return f"predictions are read at temperature {rounds.temperature:g}"
    else:
        # With these targets the gradient at the weights, computed, is λW: what gradient_rounding
        # says of it is said of the rounding of XᵀP/N.
        deviations = softmax_deviations(before.logits(weights))
        error = replace(before, target_deviations=deviations).gradient_rounding(weights)
        error = certificate.gradient_norm + certificate.gradient_rounding + error
    if xi != 1.0:
        # 1 − ξ, two products and a sum round by γ_3, Y − 1/K is stored within γ_2 of 1 + |Y − 1/K|.
        given = losses[0].target_deviations[:]
        sizes = abs(xi) * np.linalg.norm(deviations, axis=1)
        sizes += abs(1.0 - xi) * (1.0 + np.linalg.norm(given, axis=1))
        norms = last.row_norms if last.row_weights is None else last.row_norms * last.row_weights
        error = abs(xi) * error + gamma(8) * float(norms @ sizes) / last.n_samples
        deviations = xi * deviations + (1.0 - xi) * given
    objective = replace(last, target_deviations=deviations)
    found = objective.certificate(rounds.fits[t - 1].weights)
    return replace(
        found,
        gradient_rounding=found.gradient_rounding + error,
        decrement=partial(_widened_decrement, found, error),
    )


def largest_classes(
    features: Features, weights: np.ndarray, certificate: Certificate, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` < K classes (N, count) of largest logits, and whether (N,) they are certified.

    They are those of the exact weights where the least of their logits exceeds the next by more
    than any logit difference can move (``Certificate.logit_bound``).
    """
    classes = np.empty((features.n_samples, count), dtype=np.int64)
    decided = np.empty(features.n_samples, dtype=bool)
    for rows, block in features.blocks():
        with np.errstate(over="ignore", invalid="ignore"):  # of rows whose bound is infinite
            logits = block @ weights
            order = np.argpartition(logits, -count - 1, axis=1)[:, -count - 1 :]
            largest = np.take_along_axis(logits, order, axis=1)
            margins = largest[:, 1:].min(axis=1) - largest[:, 0]
            decided[rows] = margins > certificate.logit_bound(block)
        classes[rows] = order[:, 1:]
    return classes, decided


def _widened_decrement(certificate: Certificate, error: float) -> float:
    """The decrement where the gradient may be off by ``error`` more."""
    return certificate.newton_decrement + error / float(np.sqrt(certificate.weight_decay))
