"""Mixing k distillation steps multiplies ridge by a polynomial of degree k, 1 at p = 1."""

from functools import reduce

import numpy as np

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._heads import DECAY, ridge
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    n, d, steps = int(rng.integers(2, 10)), int(rng.integers(1, 7)), int(rng.integers(1, 7))
    return {
        "x": rng.standard_normal((n, d)),
        "y": rng.standard_normal(n),
        "weight_decay": float(10 ** rng.uniform(-1.5, 1)),
        "xi": rng.uniform(0.2, 1.5, steps) * rng.choice([-1, 1], steps, p=[0.2, 0.8]),
    }


def _coefficients(xi: np.ndarray) -> np.ndarray:
    """Coefficients of Q_k, constant first: c_i = ξ_k ⋯ ξ_{k−i+1} (1 − ξ_{k−i}), c_k = Π ξ."""
    return np.r_[1, np.cumprod(xi[::-1])] * np.r_[1 - xi[::-1], 1]


def _compare(instance: Instance, coefficients: np.ndarray) -> Check:
    """The polynomial applied to ridge, against k mixed steps that are really fitted."""
    x, y = instance["x"], instance["y"]
    nu = len(x) * instance["weight_decay"]
    shrink = np.linalg.solve(x @ x.T + nu * np.eye(len(x)), x @ x.T)
    applied = reduce(lambda z, c: shrink @ z + c * y, coefficients[::-1], np.zeros_like(y))
    predictions = x @ ridge(x, y, nu)
    for weight in instance["xi"]:
        predictions = x @ ridge(x, weight * predictions + (1 - weight) * y, nu)
    size = float(np.abs(coefficients).sum())
    at_one = equal(coefficients.sum(), 1.0, 1e-11 * size)
    tolerance = 1e-13 * len(x) * len(coefficients) * size * float(np.linalg.norm(y))
    tolerance *= 1 + float(np.linalg.norm(x, 2)) ** 2 / nu
    return equal(predictions, shrink @ applied, tolerance).also(at_one.holds)


THEOREM = Theorem(
    name="polynomial-preconditioner",
    title="k distillation steps are a polynomial preconditioner",
    source="arXiv 2407.04600 (Pareek, Du & Oh 2024); per-eigenvalue form and coefficients D",
    kind="identity",
    hypotheses=(
        DECAY,
        Hypothesis(
            "mixed targets",
            r"y_0 = S y,\ y_i = S(\xi_i y_{i-1} + (1-\xi_i) y),\ S = G(G+N\lambda)^{-1}",
        ),
    ),
    statement=r"y_k = Q_k(S)\, S y, \quad Q_k(p) = \sum_{i<k} \xi_k \cdots \xi_{k-i+1} "
    r"(1 - \xi_{k-i})\, p^i + \xi_1 \cdots \xi_k\, p^k, \quad Q_k(1) = 1",
    kernel=Rocq("polynomial_preconditioner.v", ("polynomial_preconditioner",)),
    uses=("ridge-filter",),
    draw=_draw,
    check=lambda i: _compare(i, _coefficients(i["xi"])),
    planted={
        "weights in reverse order": lambda i: _compare(i, _coefficients(i["xi"][::-1])),
        "weights on the labels": lambda i: _compare(i, _coefficients(1 - i["xi"])),
        "degree one less": lambda i: _compare(i, _coefficients(i["xi"])[:-1]),
        "degree one more": lambda i: _compare(i, _coefficients(np.append(i["xi"], 1.0))),
    },
    arguments=arguments.RIDGE
    | {"mixing": arguments.array("weights ξ_i of the steps", "k", key="xi")},
    instance=arguments.ridge,
)
