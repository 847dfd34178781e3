"""Near the optimum the Newton decrement bounds the distance to it, by self-concordance."""

import math
from typing import Any

import flint
import numpy as np
import sympy as sp
import z3

from gramlab.numerics.certificate import Certificate
from gramlab.theorems._arguments import PROBLEM, WEIGHTS, solved
from gramlab.theorems._heads import DECAY, SIMPLEX, DenseHead, draw_problem
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, vanish, zero


def _central_moments(order: int) -> Any:
    """That derivative of s ↦ lse(v + su) at 0 minus the central moment of u, at K = 3."""
    s, w, u = sp.Symbol("s", real=True), sp.symbols("w:3", positive=True), sp.symbols("u:3")
    lse = sp.log(sum(a * sp.exp(s * b) for a, b in zip(w, u, strict=True)))
    mean = sum(a * b for a, b in zip(w, u, strict=True)) / sum(w)
    moment = sum(a * (b - mean) ** order for a, b in zip(w, u, strict=True)) / sum(w)
    return sp.diff(lse, s, order).subs(s, 0) - moment


def _far_away() -> str:
    """An instance with cν ≥ 1 where ‖W − W*‖_H exceeds 8ν, in balls."""
    # N = d = 1, K = 2, x = 1, T = (1, 0), W = 0: f(z) = ln(1 + e^{−z}) + λz²/4 in z = w₁ − w₂.
    lam, away = flint.arb("1e-8"), flint.arb(16)
    slope = -1 / (1 + away.exp()) + lam * away / 2
    curvature = flint.arb("0.25") + lam / 2
    nu = flint.arb("0.5") / curvature.sqrt()
    ratio = away * curvature.sqrt() / nu
    product = (2 / lam).sqrt() * nu
    if not (slope < 0 and ratio > 8 and product > 1):
        return "no instance past cν = 1 was established"
    return (
        "cν < 1 is where the bound is finite; past it the theorem is silent and no claim is made "
        "that the threshold is sharp. A fixed multiple of ν cannot take over: N = d = 1, K = 2, "
        f"T = (1, 0), λ = 1e-8, W = 0 has cν = {product.str(4)}, and f'(16) < 0 puts W* so far "
        f"that ‖W − W*‖_H/ν ≥ {ratio.str(6)}"
    )


def _prove() -> Proof:
    x = sp.Symbol("R", positive=True)
    s = sp.Symbol("s", nonnegative=True)
    rise = sp.diff(x / (1 - sp.exp(-x)), x) * (1 - sp.exp(-x)) ** 2
    # n = ‖Δ‖_H, ν, c, R, e = e^{−R}, f = (1 − e)/R.
    y, r, n, nu, c, e, f = reals("y r n nu c e f")
    given = [n > 0, nu >= 0, c > 0, r > 0, e > 0, e < 1, f * r == 1 - e, nu * n >= n * n * f]
    return proof(
        "sympy for derivatives and integral, z3 for the inequalities, ball arithmetic for "
        "the instance past cν = 1; the steps named below by hand",
        "scalars along the segment from W to W*, every N, d, K; the two derivatives are "
        "differentiated with all symbols at K = 3 (moments have the same form at every K)",
        vanish(
            "second and third derivative of lse are central moments at K = 3",
            (_central_moments(order) for order in (2, 3)),
        ),
        implies(
            "|y| ≤ R implies |y³| ≤ R y², so |f'''| ≤ R f''",
            [r >= 0, y <= r, -y <= r],
            z3.And(y * y * y <= r * y * y, -y * y * y <= r * y * y),
        ),
        "by hand: (ln f'')' ≥ −R, so f''(s) ≥ e^{−Rs} f''(0); f'(1) = 0 at W*; sum over rows",
        zero(
            "∫₀¹ e^(−Rs) ds − (1 − e^(−R))/R = {}",
            sp.integrate(sp.exp(-x * s), (s, 0, 1)) - (1 - sp.exp(-x)) / x,
        ),
        "by hand: −⟨g, Δ⟩ ≤ νn, and R ≤ cn by the Cauchy–Schwarz inequality with H ⪰ λI",
        implies(
            "νn ≥ n²(1 − e^{−R})/R and R ≤ cn imply 1 − e^{−R} ≤ cν, that is R ≤ r",
            [*given, r <= c * n],
            1 - e <= c * nu,
        ),
        implies("νn ≥ n²(1 − e^{−R})/R implies n ≤ νR/(1 − e^{−R})", given, n * f <= nu),
        zero(
            "(R/(1 − e^(−R)))' (1 − e^(−R))² − e^(−R)(e^R − 1 − R) = {}, and e^R ≥ 1 + R: "
            "increasing, so r may replace R",
            rise - sp.exp(-x) * (sp.exp(x) - 1 - x),
        ),
        _far_away(),
    )


