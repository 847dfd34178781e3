"""The gradient at any weights bounds their distance to the optimum and the loss above it."""

import numpy as np

from gramlab.theorems._arguments import SOLVED, number_or
from gramlab.theorems._heads import DECAY, SIMPLEX, DenseHead, draw_problem, draw_weights, objective
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    """Some of the weights differ from the optimum only where no feature sees it: tight."""
    problem = draw_problem(rng, 8, 5, 4, decay=(-2, 1))
    weights = draw_weights(rng, problem)
    if rng.random() < 0.3:
        problem["x"][:, 0] = 0.0
        weights = DenseHead.of(problem).minimum()
        weights[0] += rng.standard_normal(weights.shape[1])
    return {**problem, "weights": weights, "penalty": problem["weight_decay"]}


def _free_intercept(rng: np.random.Generator) -> Instance:
    instance = _draw(rng)
    x = np.hstack([np.ones((len(instance["x"]), 1)), instance["x"]])
    penalty = np.r_[0.0, np.full(instance["x"].shape[1], instance["weight_decay"])]
    optimum = DenseHead(x, instance["targets"], penalty).minimum()
    optimum[0] += rng.uniform(1, 2)
    return {**instance, "x": x, "penalty": penalty, "weights": optimum}


def _penalized(instance: Instance) -> Held:
    least, lam = float(np.min(instance["penalty"])), instance["weight_decay"]
    return Held(least >= lam, f"least penalty {least:.6g}, to be at least λ = {lam:.6g}")


def _compare(instance: Instance, distance: float = 1.0, loss: float = 0.5) -> Check:
    weights, lam = instance["weights"], instance["weight_decay"]
    head = DenseHead(instance["x"], instance["targets"], instance["penalty"])
    optimum = head.minimum()
    if np.ndim(instance["penalty"]) == 0:
        certificate = objective(instance).certificate(weights)
        limit, gap = certificate.global_bound, certificate.duality_gap
    else:
        limit = float(np.linalg.norm(head.gradient(weights))) / lam
        gap = limit**2 * lam / 2
    size = 1e-12 * (1 + float(np.linalg.norm(optimum))) * (1 + 1 / lam)
    value = head.value(weights)
    near = bound(float(np.linalg.norm(weights - optimum)), distance * limit, size)
    low = bound(value - head.value(optimum), 2 * loss * gap, 1e-13 * (1 + abs(value)))
    return Check(near.holds and low.holds, min(near.slack, low.slack))


THEOREM = Theorem(
    name="global-certificate",
    title="Distance to the optimum, from strong convexity",
    source="D",
    kind="upper bound",
    hypotheses=(
        SIMPLEX,
        DECAY,
        Hypothesis(
            "no free intercept",
            r"\text{every entry of } W \text{ is penalized}",
            _free_intercept,
            _penalized,
        ),
    ),
    statement=r"\lVert W - W^\star \rVert_F \le \frac{\lVert \nabla L(W) \rVert_F}{\lambda},"
    r"\quad L(W) - L(W^\star) \le \frac{\lVert \nabla L(W) \rVert_F^2}{2\lambda}"
    r"\quad \text{for every } W",
    kernel=Rocq("global_certificate.v", ("global_certificate",)),
    draw=_draw,
    check=_compare,
    planted={
        "half the distance": lambda i: _compare(i, distance=0.5),
        "a quarter for the loss": lambda i: _compare(i, loss=0.25),
    },
    tight_within=1e-6,
    arguments=SOLVED
    | {
        "penalty": number_or(
            "λ, or one for each feature (d,); λ unless told",
            "d",
            default=lambda i: i["weight_decay"],
        )
    },
    runs=("gramlab.Certificate.global_bound", "gramlab.Certificate.duality_gap"),
)
