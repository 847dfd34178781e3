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
    """Correlations by one choice of superclasses, and the nearest block model."""

    correlations: ClassCorrelations
    fit: BlockFit

    @classmethod
    def of(cls, features: Features) -> Blocks:
        """By the superclasses of ``features``; without them all classes are in one."""
        return cls(class_correlations(features), fit_block_model(features))


@dataclass(frozen=True, eq=False)
class CorrelationsResult:
    """Everything ``gramlab correlations`` found of ``features`` with rows of unit norm.

    ``plain`` are class correlations without superclasses, by class (K, K), ``superclasses`` those
    found from them; ``found`` and ``true`` are the blocks of these, and of those that the features
    bring, if any. ``angles`` are the principal ones of the class subspace to the first K
    eigenvectors, in radians; None where there are fewer directions than classes.
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
        agreement = None if true is None else adjusted_rand_index(true, groups.labels)
        has_gap = k < features.n_samples
        blocks: dict[str, Any] = {}
        for kind, block in (("found", self.found), ("true", self.true)):
            values: tuple[float | None, ...] = (None,) * 7
            if block is not None:
                near = block.correlations.superclass or (math.nan, math.nan)
                distance, most = block.fit.distance, block.fit.distance_at_most
                relative = distance / spectrum.eigenvalue(1)
                values = (*near, *block.correlations.between, distance, most, relative)
            blocks |= {f"{kind}_{key}": value for key, value in zip(_BLOCK, values, strict=True)}
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
            "n_true_superclasses": None if true is None else len({*true.tolist()}),
            "true_superclass_of_class": true,
            "adjusted_rand_index": agreement,
            "closest_pairs": [
                {"first": names[i], "second": names[j], "correlation": value}
                for i, j, value in closest_pairs(self.plain.matrix, pairs)
            ],
            "principal_angles": self.angles,
            "largest_eigenvalue": spectrum.eigenvalue(1),
            "eigenvalue_k": spectrum.eigenvalue(k) if k <= features.n_samples else None,
            "gap_after_k": spectrum.gap(k) if has_gap else None,
            "gap_error_at_most": 2.0 * spectrum.certificate.eigenvalue_error if has_gap else None,
            **blocks,
        }


_BLOCK = (
    "superclass_mean",
    "superclass_standard_deviation",
    "between_mean",
    "between_standard_deviation",
    "block_distance",
    "block_distance_at_most",
    "block_distance_relative",
)


def measure_correlations(
    features: Features,
    *,
    center: bool = True,
    method: str = "condensed",
    cut: float | None = None,
    stage: Callable[[str], None] | None = None,
) -> CorrelationsResult:
    """Measure how block-like features are: centred, where asked, and divided by their norms.

    A constant column is left out first: the block model has no intercept.

    Superclasses are found as by ``gramlab.spectrum.superclasses.find_superclasses``, and compared
    with those that the features bring. ``stage`` is called with a few words when one begins.

    Raises
    ------
    InvalidFeatures
        If a row cannot be divided by its norm, or a class has no rows.
    InvalidSetting
        If the method is not known or the cut is not in (0, 1].
    """
    tell = stage or (lambda words: None)
    features = features.without_constant()
    features = features.prepared(center=center, unit_norm=True, test=False)
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
