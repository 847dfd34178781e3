"""A new point of class k is given the commonest label of class k, at every round."""

from dataclasses import replace

import numpy as np

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import BALANCED, INSIDE, ORDER, draw_block, draw_round, fixed
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, variants


def _draw(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, clean=float(rng.uniform(0, 0.6)))
    return {"block": b, "t": draw_round(rng, b)}


def _compare(instance: Instance, variant: str = "") -> Check:
    """The sets of best labels, ties included; predictions come from dense exact solves."""
    b, t = instance["block"], instance["t"]
    c = b.class_means()
    expected = {"transposed C": c.T, "the true class": np.eye(len(c), dtype=int)}.get(variant, c)
    found = b.heldout(t)
    best, wanted = (rows == rows.max(axis=1)[:, None] for rows in (found, expected))
    ordered = np.sort(found, axis=1)
    least = float(min(ordered[:, -1] - ordered[:, -2]))
    rounding = 16 * (t + b.n_classes) * np.finfo(float).eps
    told = b.tells(lambda p: [p.held_out(k, t) for k in range(b.n_classes)], found, rounding)
    return Check(bool((best == wanted).all()), least).also(told)


# Labels given unevenly; a label of another superclass is the commonest, and is not predicted.
_unbalanced = fixed(((3, 2), (0, 5)), m=2, c=18, d=14, mu=(20, 25), t=2)
_counts = ((2, 0, 3, 0), (0, 5, 0, 0), (3, 0, 2, 0), (0, 0, 0, 5))
_crossing = fixed(_counts, m=2, c=18, d=16, mu=(100, 105), per=100, t=2)

THEOREM = Theorem(
    name="heldout-invariance",
    title="Rounds do not change held-out predictions",
    source="D",
    kind="identity",
    hypotheses=(
        ORDER,
        replace(BALANCED, without=_unbalanced),
        replace(INSIDE, without=_crossing),
        Hypothesis(
            "new point of the model",
            r"\langle x, x_i \rangle = c, d \text{ or } e \text{ by the class of } i",
        ),
    ),
    statement=r"\operatorname{argmax}_l\, p^{(t)}(x)_l = \operatorname{argmax}_l\, C_{kl} "
    r"\quad \text{for every } t \ge 1 \text{ and every new } x \text{ of class } k, "
    r"\text{ ties included}",
    kernel=Rocq("heldout_invariance.v", ("heldout_invariance",)),
    uses=("label-averaging",),
    draw=_draw,
    check=_compare,
    planted=variants(_compare, "the true class", "transposed C"),
    arguments=arguments.BLOCK_ROUND,
    instance=arguments.block,
    runs=("gramlab.population.Population.held_out",),
)
