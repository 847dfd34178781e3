"""The ridge head: squared loss on the label deviations, another filter on the same spectrum.

    (1/2N) ‖D − XW‖_F² + (λ/2) ‖W‖_F²   ⇒   XW = h(G) D,  h(s) = s/(s + Nλ)      (no K)

It is its own exact head: what the linearized softmax only approximates holds here to rounding, so
results on self-distillation of ridge regression (arXiv 2002.05715, 2102.13088, 2301.13304) can be
reproduced through the same recursion.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gramlab import validation
from gramlab.certificate import Certificate
from gramlab.features import Features
from gramlab.filters import filter_over_eigenvalue
from gramlab.heads.fit import (
    ClosedFormFit,
    SolveStats,
    Targets,
    as_features,
    stored_rounding,
    target_deviations,
)
from gramlab.heads.objective import closed_form_error, ridge_gradient
from gramlab.rounding import frobenius_norm, gamma, norm_bound, row_norm_bounds
from gramlab.spectrum import Spectrum

__all__ = ["RidgeHead"]


def _shifted(logits: np.ndarray) -> np.ndarray:
    """1/K + v: regression predictions of the deviations."""
    return logits + 1.0 / logits.shape[1]


class RidgeHead:
    """Closed-form ridge regression of T − 1/K on the features.

    Parameters
    ----------
    weight_decay
        λ > 0 of the objective above; scikit-learn's ``Ridge(alpha=N λ, fit_intercept=False)``.
    """

    def __init__(self, weight_decay: float) -> None:
        self.weight_decay = validation.check_weight_decay(weight_decay)

    def __repr__(self) -> str:
        """Constructor call."""
        return f"RidgeHead(weight_decay={self.weight_decay!r})"

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | np.ndarray,
        start: np.ndarray | None = None,
    ) -> ClosedFormFit:
        """Fit to targets T (N, K) whose rows sum to 1; ``start`` is not needed.

        Raises
        ------
        InvalidTargets
            If a row does not sum to 1, or the shapes do not match.
        """
        features = as_features(features, targets)
        deviations = target_deviations(targets, features.n_samples, signed=True)
        mu = features.n_samples * self.weight_decay
        spectrum = Spectrum.of(features, mu)
        z = spectrum.coordinates
        scale = filter_over_eigenvalue(spectrum.eigenvalues, mu)
        coefficients = scale[:, None] * (z.T @ deviations)
        weights, found = spectrum.basis @ coefficients, z @ coefficients

        def bound_error() -> float:
            error = closed_form_error(spectrum, deviations, self.weight_decay, weights, found)
            return stored_rounding(targets, deviations) + error

        return ClosedFormFit(
            weights=weights,
            deviations=found,
            probabilities=found + 1.0 / deviations.shape[1],
            link=_shifted,
            weight_decay=self.weight_decay,
            stats=SolveStats(method="closed form", passes=1.0),
            certify=partial(_certificate, features, deviations, self.weight_decay),
            training_logits=lambda: found,
            linear=True,
            bound_error=bound_error,
        )


def _certificate(
    features: Features, deviations: np.ndarray, weight_decay: float, weights: np.ndarray
) -> Certificate:
    """Bounds from the gradient of the ridge objective; strongly convex with the same modulus."""
    gradient, rounding = ridge_gradient(features, deviations, weight_decay, weights)
    start, _ = ridge_gradient(features, deviations, weight_decay, np.zeros_like(weights))
    size = frobenius_norm(gradient)
    return Certificate(
        gradient_norm=size,
        gradient_rounding=rounding + 2.0 * gamma(gradient.size + 8) * size,
        start_gradient_norm=frobenius_norm(start),
        decrement=float("inf"),
        weight_decay=weight_decay,
        max_row_norm=max(float(row_norm_bounds(block).max()) for _, block in features.blocks()),
        logit_rounding=2.0 * gamma(features.n_features) * norm_bound(weights),
    )
