"""distill: fit a head to targets, take its predictions as the next targets.

Round t = 1 is the teacher (targets Y), rounds t ≥ 2 are students: T^(t) = refine(P^(t−1)), or with
momentum T^(t+1) = P^(t) + β_t (P^(t) − P^(t−1)). The recursion is the same for every head, so
theory and truth differ in the head alone. Rounds may have features of their own (weak-to-strong):
only predictions pass from one to the next, and linearized rounds are h_{μ_t}(G_t) ⋯ h_{μ_1}(G_1) D.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from gramlab import errors, validation
from gramlab.distillation.rounds import (
    LARGEST,
    Refine,
    Rounds,
    check_momentum,
    momentum_weight,
    same_features,
)
from gramlab.features import Features
from gramlab.features.sharded import ShardedFeatures
from gramlab.heads.fit import Fit
from gramlab.heads.problem import as_features
from gramlab.targets import OneHotRows, Targets, partial_labels, target_deviations

__all__ = ["Head", "distill"]


class Head(Protocol):
    """What ``distill`` asks of a head."""

    weight_decay: float

    def fit(
        self,
        features: Any,
        targets: Targets | np.ndarray,
        start: np.ndarray | None = None,
    ) -> Fit:
        """Fit to targets (N, K), or refuse them."""
        ...


def distill(
    head: Head | Sequence[Head],
    features: Features | ShardedFeatures | np.ndarray | Sequence[Features | np.ndarray],
    targets: Targets | OneHotRows | np.ndarray,
    rounds: int,
    *,
    refine: Refine = None,
    temperature: float = 1.0,
    mixing: float = 1.0,
    momentum: bool = False,
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
        Or a bare array x (N, d), or shards, for ``SoftmaxHead`` alone: a collective call. Or a
        list of one for each round, of the same N rows in the same order and any widths: a teacher
        on the features of one backbone, its student on those of another (arXiv 2503.02877,
        2603.05691).
    targets
        Targets T (N, K) of round 1, e.g. ``one_hot(given_labels, n_classes)``. Rows that miss the
        sum 1 by the rounding of their precision are divided by it, before anything else.
    rounds
        Number of trainings, counted from 1 (the teacher).
    refine
        What turns predictions P^(t−1) (N, K) into the targets of round t: ``None`` takes them as
        they are, ``"top2"`` gives 1/2 to the two largest classes of each row (the paper's
        partial-label student), ``"hard"`` 1 to the largest (hard pseudo-labels, arXiv 2501.16226);
        ties are drawn from ``seed``. A callable does anything else.
    temperature
        τ > 0 at which predictions are read before they become targets (training stays at 1): each
        round shrinks linear deviations by 1/τ and leaves their order alone.
    mixing
        ξ: targets are ξ · (predictions, refined) + (1 − ξ) · (given targets). 1 is plain
        distillation; 1/(1 − p_A) removes the own label in the linear block model.
    momentum
        Targets of round t + 1 are P^(t) + β_t (P^(t) − P^(t−1)), β_t = (t − 1)/(t + 2): exact
        rounds are proximal point steps, and this accelerates them (Güler 1992; docs/proximal.md).
        They can have negative entries, which a head with ``signed_targets`` is told to accept.
    seed
        Key for ties of ``"top2"`` and ``"hard"``.
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
        Each student starts from the weights of the rounds before it, where these are of its own
        features; optima do not depend on it.

    Raises
    ------
    InvalidSetting
        If ``rounds`` < 1, ``refine`` is an unknown name, there are heads or features but not
        ``rounds`` or one is none, ``temperature`` is so small that predictions read at it overflow,
        or ``momentum`` is no bool or comes with ``refine``, ``temperature`` or ``mixing``.
    InvalidFeatures
        If features of different rounds are not of the same rows and classes.
    InvalidTargets
        If the given targets or those of a round are no distributions over classes.
    """
    rounds = validation.check_integer("rounds", rounds, 1)
    heads = head if isinstance(head, Sequence) else [head] * rounds
    if len(heads) != rounds:
        raise errors.InvalidSetting(
            f"head must be one head, or one for each of {rounds} rounds, got {len(heads)}; pass as "
            "many heads as rounds"
        )
    for each in heads:
        if isinstance(each, type) or not hasattr(each, "fit"):
            shown = errors.one_line(repr(each), 60)
            raise errors.InvalidSetting(
                "head must be a head with a fit, such as SoftmaxHead(0.1), or a list of one for "
                f"each round, got {shown}; make a head of each weight decay"
            )
    validation.check_positive("temperature", temperature)
    named = isinstance(refine, str) and refine in LARGEST
    if refine is not None and not callable(refine) and not named:
        names = ", ".join(f'"{name}"' for name in LARGEST)
        raise errors.InvalidSetting(
            f"refine must be None, {names} or a function of the predictions, got {refine!r}"
        )
    xi = validation.check_finite("mixing", mixing)
    if not isinstance(momentum, bool):
        raise errors.InvalidSetting(f"momentum must be True or False, got {momentum!r}")
    if momentum:
        check_momentum(refine, temperature, xi)
    several = _is_sequence(features)
    by_round: tuple[Any, ...]
    if several:
        by_round = _one_a_round(features, targets, rounds)
    else:
        one: Any = features
        one = one if isinstance(one, ShardedFeatures) else as_features(one, targets)
        by_round = (one,) * rounds
    n = getattr(by_round[0], "n_local", by_round[0].n_samples)  # targets are of the rows at hand
    signed = signed_targets or isinstance(targets, Targets)  # then the head has the last word
    history = [Targets(target_deviations(targets, n, signed=signed))]
    fits: list[Fit] = []
    for t, (head, rows) in enumerate(zip(heads, by_round, strict=True), 1):
        if on_round is not None:
            on_round(t)
        if fits:
            made = _refined(fits[-1].as_targets(temperature), refine, seed)
            if xi != 1.0:
                made = Targets(xi * made.deviations + (1.0 - xi) * history[0].deviations)
            if momentum and t > 2:
                change = made.deviations - fits[-2].deviations
                made = Targets(made.deviations + momentum_weight(t - 1) * change)
                head = _signed(head)
            history.append(made)
            again = [same_features(rows, one) for one in by_round[t - 2 :: -1][:2]]
            start = fits[-1].weights if again[0] else None
            if refine is None and t > 2 and all(again):
                # Every eigendirection of the Gram matrix is filtered anew by a factor below 1, so
                # changes shrink like a geometric sequence; 0.6 to 0.8 do as well.
                start = fits[-1].weights + 0.7 * (fits[-1].weights - fits[-2].weights)
        fits.append(head.fit(rows, history[-1], start=start))
    kept = by_round if several else by_round[0]
    return Rounds(tuple(fits), kept, tuple(history), refine, temperature, xi, momentum)


