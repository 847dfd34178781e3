"""Rounds of exact heads by their moments, with what is known of every number.

With F(W) = (1/N) Σ_i log Σ_k exp(w_kᵀx_i) and M = ∇F, so M(W) = XᵀP(W)/N, round t solves
λ_t W_t + M(W_t) = u_t, where u_1 = XᵀY/N, and passes u_(t+1) = M(W_t) on: a step of the proximal
point algorithm (Rockafellar 1976) on F*, the convex conjugate, in the space of moments. At moments
that heads make F* is minus the mean entropy of the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from gramlab.distillation import Rounds, distill
from gramlab.distillation.rounds import momentum_weight
from gramlab.heads.softmax import SoftmaxHead
from gramlab.numerics.rounding import gamma
from gramlab.theorems._arguments import FEATURES, array, number
from gramlab.theorems._heads import features, margins
from gramlab.theorems._hypotheses import above, all_of, equals, positive_decay, sums_to_one
from gramlab.theorems.form import Check, Hypothesis, Instance, bound, equal

TOLERANCE = 1e-20
"""Relative duality gap of a head: ten digits of its gradient, which float64 always has."""

ARGUMENTS = {
    "features": FEATURES,
    "targets": array("rows of sum 1, which may have negative entries", "N", "K"),
    "weight_decays": array("λ > 0 of each round, t ≥ 2", "t", least=2, key="decays"),
    "mixing": number("ξ of ξP + (1 − ξ)Y; 1 unless told", default=1.0),
    "temperature": number("τ > 0 at which predictions are read; 1 unless told", default=1.0),
}
RUNS = ("gramlab.SoftmaxHead.fit", "gramlab.distill", "gramlab.Rounds.chain")

# ---- Hypotheses ----------------------------------------------------------------------------------


def sharpened(rng: np.random.Generator) -> Instance:
    """Predictions read at a low temperature: each round makes its own targets harder."""
    instance = draw_rounds(rng, (4, 5), spread=(-3, -2))
    return {**instance, "temperature": float(rng.uniform(0.05, 0.2))}


TARGETS = Hypothesis("targets", r"\sum_k Y_{ik} = 1,\ Y_{ik} \in \mathbb{R}", test=sums_to_one)
DECAYS = Hypothesis(
    "weight decays", r"\lambda_t > 0,\ \text{one for each round}", test=above("decays", "λ_t")
)
PLAIN = Hypothesis(
    "plain rounds",
    r"T^{(1)} = Y,\ T^{(t+1)} = P_t = \operatorname{softmax}(X W_t)",
    sharpened,
    all_of(
        equals("mixing", "mixing", lambda i: 1.0),
        equals("temperature", "temperature of the reading", lambda i: 1.0),
    ),
)

ONE_DECAY = Hypothesis("weight decay", r"\lambda > 0,\ \text{one for all}", test=positive_decay)
ASSUMED = TARGETS, DECAYS, replace(PLAIN, without=None)
"""What false statements suppose, of which nothing is dropped."""

# ---- Instances -----------------------------------------------------------------------------------


def draw_targets(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Rows of sum 1: given labels of equal or very unequal classes, soft rows, or signed ones."""
    kind = rng.integers(4)
    if kind < 2:
        shares = rng.dirichlet(np.full(k, 10.0 if kind else 0.3))
        return np.eye(k)[rng.choice(k, n, p=shares)]
    soft = rng.dirichlet(np.ones(k), n)
    noise = rng.standard_normal((n, k)) if kind == 3 else np.zeros((n, k))
    return soft + noise - noise.mean(axis=1, keepdims=True)


def draw_rows_of_rank(rng: np.random.Generator) -> np.ndarray:
    """Rows x (N, d) of any scale, N from 2 and d from 1, often d > N or of low rank."""
    n, d = int(rng.integers(2, 13)), int(rng.integers(1, 9))
    rank = int(rng.integers(1, d + 1)) if rng.random() < 0.3 else d
    mixed = np.eye(d) if rank == d else rng.standard_normal((rank, d))
    return float(10 ** rng.uniform(-1, 1)) * rng.standard_normal((n, rank)) @ mixed


def natural_decay(x: np.ndarray, targets: np.ndarray) -> float:
    """Mean square row norm over K: the curvature of F at 0, beside which λ is large or small."""
    return float(np.mean((x**2).sum(axis=1))) / targets.shape[1]


def draw_problem(rng: np.random.Generator) -> dict[str, Any]:
    """Rows and targets, K from 2 to 4."""
    x = draw_rows_of_rank(rng)
    return {"x": x, "targets": draw_targets(rng, len(x), int(rng.integers(2, 5)))}


