"""One exact head against its peers, at an equal measured relative duality gap.

Each source raw and centred with unit norm, at three weight decays, 50 % symmetric label noise.
Everyone is given the same float32 features and the same labels. Three rows are gramlab's: cold, on
a Features object that remembers nothing; warm, on one that was fitted before; and cold with the
labels as soft targets (N, K), which no peer takes. Each is also set against the two matrix products
that a pass cannot do without.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

from _measure import (
    Problem,
    Settings,
    fresh,
    named,
    noisy,
    pass_seconds,
    prepared,
    ratio_words,
    repeat,
    seconds_words,
    spread,
    table,
)
from _peers import Result, everyone

import gramlab

WEIGHT_DECAYS = (5e-5, 5e-4, 5e-3)


def ours(problem: Problem, settings: Settings) -> Iterator[tuple[Result, float, float]]:
    """gramlab's rows, the passes of each, and those of them in bfloat16."""
    head = gramlab.SoftmaxHead(problem.weight_decay, tolerance=settings.target)

    def fit(features: gramlab.Features, *, soft: bool = False) -> gramlab.Fit:
        with warnings.catch_warnings():
            # A miss is a row of the table here, not a reason to stop.
            warnings.simplefilter("ignore", gramlab.NotConvergedWarning)
            if soft:
                return head.fit(features, problem.targets)
            return head.fit(features, gramlab.OneHotRows(problem.given, features.n_classes))

    again = fresh(problem.features)
    for method, solve, prepare in (
        ("gramlab cold", fit, lambda: fresh(problem.features)),
        ("gramlab warm", fit, lambda: again),
        ("gramlab cold, soft", partial(fit, soft=True), lambda: fresh(problem.features)),
    ):
        solve(again)  # compiles: once per shape and process, in nobody's time
        seconds, found = repeat(solve, settings.repeats, prepare)
        gap, passes = problem.relative_gap(found.weights), found.stats.passes
        low = found.stats.bfloat16_passes
        missed = gap > settings.target
        work = f"{'missed; ' if missed else ''}{passes:.0f} passes"
        work += f", {low:.0f} of them in bfloat16" if low else ""
        yield Result(method, [] if missed else seconds, gap, work, seconds[-1]), passes, low


def compare_on(problem: Problem, settings: Settings) -> dict[str, Any]:
    n, d, k = problem.features.n_samples, problem.features.n_features, problem.features.n_classes
    floor = {
        dtype: pass_seconds(n, min(n, d), k, dtype)  # the solver works in min(N, d) coordinates
        for dtype in ("float64", "float32", "bfloat16")
    }
    rows = []
    for result, passes, low in ours(problem, settings):
        row = row_of(result)
        if row["seconds"]:
            row["over_products"] = {
                dtype: row["seconds"]["median"]
                / (
                    (passes - low) * min(floor[dtype].values())
                    + low * min(floor["bfloat16"].values())
                )
                for dtype in ("float64", "float32")
            }
        rows.append(row | {"passes": passes, "bfloat16_passes": low})
    rows += [row_of(result) for result in everyone(problem, settings)]
    reached = [r for r in rows if r["seconds"] and not r["method"].startswith("gramlab")]
    fastest = min(reached, key=lambda r: r["seconds"]["median"], default=None)
    for row in rows:
        row["speed"] = None
        if fastest and row["seconds"]:
            row["speed"] = fastest["seconds"]["median"] / row["seconds"]["median"]
        print(f"    {row['method']}: {seconds_words(row['seconds'])} s, {row['work']}", flush=True)
    return {
        "problem": f"{problem.name}, λ={problem.weight_decay:g}",
        "fastest_peer": fastest and fastest["method"],
        "pass_seconds": floor,
        "peers": settings.peers,
        "cap": settings.cap,
        "repeats": settings.repeats,
        "rows": rows,
    }


def row_of(result: Result) -> dict[str, Any]:
    return {
        "method": result.method,
        "seconds": spread(result.seconds) if result.seconds else None,
        "gap": result.gap,
        "work": result.work,
    }


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    """Yields the record after each problem, so that an interrupted run keeps what it has."""
    problems: list[dict[str, Any]] = []
    for source in settings.sources:
        for steps, features in prepared(source).items():
            for weight_decay in (5e-4,) if settings.quick else WEIGHT_DECAYS:
                name = named(source, steps, features)
                if settings.problem not in f"{name}, λ={weight_decay:g}":
                    continue
                problem = noisy(name, features, weight_decay)
                print(f"{problem.name}, λ={weight_decay:g}", flush=True)
                problems.append(compare_on(problem, settings))
                yield {"problems": problems}


def headline(record: dict[str, Any]) -> dict[str, float]:
    """Against the fastest peer of each problem: the least and the median over problems."""
    found = {}
    for method in ("cold", "warm"):
        speeds = [
            row["speed"]
            for problem in record["problems"]
            for row in problem["rows"]
            if row["method"] == f"gramlab {method}" and row["speed"]
        ]
        if speeds:
            found[f"{method} head, least"] = min(speeds)
            found[f"{method} head, median"] = statistics.median(speeds)
    return found


def markdown(record: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    lines = [
        f"Relative duality gap at most {settings['target']:g}, measured; symmetric noise at rate "
        "0.5, seed 0. Speed: the time of the fastest peer that got there over the time of the "
        "row, so above 1 is faster than every peer. Products: time over passes times the two "
        "matrix products of a pass, at the best rate seen on this machine in float64 / float32; "
        "passes in bfloat16 at the best rate of these.",
        "",
    ]
    for problem in record["problems"]:
        rows = []
        for row in problem["rows"]:
            over = row.get("over_products")
            rows.append(
                [
                    row["method"],
                    seconds_words(row["seconds"]),
                    ratio_words(row["speed"]),
                    "–" if row["gap"] is None else f"{row['gap']:.1e}",
                    f"{over['float64']:.2f} / {over['float32']:.2f}" if over else "–",
                    row["work"],
                ]
            )
        lines += [f"**{problem['problem']}**", ""]
        if problem.get("peers"):
            lines[-2] += f" (of the peers only {problem['peers']})"
        floor = _floor_words(problem["pass_seconds"])
        lines += [f"The products of one pass at best: {floor}. {_asked_words(problem)}", ""]
        lines += table(["method", "seconds", "speed", "measured gap", "products", "work"], rows)
    return lines


def _asked_words(problem: dict[str, Any]) -> str:
    return f"{problem['repeats']} repeats, peers at most {problem['cap']:g} s a run."


def _floor_words(floor: dict[str, dict[str, float]]) -> str:
    words = ", ".join(f"{1e3 * min(t.values()):.3g} ms in {dtype}" for dtype, t in floor.items())
    rough = floor.get("bfloat16", {})
    if "tiles" in rough:  # two ways to the same
        words += f" (by XLA {1e3 * rough['jax']:.3g} ms, in tiles {1e3 * rough['tiles']:.3g} ms)"
    return words
