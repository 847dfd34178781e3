"""The linearized head: the closed form, one factorization for all rounds and weight decays.

softmax(v) ≈ 1/K + (v − v̄)/K turns stationarity into a ridge problem with constant μ = K N λ
(paper; docs/objective.md):

    P − 1/K = h(G) D,   W = K V diag(1/(s + μ)) Zᵀ D,   Z = XV,   D = T − 1/K.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gramlab import validation
from gramlab.features import Features
from gramlab.filters import filter_over_eigenvalue, linear_mu
from gramlab.heads.fit import (
    ClosedFormFit,
    SolveStats,
    Targets,
    as_features,
    stored_rounding,
    target_deviations,
)
from gramlab.heads.objective import SoftmaxObjective, closed_form_error
from gramlab.spectrum import Spectrum

__all__ = ["LinearizedHead"]


def _linear_link(logits: np.ndarray) -> np.ndarray:
    """1/K + (v − v̄)/K, the softmax to first order."""
    return (1.0 + logits - logits.mean(axis=1, keepdims=True)) / logits.shape[1]


class LinearizedHead:
    """Closed-form head of the linearized softmax.

    Parameters
    ----------
    weight_decay
        λ > 0 of the objective in ``gramlab.heads.objective``.
    """

    def __init__(self, weight_decay: float) -> None:
        self.weight_decay = validation.check_weight_decay(weight_decay)

    def __repr__(self) -> str:
        """Constructor call."""
        return f"LinearizedHead(weight_decay={self.weight_decay!r})"

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | np.ndarray,
        start: np.ndarray | None = None,
    ) -> ClosedFormFit:
        """Fit one round to targets T (N, K) whose rows sum to 1.

        ``start`` is accepted for symmetry with the exact head and not needed. The targets may
        leave [0, 1] by rows that still sum to 1, as linearized predictions do.

        Raises
        ------
        InvalidTargets
            If a row does not sum to 1, or the shapes do not match.
        """
        return self.rounds_at_once(features, targets, 1)

    def rounds_at_once(
        self, features: Features | np.ndarray, targets: Targets | np.ndarray, rounds: int
    ) -> ClosedFormFit:
        """Closed form of round t directly: P − 1/K = h(G)^t D, W = K V s^{t−1}/(s+μ)^t Zᵀ D.

        Equals t rounds of ``fit`` on its own predictions (h(G)^t is the t-fold filter).
        """
        features = as_features(features, targets)
        deviations = target_deviations(targets, features.n_samples, signed=True)
        n, k = deviations.shape
        mu = linear_mu(k, n, self.weight_decay)
        spectrum = Spectrum.of(features, mu)
        z = spectrum.coordinates
        projected = z.T @ deviations

        def closed_form(t: int) -> tuple[np.ndarray, np.ndarray]:
            scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, t)
            coefficients = scale[:, None] * projected
            return spectrum.basis @ coefficients, z @ coefficients

        def bound_error() -> float:
            # h(G) shortens what earlier rounds are off by.
            total, given = stored_rounding(targets, deviations), deviations
            for t in range(1, rounds + 1):
                slopes, made = closed_form(t)
                total += closed_form_error(spectrum, given, k * self.weight_decay, slopes, made)
                given = made
            return total

        slopes, found = closed_form(rounds)
        weights = k * slopes
        # The certificate refers to the exact head on this round's own targets h(G)^{t−1} D.
        own = deviations if rounds == 1 else closed_form(rounds - 1)[1]
        objective = SoftmaxObjective(features, own, self.weight_decay)
        return ClosedFormFit(
            weights=weights,
            deviations=found,
            probabilities=found + 1.0 / k,
            link=_linear_link,
            weight_decay=self.weight_decay,
            stats=SolveStats(method="closed form", passes=1.0),
            certify=objective.certificate,
            training_logits=partial(objective.logits, weights),
            linear=True,
            loss=objective,
            bound_error=bound_error,
        )
