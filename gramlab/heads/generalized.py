"""Generalized cross entropy, and what can be said of weights that are only a local optimum.

    L_q(W; T) = (1/N) Σ_i Σ_l T_il (1 − p_il^q)/q + (λ/2) ‖W‖_F²,   P = softmax(XW), 0 < q ≤ 1

(Zhang & Sabuncu 2018; the paper's partial-label student uses q = 0.7 with ½ on each of two
labels). q → 0 is the cross entropy, q = 1 half the mean absolute error. With c_i = Σ_l T_il p_il^q,

    ∂/∂v_im = p_im c_i − T_im p_im^q,   ∇L_q = (1/N) Xᵀ(P ∘ c − T ∘ P^q) + λW,

which has no negative power of a probability. Rows of the residual sum to 0, as those of the cross
entropy do. The loss is not convex in the logits, so that a vanishing gradient proves a stationary
point and no more: there is no certificate.

Everything here is NumPy in float64 and independent of the solver: it is the referee.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features

__all__ = ["GeneralizedCrossEntropy", "check_exponent", "refuse_certificate"]

_BLOCK_BYTES = 8_000_000  # of a block's features, and of its logits


def check_exponent(q: object) -> float:
    """Check the exponent q of the generalized cross entropy: 0 < q ≤ 1.

    Raises
    ------
    InvalidSetting
        If it is not.
    """
    number = validation.check_positive("q", q)
    if number > 1.0:
        raise errors.InvalidSetting(
            f"q must be at most 1, got {number:g}: near 0 is the cross entropy, 1 the mean "
            "absolute error, 0.7 what the paper uses"
        )
    return number


def refuse_certificate(weights: np.ndarray) -> NoReturn:
    """Say why weights of a non-convex objective have no certificate.

    Raises
    ------
    NoCertificate
        Always.
    """
    raise errors.NoCertificate(
        "there is no certificate: the generalized cross entropy is not convex, so its gradient "
        "bounds no distance to a global optimum; read gradient_norm, relative_gradient_norm, "
        "objective and start instead, or fit the same targets with SoftmaxHead"
    )


@dataclass(frozen=True, eq=False)
class GeneralizedCrossEntropy:
    """L_q(·; T) on one feature matrix.

    Attributes
    ----------
    features
        Training rows x (N, d).
    targets : (N, K)
        T, rows on the simplex.
    weight_decay
        λ > 0.
    q
        Exponent in (0, 1].
    """

    features: Features
    targets: np.ndarray
    weight_decay: float
    q: float

    def value(self, weights: np.ndarray) -> float:
        """L_q(W; T)."""
        total = 0.0
        for _, _, targets, logs in self._blocks(weights):
            # (1 − p^q)/q without cancellation, down to the cross entropy's −log p at q → 0.
            total -= float(np.vdot(targets, np.expm1(self.q * logs))) / self.q
        square = float(np.vdot(weights, weights))
        return total / self.features.n_samples + 0.5 * self.weight_decay * square

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """∇L_q(W) (d, K)."""
        out = np.zeros(weights.shape)
        for _, block, targets, logs in self._blocks(weights):
            pulls = targets * np.exp(self.q * logs)
            out += block.T @ (np.exp(logs) * pulls.sum(axis=1, keepdims=True) - pulls)
        return out / self.features.n_samples + self.weight_decay * weights

    def _blocks(
        self, weights: np.ndarray
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """Rows, x (n, d), T (n, K) and log P (n, K), block by block."""
        widest = max(self.features.n_features, self.targets.shape[1])
        for rows, block in self.features.blocks(max(1, _BLOCK_BYTES // (8 * widest))):
            shifted = block @ weights
            shifted -= shifted.max(axis=1, keepdims=True)
            shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            yield rows, block, self.targets[rows], shifted
