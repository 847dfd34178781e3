"""The least number of rounds that recovers every label, what shortens it, and reference numbers."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import (
    ORDER,
    Block,
    columns_sum_to_one,
    draw_block,
    nearby,
    smallest_difference,
    some_wrong,
    stays_inside,
)
from gramlab.theorems._hypotheses import all_of
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import Step, implies, positive, proof, reals

_REFERENCE = {
    ("symmetric", fmpq(1, 100000)): {1: 7, 2: 7, 3: 8, 4: 10, 5: 12, 6: 15, 7: 23},
    ("asymmetric", fmpq(1, 100000)): {1: 7, 2: 8, 3: 9, 4: 11, 5: 13},
    ("symmetric", fmpq(1, 10000)): {3: 2, 5: 2, 6: 3, 7: 4},
    ("symmetric", fmpq(1, 1000)): {3: 1, 5: 1, 6: 1, 7: 2},
}
"""First perfect rounds at K = 4, n = 500, c = 2/5, d = e = 1/10: noise and λ, 10η, round."""


def _ball(ratio: fmpq, delta: fmpq) -> arb:
    """Enclosure of t* = ln(1 + 1/Δ)/ln ρ."""
    with ctx.workprec(64):
        return arb(1 + 1 / delta).log() / arb(ratio).log()


def _reference() -> Iterator[Step]:
    k, n = 4, 500
    model = Block([[n, 0]] * k, 1, fmpq(2, 5), fmpq(1, 10), fmpq(1, 10), fmpq(0))
    for (noise, decay), cells in _REFERENCE.items():
        p_a, p_b, _, _ = replace(model, mu=k * k * n * decay).filters()
        ratio = p_b / p_a
        for tenths, least in cells.items():
            eta = fmpq(tenths, 10)
            delta = 1 - eta - (eta / (k - 1) if noise == "symmetric" else 2 * eta / k)
            ball = _ball(ratio, delta)
            aim = 1 + 1 / delta
            powers = aim - ratio ** (least - 1), ratio**least - aim
            line = f"{noise}, λ = {decay}, η = {eta}: t* = {ball.str(8)}, round {least}"
            yield positive(line, *powers, ball - (least - 1), least - ball)


def _prove() -> Proof:
    r, delta, other = reals("R Delta Delta2")
    s_a, s_b, s_b2, mu, mu2 = reals("s_A s_B s_B2 mu mu2")
    c, c2, d, n, n2, u = reals("c c2 d n n2 u")

    def rho(low: Any, high: Any, shift: Any) -> Any:
        return high * (low + shift) / (low * (high + shift))

    def of(cc: Any, nn: Any, shift: Any) -> Any:
        return rho(1 - cc, 1 - cc + nn * (cc - d), shift)

    eigen = [0 < s_a, s_a < s_b, mu > 0]
    order = [0 <= d, d < c, c < 1, n >= 1, mu > 0]
    numbers, now = list(_reference()), rho(s_a, s_b, mu)
    iff = (delta > 1 / (r - 1)) == (r > 1 + 1 / delta)
    rate, more = [*order, u > 0, n2 > n], [*eigen, s_b2 > s_b]
    return proof(
        "z3 over the reals; ball arithmetic at 64 bits and exact powers for the numbers",
        "symbolic K, n, m, c, d, e, λ, Δ, t, given the accuracy condition; the "
        f"{len(numbers)} reference rounds are at K = 4, n = 500, c = 2/5, d = e = 1/10",
        implies("ρ > 1", eigen, now > 1),
        implies("Δ > 1/(R−1) iff R > 1 + 1/Δ, for R = ρ^t", [r > 1, delta > 0], iff),
        implies("1 + 1/Δ falls in Δ", [0 < delta, delta < other], 1 / other < 1 / delta),
        implies("ρ grows with μ", [*eigen, mu2 > mu], now < rho(s_a, s_b, mu2)),
        implies("ρ grows with s_B, so falls in d", more, now < rho(s_a, s_b2, mu)),
        implies("ρ grows with c", [*order, c < c2, c2 < 1], of(c, n, mu) < of(c2, n, mu)),
        implies("ρ grows with n at fixed λ, μ = n u", rate, of(c, n, n * u) < of(c, n2, n2 * u)),
        "ln is increasing: ρ^t > 1 + 1/Δ iff t > t*, and the least such integer is ⌊t*⌋ + 1",
        *numbers,
    )


def _draw(rng: np.random.Generator) -> Instance:
    while True:
        b = draw_block(rng, clean=float(rng.uniform(0.3, 0.9)))
        delta = smallest_difference(b.class_means())
        if delta is None or delta <= 0:
            continue
        if rng.random() < 0.5:
            tie = b.tied(int(rng.integers(1, 3)), delta)
            if tie is not b:
                return {"block": tie}
        least = 10 ** float(rng.uniform(-0.7, np.log10(min(60, 200 / len(b.true)))))
        power = float(1 + 1 / delta) ** (1 / least)
        if (found := b.with_ratio(nearby(power, 1000))) is not None:
            return {"block": found}


def _first(b: Block, most: int) -> int | None:
    """First perfect round up to ``most`` by dense exact solves; the next must be perfect too."""
    predictions = None
    for t in range(1, most + 1):
        predictions = b.iterate(1, predictions)
        if min(b.margins(predictions)) > 0:
            return t if min(b.margins(b.iterate(1, predictions))) > 0 else None
    return None


def _floor(ratio: fmpq, delta: fmpq) -> int:
    """⌊t*⌋, in rationals."""
    return next(t for t in count() if ratio ** (t + 1) > 1 + 1 / delta)


def _compare(instance: Instance, variant: str = "") -> Check:
    b = instance["block"]
    p_a, p_b, _, _ = b.filters()
    delta = smallest_difference(b.class_means())
    if delta is None or delta <= 0 or p_a >= p_b:
        return Check(False, float("nan"))  # t* is not a positive number
    ratio = p_b / p_a
    floor = _floor(ratio, delta)
    # One round more than claimed: a statement of a round too few is refuted as one too many.
    found, doubled = (_first(one, floor + 2) for one in (b, replace(b, mu=2 * b.mu)))
    if variant == "1 + Δ":
        delta = 1 / delta
        floor = _floor(ratio, delta)
    integer = ratio**floor == 1 + 1 / delta
    first = {"late": floor + 2, "from 0": floor, "ceiling": floor + (not integer)}
    monotone = found is not None and doubled is not None and doubled <= found
    slack = 0.0 if integer else float(_ball(ratio, delta)) - floor
    good = found == first.get(variant, floor + 1) and monotone
    return Check(good, slack).also(_agrees(b, found))


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


def _recoverable(instance: Instance) -> Held:
    delta = smallest_difference(instance["block"].class_means())
    if delta is None:
        return Held(True, "no label is wrong")
    return Held(bool(delta > 0), f"Δ = {float(delta):.6g}")


THEOREM = Theorem(
    name="least-rounds",
    title="Least number of rounds",
    source="P (monotonicity and values D)",
    kind="identity",
    hypotheses=(
        ORDER,
        Hypothesis(
            "population",
            r"\text{class fractions } C,\ \textstyle\sum_k C_{kj} = 1, "
            r"\text{ corruption inside superclasses, some label wrong}",
            test=all_of(columns_sum_to_one, stays_inside, some_wrong),
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
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "⌈t*⌉, so an integer t* suffices": lambda i: _compare(i, "ceiling"),
        "a round more": lambda i: _compare(i, "late"),
        "rounds counted from 0": lambda i: _compare(i, "from 0"),
        "ln(1 + Δ)": lambda i: _compare(i, "1 + Δ"),
    },
    arguments=arguments.BLOCK,
    instance=arguments.block,
    paper=("Theorem 4.1",),
    runs=(
        "gramlab.population.Population.first_perfect_round",
        "gramlab.population.Population.minimum_rounds",
    ),
)
