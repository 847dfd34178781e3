"""distill: fit a head to targets, take its predictions as the next targets.

Round t = 1 is the teacher (targets Y), rounds t ≥ 2 are students: T^(t) = refine(P^(t−1)). The
recursion is the same for every head, so theory and truth differ in the head alone. ``Rounds.chain``
says how far each round is from the iterate that exact rounds would reach.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Protocol, overload

import numpy as np

from gramlab import errors, validation
from gramlab.certificate import Certificate
from gramlab.chain import certify_chain
from gramlab.features import Features
from gramlab.heads.fit import Fit, SolveStats, as_features
from gramlab.targets import OneHotRows, Targets, partial_labels, target_deviations

__all__ = ["Head", "Rounds", "distill"]

_DECAY = 0.7  # of the change of the weights, from one round to the next: 0.6 to 0.8 do as well


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
    refine: str | Callable[[np.ndarray], np.ndarray] | None = None
    temperature: float = 1.0
    mixing: float = 1.0

    @property
    def chain(self) -> tuple[Certificate | None, ...]:
        """Certificates through the rounds (``gramlab.chain``), ``chain[t - 1]`` for round t.

        Each bounds the distance to the true iterate, which has all earlier rounds exact too;
        ``fits[t - 1].certificate`` is about the targets that round t was given. Linearized rounds
        have a chain too: their distance from the exact ones. ``None`` where nothing is claimed:
        see ``chain_ends``.
        """
        return self._chain[0]

    @property
    def chain_ends(self) -> str:
        """Why ``chain`` holds ``None``, in words; empty where it does not."""
        return self._chain[1]

    @cached_property
    def _chain(self) -> tuple[tuple[Certificate | None, ...], str]:
        return certify_chain(
            self.fits, refine=self.refine, temperature=self.temperature, mixing=self.mixing
        )

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

    def __iter__(self) -> Iterator[Fit]:
        """Fits in round order."""
        return iter(self.fits)


def distill(
    head: Head | Sequence[Head],
    features: Features | np.ndarray,
    targets: Targets | OneHotRows | np.ndarray,
    rounds: int,
    *,
    refine: str | Callable[[np.ndarray], np.ndarray] | None = None,
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
    changes from round to round shrink like a geometric sequence; ``_DECAY`` is a common ratio.
    """
    if len(fits) < 2:
        return fits[-1].weights
    return fits[-1].weights + _DECAY * (fits[-1].weights - fits[-2].weights)


def _mixed(predictions: Targets, given: Targets, xi: float) -> Targets:
    if xi == 1.0:
        return predictions
    return Targets(xi * predictions.deviations + (1.0 - xi) * given.deviations)


def _refinement(
    refine: str | Callable[[np.ndarray], np.ndarray] | None, seed: int, temperature: float
) -> Callable[[Fit], Targets]:
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
