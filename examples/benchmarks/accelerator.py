"""Large heads on an accelerator: seconds, and how near they come to what it can multiply.

Features are synthetic, because sets of these sizes are not shipped: class means and what is around
them have eigenvalues that fall like (j + 4)^-1.25, a third of all squares is the common mean, and
40 % of the rest lies between classes, near to what the shared MobileNet features show. Labels carry
50 % symmetric noise. Everything is made from a seed.

Each head is timed cold (a new Features object, so the features' way to the device is in it) and
warm. The study is 24 heads of other labels, five rounds each, on features that stay there.

Without an accelerator the part is skipped, but for --quick, which tries it on what there is.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _measure import Settings, fresh, repeat, seconds_words, spread, table
from threadpoolctl import threadpool_limits

import gramlab
from gramlab import device
from gramlab.batches import in_batches
from gramlab.heads.objective import SoftmaxObjective

DECAY, OFFSET = 1.25, 4.0  # eigenvalue j of the covariance: (j + OFFSET)^-DECAY
MEAN, BETWEEN = 1 / 3, 0.4  # shares: of the mean in all squares, of class means in the rest
SQUARES = 0.5  # mean square of a feature
NOISE, SEED = 0.5, 0
WEIGHT_DECAY = 5e-4
RATES, SEEDS, ROUNDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), (0, 1, 2), 5
SQUARE = {"bfloat16": 8192, "float32": 4096, "float64": 4096}  # products that set the ceiling
QUICK_SQUARE = 256
ROWS_FROM = 100_000_000


@dataclass(frozen=True)
class Size:
    name: str
    samples: int
    features: int
    classes: int
    target: float  # relative duality gap
    decays: tuple[float, ...] = (WEIGHT_DECAY,)
    runs: int | None = None  # default: those asked for

    def words(self) -> str:
        return f"{self.name}, N={self.samples}, d={self.features}, K={self.classes}"


# What matters most comes first, for runs that are cut short.
SIZES = (
    Size("CIFAR-100-sized", 50_000, 512, 100, 1e-10, (WEIGHT_DECAY, 5e-3)),
    Size("ImageNet-sized", 1_281_167, 2048, 1000, 1e-8, runs=1),
    Size("CIFAR-100-sized", 50_000, 512, 100, 1e-10, (5e-5,)),
    Size("ImageNet-sized", 1_281_167, 768, 1000, 1e-8, runs=1),
)
QUICK_SIZES = (Size("tiny", 600, 24, 6, 1e-10), Size("small", 900, 32, 8, 1e-8))


# ---- Problems ---------------------------------------------------------------------------------


def synthetic(size: Size) -> gramlab.Features:
    """Features of that size in float32, made on the device and brought to the host."""
    d, k = size.features, size.classes
    labels = np.random.default_rng(SEED).integers(0, k, size.samples)
    rows, means, middle = (jax.random.key(SEED + i) for i in range(3))
    eigenvalues = (jnp.arange(1, d + 1) + OFFSET) ** -DECAY
    scales = jnp.sqrt(SQUARES * d * (1 - MEAN) * eigenvalues / eigenvalues.sum())
    centres = jnp.sqrt(BETWEEN) * scales * jax.random.normal(means, (k, d))
    common = jax.random.normal(middle, (d,))
    common *= jnp.sqrt(SQUARES * d * MEAN) / jnp.linalg.norm(common)
    turn = jnp.linalg.qr(jax.random.normal(jax.random.key(SEED + 3), (d, d)))[0]

    @jax.jit
    def made(classes: jax.Array) -> jax.Array:
        around = jnp.sqrt(1 - BETWEEN) * scales * jax.random.normal(rows, (size.samples, d))
        return (around + centres[classes]) @ turn + common

    return gramlab.Features(np.asarray(made(labels)), labels, n_classes=k)


def noisy_labels(features: gramlab.Features, rate: float, seed: int) -> np.ndarray:
    matrix = gramlab.corruption_matrix("symmetric", features.n_classes, rate)
    return gramlab.corrupt_labels(features.labels, matrix, seed=seed).labels


def relative_gap(
    features: gramlab.Features, given: np.ndarray, weight_decay: float, weights: np.ndarray
) -> float:
    """‖∇L(W)‖²/‖∇L(0)‖² by the referee, in float64 on the host, a slice of rows for each core."""
    k = features.n_classes
    cuts = np.linspace(0, features.n_samples, (os.cpu_count() or 1) + 1, dtype=int)

    def sums(of: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """This slice's part of the gradients at W and at 0, without weight decay."""
        first, last = of
        some = gramlab.Features(features.x[first:last], features.labels[first:last], n_classes=k)
        objective = SoftmaxObjective(some, gramlab.OneHotRows(given[first:last], k), weight_decay)
        at, zero = objective.evaluate(weights).gradient, objective._start_gradient()
        return (last - first) * (at - weight_decay * weights), (last - first) * zero

    with ThreadPoolExecutor(len(cuts) - 1) as pool, threadpool_limits(1, "blas"):
        at, zero = (sum(parts) for parts in zip(*pool.map(sums, pairwise(cuts)), strict=True))
    gradient = at / features.n_samples + weight_decay * weights
    return float(np.linalg.norm(gradient) / np.linalg.norm(zero / features.n_samples)) ** 2


