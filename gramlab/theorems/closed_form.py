"""The closed form of every round solves the linearized stationarity equations, and nothing else."""

from __future__ import annotations

import numpy as np
import sympy as sp

from gramlab.features import Features
from gramlab.filters import apply_filter, filter_over_eigenvalue, linear_mu
from gramlab.spectrum import Spectrum
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, equal


def _prove() -> Proof:
    # One eigen-direction of G: σ ≥ 0 the singular value, δ the coordinate of D, s = σ².
    sigma, lam, n, k = sp.symbols("sigma lambda N K", positive=True)
    delta = sp.Symbol("delta", real=True)
    t = sp.Symbol("t", integer=True, positive=True)
    mu, s = k * n * lam, sigma**2
    deviation = lambda r: (s / (s + mu)) ** r * delta  # noqa: E731
    weight = k * sigma * s ** (t - 1) / (s + mu) ** t * delta
    stationary = sp.simplify(weight - sigma / (n * lam) * (deviation(t - 1) - deviation(t)))
    link = sp.simplify(sigma * weight / k - deviation(t))
    # Uniqueness: (X'X + μ) W = K X'A has the eigenvalue s + μ > 0.
    unique = (s + mu).is_positive
    # σ = 0: w = (0/Nλ)(...) = 0 and a = 0·w/K = 0, which is what the formulas say for t ≥ 1.
    zero = 0**t == 0 and (k * sp.Integer(0) * delta) == 0
    proved = stationary == 0 and link == 0 and bool(unique) and bool(zero)
    return Proof(
        verdict="proved" if proved else "unknown",
        method="sympy in one singular direction of X; reduction to it by hand",
        scope="K, N, λ, μ, the singular value and the round t symbolic; every N, d, K, since the "
        "equations split over singular directions and classes",
        evidence=(
            "X = Σ σ u vᵀ: the coordinates along v (weights) and u (deviations) do not mix",
            "rows of every A_t sum to zero, so W has zero row sums and the centring v − v̄ drops",
            f"w_t − (σ/(Nλ))(a_(t−1) − a_t) = {stationary}",
            f"σ w_t/K − a_t = {link}",
            "σ = 0 gives w_t = a_t = 0 on both sides; s + μ > 0 makes the solution unique",
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    n, d, k = int(rng.integers(2, 9)), int(rng.integers(1, 5)), int(rng.integers(2, 5))
    return {
        "x": rng.standard_normal((n, d)),
        "targets": rng.dirichlet(np.ones(k), n),
        "weight_decay": float(10 ** rng.uniform(-3, 1)),
        "rounds": int(rng.integers(1, 5)),
    }


def _slow(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """Round by round, each from the dense system of the stationarity equations as they stand:
    W = (1/(Nλ)) Xᵀ(A − (XW − mean over classes)/K), unknown vec W.
    """
    x, targets, lam = instance["x"], instance["targets"], instance["weight_decay"]
    (n, k), d = targets.shape, x.shape[1]
    centre = np.eye(k) - 1 / k
    system = np.eye(d * k) + np.kron(x.T @ x, centre) / (k * n * lam)
    deviations = targets - 1 / k
    weights = np.zeros((d, k))
    for _ in range(instance["rounds"]):
        right = x.T @ deviations / (n * lam)
        weights = np.linalg.solve(system, right.ravel()).reshape(d, k)
        deviations = x @ weights @ centre / k
    return weights, deviations


def _closed(instance: Instance, mu: float, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    k = instance["targets"].shape[1]
    features = Features(instance["x"], np.arange(len(instance["x"])) % k, n_classes=k)
    spectrum = Spectrum.of(features)
    deviations = instance["targets"] - 1 / k
    scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, rounds)
    weights = k * spectrum.basis @ (scale[:, None] * (spectrum.coordinates.T @ deviations))
    return weights, apply_filter(spectrum, deviations, mu, rounds)


def _compare(instance: Instance, mu_factor: float = 1.0, more: int = 0) -> Check:
    (n, k), x = instance["targets"].shape, instance["x"]
    mu = mu_factor * linear_mu(k, n, instance["weight_decay"])
    slow, fast = _slow(instance), _closed(instance, mu, instance["rounds"] + more)
    condition = 1 + np.linalg.norm(x) ** 2 / mu
    scales = (k * np.linalg.norm(x) / mu, 1.0)
    checks = [
        equal(a, b, 1e-13 * condition * scale * instance["rounds"])
        for a, b, scale in zip(slow, fast, scales, strict=True)
    ]
    return Check(all(c.holds for c in checks), max(c.slack for c in checks))


def _rows_that_miss_one(rng: np.random.Generator) -> Instance:
    instance = dict(_draw(rng))
    instance["targets"] = instance["targets"] + rng.uniform(0.5, 1.0, (len(instance["x"]), 1))
    return instance


THEOREM = Theorem(
    name="closed-form",
    title="Closed form of round t",
    source="P; the weights as written here: D",
    kind="identity",
    hypotheses=(
        Hypothesis("rows sum to one", r"\sum_k Y_{ik} = 1", _rows_that_miss_one),
        Hypothesis("weight decay", r"\lambda > 0,\ \mu = K N \lambda"),
        Hypothesis("rounds", r"t \in \{1, 2, \dots\},\ D = Y - \tfrac1K"),
    ),
    statement=r"W_t = \tfrac{1}{N\lambda} X^\top (A_{t-1} - A_t),\ "
    r"A_t = \tfrac1K (XW_t - \overline{XW_t}),\ A_0 = D \iff "
    r"A_t = h(G)^t D,\ W_t = K V \operatorname{diag}\!\Big(\frac{s^{t-1}}{(s+\mu)^t}\Big) Z^\top D",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "a round more": lambda instance: _compare(instance, more=1),
        "μ = Nλ": lambda instance: _compare(instance, 1 / instance["targets"].shape[1]),
        "μ twice as large": lambda instance: _compare(instance, 2.0),
    },
)
