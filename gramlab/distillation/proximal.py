"""Exact rounds as steps of the proximal point method: what they spend, and what that buys.

With M(W) = XᵀP(W)/N, the gradient of F(W) = (1/N) Σ lse(Wᵀx_i), exact plain rounds obey
λ_t W_t + M(W_t) = M(W_{t−1}), and at first XᵀY/N =: u_1: proximal point steps on F*, whose value at
M(W) is −H̄, the negative mean entropy of the predictions. With Λ_t = Σ_{s≤t} λ_s and the average
W̄_t = Σ λ_s W_s/Λ_t, on any features and for any targets (derived for this project;
docs/proximal.md):

* telescope: Λ_t W̄_t + M(W_t) = u_1;
* λ_t ‖W_t‖² ≤ H̄_t − H̄_{t−1} ≤ λ_t ⟨W_{t−1}, W_t⟩, and ‖W_t‖ falls;
* Λ_t² ‖W_t‖² + 2 Λ_t (ln K − H̄_t) + ‖M(W_t) − M(0)‖² ≤ ‖∇L(0)‖², so 4 Λ_t (ln K − H̄_t) too;
* the head V trained once at Λ_t on Y lies in the ball with the segment from W_t to W̄_t as diameter.

With momentum and equal λ, ln K − H̄_t ≤ 2 ‖∇L(0)‖²/(λ (t+1)²). Weights row by row change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from gramlab.distillation.classes import largest_classes
from gramlab.features import Features
from gramlab.heads.fit import Fit, check_rows
from gramlab.heads.referee import SoftmaxObjective
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.certificate import Certificate, logit_bound
from gramlab.numerics.rounding import gamma, norm_bound
from gramlab.numerics.text import short_repr

__all__ = ["Ball", "BallCheck", "Entropy", "WeightNorm", "ball", "measure"]

# The formulas below round a few times each; every bound is moved outward by more than that.
_UP, _DOWN = 1.0 + gamma(32), 1.0 - gamma(32)


@dataclass(frozen=True)
class Entropy:
    """Mean entropy H̄_t of the predictions of round t, in nats; rows count by their weights.

    Attributes
    ----------
    value
        Of softmax(XW) at the weights at hand.
    low, high
        Certified limits on that of the true iterate, for which all earlier rounds are exact too;
        0 and ln K, rounded up, where the rounds have no chain.
    least
        What theory says it is at least: ln K − ‖∇L(0)‖²/(4 Σλ), and with momentum at equal λ
        ln K − 2‖∇L(0)‖²/(λ (t+1)²); 0 where no theorem speaks.
    rise
        What it has risen by at least since the round before, λ_t ‖W_t‖²; 0 in round 1, and −ln K
        where no theorem speaks, as with momentum, where it can fall.
    """

    value: float
    low: float
    high: float
    least: float
    rise: float


@dataclass(frozen=True)
class WeightNorm:
    """‖W_t‖_F of round t.

    Attributes
    ----------
    value
        Of the weights at hand.
    low, high
        Certified limits on that of the true iterate; 0 and ∞ where the rounds have no chain.
    most
        What theory says it is at most, ‖∇L(0)‖/Σλ; ∞ where no theorem speaks.
    """

    value: float
    low: float
    high: float
    most: float


def measure(
    fits: Sequence[Fit],
    losses: Sequence[SoftmaxObjective],
    chain: Sequence[Certificate | None],
    recursion: str,
) -> tuple[tuple[Entropy, ...], tuple[WeightNorm, ...]]:
    """Entropy and norm by round; the recursion is ``"plain"``, ``"momentum"`` or ``"other"``.

    As F* is convex with subgradient W at M(W), ⟨W, ΔM⟩ ≤ H̄(W) − H̄(W̃) ≤ ⟨W̃, ΔM⟩ with
    ΔM = M(W̃) − M(W), of which the chain says ‖ΔM‖ ≤ S_t.
    """
    # ln K rounded up: the entropy of a true iterate can lie between it and its float64.
    uniform = math.nextafter(math.log(losses[0].n_classes), math.inf)
    start = _start_norm(losses[0])
    decays = [fit.weight_decay for fit in fits]
    totals = accumulate(decays)
    found: list[tuple[Entropy, WeightNorm]] = []
    for t, (fit, loss, certificate, total) in enumerate(
        zip(fits, losses, chain, totals, strict=True), 1
    ):
        value, rounding = loss.mean_entropy(fit.weights)
        size, longest = float(np.linalg.norm(fit.weights)), norm_bound(fit.weights)
        low, high, shortest = 0.0, uniform, 0.0
        if certificate is None:
            longest = math.inf
        else:
            off = _UP * certificate.weights_bound
            moved = _UP * (certificate.gradient_norm + certificate.gradient_rounding)
            low = max(0.0, value - _UP * (rounding + (longest + off) * moved))
            high = min(uniform, value + _UP * (rounding + longest * moved))
            # The norm rounds too.
            shortest = max(0.0, (1.0 - gamma(fit.weights.size + 32)) * size - off)
            longest = _UP * (longest + off)
        least, rise, most = 0.0, -uniform if t > 1 else 0.0, math.inf
        # Plain rounds have no chain on other rows or with other weights on them: M is another one.
        law = "other" if certificate is None else recursion
        if law == "plain":
            most = _UP * start / total * (1.0 + gamma(t))  # the sum rounds too
            least = uniform - 0.25 * start * most
            rise = _DOWN * decays[t - 1] * shortest**2 if t > 1 else 0.0
        elif law == "momentum" and len(set(decays[:t])) == 1:
            least = uniform - 2.0 * start * start / (decays[0] * (t + 1) ** 2)
        least = max(0.0, least - gamma(32) * uniform)
        entropy = Entropy(value, low, high, least, rise)
        found.append((entropy, WeightNorm(size, shortest, longest, most)))
    return tuple(entropy for entropy, _ in found), tuple(norm for _, norm in found)


def _start_norm(loss: SoftmaxObjective) -> float:
    """‖∇L(0)‖ rounded up: the distance of u_1 from the moments of uniform predictions."""
    zero = np.zeros((loss.features.n_features, loss.n_classes))
    found = loss.evaluate(zero)
    return _UP * (norm_bound(found.gradient) + found.gradient_rounding)


@dataclass(frozen=True, eq=False)
class Ball:
    """A ball of weights that holds those of one training at the total weight decay Λ = Σλ.

    The optimum V of an objective of strong convexity Λ lies in the ball with the segment from W to
    W − g/Λ as diameter, for any W with gradient g. On the given targets and for W of the last round
    that segment ends in W̄ where rounds are exact; a combination of the rounds' weights can have a
    smaller gradient (docs/objective.md).

    Attributes
    ----------
    weight_decays
        λ_s of the rounds; ``total_weight_decay`` is their sum Λ.
    center : (d, K)
        W − g/(2Λ): for W of the last round (W̄ + W)/2 where the rounds are exact.
    radius
        ‖g‖/(2Λ) in Frobenius norm, and what rounding leaves open.
    weights : (d, K)
        Those of the last round.
    certificate
        Of these, through all rounds.
    objective
        What one training minimizes: on the targets of round 1, with weight decay Λ.
    """

    weight_decays: tuple[float, ...]
    center: np.ndarray = field(repr=False)
    radius: float
    weights: np.ndarray = field(repr=False)
    certificate: Certificate = field(repr=False)
    objective: SoftmaxObjective = field(repr=False)

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def total_weight_decay(self) -> float:
        """Λ."""
        return self.objective.weight_decay

    def logit_bound(self, x: np.ndarray) -> np.ndarray:
        """How much any logit difference moves inside the ball, per row of ``x`` (n, d)."""
        rounding = 2.0 * gamma(x.shape[1]) * norm_bound(self.center)
        return logit_bound(x, self.radius, rounding)

    def classes(self, x: Features | np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Classes (n,) that the center predicts, and whether all weights in the ball do (n,).

        ``x`` are rows (n, d), or ``Features`` for their training rows; by default the rounds' own,
        on shards those of this process, while shares are of the rows of all processes.

        Raises
        ------
        InvalidFeatures
            If x is not finite, or has another number of columns.
        """
        labels, decided = largest_classes(self._rows(x), self.center, self, 1)
        return labels[:, 0], decided

    def decides(self, x: Features | np.ndarray | None = None) -> float:
        """Share of rows, as in ``classes``, on which all weights in the ball predict one class."""
        return self._shares(x, self.classes(x)[1])[0]

    def same_class(self, x: Features | np.ndarray | None = None) -> tuple[float, float]:
        """Shares of rows on which one training certainly predicts the last round's class, or not.

        Both classes have to be certified: one by the ball, that of the exact last round by the
        certificate through the rounds. Rows are as in ``classes``, which says what it raises.
        """
        return self._on_training_rows if x is None else self._compare(x)

    @cached_property
    def _on_training_rows(self) -> tuple[float, float]:
        return self._compare(None)

    def _compare(self, x: Features | np.ndarray | None) -> tuple[float, float]:
        once, decided = self.classes(x)
        last, sure = largest_classes(self._rows(x), self.weights, self.certificate, 1)
        same = once == last[:, 0]
        agreed, other = self._shares(x, decided & sure & same, decided & sure & ~same)
        return agreed, other

    def sentence(self) -> str:
        """What the ball allows to say about the training rows; shares are rounded down."""
        # Of N rows a share is a whole number, which the product is next to.
        n = self.objective.n_samples
        same, other = (1000 * round(share * n) // n for share in self.same_class())
        least, most = min(self.weight_decays), max(self.weight_decays)
        count = len(self.weight_decays)
        spent = f"{count} round{'s' if count > 1 else ''} at weight decay {least:.3g}"
        spent += f" to {most:.3g}" if most > least else ""
        once = f"one training at {self.total_weight_decay:.3g}"
        if same + other < 500:
            share = f"{(same + other) / 10:g} % of the rows"
            return f"{spent}: whether {once} gives the same class is known on {share} only"
        rows = "all rows" if same == 1000 else f"at least {same / 10:g} % of the rows"
        rows += f", another on at least {other / 10:g} %" if other else ""
        return f"{spent}: {once} gives the same class on {rows}"

    def as_dict(self) -> dict[str, Any]:
        """What it says, as plain values."""
        same, other = self.same_class()
        return {
            "total_weight_decay": self.total_weight_decay,
            "radius": self.radius,
            "same_class": same,
            "other_class": other,
            "sentence": self.sentence(),
        }

    def check(self, tolerance: float = 1e-12) -> BallCheck:
        """Train once at Λ on the given targets, to a relative gap, and compare with the ball."""
        head = SoftmaxHead(self.total_weight_decay, tolerance=tolerance)
        fit = head.minimize(self.objective, self.center)
        labels, decided = self.classes()
        own, sure = largest_classes(self.objective, fit.weights, fit.certificate, 1)
        last = self.objective.logits(self.weights).argmax(axis=1)
        false = decided & sure & (own[:, 0] != labels)
        counts = self.objective.added(np.array([false.sum(), (own[:, 0] == last).sum()]))
        return BallCheck(
            fit=fit,
            distance=float(np.linalg.norm(fit.weights - self.center)),
            bound=fit.certificate.weights_bound,
            radius=self.radius,
            false_claims=int(counts[0]),
            same_class=float(counts[1]) / self.objective.n_samples,
        )

    def _rows(self, x: Features | np.ndarray | None) -> Features | SoftmaxObjective | np.ndarray:
        if x is None:
            return self.objective
        return x if isinstance(x, Features) else check_rows(x, len(self.center))

    def _shares(self, x: Features | np.ndarray | None, *found: np.ndarray) -> list[float]:
        """Shares of all rows, those of other processes too where they are the rounds' own."""
        counts = np.array([one.sum() for one in found], dtype=float)
        own = x is None
        total = self.objective.n_samples if own else len(found[0])
        return ((self.objective.added(counts) if own else counts) / total).tolist()


@dataclass(frozen=True, eq=False)
class BallCheck:
    """One training at the total weight decay, against what the ball claims of it.

    Attributes
    ----------
    fit
        The head trained once, with its certificate.
    distance, bound, radius
        ‖W − center‖ of its weights, the bound on their distance to the optimum, and the ball's
        radius.
    false_claims
        Training rows of which the ball and the certificate claim different classes: 0 unless one
        of them is wrong.
    same_class
        Measured share of training rows on which it predicts the class of the last round.
    """

    fit: Fit = field(repr=False)
    distance: float
    bound: float
    radius: float
    false_claims: int
    same_class: float

    @property
    def holds(self) -> bool:
        """Whether the optimum can lie in the ball, and no claim on a row is false."""
        return self.distance <= _UP * (self.radius + self.bound) and not self.false_claims


def ball(
    fits: Sequence[Fit],
    losses: Sequence[SoftmaxObjective],
    certificate: Certificate,
    combine: bool,
) -> Ball:
    """The ball of plain rounds, the last of which has this ``certificate`` through all of them."""
    decays, weights = tuple(fit.weight_decay for fit in fits), fits[-1].weights
    objective = replace(losses[0], weight_decay=math.fsum(decays))
    center, radius = _around(objective, weights)
    if combine and len(fits) > 1:
        other = _around(objective, _combination(objective, fits))
        center, radius = min((center, radius), other, key=lambda one: one[1])
    return Ball(decays, center, radius, weights, certificate, objective)


def _around(objective: SoftmaxObjective, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Center and radius of the ball that W and its gradient give."""
    total, found = objective.weight_decay, objective.evaluate(weights)
    half = found.gradient / (2.0 * total)
    length = norm_bound(half)
    # The true g is within its rounding: V is as far from half of it, which moves the center too.
    rounding = found.gradient_rounding / total + gamma(4) * (norm_bound(weights) + length)
    return weights - half, _UP * (length + rounding)


def _combination(objective: SoftmaxObjective, fits: Sequence[Fit]) -> np.ndarray:
    """Σ a_s W_s, W_0 = 0 and Σ a_s = 1, of least gradient at Λ if M were linear between these.

    The gradient at W_s is ΛW_s − Σ_{r≤s} λ_r W_r by the telescope, so that only that at 0 is read
    off the rows. A secant step over all rounds (Anderson 1965).
    """
    weights = np.stack([np.zeros_like(fits[0].weights), *(fit.weights for fit in fits)])
    decays = np.array([0.0, *(fit.weight_decay for fit in fits)])
    left = objective.weight_decay * weights - np.cumsum(decays[:, None, None] * weights, axis=0)
    left[0] = objective.gradient_at_zero()
    changes = (left[:-1] - left[-1]).reshape(len(fits), -1).T
    shares = np.linalg.lstsq(changes, -left[-1].ravel(), rcond=None)[0]
    return weights[-1] + np.tensordot(shares, weights[:-1] - weights[-1], axes=1)
