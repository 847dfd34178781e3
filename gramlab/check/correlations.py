"""How block-like features are: class correlations, superclasses, and the distance of G to a block.

The theory's block model gives the cosine of two rows three values: c inside a class, d inside a
superclass, e otherwise (paper, Section 4). What real features have instead is measured here. Pure
computation: drawing, writing and printing are other rooms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gramlab.errors import InvalidFeatures
from gramlab.features import Features
from gramlab.population.block_fit import BlockFit, fit_block_model
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import (
    ClassCorrelations,
    class_correlations,
    class_subspace_angles,
)
from gramlab.spectrum.superclasses import (
    METHODS,
    Superclasses,
    adjusted_rand_index,
    closest_pairs,
    find_superclasses,
)

__all__ = ["Blocks", "CorrelationsResult", "measure_correlations"]


@dataclass(frozen=True)
class Blocks:
    """Correlations by one choice of superclasses, and the block model that has them.

    Attributes
    ----------
    correlations
        Mean and standard deviation of cosines inside classes, superclasses and between them.
    fit
        The nearest block model and its distance from G.
    """

    correlations: ClassCorrelations
    fit: BlockFit

    @classmethod
    def of(cls, features: Features) -> Blocks:
        """By the superclasses of ``features``; without them all classes are in one."""
        return cls(class_correlations(features), fit_block_model(features))


@dataclass(frozen=True, eq=False)
class CorrelationsResult:
    """Everything ``gramlab correlations`` found.

    Attributes
    ----------
    features
        Rows of unit norm, as measured.
    centered, method, cut
        The settings.
    plain
        Class correlations without superclasses, (K, K) by class.
    superclasses
        Those found from ``plain``.
    spectrum
        Of the Gram matrix.
    angles
        Principal angles of the class subspace to the first K eigenvectors, in radians; None where
        there are fewer directions than classes.
    found, true
        Blocks of the superclasses found, and of those that the features bring, if they bring any.
    """

    features: Features = field(repr=False)
    centered: bool
    method: str
    cut: float
    plain: ClassCorrelations = field(repr=False)
    superclasses: Superclasses
    spectrum: Spectrum = field(repr=False)
    angles: np.ndarray | None = field(repr=False)
    found: Blocks = field(repr=False)
    true: Blocks | None = field(repr=False)

    def as_dict(self, pairs: int = 10) -> dict[str, Any]:
        """The machine-readable result (``--json``), with that many of the closest pairs."""
        features, groups, spectrum = self.features, self.superclasses, self.spectrum
        names, k, true = features.class_names, features.n_classes, features.superclasses
        has_gap = k < features.n_samples
        return {
            "centered": self.centered,
            "n_samples": features.n_samples,
            "n_features": features.n_features,
            "n_classes": k,
            "class_names": list(names),
            "within_mean": self.plain.within[0],
            "within_standard_deviation": self.plain.within[1],
            "other_class_mean": self.plain.between[0],
            "other_class_standard_deviation": self.plain.between[1],
            "superclass_method": self.method,
            "superclass_cut": self.cut,
            "superclass_threshold": groups.threshold,
            "n_found_superclasses": groups.count,
            "found_superclass_of_class": groups.labels,
            "found_superclass_members": [[names[i] for i in own] for own in groups.members()],
            "n_true_superclasses": None if true is None else len(set(true.tolist())),
            "true_superclass_of_class": true,
            "adjusted_rand_index": (
                None if true is None else adjusted_rand_index(true, groups.labels)
            ),
            "closest_pairs": [
                {"first": names[i], "second": names[j], "correlation": value}
                for i, j, value in closest_pairs(self.plain.matrix, pairs)
            ],
            "principal_angles": self.angles,
            "largest_eigenvalue": spectrum.eigenvalue(1),
            "eigenvalue_k": spectrum.eigenvalue(k) if k <= features.n_samples else None,
            "gap_after_k": spectrum.gap(k) if has_gap else None,
            "gap_error_at_most": 2.0 * spectrum.certificate.eigenvalue_error if has_gap else None,
            **self._block("found", self.found),
            **self._block("true", self.true),
        }

    def _block(self, kind: str, blocks: Blocks | None) -> dict[str, Any]:
        near = between = (None, None)
        distance = at_most = relative = None
        if blocks is not None:
            near = blocks.correlations.superclass or (math.nan, math.nan)
            between = blocks.correlations.between
            distance, at_most = blocks.fit.distance, blocks.fit.distance_at_most
            relative = distance / self.spectrum.eigenvalue(1)
        return {
            f"{kind}_superclass_mean": near[0],
            f"{kind}_superclass_standard_deviation": near[1],
            f"{kind}_between_mean": between[0],
            f"{kind}_between_standard_deviation": between[1],
            f"{kind}_block_distance": distance,
            f"{kind}_block_distance_at_most": at_most,
            f"{kind}_block_distance_relative": relative,
        }


def measure_correlations(
    features: Features,
    *,
    center: bool = True,
    method: str = "condensed",
    cut: float | None = None,
    stage: Callable[[str], None] | None = None,
) -> CorrelationsResult:
    """Measure how block-like features are, after dividing rows by their norms.

    Parameters
    ----------
    features
        With superclasses, where they are known, to compare those found with.
    center
        Subtract the mean feature first.
    method, cut
        Of ``gramlab.spectrum.superclasses.find_superclasses``; the default cut is the method's own.
    stage
        Called with a few words when a stage begins.

    Raises
    ------
    InvalidFeatures
        If a row cannot be divided by its norm, or a class has no rows.
    InvalidSetting
        If the method is not known or the cut is not in (0, 1].
    """
    tell = stage or (lambda words: None)
    features = (features.centered() if center else features).unit_norm()
    tell("class correlations")
    plain = class_correlations(features.replaced(superclasses=None))
    groups = find_superclasses(plain.matrix, method=method, cut=cut)
    tell("spectrum")
    spectrum = Spectrum.of(features)
    try:
        angles = class_subspace_angles(features)
    except InvalidFeatures:  # fewer directions than classes: there is no eigenspace to compare
        angles = None
    tell("distance to a block model")
    return CorrelationsResult(
        features=features,
        centered=center,
        method=method,
        cut=METHODS[method] if cut is None else cut,
        plain=plain,
        superclasses=groups,
        spectrum=spectrum,
        angles=angles,
        found=Blocks.of(features.replaced(superclasses=groups.labels)),
        true=None if features.superclasses is None else Blocks.of(features),
    )
