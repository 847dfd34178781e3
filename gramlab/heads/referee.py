"""The softmax objective: conventions written once, and the certificates computed from W alone.

    L(W; T) = (1/N) Σ_i ω_i CE(T_i, softmax(Wᵀx_i)) + (λ/2) ‖W‖_F²       no intercept

    x (N, d) features, T (N, K) targets with rows on the simplex, W (d, K) weights, λ weight decay;
    ω_i = N w_i/Σw relative weights of the rows, of mean 1, Ω = diag(ω), by default all 1;
    P = softmax(XW);  ∇L = (1/N) XᵀΩ(P − T) + λW;  stationarity W = (1/(Nλ)) XᵀΩ(T − P);
    rows of T − P sum to 0, so the optimum has zero-sum logits;  μ = K N λ in the linearized theory.

SGD weight decay λ with a mean cross-entropy is this objective (paper and the authors' code);
scikit-learn's is C = 1/(N λ) with ``fit_intercept=False``. An unpenalized intercept would void the
certificates, so there is none.

Everything here is NumPy in float64 and independent of the solver: it is the referee. All sums over
rows are made block by block, so that features mapped from a file, or targets made row by row, need
nothing of size (N, d) or (N, K).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar, NamedTuple

import numpy as np

from gramlab import validation
from gramlab.heads import newton_decrement
from gramlab.heads.problem import Problem
from gramlab.machine.memory import release
from gramlab.numerics.certificate import Certificate
from gramlab.numerics.rounding import UNDERFLOW, frobenius_norm, gamma, norm_bound
from gramlab.spectrum import Spectrum

__all__ = [
    "Evaluation",
    "SoftmaxObjective",
    "softmax",
    "softmax_deviations",
    "softmax_remainder",
]


class Evaluation(NamedTuple):
    """What one pass over the features tells about weights W."""

    value: float  # L(W; T) − log K: near W = 0, where it is 0, it keeps digits that L itself loses
    gradient: np.ndarray  # ∇L(W) (d, K)
    curvature: float  # mean eigenvalue of diag(p) − ppᵀ on zero-sum vectors; 1/K at W = 0
    gradient_rounding: float  # as ``SoftmaxObjective.gradient_rounding``


def softmax_deviations(logits: np.ndarray) -> np.ndarray:
    """softmax(v) − 1/K by rows of ``logits`` (n, K), accurate however small the logits are."""
    return _normalized(np.expm1(logits - logits.max(axis=1, keepdims=True)))


def _normalized(changes: np.ndarray) -> np.ndarray:
    """softmax(s) − 1/K (n, K), in place of eˢ − 1."""
    partition = (changes + 1.0).sum(axis=1, keepdims=True)
    changes -= changes.mean(axis=1, keepdims=True)
    changes /= partition
    return changes


def _losses(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CE(T, softmax(v)) − log K (n,) and softmax(v) − 1/K (n, K), for T − 1/K (n, K)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    # log(Σ eˢ/K) − s̄ − Σ (T − 1/K) s: every part is small where the logits are.
    losses = -shifted.mean(axis=1)
    losses -= np.einsum("ij,ij->i", targets, shifted)
    np.expm1(shifted, out=shifted)
    losses += np.log1p(shifted.mean(axis=1))
    return losses, _normalized(shifted)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax by rows of ``logits`` (n, K)."""
    exponential = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponential / exponential.sum(axis=1, keepdims=True)


def softmax_remainder(logits: np.ndarray) -> np.ndarray:
    """softmax(v) − 1/K − (v − v̄)/K by rows (n, K).

    Its 1-norm is at most osc(v)²/4, and even osc(v)²/(6√3) (docs/objective.md).
    """
    k = logits.shape[1]
    return softmax_deviations(logits) - (logits - logits.mean(axis=1, keepdims=True)) / k


