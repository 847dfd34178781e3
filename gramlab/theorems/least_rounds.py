"""The least number of rounds that recovers every label, what shortens it, and reference numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import flint
import numpy as np

from gramlab.theorems._block import (
    Block,
    class_means,
    decide,
    draw_block,
    eigenvalues,
    entails,
    filters,
    iterate,
    margins,
    reals,
    smallest_difference,
    tied,
    weight_decay_for,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, Verdict

_CAP = 14
# First perfect round at K = 4, n = 500, c = 2/5, d = e = 1/10: (noise, λ, η): round.
_REFERENCE = {
    ("symmetric", "1/100000"): {1: 7, 2: 7, 3: 8, 4: 10, 5: 12, 6: 15, 7: 23},
    ("asymmetric", "1/100000"): {1: 7, 2: 8, 3: 9, 4: 11, 5: 13},
    ("symmetric", "1/10000"): {3: 2, 5: 2, 6: 3, 7: 4},
    ("symmetric", "1/1000"): {3: 1, 5: 1, 6: 1, 7: 2},
}


def _ball(ratio: Fraction, delta: Fraction, precision: int) -> flint.arb:
    """Enclosure of t* = ln(1 + 1/Δ)/ln ρ."""
    with flint.ctx.workprec(precision):
        top, bottom = 1 + 1 / delta, ratio
        logs = [flint.arb(flint.fmpq(x.numerator, x.denominator)).log() for x in (top, bottom)]
        return logs[0] / logs[1]


def _floor(ratio: Fraction, delta: Fraction) -> tuple[int, bool]:
    """⌊t*⌋ and whether t* is an integer; decided by balls or, on a boundary, by an exact power."""
    for precision in (64, 128, 256):
        ball = _ball(ratio, delta, precision)
        whole = ball.floor().unique_fmpz()
        if whole is not None and not ball.contains(flint.arb(whole)):
            return int(whole), False
        nearest = round(float(ball.mid()))
        if ratio**nearest == 1 + 1 / delta:
            return nearest, True
    raise ArithmeticError("t* could not be placed between integers at 256 bits")


def _reference() -> tuple[Verdict, list[str]]:
    verdict: Verdict = "proved"
    lines = []
    k, n, c, d = 4, 500, Fraction(2, 5), Fraction(1, 10)
    s_a, s_b = 1 - c, 1 - c + n * (c - d)
    for (noise, decay), cells in _REFERENCE.items():
        mu = k * k * n * Fraction(decay)
        ratio = s_b * (s_a + mu) / (s_a * (s_b + mu))
        for tenths, least in cells.items():
            eta = Fraction(tenths, 10)
            symmetric = noise == "symmetric"
            delta = 1 - eta - (eta / (k - 1) if symmetric else 2 * eta / k)
            ball = _ball(ratio, delta, 64)
            inside = bool(least - 1 < ball) and bool(ball < least)
            powers = ratio ** (least - 1) < 1 + 1 / delta < ratio**least
            if not powers:
                verdict = "counterexample"
            elif not inside and verdict == "proved":
                verdict = "unknown"
            lines.append(f"{noise}, λ = {decay}, η = {eta}: t* = {ball.str(8)}, round {least}")
    return verdict, lines


def _prove() -> Proof:
    r, delta, other = reals("R Delta Delta2")
    s_a, s_b, s_b2, mu, mu2 = reals("s_A s_B s_B2 mu mu2")
    c, c2, d, n, n2, u = reals("c c2 d n n2 u")

    def rho(low: Any, high: Any, shift: Any) -> Any:
        return high * (low + shift) / (low * (high + shift))

    def lift(cc: Any, nn: Any) -> Any:
        return 1 - cc + nn * (cc - d)

    eigen = [0 < s_a, s_a < s_b, mu > 0]
    order = [0 <= d, d < c, c < 1, n >= 1, mu > 0]
    verdict, lines = decide(
        {
            "ρ > 1": entails(eigen, rho(s_a, s_b, mu) > 1),
            "Δ > 1/(R−1) iff R > 1 + 1/Δ, for R = ρ^t": entails(
                [r > 1, delta > 0], (delta > 1 / (r - 1)) == (r > 1 + 1 / delta)
            ),
            "1 + 1/Δ falls in Δ": entails([0 < delta, delta < other], 1 / other < 1 / delta),
            "ρ grows with μ": entails([*eigen, mu2 > mu], rho(s_a, s_b, mu) < rho(s_a, s_b, mu2)),
            "ρ grows with s_B, so falls in d": entails(
                [*eigen, s_b2 > s_b], rho(s_a, s_b, mu) < rho(s_a, s_b2, mu)
            ),
            "ρ grows with c": entails(
                [*order, c < c2, c2 < 1],
                rho(1 - c, lift(c, n), mu) < rho(1 - c2, lift(c2, n), mu),
            ),
            "ρ grows with n at fixed λ, μ = n u": entails(
                [*order, u > 0, n2 > n],
                rho(1 - c, lift(c, n), n * u) < rho(1 - c, lift(c, n2), n2 * u),
            ),
        }
    )
    listed, numbers = _reference()
    if verdict == "proved":
        verdict = listed
    return Proof(
        verdict=verdict,
        method="z3 over the reals; ball arithmetic at 64 bits and exact powers for the numbers",
        scope="symbolic K, n, m, c, d, e, λ, Δ, t, given the accuracy condition; the "
        f"{len(numbers)} reference rounds are at K = 4, n = 500, c = 2/5, d = e = 1/10",
        evidence=(
            *lines,
            "ln is increasing: ρ^t > 1 + 1/Δ iff t > t*, and the least such integer is ⌊t*⌋ + 1",
            *numbers,
            f"no ball of t* holds an integer, every round as listed: {listed}",
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    while True:
        b = draw_block(rng, clean=float(rng.uniform(0.3, 0.9)))
        delta = smallest_difference(class_means(b))
        if delta is None or delta <= 0:
            continue
        if rng.random() < 0.5:
            tie = tied(b, int(rng.integers(1, 3)), delta)
            if tie is not b:
                return {"block": tie}
        wanted = float(rng.uniform(0.2, 8))
        ratio = Fraction((1 + 1 / delta) ** (1 / wanted)).limit_denominator(1000)
        s_a, s_b = eigenvalues(b)[:2]
        if 1 < ratio < s_b / s_a:
            return {"block": replace(b, mu=weight_decay_for(s_a, s_b, ratio))}


def _first(b: Block) -> int | None:
    """First perfect round by dense exact solves; it must stay perfect in the next one."""
    predictions = None
    for t in range(1, _CAP):
        predictions = iterate(b, 1, predictions)
        if min(margins(b, predictions)) > 0:
            return t if min(margins(b, iterate(b, 1, predictions))) > 0 else None
    return None


def _compare(instance: Instance, variant: str = "") -> Check:
    b = instance["block"]
    found = _first(b)
    p_a, p_b, _, _ = filters(b)
    delta = smallest_difference(class_means(b))
    if delta is None or delta <= 0 or p_a >= p_b:
        return Check(False, float("nan"))  # t* is not a positive number
    if variant == "1 + Δ":
        delta = 1 / delta
    floor, integer = _floor(p_b / p_a, delta)
    predicted = floor + 1
    if variant == "ceiling" and integer:
        predicted = floor
    elif variant == "late":
        predicted = floor + 2
    elif variant == "from 0":
        predicted = floor
    doubled = _first(replace(b, mu=2 * b.mu))
    monotone = found is not None and doubled is not None and doubled <= found
    slack = 0.0 if integer else float(_ball(p_b / p_a, delta, 64)) - floor
    return Check(found == predicted and monotone, slack)


def _hopeless(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, superclasses=1, classes=2, size=5)
    return {"block": replace(b, counts=((2, 3), (3, 2)))}


def _disordered(rng: np.random.Generator) -> Instance:
    b = Block(
        (5, 5), 2, Fraction(3, 10), Fraction(2, 5), Fraction(0), Fraction(1), ((4, 1), (1, 4))
    )
    return {"block": replace(b, mu=Fraction(int(rng.integers(1, 9))))}


THEOREM = Theorem(
    name="least-rounds",
    title="Least number of rounds",
    source="P (monotonicity and values D)",
    kind="identity",
    hypotheses=(
        Hypothesis("order", r"0 \le e \le d < c < 1,\ \mu > 0", _disordered),
        Hypothesis(
            "population",
            r"\text{class fractions } C,\ \textstyle\sum_k C_{kj} = 1, "
            r"\text{ corruption inside superclasses, some label wrong}",
        ),
        Hypothesis("recoverable", r"\Delta = \min_{C_{kk'} > 0} (C_{kk} - C_{kk'}) > 0", _hopeless),
    ),
    statement=r"\text{all labels are recovered exactly in rounds } t \ge \lfloor t^* \rfloor + 1, "
    r"\quad t^* = \frac{\ln(1 + 1/\Delta)}{\ln \rho}, \quad "
    r"\rho = \frac{s_B (s_A + \mu)}{s_A (s_B + \mu)}; "
    r"\quad t^* \text{ falls in } \Delta, \mu, c \text{ and in } n \text{ at fixed } \lambda, "
    r"\text{ and grows with } d",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "⌈t*⌉, so an integer t* suffices": lambda i: _compare(i, "ceiling"),
        "a round more": lambda i: _compare(i, "late"),
        "rounds counted from 0": lambda i: _compare(i, "from 0"),
        "ln(1 + Δ)": lambda i: _compare(i, "1 + Δ"),
    },
)
