"""Rounds on types, certified through all of them: the exact head, and the closed form.

The exact head is solved in float64 and, where that leaves a round undecided, refined in longer
numbers. Whatever weights come out, ball arithmetic says how far they can be from the iterate that
exact heads would have reached in every round (docs/objective.md, "Through the rounds"):

    ‖W̃_t − W_t‖ ≤ (1/λ) Σ_{s≤t} ‖e_s‖,    e_s = λ W̃_s + Xᵀ(softmax(XW̃_s) − softmax(XW̃_{s−1}))/N,

with the targets of round 1 in place of softmax(XW̃_0). All of it is computed from the weights alone,
so neither the solver nor the rounding of an earlier round can make it false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from gramlab.heads.referee import softmax, softmax_deviations
from gramlab.population.exact_numbers import rational
from gramlab.population.types import TypePredictions, Types

__all__ = ["BITS", "ExactRounds", "closed_form"]

BITS = (128, 256, 512, 1024, 2048)  # of balls, one length after the other until a round is decided
_LEAST = 5e-324  # the least number above 0 in float64

_middle: Any = np.frompyfunc(lambda ball: ball.mid(), 1, 1)
_exactly: Any = np.frompyfunc(arb, 1, 1)


def closed_form(
    types: Types, spectrum: Sequence[Fraction], mu: Fraction, round: int
) -> TypePredictions:
    """The linear head at round t: p^t of each eigenspace on its part of the labels.

    Balls decide the margins, and rationals where a ball does not: a tie is a tie. The parts are
    exact before they meet a factor, so that one that vanishes does vanish.
    """
    own, near, every = types.label_means
    filters, uniform = [rational(s / (s + mu)) for s in spectrum], fmpq(1, types.targets.shape[1])
    for bits in (*BITS, None):
        with ctx.workprec(bits or BITS[0]):
            a, b, c, d = ((p if bits is None else arb(p)) ** round for p in filters)
            of_class = b * (own - near) + c * (near - every) + d * every - a * (own + uniform)
            deviations = of_class[types.true]
            deviations[np.arange(len(types.given)), types.given] += a
            margins = _margins(deviations, types.true)
            sign = np.array([int(m > 0) - int(m < 0) for m in margins])
            found = _predictions(types, deviations, margins, np.zeros(len(sign)), sign)
        if sign.all():
            break
    return found


@dataclass(frozen=True, eq=False)
class _Round:
    """One solved round: U (A, K), whose logits are K^{1/2} U, and what follows from it in balls."""

    u: np.ndarray
    logits: np.ndarray
    deviations: np.ndarray
    residuals: arb  # Σ ‖e_s‖ over the rounds up to this one


class ExactRounds:
    """The exact head's rounds on types, solved in order in one precision and kept.

    With V = K^{1/2} U (K the Gram matrix on types) the objective is
    (1/N) Σ CE(T_i, softmax(V_i)) + (λ/2) Σ_i ‖U_i‖², the same as that of weights, and its metric at
    uniform predictions is diagonal in the four eigenspaces.

    ``types`` are in rationals, ``spectrum`` has the four eigenvalues and ``bits`` is the length of
    the balls. Rounds of ``coarser``, in shorter numbers, are refined; without it, what float64
    finds is taken.
    """

    def __init__(
        self,
        types: Types,
        spectrum: Sequence[Fraction],
        n_samples: int,
        weight_decay: Fraction,
        bits: int,
        coarser: ExactRounds | None = None,
    ) -> None:
        self.bits, self._coarser, self._samples = bits, coarser, n_samples
        ridge = n_samples * weight_decay
        in_floats = np.array([float(s) for s in spectrum])
        self._float64 = _Whitened(types.using(float, float), in_floats, float(ridge))
        with ctx.workprec(bits):
            in_balls = np.array([arb(rational(s)) for s in spectrum])
            self._whitened = _Whitened(types.using(arb, object), in_balls, arb(rational(ridge)))
            self._weight_decay = arb(rational(weight_decay))
        self._rounds: list[_Round] = []

    def predictions(self, round: int) -> TypePredictions:
        """Predictions of round t, certified against the true iterate."""
        found, types = self._solved(round), self._whitened.types
        with ctx.workprec(self.bits):
            # Rows have unit norm: no logit difference moves by more than √2 of the weights.
            bound = arb(2).sqrt() * found.residuals / self._weight_decay
            margins = _margins(found.logits, types.true)
            sign = np.array([int(m > bound) - int(m < -bound) for m in margins])
            bounds = np.array([_rounded_up(bound, margin) for margin in margins])
            return _predictions(types, found.deviations, margins, bounds, sign, found.logits)

    def _solved(self, round: int) -> _Round:
        while len(self._rounds) < round:
            before = self._rounds[-1] if self._rounds else None
            coarse, t = self._coarser, len(self._rounds) + 1
            start = self._in_float64(before) if coarse is None else coarse._solved(t).u
            with ctx.workprec(self.bits):
                self._rounds.append(self._next(before, start))
        return self._rounds[round - 1]

    def _in_float64(self, before: _Round | None) -> np.ndarray:
        """U of the round after ``before`` in float64."""
        types = self._float64.types
        targets = types.targets if before is None else before.deviations.astype(float)
        start = np.zeros(targets.shape) if before is None else before.u.astype(float)
        # Below that float64 cannot hold the squares of gradients.
        if np.abs(targets).max() >= 1e-100:
            start = _newton(self._float64, self._float64, targets, start, 1e-15)
        return _exactly(start)

    def _next(self, before: _Round | None, u: np.ndarray) -> _Round:
        """The round after ``before``, from weights that are near."""
        whitened = self._whitened
        targets = whitened.types.targets if before is None else before.deviations
        if self._coarser is not None:
            goal = arb(2) ** (24 - self.bits)  # 24 bits are lost in evaluating a gradient
            u = _newton(whitened, self._float64, targets, u, goal)
        u = whitened.types.symmetrized(u)
        logits = whitened.logits(u)
        deviations = _deviations(logits)
        gradient = whitened.gradient(u, deviations - targets)
        # ‖∇_W L‖² = (1/N)·(1/N)Σ‖g_i‖².
        square = whitened.types.inner(gradient, gradient) / self._samples
        residual = arb(square.abs_upper()).sqrt()
        total = residual if before is None else before.residuals + residual
        return _Round(u, logits, deviations, total)


class _Whitened:
    """The objective of U on types, in float64 or in balls."""

    def __init__(self, types: Types, spectrum: np.ndarray, ridge: Any) -> None:
        self.types, self.spectrum, self.ridge = types, spectrum, ridge
        self.root = np.sqrt(spectrum)

    def logits(self, u: np.ndarray) -> np.ndarray:
        """V = K^{1/2} U."""
        return self.types.spectral(u, self.root)

    def gradient(self, u: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """Gradient density with respect to (1/N) Σ⟨·,·⟩: g_i = K^{1/2}(P − T)_i + Nλ U_i."""
        return self.types.spectral(residuals, self.root) + self.ridge * u


def _newton(
    whitened: _Whitened, float64: _Whitened, targets: np.ndarray, u: np.ndarray, goal: Any
) -> np.ndarray:
    """Newton steps from U until the gradient is ``goal`` times that at 0, or falls no further.

    ``whitened`` says where the iteration stands, in numbers of any kind; its steps are solved for
    by ``float64``.
    """
    types, refining = whitened.types, whitened is not float64
    first = _square_root(types.inner(targets, types.spectral(targets, whitened.spectrum)))
    v = whitened.logits(u)
    p = _deviations(v)
    g = whitened.gradient(u, p - targets)
    norm = least = _square_root(types.inner(g, g))
    nearest, idle = u, 0
    while norm > goal * first and idle < 6:  # steps in which the gradient fails to halve
        forcing = 1e-10 if refining else min(0.01, norm / first)
        step = _newton_direction(
            float64, softmax(v.astype(float)), (g / norm).astype(float), forcing
        )
        step = _exactly(step) * norm if refining else step * norm
        change = whitened.logits(step)
        size: Any = 1
        slope = types.inner(g, step)
        for _ in range(60):  # the objective is convex: stop where the slope has not changed sign
            moved = u + step / size
            p = _deviations(v + change / size)
            g = whitened.gradient(moved, p - targets)
            if abs(types.inner(g, step)) <= abs(slope) * 9 / 10:
                break
            size *= 2
        u = _middle(moved) if refining else moved
        v = whitened.logits(u)
        norm = _square_root(types.inner(g, g))
        idle = 0 if norm * 2 < least else idle + 1
        if norm < least:
            nearest, least = u, norm
    return nearest


def _newton_direction(
    whitened: _Whitened, p: np.ndarray, g: np.ndarray, forcing: float
) -> np.ndarray:
    """Conjugate gradients on (K^{1/2} S K^{1/2} + Nλ) D = −g, preconditioned by a uniform S."""
    types, ridge = whitened.types, whitened.ridge
    curvature = float(types.share @ (1.0 - np.einsum("ak,ak->a", p, p))) / (p.shape[1] - 1)
    preconditioner = 1.0 / (curvature * whitened.spectrum + ridge)
    rows, likeliest = np.arange(len(p)), p.argmax(axis=1)

    def hessian_product(d: np.ndarray) -> np.ndarray:
        change = whitened.logits(d)
        # Against the likeliest class: where p rounds to 1 its own change would cancel to nothing.
        change -= change[rows, likeliest][:, None]
        return whitened.gradient(d, p * (change - np.einsum("ak,ak->a", p, change)[:, None]))

    d, residual = np.zeros_like(g), -g
    stop = (forcing**2) * types.inner(residual, residual)
    search, previous = np.zeros_like(g), 1.0
    for _ in range(500):
        scaled = types.spectral(residual, preconditioner)
        rho = types.inner(residual, scaled)
        search, previous = scaled + (rho / previous) * search, rho
        curved = hessian_product(search)
        along = types.inner(search, curved)
        if not along > 0.0:  # below what float64 holds
            break
        d = d + (rho / along) * search
        residual = residual - (rho / along) * curved
        if types.inner(residual, residual) <= stop:
            break
    return d


def _deviations(logits: np.ndarray) -> np.ndarray:
    """softmax(v) − 1/K by rows, in float64 or in balls."""
    if logits.dtype == float:
        return softmax_deviations(logits)
    k = logits.shape[1]
    top = logits.astype(float).argmax(axis=1)
    grown = np.expm1(logits - _middle(logits[np.arange(len(top)), top])[:, None])
    total = grown.sum(axis=1, keepdims=True)
    return (grown - total / k) / (total + k)


def _square_root(value: Any) -> Any:
    """Of a sum of squares; balls are read at their middle, as nothing is proved with it."""
    return value.mid().sqrt() if isinstance(value, arb) else float(np.sqrt(value))


def _margins(values: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Entry of the true class less the largest other one (A,)."""
    out = np.empty(len(values), dtype=object)
    for i, (row, k) in enumerate(zip(values, true, strict=True)):
        others = [x for j, x in enumerate(row) if j != k]
        out[i] = row[k] - (reduce(arb.max, others) if isinstance(row[k], arb) else max(others))
    return out


def _predictions(
    types: Types,
    deviations: np.ndarray,
    margins: np.ndarray,
    bounds: np.ndarray,
    sign: np.ndarray,
    logits: np.ndarray | None = None,
) -> TypePredictions:
    """Rounded to float64; margins of a certified sign keep it where that would make them 0."""
    rounded = margins.astype(float)
    return TypePredictions(
        types.true,
        types.given,
        deviations.astype(float),
        np.where((rounded == 0.0) & (sign != 0), sign * _LEAST, rounded),
        bounds,
        sign,
        None if logits is None else logits.astype(float),
        types.renamings,
    )


def _rounded_up(bound: arb, margin: arb) -> float:
    """What ``margin``, rounded to float64, can differ by from one that is within ``bound``."""
    largest = float((bound + margin.rad()).abs_upper()) + 2.0**-52 * abs(float(margin))
    return float(np.nextafter(largest, np.inf)) + _LEAST
