"""The closed form at t = 1 is the first Newton step of the exact objective from W = 0."""

import numpy as np

from gramlab.spectrum.filters import linear_mu
from gramlab.theorems._arguments import PROBLEM, array
from gramlab.theorems._heads import (
    DECAY_AND_MU,
    DenseHead,
    closed_form,
    draw_problem,
    rows_sum_to_one,
)
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, equal


def _zero(instance: Instance) -> np.ndarray:
    return np.zeros((instance["x"].shape[1], instance["targets"].shape[1]))


def _draw(rng: np.random.Generator) -> Instance:
    problem = draw_problem(rng, k=5)
    return {**problem, "start": _zero(problem)}


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


THEOREM = Theorem(
    name="first-newton-step",
    title="The closed form is a Newton step",
    source="D",
    kind="identity",
    hypotheses=(
        rows_sum_to_one("T", _draw),
        DECAY_AND_MU,
        Hypothesis("start at zero", r"W_0 = 0", _elsewhere, _at_zero),
    ),
    statement=r"W_0 - \nabla^2 L(W_0)^{-1} \nabla L(W_0) "
    r"= K V \operatorname{diag}\!\Big(\frac{1}{s+\mu}\Big) Z^\top (T - \tfrac1K)",
    kernel=Rocq("first_newton_step.v", ("first_newton_step",)),
    draw=_draw,
    check=_compare,
    planted={
        "a round more": lambda i: _compare(i, rounds=2),
        "μ = Nλ": lambda i: _compare(i, 1 / i["targets"].shape[1]),
    },
    arguments=PROBLEM | {"start": array("W₀; zero unless told", "d", "K", default=_zero)},
    runs=("gramlab.Spectrum.of", "gramlab.spectrum.filters.filter_over_eigenvalue"),
)
