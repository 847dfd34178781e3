"""Any direction gives an upper bound on the Newton decrement, without a factorization."""

from __future__ import annotations

import numpy as np
import sympy as sp

from gramlab.features import Features
from gramlab.heads.referee import SoftmaxObjective
from gramlab.theorems._decide_inequality import decide, reals
from gramlab.theorems._dense_head import DenseHead
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, bound


def _prove() -> Proof:
    # One coordinate in an eigenbasis of H: eigenvalue e ≥ λ, gradient g, direction δ.
    e = sp.Symbol("e", positive=True)
    g, delta = sp.symbols("g delta", real=True)
    rho = g - e * delta
    identity = sp.expand(g**2 / e - (g * delta + rho * delta + rho**2 / e))
    eigenvalue, modulus, residual = reals("e lambda rho")
    verdict, inequality = decide(
        "ρ²/e ≤ ρ²/λ for e ≥ λ > 0",
        [modulus > 0, eigenvalue >= modulus],
        modulus * residual * residual <= eigenvalue * residual * residual,
    )
    return Proof(
        verdict=verdict if identity == 0 else "unknown",
        method="sympy and z3 in one eigen-coordinate of H; the sum over coordinates by hand",
        scope="every symmetric H ⪰ λI of any size: both sides are sums over eigen-coordinates",
        evidence=(
            f"g²/e − (gδ + ρδ + ρ²/e) with ρ = g − eδ: {identity}",
            inequality,
            "equality where ρ lies in the eigenspace of λ, for example along the class vector of "
            "ones, which the softmax does not see",
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    n, d, k = int(rng.integers(2, 8)), int(rng.integers(1, 5)), int(rng.integers(2, 5))
    x, targets = rng.standard_normal((n, d)), rng.dirichlet(np.ones(k), n)
    lam = float(10 ** rng.uniform(-3, 1))
    weights = 10 ** rng.uniform(-2, 0.5) * rng.standard_normal((d, k))
    head = DenseHead(x, targets, lam)
    g = head.gradient(weights)
    newton = np.linalg.solve(head.hessian(weights), g.ravel()).reshape(g.shape)
    miss = rng.standard_normal((d, 1) if rng.random() < 0.5 else (d, k)) * np.ones((d, k))
    size = 10 ** rng.uniform(-3, 0.5) * np.linalg.norm(newton) / np.linalg.norm(miss)
    return {
        "x": x,
        "targets": targets,
        "weights": weights,
        "direction": newton + size * miss,
        "weight_decay": lam,
        "modulus": lam,
    }


def _compare(instance: Instance, *, cross: float = 1.0, last: float = 1.0) -> Check:
    x, targets, lam = instance["x"], instance["targets"], instance["weight_decay"]
    weights, direction = instance["weights"], instance["direction"]
    n, k = targets.shape
    head = DenseHead(x, targets, lam)
    dense = head.gradient(weights).ravel()
    value = float(dense @ np.linalg.solve(head.hessian(weights), dense))
    features = Features(x, np.arange(n) % k, n_classes=k)
    objective = SoftmaxObjective(features, targets - 1 / k, lam)
    g = objective.gradient(weights)
    rho = g - objective.hessian_product(head.probabilities(weights), direction)
    terms = (
        float(np.vdot(g, direction)),
        cross * float(np.vdot(rho, direction)),
        last * float(np.vdot(rho, rho)) / instance["modulus"],
    )
    size = sum(abs(term) for term in terms) + value
    rounding = 1e-12 * size * (1 + np.linalg.norm(x) ** 2 / lam) ** 0.5
    return bound(value, sum(terms), float(rounding))


def _modulus_too_large(rng: np.random.Generator) -> Instance:
    instance = dict(_draw(rng))
    miss = np.ones_like(instance["direction"]) * np.linalg.norm(instance["direction"])
    return {
        **instance,
        "direction": instance["direction"] + miss,
        "modulus": 100 * instance["weight_decay"],
    }


THEOREM = Theorem(
    name="newton-decrement",
    title="Newton decrement without a factorization",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis("curvature", r"H = H^\top \succeq \lambda I,\ \lambda > 0", _modulus_too_large),
        Hypothesis("residual", r"\rho = g - H \Delta,\ \Delta \text{ arbitrary}"),
    ),
    statement=r"\lVert g \rVert_{H^{-1}}^2 = \langle g, \Delta \rangle + \langle \rho, \Delta "
    r"\rangle + \lVert \rho \rVert_{H^{-1}}^2 \le \langle g, \Delta \rangle + \langle \rho, "
    r"\Delta \rangle + \frac{\lVert \rho \rVert_F^2}{\lambda}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "half of the last term": lambda instance: _compare(instance, last=0.5),
        "the cross term forgotten": lambda instance: _compare(instance, cross=0.0),
        "the cross term subtracted": lambda instance: _compare(instance, cross=-1.0),
    },
    tight_within=1e-6,
)
