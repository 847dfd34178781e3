"""In the block model, even rounds recover all labels wherever uneven ones of the same total do."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from flint import fmpq

from gramlab.spectrum.filters import filter_power
from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import Block, draw_block
from gramlab.theorems._schedules import EPS, EXACT_SCHEDULES, POSITIVE, majorization, uneven
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, variants


def _draw(rng: np.random.Generator) -> Instance:
    if rng.random() < 0.3:  # a tie where a rational μ makes one; then one round is halved
        b, t = draw_block(rng), int(rng.integers(1, 3))
        b = b.tied(t)
        return {"block": b, "mus": [b.mu] * t, "others": [b.mu] * (t - 1) + [b.mu / 2] * 2}
    scale = int(10 ** rng.uniform(1, 4))
    mus, others = ([fmpq(m, scale) for m in one] for one in uneven(rng))
    return {"block": draw_block(rng), "mus": mus, "others": others}


def _with_two(hypothesis: Hypothesis) -> Hypothesis:
    """The same, which fails at one weight decay in every round of both schedules."""
    drawn: Any = hypothesis.without

    def without(rng: np.random.Generator) -> Instance:
        found = drawn(rng)
        mus = [found["block"].mu] * found["t"]
        return {"block": found["block"], "mus": mus, "others": mus}

    return replace(hypothesis, without=without)


def _the_more_even_first(rng: np.random.Generator) -> Instance:
    mu = fmpq(int(rng.integers(50, 200)), 100)
    return {"block": draw_block(rng), "mus": [mu, mu], "others": [mu / 2, mu + mu / 2]}


def _rounds(b: Block, mus: list[fmpq]) -> tuple[fmpq, bool, bool]:
    """R = ∏ p_B/p_A, whether all are right by dense solves, and whether the filter says R too."""
    found, ratio, told = b.one_hot, fmpq(1), 1.0
    s_a, s_b, _, _ = b.eigenvalues()
    for mu in mus:
        one = replace(b, mu=mu)
        p_a, p_b, _, _ = one.filters()
        found, ratio = one.iterate(1, found), ratio * p_b / p_a
        kept = filter_power(np.array([float(s_b), float(s_a)]), float(mu))
        told *= kept[0] / kept[1]
    # Sums and quotients of rationals that were rounded.
    rounding = 16 * (len(mus) + 1) * EPS
    most = (float(sum(mus) * (1 / s_a - 1 / s_b)) + rounding) * (1 + rounding)
    same = abs(told / float(ratio) - 1) <= rounding and math.log(float(ratio)) <= most
    return ratio, min(b.margins(found)) > 0, same


def _compare(instance: Instance, variant: str = "") -> Check:
    b, good = instance["block"], True
    found = [_rounds(b, instance[name]) for name in ("mus", "others")]
    for ratio, right, same in found:
        gap = 1 if b.delta is None else b.delta * (ratio - 1) - 1
        good = good and same and right == (gap >= 0 if variant == "non-strict" else gap > 0)
    if variant == "uneven rounds recover more":
        found.reverse()
    (less, uneven_, _), (more, even, _) = found
    return Check(bool(good and less <= more and even >= uneven_), float(more - less))


THEOREM = Theorem(
    name="schedule-recovery",
    title="At one total weight decay, even rounds recover most in the block model",
    source="D",
    kind="necessary and sufficient",
    hypotheses=(
        _with_two(replace(blocks.ORDER, statement=r"0 \le e \le d < c < 1", test=blocks.in_order)),
        blocks.POPULATION,
        _with_two(blocks.BALANCED),
        _with_two(blocks.INSIDE),
        POSITIVE,
        majorization(_the_more_even_first),
    ),
    statement=r"\text{rounds at } \mu_1, \mu_2, \dots \text{ recover every label} \iff \Delta > "
    r"\frac{1}{R(\mu) - 1} \text{ or no label is wrong}, \quad R(\mu) = \prod_i "
    r"\frac{p_B(\mu_i)}{p_A(\mu_i)}; \quad R(\mu) \le R(\nu) \le e^{\Lambda (1/s_A - 1/s_B)}, "
    r"\text{ so if rounds at } \mu \text{ recover every label, so do those at } \nu",
    kernel=Rocq("schedule_recovery.v", ("schedule_recovery",)),
    uses=("label-averaging", "population-accuracy"),
    draw=_draw,
    check=_compare,
    planted=variants(_compare, "uneven rounds recover more", "non-strict"),
    arguments={
        **{name: arguments.BLOCK[name] for name in ("model", "corruption")},
        **EXACT_SCHEDULES,
    },
    instance=partial(arguments.block, mu=1),
    runs=("gramlab.spectrum.filters.filter_power",),
)
