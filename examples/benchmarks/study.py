"""The paper's grid at one weight decay: 8 noise rates x 3 seeds x (5 rounds + a top-two student).

144 exact heads on one feature matrix, each certified; solving and certifying are timed apart. The
peer fits the 24 teachers, because it takes no soft targets; its time is scaled to all heads as if a
student cost what a teacher does. A teacher that it missed counts with the time of its last run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from _measure import WEIGHT_DECAY, Problem, Settings, Table, fresh, noisy, prepared, repeat, timed
from _peers import Result, scikit_learn

import gramlab
from gramlab.runner import parallel_map

RATES = (0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
SEEDS = (0, 1, 2)
ROUNDS = 5


def fit_heads(
    head: gramlab.SoftmaxHead, features: gramlab.Features, problems: list[Problem]
) -> list[gramlab.Fit]:
    """Every head: of each draw of labels the rounds and the student on its two largest."""

    def draw(problem: Problem, _: int) -> list[gramlab.Fit]:
        rounds = gramlab.distill(head, features, problem.targets, ROUNDS)
        two = gramlab.partial_labels(rounds[0].probabilities, 2, seed=0)
        return [*rounds, head.fit(features, two, start=rounds[0].weights)]

    gramlab.Spectrum.of(features)
    return [fit for fits in parallel_map(draw, problems) for fit in fits]


def peer(problem: Problem, settings: Settings) -> Result:
    """newton-cg in float32, the fastest seen; in float64 where that has too few digits."""
    found = scikit_learn("newton-cg", "float32", problem, settings)
    return found if found.seconds else scikit_learn("newton-cg", "float64", problem, settings)


def run(settings: Settings) -> Iterator[Table]:
    name, features = next(iter(prepared(settings.sources[0]).items()))
    seeds = SEEDS[:1] if settings.quick else SEEDS
    problems = [noisy(name, features, rate=rate, seed=seed) for rate in RATES for seed in seeds]
    head = gramlab.SoftmaxHead(WEIGHT_DECAY, tolerance=settings.target)
    fit_heads(head, fresh(features), problems[:1])  # compiles, in nobody's time
    solved, fits = repeat(
        lambda again: fit_heads(head, again, problems), settings.repeats, lambda: fresh(features)
    )
    certified, gaps = timed(lambda: [fit.certificate.relative_gap for fit in fits])
    rows = [
        {"what": "gramlab, solving", "heads": len(fits), "seconds": solved},
        {"what": "gramlab, certifying", "heads": len(fits), "seconds": certified},
    ]
    missed = sum(gap > settings.target for gap in gaps)
    text = (
        f"Largest relative gap {max(gaps):.1e}, {missed or 'none'} above {settings.target:g}; "
        f"{sum(fit.stats.passes for fit in fits):.0f} passes in all; factorization in solving."
    )
    table = {"problem": problems[0].name, "text": text, "rows": rows, "ratios": {}}
    yield table

    found = [peer(problem, replace(settings, repeats=1)) for problem in problems]
    if skipped := next((r.work for r in found if r.work.startswith("skipped")), None):
        yield table | {"text": f"{text} scikit-learn newton-cg {skipped}."}
        return
    total = sum(result.spent for result in found)
    scaled = total * len(fits) / len(found)
    rows.append({"what": "scikit-learn newton-cg", "heads": len(found), "seconds": total})
    rows.append({"what": "the same, scaled", "heads": len(fits), "seconds": scaled})
    low = sum(not result.seconds for result in found)
    wide = sum("float64" in result.method for result in found)
    text += f" Of the peer's teachers {wide} needed float64, {low} missed."
    spent = solved["median"]
    ratios = {"study, solving": scaled / spent, "study, certified": scaled / (spent + certified)}
    yield table | {"text": text, "ratios": ratios}
