"""The duality gap of the softmax objective is ‖g‖²/(2λ), for every W."""

import numpy as np

from gramlab.heads.referee import softmax
from gramlab.theorems._arguments import SOLVED
from gramlab.theorems._heads import DECAY, SIMPLEX, draw_problem, draw_weights, objective
from gramlab.theorems.form import Check, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    problem = draw_problem(rng)
    return {**problem, "weights": draw_weights(rng, problem)}


def _check(instance: Instance, factor: float = 0.5) -> Check:
    loss, w = objective(instance), instance["weights"]
    value, dual = loss.value(w), loss.dual(softmax(loss.logits(w)))
    gradient = float(np.linalg.norm(loss.gradient(w)))
    right = factor * gradient**2 / instance["weight_decay"]
    # The loss of a row is a difference of two numbers as large as its logits, the gradient one of
    # moments as large as X.
    size = abs(value) + abs(dual) + right + float(np.abs(loss.logits(w)).max())
    size += gradient * float(np.linalg.norm(instance["x"])) / instance["weight_decay"]
    return equal(value - dual, right, 1e-13 * len(instance["x"]) * size)


THEOREM = Theorem(
    name="duality-gap",
    title="The duality gap is a squared gradient",
    source="D",
    kind="identity",
    hypotheses=(SIMPLEX, DECAY),
    statement=r"L(W) - \operatorname{dual}(\operatorname{softmax}(XW)) "
    r"= \frac{\lVert \nabla L(W) \rVert_F^2}{2\lambda} \quad \text{for every } W",
    kernel=Rocq("duality_gap.v", ("duality_gap",)),
    draw=_draw,
    check=_check,
    planted={"a lost factor 2": lambda i: _check(i, 1.0)},
    arguments=SOLVED,
    runs=("gramlab.heads.referee.SoftmaxObjective.dual",),
)
