"""The least number of rounds that recovers every label, what shortens it, and reference numbers."""

import math
from dataclasses import replace
from itertools import count

import numpy as np

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import Block, draw_block
from gramlab.theorems._hypotheses import all_of
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, variants


def _draw(rng: np.random.Generator) -> Instance:
    while True:
        b = draw_block(rng, clean=float(rng.uniform(0.3, 0.9)))
        if b.delta is None or b.delta <= 0:
            continue
        if rng.random() < 0.5:
            far = b.apart()
            if (tie := far.tied(int(rng.integers(1, 3)))) is not far:
                return {"block": tie}
        least = 10 ** float(rng.uniform(-0.7, np.log10(min(60, 200 / len(b.true)))))
        ratio = float(1 + 1 / b.delta) ** (1 / least)
        if (found := b.near_ratio(ratio, 1000)) is not b:
            return {"block": found}


def _first(b: Block, most: int) -> int | None:
    """First perfect round up to ``most`` by dense exact solves; the next must be perfect too."""
    predictions = None
    for t in range(1, most + 1):
        predictions = b.iterate(1, predictions)
        if min(b.margins(predictions)) > 0:
            return t if min(b.margins(b.iterate(1, predictions))) > 0 else None
    return None


def _compare(instance: Instance, variant: str = "") -> Check:
    b = instance["block"]
    p_a, p_b, _, _ = b.filters()
    delta = b.delta
    if delta is None or delta <= 0 or p_a >= p_b:
        return Check(False, float("nan"))  # t* is not a positive number
    ratio = p_b / p_a
    floor = next(t for t in count() if ratio ** (t + 1) > 1 + 1 / delta)  # of t*
    # One round more than claimed: a statement of a round too few is refuted as one too many.
    found, doubled = (_first(one, floor + 2) for one in (b, replace(b, mu=2 * b.mu)))
    if variant == "ln(1 + Δ)":
        delta = 1 / delta
        floor = next(t for t in count() if ratio ** (t + 1) > 1 + 1 / delta)
    integer = ratio**floor == 1 + 1 / delta
    first = {
        "a round more": floor + 2,
        "rounds counted from 0": floor,
        "⌈t*⌉, so an integer t* suffices": floor + (not integer),
    }
    monotone = found is not None and doubled is not None and doubled <= found
    least = math.log1p(float(1 / delta)) / math.log1p(float(ratio - 1))
    good = found == first.get(variant, floor + 1) and monotone
    return Check(good, 0.0 if integer else least - floor).also(_agrees(b, found))


def _agrees(b: Block, first: int | None) -> bool:
    """Whether the package finds the same first round, which a tie of rounded shares leaves open."""
    if b.population is None or first is None:
        return True
    told = b.population.first_perfect_round("linearized", first + 1)
    bound = b.population.minimum_rounds()
    # t* is known to a few roundings of its logarithms, and so is an integer t*.
    near = abs(bound - round(bound)) <= 64 * np.finfo(float).eps * (1 + bound)
    exact = (b.population.corruption == b.class_means()).all()
    good = told == first or (near and not exact and told in (first - 1, first))
    return good and (near or first == int(np.floor(bound)) + 1)


def _some_wrong(instance: Instance) -> Held:
    """Whether some given label is wrong."""
    c = instance["block"].class_means()
    share = 1 - float(np.trace(c)) / len(c)
    return Held(share > 0, f"share of wrong labels {share:.6g}")


def _recoverable(instance: Instance) -> Held:
    delta = instance["block"].delta
    if delta is None:
        return Held(True, "no label is wrong")
    return Held(bool(delta > 0), f"Δ = {float(delta):.6g}")


THEOREM = Theorem(
    name="least-rounds",
    title="Least number of rounds",
    source="P (monotonicity and values D)",
    kind="identity",
    hypotheses=(
        blocks.ORDER,
        Hypothesis(
            "population",
            r"\text{class fractions } C,\ \textstyle\sum_k C_{kj} = 1, "
            r"\text{ corruption inside superclasses, some label wrong}",
            test=all_of(blocks.columns_sum_to_one, blocks.stays_inside, _some_wrong),
        ),
        Hypothesis(
            "recoverable",
            r"\Delta = \min_{C_{kk'} > 0} (C_{kk} - C_{kk'}) > 0",
            lambda rng: {"block": replace(draw_block(rng, 1, 2, 5), counts=((2, 3), (3, 2)))},
            _recoverable,
        ),
    ),
    statement=r"\text{all labels are recovered exactly in rounds } t \ge \lfloor t^* \rfloor + 1, "
    r"\quad t^* = \frac{\ln(1 + 1/\Delta)}{\ln \rho}, \quad \rho = \frac{s_B (s_A + \mu)}{s_A (s_B "
    r"+ \mu)}; \quad t^* \text{ falls in } \Delta, \mu, c \text{ and in } n \text{ at fixed } "
    r"\lambda, \text{ and grows with } d",
    kernel=Rocq("least_rounds.v", ("least_rounds", "least_rounds_monotone")),
    uses=("population-accuracy",),
    draw=_draw,
    check=_compare,
    planted=variants(
        _compare,
        *("⌈t*⌉, so an integer t* suffices", "a round more"),
        *("rounds counted from 0", "ln(1 + Δ)"),
    ),
    arguments=arguments.BLOCK,
    instance=arguments.block,
    paper=("Theorem 4.1",),
    runs=(
        "gramlab.population.Population.first_perfect_round",
        "gramlab.population.Population.minimum_rounds",
    ),
)
