"""What the theorems on temperature share: substitution in the loss, and chains of dense heads."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy as sp

from gramlab.theorems._heads import DenseHead, draw_problem
from gramlab.theorems._hypotheses import above, all_of, equals, positive_decay
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, equal
from gramlab.theorems.steps import proof, zero


def prove(line: str, change: Callable[..., Any], minimum: str, following: str) -> Proof:
    """By ``change(L, W, τ, λ)`` = 0 at N = 2, d = 2, K = 3 with every entry a symbol.

    L(W, λ, τ, f) = (f/N) Σ CE(T_i, softmax(Wᵀx_i/τ)) + (λ/2)‖W‖².
    """
    n, d, k = 2, 2, 3
    x = sp.Matrix(n, d, sp.symbols(f"x:{n * d}", real=True))
    targets = sp.Matrix(n, k, sp.symbols(f"t:{n * k}", nonnegative=True))
    symbols = sp.Matrix(d, k, sp.symbols(f"w:{d * k}", real=True))
    tau, lam = sp.symbols("tau lambda", positive=True)

    def loss(weights: Any, weight_decay: Any, temperature: Any = 1, factor: Any = 1) -> Any:
        v = (x * weights / temperature).applyfunc(sp.expand)
        entropy = sum(
            targets[i, j] * (sp.log(sum(sp.exp(v[i, a]) for a in range(k))) - v[i, j])
            for i in range(n)
            for j in range(k)
        )
        return factor * entropy / n + weight_decay / 2 * sum(e**2 for e in weights)

    return proof(
        "sympy for the substitution; minima and induction by hand",
        "all entries, τ and λ symbolic at N = 2, d = 2, K = 3; every term is a sum over rows and "
        "entries and sees W only through XW/τ and ‖W‖², so every size; every round by induction",
        zero(line, change(loss, symbols, tau, lam)),
        minimum,
        following,
    )


def draw(rng: np.random.Generator) -> Instance:
    """Data, a temperature away from 1, and one or two rounds."""
    problem = draw_problem(rng, 8, 4, 4, decay=(-2, 0), spread=0.3)
    temperature = float(np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 1.4)))
    rounds = int(rng.integers(1, 3))
    return {**problem, "temperature": temperature, "read_at": temperature, "rounds": rounds}


def compare(instance: Instance, factor: float, plain_decay: float, read_at: float) -> Check:
    """Rounds at the temperature, with a factor of the loss, against rounds at 1 and another λ."""

    def chain(decay: float, temperature: float, factor: float, read_at: float) -> np.ndarray:
        targets = instance["targets"]
        for _ in range(instance["rounds"]):
            head = DenseHead(instance["x"], targets, decay, temperature, factor)
            reader = DenseHead(instance["x"], targets, decay, read_at)
            targets = reader.probabilities(head.minimum())
        return targets

    tempered = chain(instance["weight_decay"], instance["temperature"], factor, read_at)
    # Both come from Newton solutions, each good to about 1e-13/λ.
    return equal(tempered, chain(plain_decay, 1.0, 1.0, 1.0), 1e-9)


READ_AT_TAU = Hypothesis(
    "read at τ",
    r"P = \operatorname{softmax}(XW/\tau) \text{ is passed on}",
    lambda rng: {**draw(rng), "read_at": 1.0},
    equals("read_at", "temperature of the reading", lambda i: i["temperature"]),
)
POSITIVE = Hypothesis(
    "weight decay",
    r"\lambda > 0,\ \tau > 0",
    test=all_of(positive_decay, above("temperature", "τ")),
)
