"""How many rows can be wrong on features whose Gram matrix is near one that gets all rows right."""

from typing import Any

import numpy as np

from gramlab.features import Features
from gramlab.population.block_fit import fit_block_model
from gramlab.spectrum.filters import perturbation_constant
from gramlab.theorems._arguments import GRAM, ROUNDS, check_condition, labels, number
from gramlab.theorems._heads import margins
from gramlab.theorems._hypotheses import above, all_of, semidefinite
from gramlab.theorems.form import Argument, Check, Held, Hypothesis, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    if rng.random() < 0.3:  # two rows that become one: both tie, and the bound says so
        mu = float(10 ** rng.uniform(-1, 2))
        d = 1 - float(10 ** rng.uniform(-4, -2)) * min(mu, 1.0)
        two = np.array([[1.0, d], [d, 1.0]])
        return _of(np.ones((2, 2)), two, np.arange(2), np.arange(2), mu, 1)
    while True:  # until the block model gets all rows right
        k, n = int(rng.integers(2, 5)), int(rng.integers(2, 9))
        true = np.repeat(np.arange(k), n)
        spread = float(10 ** rng.uniform(-2, 0))
        x = np.eye(k)[true] + spread * rng.standard_normal((k * n, k)) / np.sqrt(k)
        fit = fit_block_model(Features(x, true, n_classes=k))
        block = fit.factor @ fit.factor.T + (fit.diagonal - fit.within) * np.eye(k * n)
        flips = rng.random(k * n) < rng.uniform(0, 0.4)
        given = np.where(flips, rng.integers(k, size=k * n), true)
        mu, t = float(10 ** rng.uniform(-1, 2)), round(30 ** float(rng.random()))
        made = _of(x @ x.T, block, true, given, mu, t)
        if _perfect(made).holds:
            return made


def _of(gram: object, other: object, true: object, given: object, mu: float, t: int) -> Instance:
    told = {"gram": gram, "other": other, "labels": true, "given": given, "mu": mu}
    return {**told, "rounds": t}


def _margins(gram: np.ndarray, instance: Instance) -> tuple[np.ndarray, float]:
    """Margins of the true labels (N,) in probabilities by dense solves, and their rounding."""
    true, mu, n = instance["labels"], instance["mu"], len(gram)
    k = int(max(true.max(), instance["given"].max())) + 1
    deviations = np.eye(k)[instance["given"]] - 1 / k
    shifted = gram + mu * np.eye(n)
    for _ in range(instance["rounds"]):
        deviations = np.linalg.solve(shifted, gram @ deviations)
    rounding = 1e-14 * n * instance["rounds"] * (1 + float(np.linalg.norm(gram, 2)) / mu)
    return margins(deviations, true), rounding


def _perfect(instance: Instance) -> Held:
    found, rounding = _margins(instance["other"], instance)
    least = float(found.min())
    return Held(least > rounding, f"γ = {least:.6g}")


def _compare(instance: Instance, factor: float = 2.0, power: int = 2) -> Check:
    gram, other, mu = instance["gram"], instance["other"], instance["mu"]
    found, rounding = _margins(gram, instance)
    given, before = _margins(other, instance)
    k = int(max(instance["labels"].max(), instance["given"].max())) + 1
    moved = perturbation_constant(instance["rounds"]) * np.linalg.norm(gram - other, 2) / mu
    # What rounding leaves open counts as wrong, and is taken from γ.
    gap = abs(given.min()) - before - rounding
    limit = factor * (1 - 1 / k) * (min(1.0, moved) / gap) ** power if gap > 0 else np.inf
    return bound(float((found <= rounding).mean()), float(min(limit, 1.0)), 1e-9)


def _without(rng: np.random.Generator) -> Instance:
    """The block model itself is wrong on a row, and the features are the block model."""
    gram = np.eye(2)
    return _of(gram, gram, np.arange(2), np.arange(2)[::-1], float(rng.uniform(0.5, 2)), 1)


def _instance(**made: Any) -> Instance:
    largest = max(float(np.linalg.norm(made[name], 2)) for name in ("gram", "other"))
    check_condition(largest, made["mu"], "mu", 2)
    return made


THEOREM = Theorem(
    name="robust-accuracy",
    title="Accuracy on features near a block model",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "Gram matrices",
            r"G \succeq 0,\ B \succeq 0,\ \mu > 0",
            test=all_of(semidefinite("gram", "other"), above("mu", "μ")),
        ),
        Hypothesis(
            "right with room",
            r"\text{with } B \text{ and the same one-hot labels every row is right at } t, "
            r"\text{ with least margin } \gamma > 0 \text{ in probability}",
            _without,
            _perfect,
        ),
    ),
    statement=r"\frac1N \#\{i \text{ not right with } G\} \le 2 \Bigl(1 - \frac1K\Bigr) "
    r"\frac{\min(1, \kappa_t \lVert G - B \rVert_2/\mu)^2}{\gamma^2}, "
    r"\quad \kappa_t \text{ of the theorem perturbation; a tie is not right}",
    kernel=Rocq("robust_accuracy.v", ("robust_accuracy",)),
    uses=("perturbation",),
    draw=_draw,
    check=_compare,
    planted={
        "half of it": lambda i: _compare(i, factor=1.0),
        "without the square": lambda i: _compare(i, factor=1.0, power=1),
    },
    tight_within=0.01,
    arguments={
        "gram": GRAM,
        "other": Argument(
            "(N, N), B, such as the Gram matrix of the block model of a fit", GRAM.read
        ),
        "labels": labels("true classes"),
        "given": labels("given labels"),
        "mu": number("μ = K N λ > 0"),
        "rounds": ROUNDS,
    },
    instance=_instance,
    runs=("gramlab.spectrum.filters.perturbation_constant",),
)
