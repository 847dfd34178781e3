"""Students of the teacher's k largest labels under symmetric noise, ties drawn at random."""

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from flint import fmpq

from gramlab.heads.softmax import SoftmaxHead
from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import Block, block, draw_correlations, draw_mu
from gramlab.theorems._heads import features
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem


def _targets(b: Block, teacher: np.ndarray, top: int, by_order: bool) -> np.ndarray:
    """1/k on each row's k largest labels; rows of a kind take the sets of tied ones in turn."""
    targets = np.full(teacher.shape, fmpq(0))
    turn: dict[tuple, int] = {}
    for true, row, target in zip(b.true, teacher, targets, strict=True):
        least = sorted(row)[-top]
        ahead = [j for j, p in enumerate(row) if p > least]
        tied = [j for j, p in enumerate(row) if p == least]
        draws = list(combinations(tied, top - len(ahead)))
        number = turn[true, tuple(row)] = turn.get((true, tuple(row)), -1) + 1
        target[[*ahead, *draws[0 if by_order else number % len(draws)]]] = fmpq(1, top)
    return targets


def _draw(rng: np.random.Generator) -> Instance:
    k, top = ((3, 2), (4, 2), (4, 3), (5, 2))[rng.integers(4)]
    # Draws of the others in a clean row, and in a wrong one; all come equally often.
    clean, wrong = comb(k - 1, top - 1), comb(k - 2, top - 2)
    w = int(rng.integers(0, 2)) * wrong
    x = clean * (w // clean + int(rng.integers(1, 3)))
    c, d, _ = draw_correlations(rng)
    counts = w + (x - w) * np.eye(k, dtype=int)
    b = Block(counts, k, c, d, d, draw_mu(rng))
    return {"block": b, "top": top, "t": int(rng.integers(1, 4))}


def _compare(instance: Instance, less: int = 0) -> Check:
    """The least margin of dense exact solves, and what the package's exact heads do."""
    b, top, t = instance["block"], instance["top"], instance["t"]
    k, (p_a, p_b, _, _) = b.n_classes, b.filters()
    teacher = b.iterate(t)
    targets = _targets(b, teacher, top, "by_order" in instance)
    margin = min(b.margins(b.iterate(1, targets)))
    predicted = (p_b - p_a) * fmpq(k - top - less, top * (k - 1 - less))
    good = b.agrees(t, teacher) and margin == predicted > 0 and _exactly(b, targets)
    if top == 2:
        good = good and all(one.partial_labels == "right" for one in b.conditions())
    return Check(bool(good), float(margin))


def _exactly(b: Block, targets: np.ndarray) -> bool:
    """Whether the package's exact teacher and student are not certified to do otherwise."""
    if b.population is None:
        return True
    rows = features(b.population.model.sample_features(), b.n_classes)
    head = SoftmaxHead(float(b.population.weight_decay), tolerance=1e-20)
    true = np.eye(b.n_classes, dtype=bool)[b.true]
    for given, ahead in ((b.one_hot, true | (b.one_hot > 0).astype(bool)), (targets, true)):
        fit = head.fit(rows, given.astype(float))
        logits = rows.x @ fit.weights
        least = np.where(ahead, logits, np.inf).min(axis=1)
        rest = np.where(ahead, -np.inf, logits).max(axis=1)
        if (least - rest < -fit.certificate.logit_bound(rows.x)).any():
            return False
    return True


def _symmetric(instance: Instance) -> Held:
    c = instance["block"].class_means()
    own, off = np.diag(c), c[~np.eye(len(c), dtype=bool)]
    found = f"C_kk from {float(min(own)):.6g}, C_kl from {float(min(off)):.6g} to "
    return Held(bool((off == off[0]).all() and min(own) > off[0]), f"{found}{float(max(off)):.6g}")


def _all_draws(instance: Instance) -> Held:
    b, top = instance["block"], instance["top"]
    k = b.n_classes
    sizes = comb(k - 1, top - 1), comb(k - 2, max(top - 2, 0))
    good = all(
        n % sizes[int(i != j)] == 0 for i, row in enumerate(b.counts) for j, n in enumerate(row)
    )
    return Held(good, f"tied places have {sizes[0]} and {sizes[1]} outcomes")


def _without(
    counts: Any, m: int, top: int, e: int = 10
) -> Callable[[np.random.Generator], Instance]:
    return lambda rng: {
        "block": block(counts, m, 12, 10, fmpq(int(rng.integers(1, 9)), 10), e),
        "top": top,
        "t": 1,
    }


_SUPER = _without(((6, 2, 2, 2), (2, 6, 2, 2), (2, 2, 6, 2), (2, 2, 2, 6)), 2, 3, 0)

THEOREM = Theorem(
    name="top-k-students",
    title="Top-k students under symmetric noise",
    source="P (k = 2; ties, k > 2 and exact softmax D)",
    kind="sufficient",
    hypotheses=(
        blocks.ORDER_ALONE,
        blocks.no_superclasses(_SUPER),
        Hypothesis(
            "symmetric noise",
            r"\text{class fractions } C_{kl} = \tfrac{\eta}{K-1} \text{ for } l \ne k,\ "
            r"\eta < \tfrac{K-1}{K}",
            _without(((2, 4, 4), (4, 2, 4), (4, 4, 2)), 3, 2),
            _symmetric,
        ),
        Hypothesis(
            "k",
            r"2 \le k < K",
            _without(4 * np.eye(3, dtype=int) + 1, 3, 3),
            lambda i: Held(2 <= i["top"] < i["block"].n_classes, f"k = {i['top']}"),
        ),
        Hypothesis(
            "ties at random",
            r"\text{tied places are drawn uniformly, each outcome equally often } (n \to \infty)",
            test=_all_draws,
        ),
    ),
    statement=r"T = 1/k \text{ on the } k \text{ largest labels of a teacher after } t "
    r"\text{ rounds: the student is right on every sample, with least margin } (p_B - p_A) "
    r"\frac{K - k}{k (K - 1)} > 0; \quad \text{and so is, at every } \lambda > 0, \text{ the exact "
    r"softmax student of an exact teacher } (t = 1)",
    kernel=Rocq("top_k_students.v", ("top_k_students", "top_k_students_exact")),
    uses=("label-averaging", "persistence"),
    draw=_draw,
    check=_compare,
    planted={
        "a label more": lambda i: _compare(i, less=1),
        "ties by the order of labels": lambda i: _compare({**i, "by_order": True}),
    },
    arguments=arguments.BLOCK_ROUND
    | {"top": arguments.whole("k of the targets; 2 unless told", 1, "K", default=2)},
    instance=arguments.block,
    paper=("section 5",),
    runs=(
        "gramlab.population.Population.linearized",
        "gramlab.population.phase.Condition.partial_labels",
        "gramlab.SoftmaxHead.fit",
    ),
)