def draw_rounds(
    rng: np.random.Generator,
    rounds: tuple[int, int] = (2, 6),
    spread: tuple[float, float] = (-3.0, 1.5),
) -> dict[str, Any]:
    """Plain rounds; schedules over decades (log₁₀ of λ_t in ``spread``), or one λ for all."""
    problem = draw_problem(rng)
    count = int(rng.integers(*rounds))
    powers = rng.uniform(*spread, count if rng.random() < 0.7 else 1)
    decays = np.broadcast_to(natural_decay(**problem) * 10**powers, count).copy()
    return {**problem, "decays": decays}


def draw_one_decay(rng: np.random.Generator, least: int) -> dict[str, Any]:
    """A problem, one λ over decades, and rounds from ``least`` to 6."""
    problem = draw_problem(rng)
    decay = natural_decay(**problem) * float(10 ** rng.uniform(-3, 1))
    return {**problem, "weight_decay": decay, "rounds": int(rng.integers(least, 7))}


def plain_rounds(x: Any, targets: Any, decays: Any) -> dict[str, Any]:
    """Plain rounds on rows x; targets (N, K), or labels (N,)."""
    given = np.asarray(targets)
    soft = np.eye(int(given.max()) + 1)[given] if given.ndim == 1 else given.astype(float)
    return {"x": np.array(x, float), "targets": soft, "decays": np.array(decays, float)}


def near(found: Instance) -> Callable[[np.random.Generator], dict[str, Any]]:
    """Draws any plain rounds or, as often, some near to those found: turned, and moved a little."""

    def draw(rng: np.random.Generator) -> dict[str, Any]:
        if rng.random() < 0.5:
            return draw_rounds(rng)
        x: np.ndarray = found["x"]
        turn = np.linalg.qr(rng.standard_normal((x.shape[1],) * 2))[0]
        return {**found, "x": (x + 1e-4 * rng.standard_normal(x.shape)) @ turn}

    return draw


# ---- What rounds make, and what is known of it ---------------------------------------------------


@dataclass(frozen=True)
class Known:
    """Numbers as computed, and a bound on how far the true ones are, in Frobenius norm."""

    value: np.ndarray
    error: float

    def __sub__(self, other: Known) -> Known:
        return Known(self.value - other.value, self.error + other.error)

    def __add__(self, other: Known) -> Known:
        return Known(self.value + other.value, self.error + other.error)

    def __rmul__(self, factor: float) -> Known:
        return Known(factor * self.value, abs(factor) * self.error)

    @property
    def norm(self) -> float:
        """The norm, itself within ``error``."""
        return float(np.linalg.norm(self.value))

    @property
    def square(self) -> Known:
        """The square of the norm."""
        return self.inner(self)

    def inner(self, other: Known) -> Known:
        """⟨self, other⟩."""
        error = self.norm * other.error + self.error * (other.norm + other.error)
        return Known(np.asarray(np.vdot(self.value, other.value)), error)


