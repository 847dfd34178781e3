"""The duality gap of the softmax objective is ‖g‖²/(2λ), for every W."""

from __future__ import annotations

import numpy as np
import sympy as sp

from gramlab.features import Features
from gramlab.heads.referee import SoftmaxObjective, softmax
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, equal


def _prove() -> Proof:
    # Entropy of a softmax, H(p) = lse(v) − ⟨p, v⟩, turns the gap into a square; K symbolic steps
    # are shown per row with K = 3, d = 2, N = 2 and every entry symbolic.
    n, d, k = 2, 2, 3
    lam = sp.Symbol("lambda", positive=True)
    x = sp.Matrix(n, d, sp.symbols(f"x:{n * d}", real=True))
    w = sp.Matrix(d, k, sp.symbols(f"w:{d * k}", real=True))
    t = sp.Matrix(n, k, sp.symbols(f"t:{n * k}", real=True))
    p = sp.Matrix(n, k, sp.symbols(f"p:{n * k}", positive=True))
    lse = sp.symbols(f"l:{n}", real=True)
    v = x * w
    dot = lambda a, b, i: sum(a[i, j] * b[i, j] for j in range(k))  # noqa: E731
    square = lambda m: (m.T * m).trace()  # noqa: E731
    primal = sum(lse[i] - dot(t, v, i) for i in range(n)) / n + lam / 2 * square(w)
    # H(p_i) = lse_i − ⟨p_i, v_i⟩ because ln p_ij = v_ij − lse_i.
    entropy = sum(lse[i] - dot(p, v, i) for i in range(n)) / n
    moment = x.T * (t - p) / (n * lam)
    dual = entropy - lam / 2 * square(moment)
    g = x.T * (p - t) / n + lam * w
    difference = sp.expand(primal - dual - square(g) / (2 * lam))
    proved = difference == 0
    return Proof(
        verdict="proved" if proved else "unknown",
        method="sympy, after H(p) = lse(v) − ⟨p, v⟩ by hand",
        scope=f"all entries symbolic at N = {n}, d = {d}, K = {k}; every term is a sum over rows "
        "and entries, so the same expansion serves every size",
        evidence=(
            "ln p_j = v_j − lse(v) gives H(p) = lse(v) − ⟨p, v⟩",
            "the gap is then (λ/2)‖W − Xᵀ(T − P)/(Nλ)‖², and g = λ(W − Xᵀ(T − P)/(Nλ))",
            f"expansion of gap − ‖g‖²/(2λ): {difference}",
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    n, d, k = int(rng.integers(2, 12)), int(rng.integers(1, 6)), int(rng.integers(2, 6))
    return {
        "x": rng.standard_normal((n, d)),
        "targets": rng.dirichlet(np.ones(k), n),
        "weights": 10 ** rng.uniform(-2, 0.5) * rng.standard_normal((d, k)),
        "weight_decay": float(10 ** rng.uniform(-3, 1)),
    }


def _sides(instance: Instance, factor: float = 0.5) -> tuple[float, float, float]:
    targets, lam = instance["targets"], instance["weight_decay"]
    n, k = targets.shape
    features = Features(instance["x"], np.arange(n) % k, n_classes=k)
    objective = SoftmaxObjective(features, targets - 1 / k, lam)
    w = instance["weights"]
    value, dual = objective.value(w), objective.dual(softmax(objective.logits(w)))
    g = objective.gradient(w)
    right = factor * float(np.vdot(g, g)) / lam
    tolerance = 1e-13 * n * (abs(value) + abs(dual) + right)
    return value - dual, right, tolerance


def _check(instance: Instance) -> Check:
    return equal(*_sides(instance))


THEOREM = Theorem(
    name="duality-gap",
    title="The duality gap is a squared gradient",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis("simplex targets", r"\sum_k T_{ik} = 1,\ T_{ik} \ge 0"),
        Hypothesis("weight decay", r"\lambda > 0"),
    ),
    statement=r"L(W) - \operatorname{dual}(\operatorname{softmax}(XW)) "
    r"= \frac{\lVert \nabla L(W) \rVert_F^2}{2\lambda} \quad \text{for every } W",
    prove=_prove,
    draw=_draw,
    check=_check,
    planted={"a lost factor 2": lambda instance: equal(*_sides(instance, 1.0))},
)
