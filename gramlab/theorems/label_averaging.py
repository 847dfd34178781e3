"""Every round replaces given labels by nested averages of them; here with the four weights."""

import numpy as np
from flint import fmpq

from gramlab.features import Features
from gramlab.population.block_fit import fit_block_model
from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import EQUAL_SIZES, ORDER, Block, draw_unbalanced
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, variants


def _compare(instance: Instance, variant: str = "") -> Check:
    """Weights of own label, class, superclass, all and uniform, against t dense exact solves."""
    b, t = instance["block"], instance["t"]
    p_a, p_b, p_c, p_d = b.filters(t + (variant == "a round more"))
    if variant == "no superclass term":
        p_c = p_b
    classes, k = b.class_means(), b.n_classes
    weights = (p_a, p_b - p_a, p_c - p_b, p_d - p_c, 1 - p_d)
    own = classes.T if variant == "transposed C" else classes
    supers = b.superclass_means()[b.true]
    averages = (b.one_hot, own[b.true], supers, classes.sum(axis=0) / k, fmpq(1, k))
    predicted = sum(w * average for w, average in zip(weights, averages, strict=True))
    found = b.iterate(t)
    worst = abs(found - predicted).max()
    # A power p^t carries t roundings of p, the weights differences of two of them.
    rounding = 8 * t * np.finfo(float).eps
    told = b.tells(lambda p: list(p.averaging_weights(t).values()), weights, rounding)
    convex = all(w >= 0 for w in weights) and sum(weights) == 1
    good = worst == 0 and convex and told and _refits(b, t, found)
    return Check(bool(good), float(worst)).also(b.agrees(t, found))


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
    kernel=Rocq("label_averaging.v", ("label_averaging",)),
    uses=("closed-form", "block-spectrum"),
    draw=draw_unbalanced,
    check=_compare,
    planted=variants(_compare, "a round more", "transposed C", "no superclass term"),
    arguments=arguments.BLOCK_ROUND,
    instance=arguments.block,
    paper=("eq. (7)",),
    runs=(
        "gramlab.population.Population.linearized",
        "gramlab.population.Population.averaging_weights",
        "gramlab.population.block_fit.BlockFit.apply_filter",
    ),
)
