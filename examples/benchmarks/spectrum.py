"""What the closed form costs: one factorization for every round and weight decay.

N = 50,000 rows of width 64. One factorization alone; then with the weights of 5 rounds x 20 weight
decays, by the formula; with the predictions of all of them too; and with all of them as the fits of
`LinearizedHead`, which is how the package is used. Beside it the dense route, eigenvectors of the
N x N Gram matrix, on random rows up to the largest N that time and memory allow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import psutil
from _measure import (
    Settings,
    TimeLimit,
    fresh,
    noisy,
    prepared,
    ratio_words,
    repeat,
    seconds_words,
    spread,
    table,
    time_limit,
)

import gramlab
from gramlab.filters import filter_over_eigenvalue, filter_power, linear_mu

SAMPLES, WIDTH, CLASSES = 50_000, 64, 10
ROUNDS = range(1, 6)
WEIGHT_DECAYS = np.logspace(-6, -1, 20)
LADDER = (2000, 4000, 6000)
WORDS = {"weights": "weights", "predictions": "predictions", "fits": "`LinearizedHead` fits"}
COPIES = 6  # of the N x N matrix in memory at once: G, its eigenvectors, and LAPACK's workspace


def synthetic(n: int) -> gramlab.Features:
    """Class means plus noise, where no source of the size is at hand."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % CLASSES
    x = rng.standard_normal((CLASSES, WIDTH))[labels] + rng.standard_normal((n, WIDTH))
    return gramlab.Features(x, labels)


def chosen(settings: Settings) -> tuple[str, gramlab.Features]:
    """The first source with enough rows, else a synthetic one of the shape."""
    for source in () if settings.quick else settings.sources:
        features = prepared(source)["raw"]
        if features.n_samples >= SAMPLES:
            return "given", features
    return "synthetic", synthetic(2000 if settings.quick else SAMPLES)


def subset(features: gramlab.Features, n: int) -> gramlab.Features:
    rows = np.random.default_rng(0).permutation(features.n_samples)[:n]
    return gramlab.Features(features.x[rows], features.labels[rows], n_classes=features.n_classes)


def weights(features: gramlab.Features, deviations: np.ndarray) -> Iterator[np.ndarray]:
    """W = K V s^(t−1)/(s+μ)^t VᵀXᵀD for every round and weight decay, from one factorization."""
    spectrum = gramlab.Spectrum.of(features)
    n, k = deviations.shape
    projected = spectrum.basis.T @ (features.as_float64().T @ deviations)
    for weight_decay in WEIGHT_DECAYS:
        mu = linear_mu(k, n, float(weight_decay))
        for t in ROUNDS:
            scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, t)
            yield k * (spectrum.basis @ (scale[:, None] * projected))


def predictions(features: gramlab.Features, deviations: np.ndarray) -> Iterator[np.ndarray]:
    """P − 1/K on all training rows, for every round and weight decay: logits over K."""
    rows, k = features.as_float64(), deviations.shape[1]
    for found in weights(features, deviations):
        yield rows @ found / k


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
    n, k = deviations.shape
    for weight_decay in WEIGHT_DECAYS:
        mu = linear_mu(k, n, float(weight_decay))
        for t in ROUNDS:
            yield vectors @ (filter_power(values, mu, t)[:, None] * projected)


def through(values: Iterable[Any]) -> None:
    """Compute them all and keep none: a hundred N x K arrays are no part of the question."""
    deque(values, maxlen=0)


def deviations_of(features: gramlab.Features) -> np.ndarray:
    return noisy("", features, 1.0).targets - 1 / features.n_classes


