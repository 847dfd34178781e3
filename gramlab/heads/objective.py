"""The softmax objective: conventions written once, and the certificates computed from W alone.

    L(W; T) = (1/N) Σ_i CE(T_i, softmax(Wᵀx_i)) + (λ/2) ‖W‖_F²           no intercept

    x (N, d) features, T (N, K) targets with rows on the simplex, W (d, K) weights, λ weight decay;
    P = softmax(XW);  ∇L = (1/N) Xᵀ(P − T) + λW;  stationarity W = (1/(Nλ)) Xᵀ(T − P);
    rows of T − P sum to 0, so the optimum has zero-sum logits;  μ = K N λ in the linearized theory.

SGD weight decay λ with a mean cross-entropy is this objective (paper and the authors' code);
scikit-learn's is C = 1/(N λ) with ``fit_intercept=False``. An unpenalized intercept would void the
certificates, so there is none.

Everything here is NumPy in float64 and independent of the solver: it is the referee.

Where the features are mapped from a file, or the targets are made row by row, the same quantities
are summed block by block and nothing of size (N, d) or (N, K) is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from gramlab import validation
from gramlab.certificate import Certificate
from gramlab.features import Features
from gramlab.mapped import release
from gramlab.rounding import UNDERFLOW, frobenius_norm, gamma, norm_bound, row_norm_bounds
from gramlab.spectrum import Spectrum

__all__ = [
    "Evaluation",
    "RowTargets",
    "SoftmaxObjective",
    "closed_form_error",
    "mean_curvature",
    "ridge_gradient",
    "softmax",
    "softmax_deviations",
    "softmax_remainder",
]

_CERTIFICATE_PRODUCTS = 40  # Hessian products spent at most on the Newton decrement
_DECREMENT_TIGHTNESS = 1.1  # stop earlier once ν is known within this factor
_STREAM_BYTES = 8_000_000  # of a block's features, and of its logits
_LEAST_EXPONENT = 746  # e^{−s} is 0 in float64 from there on: s is known to s u, so e^{−s} to 746 u


class RowTargets(Protocol):
    """Target deviations T − 1/K (N, K) read by slices of rows; an array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, K)."""
        ...

    def __getitem__(self, rows: Any, /) -> Any:
        """Deviations (n, K) of a slice of rows."""
        ...


class Evaluation(NamedTuple):
    """What one pass over the features tells about weights W.

    Attributes
    ----------
    value
        L(W; T) − log K, which is 0 at W = 0: near there it keeps digits that L itself loses.
    gradient : (d, K)
        ∇L(W).
    curvature
        Mean eigenvalue of diag(p) − ppᵀ on zero-sum vectors, as ``mean_curvature``.
    """

    value: float
    gradient: np.ndarray
    curvature: float


def softmax_deviations(logits: np.ndarray) -> np.ndarray:
    """softmax(v) − 1/K by rows of ``logits`` (n, K), accurate however small the logits are."""
    shifted = np.expm1(logits - logits.max(axis=1, keepdims=True))
    partition = (shifted + 1.0).sum(axis=1, keepdims=True)
    shifted -= shifted.mean(axis=1, keepdims=True)
    shifted /= partition
    return shifted


def _losses(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CE(T, softmax(v)) − log K (n,) and softmax(v) − 1/K (n, K), for T − 1/K (n, K)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    # log(Σ eˢ/K) − s̄ − Σ (T − 1/K) s: every part is small where the logits are.
    losses = -shifted.mean(axis=1)
    losses -= np.einsum("ij,ij->i", targets, shifted)
    np.expm1(shifted, out=shifted)
    losses += np.log1p(shifted.mean(axis=1))
    partition = (shifted + 1.0).sum(axis=1, keepdims=True)
    shifted -= shifted.mean(axis=1, keepdims=True)
    shifted /= partition
    return losses, shifted


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


@dataclass(frozen=True, eq=False)
class SoftmaxObjective:
    """L(·; T) on one feature matrix, with the quantities its certificates need.

    Attributes
    ----------
    features
        Training rows x (N, d).
    target_deviations : (N, K)
        T − 1/K. Deviations, because after many rounds the signal drowns next to 1/K. An array, or
        rows made when they are asked for (``gramlab.targets.OneHotRows``).
    weight_decay
        λ > 0.
    """

    features: Features
    target_deviations: np.ndarray | RowTargets
    weight_decay: float

    exponential_units: ClassVar[int] = 8  # of roundoff, granted to exp and expm1

    @property
    def streams(self) -> bool:
        """Whether to hold nothing of size (N, d) or (N, K): the features or targets are not."""
        return self.features.is_mapped or not isinstance(self.target_deviations, np.ndarray)

    @property
    def n_samples(self) -> int:
        """N."""
        return self.features.n_samples

    @property
    def n_classes(self) -> int:
        """K."""
        return self.target_deviations.shape[1]

    @property
    def spectrum(self) -> Spectrum:
        """A basis of the rows' span and curvatures along it: preconditions, affects speed only."""
        return Spectrum.of(self.features)

    @cached_property
    def targets(self) -> np.ndarray:
        """T (N, K), in memory."""
        return self.target_deviations[:] + 1.0 / self.n_classes

    @cached_property
    def max_row_norm(self) -> float:
        """max_i ‖x_i‖, rounded up."""
        return float(self.row_norms.max())

    @cached_property
    def mean_square_norm(self) -> float:
        """Σ_i ‖x_i‖²/N, rounded up."""
        return float(np.square(self.row_norms).mean()) * (1.0 + gamma(self.n_samples + 2))

    def logits(self, weights: np.ndarray) -> np.ndarray:
        """XW (N, K)."""
        out = np.empty((self.n_samples, weights.shape[1]))
        for rows, block in self.features.blocks():
            np.matmul(block, weights, out=out[rows])
        return out

    def value(self, weights: np.ndarray) -> float:
        """L(W; T)."""
        if self.streams:
            return self.evaluate(weights).value + float(np.log(self.n_classes))
        v = self.logits(weights)
        top = v.max(axis=1)
        log_partition = top + np.log(np.exp(v - top[:, None]).sum(axis=1))
        fit = (log_partition - np.einsum("ij,ij->i", self.targets, v)).mean()
        return float(fit + 0.5 * self.weight_decay * np.vdot(weights, weights))

    def dual(self, probabilities: np.ndarray) -> float:
        """dual(Q) = (1/N) Σ H(q_i) − (λ/2) ‖Xᵀ(T − Q)/(Nλ)‖²; at most L(W) for every W and Q."""
        q = probabilities
        logs = np.log(np.where(q > 0.0, q, 1.0))  # 0 log 0 = 0
        entropy = -np.einsum("ij,ij->", q, logs) / self.n_samples
        moment = self._transpose(self.targets - q)
        return float(entropy - 0.5 * np.vdot(moment, moment) / self.weight_decay)

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """∇L(W) (d, K)."""
        if self.streams:
            return self.evaluate(weights).gradient
        residual = softmax_deviations(self.logits(weights)) - self.target_deviations
        return self._transpose(residual) + self.weight_decay * weights

    def evaluate(self, weights: np.ndarray) -> Evaluation:
        """Value, gradient and mean curvature at W (d, K) in one pass, block by block."""
        n, k = self.n_samples, self.n_classes
        fit, squares = 0.0, 0.0
        gradient = np.zeros((self.features.n_features, k))
        for _, block, targets in self._row_blocks():
            losses, deviations = _losses(block @ weights, targets)
            fit += float(losses.sum())
            squares += float(np.vdot(deviations, deviations))
            deviations -= targets
            gradient += block.T @ deviations
        gradient /= n
        gradient += self.weight_decay * weights
        value = fit / n + 0.5 * self.weight_decay * float(np.vdot(weights, weights))
        return Evaluation(value, gradient, (1.0 - 1.0 / k - squares / n) / (k - 1))

    def hessian_product(self, probabilities: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """∇²L(W) applied to D (d, K), given P = softmax(XW)."""
        change = self.logits(direction)
        change -= np.einsum("ij,ij->i", probabilities, change)[:, None]
        change *= probabilities
        return self._transpose(change) + self.weight_decay * direction

    def gradient_rounding(self, weights: np.ndarray, logits: np.ndarray | None = None) -> float:
        """Bound ‖computed ∇L(W) − ∇L(W)‖_F by the standard model of rounding.

        With R = P − T the parts are, summed over rows i:

        * the inner products of XᵀR, length N, with R and T − 1/K rounded:  γ_{N+4} ‖x_i‖ ‖R_i‖;
        * logits, off by ‖δv_i‖ ≤ δ_i = γ_d ‖x_i‖ ‖W‖_F and underflow, through the softmax:
          ‖x_i‖ min(√2, J_i δ_i), where J_i = min(½, 2 max_k p_k(1 − p_k) e^{2δ_i}) is the largest
          norm of the softmax's Jacobian within δ_i of the computed logits (docs/objective.md);
        * the softmax itself, errors of γ_K over the partition function 1/p_max in each class, and
          of T − 1/K what is not small beside R, γ_2:  ‖x_i‖ γ_{K+8} (√K p_max + 2);

        divided by N; γ_4 λ ‖W‖_F for the regularizer and the final sum; and underflow.

        Without ``logits`` (N, K) they are computed from ``weights`` block by block.
        """
        if logits is None:
            total = 0.0
            for rows, block, targets in self._row_blocks():
                norms, found = self.row_norms[rows], softmax(block @ weights)
                soft = targets + 1.0 / self.n_classes
                total += float(self._rounding_rows(norms, found, soft, weights).sum())
        else:
            found = softmax(logits)
            total = float(self._rounding_rows(self.row_norms, found, self.targets, weights).sum())
        return self._rounding_of(total, weights)

    def _rounding_of(self, total: float, weights: np.ndarray) -> float:
        """``gradient_rounding`` from the sum over rows of what they add."""
        rows = (1.0 + gamma(self.n_samples + 32)) * total / self.n_samples
        bound = rows + gamma(4) * self.weight_decay * norm_bound(weights) + self._underflow
        return bound if np.isfinite(bound) else float("inf")

    @property
    def _underflow(self) -> float:
        """What underflow adds, in norm, to Xᵀ(J(XW) or (P − T))/N + λW: a product in each of d K
        entries and N sums, and d products in each logit, which enters with ‖x_i‖.
        """
        d, k = self.features.n_features, self.n_classes
        return UNDERFLOW * d * float(np.sqrt(k)) * (4.0 + self.max_row_norm)

    def _logit_errors(self, norms: np.ndarray | float, weights: np.ndarray) -> np.ndarray:
        """δ: how far, in Euclidean norm, computed logits of rows with these norms may be off."""
        d, k = self.features.n_features, self.n_classes
        return gamma(d) * norms * norm_bound(weights) + UNDERFLOW * d * np.sqrt(k)

    def _rounding_rows(
        self,
        norms: np.ndarray,
        probabilities: np.ndarray,
        targets: np.ndarray,
        weights: np.ndarray,
    ) -> np.ndarray:
        """What single rows add in ``gradient_rounding`` (n,); norms (n,), P and T (n, K)."""
        k, units = self.n_classes, gamma(self.n_classes + self.exponential_units)
        residual_norms = np.linalg.norm(probabilities - targets, axis=1)
        evaluation = units * (np.sqrt(k) * probabilities.max(axis=1) + 2.0)
        # 1 − p is known to γ_{K+8} only.
        largest = (probabilities * (1.0 - probabilities)).max(axis=1) + units
        with np.errstate(over="ignore"):
            errors = self._logit_errors(norms, weights)
            jacobian = np.minimum(0.5, 2.0 * largest * np.exp(2.0 * errors))
            moved = np.minimum(np.sqrt(2.0), jacobian * errors)
        return norms * (gamma(self.n_samples + 4) * residual_norms + evaluation + moved)

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
        if self.streams:
            gradient = self.evaluate(weights).gradient
            start = frobenius_norm(self._start_gradient())
            rounding = self.gradient_rounding(weights)
        else:
            logits = self.logits(weights)
            gradient = self._transpose(softmax_deviations(logits) - self.target_deviations[:])
            gradient += self.weight_decay * weights
            start = self.start_norm
            rounding = self.gradient_rounding(weights, logits)

        def decrement() -> float:
            moved = float(self._logit_errors(self.max_row_norm, weights))
            if not moved < 1.0:  # no Hessian is known, and no local bound
                return float("inf")
            bound = self._newton_decrement(gradient, *self._hessian(weights))
            return float(np.exp(moved)) * bound + rounding / float(np.sqrt(self.weight_decay))

        size = frobenius_norm(gradient)
        return Certificate(
            gradient_norm=size,
            gradient_rounding=rounding + 2.0 * gamma(gradient.size + 8) * size,
            start_gradient_norm=start,
            decrement=decrement,
            weight_decay=self.weight_decay,
            max_row_norm=self.max_row_norm,
            logit_rounding=2.0 * gamma(self.features.n_features) * norm_bound(weights),
        )

    def _hessian(self, weights: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
        """Products with ∇²L(W), and the mean curvature of the predictions."""
        if self.streams:

            def streamed(direction: np.ndarray) -> np.ndarray:
                return self._streamed_hessian_product(weights, direction)

            return streamed, self.evaluate(weights).curvature
        probabilities = softmax(self.logits(weights))

        def product(direction: np.ndarray) -> np.ndarray:
            return self.hessian_product(probabilities, direction)

        return product, mean_curvature(probabilities)

    def _newton_decrement(
        self,
        gradient: np.ndarray,
        product: Callable[[np.ndarray], np.ndarray],
        curvature: float,
    ) -> float:
        """Bound ‖g‖_{H⁻¹}, H at the computed logits; ``curvature`` affects speed only.

        Conjugate gradients make a direction D; for any D and its residual ρ = g − HD
        ν² = gᵀD + ρᵀD + ‖ρ‖²_{H⁻¹} ≤ gᵀD + ρᵀD + ‖ρ‖²/λ, evaluated with one more product.
        """
        lam = self.weight_decay
        useful = np.sqrt(lam) / (np.sqrt(2.0) * self.max_row_norm) if self.max_row_norm else np.inf
        precondition = self._preconditioner(curvature)
        direction = np.zeros_like(gradient)
        residual = gradient.copy()
        scaled = precondition(residual)
        search = scaled
        rho = float(np.vdot(residual, scaled))
        at_zero = best = norm_bound(gradient) / float(np.sqrt(lam))  # D = 0
        kept = None
        for _ in range(_CERTIFICATE_PRODUCTS):
            curved = product(search)
            along = float(np.vdot(search, curved))
            if not along > 0.0 or rho == 0.0:
                break
            step = rho / along
            direction += step * search
            residual -= step * curved
            lower = float(np.vdot(gradient, direction) + np.vdot(residual, direction))
            upper = np.sqrt(max(lower, 0.0) + float(np.vdot(residual, residual)) / lam)
            if upper < best:
                best, kept = float(upper), direction.copy()
            # ``lower`` ≤ ν² grows with every product: past ``useful`` no local bound exists.
            if lower >= useful**2:
                return float("inf")
            if best <= _DECREMENT_TIGHTNESS * np.sqrt(max(lower, 0.0)):
                break
            scaled = precondition(residual)
            previous, rho = rho, float(np.vdot(residual, scaled))
            search = scaled + (rho / previous) * search
        if kept is None:
            return at_zero
        return min(at_zero, self._decrement_along(gradient, kept, product(kept)))

    def _decrement_along(
        self, gradient: np.ndarray, direction: np.ndarray, curved: np.ndarray
    ) -> float:
        """Bound ν by the direction D and the computed HD, whose rounding counts as residual.

        Of HD = Xᵀ C/N + λD with rows C_i = J_i Dᵀx_i, ‖J_i‖ ≤ ½, the sum over rows costs γ_{N+4},
        Dᵀx_i γ_d; and p_k, known to γ_{K+8+746} of itself, J_i four times that (docs/objective.md).
        """
        n, d, k = self.n_samples, self.features.n_features, self.n_classes
        units = gamma(k + self.exponential_units + _LEAST_EXPONENT)
        size = norm_bound(direction)
        of_rows = self.mean_square_norm * (gamma(n + 4) + gamma(d) + 4.0 * units)
        error = (of_rows + gamma(4) * self.weight_decay) * size + self._underflow
        residual = gradient - curved
        rest = norm_bound(residual)
        square = float(np.vdot(gradient, direction) + np.vdot(residual, direction))
        square += gamma(d * k + 4) * (norm_bound(gradient) + rest) * size + d * k * UNDERFLOW
        square += error * size
        rest = (rest + error) / float(np.sqrt(self.weight_decay))
        return (1.0 + gamma(16)) * float(np.sqrt(max(square, 0.0) + rest * rest))

    def _preconditioner(self, curvature: float) -> Callable[[np.ndarray], np.ndarray]:
        """(a XᵀX/N + λ)⁻¹ with a the mean curvature of the softmax; it affects speed only."""
        basis = self.spectrum.basis
        scale = curvature * self.spectrum.eigenvalues / self.n_samples + self.weight_decay
        correction = (1.0 / scale - 1.0 / self.weight_decay)[:, None]

        def apply(residual: np.ndarray) -> np.ndarray:
            return residual / self.weight_decay + basis @ (correction * (basis.T @ residual))

        return apply

    def _row_blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Rows, x (n, d) and T − 1/K (n, K), few enough for both and the logits to be small."""
        step = max(1, _STREAM_BYTES // (8 * max(self.features.n_features, self.n_classes)))
        for rows, block in self.features.blocks(step):
            targets = self.target_deviations[rows]
            yield rows, block, targets
            if isinstance(targets, np.ndarray):
                release(targets)

    def _start_gradient(self) -> np.ndarray:
        """∇L(0) (d, K), block by block."""
        out = np.zeros((self.features.n_features, self.n_classes))
        for _, block, targets in self._row_blocks():
            out -= block.T @ targets
        return out / self.n_samples

    def _streamed_hessian_product(self, weights: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """∇²L(W) applied to D (d, K), with P computed from W again."""
        out = np.zeros_like(direction)
        for _, block, _ in self._row_blocks():
            probabilities = softmax(block @ weights)
            change = block @ direction
            change -= np.einsum("ij,ij->i", probabilities, change)[:, None]
            change *= probabilities
            out += block.T @ change
        return out / self.n_samples + self.weight_decay * direction

    @cached_property
    def start_norm(self) -> float:
        """‖∇L(0)‖_F."""
        return frobenius_norm(self._transpose(-self.target_deviations[:]))

    @cached_property
    def row_norms(self) -> np.ndarray:
        """‖x_i‖ (N,), rounded up; 0 for zero rows alone."""
        norms = np.empty(self.n_samples)
        for rows, block in self.features.blocks():
            norms[rows] = row_norm_bounds(block)
        return norms

    def _transpose(self, values: np.ndarray) -> np.ndarray:
        """Xᵀ B/N (d, k) for B (N, k)."""
        out = np.zeros((self.features.n_features, values.shape[1]))
        for rows, block in self.features.blocks():
            out += block.T @ values[rows]
        return out / self.n_samples


def ridge_gradient(
    features: Features, deviations: np.ndarray, weight_decay: float, weights: np.ndarray
) -> tuple[np.ndarray, float]:
    """Xᵀ(XW − D)/N + λW (d, K), the gradient of the squared-loss objective, and its rounding.

    With R = XW − D the rounding is at most, entry by entry,
    |X|ᵀ(γ_{d+2}(|X||W| + |D|) + γ_{N+4}|R|)/N + γ_4 λ|W| and what underflows; the second number
    returned is the Frobenius norm of that. Columns of very different lengths keep their own scales.
    """
    n, d = features.n_samples, features.n_features
    out, rounding = np.zeros_like(weights), np.zeros_like(weights)
    for rows, block in features.blocks():
        given, sizes = deviations[rows], np.abs(block)
        residual = block @ weights - given
        out += block.T @ residual
        errors = gamma(d + 2) * (sizes @ np.abs(weights) + np.abs(given))
        errors += gamma(n + 4) * np.abs(residual) + d * UNDERFLOW
        rounding += sizes.T @ errors
    out = out / n + weight_decay * weights
    rounding = (1.0 + gamma(n + d + 16)) * rounding / n + 4.0 * UNDERFLOW
    rounding += gamma(4) * weight_decay * np.abs(weights)
    return out, norm_bound(rounding)


def closed_form_error(
    spectrum: Spectrum,
    deviations: np.ndarray,
    weight_decay: float,
    weights: np.ndarray,
    found: np.ndarray,
) -> float:
    """Bound ‖F − h(G) D‖_F, h(s) = s/(s + Nλ), for any F (N, K) and weights W near those of F.

    The linearized head is this with Kλ for λ and W/K for W. For every W, with the gradient g of
    ``ridge_gradient``, XW − h(G)D = X(XᵀX + Nλ)⁻¹ N g, and Nσ/(σ² + Nλ) ≤ ½√(N/λ), so

        ‖F − h(G)D‖ ≤ ‖F − XW‖ + ½√(N/λ) ‖g‖,

    used at W after a Newton step by ``spectrum``, which decides how tight this is and no more.
    """
    features = spectrum.features
    n, d = features.n_samples, features.n_features
    step = spectrum.basis.T @ ridge_gradient(features, deviations, weight_decay, weights)[0]
    step /= (spectrum.eigenvalues / n + weight_decay)[:, None]
    weights = weights - spectrum.basis @ step
    gradient, rounding = ridge_gradient(features, deviations, weight_decay, weights)
    apart = np.empty_like(found)
    for rows, block in features.blocks():
        sizes = np.abs(block) @ np.abs(weights) + np.abs(found[rows])
        apart[rows] = np.abs(found[rows] - block @ weights)
        apart[rows] += gamma(d + 2) * sizes + d * UNDERFLOW
    slope = 0.5 * float(np.sqrt(n / weight_decay))
    bound = slope * (norm_bound(gradient) + rounding) + norm_bound(apart)
    # ‖h(G)D‖ ≤ ‖D‖
    return min((1.0 + gamma(d + 16)) * bound, norm_bound(found) + norm_bound(deviations))


def mean_curvature(probabilities: np.ndarray) -> float:
    """Mean eigenvalue of diag(p) − ppᵀ on zero-sum vectors, averaged over rows; 1/K at p = 1/K."""
    n, k = probabilities.shape
    return float((n - np.vdot(probabilities, probabilities)) / (n * (k - 1)))
