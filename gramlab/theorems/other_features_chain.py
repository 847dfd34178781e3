"""What an error of one round is to the next where that has features of its own."""

import numpy as np

from gramlab.theorems._arguments import SOLVED, array
from gramlab.theorems._heads import DECAY, DenseHead, draw_problem, draw_weights
from gramlab.theorems._rounds import TARGETS
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals


def _prove() -> Proof:
    e, r, q, m, lam, n, u, v = reals("‖e‖ ‖ΔW‖ ‖ΔP‖² ⟨ΔM,ΔW⟩ λ N u v")
    return proof(
        "z3 for the inequalities, cocoercivity by hand",
        "every N, d, d', K and all rows, targets and weights",
        implies(
            "the largest and the least of a vector are at most √2 times its length apart: "
            "(u − v)² ≤ 2(u² + v²)",
            [],
            (u - v) * (u - v) <= 2 * (u * u + v * v),
        ),
        "by hand: a variance is at most a quarter of the squared range (Popoviciu), so that "
        "diag(p) − ppᵀ ≤ 1/2, and lse, convex, has a gradient of Lipschitz constant 1/2: "
        "‖ΔP‖ ≤ ‖XΔW‖/2 ≤ σ(X)‖ΔW‖/2",
        "by hand: such a gradient is cocoercive (Baillon & Haddad 1977), ⟨Δp, Δv⟩ ≥ 2‖Δp‖², so "
        "⟨ΔM, ΔW⟩ = ⟨ΔP, XΔW⟩/N ≥ 2‖ΔP‖²/N; and λΔW + ΔM = e makes it ⟨e, ΔW⟩ − λ‖ΔW‖²",
        implies(
            "then ‖ΔP‖² ≤ N‖e‖²/(8λ)",
            [lam > 0, n > 0, e >= 0, r >= 0, q >= 0, n * m >= 2 * q, m <= e * r - lam * r * r],
            8 * lam * q <= n * e * e,
        ),
        "by hand: ‖X'ᵀΔP‖ ≤ σ(X')‖ΔP‖",
    )


def _draw(rng: np.random.Generator) -> Instance:
    """Any rows and weights; or equal rows, two classes and a small error, where it is sharp."""
    made = draw_problem(rng, 8, 4, 4)
    n = len(made["x"])
    if rng.random() < 0.5:
        size = float(10 ** rng.uniform(-1, 1))
        decay = 0.5 * size**2 * float(10 ** rng.choice([0.0, 0.0, rng.normal()]))
        equal = {"x": np.full((n, 1), size), "targets": np.full((n, 2), 0.5)}
        made = equal | {"weight_decay": decay}
        shift = float(10 ** rng.uniform(-4, -2)) / size * np.array([[1.0, -1.0]])
        student = np.full((n, 1), float(10 ** rng.uniform(-1, 1)))
    else:
        student = rng.standard_normal((n, int(rng.integers(1, 4))))
        shift = draw_weights(rng, made)
    weights = DenseHead.of(made).minimum() + shift
    return {**made, "student": student, "weights": weights}


def _compare(instance: Instance, factor: float = 1.0, own: bool = False) -> Check:
    x, student, decay = instance["x"], instance["student"], instance["weight_decay"]
    head, weights, n = DenseHead.of(instance), instance["weights"], len(x)
    best = head.minimum()
    change = head.probabilities(weights) - head.probabilities(best)
    reach, size = (float(np.linalg.norm(rows, 2)) for rows in (student, x))
    error, off = (float(np.linalg.norm(a)) for a in (head.gradient(weights), weights - best))
    most = min(error * np.sqrt(n / (8 * decay)), size * off / 2)
    limit = factor * (size if own else reach) * most / n
    rounding = 1e-12 * reach * (1 + size / decay)
    return bound(float(np.linalg.norm(student.T @ change)) / n, limit, rounding)


THEOREM = Theorem(
    name="other-features-chain",
    title="An error passed on to other features",
    source="D (cocoercive gradients: Baillon & Haddad 1977)",
    kind="upper bound",
    hypotheses=(
        TARGETS,
        DECAY,
        Hypothesis(
            "rows",
            r"X \in \mathbb{R}^{N \times d},\ X' \in \mathbb{R}^{N \times d'};\ W \text{ the head "
            r"of } X \text{ on } T,\ \widetilde W \text{ any weights};\ \Delta P = "
            r"\operatorname{softmax}(X \widetilde W) - \operatorname{softmax}(X W)",
        ),
    ),
    statement=r"\frac1N \lVert X'^\top \Delta P \rVert_F \le \frac{\sigma(X')}{N} \min\Big( "
    r"\sqrt{\frac{N}{8\lambda}}\, \lVert \nabla L(\widetilde W) \rVert_F,\ \frac{\sigma(X)}{2} "
    r"\lVert \widetilde W - W \rVert_F \Big), \quad \sigma \text{ the largest singular value}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "16 in place of 8": lambda i: _compare(i, factor=0.5**0.5),
        "the teacher's rows twice": lambda i: _compare(i, own=True),
    },
    tight_within=0.01,
    arguments={
        **SOLVED,
        "student": array("rows of the next round, x'", "N", "e"),
    },
)