def against_dense(features: gramlab.Features, settings: Settings) -> list[dict[str, Any]]:
    """Both routes up the ladder, until time or memory ends it."""
    rows: list[dict[str, Any]] = []
    for n in (200, 400) if settings.quick else LADDER:
        needed = COPIES * 8 * n * n
        if needed > psutil.virtual_memory().available:
            print(f"    dense N={n}: not enough memory", flush=True)
            break
        if rows and rows[-1]["dense"]["max"] * (n / rows[-1]["n"]) ** 3 > settings.cap:
            print(f"    dense N={n}: would pass {settings.cap:g} s", flush=True)
            break
        part = subset(features, n)
        deviations = deviations_of(part)
        try:
            with time_limit(settings.cap * settings.repeats):
                slow, theirs = repeat(
                    lambda _, d=deviations, p=part: list(dense(p, d)), settings.repeats
                )
        except TimeLimit:
            print(f"    dense N={n}: interrupted", flush=True)
            break
        quick, mine = repeat(
            lambda f, d=deviations: list(predictions(f, d)),
            settings.repeats,
            lambda p=part: fresh(p),
        )
        difference = max(float(np.abs(a - b).max()) for a, b in zip(mine, theirs, strict=True))
        rows.append(
            {
                "n": n,
                "dense": spread(slow),
                "factored": spread(quick),
                "ratio": spread(slow)["median"] / spread(quick)["median"],
                "largest_difference": difference,
            }
        )
        print(f"    N={n}: dense {slow[-1]:.3g} s, factored {quick[-1]:.3g} s", flush=True)
    return rows


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    origin, features = chosen(settings)
    deviations = deviations_of(features)
    shape = f"N={features.n_samples}, d={features.n_features}, K={features.n_classes}"
    print(f"{origin} features, {shape}", flush=True)

    def again() -> gramlab.Features:
        return fresh(features)

    def alone(f: gramlab.Features) -> None:
        gramlab.Spectrum.of(f)

    # A float16 source is converted once and kept; here it is converted before the clock starts.
    if features.x.dtype != np.float64:
        features = gramlab.Features(
            features.as_float64(), features.labels, n_classes=features.n_classes
        )
    repeat(alone, 1, again)  # caches and threads
    factorization = spread(repeat(alone, settings.repeats, again)[0])
    found = {}
    for name, work in (("weights", weights), ("predictions", predictions), ("fits", fits)):
        seconds, _ = repeat(lambda f, w=work: through(w(f, deviations)), settings.repeats, again)
        found[name] = spread(seconds)
        print(f"    factorization and {name}: {seconds_words(found[name])} s", flush=True)
    record = {
        "problem": f"{origin} features, {shape}",
        "samples": features.n_samples,
        "heads": len(ROUNDS) * len(WEIGHT_DECAYS),
        "factorization": factorization,
        **found,
        "ratio": {name: s["median"] / factorization["median"] for name, s in found.items()},
        "dense": [],
    }
    yield record
    record["dense"] = against_dense(features, settings)
    yield record


def headline(record: dict[str, Any]) -> dict[str, float]:
    found = {f"closed forms ({name}) over factorization": r for name, r in record["ratio"].items()}
    if record["dense"]:
        last = record["dense"][-1]
        found[f"dense over factored, N={last['n']}"] = last["ratio"]
    return found


def markdown(record: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    rows = [["factorization alone", seconds_words(record["factorization"]), "1×"]]
    for name, words in WORDS.items():
        rows.append(
            [
                f"factorization and {words} of {record['heads']} closed forms",
                seconds_words(record[name]),
                ratio_words(record["ratio"][name]),
            ]
        )
    lines = [f"{record['problem']}; 5 rounds x 20 weight decays.", ""]
    lines += table(["what", "seconds", "over the factorization"], rows)
    if not record["dense"]:
        return lines
    rows = [
        [
            str(row["n"]),
            seconds_words(row["dense"]),
            seconds_words(row["factored"]),
            ratio_words(row["ratio"]),
            f"{row['largest_difference']:.1e}",
        ]
        for row in record["dense"]
    ]
    lines += ["The same predictions by the dense route and by the factored one:", ""]
    lines += table(["N", "dense, seconds", "factored, seconds", "ratio", "max. difference"], rows)
    last = record["dense"][-1]
    if record["samples"] > last["n"]:
        factor = (record["samples"] / last["n"]) ** 3
        lines += [
            f"Extrapolated, not measured: as N³, the dense route would take "
            f"{last['dense']['median'] * factor:.2g} s at N={record['samples']}, and "
            f"{8 * record['samples'] ** 2 / 1e9:.2g} GB for its matrix alone.",
            "",
        ]
    return lines
