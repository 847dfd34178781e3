"""Exactly when every training label, clean or wrong, is recovered after t rounds."""

from dataclasses import replace

import numpy as np
from flint import fmpq

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import block, draw_block
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, variants


def _draw(rng: np.random.Generator) -> Instance:
    kind = rng.random()
    b = draw_block(rng, clean=0.8 if 0.1 < kind < 0.7 else 0.0)
    t = blocks.draw_round(rng, b)
    if kind < 0.1:
        b = replace(b, counts=b.n * np.eye(b.n_classes, dtype=int))
    elif kind < 0.4:  # on the boundary, where μ can be chosen so
        t = int(rng.integers(1, 3))
        b = b.apart().tied(t)
    elif kind < 0.7 and b.delta is not None and b.delta > 0:  # near to it
        rho = (1 + rng.uniform(0.5, 2.5) / float(b.delta)) ** (1 / t)
        b = b.near_ratio(rho, 1000)
    elif kind < 0.8:  # C and its transpose differ in Δ, 1/10 and 1/5; ρ^t lies between
        counts = ((5, 4, 1, 0), (2, 6, 1, 1), (2, 0, 8, 0), (1, 0, 0, 9))
        b = block(counts, m=4, c=17, d=2, mu=1)
        b, t = b.with_ratio(1 + 1 / fmpq(int(rng.integers(11, 20)), 100)), 1
    return {"block": b, "t": t}


def _compare(instance: Instance, variant: str = "") -> Check:
    """The condition against the smallest margin over all samples, found by dense exact solves."""
    b, t = instance["block"], instance["t"]
    c = instance.get("corruption", b.class_means())
    if variant == "transposed C":
        c = c.T
    p_a, p_b, _, _ = b.filters(t + (variant == "a round more"))
    power = p_b / p_a
    holds = {
        "non-strict": lambda gap: gap * (power - 1) >= 1,
        "a lost factor 2": lambda gap: gap * (power - 1) > 2,
        "ρ^t in place of ρ^t − 1": lambda gap: gap * power > 1,
    }.get(variant, lambda gap: gap * (power - 1) > 1)
    k, every = range(b.n_classes), variant == "labels that never occur count too"
    gaps = [c[i, i] - c[i, j] for i in k for j in k if i != j and (every or c[i, j] > 0)]
    if power > 1:
        predicted = all(map(holds, gaps))
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
    kernel=Rocq("population_accuracy.v", ("population_accuracy",)),
    uses=("label-averaging",),
    draw=_draw,
    check=_compare,
    planted=variants(
        _compare,
        *("non-strict", "a round more", "a lost factor 2", "ρ^t in place of ρ^t − 1"),
        *("transposed C", "labels that never occur count too"),
    ),
    arguments=arguments.BLOCK_ROUND,
    instance=arguments.block,
    paper=("Theorem 4.1", "eq. (10)"),
    runs=("gramlab.population.Population.linearized", "gramlab.population.phase.Condition.decide"),
)
