"""What distillation does to clean and to wrong labels: predictions and weights by round.

``dynamics`` reads the predictions of any head's rounds, ``label_averaging`` the weights that the
closed form gives to labels. Both average over rows (paper, Section 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gramlab import validation
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import class_averaging_weights, linear_mu

if TYPE_CHECKING:
    from gramlab.heads.fit import Fit

__all__ = ["Dynamics", "dynamics", "label_averaging"]


@dataclass(frozen=True)
class Dynamics:
    """Class-averaged predictions of one round: what label averaging does to clean and wrong labels.

    Means over the clean rows of p(true label), over the mislabelled rows of p(true label) and
    p(given label), first within each class and then over classes. ``None`` where there are no
    such rows.
    """

    clean_true: float | None
    flipped_true: float | None
    flipped_given: float | None


def dynamics(rounds: Sequence[Fit], given: object, truth: object) -> tuple[Dynamics, ...]:
    """Class-averaged predictions by round, of any head.

    Parameters
    ----------
    rounds
        ``Rounds``, or fits on the same N rows, round 1 first.
    given, truth : (N,)
        Labels that the rows were given, and their true ones, 0 .. K-1.

    Raises
    ------
    InvalidLabels
        If labels are not one class number per training row.
    """
    found = []
    for fit in rounds:
        p = fit.probabilities
        n, k = p.shape
        labels, true = (
            validation.check_labels(of, n_samples=n, n_classes=k, name=name)
            for of, name in ((given, "given"), (truth, "truth"))
        )
        wrong = labels != true
        found.append(
            Dynamics(
                clean_true=_mean_by_class(p, true, true, ~wrong),
                flipped_true=_mean_by_class(p, true, true, wrong),
                flipped_given=_mean_by_class(p, labels, true, wrong),
            )
        )
    return tuple(found)


def _mean_by_class(
    p: np.ndarray, labels: np.ndarray, truth: np.ndarray, where: np.ndarray
) -> float | None:
    """Mean over true classes of the mean p(label) of their rows among those asked for."""
    counts = np.bincount(truth[where])
    sums = np.bincount(truth[where], weights=p[np.arange(len(labels)), labels][where])
    return float((sums[counts > 0] / counts[counts > 0]).mean()) if where.any() else None


def label_averaging(
    spectrum: Spectrum,
    labels: object,
    weight_decay: float,
    rounds: int,
    *,
    n_classes: int | None = None,
) -> tuple[dict[str, float], ...]:
    """Label-averaging weights by round: what rows of h(G)^t sum to, averaged over all rows.

    Parameters
    ----------
    spectrum
        Of the training features.
    labels : (N,)
        True labels.
    weight_decay, rounds
        λ > 0, and the number of rounds, the teacher included.
    n_classes
        K in μ = K N λ; by default the largest label + 1.

    Returns
    -------
    tuple of dict
        By round t = 1, 2, … the weight ``own`` of a row's own given label, of the ``same_class``,
        the other rows of its true class, and of the ``others``, all other rows.

    Raises
    ------
    InvalidLabels, InvalidSetting
        If labels are not one class number per row, or a number is out of range.
    """
    n = spectrum.n_samples
    rounds = validation.check_integer("rounds", rounds, 1)
    if n_classes is not None:
        n_classes = validation.check_integer("n_classes", n_classes, 1)
    classes = validation.check_labels(labels, n_samples=n, n_classes=n_classes)
    k = int(classes.max()) + 1 if n_classes is None else n_classes
    mu = linear_mu(k, n, weight_decay)
    out = []
    for t in range(1, rounds + 1):
        own, by_class = class_averaging_weights(spectrum, classes, mu, t)
        in_class = by_class[np.arange(n), classes]
        parts = (own, in_class - own, by_class.sum(axis=1) - in_class)
        names = ("own", "same_class", "others")
        out.append({name: float(w.mean()) for name, w in zip(names, parts, strict=True)})
    return tuple(out)
