"""The closed form at t = 1 is the first Newton step of the exact objective from W = 0."""

from itertools import chain
from typing import Any

import numpy as np
import sympy as sp

from gramlab.spectrum.filters import linear_mu
from gramlab.theorems._arguments import PROBLEM, problem, weights_of
from gramlab.theorems._heads import DenseHead, closed_form, draw_problem
from gramlab.theorems._hypotheses import positive_decay, sums_to_one
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Proof, Theorem, equal
from gramlab.theorems.steps import proof, vanish, zero


def _row_at_zero(k: int) -> list[Any]:
    """Gradient and Hessian of lse at v = 0, differentiated, minus 1/K and I/K − 11ᵀ/K²."""
    v = sp.symbols(f"v:{k}", real=True)
    lse = sp.log(sum(sp.exp(e) for e in v))
    gradient = sp.Matrix([lse]).jacobian(v).subs(dict.fromkeys(v, 0))
    hessian = sp.hessian(lse, v).subs(dict.fromkeys(v, 0))
    return [*(gradient - sp.ones(1, k) / k), *(hessian - sp.eye(k) / k + sp.ones(k, k) / k**2)]


def _prove() -> Proof:
    # One singular direction of X (σ ≥ 0), one class vector of zero sum: δ the coordinate of D.
    sigma, delta = sp.Symbol("sigma", nonnegative=True), sp.Symbol("delta", real=True)
    lam, n, k = sp.symbols("lambda N K", positive=True)
    mu, s = k * n * lam, sigma**2
    closed = k * sigma / (s + mu) * delta
    return proof(
        "sympy; the class symmetry that carries K = 2 … 5 to every K by hand",
        "N, d, λ and the singular value symbolic; K symbolic in the Newton equation, and "
        "∇lse(0), ∇²lse(0) differentiated at K = 2, 3, 4, 5 (their form for every K is "
        "p = 1/K in diag(p) − ppᵀ)",
        vanish(
            "∇lse(0) = 1/K and ∇²lse(0) = I/K − 11ᵀ/K² at K = 2, 3, 4, 5",
            chain.from_iterable(_row_at_zero(k) for k in range(2, 6)),
        ),
        "rows of D sum to zero, so the Newton step stays in zero-sum class vectors, on which "
        "∇²lse(0) = 1/K; along the class vector of ones gradient and step are both zero",
        zero(
            "(s/(NK) + λ) w − σδ/N with w = Kσδ/(s + μ): {}",
            (s / (n * k) + lam) * closed - sigma * delta / n,
        ),
        "s/(NK) + λ > 0, so the step is unique",
    )


def _draw(rng: np.random.Generator) -> Instance:
    problem = draw_problem(rng, k=5)
    return {**problem, "start": np.zeros((problem["x"].shape[1], problem["targets"].shape[1]))}


def _instance(
    features: object, targets: object, weight_decay: object, start: object = None
) -> Instance:
    made = problem(features, targets, weight_decay)
    zero_start = np.zeros((made["x"].shape[1], made["targets"].shape[1]))
    return {**made, "start": zero_start if start is None else weights_of(made, "start", start)}


def _at_zero(instance: Instance) -> Held:
    largest = float(np.abs(instance["start"]).max())
    return Held(largest == 0, f"largest entry of W₀ is {largest:.6g}")


def _compare(instance: Instance, mu_factor: float = 1.0, rounds: int = 1) -> Check:
    x, targets, start = instance["x"], instance["targets"], instance["start"]
    n, k = targets.shape
    newton = start - DenseHead.of(instance).newton_step(start)
    mu = mu_factor * linear_mu(k, n, instance["weight_decay"])
    weights, _ = closed_form(x, targets, mu, rounds)
    size = np.linalg.norm(x)
    return equal(newton, weights, 1e-13 * (1 + size**2 / mu) * k * size / mu)


def _elsewhere(rng: np.random.Generator) -> Instance:
    instance = _draw(rng)
    start = rng.standard_normal(instance["start"].shape)
    return {**instance, "start": start - start.mean(axis=1, keepdims=True)}


def _rows_that_miss_one(rng: np.random.Generator) -> Instance:
    instance = _draw(rng)
    missed = instance["targets"] * rng.uniform(1.5, 2.0, (len(instance["x"]), 1))
    return {**instance, "targets": missed}


THEOREM = Theorem(
    name="first-newton-step",
    title="The closed form is a Newton step",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis("rows sum to one", r"\sum_k T_{ik} = 1", _rows_that_miss_one, sums_to_one),
        Hypothesis("weight decay", r"\lambda > 0,\ \mu = K N \lambda", test=positive_decay),
        Hypothesis("start at zero", r"W_0 = 0", _elsewhere, _at_zero),
    ),
    statement=r"W_0 - \nabla^2 L(W_0)^{-1} \nabla L(W_0) "
    r"= K V \operatorname{diag}\!\Big(\frac{1}{s+\mu}\Big) Z^\top (T - \tfrac1K)",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, rounds=2),
        "μ = Nλ": lambda i: _compare(i, 1 / i["targets"].shape[1]),
    },
    arguments=PROBLEM | {"start": "(d, K), W₀; zero unless told"},
    instance=_instance,
    runs=("gramlab.Spectrum.of", "gramlab.spectrum.filters.filter_over_eigenvalue"),
)
