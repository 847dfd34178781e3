"""The gradient at any weights bounds their distance to the optimum and the loss above it."""

from __future__ import annotations

import numpy as np
import sympy as sp

from gramlab.features import Features
from gramlab.heads.referee import SoftmaxObjective
from gramlab.theorems._decide_inequality import decide, reals, weakest
from gramlab.theorems._dense_head import DenseHead
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, bound


def _prove() -> Proof:
    k = 4
    p, u = sp.symbols(f"p:{k}", positive=True), sp.symbols(f"u:{k}", real=True)
    unit = {p[-1]: 1 - sum(p[:-1])}
    mean = sum(a * b for a, b in zip(p, u, strict=True))
    variance = sum(a * b**2 for a, b in zip(p, u, strict=True)) - mean**2
    pairs = sum(p[i] * p[j] * (u[i] - u[j]) ** 2 for i in range(k) for j in range(i))
    convex = sp.expand(sp.sympify(variance - pairs).subs(unit))
    # δ = ‖W − W*‖, γ = ‖g‖, i = ⟨g, W − W*⟩, drop = L(W) − L(W*).
    lam, delta, gamma, inner, drop = reals("lambda delta gamma inner drop")
    given = [lam > 0, delta >= 0, gamma >= 0, inner <= gamma * delta]
    distance, first = decide(
        "λδ² ≤ ⟨g, W − W*⟩ ≤ γδ implies δ ≤ γ/λ",
        [*given, lam * delta * delta <= inner],
        lam * delta <= gamma,
    )
    loss, second = decide(
        "L(W) − L(W*) ≤ ⟨g, W − W*⟩ − λδ²/2 implies L(W) − L(W*) ≤ γ²/(2λ)",
        [*given, drop <= inner - lam * delta * delta / 2],
        2 * lam * drop <= gamma * gamma,
    )
    return Proof(
        verdict=weakest(distance, loss) if convex == 0 else "unknown",
        method="sympy for the convexity, z3 for the bounds, strong convexity from it by hand",
        scope="the bounds: scalars, every N, d, K; Var_p(u) ≥ 0 expanded with all symbols at "
        f"K = {k} (a sum over pairs of classes at every K)",
        evidence=(
            f"Var_p(u) − Σ_(i<j) p_i p_j (u_i − u_j)² = {convex}, so ∇²L ⪰ λI",
            "by hand: integrated along the segment, with ∇L(W*) = 0, this is the hypothesis of "
            "the two lines below; the rest is the Cauchy–Schwarz inequality",
            first,
            second,
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    """Some of the weights differ from the optimum only where no feature sees it: tight."""
    n, d, k = int(rng.integers(2, 8)), int(rng.integers(1, 5)), int(rng.integers(2, 4))
    x, targets = rng.standard_normal((n, d)), rng.dirichlet(np.ones(k), n)
    lam = float(10 ** rng.uniform(-2, 1))
    weights = 10 ** rng.uniform(-2, 0.5) * rng.standard_normal((d, k))
    if rng.random() < 0.3:
        x[:, 0] = 0.0
        unseen = np.zeros((d, k))
        unseen[0] = rng.standard_normal(k)
        weights = DenseHead(x, targets, lam).minimum() + unseen
    return {"x": x, "targets": targets, "weights": weights, "penalty": np.full(d, lam)}


def _compare(instance: Instance, distance: float = 1.0, loss: float = 0.5) -> Check:
    x, targets, weights = instance["x"], instance["targets"], instance["weights"]
    (n, k), penalty = targets.shape, instance["penalty"]
    lam = float(penalty.max())
    head = DenseHead(x, targets, penalty)
    optimum = head.minimum()
    if (penalty == lam).all():
        features = Features(x, np.arange(n) % k, n_classes=k)
        certificate = SoftmaxObjective(features, targets - 1 / k, lam).certificate(weights)
        limit, gap = certificate.global_bound, certificate.duality_gap
    else:
        g = float(np.linalg.norm(head.gradient(weights)))
        limit, gap = g / lam, g**2 / (2 * lam)
    size = 1e-12 * (1 + float(np.linalg.norm(optimum))) * (1 + 1 / lam)
    value = head.value(weights)
    checks = (
        bound(float(np.linalg.norm(weights - optimum)), distance * limit, size),
        bound(value - head.value(optimum), 2 * loss * gap, 1e-13 * (1 + abs(value))),
    )
    return Check(all(c.holds for c in checks), min(c.slack for c in checks))


def _free_intercept(rng: np.random.Generator) -> Instance:
    instance = dict(_draw(rng))
    n, k = instance["targets"].shape
    x = np.hstack([np.ones((n, 1)), instance["x"]])
    penalty = np.r_[0.0, instance["penalty"]]
    optimum = DenseHead(x, instance["targets"], penalty).minimum()
    optimum[0] += rng.uniform(1, 2) * np.ones(k)
    return {**instance, "x": x, "penalty": penalty, "weights": optimum}


THEOREM = Theorem(
    name="global-certificate",
    title="Distance to the optimum, from strong convexity",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis("simplex targets", r"\sum_k T_{ik} = 1,\ T_{ik} \ge 0"),
        Hypothesis("weight decay", r"\lambda > 0"),
        Hypothesis(
            "no free intercept", r"\text{every entry of } W \text{ is penalized}", _free_intercept
        ),
    ),
    statement=r"\lVert W - W^\star \rVert_F \le \frac{\lVert \nabla L(W) \rVert_F}{\lambda},"
    r"\quad L(W) - L(W^\star) \le \frac{\lVert \nabla L(W) \rVert_F^2}{2\lambda}"
    r"\quad \text{for every } W",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "half the distance": lambda instance: _compare(instance, distance=0.5),
        "a quarter for the loss": lambda instance: _compare(instance, loss=0.25),
    },
    tight_within=1e-6,
)
