"""Exact students of targets that are right are right, where classes are alike: none is lost."""

from itertools import pairwise

import numpy as np
from flint import fmpq

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import Block, block, draw_correlations, draw_mu
from gramlab.theorems._hypotheses import above
from gramlab.theorems._rounds import exact_rounds, plain_rounds
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, variants


def _draw(rng: np.random.Generator) -> Instance:
    """Circulant noise at a μ that makes the linear theory perfect after 0.5 to 4 rounds, or T."""
    k = int(rng.integers(2, 6))
    n = int(rng.integers(2, 31 // k + 1))
    row = rng.multinomial(n, rng.dirichlet(np.r_[2.0, np.ones(k - 1)]))
    counts = [np.roll(row, i).tolist() for i in range(k)]
    c, d, _ = draw_correlations(rng)
    b = Block(counts, k, c, d, d, draw_mu(rng))
    if b.delta is not None and b.delta > 0:
        rho = float(1 + 1 / b.delta) ** (1 / float(rng.uniform(0.5, 4)))
        b = b.near_ratio(rho, 100)
    spread = rng.uniform(-1.5, 1.5, int(rng.integers(2, 5))) * (rng.random() < 0.5)
    made = _of(b, 10 ** (spread - spread[0]))
    if rng.random() < 0.5:
        return made
    own = rng.integers(0, 3, (n, k)).astype(float)  # of class 0, whose label may tie
    own[:, 0] = np.maximum(own.max(axis=1), 1) + (rng.random(n) < 0.3)
    own /= own.sum(axis=1, keepdims=True)
    return {**made, "targets": np.vstack([np.roll(own, i, axis=1) for i in range(k)])}


def _of(b: Block, factors: np.ndarray) -> Instance:
    """Rounds from the given labels, at the λ of the block's μ times the factors."""
    decay = float(b.mu) / (b.n_classes * len(b.true))
    return {"block": b, "targets": b.one_hot.astype(float), "decays": decay * factors}


def _compare(instance: Instance, variant: str = "") -> Check:
    """Rounds of ``distill``, each certified through those before it."""
    b, targets = instance["block"], instance["targets"]
    x = b.population.model.sample_features()
    means = np.array([targets[b.true == k].mean(axis=0) for k in range(b.n_classes)])
    right = min(b.margins(targets)) >= 0 and min(b.margins(means[b.true])) > 1e-12
    # The worst margin of each round, at least and at most; of the targets only whether it is right.
    ends = [(1e-12 if right else -np.inf, np.inf)]
    for one in exact_rounds(plain_rounds(x, targets, instance["decays"])):
        least, most = one.margins(x, b.true)
        ends.append((float(least.min()), float(most.min())))
    good = True
    for (low, high), (next_low, next_high) in pairwise(ends):
        good &= not {
            "what is not perfect stays so": high < 0 < next_low,
            "the least margin in logits never falls": low > 0 and next_high < low,
        }.get(variant, low > 0 and next_high < 0)
    return Check(good, ends[-1][0])


def _shifts(instance: Instance) -> Held:
    b, targets = instance["block"], instance["targets"]
    rows = [np.roll(targets[b.true == k], -k, axis=1) for k in range(b.n_classes)]
    alike = [one[np.lexsort(one.T)] for one in rows]
    off = max(float(np.abs(one - alike[0]).max()) for one in alike)
    return Held(off == 0, f"shifted targets of classes differ by up to {off:.3g}")


def _superclasses(rng: np.random.Generator) -> Instance:
    counts = [np.roll((14, 4, 1, 1), i).tolist() for i in range(4)]
    b = block(counts, 2, 10, 8, fmpq(int(rng.integers(285, 290)), 100), fmpq(3, 5))
    return _of(b, np.ones(6))


def _unbalanced(rng: np.random.Generator) -> Instance:
    b = block(((19, 1), (2, 18)), 2, 18, 16, fmpq(int(rng.integers(430, 436)), 100))
    return _of(b, np.ones(4))


THEOREM = Theorem(
    name="persistence",
    title="Exact students of right targets are right, and stay so",
    source="D",
    kind="sufficient",
    hypotheses=(
        blocks.ORDER_ALONE,
        blocks.no_superclasses(_superclasses),
        Hypothesis(
            "classes alike",
            r"\text{a cyclic shift of the classes leaves the rows of } T \text{ what they are}",
            _unbalanced,
            _shifts,
        ),
        Hypothesis("weight decay", r"\lambda > 0", test=above("decays", "λ")),
    ),
    statement=r"T_{ik} \ge T_{il} \text{ for every } i \text{ of class } k \text{ and every } l, "
    r"\text{ with class means } \bar T_{kk} > \bar T_{kl}\ (l \ne k): \text{ the exact softmax "
    r"head fitted to } T \text{ is right on every sample}; \quad \text{so exact rounds that are "
    r"right on every sample at } t \text{ are so at } t + 1, \text{ whatever } \lambda_{t+1}",
    kernel=Rocq("persistence.v", ("right_targets", "persistence")),
    draw=_draw,
    check=_compare,
    planted=variants(
        _compare, "what is not perfect stays so", "the least margin in logits never falls"
    ),
    arguments={
        "model": arguments.BLOCK_MODEL,
        "targets": arguments.array("rows on the simplex, class by class", "N", "K"),
        "weight_decays": arguments.array("λ > 0 of each round", "t", key="decays"),
    },
    instance=lambda model, decays, **more: arguments.block(
        model, np.eye(model.n_classes), weight_decay=decays[0], decays=decays, **more
    ),
    runs=("gramlab.distill", "gramlab.Rounds.chain", "gramlab.ClassBlockModel.sample_features"),
)
