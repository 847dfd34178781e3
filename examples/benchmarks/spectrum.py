"""What the closed form costs: one factorization for every round and weight decay.

N = 50,000 synthetic rows of width 64. One factorization alone; then with the predictions of 5
rounds x 20 weight decays, by the formula; and with all of them as the fits of `LinearizedHead`. On
fewer rows, beside it, the dense route: eigenvectors of the N x N Gram matrix.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from _measure import Settings, Table, fresh, named, noisy, repeat

import gramlab
from gramlab.spectrum.filters import filter_over_eigenvalue, filter_power, linear_mu

SAMPLES, WIDTH, CLASSES = 50_000, 64, 10
DENSE = 4000  # rows of the dense route
ROUNDS = range(1, 6)
WEIGHT_DECAYS = np.logspace(-6, -1, 20)


def synthetic(n: int) -> gramlab.Features:
    """Class means plus noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % CLASSES
    x = rng.standard_normal((CLASSES, WIDTH))[labels] + rng.standard_normal((n, WIDTH))
    return gramlab.Features(x, labels)


def grid(n: int, k: int) -> Iterator[tuple[float, int]]:
    """μ and t of every weight decay and round."""
    for weight_decay in WEIGHT_DECAYS:
        yield from ((linear_mu(k, n, float(weight_decay)), t) for t in ROUNDS)


def predictions(features: gramlab.Features, deviations: np.ndarray) -> Iterator[np.ndarray]:
    """P − 1/K = X V s^(t−1)/(s+μ)^t VᵀXᵀD."""
    spectrum, rows = gramlab.Spectrum.of(features), features.as_float64()
    projected = spectrum.basis.T @ (rows.T @ deviations)
    for mu, t in grid(*deviations.shape):
        scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, t)
        yield rows @ (spectrum.basis @ (scale[:, None] * projected))


def fits(features: gramlab.Features, deviations: np.ndarray) -> Iterator[gramlab.Fit]:
    targets = gramlab.Targets(deviations)
    for weight_decay in WEIGHT_DECAYS:
        head = gramlab.LinearizedHead(float(weight_decay))
        yield from gramlab.distill(head, features, targets, len(ROUNDS))


def dense(features: gramlab.Features, deviations: np.ndarray) -> Iterator[np.ndarray]:
    """The same predictions from the eigenvectors of G: h(G)^t D = U h(s)^t Uᵀ D."""
    x = features.as_float64()
    values, vectors = np.linalg.eigh(x @ x.T)
    values = np.maximum(values, 0.0)  # rounding leaves the zero eigenvalues on both sides of 0
    projected = vectors.T @ deviations
    for mu, t in grid(*deviations.shape):
        yield vectors @ (filter_power(values, mu, t)[:, None] * projected)


def table(features: gramlab.Features, rows: list, text: str, ratios: dict[str, float]) -> Table:
    problem = named("synthetic features", features)
    return {"problem": problem, "text": text, "rows": rows, "ratios": ratios}


def run(settings: Settings) -> Iterator[Table]:
    n, few = (2000, 400) if settings.quick else (SAMPLES, DENSE)
    features = synthetic(n)
    deviations = noisy("", features).targets - 1 / CLASSES
    gramlab.Spectrum.of(fresh(features))  # caches and threads
    rows, ratios = [], {}
    for name, work in (("", None), ("predictions", predictions), ("fits", fits)):

        def once(again: gramlab.Features, work: Any = work) -> None:
            spectrum = gramlab.Spectrum.of(again)
            # A hundred N x K arrays are no part of the question: none is kept.
            deque(work(again, deviations) if work else [spectrum], maxlen=0)

        seconds, _ = repeat(once, settings.repeats, lambda: fresh(features))
        ratio = seconds["median"] / (rows[0]["seconds"] if rows else seconds)["median"]
        what = f"factorization and {name} of all closed forms" if work else "factorization alone"
        rows.append({"what": what, "seconds": seconds, "over the factorization": ratio})
        if work:
            ratios[f"closed forms ({name}) over factorization"] = ratio
    yield table(features, rows, f"{len(ROUNDS)} rounds x {len(WEIGHT_DECAYS)} decays.", ratios)

    features = synthetic(few)
    deviations = noisy("", features).targets - 1 / CLASSES
    rows, found = [], []
    for what, work in (("factored", predictions), ("dense route", dense)):
        seconds, values = repeat(
            lambda again, work=work: list(work(again, deviations)),
            settings.repeats,
            lambda: fresh(features),
        )
        found.append(np.array(values))
        ratio = seconds["median"] / (rows[0]["seconds"] if rows else seconds)["median"]
        rows.append({"what": what, "seconds": seconds, "over the factored": ratio})
    text = f"All predictions; largest difference {np.abs(found[0] - found[1]).max():.1e}."
    yield table(features, rows, text, {f"dense over factored, N={few}": ratio})
