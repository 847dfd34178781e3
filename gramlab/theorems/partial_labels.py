"""Exactly when a student of the teacher's two largest labels recovers every label of a class."""

from dataclasses import replace

import numpy as np
from flint import fmpq

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import block, draw_block
from gramlab.theorems._hypotheses import all_of
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, variants


def two_hot(predictions: np.ndarray) -> tuple[np.ndarray, bool]:
    """1/2 on each sample's two largest labels, and whether no tie decides which they are."""
    targets, clear = np.full(predictions.shape, fmpq(0)), True
    for row, target in zip(predictions, targets, strict=True):
        order = sorted(range(len(row)), key=lambda j: (-row[j], j))
        clear = clear and (len(row) == 2 or row[order[1]] > row[order[2]])
        target[order[:2]] = fmpq(1, 2)
    return targets, clear


def _circulant(rng: np.random.Generator, superclasses: int, row: list[int]) -> np.ndarray:
    """Counts whose every row is the given one, shifted to the true class, classes renamed."""
    m = len(row)
    counts = np.zeros((superclasses * m, superclasses * m), dtype=int)
    for s in range(0, superclasses * m, m):
        names = s + rng.permutation(m)
        for k in range(m):
            counts[names[k], np.roll(names, -k)] = row
    return counts


def _row(rng: np.random.Generator, m: int) -> list[int]:
    """A strict maximum first, then a unique second largest entry where there is a choice."""
    while True:
        row = [int(x) for x in rng.integers(0, 5, m)]
        row[0] = max(row) + int(rng.integers(1, 5))
        rest = sorted(row[1:])
        if m == 2 or rest[-1] > rest[-2]:
            return row


def draw(rng: np.random.Generator) -> Instance:
    """A block in which no tie decides the top two; small and large ρ alike."""
    while True:
        superclasses = int(rng.integers(1, 3))
        m = int(rng.integers(2, 6 if superclasses == 1 else 4))
        row = _row(rng, m)
        b = draw_block(rng, superclasses=superclasses, classes=m, size=sum(row))
        b = replace(b, counts=_circulant(rng, superclasses, row))
        if rng.random() < 0.5:
            b = b.with_ratio(fmpq(int(rng.integers(20, 120)), 10))
        if two_hot(b.iterate(1))[1]:
            return {"block": b}


def _compare(instance: Instance, variant: str = "") -> Check:
    """Class by class: the condition on C and r, the one on C̃, and the student's margins."""
    b = instance["block"]
    p_a, p_b, _, _ = b.filters(2 if variant == "r of the second round" else 1)
    r, c = p_a / (p_b - p_a), b.class_means()
    teacher = b.iterate(1)
    targets, _ = two_hot(teacher)
    student = b.margins(b.iterate(1, targets))
    agree = [b.agrees(1, teacher)]
    # Without a wrong label the package's condition is on a second place that is drawn at random.
    told = [c.partial_labels if c.other else None for c in b.conditions()]
    for k in range(b.n_classes):
        others = [j for j in range(b.n_classes) if j != k]
        second = max(others, key=lambda j: c[k, j])
        top, mine = c[k, second], b.true == k
        by_row = any(0 < c[k, j] and top - c[k, j] < r for j in others if j != second)
        if variant == "C_kk + C_kl* < 1 suffices":
            by_row = c[k, k] + top < 1
        largest = (targets[mine].sum(axis=0) / b.n)[others].max()
        by_mean = largest <= fmpq(1, 2) if variant == "non-strict" else largest < fmpq(1, 2)
        agree.append((min(student[mine]) > 0) == by_row == by_mean)
        if told and told[k] is not None:
            agree.append((min(student[mine]) > 0) == (told[k] == "right"))
    return Check(all(agree), float(min(student)))


balanced_superclasses = all_of(
    blocks.columns_sum_to_one,
    blocks.stays_inside,
    lambda i: Held(i["block"].m >= 2, f"m = {i['block'].m}"),
)


def _row_maximum(instance: Instance) -> Held:
    b = instance["block"]
    least = min(b.margins(b.class_means()[b.true]))
    return Held(bool(least > 0), f"least C_kk − C_kl is {float(least):.6g}")


def two_hot_balanced(instance: Instance) -> Held:
    """Whether the class means of the two-hot targets have column sums 1."""
    b = instance["block"]
    sums = two_hot(b.iterate(1))[0].sum(axis=0) / b.n
    found = f"column sums of C̃ from {float(min(sums)):.6g} to {float(max(sums)):.6g}"
    return Held(bool((sums == 1).all()), found)


def _clear(instance: Instance) -> Held:
    clear = two_hot(instance["block"].iterate(1))[1]
    return Held(clear, "no tie" if clear else "a tie between second and third")


_counts = ((7, 1, 0, 0), (0, 6, 0, 2), (1, 0, 7, 0), (0, 1, 2, 5))
_lopsided = block(_counts, m=4, c=14, d=9, mu=fmpq(1721, 100))
_leaning = ((6, 1, 3, 0), (3, 4, 2, 1), (1, 1, 5, 3), (0, 4, 0, 6))

THEOREM = Theorem(
    name="partial-labels",
    title="When the top-two student recovers a class",
    source="P (conditions D)",
    kind="necessary and sufficient",
    hypotheses=(
        blocks.ORDER_ALONE,
        Hypothesis(
            "balanced",
            r"\text{class fractions } C,\ \textstyle\sum_k C_{kj} = 1, "
            r"\text{ corruption inside superclasses of } m \ge 2 \text{ classes}",
            lambda rng: {"block": replace(_lopsided, e=fmpq(int(rng.integers(3)), 100))},
            balanced_superclasses,
        ),
        Hypothesis(
            "strict row maximum",
            r"C_{kk} > C_{kl} \text{ for all } l \ne k",
            lambda rng: {"block": block(_circulant(rng, 1, [2, 5, 3]), 3, 12, 10, fmpq(1, 100))},
            _row_maximum,
        ),
        Hypothesis(
            "balanced two-hot means",
            r"\textstyle\sum_k \tilde C_{kj} = 1 \text{ for the class means } \tilde C "
            r"\text{ of the two-hot targets}",
            blocks.fixed(_leaning, m=4, c=6, d=4, mu=(500, 509), per=100),
            two_hot_balanced,
        ),
        Hypothesis(
            "clear second place", r"\text{no tie decides the teacher's top two}", None, _clear
        ),
    ),
    statement=r"\text{the student is right on all of class } k \iff \tilde C_{kl} < \tfrac12 "
    r"\text{ for all } l \ne k \iff \text{some } j \notin \{k, l^*\} \text{ has } C_{kj} > 0, \ "
    r"C_{kl^*} - C_{kj} < r; \quad l^* = \operatorname{argmax}_{l \ne k} C_{kl},\ "
    r"r = \frac{1}{\rho - 1}; \text{ otherwise it ties}",
    kernel=Rocq("partial_labels.v", ("partial_labels",)),
    uses=("label-averaging",),
    draw=draw,
    check=_compare,
    planted=variants(_compare, "C_kk + C_kl* < 1 suffices", "non-strict", "r of the second round"),
    arguments=arguments.BLOCK,
    instance=arguments.block,
    paper=("section 5",),
    runs=(
        "gramlab.population.Population.linearized",
        "gramlab.population.phase.Condition.partial_labels",
    ),
)
