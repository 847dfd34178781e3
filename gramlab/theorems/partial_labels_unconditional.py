"""False: a row maximum on the diagonal is not enough for the top-two student; it can tie."""

from __future__ import annotations

from fractions import Fraction

from gramlab.theorems._block import (
    Block,
    class_means,
    eigenvalues,
    given,
    iterate,
    margins,
    two_hot,
    weight_decay_for,
)
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.partial_labels import draw


def _at(counts: tuple[tuple[int, ...], ...], m: int, rho: Fraction) -> Block:
    n = sum(counts[0])
    b = Block(
        sizes=(n,) * len(counts),
        m=m,
        c=Fraction(2, 5),
        d=Fraction(1, 10),
        e=Fraction(0),
        mu=Fraction(1),
        counts=counts,
    )
    s_a, s_b = eigenvalues(b)[:2]
    return Block(b.sizes, m, b.c, b.d, b.e, weight_decay_for(s_a, s_b, rho), counts)


def _ties() -> dict[str, Block]:
    """Every case has C_kk the strict row maximum; the last keeps the side condition as well."""
    flip = ((7, 3, 0), (0, 7, 3), (3, 0, 7))
    pairs = ((7, 3, 0, 0), (3, 7, 0, 0), (0, 0, 7, 3), (0, 0, 3, 7))
    third = ((12, 6, 2), (2, 12, 6), (6, 2, 12))
    return {
        "pair flip, K = 3, η = 3/10, ρ = 2": _at(flip, 3, Fraction(2)),
        "K = 2, η = 3/10, ρ = 2": _at(((7, 3), (3, 7)), 2, Fraction(2)),
        "superclasses of size 2, η = 3/10, ρ = 2": _at(pairs, 2, Fraction(2)),
        "row (6, 3, 1)/10, ρ = 8, although C_kk + C_kl* = 9/10 < 1": _at(third, 3, Fraction(8)),
    }


def _student(b: Block) -> tuple[list[Fraction], bool]:
    teacher = iterate(b, 1)
    targets, clear = two_hot(b, teacher)
    shown = all(row[k] > 0 for (k, _), row in zip(given(b), targets, strict=True))
    return margins(b, iterate(b, 1, targets)), clear and shown


def _prove() -> Proof:
    lines, refuted = [], 0
    for name, b in _ties().items():
        found, clear = _student(b)
        smallest, largest = min(found), max(found)
        lines.append(
            f"{name}, n = {b.sizes[0]}, c = 2/5, d = 1/10, e = 0, μ = {b.mu}: true label in every "
            f"top two, no tie there: {clear}; student's margins from {smallest} to {largest}"
        )
        refuted += clear and smallest == 0
    return Proof(
        verdict="counterexample" if refuted == len(lines) else "unknown",
        method="exact rational solves with the dense Gram matrix",
        scope=f"{refuted} of {len(lines)} fixed cases refute the statement; one is enough",
        evidence=tuple(lines),
    )


def _check(instance: Instance, variant: str = "") -> Check:
    b = instance["block"]
    found, _ = _student(b)
    c = class_means(b)
    seconds = [max(x for j, x in enumerate(row) if j != k) for k, row in enumerate(c)]
    exempt = {
        "": False,
        "condition 3": any(c[k][k] + x == 1 for k, x in enumerate(seconds)),
        "three classes": b.m < 3,
    }[variant]
    return Check(bool(exempt or min(found) > 0), float(min(found)))


THEOREM = Theorem(
    name="partial-labels-unconditional",
    title="The top-two student without its side condition (false)",
    source="P (counterexamples D)",
    kind="sufficient",
    hypotheses=(
        Hypothesis("order", r"0 \le e \le d < c < 1,\ \mu > 0"),
        Hypothesis(
            "balanced",
            r"\text{fractions } C \text{ and two-hot means } \tilde C \text{ with column sums } 1, "
            r"\text{ corruption inside superclasses of } m \ge 2 \text{ classes}",
        ),
        Hypothesis("strict row maximum", r"C_{kk} > C_{kl} \text{ for all } l \ne k"),
        Hypothesis("clear second place", r"\text{no tie decides the teacher's top two}"),
    ),
    statement=r"\text{the student of the teacher's top two labels is right on all samples}",
    prove=_prove,
    draw=draw,
    check=_check,
    planted={
        "enough if C_kk + max C_kl < 1": lambda i: _check(i, "condition 3"),
        "enough for superclasses of three classes or more": lambda i: _check(i, "three classes"),
    },
    expected="counterexample",
)
