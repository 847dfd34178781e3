"""The round at which label averaging gives a class its largest weight."""

from collections.abc import Callable

import numpy as np
from flint import arb, ctx

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import ORDER, Block, draw_block
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def _peak(b: Block) -> arb:
    """t₀, as a ball."""
    p_a, p_b, _, _ = b.filters()
    with ctx.workprec(256):
        return (arb(p_a).log() / arb(p_b).log()).log() / (arb(p_b) / arb(p_a)).log()


def _draw(rng: np.random.Generator) -> Instance:
    while True:
        b = draw_block(rng)
        if _peak(b) < 200:
            return {"block": b}


def _compare(instance: Instance, peak: Callable[[Block], arb] = _peak) -> Check:
    """Weights round by round in rationals; and the package's, to their rounding."""
    b = instance["block"]
    at = peak(b)
    last = max(1, int(np.ceil(float(at))))
    times = range(1, last + 3)
    weights = [p_b - p_a for p_a, p_b, _, _ in map(b.filters, times)]
    best = int(np.argmax(weights)) + 1
    rises = weights[:best] == sorted(weights[:best])
    falls = weights[best - 1 :] == sorted(weights[best - 1 :], reverse=True)
    rounding = 16 * last * np.finfo(float).eps
    told = b.tells(lambda p: [p.averaging_weights(t)["class"] for t in times], weights, rounding)
    good = best in (last - 1, last) and rises and falls
    return Check(good, abs(float(at) - best)).also(told)


THEOREM = Theorem(
    name="class-weight-peak",
    title="The round of the largest class average",
    source="D",
    kind="identity",
    hypotheses=(ORDER,),
    statement=r"w(t) = p_B^t - p_A^t \text{ rises to } t_0 = "
    r"\frac{\ln(\ln p_A/\ln p_B)}{\ln(p_B/p_A)} \text{ and falls from there: of the rounds } "
    r"1, 2, \dots \text{ it is largest at } \lfloor t_0 \rfloor \text{ or } \lceil t_0 "
    r"\rceil, \text{ and at } 1 \text{ if } t_0 < 1",
    kernel=Rocq("class_weight_peak.v", ("class_weight_peak",)),
    uses=("label-averaging",),
    draw=_draw,
    check=_compare,
    planted={
        "twice as late": lambda i: _compare(i, lambda b: 2 * _peak(b)),
        "two rounds later": lambda i: _compare(i, lambda b: _peak(b) + 2),
        "1/ln(1/p_B)": lambda i: _compare(i, lambda b: -1 / arb(b.filters()[1]).log()),
    },
    arguments=arguments.BLOCK,
    instance=arguments.block,
    runs=("gramlab.population.Population.averaging_weights",),
)
