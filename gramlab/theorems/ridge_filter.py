"""Under squared loss the filter is h(s) = s/(s + Nλ), and t rounds of ridge give h(G)^t."""

from typing import Any

import numpy as np

from gramlab.heads.closed_form import RidgeHead
from gramlab.spectrum.filters import filter_power
from gramlab.theorems import _arguments as arguments
from gramlab.theorems._heads import DECAY, draw_rows, features, ridge, targets_of
from gramlab.theorems.form import Argument, Check, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    x = draw_rows(rng, 13, 9)
    return {
        "x": x,
        "y": rng.standard_normal((len(x), int(rng.integers(1, 4)))),
        "weight_decay": float(10 ** rng.uniform(-2, 1)),
        "rounds": int(rng.integers(1, 7)),
    }


def _labels(name: str, value: Any, sizes: dict[str, int]) -> np.ndarray:
    columns = ("k",) if np.ndim(value) > 1 else ()
    return arguments.read_array(name, value, sizes, "N", *columns)


def _check(instance: Instance, scale: float = 1.0, more: int = 0) -> Check:
    x, rounds, nu = instance["x"], instance["rounds"], len(instance["x"]) * instance["weight_decay"]
    y = instance["y"].reshape(len(x), -1)
    found = y
    for _ in range(rounds):
        found = x @ ridge(x, found, nu)
    values, vectors = np.linalg.eigh(x @ x.T)
    power = filter_power(values.clip(min=0), scale * nu, rounds + more)
    filtered = vectors @ (power[:, None] * (vectors.T @ y))
    size = float(np.linalg.norm(x, 2)) ** 2
    tolerance = 1e-13 * rounds * len(x) * (1 + np.sqrt(size / (scale * nu))) * np.abs(y).max()
    targets, head = targets_of(y), RidgeHead(instance["weight_decay"])
    fit = head.rounds_at_once(features(x, targets.shape[1]), targets, rounds)
    told = fit.deviations[:, :-1]
    return equal(found, filtered, tolerance).also(np.abs(told - found).max() <= tolerance)


THEOREM = Theorem(
    name="ridge-filter",
    title="Squared loss: the filter of ridge regression",
    source="D (shrinking basis: arXiv 2002.05715, Mobahi, Farajtabar & Bartlett 2020)",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "squared loss",
            r"L(w) = \frac{1}{2N} \lVert Xw - y \rVert^2 + \frac{\lambda}{2} \lVert w \rVert^2",
        ),
        DECAY,
    ),
    statement=r"X w^{(t)} = h(G)^t y, \quad h(s) = \frac{s}{s + N\lambda}",
    kernel=Rocq("ridge_filter.v", ("ridge_filter",)),
    draw=_draw,
    check=_check,
    planted={
        "the constant of K = 2 classes": lambda x: _check(x, 2.0),
        "a mean loss without its N": lambda x: _check(x, 1 / len(x["x"])),
        "a round more": lambda x: _check(x, 1.0, 1),
        "t rounds as t times the decay": lambda x: _check(x, x["rounds"], 1 - x["rounds"]),
    },
    arguments=arguments.RIDGE
    | {
        "labels": Argument("(N,) or (N, k), real numbers", _labels, key="y"),
        "rounds": arguments.ROUNDS,
    },
    runs=("gramlab.RidgeHead.rounds_at_once", "gramlab.spectrum.filters.filter_power"),
)
