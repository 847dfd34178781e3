"""One exact head against its peers, at an equal measured relative duality gap.

Each source raw and centred with unit norm, at three weight decays, 50 % symmetric label noise.
Three rows are gramlab's: cold, on a Features object that remembers nothing; warm, on one that was
fitted before; and cold with the labels as soft targets (N, K), which no peer takes. Each is also
set against the two matrix products that a pass cannot do without.
"""

from __future__ import annotations

from collections.abc import Iterator

from _measure import Problem, Settings, Table, fresh, pass_seconds, problems, repeat
from _peers import Result, everyone

import gramlab

WEIGHT_DECAYS = (5e-5, 5e-4, 5e-3)


def ours(problem: Problem, settings: Settings) -> Iterator[Result]:
    head = gramlab.SoftmaxHead(problem.weight_decay, tolerance=settings.target)
    again = fresh(problem.features)
    for method, targets in (
        ("gramlab cold", problem.labels),
        ("gramlab warm", problem.labels),
        ("gramlab cold, soft", problem.targets),
    ):
        head.fit(again, targets)  # compiles: once per shape and process, in nobody's time
        seconds, found = repeat(
            lambda features, targets=targets: head.fit(features, targets),
            settings.repeats,
            lambda warm="warm" in method: again if warm else fresh(problem.features),
        )
        gap, work = problem.relative_gap(found.weights), f"{found.stats.passes:.0f} passes"
        if gap > settings.target:
            seconds, work = None, f"missed; {work}"
        yield Result(method, seconds, gap, work, passes=found.stats.passes)


def compare_on(problem: Problem, settings: Settings) -> Table:
    n, d = problem.features.x.shape
    shape = n, min(n, d), problem.features.n_classes  # in the coordinates of the solver
    floors = {dtype: pass_seconds(*shape, dtype) for dtype in ("float64", "float32")}
    found = [*ours(problem, settings), *everyone(problem, settings)]
    reached = [r.seconds["median"] for r in found if r.seconds and not r.passes]
    rows, ratios = [], {}
    for result in found:
        median = result.seconds["median"] if result.seconds else None
        speed = min(reached) / median if reached and median else None
        rows.append({"method": result.method, "seconds": result.seconds, "speed": speed})
        for dtype, floor in floors.items():
            over = median / (result.passes * floor) if median and result.passes else None
            rows[-1][f"products, {dtype}"] = over
        rows[-1] |= {"measured gap": result.gap, "work": result.work}
        if speed and result.passes:
            ratios[f"{result.method.removeprefix('gramlab ')} head"] = speed
    best = ", ".join(f"{1e3 * floor:.3g} ms in {dtype}" for dtype, floor in floors.items())
    text = f"Gap at most {settings.target:g}. The products of one pass at best: {best}."
    return {"problem": problem.name, "text": text, "rows": rows, "ratios": ratios}


def run(settings: Settings) -> Iterator[Table]:
    for problem in problems(settings.sources, (5e-4,) if settings.quick else WEIGHT_DECAYS):
        if settings.problem in problem.name:
            yield compare_on(problem, settings)
