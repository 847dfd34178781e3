"""Labels that are wrong near the boundary between classes, for tests."""

import numpy as np

import gramlab


def boundary_labels(x: np.ndarray, y: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """Labels of the rows nearest to a boundary of a head on the true labels, of the next class."""
    head = gramlab.SoftmaxHead(1e-4, tolerance=1e-6)
    k = int(y.max()) + 1
    p = np.empty((len(y), k))
    fold = np.arange(len(y)) % 5
    for one in range(5):
        seen = fold != one
        fit = head.fit(gramlab.Features(x[seen], y[seen], n_classes=k), gramlab.one_hot(y[seen], k))
        p[~seen] = fit.predict_proba(x[~seen])
    every = np.arange(len(y))
    others = p.copy()
    others[every, y] = -1.0
    margin = p[every, y] - others.max(axis=1)
    noise = np.random.default_rng(seed).gumbel(size=len(y))
    flipped = np.argsort(margin + 0.1 * noise)[: int(rate * len(y))]
    given = y.copy()
    given[flipped] = others[flipped].argmax(axis=1)
    return given
