"""The paper's grid at one weight decay: 8 noise rates x 3 seeds x (5 rounds + a top-two student).

144 exact heads on one feature matrix, each certified; solving and certifying are timed apart.
The peer fits the 24 teachers alone, because students have soft targets, which it does not take; its
time is scaled to all heads as if a student cost it what a teacher does.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from _measure import (
    Problem,
    Settings,
    fresh,
    named,
    noisy,
    prepared,
    ratio_words,
    seconds_words,
    spread,
    table,
)
from _peers import Result, scikit_learn

import gramlab
from gramlab.batches import in_batches
from gramlab.heads.softmax import keeps_cores_busy

RATES = (0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
SEEDS = (0, 1, 2)
ROUNDS = 5
WEIGHT_DECAY = 5e-4  # the paper's base value for Caltech-101

Heads = dict[tuple[float, int], list[gramlab.Fit]]


def fit_heads(
    head: gramlab.SoftmaxHead,
    features: gramlab.Features,
    targets: Mapping[tuple[float, int], np.ndarray],
) -> Heads:
    """Every head of the study: for each (rate, seed) the rounds and the top-two student.

    Rates and seeds are independent and in hand several at once, as in ``gramlab study``.
    """
    gramlab.Spectrum.of(features)

    def draw(key: tuple[float, int], _: int) -> list[gramlab.Fit]:
        rounds = gramlab.distill(head, features, targets[key], ROUNDS)
        two = gramlab.partial_labels(rounds[0].probabilities, 2, seed=key[1])
        return [*rounds, head.fit(features, two, start=rounds[0].weights)]

    busy = keeps_cores_busy(features.n_samples, features.n_features, features.n_classes)
    return dict(zip(targets, in_batches(draw, targets, busy=busy), strict=True))


def certify(found: Heads) -> list[float]:
    """Certificate of every head, all of them computed now; their relative gaps."""
    return [fit.certificate.relative_gap for heads in found.values() for fit in heads]


def peer(problem: Problem, settings: Settings) -> Result:
    """newton-cg in float32, the fastest seen; in float64 where that has too few digits."""
    one = Settings(target=settings.target, repeats=1, cap=settings.cap)
    found = scikit_learn("newton-cg", "float32", problem, one)
    return found if found.seconds else scikit_learn("newton-cg", "float64", problem, one)


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    seeds = SEEDS[:1] if settings.quick else SEEDS
    source = settings.sources[0]
    features = prepared(source)["raw"]
    problems = {
        (rate, seed): noisy(source, features, WEIGHT_DECAY, rate, seed)
        for rate in RATES
        for seed in seeds
    }
    targets = {key: problem.targets for key, problem in problems.items()}
    head = gramlab.SoftmaxHead(WEIGHT_DECAY, tolerance=settings.target)
    heads = len(targets) * (ROUNDS + 1)
    print(f"{named(source, 'raw', features)}: {heads} heads", flush=True)
    with warnings.catch_warnings():
        # A head that misses is counted below from its certificate.
        warnings.simplefilter("ignore", gramlab.NotConvergedWarning)
        some = dict(list(targets.items())[:1])
        fit_heads(head, fresh(features), some)  # compiles, in nobody's time
        solving, certifying, gaps = [], [], []
        for _ in range(settings.repeats):
            again = fresh(features)
            began = time.perf_counter()
            found = fit_heads(head, again, targets)
            solving.append(time.perf_counter() - began)
            began = time.perf_counter()
            gaps = certify(found)
            certifying.append(time.perf_counter() - began)
    passes = sum(fit.stats.passes for fits in found.values() for fit in fits)
    record = {
        "problem": f"{named(source, 'raw', features)}, λ={WEIGHT_DECAY:g}",
        "heads": heads,
        "solving": spread(solving),
        "certifying": spread(certifying),
        "passes": passes,
        "largest_gap": max(gaps),
        "missed": sum(gap > settings.target for gap in gaps),
        "peer": None,
    }
    print(f"    gramlab: {seconds_words(record['solving'])} s to solve, ", end="")
    print(f"{seconds_words(record['certifying'])} s to certify", flush=True)
    yield record

    results = [peer(problem, settings) for problem in problems.values()]
    skipped = next((r.work for r in results if r.work.startswith("skipped")), None)
    total = sum(result.spent for result in results)
    scaled = total * heads / len(results)
    median = record["solving"]["median"]
    record["peer"] = {
        "method": "scikit-learn newton-cg",
        "skipped": skipped,
        "teachers": len(results),
        "missed": sum(not result.seconds for result in results),
        "in_float64": sum("float64" in result.method for result in results),
        "teacher_seconds": total,
        "scaled_seconds": None if skipped else scaled,
        "speed": None if skipped else scaled / median,
        "speed_certified": None if skipped else scaled / (median + record["certifying"]["median"]),
    }
    print(f"    {len(results)} teachers by the peer: {total:.3g} s", flush=True)
    yield record


def headline(record: dict[str, Any]) -> dict[str, float]:
    found = record["peer"]
    if not found or found["speed"] is None:
        return {}
    return {"study, solving": found["speed"], "study, certified": found["speed_certified"]}


def markdown(record: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    gap, heads = record["largest_gap"], record["heads"]
    verdict = (
        f"all {heads} certificates at or below {settings['target']:g}"
        if not record["missed"]
        else f"**{record['missed']} of {heads} heads missed {settings['target']:g}**"
    )
    rows = [
        ["gramlab, solving", str(heads), seconds_words(record["solving"]), "–"],
        ["gramlab, certifying", str(heads), seconds_words(record["certifying"]), "–"],
    ]
    found = record["peer"]
    notes = []
    if found and found["skipped"]:
        rows.append([found["method"], "–", "–", found["skipped"]])
    elif found:
        count = found["teachers"]
        rows.append([found["method"], str(count), f"{found['teacher_seconds']:.3g}", "–"])
        rows.append(
            [
                f"{found['method']}, scaled to {heads}",
                str(heads),
                f"{found['scaled_seconds']:.3g}",
                f"{ratio_words(found['speed'])} against solving, "
                f"{ratio_words(found['speed_certified'])} against solving and certifying",
            ]
        )
        if found["in_float64"]:
            notes.append(f"{found['in_float64']} of {count} teachers needed float64.")
        if found["missed"]:
            notes.append(
                f"{found['missed']} of {count} teachers missed the target and count with the last "
                "run's time, so the ratios are lower bounds."
            )
    lines = [
        f"{record['problem']}; largest relative gap {gap:.1e}, {verdict}; "
        f"{record['passes']:.0f} passes in all, factorization included in solving.",
        "",
        *table(["what", "heads", "seconds", "ratio of times"], rows),
    ]
    return [*lines, " ".join(notes), ""] if notes else lines
