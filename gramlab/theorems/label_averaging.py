"""Every round replaces given labels by nested averages of them; here with the four weights."""

from dataclasses import replace

import numpy as np
import z3
from flint import fmpq

from gramlab.features import Features
from gramlab.population.block_fit import fit_block_model
from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import EQUAL_SIZES, ORDER, Block, draw_block, draw_round, split
from gramlab.theorems._block_algebra import algebra
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import implies, proof, reals


def _prove() -> Proof:
    s, r, mu, x, y, u, v = reals("s r mu x y u v")
    return proof(
        "sympy for the algebra, z3 over the reals for the signs of the weights",
        "symbolic n, m, S, c, d, e, μ and t (induction over t); no size is fixed",
        *algebra(),
        "row i of E_A Y, E_B Y, E_C Y, E_D Y is y_i − C_k, C_k − C̄_s, C̄_s − C̄, C̄: averages",
        implies(
            "s ≤ r gives p(s) ≤ p(r) < 1",
            [0 < s, s <= r, mu > 0],
            z3.And(s / (s + mu) <= r / (r + mu), r / (r + mu) < 1, s / (s + mu) > 0),
        ),
        implies(
            "0 < x ≤ y < 1 is kept by powers, step from (u, v) = (x^t, y^t)",
            [0 < x, x <= y, y < 1, 0 < u, u <= v, v <= 1],
            z3.And(0 < u * x, u * x <= v * y, v * y < 1),
        ),
        "the weights p_A^t, p_B^t − p_A^t, p_C^t − p_B^t, p_D^t − p_C^t, 1 − p_D^t telescope",
    )


def _draw(rng: np.random.Generator) -> Instance:
    b = draw_block(rng)
    counts = split(rng, b.n_classes, b.n)
    return {"block": replace(b, counts=counts), "t": draw_round(rng, b)}


def _compare(instance: Instance, variant: str = "") -> Check:
    """Weights of own label, class, superclass, all and uniform, against t dense exact solves."""
    b, t = instance["block"], instance["t"]
    p_a, p_b, p_c, p_d = b.filters(t + (variant == "a round more"))
    if variant == "no superclass term":
        p_c = p_b
    classes, k = b.class_means(), b.n_classes
    weights = (p_a, p_b - p_a, p_c - p_b, p_d - p_c, 1 - p_d)
    supers = np.repeat(classes.reshape(-1, b.m, k).sum(axis=1) / b.m, b.m, axis=0)
    own = classes.T if variant == "transposed" else classes
    averages = (b.one_hot, own[b.true], supers[b.true], classes.sum(axis=0) / k, fmpq(1, k))
    predicted = sum(w * average for w, average in zip(weights, averages, strict=True))
    found = b.iterate(t)
    worst = abs(found - predicted).max()
    convex = all(w >= 0 for w in weights) and sum(weights) == 1
    good = worst == 0 and convex and _agrees(b, t, weights) and _refits(b, t, found)
    return Check(bool(good), float(worst)).also(b.agrees(t, found))


def _agrees(b: Block, t: int, weights: tuple) -> bool:
    """Whether the package's averaging weights are these, to their rounding."""
    if b.population is None:
        return True
    told = np.array(list(b.population.averaging_weights(t).values()))
    # A power p^t carries t roundings of p, the weights differences of two of them.
    rounding = 8 * t * np.finfo(float).eps
    return bool(np.abs(told - np.array(weights, dtype=float)).max() <= rounding)


def _refits(b: Block, t: int, found: np.ndarray) -> bool:
    """Whether the block model fitted to features of this one has the same predictions."""
    if b.population is None or b.n == 1:  # then no pair of samples shows c
        return True
    model, n = b.population.model, len(b.true)
    groups = model.superclasses
    features = Features(model.sample_features(), b.true, n_classes=len(groups), superclasses=groups)
    deviations = b.one_hot.astype(float) - 1 / b.n_classes
    told = fit_block_model(features).apply_filter(deviations, float(b.mu), t) + 1 / b.n_classes
    # Entries of G, at most 1, are known to a few roundings, and the filter rises by 1/μ at most.
    rounding = 64 * t * n * np.finfo(float).eps * (1 + 1 / float(b.mu))
    return bool(np.abs(told - found.astype(float)).max() <= rounding)


THEOREM = Theorem(
    name="label-averaging",
    title="Predictions are nested averages of given labels",
    source="P (values and superclass terms D)",
    kind="identity",
    hypotheses=(
        EQUAL_SIZES,
        ORDER,
        Hypothesis("labels", r"\text{any given labels, balanced or not}"),
    ),
    statement=r"P_i^{(t)} = \tfrac1K + p_A^t (y_i - C_k) + p_B^t (C_k - \bar C_s) "
    r"+ p_C^t (\bar C_s - \bar C) + p_D^t (\bar C - \tfrac1K), \quad "
    r"\text{an average of } y_i, C_k, \bar C_s, \bar C, \tfrac1K \text{ with weights } "
    r"p_A^t,\ p_B^t - p_A^t,\ p_C^t - p_B^t,\ p_D^t - p_C^t,\ 1 - p_D^t \ge 0",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, "a round more"),
        "transposed C": lambda i: _compare(i, "transposed"),
        "no superclass term": lambda i: _compare(i, "no superclass term"),
    },
    arguments=arguments.BLOCK_ROUND,
    instance=arguments.block_round,
    paper=("eq. (7)",),
    runs=(
        "gramlab.population.Population.linearized",
        "gramlab.population.Population.averaging_weights",
        "gramlab.population.block_fit.BlockFit.apply_filter",
    ),
)
