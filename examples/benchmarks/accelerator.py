"""Large heads on an accelerator: seconds, and how near they come to what it can multiply.

Features are synthetic: class means and what is around them have eigenvalues that fall like
(j + 4)^-1.25, a third of all squares is the common mean, and 40 % of the rest lies between classes,
near to what MobileNet features show. Each head is timed cold (with the features' way to the device)
and warm; then 24 draws of labels with five rounds each. Without an accelerator the part is skipped,
but for --quick.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from _measure import WEIGHT_DECAY, Settings, Table, fresh, noisy, repeat, timed

import gramlab
from gramlab.machine import device
from gramlab.runner import parallel_map

DECAY, OFFSET = 1.25, 4.0  # eigenvalue j of the covariance: (j + OFFSET)^-DECAY
MEAN, BETWEEN = 1 / 3, 0.4  # shares: of the mean in all squares, of class means in the rest
SQUARES = 0.5  # mean square of a feature
RATES, SEEDS, ROUNDS = np.arange(8) / 10, range(3), 5
SOFT = 100_000_000  # N K up to which the host has room for targets as an array, and for a study
# Name, N, d, K, relative gap and weight decays; what matters most first, for runs cut short.
SIZES = (
    ("CIFAR-100-sized", 50_000, 512, 100, 1e-10, (5e-4, 5e-3, 5e-5)),
    ("ImageNet-sized", 1_281_167, 2048, 1000, 1e-8, (5e-4,)),
    ("ImageNet-sized", 1_281_167, 768, 1000, 1e-8, (5e-4,)),
)
QUICK_SIZES = (("tiny", 600, 24, 6, 1e-10, (5e-4,)), ("small", 900, 32, 8, 1e-8, (5e-4,)))


def synthetic(n: int, d: int, k: int) -> gramlab.Features:
    """Features of that size in float32, made on the device and brought to the host."""
    labels = np.random.default_rng(0).integers(0, k, n)
    rows, means, middle, axes = (jax.random.key(seed) for seed in range(4))
    eigenvalues = (jnp.arange(1, d + 1) + OFFSET) ** -DECAY
    scales = jnp.sqrt(SQUARES * d * (1 - MEAN) * eigenvalues / eigenvalues.sum())
    centres = jnp.sqrt(BETWEEN) * scales * jax.random.normal(means, (k, d))
    common = jax.random.normal(middle, (d,))
    common *= jnp.sqrt(SQUARES * d * MEAN) / jnp.linalg.norm(common)
    turn = jnp.linalg.qr(jax.random.normal(axes, (d, d)))[0]

    @jax.jit
    def made(classes: jax.Array) -> jax.Array:
        around = jnp.sqrt(1 - BETWEEN) * scales * jax.random.normal(rows, (n, d))
        return (around + centres[classes]) @ turn + common

    return gramlab.Features(np.asarray(made(labels)), labels, n_classes=k)


def ceiling(size: int) -> float:
    """FLOP/s of a large square product in float32 by JAX; the best of several."""
    a = jax.random.normal(jax.random.key(0), (size, size), "float32")
    times = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    times(a).block_until_ready()
    some = (timed(lambda: jax.block_until_ready([times(a) for _ in range(5)]))[0] for _ in range(5))
    return 2.0 * size**3 / (min(some) / 5)


def one_head(features: gramlab.Features, weight_decay: float, target: float, runs: int) -> tuple:
    """What, seconds cold and warm, the measured gap, and passes."""
    problem = noisy("", features, weight_decay)
    head = gramlab.SoftmaxHead(weight_decay, tolerance=target)
    large = features.n_samples * features.n_classes > SOFT
    targets, runs = (problem.labels, 1) if large else (problem.targets, runs)
    last = [fresh(features)]
    head.fit(last[0], targets)  # compiles

    def another() -> gramlab.Features:
        last[:] = [fresh(features)]  # the one before leaves the device
        return last[0]

    cold, _ = repeat(lambda new: head.fit(new, targets), runs, another)
    warm, found = repeat(lambda _: head.fit(last[0], targets), runs)
    gap = problem.relative_gap(found.weights)
    return f"λ={weight_decay:g}", cold, warm, gap, found.stats.passes


def study(features: gramlab.Features, target: float, quick: bool, runs: int) -> tuple:
    """What, None for cold, seconds of all heads, the largest certified gap, and passes."""
    head = gramlab.SoftmaxHead(WEIGHT_DECAY, tolerance=target)
    keys = [(rate, seed) for rate in RATES for seed in SEEDS][: 2 if quick else None]
    draws = [noisy("", features, rate=rate, seed=seed).targets for rate, seed in keys]

    def draw(targets: np.ndarray, _: int) -> gramlab.Rounds:
        return gramlab.distill(head, features, targets, ROUNDS)

    parallel_map(draw, draws[:1])
    warm, found = repeat(lambda _: parallel_map(draw, draws), runs)
    fits = [fit for rounds in found for fit in rounds]
    gap = max(fit.certificate.relative_gap for fit in fits)
    return f"{len(fits)} heads", None, warm, gap, sum(fit.stats.passes for fit in fits)


def run(settings: Settings) -> Iterator[Table]:
    if not (device.accelerated() or settings.quick):
        yield {"skipped": "no accelerator: JAX finds none, or is not built for it"}
        return
    peak = ceiling(256 if settings.quick else 4096)
    for name, n, d, k, target, decays in QUICK_SIZES if settings.quick else SIZES:
        problem = f"{name}, N={n}, d={d}, K={k}"
        if settings.problem not in problem:
            continue
        features, rows = synthetic(n, d, k), []
        text = f"Square products in float32 reach {peak / 1e12:.3g} TFLOP/s."
        for weight_decay in [*decays, None] if n * k <= SOFT else decays:
            if weight_decay is None:
                found = study(features, target, settings.quick, settings.repeats)
            else:
                found = one_head(features, weight_decay, target, settings.repeats)
            what, cold, warm, gap, passes = found
            rate = 4.0 * n * min(n, d) * k * passes / warm["median"]
            row = {"what": what, "cold, s": cold, "warm, s": warm, "largest gap": gap}
            row |= {f"at most {target:g}": "yes" if gap <= target else "**no**"}
            row |= {"passes": round(passes), "TFLOP/s, warm": rate / 1e12}
            rows.append(row | {"of the ceiling": rate / peak})
            yield {"problem": problem, "text": text, "rows": rows, "ratios": {}}