@dataclass(frozen=True, eq=False, repr=False)
class SoftmaxObjective(Problem):
    """L(·; T) on one feature matrix, with the quantities its certificates need; see ``Problem``."""

    exponential_units: ClassVar[int] = 8  # of roundoff, granted to exp and expm1

    @property
    def spectrum(self) -> Spectrum:
        """Of √ω x: a basis and curvatures along it, which precondition and affect speed only."""
        return Spectrum.of(self.features, row_weights=self.row_weights)

    @cached_property
    def max_row_norm(self) -> float:
        """max_i ‖x_i‖ over all rows, those of weight 0 too, rounded up."""
        return float(self.row_norms.max())

    @cached_property
    def counted_row_norm(self) -> float:
        """max_i ‖x_i‖ over the rows of positive weight, rounded up."""
        weights = self.row_weights
        return self.max_row_norm if weights is None else float(self.row_norms[weights > 0.0].max())

    @cached_property
    def mean_square_norm(self) -> float:
        """Σ_i ω_i ‖x_i‖²/N, rounded up."""
        squares = self.weighted(slice(None), np.square(self.row_norms)).sum()
        return float(self.added(squares)) / self.n_samples * (1.0 + gamma(self.n_samples + 16))

    def value(self, weights: np.ndarray) -> float:
        """L(W; T)."""
        return self.evaluate(weights).value + float(np.log(self.n_classes))

    def dual(self, probabilities: np.ndarray) -> float:
        """(1/N) Σ ω_i H(q_i) − (λ/2) ‖XᵀΩ(T − Q)/(Nλ)‖²; at most L(W) for every W and Q."""
        logs = np.log(np.where(probabilities > 0.0, probabilities, 1.0))  # 0 log 0 = 0
        entropies = -np.einsum("ij,ij->i", probabilities, logs)
        moment = self._transpose(lambda rows: self.targets[rows] - probabilities[rows])
        fit = float(self.weighted(slice(None), entropies).sum()) / self.n_samples
        return fit - 0.5 * float(np.vdot(moment, moment)) / self.weight_decay

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """∇L(W) (d, K)."""
        return self.evaluate(weights).gradient

    def gradient_at_zero(self) -> np.ndarray:
        """∇L(0) (d, K)."""
        return -self._transpose(lambda rows: self.target_deviations[rows])

    @cached_property
    def start_norm(self) -> float:
        """‖∇L(0)‖_F."""
        return frobenius_norm(self.gradient_at_zero())

    def evaluate(self, weights: np.ndarray, logits: np.ndarray | None = None) -> Evaluation:
        """Value, gradient with its rounding, and mean curvature at W (d, K), in one pass.

        ``logits`` (N, K), where they are known, save half of it.
        """
        n, k = self.n_samples, self.n_classes
        of_softmax = gamma(k + self.exponential_units)
        # Σ ω times CE − log K, ‖P_i − 1/K‖² and what rounding adds; XᵀΩ(P − T).
        sums, moment = np.zeros(3), np.zeros((self.features.n_features, k))
        for rows, block in self.blocks():
            targets, norms = self.target_deviations[rows], self.row_norms[rows]
            losses, deviations = _losses(
                block @ weights if logits is None else logits[rows], targets
            )
            squares, top = np.einsum("ij,ij->i", deviations, deviations), deviations.max(axis=1)
            top += 1.0 / k
            deviations -= targets
            release(targets)
            residuals = np.sqrt(np.einsum("ij,ij->i", deviations, deviations))
            errors = self.logit_errors(norms, weights)
            # p(1 − p) is largest for the largest p, and 1 − p is known to γ_{K+8} only.
            with np.errstate(over="ignore"):
                jacobian = 2.0 * (top * (1.0 - top) + of_softmax) * np.exp(2.0 * errors)
                moved = np.minimum(np.sqrt(2.0), np.minimum(0.5, jacobian) * errors)
            rounding = self.sum_rounding * residuals + of_softmax * (np.sqrt(k) * top + 2.0) + moved
            parts = losses, squares, norms * rounding
            sums += [self.weighted(rows, part).sum() for part in parts]
            moment += block.T @ self.weighted(rows, deviations)
        loss, square, lost = self.added(sums).tolist()
        lost = (1.0 + gamma(n + k + 48)) * lost / n
        lost = lost + gamma(4) * self.weight_decay * norm_bound(weights) + self.underflow
        return Evaluation(
            loss / n + 0.5 * self.weight_decay * float(np.vdot(weights, weights)),
            self.added(moment) / n + self.weight_decay * weights,
            (1.0 - 1.0 / k - square / n) / (k - 1),
            lost if np.isfinite(lost) else float("inf"),
        )

    def gradient_rounding(self, weights: np.ndarray, logits: np.ndarray | None = None) -> float:
        """Bound ‖computed ∇L(W) − ∇L(W)‖_F by the standard model of rounding.

        With R = P − T the parts are, summed over rows i and each times ω_i:

        * the inner products of XᵀΩR, length N, with R and T − 1/K rounded:  γ_{N+4} ‖x_i‖ ‖R_i‖,
          and for weights, their rounding and that of their products, γ_8 ‖x_i‖ ‖R_i‖;
        * logits, off by ‖δv_i‖ ≤ δ_i = γ_d ‖x_i‖ ‖W‖_F and underflow, through the softmax:
          ‖x_i‖ min(√2, J_i δ_i), where J_i = min(½, 2 max_k p_k(1 − p_k) e^{2δ_i}) is the largest
          norm of the softmax's Jacobian within δ_i of the computed logits (docs/objective.md);
        * the softmax itself, errors of γ_K over the partition function 1/p_max in each class, and
          of T − 1/K what is not small beside R, γ_2:  ‖x_i‖ γ_{K+8} (√K p_max + 2);

        divided by N; γ_4 λ ‖W‖_F for the regularizer and the final sum; and underflow.
        """
        return self.evaluate(weights, logits).gradient_rounding

    def mean_entropy(self, weights: np.ndarray) -> tuple[float, float]:
        """(1/N) Σ ω_i H(p_i) of P = softmax(XW) in nats, and a bound on its rounding.

        Logits off by δ_i in norm change H(p_i) by at most 2 δ_i ln K: ∂H/∂v_k = −p_k (ln p_k + H),
        and these add up to at most 2H in size. From the computed logits less the largest, s ≤ 0,
        H = ln Σeˢ − Σ s eˢ/Σeˢ is computed to 2K γ_{K+24} (1 + ln K): the sums have K terms of at
        most 1 and 1/e, s is off by u|s| where eˢs² < 1, and neither part is above ln K.
        """
        sums, k = np.zeros(2), self.n_classes
        for rows, block in self.blocks():
            logits = block @ weights
            logits -= logits.max(axis=1, keepdims=True)
            terms = np.exp(logits)
            partition = terms.sum(axis=1)
            terms *= logits
            entropies = np.log(partition) - terms.sum(axis=1) / partition
            errors = self.logit_errors(self.row_norms[rows], weights)
            sums += [self.weighted(rows, part).sum() for part in (entropies, errors)]
        total, moved = (self.added(sums) / self.n_samples).tolist()
        most = float(np.log(k))
        lost = 2.0 * gamma(k + 24) * k * (1.0 + most) + gamma(self.n_samples + 24) * most
        return total, lost + (2.0 + gamma(self.n_samples + 24)) * most * moved

    def hessian_product(self, probabilities: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """∇²L(W) applied to D (d, K), given P = softmax(XW) (N, K)."""
        return self._curved(lambda rows, block: probabilities[rows], direction)

    def certificate(self, weights: np.ndarray) -> Certificate:
        """Certify W: gradient, rounding and Newton decrement in float64 from the weights alone.

        The Newton decrement is computed when it is first read. Logits off by δ change the Hessian
        by factors of e^{±2δ} at most, and the norm ‖·‖_{H⁻¹} by e^δ.

        Raises
        ------
        InvalidFeatures, InvalidSetting
            If W (d, K) has another shape, or an entry that is not finite.
        """
        shape = self.features.n_features, self.n_classes
        weights = validation.check_weights(weights, shape)
        _, gradient, curvature, rounding = self.evaluate(weights)

        decrement = partial(self._decrement, weights, gradient, curvature, rounding)
        size = frobenius_norm(gradient)
        return Certificate(
            gradient_norm=size,
            gradient_rounding=rounding + 2.0 * gamma(gradient.size + 8) * size,
            start_gradient_norm=self.start_norm,
            decrement=decrement,
            weight_decay=self.weight_decay,
            max_row_norm=self.counted_row_norm,
            logit_rounding=2.0 * gamma(self.features.n_features) * norm_bound(weights),
        )

    def _decrement(
        self, weights: np.ndarray, gradient: np.ndarray, curvature: float, rounding: float
    ) -> float:
        """Bound on ‖g‖_{H⁻¹} at W, of the true gradient and Hessian."""
        moved = float(self.logit_errors(self.counted_row_norm, weights))
        if not moved < 1.0:  # no Hessian is known, and no local bound
            return float("inf")
        bound = self.newton_decrement(gradient, self._hessian(weights), curvature)
        return float(np.exp(moved)) * bound + rounding / float(np.sqrt(self.weight_decay))

    def added(self, sums: np.ndarray) -> np.ndarray:
        """Sums over the rows of all processes, from those over the rows at hand, here all."""
        return sums

    def _transpose(self, values: Callable[[slice], np.ndarray]) -> np.ndarray:
        """XᵀΩB/N (d, k) for B (N, k), read by slices of rows."""
        out = np.zeros((self.features.n_features, self.n_classes))
        for rows, block in self.blocks():
            part = values(rows)
            out += block.T @ self.weighted(rows, part)
            release(part)
        return self.added(out) / self.n_samples

    @property
    def sum_rounding(self) -> float:
        """γ_{N+4} of a sum over rows; weights are within 6 units, and multiplied once: γ_8."""
        return gamma(self.n_samples + 4) + (0.0 if self.row_weights is None else gamma(8))

    @property
    def underflow(self) -> float:
        """What underflow adds, in norm, to XᵀΩ(J(XW) or (P − T))/N + λW: a product in each of d K
        entries and N sums; and, which enter with ‖x_i‖, d products in each logit, a row weight,
        and its product with each class.
        """
        d, k = self.features.n_features, self.n_classes
        return UNDERFLOW * d * float(np.sqrt(k)) * (4.0 + 3.0 * self.max_row_norm)

    def logit_errors(self, norms: np.ndarray | float, weights: np.ndarray) -> np.ndarray:
        """δ: how far, in Euclidean norm, computed logits of rows with these norms may be off."""
        d, k = self.features.n_features, self.n_classes
        with np.errstate(over="ignore"):
            return gamma(d) * norms * norm_bound(weights) + UNDERFLOW * d * np.sqrt(k)

    def _curved(
        self, predictions: Callable[[slice, np.ndarray], np.ndarray], direction: np.ndarray
    ) -> np.ndarray:
        """∇²L applied to D (d, K), where ``predictions`` of rows with these x are P (n, K)."""
        out = np.zeros_like(direction)
        for rows, block in self.blocks():
            probabilities, change = predictions(rows, block), block @ direction
            change -= np.einsum("ij,ij->i", probabilities, change)[:, None]
            change *= probabilities
            out += block.T @ self.weighted(rows, change)
        return self.added(out) / self.n_samples + self.weight_decay * direction

    def _hessian(self, weights: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Products with ∇²L(W); P is kept where targets of its size are, else computed again."""
        if not self.features.is_mapped and isinstance(self.target_deviations, np.ndarray):
            probabilities = softmax(self.logits(weights))
            return lambda direction: self.hessian_product(probabilities, direction)
        return lambda direction: self._curved(
            lambda rows, block: softmax(block @ weights), direction
        )

    def newton_decrement(
        self,
        gradient: np.ndarray,
        product: Callable[[np.ndarray], np.ndarray],
        curvature: float,
    ) -> float:
        """Bound on ‖g‖_{H⁻¹} for products with H, by ``gramlab.heads.newton_decrement``."""
        return newton_decrement.bound(self, gradient, product, curvature)