# ---- Measures ---------------------------------------------------------------------------------


def ceilings(quick: bool) -> dict[str, float]:
    """FLOP/s of a large square product by JAX, in each precision; the best of several."""
    found = {}
    with device.float64():
        for dtype in SQUARE:
            size = QUICK_SQUARE if quick else SQUARE[dtype]
            a = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype)
            times = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
            times(a).block_until_ready()
            best = float("inf")
            for _ in range(5):
                began = time.perf_counter()
                out = [times(a) for _ in range(5)]
                jax.block_until_ready(out)
                best = min(best, (time.perf_counter() - began) / 5)
            found[dtype] = 2.0 * size**3 / best
    return found


def one_head(
    size: Size, features: gramlab.Features, weight_decay: float, settings: Settings
) -> dict[str, Any]:
    given = noisy_labels(features, NOISE, SEED)
    head = gramlab.SoftmaxHead(weight_decay, tolerance=size.target)
    # Rows, where a float64 array of all targets would fill the host.
    rows = size.samples * size.classes > ROWS_FROM
    targets = (gramlab.OneHotRows if rows else gramlab.one_hot)(given, size.classes)
    runs = size.runs or settings.repeats

    def fit(on: gramlab.Features) -> gramlab.Fit:
        return head.fit(on, targets)

    began = time.perf_counter()
    fit(fresh(features))
    first = time.perf_counter() - began
    kept: list[gramlab.Features] = []

    def another() -> gramlab.Features:
        kept[:] = [fresh(features)]
        return kept[0]

    cold, _ = repeat(fit, runs, another)
    warm, found = repeat(fit, runs, lambda: kept[0])
    flops = 4.0 * size.samples * min(size.samples, size.features) * size.classes
    low = found.stats.bfloat16_passes
    peak = (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    gap = relative_gap(features, given, weight_decay, found.weights)
    record = {
        "problem": f"{size.words()}, λ={weight_decay:g}",
        "target": size.target,
        "first": first,
        "cold": spread(cold),
        "warm": spread(warm),
        "gap": gap,
        "passes": found.stats.passes,
        "bfloat16_passes": low,
        "method": found.stats.method,
        "flops": flops * found.stats.passes,
        "flops_bfloat16": flops * low,
        "peak_bytes": peak,  # since the process began
    }
    print(
        f"    {record['problem']}: cold {seconds_words(record['cold'])} s, warm "
        f"{seconds_words(record['warm'])} s, gap {gap:.1e}, {found.stats.passes:.0f} passes, "
        f"{low:.0f} in bfloat16; {first:.3g} s with compilation; peak {peak} bytes",
        flush=True,
    )
    return record


def study(size: Size, features: gramlab.Features, settings: Settings) -> dict[str, Any]:
    head = gramlab.SoftmaxHead(WEIGHT_DECAY, tolerance=size.target)
    keys = [(rate, seed) for rate in RATES for seed in SEEDS][: 2 if settings.quick else None]
    targets = {key: gramlab.one_hot(noisy_labels(features, *key), size.classes) for key in keys}

    def draw(key: tuple[float, int], _: int) -> gramlab.Rounds:
        return gramlab.distill(head, again, targets[key], ROUNDS)

    again = fresh(features)
    in_batches(draw, keys[:1])
    seconds = []
    found: list[gramlab.Rounds] = []
    for _ in range(settings.repeats):
        found = []
        began = time.perf_counter()
        found = in_batches(draw, keys)
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool, threadpool_limits(1, "blas"):
        fits = [fit for rounds in found for fit in rounds]
        gaps = list(pool.map(lambda fit: fit.certificate.relative_gap, fits))
    record = {
        "problem": f"{size.words()}, λ={head.weight_decay:g}",
        "target": size.target,
        "heads": len(fits),
        "solving": spread(seconds),
        "certifying": time.perf_counter() - began,
        "largest_gap": max(gaps),
        "passes": sum(fit.stats.passes for fit in fits),
    }
    print(f"    {record['heads']} heads: {seconds_words(record['solving'])} s", flush=True)
    return record


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    if not (device.accelerated() or settings.quick):
        yield {"skipped": "no accelerator: JAX finds none, or is not built for it"}
        return
    record: dict[str, Any] = {
        "device": device.describe()["device"],
        "ceilings": ceilings(settings.quick),
        "heads": [],
        "study": None,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gramlab.NotConvergedWarning)  # the gap says so
        for size in QUICK_SIZES if settings.quick else SIZES:
            if settings.problem not in size.words():
                continue
            features = synthetic(size)
            for weight_decay in size.decays:
                record["heads"].append(one_head(size, features, weight_decay, settings))
                yield record
            if record["study"] is None and size.samples * size.classes <= ROWS_FROM:
                record["study"] = study(size, features, settings)
                yield record


# ---- Words ------------------------------------------------------------------------------------


def ideal_seconds(head: dict[str, Any], ceiling: dict[str, float]) -> float:
    """Of the products alone, at the ceilings; those not in bfloat16 as if all were float32."""
    low = head["flops_bfloat16"]
    return low / ceiling["bfloat16"] + (head["flops"] - low) / ceiling["float32"]


def headline(record: dict[str, Any]) -> dict[str, float]:
    """None: there is no peer in the same run."""
    return {}


def markdown(record: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    if "skipped" in record:
        return [f"Skipped: {record['skipped']}.", ""]
    ceiling = record["ceilings"]
    words = ", ".join(f"{rate / 1e12:.3g} in {dtype}" for dtype, rate in ceiling.items())
    lines = [
        f"{record['device']}; features in float32, weights and measured gaps in float64. Square "
        f"products reach, in TFLOP/s: {words}.",
        "",
    ]
    rows = []
    for head in sorted(
        record["heads"], key=lambda head: (head["flops"] / head["passes"], head["problem"])
    ):
        warm = head["warm"]["median"]
        reached = head["gap"] <= head["target"]
        rows.append(
            [
                head["problem"],
                seconds_words(head["cold"]),
                seconds_words(head["warm"]),
                f"{head['gap']:.1e}" + ("" if reached else f" (**missed {head['target']:g}**)"),
                f"{head['passes']:.0f}, {head['bfloat16_passes']:.0f} in bfloat16",
                f"{head['flops'] / warm / 1e12:.3g}",
                f"{100 * ideal_seconds(head, ceiling) / warm:.2g} %",
            ]
        )
    names = ["head", "cold, s", "warm, s", "gap", "passes", "TFLOP/s, warm", "of the ceiling"]
    lines += table(names, rows)
    if peak := max((head["peak_bytes"] or 0 for head in record["heads"]), default=0):
        lines += [f"Peak of the device's memory: {peak / 1e9:.3g} GB.", ""]
    found = record["study"]
    if found:
        lines += [
            f"{found['heads']} heads ({found['heads'] // ROUNDS} draws of labels, {ROUNDS} rounds) "
            f"on {found['problem']}: {seconds_words(found['solving'])} s to solve, features on the "
            f"device; {found['certifying']:.3g} s to certify on the host; largest relative gap "
            f"{found['largest_gap']:.1e}, {found['passes']:.0f} passes.",
            "",
        ]
    return lines
