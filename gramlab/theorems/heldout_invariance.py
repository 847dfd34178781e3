"""A new point of class k is given the commonest label of class k, at every round."""

from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp
import z3

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import BALANCED, INSIDE, ORDER, Block, draw_block, draw_round, fixed
from gramlab.theorems._block_algebra import EIGENVALUES, algebra, combination
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import implies, proof, reals, vanish


def _prove() -> Proof:
    # The correlations of a new point are those of a sample without its own: G − s_A I.
    own = EIGENVALUES[0]
    new = combination([s - own for s in EIGENVALUES])
    without_own = combination(EIGENVALUES) - sp.Matrix([own, 0, 0, 0])

    q_b, q_c, x, y, m, k = reals("q_B q_C C_kj C_kl m K")
    s_a, s, s2, u, v = reals("s_A s s2 u v")
    base = [0 < q_b, q_b <= q_c, m >= 1, k >= m]

    def score(cls: Any, sup: Any) -> Any:
        return q_b * (cls - sup) + q_c * (sup - 1 / k)

    return proof(
        "sympy for the algebra, z3 over the reals for the order",
        "symbolic n, m, S, c, d, e, μ, t and entries of C; no size is fixed",
        *algebra(),
        vanish("the correlations of a new point are a row of Σ (s_• − s_A) E_•", new - without_own),
        "so p(x) − 1/K = q_B (C_k − C̄_s) + q_C (C̄_s − 1/K), q_• = p_•^t (s_• − s_A)/s_•; "
        "C̄_s is 1/m on the superclass, 0 elsewhere, and p^t grows with s (label averaging)",
        implies(
            "q = p^t (s − s_A)/s is positive and grows with s",
            [0 < s_a, s_a < s, s <= s2, 0 < u, u <= v],
            z3.And(0 < u * (s - s_a) / s, u * (s - s_a) / s <= v * (s2 - s_a) / s2),
        ),
        implies(
            "inside the superclass the order is that of C_k",
            base,
            (score(x, 1 / m) >= score(y, 1 / m)) == (x >= y),
        ),
        implies("outside is behind", [*base, x >= 1 / m], score(x, 1 / m) > score(0, 0)),
        "a row that sums to 1 over m classes has an entry of at least 1/m",
    )


def _draw(rng: np.random.Generator) -> Instance:
    b = draw_block(rng, clean=float(rng.uniform(0, 0.6)))
    return {"block": b, "t": draw_round(rng, b)}


def _compare(instance: Instance, variant: str = "") -> Check:
    """The sets of best labels, ties included; predictions come from dense exact solves."""
    b = instance["block"]
    c = b.class_means()
    expected = {"transposed": c.T, "true class": np.eye(len(c), dtype=int)}.get(variant, c)
    found = b.heldout(instance["t"])
    best, wanted = (rows == rows.max(axis=1)[:, None] for rows in (found, expected))
    ordered = np.sort(found, axis=1)
    least = float(min(ordered[:, -1] - ordered[:, -2]))
    return Check(bool((best == wanted).all()), least).also(_agrees(b, instance["t"], found))


def _agrees(b: Block, t: int, found: np.ndarray) -> bool:
    """Whether the package predicts the same for a new point of each class, to its rounding."""
    if b.population is None:
        return True
    told = np.array([b.population.held_out(k, t) for k in range(b.n_classes)])
    rounding = 16 * (t + b.n_classes) * np.finfo(float).eps
    return bool(np.abs(told - found.astype(float)).max() <= rounding)


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
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "the true class": lambda i: _compare(i, "true class"),
        "transposed C": lambda i: _compare(i, "transposed"),
    },
    arguments=arguments.BLOCK_ROUND,
    instance=arguments.block_round,
    runs=("gramlab.population.Population.held_out",),
)
