"""The closed form of every round solves the linearized stationarity equations, and nothing else."""

import numpy as np
import sympy as sp

from gramlab.spectrum.filters import linear_mu
from gramlab.theorems._arguments import PROBLEM, ROUNDS, problem
from gramlab.theorems._heads import closed_form, draw_problem
from gramlab.theorems._hypotheses import positive_decay, sums_to_one
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, equal
from gramlab.theorems.steps import positive, proof, vanish, zero
from gramlab.validation import check_integer


def _prove() -> Proof:
    # One eigen-direction of G: σ ≥ 0 the singular value, δ the coordinate of D, s = σ².
    sigma, lam, n, k = sp.symbols("sigma lambda N K", positive=True)
    delta, t = sp.Symbol("delta", real=True), sp.Symbol("t", integer=True, positive=True)
    mu, s = k * n * lam, sigma**2
    before, now = ((s / (s + mu)) ** r * delta for r in (t - 1, t))
    weight = k * sigma * s ** (t - 1) / (s + mu) ** t * delta
    return proof(
        "sympy in one singular direction of X; reduction to it by hand",
        "K, N, λ, μ, the singular value and the round t symbolic; every N, d, K, since the "
        "equations split over singular directions and classes",
        "X = Σ σ u vᵀ: the coordinates along v (weights) and u (deviations) do not mix",
        "rows of every A_t sum to zero, so W has zero row sums and the centring v − v̄ drops",
        zero("w_t − (σ/(Nλ))(a_(t−1) − a_t) = {}", weight - sigma / (n * lam) * (before - now)),
        zero("σ w_t/K − a_t = {}", sigma * weight / k - now),
        # σ = 0: w = (0/Nλ)(...) = 0 and a = 0·w/K = 0, which is what the formulas say for t ≥ 1.
        vanish("σ = 0 gives w_t = a_t = 0 on both sides", [0**t]),
        # (X'X + μ) W = K X'A has the eigenvalue s + μ.
        positive("s + μ > 0 makes the solution unique", s + mu),
    )


def _draw(rng: np.random.Generator) -> Instance:
    return {**draw_problem(rng, 9, 5, 5), "rounds": int(rng.integers(1, 5))}


def _instance(features: object, targets: object, weight_decay: object, rounds: int = 1) -> Instance:
    made = problem(features, targets, weight_decay)
    return {**made, "rounds": check_integer("rounds", rounds, 1)}


def _slow(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """Round by round, each from the dense system of the stationarity equations as they stand:
    W = (1/(Nλ)) Xᵀ(A − (XW − mean over classes)/K), unknown vec W.
    """
    x, targets, lam = instance["x"], instance["targets"], instance["weight_decay"]
    (n, k), d = targets.shape, x.shape[1]
    centre = np.eye(k) - 1 / k
    system = np.eye(d * k) + np.kron(x.T @ x, centre) / (k * n * lam)
    weights, deviations = np.zeros((d, k)), targets - 1 / k
    for _ in range(instance["rounds"]):
        right = x.T @ deviations / (n * lam)
        weights = np.linalg.solve(system, right.ravel()).reshape(d, k)
        deviations = x @ weights @ centre / k
    return weights, deviations


def _compare(instance: Instance, mu_factor: float = 1.0, more: int = 0) -> Check:
    (n, k), x, rounds = instance["targets"].shape, instance["x"], instance["rounds"]
    mu = mu_factor * linear_mu(k, n, instance["weight_decay"])
    weights, deviations = closed_form(x, instance["targets"], mu, rounds + more)
    slow_weights, slow_deviations = _slow(instance)
    tolerance = 1e-13 * (1 + np.linalg.norm(x) ** 2 / mu) * rounds
    first = equal(weights, slow_weights, tolerance * k * np.linalg.norm(x) / mu)
    second = equal(deviations, slow_deviations, tolerance)
    return Check(first.holds and second.holds, max(first.slack, second.slack))


def _rows_that_miss_one(rng: np.random.Generator) -> Instance:
    instance = _draw(rng)
    missed = instance["targets"] + rng.uniform(0.5, 1.0, (len(instance["x"]), 1))
    return {**instance, "targets": missed}


THEOREM = Theorem(
    name="closed-form",
    title="Closed form of round t",
    source="P; the weights as written here: D",
    kind="identity",
    hypotheses=(
        Hypothesis("rows sum to one", r"\sum_k Y_{ik} = 1", _rows_that_miss_one, sums_to_one),
        Hypothesis("weight decay", r"\lambda > 0,\ \mu = K N \lambda", test=positive_decay),
        Hypothesis("rounds", r"t \in \{1, 2, \dots\},\ D = Y - \tfrac1K"),
    ),
    statement=r"W_t = \tfrac{1}{N\lambda} X^\top (A_{t-1} - A_t),\ "
    r"A_t = \tfrac1K (XW_t - \overline{XW_t}),\ A_0 = D \iff "
    r"A_t = h(G)^t D,\ W_t = K V \operatorname{diag}\!\Big(\frac{s^{t-1}}{(s+\mu)^t}\Big) Z^\top D",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, more=1),
        "μ = Nλ": lambda i: _compare(i, 1 / i["targets"].shape[1]),
        "μ twice as large": lambda i: _compare(i, 2.0),
    },
    paper=("Theorem 2.1", "eq. (4)"),
    arguments=PROBLEM | {"rounds": ROUNDS},
    instance=_instance,
    runs=(
        "gramlab.Spectrum.of",
        "gramlab.spectrum.filters.apply_filter",
        "gramlab.spectrum.filters.filter_over_eigenvalue",
    ),
)
