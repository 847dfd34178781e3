"""Certificate: how far given weights can be from the optimum of the softmax objective.

The objective is strongly convex (modulus ``weight_decay``), so its optimum W* is unique and the
gradient g at any W bounds the distance to it (derived for this project; proofs in
``docs/objective.md``):

* duality gap = ‖g‖²/(2λ) exactly;
* global bound: ‖W − W*‖_F ≤ ‖g‖_F/λ;
* local bound: with the Newton decrement ν = ‖g‖_{H⁻¹} and c = √2 max‖x_i‖/√λ, if cν < 1 then
  r = −ln(1 − cν) bounds the change of every logit difference on the training rows and
  ‖W − W*‖_F ≤ ‖W − W*‖_H/√λ ≤ ν r/((1 − e^{−r}) √λ).

This room holds the numbers and the formulas; ``gramlab.heads.referee`` computes g and ν.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gramlab.numerics.rounding import UNDERFLOW, gamma, row_norm_bounds

__all__ = ["Certificate", "logit_bound"]

# The formulas below round a few times each; every bound is raised by more than that.
_UP = 1.0 + gamma(16)
_LARGEST = float(np.finfo(np.float64).max) / 4.0  # of a sum whose differences stay finite


def logit_bound(x: np.ndarray, distance: float, rounding: float) -> np.ndarray:
    """Bound, per row of ``x`` (n, d), on how much any logit *difference* moves with the weights.

    From computed logits of W to the exact ones of W' with ‖W − W'‖_F ≤ ``distance``:
    |(e_a − e_b)ᵀ(W' − W)ᵀx| ≤ √2 ‖x‖ ‖W' − W‖_F for all classes a, b. The ``rounding`` of computed
    logit differences, per unit of ‖x‖ and at least 2γ_d ‖W‖_F, is added, and what underflows: in
    two sums of d products, and in the two bounds per unit of ‖x‖. A difference of computed logits
    that is larger has the sign it has at W'. Where sums that make a logit could overflow, the bound
    is infinite.
    """
    width = np.shape(x)[1]
    norms = row_norm_bounds(x)
    moved = math.sqrt(2.0) * distance + rounding + UNDERFLOW
    with np.errstate(over="ignore", invalid="ignore"):  # of an infinite bound
        bounds = _UP * norms * moved + 2.0 * width * UNDERFLOW
        # Partial sums are at most ‖x‖‖W‖, and the rounding is at least 2γ_d ‖W‖.
        finite = norms * rounding <= gamma(width) * _LARGEST
    return np.where(finite, bounds, np.inf)


@dataclass(frozen=True)
class Certificate:
    """Float64 bounds on the distance between weights W and the exact optimum W*.

    Attributes
    ----------
    gradient_norm
        ‖∇L(W)‖_F as computed in float64.
    gradient_rounding
        A-priori bound on ‖computed ∇L(W) − true ∇L(W)‖_F (standard model of rounding), and on
        the rounding of ``gradient_norm`` itself: added to it in every bound on W, and the floor
        below which more iterations prove nothing.
    start_gradient_norm
        ‖∇L(0)‖_F, the scale of ``relative_gap``.
    decrement
        Upper bound on ‖∇L(W)‖_{H⁻¹}, H = ∇²L(W), including rounding; ``inf`` when it was found
        too large to be of use. Or a function that computes it when first asked for: it costs more
        than all other parts together.
    weight_decay
        λ of the objective.
    max_row_norm
        max_i ‖x_i‖ over the training rows of positive weight.
    logit_rounding
        Bound on the rounding error of a computed logit difference, per unit of ‖x‖.
    """

    gradient_norm: float
    gradient_rounding: float
    start_gradient_norm: float
    decrement: float | Callable[[], float] = field(repr=False, compare=False)
    weight_decay: float
    max_row_norm: float
    logit_rounding: float = 0.0

    @cached_property
    def newton_decrement(self) -> float:
        """Upper bound on the Newton decrement ‖∇L(W)‖_{H⁻¹}, computed when first asked for."""
        return self.decrement() if callable(self.decrement) else self.decrement

    @property
    def relative_gap(self) -> float:
        """Duality gap over the gap at W = 0, i.e. ‖g(W)‖²/‖g(0)‖² (0 when both vanish)."""
        if self.start_gradient_norm == 0.0:
            return 0.0 if self.gradient_norm == 0.0 else math.inf
        share = self.gradient_norm / self.start_gradient_norm
        return share * share

    @property
    def duality_gap(self) -> float:
        """L(W) − dual(P) = ‖g‖_F²/(2λ); bounds L(W) − L(W*)."""
        return 0.5 * self.gradient_norm * (self.gradient_norm / self.weight_decay)

    @property
    def global_bound(self) -> float:
        """‖W − W*‖_F ≤ (‖g‖_F + rounding)/λ, from strong convexity alone."""
        return _UP * (self.gradient_norm + self.gradient_rounding) / self.weight_decay

    @property
    def local_bound(self) -> float:
        """‖W − W*‖_F by generalized self-concordance; ``inf`` where cν ≥ 1."""
        c = math.sqrt(2.0) * self.max_row_norm / math.sqrt(self.weight_decay)
        product = _UP * c * self.newton_decrement
        if not product < 1.0:
            return math.inf
        r = -math.log1p(-product)
        # r/(1 − e^{−r}) → 1 as r → 0; −expm1(−r) equals ``product`` by definition of r.
        growth = r / product if product > 0.0 else 1.0
        return _UP * self.newton_decrement * growth / math.sqrt(self.weight_decay)

    @property
    def weights_bound(self) -> float:
        """The smaller of the global and the local bound on ‖W − W*‖_F."""
        return min(self.global_bound, self.local_bound)

    @property
    def at_rounding_floor(self) -> bool:
        """Whether the gradient is below what float64 can be proved to resolve."""
        return self.gradient_norm <= self.gradient_rounding

    def logit_bound(self, x: np.ndarray) -> np.ndarray:
        """Bound, per row of ``x`` (n, d), on how much any logit *difference* moves from W to W*.

        See ``logit_bound``, at distance ``weights_bound``.
        """
        return logit_bound(x, self.weights_bound, self.logit_rounding)

    def as_dict(self) -> dict[str, float]:
        """The certificate as plain numbers, for JSON and tables."""
        names = "relative_gap duality_gap gradient_norm gradient_rounding newton_decrement"
        names += " global_bound local_bound weights_bound"
        return {name: getattr(self, name) for name in names.split()}
