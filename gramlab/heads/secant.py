"""The secant theory of one round: softmax(v) − 1/K ≈ a v with the slope of its own predictions.

The tangent at 0 has the slope 1/K. With any slope a > 0, V centred, stationarity of the
cross-entropy (``gramlab.heads.referee``) is a ridge problem with μ = N λ/a:

    V(a) = (1/a) H_μ D = X (a XᵀΩX + Nλ)⁻¹ XᵀΩD,      W(a) likewise,
    a = ⟨Ω(P − 1/K), V⟩/⟨ΩV, V⟩,                       P = softmax(V(a)),

one scalar equation. Derived here:

* *Existence.* V(a) is continuous on a ≥ 0 and, unless XᵀΩD = 0, never 0. As the softmax is strictly
  monotone on centred logits and ½-Lipschitz, the right side is in (0, ½]. So right minus left is
  positive at a = 0 and negative at a = 1. Where XᵀΩD = 0, V = 0, and a = 1/K is the limit.
* *What it says.* At a root, and nowhere else, ⟨∇L(W(a)), W(a)⟩ = 0: with NλW = XᵀΩ(D − aV),

      N ∇L(W(a)) = XᵀΩ(P − 1/K − aV).

  L is convex on the ray through W(a), so W(a) is its minimum there: no multiple of the logits, 0
  included, has a smaller loss.
* *Uniqueness* holds where all eigenvalues that D meets are equal to one s: then all W(a) lie on one
  ray, a ↦ s/(as + Nλ) is monotone, and L is strictly convex. There L(W(a)) is at most the
  tangent's. In general there can be three roots (the tests have an example with K = 1000 and two
  rows), and the tangent can be nearer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gramlab.heads.fit import ClosedFormFit
from gramlab.heads.referee import softmax_deviations
from gramlab.numerics.rounding import gamma
from gramlab.spectrum import Spectrum

__all__ = ["SecantFit", "SecantRoot", "find_secant", "secant_slope", "softmax_error"]


class SecantRoot(NamedTuple):
    """A slope a, and floats low ≤ a ≤ high at which right minus left is computed > 0 and ≤ 0."""

    slope: float
    bracket: tuple[float, float]


@dataclass(frozen=True, eq=False, repr=False)
class SecantFit(ClosedFormFit):
    """One round of ``LinearizedHead(..., slope="secant")``: P = softmax(V), V = (1/a) h_μ(G) D.

    Nothing here is exact but for the filter at the slope that was found: ``closed_form_error``
    takes this slope as given, and the two fields say how well it solves its equation.

    Attributes
    ----------
    slope_bracket
        Two floats about ``slope`` between which ⟨P − 1/K, V⟩/⟨V, V⟩ − a, as computed in float64,
        changes its sign. There may be other roots elsewhere.
    slope_residual
        |⟨P − 1/K, V⟩/⟨V, V⟩ − a| of these predictions, as computed in float64.
    """

    slope_bracket: tuple[float, float] = field(kw_only=True)
    slope_residual: float = field(kw_only=True)


def secant_slope(spectrum: Spectrum, logits: np.ndarray) -> float:
    """⟨Ω(P − 1/K), V⟩/⟨ΩV, V⟩ of centred logits V (N, K); of V = 0 its limit 1/K."""
    given = spectrum.weighted(logits)
    size = float(np.abs(given).max())
    if size == 0.0:
        return 1.0 / logits.shape[1]
    given = given / size  # squares of small logits would underflow
    against = float(np.vdot(given, logits / size))
    return float(np.vdot(given, softmax_deviations(logits) / size)) / against


def find_secant(spectrum: Spectrum, logits: Callable[[float], np.ndarray]) -> SecantRoot:
    """Solve a = ``secant_slope`` of ``logits(a)`` (N, K), which are V(a) of the docstring above.

    Halving from 1 finds where the sign of right minus left changes, Brent's method the root there.
    """
    from scipy.optimize import brentq  # slow to import, and needed nowhere else

    def difference(a: float) -> float:
        return secant_slope(spectrum, logits(a)) - a

    low, high = 0.5, 1.0
    while difference(low) <= 0.0:
        low, high = low / 2.0, low
    step = 4.0 * float(np.finfo(float).eps)
    slope = float(brentq(difference, low, high, xtol=step * low, rtol=step))  # pyright: ignore
    below = above = slope
    while below > low and difference(below) <= 0.0:
        below, step = max(low, below - step * slope), 2.0 * step
    step = 4.0 * float(np.finfo(float).eps)
    while above < high and difference(above) > 0.0:
        above, step = min(high, above + step * slope), 2.0 * step
    return SecantRoot(slope, (below, above))


def softmax_error(logits: np.ndarray, error: float) -> float:
    """Bound how far, in norm, softmax(V) − 1/K is off as computed, for V (N, K) off by ``error``.

    The softmax is ½-Lipschitz. A shift rounds by u·osc, exponentials by 8 u, sums of K entries and
    quotients of the rest by multiples of u K.
    """
    k = logits.shape[1]
    rounding = gamma(16 * (k + 2)) * np.sqrt(k) * (1.0 + np.ptp(logits, axis=1))
    return (0.5 * error + float(np.linalg.norm(rounding))) * (1.0 + gamma(len(logits) + 16))
