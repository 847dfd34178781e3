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


def _equal(drawn: Instance) -> Instance:
    """The same weight decay in every round of both schedules."""
    mus = [drawn["block"].mu] * drawn["t"]
    return {"block": drawn["block"], "mus": mus, "others": mus}


def _with_two(hypothesis: Hypothesis) -> Hypothesis:
    without: Any = hypothesis.without
    return replace(hypothesis, without=lambda rng: _equal(without(rng)))


def _the_more_even_first(rng: np.random.Generator) -> Instance:
    mu = fmpq(int(rng.integers(50, 200)), 100)
    return {"block": draw_block(rng), "mus": [mu, mu], "others": [mu / 2, mu + mu / 2]}


def _iterate(b: Block, mus: list[fmpq]) -> np.ndarray:
    """Predictions of rounds of several weight decays, by dense solves."""
    found = b.one_hot
    for mu in mus:
        found = replace(b, mu=mu).iterate(1, found)
    return found


def _ratio(b: Block, mus: list[fmpq]) -> fmpq:
    """R = ∏ p_B/p_A, and whether the filter of the package says the same."""
    found = fmpq(1)
    for mu in mus:
        p_a, p_b, _, _ = replace(b, mu=mu).filters()
        found *= p_b / p_a
    return found


def _filtered(b: Block, mus: list[fmpq]) -> float:
    """R by the filter that users call."""
    s_a, s_b, _, _ = (np.array([float(s)]) for s in b.eigenvalues())
    kept = [filter_power(s_b, float(m)) / filter_power(s_a, float(m)) for m in mus]
    return float(np.prod(kept))


def _compare(instance: Instance, variant: str = "") -> Check:
    b, found = instance["block"], []
    s_a, s_b, _, _ = b.eigenvalues()
    for mus in (instance["mus"], instance["others"]):
        ratio, margin = _ratio(b, mus), min(b.margins(_iterate(b, mus)))
        gap = 1 if b.delta is None else b.delta * (ratio - 1) - 1
        right = (gap >= 0 if variant == "non-strict" else gap > 0) == (margin > 0)
        # Sums and quotients of rationals that were rounded.
        rounding = 16 * (len(mus) + 1) * EPS
        same = abs(_filtered(b, mus) / float(ratio) - 1) <= rounding
        most = float(sum(mus) * (1 / s_a - 1 / s_b)) + rounding
        found.append(
            (ratio, margin > 0, right and same and math.log(float(ratio)) <= most * (1 + rounding))
        )
    if variant == "uneven rounds recover more":
        found.reverse()
    (less, uneven_, one), (more, even, other) = found
    return Check(bool(one and other and less <= more and even >= uneven_), float(more - less))


THEOREM = Theorem(
    name="schedule-recovery",
    title="At one total weight decay, even rounds recover most in the block model",
    source="D",
    kind="necessary and sufficient",
    hypotheses=(
        _with_two(replace(blocks.ORDER, statement=r"0 \le e \le d < c < 1", test=blocks.in_order)),
        blocks.POPULATION,
        _with_two(replace(blocks.BALANCED, without=lambda rng: {**blocks.unbalanced(rng), "t": 1})),
        _with_two(replace(blocks.INSIDE, without=lambda rng: {**blocks.crossing(rng), "t": 1})),
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
