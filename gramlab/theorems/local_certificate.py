"""Near the optimum the Newton decrement bounds the distance to it, by self-concordance."""

import math

import numpy as np

from gramlab.numerics.certificate import Certificate
from gramlab.theorems._arguments import SOLVED
from gramlab.theorems._heads import DECAY, SIMPLEX, DenseHead, draw_problem
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, bound


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
    c = head.concordance
    size = c * head.hessian_norm(optimum, direction)
    weights = optimum + 10 ** rng.uniform(-4, 0) / size * direction
    while c * head.decrement(weights) >= 0.99:
        weights = (weights + optimum) / 2
    return {**problem, "weights": weights}


def _small(instance: Instance) -> Held:
    head = DenseHead.of(instance)
    product = head.concordance * head.decrement(instance["weights"])
    return Held(product < 1, f"cν = {product:.6g}")


def _compare(instance: Instance, *, share: float = 1.0, growth: bool = True) -> Check:
    weights, lam, head = instance["weights"], instance["weight_decay"], DenseHead.of(instance)
    nu, gradient = head.decrement(weights), float(np.linalg.norm(head.gradient(weights)))
    c = share * head.concordance
    top = c * math.sqrt(lam / 2)
    if c * nu >= 1:
        return Check(True, 1.0)  # the bound is infinite: it says nothing
    certificate = Certificate(gradient, 0.0, gradient, nu, lam, top)
    limit = certificate.local_bound * math.sqrt(lam) if growth else nu
    change = head.minimum() - weights
    moved = float(np.ptp(head.x @ change, axis=1).max())
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
    kernel=Rocq("local_certificate.v", ("local_certificate",)),
    draw=_draw,
    check=_compare,
    planted={
        "without the factor r/(1 − e^{−r})": lambda i: _compare(i, growth=False),
        "c without √2": lambda i: _compare(i, share=math.sqrt(0.5)),
    },
    tight_within=1e-3,
    arguments=SOLVED,
    runs=("gramlab.Certificate.local_bound",),
)
