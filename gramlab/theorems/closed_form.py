"""The closed form of every round solves the linearized stationarity equations, and nothing else."""

from typing import Any

import numpy as np

from gramlab.spectrum.filters import linear_mu
from gramlab.theorems._arguments import PROBLEM, ROUNDS
from gramlab.theorems._heads import DECAY_AND_MU, closed_form, draw_problem, rows_sum_to_one
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    return {**draw_problem(rng, 9, 5, 5), "rounds": int(rng.integers(1, 5))}


def first_order(logits: np.ndarray) -> np.ndarray:
    """How far the linearized softmax is from uniform."""
    return (logits - logits.mean(axis=1, keepdims=True)) / logits.shape[1]


def slow(instance: Instance, read: Any = first_order) -> tuple[np.ndarray, np.ndarray]:
    """Weights and deviations, round by round; ``read`` makes what is passed on of the logits.

    Each round is from the dense system of the stationarity equations as they stand:
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
        deviations = read(x @ weights)
    return weights, deviations


def _compare(instance: Instance, mu_factor: float = 1.0, more: int = 0) -> Check:
    (n, k), x, rounds = instance["targets"].shape, instance["x"], instance["rounds"]
    mu = mu_factor * linear_mu(k, n, instance["weight_decay"])
    weights, deviations = closed_form(x, instance["targets"], mu, rounds + more)
    slow_weights, slow_deviations = slow(instance)
    tolerance = 1e-13 * (1 + np.linalg.norm(x) ** 2 / mu) * rounds
    first = equal(weights, slow_weights, tolerance * k * np.linalg.norm(x) / mu)
    second = equal(deviations, slow_deviations, tolerance)
    return Check(first.holds and second.holds, max(first.slack, second.slack))


THEOREM = Theorem(
    name="closed-form",
    title="Closed form of round t",
    source="P; the weights as written here: D",
    kind="identity",
    hypotheses=(
        rows_sum_to_one("Y", _draw),
        DECAY_AND_MU,
        Hypothesis("rounds", r"t \in \{1, 2, \dots\},\ D = Y - \tfrac1K"),
    ),
    statement=r"W_t = \tfrac{1}{N\lambda} X^\top (A_{t-1} - A_t),\ "
    r"A_t = \tfrac1K (XW_t - \overline{XW_t}),\ A_0 = D \iff "
    r"A_t = h(G)^t D,\ W_t = K V \operatorname{diag}\!\Big(\frac{s^{t-1}}{(s+\mu)^t}\Big) Z^\top D",
    kernel=Rocq("closed_form.v", ("closed_form",)),
    draw=_draw,
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, more=1),
        "μ = Nλ": lambda i: _compare(i, 1 / i["targets"].shape[1]),
        "μ twice as large": lambda i: _compare(i, 2.0),
    },
    paper=("Theorem 2.1", "eq. (4)"),
    arguments=PROBLEM | {"rounds": ROUNDS},
    runs=(
        "gramlab.Spectrum.of",
        "gramlab.spectrum.filters.apply_filter",
        "gramlab.spectrum.filters.filter_over_eigenvalue",
    ),
)
