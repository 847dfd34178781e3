"""Exact rounds never lose perfect accuracy once they have it, where classes are alike."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import z3
from flint import fmpq

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._block import (
    ORDER,
    Block,
    block,
    draw_correlations,
    draw_mu,
    nearby,
    one_group,
    smallest_difference,
)
from gramlab.theorems._hypotheses import above
from gramlab.theorems._rounds import Known, exact_rounds, plain_rounds
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import implies, proof, reals


def _prove() -> Proof:
    # Of one row of class k and one other label l: D = P_k − P_l of round t, E that of round t + 1,
    # x = v_k − v_l of round t + 1; M is the mean of D − E over the class.
    d, e, x, m, beta, gamma, mean_d, mean_e = reals("D E x M beta gamma D̄ Ē")
    row = [beta > 0, gamma > 0, d > 0, x + beta * e == beta * d + gamma * m, (x > 0) == (e > 0)]
    return proof(
        "z3 over the reals; block Gram matrix and symmetry by hand",
        "every K, n, c, d, μ, circulant C and every λ of each round; exact softmax",
        "by hand: Nλ v_i = Σ_j G_ij (P^(t) − P^(t+1))_j, so x + βE = βD + γM with "
        "β = (1 − c)/(Nλ), γ = n(c − d)/(Nλ); sums over all rows cancel, since shifts of the "
        "classes leave the problem and so its one solution what they are",
        "by hand: the softmax is monotone, x > 0 iff E > 0",
        implies("M ≤ 0 would make E < D in every row of the class", [*row, m <= 0], e < d),
        implies(
            "and its mean D̄ − Ē above 0, which is M: so M > 0",
            [z3.Or(m > 0, mean_e < mean_d), m == mean_d - mean_e],
            m > 0,
        ),
        implies("so x > 0: row i stays ahead of l", [*row, m > 0], x > 0),
    )


def _draw(rng: np.random.Generator) -> Instance:
    """Circulant noise at a μ that makes the linear theory perfect after 0.5 to 4 rounds."""
    k = int(rng.integers(2, 6))
    n = int(rng.integers(2, 31 // k + 1))
    row = rng.multinomial(n, rng.dirichlet(np.r_[2.0, np.ones(k - 1)]))
    counts = [np.roll(row, i).tolist() for i in range(k)]
    c, d, _ = draw_correlations(rng)
    b = Block(counts, k, c, d, d, draw_mu(rng))
    delta = smallest_difference(b.class_means())
    if delta is not None and delta > 0:
        rho = float(1 + 1 / delta) ** (1 / float(rng.uniform(0.5, 4)))
        b = b.with_ratio(nearby(rho, 100)) or b
    spread = rng.uniform(-1.5, 1.5, int(rng.integers(2, 5))) * (rng.random() < 0.5)
    return _of(b, 10 ** (spread - spread[0]))


def _of(b: Block, factors: np.ndarray) -> Instance:
    """Rounds at the λ of the block's μ, times the factors."""
    return {"block": b, "decays": float(b.mu) / (b.n_classes * len(b.true)) * factors}


def _margins(b: Block, weights: Known) -> tuple[float, float]:
    """Of the worst row: what its margin in logits is at least, and at most."""
    x = b.population.model.sample_features()  # type: ignore[union-attr]  (what is drawn has one)
    margins = b.margins(x @ weights.value)
    moved = np.sqrt(2) * np.linalg.norm(x, axis=1) * weights.error
    return float((margins - moved).min()), float((margins + moved).min())


def _compare(instance: Instance, variant: str = "") -> Check:
    """Rounds of ``distill``, each certified through those before it."""
    b, decays = instance["block"], instance["decays"]
    x = b.population.model.sample_features()
    found = exact_rounds(plain_rounds(x, b.one_hot.astype(float), decays))
    ends = [_margins(b, one.weights) for one in found]
    first = b.population.exact(1).verdict
    good = not (first is False and ends[0][0] > 0) and not (first and ends[0][1] < 0)
    for (low, high), (next_low, next_high) in pairwise(ends):
        if variant == "never won":
            good = good and not (high < 0 < next_low)
        elif variant == "margins grow":
            good = good and not (low > 0 and next_high < low)
        else:
            good = good and not (low > 0 and next_high < 0)
    return Check(bool(good), ends[-1][0])


def _shifts(instance: Instance) -> Held:
    counts = np.array(instance["block"].counts)
    off = int(np.abs(np.roll(counts, (1, 1), (0, 1)) - counts).max())
    return Held(off == 0, f"shifted counts of labels differ by up to {off}")


def _instance(model: object, corruption: object, weight_decays: object) -> Instance:
    decays = arguments.array("weight_decays", weight_decays, None)
    return {**arguments.block(model, corruption, weight_decay=decays[0]), "decays": decays}


def _superclasses(rng: np.random.Generator) -> Instance:
    counts = [np.roll((14, 4, 1, 1), i).tolist() for i in range(4)]
    b = block(counts, 2, 10, 8, fmpq(int(rng.integers(285, 290)), 100), fmpq(3, 5))
    return _of(b, np.ones(6))


def _unbalanced(rng: np.random.Generator) -> Instance:
    b = block(((19, 1), (2, 18)), 2, 18, 16, fmpq(int(rng.integers(430, 436)), 100))
    return _of(b, np.ones(4))


THEOREM = Theorem(
    name="persistence",
    title="Perfect accuracy of exact rounds is kept",
    source="D",
    kind="sufficient",
    hypotheses=(
        replace(ORDER, without=None),
        Hypothesis("no superclasses", r"S = 1 \text{ or } d = e", _superclasses, one_group),
        Hypothesis(
            "circulant",
            r"\text{equal class sizes; a cyclic shift of the classes leaves the fractions } C "
            r"\text{ what they are}",
            _unbalanced,
            _shifts,
        ),
        Hypothesis("weight decays", r"\lambda_t > 0", test=above("decays", "λ_t")),
    ),
    statement=r"\text{exact softmax rounds } t \text{ right on every sample} \Rightarrow "
    r"\text{round } t + 1 \text{ is too, at any } \lambda_{t+1}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "what is not perfect stays so": lambda i: _compare(i, "never won"),
        "the least margin in logits never falls": lambda i: _compare(i, "margins grow"),
    },
    arguments={
        "model": arguments.BLOCK["model"],
        "corruption": arguments.BLOCK["corruption"],
        "weight_decays": "(t,), λ > 0 of each round",
    },
    instance=_instance,
    runs=("gramlab.distill", "gramlab.Rounds.chain", "gramlab.population.Population.exact"),
)
