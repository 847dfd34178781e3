"""The duality gap of the softmax objective is ‖g‖²/(2λ), for every W."""

import numpy as np
import sympy as sp

from gramlab.heads.referee import softmax
from gramlab.theorems._arguments import PROBLEM, WEIGHTS, solved
from gramlab.theorems._heads import DECAY, SIMPLEX, draw_problem, draw_weights, objective
from gramlab.theorems.form import Check, Instance, Proof, Theorem, equal
from gramlab.theorems.steps import proof, zero


def _prove() -> Proof:
    # Entropy of a softmax, H(p) = lse(v) − ⟨p, v⟩, turns the gap into a square; K symbolic steps
    # are shown per row with K = 3, d = 2, N = 2 and every entry symbolic.
    n, d, k = 2, 2, 3
    lam = sp.Symbol("lambda", positive=True)
    x, w, t, p = (
        sp.Matrix(*shape, sp.symbols(f"{name}:{shape[0] * shape[1]}", real=True))
        for name, shape in {"x": (n, d), "w": (d, k), "t": (n, k), "p": (n, k)}.items()
    )
    lse = sum(sp.symbols(f"l:{n}", real=True))
    inner = lambda a, b: (a.T * b).trace()  # noqa: E731
    # H(p_i) = lse_i − ⟨p_i, v_i⟩ because ln p_ij = v_ij − lse_i.
    moment = x.T * (t - p) / (n * lam)
    primal = (lse - inner(t, x * w)) / n + lam / 2 * inner(w, w)
    dual = (lse - inner(p, x * w)) / n - lam / 2 * inner(moment, moment)
    g = x.T * (p - t) / n + lam * w
    return proof(
        "sympy, after H(p) = lse(v) − ⟨p, v⟩ by hand",
        f"all entries symbolic at N = {n}, d = {d}, K = {k}; every term is a sum over rows "
        "and entries, so the same expansion serves every size",
        "ln p_j = v_j − lse(v) gives H(p) = lse(v) − ⟨p, v⟩",
        "the gap is then (λ/2)‖W − Xᵀ(T − P)/(Nλ)‖², and g = λ(W − Xᵀ(T − P)/(Nλ))",
        zero("expansion of gap − ‖g‖²/(2λ): {}", primal - dual - inner(g, g) / (2 * lam)),
    )


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
    tolerance = 1e-13 * len(instance["x"]) * size
    return equal(value - dual, right, tolerance)


THEOREM = Theorem(
    name="duality-gap",
    title="The duality gap is a squared gradient",
    source="D",
    kind="identity",
    hypotheses=(SIMPLEX, DECAY),
    statement=r"L(W) - \operatorname{dual}(\operatorname{softmax}(XW)) "
    r"= \frac{\lVert \nabla L(W) \rVert_F^2}{2\lambda} \quad \text{for every } W",
    prove=_prove,
    draw=_draw,
    check=_check,
    planted={"a lost factor 2": lambda i: _check(i, 1.0)},
    arguments=PROBLEM | {"weights": WEIGHTS},
    instance=solved,
    runs=("gramlab.heads.referee.SoftmaxObjective.dual",),
)
