"""Many heads on the same features: one after the other, in batches, or widened into one product.

Twelve teachers of different draws of noise. ``in_batches`` has a head in hand for each worker. The
widened iteration is the solver's own under ``vmap``: XLA turns the products of B heads into one
with K·B columns. It is timed for a fixed number of iterations, without stopping or certificates,
and so is a lower bound of what a solver made of it would take.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from _measure import Settings, fresh, named, noisy, prepared, spread, table

import gramlab
from gramlab import device
from gramlab.batches import in_batches
from gramlab.heads import points, solver

HEADS, QUICK_HEADS = 12, 4
WIDTHS = (1, 2, 4, 8)
ITERATIONS = 8
WEIGHT_DECAY = 5e-4


def whole(features: gramlab.Features, targets: list, settings: Settings) -> dict[str, Any]:
    """Heads per second, one at a time and in batches, by turns."""
    head = gramlab.SoftmaxHead(WEIGHT_DECAY, tolerance=settings.target)
    gramlab.Spectrum.of(features)

    def fit(one: Any, _: int = 0) -> gramlab.Fit:
        return head.fit(features, one)

    fit(targets[0])
    alone, together = [], []
    for _ in range(settings.repeats):
        began = time.perf_counter()
        for one in targets:
            fit(one)
        alone.append(time.perf_counter() - began)
        began = time.perf_counter()
        in_batches(fit, targets)
        together.append(time.perf_counter() - began)
    return {
        "heads": len(targets),
        "alone": spread(alone),
        "in_batches": spread(together),
        "workers": len(device.workers()),
    }


def widened(features: gramlab.Features, targets: list, settings: Settings) -> dict[str, float]:
    """Seconds per head and iteration, by how many heads share the products."""
    n, k = features.n_samples, features.n_classes
    seconds = {}
    with device.float64(), device.undisturbed():
        spectrum = gramlab.Spectrum.of(features)
        z = jnp.asarray(spectrum.coordinates, jnp.float32)
        eigenvalues = jnp.asarray(spectrum.eigenvalues, jnp.float32)

        def base(one: Any) -> solver.Base:
            gradient = points.first_gradient(z, jnp.float32(n), jnp.asarray(one, jnp.float32))
            scalars = jnp.float32(WEIGHT_DECAY), jnp.float32(n)
            uniform = jnp.full((n, k), 1.0 / k, jnp.float32)
            return solver.Base(z, eigenvalues, *scalars, gradient, uniform)

        bases = [base(one) for one in targets]
        shared = solver.Base(None, None, None, None, 0, 0)

        @jax.jit
        def run(many: solver.Base, state: solver.State) -> solver.State:
            metric = jax.vmap(solver.scalar_metric, in_axes=(shared, 0))(many, state)
            step = jax.vmap(solver.iterate, in_axes=(shared, 0, 0))
            return jax.lax.fori_loop(0, ITERATIONS, lambda _, s: step(many, metric, s), state)

        @jax.jit
        def run_alone(one: solver.Base, state: solver.State) -> solver.State:
            metric = solver.scalar_metric(one, state)
            return jax.lax.fori_loop(
                0, ITERATIONS, lambda _, s: solver.iterate(one, metric, s), state
            )

        seconds["1"] = _median(run_alone, bases[0], solver.start(bases[0], 10), settings)
        for width in WIDTHS[1:]:
            chosen = [bases[i % len(bases)] for i in range(width)]
            many = bases[0]._replace(
                gradient=jnp.stack([one.gradient for one in chosen]),
                probabilities=jnp.stack([one.probabilities for one in chosen]),
            )
            states = [solver.start(one, 10) for one in chosen]
            state = jax.tree.map(lambda *parts: jnp.stack(parts), *states)
            seconds[str(width)] = _median(run, many, state, settings) / width
    return seconds


def _median(work: Any, base: solver.Base, state: solver.State, settings: Settings) -> float:
    """Seconds of one iteration."""
    jax.block_until_ready(work(base, state))
    times = []
    for _ in range(max(3, settings.repeats)):
        began = time.perf_counter()
        jax.block_until_ready(work(base, state))
        times.append(time.perf_counter() - began)
    return statistics.median(times) / ITERATIONS


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    problems = []
    for source in settings.sources:
        features = fresh(prepared(source)["raw"])
        count = QUICK_HEADS if settings.quick else HEADS
        draws = [noisy(source, features, WEIGHT_DECAY, 0.5, seed) for seed in range(count)]
        targets = [draw.targets for draw in draws]
        found = {"problem": f"{named(source, 'raw', features)}, λ={WEIGHT_DECAY:g}"}
        found |= whole(features, targets, settings)
        found["widened"] = widened(features, targets, settings)
        problems.append(found)
        ratio = found["alone"]["median"] / found["in_batches"]["median"]
        print(f"{found['problem']}: in batches {ratio:.2f}x", flush=True)
        yield {"problems": list(problems)}


def headline(record: dict[str, Any]) -> dict[str, float]:
    return {
        f"batch, {found['problem'].split(' (')[0]}": found["alone"]["median"]
        / found["in_batches"]["median"]
        for found in record["problems"]
    }


def markdown(record: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    rows = []
    for found in record["problems"]:
        one = found["widened"]["1"]
        rows.append(
            [
                found["problem"],
                f"{found['heads'] / found['alone']['median']:.3g}",
                f"{found['heads'] / found['in_batches']['median']:.3g}",
                f"{found['alone']['median'] / found['in_batches']['median']:.2f}×",
                *(f"{one / found['widened'][str(width)]:.2f}×" for width in WIDTHS[1:]),
            ]
        )
    workers = record["problems"][0]["workers"] if record["problems"] else 0
    return [
        f"Heads per second to relative gap {settings['target']:g}, one after the other and "
        f"{workers} in hand at once; and how much faster an iteration of one head is where B heads "
        "share its products.",
        "",
        *table(
            [
                *("problem", "one by one", "in batches", "ratio"),
                *(f"B = {width}" for width in WIDTHS[1:]),
            ],
            rows,
        ),
        "",
    ]