@dataclass(frozen=True)
class Round:
    """One round: weights W, the moment u it was given, M(W), and mean entropy H̄ of P(W).

    ``given`` is what the round was fitted to, ``moment`` what its predictions make.
    """

    decay: float
    given: Known
    weights: Known
    moment: Known
    entropy: Known

    def margins(self, x: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each row x_i and its true class, in logits: at least, and at most."""
        found, moved = margins(x @ self.weights.value, true), self.moved(x)
        return found - moved, found + moved

    def moved(self, x: np.ndarray) -> np.ndarray:
        """How far differences of logits of each row can be off: √2 ‖x‖ times the weights' error."""
        return np.sqrt(2) * np.linalg.norm(x, axis=1) * self.weights.error


def moment(x: np.ndarray, targets: np.ndarray, error: float = 0.0) -> Known:
    """XᵀT/N, with its rounding: sums of N products, each target a few roundings from its own."""
    n, k = targets.shape
    sizes = np.linalg.norm(x, axis=1) * (1 + np.linalg.norm(targets, axis=1))
    return Known(x.T @ targets / n, error + gamma(n + k + 8) * float(sizes.mean()))


def start_gradient(x: np.ndarray, targets: np.ndarray) -> Known:
    """−∇L(0) = Xᵀ(Y − 1/K)/N."""
    return moment(x, targets) - uniform_moment(x, targets)


def uniform_moment(x: np.ndarray, targets: np.ndarray) -> Known:
    """M(0) = Xᵀ(1/K)/N, where F* has its least value, −log K."""
    return moment(x, np.full(targets.shape, 1 / targets.shape[1]))


def short_of_uniform(r: Round) -> Known:
    """How far H̄ is below log K."""
    return Known(np.log(r.weights.value.shape[1]), 0.0) - r.entropy


def round_of(
    x: np.ndarray, decay: float, given: Known, weights: np.ndarray, own: float, passed: float
) -> Round:
    """A round from its weights; λ‖W̃ − W‖ and ‖M(W̃) − M(W)‖ are at most ``passed``.

    ``own`` bounds the rounding of XᵀP(W̃)/N as far as it comes from the softmax.
    """
    logits = x @ weights
    logs = log_softmax(logits, axis=1)
    known = Known(weights, passed / decay)
    made = moment(x, softmax(logits, axis=1), own + passed)
    # −H̄ = F* has the slope W, which does not grow beyond ‖W̃‖ + its error on the way.
    moved = (known.norm + known.error) * (own + passed)
    # Logits are sums of d products, and dH = −Cov_p(v, dv) of a row is at most the product of the
    # two spreads.
    size = float(np.linalg.norm(x, axis=1).max()) * known.norm
    rounding = gamma(x.size + logits.size + 16) * (1 + size) ** 2 * (1 + np.log(logits.shape[1]))
    entropy = Known(-(np.exp(logs) * logs).sum(axis=1).mean(), moved + rounding)
    return Round(decay, given, known, made, entropy)


def trained_once(instance: Instance, decay: float) -> Round:
    """The head trained once on the given targets."""
    problem = {name: instance[name] for name in ("x", "targets")}
    return exact_rounds({**problem, "decays": [decay]})[0]


def _decays(instance: Instance) -> list[float]:
    """One weight decay for each of the ``decays``, or for each of ``rounds`` the same."""
    if "decays" in instance:
        return [float(decay) for decay in instance["decays"]]
    return [instance["weight_decay"]] * instance["rounds"]


def distilled(instance: Instance) -> Rounds:
    """The rounds of an instance by ``distill``, plain ones unless it says otherwise."""
    settings = {"tolerance": TOLERANCE, "signed_targets": True}
    heads = [SoftmaxHead(decay, **settings) for decay in _decays(instance)]
    told = ("refine", "mixing", "temperature", "momentum")
    asked = {name: instance[name] for name in told if name in instance}
    x, targets = instance["x"], instance["targets"]
    used = features(x, targets.shape[1])
    return distill(heads, used, targets, len(heads), signed_targets=True, **asked)


def exact_rounds(instance: Instance) -> list[Round]:
    """The rounds of an instance, each within its certificate through the rounds.

    Where that claims nothing, as of predictions read at another temperature, a round stands for
    the exact one on the targets that it was given.
    """
    x, made, found = instance["x"], distilled(instance), []
    before, passed_on, mixing = 0.0, [0.0], abs(instance.get("mixing", 1.0))
    by_round = zip(_decays(instance), made, made.targets, made.chain, strict=True)
    for decay, fit, given, chained in by_round:
        own, through = fit.certificate, chained or fit.certificate
        passed = through.gradient_norm + through.gradient_rounding
        told = moment(x, np.asarray(given), before)
        found.append(round_of(x, decay, told, fit.weights, own.gradient_rounding, passed))
        passed_on.append(passed + own.gradient_rounding)
        beta = momentum_weight(len(found)) if instance.get("momentum") else 0.0
        before = mixing * ((1 + beta) * passed_on[-1] + beta * passed_on[-2])
    return found


def weighted(shares: Iterable[float], known: Sequence[Known]) -> Known:
    """Their sum, each times its share."""
    first, *more = (float(share) * one for share, one in zip(shares, known, strict=True))
    return sum(more, start=first)


def worst(checks: Sequence[Check]) -> Check:
    """All of several checks, with the least slack; 0 where nothing differs from nothing."""
    slack = min((check.slack for check in checks), default=0.0)
    return Check(all(check.holds for check in checks), slack)


def at_most(a: Known, b: Known) -> Check:
    """Whether a ≤ b, of two numbers."""
    return bound(float(a.value), float(b.value), a.error + b.error)


def shorter(a: Known, b: Known) -> Check:
    """Whether ‖a‖ ≤ ‖b‖."""
    return bound(a.norm, b.norm, a.error + b.error)


def same(a: Known, b: Known) -> Check:
    """Whether a = b."""
    return equal(a.value, b.value, a.error + b.error)


# ---- What theorems on plain rounds have in common ------------------------------------------------

PLAIN_ROUNDS: dict[str, Any] = {
    "hypotheses": (TARGETS, DECAYS, PLAIN),
    "draw": draw_rounds,
    "arguments": ARGUMENTS,
    "runs": RUNS,
}


def false_near(found: Instance) -> dict[str, Any]:
    """The same of false statements, which some rounds refute."""
    more = {"uses": ("chain-certificate",), "expected": "counterexample"}
    return PLAIN_ROUNDS | {"hypotheses": ASSUMED, "draw": near(found)} | more
