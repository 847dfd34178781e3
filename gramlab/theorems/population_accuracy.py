"""Exactly when every training label, clean or wrong, is recovered after t rounds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import z3
from flint import fmpq

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import block, draw_block
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import implies, proof, reals


def _prove() -> Proof:
    # Only four entries of row k of C meet in one comparison: the true class k, the given label j,
    # the rival l. So three reals serve every K. Label averaging gives each prediction.
    a, b, g, w, x, y, z, m, k, delta, r = reals("a b g w C_kk C_kl C_kj m K Delta R")
    base = [0 < a, a < b, b <= g, g <= w, w < 1, m >= 1, k >= 2, x >= 0, y >= 0, z >= 0]

    def prediction(own: int, cls: Any, sup: Any) -> Any:
        return 1 / k + a * (own - cls) + b * (cls - sup) + g * (sup - 1 / k) + w * (1 / k - 1 / k)

    def ahead(own_true: int, own_rival: int, outside: bool = False) -> Any:
        rival = prediction(own_rival, 0, 0) if outside else prediction(own_rival, y, 1 / m)
        return prediction(own_true, x, 1 / m) > rival

    def condition(entry: Any) -> Any:
        return z3.Implies(entry > 0, x - entry > a / (b - a))

    both = [*base, z > 0, condition(y), condition(z)]
    return proof(
        "z3 over the reals, from label averaging with a = p_A^t, b = p_B^t, g, w",
        "symbolic n, m, K, c, d, e, μ, t and entries of C: one comparison meets three "
        "entries of a row, so no size is fixed",
        "inside a superclass C̄_s is 1/m on its classes, 0 elsewhere, and C̄ = 1/K",
        implies("necessary: j = l", [*base, y > 0, ahead(0, 1)], condition(y)),
        implies("sufficient: j = l", [*base, y > 0, condition(y)], ahead(0, 1)),
        implies("sufficient: j = k, l inside", [*base, x > 0, condition(y)], ahead(1, 0)),
        implies("sufficient: j, k, l differ, l inside", both, ahead(0, 0)),
        implies("sufficient: j = k, l outside", [*base, x > 0], ahead(1, 0, True)),
        implies("sufficient: j ≠ k, l outside", [*base, z > 0, condition(z)], ahead(0, 0, True)),
        implies(
            "a/(b−a) = 1/(R−1) at R = b/a", [0 < a, a < b, r == b / a], a / (b - a) == 1 / (r - 1)
        ),
        implies(
            "Δ > 1/(R−1) iff Δ > 0 and R > 1 + 1/Δ",
            [r > 1],
            (delta > 1 / (r - 1)) == z3.And(delta > 0, r > 1 + 1 / delta),
        ),
        "ρ^t > 1 + 1/Δ iff t > ln(1 + 1/Δ)/ln ρ because ρ > 1",
    )


def _draw(rng: np.random.Generator) -> Instance:
    b = draw_block(rng)
    t = blocks.draw_round(rng, b)
    kind = rng.random()
    if kind < 0.1:
        b = replace(b, counts=b.n * np.eye(b.n_classes, dtype=int))
    elif kind < 0.5:
        t = min(t, 3)  # whose roots are rational now and then
        b = b.tied(t, blocks.smallest_difference(b.class_means()))
    elif kind < 0.65:  # C and its transpose differ in Δ, 1/10 and 1/5; ρ^t lies between
        counts = ((5, 4, 1, 0), (2, 6, 1, 1), (2, 0, 8, 0), (1, 0, 0, 9))
        b = block(counts, m=4, c=17, d=2, mu=1)
        b, t = b.tied(1, fmpq(int(rng.integers(11, 20)), 100)), 1
    return {"block": b, "t": t}


def _compare(
    instance: Instance,
    holds: Callable[[fmpq, fmpq], bool] = lambda gap, power: gap * (power - 1) > 1,
    rounds: int = 0,
    transposed: bool = False,
    everywhere: bool = False,
) -> Check:
    """The condition against the smallest margin over all samples, found by dense exact solves."""
    b, t = instance["block"], instance["t"]
    c = instance.get("corruption", b.class_means())
    if transposed:
        c = c.T
    p_a, p_b, _, _ = b.filters(t + rounds)
    power = p_b / p_a
    k = range(b.n_classes)
    gaps = [c[i, i] - c[i, j] for i in k for j in k if i != j and (everywhere or c[i, j] > 0)]
    if power > 1:
        predicted = all(holds(gap, power) for gap in gaps)
    else:  # 1/(ρ^t − 1) is negative, or there is none
        predicted = power < 1 and all(gap > 1 / (power - 1) for gap in gaps)
    found = b.iterate(t)
    worst = min(b.margins(found))
    decided = [condition.perfect(t) for condition in b.conditions()] or [worst > 0]
    agrees = b.agrees(t, found) and all(decided) == (worst > 0)
    return Check(predicted == (worst > 0), float(worst)).also(agrees)


def _sampled(rng: np.random.Generator) -> Instance:
    counts, mu = ((1, 3, 1), (1, 3, 1), (1, 1, 3)), int(rng.integers(5, 20))
    population = block(np.ones((3, 3), dtype=int) + 2 * np.eye(3, dtype=int), 3, 18, 0, mu)
    drawn = replace(population, counts=counts)
    return {"block": drawn, "t": 1, "corruption": population.class_means()}


def _exact_shares(instance: Instance) -> Held:
    shares = instance["block"].class_means()
    off = float(abs(instance.get("corruption", shares) - shares).max())
    return Held(off == 0, f"given labels are off the shares C by up to {off:.6g}")


THEOREM = Theorem(
    name="population-accuracy",
    title="When all training labels are recovered",
    source="P (superclass case and both directions D)",
    kind="necessary and sufficient",
    hypotheses=(
        blocks.ORDER,
        replace(blocks.EQUAL_SIZES, without=None),
        Hypothesis(
            "population",
            r"\text{a fraction } C_{kj} \text{ of class } k \text{ is given the label } j",
            _sampled,
            _exact_shares,
        ),
        blocks.BALANCED,
        blocks.INSIDE,
    ),
    statement=r"\operatorname{argmax} P_i^{(t)} \text{ is unique and true for every } i \iff "
    r"C_{kk} - C_{kk'} > \frac{1}{\rho^t - 1} \text{ for all } k' \ne k \text{ with } C_{kk'} > 0 "
    r"\iff \Delta > 0,\ t > \frac{\ln(1 + 1/\Delta)}{\ln \rho} \text{ or no label is wrong}; "
    r"\quad \rho = p_B / p_A,\ \Delta = \min_{C_{kk'} > 0} (C_{kk} - C_{kk'})",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "non-strict": lambda i: _compare(i, lambda gap, power: gap * (power - 1) >= 1),
        "a round more": lambda i: _compare(i, rounds=1),
        "a lost factor 2": lambda i: _compare(i, lambda gap, power: gap * (power - 1) > 2),
        "ρ^t in place of ρ^t − 1": lambda i: _compare(i, lambda gap, power: gap * power > 1),
        "transposed C": lambda i: _compare(i, transposed=True),
        "labels that never occur count too": lambda i: _compare(i, everywhere=True),
    },
    arguments=arguments.BLOCK_ROUND,
    instance=arguments.block_round,
    paper=("Theorem 4.1", "eq. (10)"),
    runs=("gramlab.population.Population.linearized", "gramlab.population.phase.Condition.decide"),
)
