"""Weights of a head as weights on the training rows, which is all that a kernel machine keeps."""

from __future__ import annotations

import numpy as np

from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.spectrum.gram import Spectrum
from gramlab.validation import check_weights

__all__ = ["representer_weights"]


def representer_weights(features: Features, weights: np.ndarray) -> np.ndarray:
    """A (N, K) with W = XᵀA, for weights W (d, K) in the span of the rows, as of a fit.

    Logits x*ᵀW are then k(x*, X) A with k(x*, X) = x*ᵀXᵀ: the representer weights of a kernel
    machine. A = Z s⁻¹ VᵀW over the eigenvalues above max(N, d)·ε·s_1 is the least of all that do.
    At the optimum of an exact head Ω(T − P)/(Nλ) is one too, the same one if rows are independent.

    Raises
    ------
    InvalidFeatures, NotEnoughMemory
        As ``Spectrum.of``; InvalidFeatures also if weights are not finite.
    InvalidSetting
        If weights have another shape, or a part outside the span that is no rounding.
    """
    w = check_weights(weights, (features.n_features, np.shape(weights)[-1]))
    spectrum = Spectrum.of(features)
    s, eps = spectrum.eigenvalues, float(np.finfo(np.float64).eps)
    known = s > max(features.x.shape) * eps * s[0]
    z, basis = spectrum.coordinates[:, known], spectrum.basis[:, known]
    a = z @ ((basis.T @ w) / s[known, None])
    missed = float(np.linalg.norm(basis @ (z.T @ a) - w))
    if missed > max(features.x.shape) * eps * float(np.sqrt(s[0]) * np.linalg.norm(a)):
        raise InvalidSetting(
            f"weights must lie in the span of the rows, got a part of norm {missed:.3g} outside "
            "it: pass the weights of a fit on these features"
        )
    return a