def _is_sequence(features: Any) -> bool:
    """Whether these are several matrices, and no matrix as a list of its rows."""
    if not isinstance(features, list | tuple) or not features:
        return False
    return isinstance(features[0], Features | ShardedFeatures) or np.ndim(features[0]) == 2


def _one_a_round(features: Any, targets: Any, rounds: int) -> tuple[Features, ...]:
    """Features of each round, if they are of the same rows."""
    if len(features) != rounds:
        raise errors.InvalidSetting(
            f"features must be one matrix, or one for each of {rounds} rounds, got {len(features)};"
            " list as many as rounds"
        )
    if any(isinstance(one, ShardedFeatures) for one in features):
        raise errors.InvalidSetting(
            "features of each round must be Features or arrays, got shards; pass distill one "
            "ShardedFeatures for all rounds"
        )
    rows = tuple(as_features(one, targets) for one in features)
    for t, one in enumerate(rows, 1):
        if one.n_samples != rows[0].n_samples:
            raise errors.InvalidFeatures(
                f"features must have the same rows in every round, got {rows[0].n_samples} in "
                f"round 1 and {one.n_samples} in round {t}; keep the rows that all of them have"
            )
    # Of a bare array the labels are placeholders.
    known = [(t, one) for t, one in enumerate(features, 1) if isinstance(one, Features)]
    for t, one in known[1:]:
        start, first = known[0]
        if one.n_classes != first.n_classes:
            raise errors.InvalidFeatures(
                f"features must have the same classes in every round, got {first.n_classes} in "
                f"round {start} and {one.n_classes} in round {t}; give both the same n_classes"
            )
        if not np.array_equal(one.labels, first.labels):
            row = int((one.labels != first.labels).argmax())
            raise errors.InvalidFeatures(
                "features must have the same rows in the same order in every round, got label "
                f"{first.labels[row]} in round {start} and {one.labels[row]} in round {t} at row "
                f"{row}; bring the rows of one into the order of the other"
            )
    return rows


def _signed(head: Head) -> Head:
    """The same head, accepting targets with negative entries where it has to be told."""
    if getattr(head, "signed_targets", True):
        return head
    told: Any = copy.copy(head)
    told.signed_targets = True
    return told


def _refined(predictions: Targets, refine: Refine, seed: int) -> Targets:
    """What the predictions of one round make the targets of the next."""
    if refine is None:
        return predictions
    given = np.asarray(predictions)
    if callable(refine):
        made = refine(given)
    else:
        made = partial_labels(given, k=LARGEST[refine], seed=seed)
    name = "what refine returns"
    checked = validation.check_targets(made, *given.shape, signed=True, name=name)
    return Targets(checked - 1.0 / given.shape[1])
