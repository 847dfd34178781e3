"""How far real features are from a block model, and what that distance promises for predictions.

The nearest block Gram B (least squares over the entries of G = XXᵀ) has the group means of inner
products as its entries: a on the diagonal, c inside a class, d inside a superclass, e elsewhere.
The perturbation bound (derived for this project)

    ‖h(G)^t − h(B)^t‖₂ ≤ min(1, κ_t ‖G − B‖₂/μ),   κ_t of ``perturbation_constant``

(theorem ``perturbation`` of the registry), then bounds how far linearized predictions can be from
the block model's; what is *seen* on given labels stands beside what is *promised*. Nothing here
forms an N×N array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from scipy.sparse.linalg import LinearOperator, eigsh

from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.numerics.text import short_repr
from gramlab.population.block_model import ClassBlockModel
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import class_products, given_labels
from gramlab.spectrum.filters import apply_filter, perturbation_constant

__all__ = ["BlockFit", "fit_block_model"]


@dataclass(frozen=True, eq=False)
class BlockFit:
    """The nearest block model of some features, with classes ``labels`` (N,).

    ``diagonal``, ``within``, ``superclass`` and ``between`` are a, c, d, e; c, d and e are 0 where
    the means are negative, so that B is a Gram matrix, and d equals e without superclasses.
    ``means`` are those of c, d and e as measured, NaN where there are no such pairs of rows.
    """

    features: Features
    labels: np.ndarray
    diagonal: float
    within: float
    superclass: float
    between: float
    means: tuple[float, float, float]

    def __repr__(self) -> str:
        return short_repr(self)

    def model(self) -> ClassBlockModel:
        """The block model with these correlations, of rows of unit norm: B/a, with n = N/K rows.

        Its filter at μ is that of B at aμ. Values that no block model has are brought to the
        nearest that one has; ``clipped`` says which. Classes are in the order of superclasses.

        Raises
        ------
        InvalidSetting
            If rows of one class are no more alike than at random (c ≤ 0), or superclasses have
            different numbers of classes.
        """
        a, groups = self.diagonal, self.features.superclasses
        if not self.within > 0.0:
            raise InvalidSetting(
                f"a block model needs a positive mean product of rows of one class, got "
                f"{self.means[0]:.3g}: these classes are no blocks"
            )
        within = min(self.within / a, math.nextafter(1.0, 0.0))
        superclass = min(self.superclass / a, math.nextafter(within, 0.0))
        n = max(1, round(self.features.n_samples / self.features.n_classes))
        shape = self.features.n_classes, n, within, superclass
        if groups is None:
            return ClassBlockModel(*shape)
        sizes = np.unique(groups, return_counts=True)[1]
        if len(set(sizes.tolist())) > 1:
            raise InvalidSetting(
                f"a block model needs superclasses of equal size, got {sizes.tolist()} classes: "
                "leave superclasses out of the features, or merge some"
            )
        return ClassBlockModel(*shape, min(self.between / a, superclass), int(sizes[0]))

    @property
    def clipped(self) -> dict[str, tuple[float, float]]:
        """What ``model()`` changes: measured and used, by parameter; correlations are over a."""
        model = self.model()
        names = ("within", "superclass", "between")[: 2 if model.superclass_size is None else 3]
        rows = self.features.n_samples / model.n_classes
        pairs = {"samples_per_class": (rows, float(model.samples_per_class))}
        for name, mean in zip(names, self.means, strict=False):
            pairs[name] = (mean / self.diagonal, getattr(model, name))
        return {
            name: pair
            for name, pair in pairs.items()
            if pair[0] != pair[1] and not math.isnan(pair[0])
        }

    @property
    def factor(self) -> np.ndarray:
        """Φ (N, K + S + 1) with B = (a − c) I + ΦΦᵀ."""
        n, k = self.features.n_samples, self.features.n_classes
        groups = self.features.superclasses
        own = np.sqrt(max(self.within - self.superclass, 0.0)) * np.eye(k)[self.labels]
        every = np.full((n, 1), np.sqrt(self.between))
        if groups is None:
            return np.hstack([own, every])
        inside = np.eye(int(groups.max()) + 1)[groups[self.labels]]
        return np.hstack([own, every, np.sqrt(self.superclass - self.between) * inside])

    @property
    def distance(self) -> float:
        """‖G − B‖₂ by Lanczos iteration to machine precision, made once.

        Lanczos converges to an extreme eigenvalue from below; ``distance_at_most`` is rigorous.
        """
        return self.features.derived(_distance, self)

    @property
    def distance_at_most(self) -> float:
        """‖G − B‖_F ≥ ‖G − B‖₂, from the three inner products of the factors."""
        z, phi = Spectrum.of(self.features).coordinates, self.factor
        shift, n = self.diagonal - self.within, self.features.n_samples
        products = ((a.T @ b, sign) for a, b, sign in ((z, z, 1), (phi, phi, 1), (z, phi, -2)))
        square = sum(sign * np.sum(product**2) for product, sign in products)
        square += n * shift**2 - 2.0 * shift * (float(np.vdot(z, z)) - float(np.vdot(phi, phi)))
        return float(np.sqrt(max(square, 0.0)))

    def apply_filter(self, values: np.ndarray, mu: float, rounds: int = 1) -> np.ndarray:
        """h(B)^t V for V (N, k), through the low-rank factor."""
        shift = self.diagonal - self.within
        u, sigma, _ = scipy.linalg.svd(self.factor, full_matrices=False)
        inside = ((shift + sigma**2) / (shift + sigma**2 + mu)) ** rounds
        outside = (shift / (shift + mu)) ** rounds
        return outside * values + u @ ((inside - outside)[:, None] * (u.T @ values))

    def promised(self, mu: float, rounds: int = 1) -> float:
        """min(1, κ_t ‖G − B‖₂/μ): bound on the change of predictions per unit of labels."""
        return min(1.0, perturbation_constant(rounds) * self.distance / mu)

    def seen(self, deviations: np.ndarray, mu: float, rounds: int = 1) -> float:
        """‖(h(G)^t − h(B)^t) D‖_F/‖D‖_F on label deviations D (N, K)."""
        linear = apply_filter(Spectrum.of(self.features), deviations, mu, rounds)
        block = self.apply_filter(deviations, mu, rounds)
        return float(np.linalg.norm(linear - block) / np.linalg.norm(deviations))


def _distance(features: Features, fit: BlockFit) -> float:
    z, phi, n = Spectrum.of(features).coordinates, fit.factor, features.n_samples
    shift = fit.diagonal - fit.within

    def apply(v: np.ndarray) -> np.ndarray:
        return z @ (z.T @ v) - phi @ (phi.T @ v) - shift * v

    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)  # pyright: ignore
    start = np.ones(n) + np.linspace(0.0, 1.0, n)  # fixed, so that equal runs are equal
    values = eigsh(operator, k=1, which="LM", v0=start, return_eigenvectors=False)
    return float(np.abs(values).max())


def fit_block_model(features: Features, labels: np.ndarray | None = None) -> BlockFit:
    """Fit the block model to ``features`` with classes ``labels`` (default: the features' own)."""
    labels = given_labels(features, labels)
    products, pairs, own = class_products(features, labels)
    same = np.eye(features.n_classes, dtype=bool)
    groups = features.superclasses
    near = same if groups is None else groups[:, None] == groups[None, :]

    def mean(where: np.ndarray) -> float:
        count = pairs[where].sum()
        return float(products[where].sum() / count) if count else math.nan

    means = mean(same), mean(~near if groups is None else near & ~same), mean(~near)
    c, d, e = np.nan_to_num(means).tolist()  # where there are no such pairs, nothing correlates
    within = max(c, 0.0)
    between = min(max(e, 0.0), within)
    superclass = between if groups is None else min(max(d, between), within)
    diagonal = float(own.sum()) / features.n_samples
    return BlockFit(features, labels, diagonal, within, superclass, between, means)