def _draw(rng: np.random.Generator) -> Instance:
    """Weights at a chosen cν < 1 from the optimum, down to 1e-4 (nearly tight)."""
    problem = draw_problem(rng, 8, 4, 4, decay=(-2, 1.5))
    if rng.random() < 0.1:  # a single row
        problem |= {name: problem[name][:1] for name in ("x", "targets")}
    head = DenseHead.of(problem)
    optimum = head.minimum()
    direction = rng.standard_normal(optimum.shape)
    if rng.random() < 0.5:
        direction -= direction.mean(axis=1, keepdims=True)
    c = math.sqrt(2 / head.penalty) * float(np.linalg.norm(head.x, axis=1).max())
    size = c * head.hessian_norm(optimum, direction)
    weights = optimum + 10 ** rng.uniform(-4, 0) / size * direction
    while c * head.decrement(weights) >= 0.99:
        weights = (weights + optimum) / 2
    return {**problem, "weights": weights}


def _small(instance: Instance) -> Held:
    head = DenseHead.of(instance)
    longest = float(np.linalg.norm(head.x, axis=1).max())
    product = math.sqrt(2 / head.penalty) * longest * head.decrement(instance["weights"])
    return Held(product < 1, f"cν = {product:.6g}")


def _compare(instance: Instance, *, row_norm: float = 1.0, growth: bool = True) -> Check:
    x, weights, lam = instance["x"], instance["weights"], instance["weight_decay"]
    head = DenseHead.of(instance)
    nu, gradient = head.decrement(weights), float(np.linalg.norm(head.gradient(weights)))
    top = row_norm * float(np.linalg.norm(x, axis=1).max())
    c = math.sqrt(2 / lam) * top
    if c * nu >= 1:
        return Check(True, 1.0)  # the bound is infinite: it says nothing
    certificate = Certificate(gradient, 0.0, gradient, nu, lam, top)
    limit = certificate.local_bound * math.sqrt(lam) if growth else nu
    change = head.minimum() - weights
    moved = float(np.ptp(x @ change, axis=1).max())
    rounding = 1e-12 * (1 + float(np.linalg.norm(weights))) * (1 + c)
    oscillation = bound(moved, -math.log1p(-c * nu), rounding * (1 + top))
    near = bound(head.hessian_norm(weights, change), limit, rounding * math.sqrt(lam + top**2))
    return near.also(oscillation.holds)


THEOREM = Theorem(
    name="local-certificate",
    title="Distance to the optimum, from the Newton decrement",
    source="D",
    kind="upper bound",
    hypotheses=(
        SIMPLEX,
        DECAY,
        Hypothesis(
            "small decrement",
            r"c\nu < 1,\ \nu = \lVert \nabla L(W) \rVert_{H^{-1}},\ H = \nabla^2 L(W),\ "
            r"c = \sqrt2 \max_i \lVert x_i \rVert / \sqrt\lambda",
            test=_small,
        ),
    ),
    statement=r"\max_i \operatorname{osc}\big((W^\star - W)^\top x_i\big) \le r = -\ln(1 - c\nu),"
    r"\quad \lVert W - W^\star \rVert_H \le \frac{\nu\,r}{1 - e^{-r}} = \frac{r}{c}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "without the factor r/(1 − e^{−r})": lambda i: _compare(i, growth=False),
        "c without √2": lambda i: _compare(i, row_norm=math.sqrt(0.5)),
    },
    tight_within=1e-3,
    arguments=PROBLEM | {"weights": WEIGHTS},
    instance=solved,
    runs=("gramlab.Certificate.local_bound",),
)
