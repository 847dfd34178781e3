"""When a training label is recovered although some labels are given more often than others."""

from dataclasses import replace

import numpy as np

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import EQUAL_SIZES, block, draw_block
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, variants


def _draw(rng: np.random.Generator) -> Instance:
    if rng.random() < 0.4:  # balanced, on the boundary where μ can be chosen so
        b = draw_block(rng, superclasses=1)
        return {"block": b.apart().tied(1), "t": 1}
    return blocks.draw_unbalanced(rng)


def _compare(instance: Instance, variant: str = "") -> Check:
    """Sample by sample: the condition against its margin found by dense exact solves."""
    b = instance["block"]
    p_a, p_b, p_c, p_d = b.filters(instance["t"] + (variant == "a round more"))
    c = b.class_means().T if variant == "transposed C" else b.class_means()
    counted = 1 if variant == "column sums in place of means" else b.n_classes
    m = b.class_means().sum(axis=0) / counted
    if variant == "no superclass term":
        p_c = p_b
    # Rows of samples, columns of labels: what a label has that its rivals must fall short of.
    scores = p_a * b.one_hot + (p_b - p_a) * c[b.true] + (p_c - p_b) * b.superclass_means()[b.true]
    scores += (variant != "no column means") * (p_d - p_c) * m
    predicted = b.margins(scores)
    iterate = b.iterate(instance["t"])
    found = b.margins(iterate)
    right = predicted >= 0 if variant == "non-strict" else predicted > 0
    good = bool((right == (found > 0)).all())
    return Check(good, float(min(abs(found)))).also(b.agrees(instance["t"], iterate))


# The small class is drowned by the large one; the condition sees equal sizes.
_drowned = block(((4, 1), (0, 25)), m=2, c=18, d=10, mu=5)


THEOREM = Theorem(
    name="unbalanced-condition",
    title="Recovery with unbalanced labels",
    source="D",
    kind="necessary and sufficient",
    hypotheses=(
        blocks.ORDER_ALONE,
        replace(EQUAL_SIZES, without=lambda rng: {"block": _drowned, "t": int(rng.integers(1, 3))}),
        Hypothesis(
            "class fractions",
            r"C_{kj} \text{ is the fraction of class } k \text{ given the label } j; "
            r"\ \bar C_s, m \text{ are the means of the rows of a superclass, and of all}",
        ),
    ),
    statement=r"\text{a sample of class } k \text{ given the label } j \text{ is right at round } "
    r"t \iff p_A^t (1[j=k] - 1[j=l]) + (p_B^t - p_A^t)(C_{kk} - C_{kl}) + (p_C^t - p_B^t)"
    r"(\bar C_{sk} - \bar C_{sl}) + (p_D^t - p_C^t)(m_k - m_l) > 0 \text{ for all } l \ne k, "
    r"\text{ where } s \text{ is the superclass of } k",
    kernel=Rocq("unbalanced_condition.v", ("unbalanced_condition",)),
    uses=("label-averaging",),
    draw=_draw,
    check=_compare,
    planted=variants(
        _compare,
        *("non-strict", "transposed C", "column sums in place of means"),
        *("no column means", "no superclass term", "a round more"),
    ),
    arguments=arguments.BLOCK_ROUND,
    instance=arguments.block,
    runs=("gramlab.population.Population.linearized",),
)
