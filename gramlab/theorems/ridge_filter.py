"""Under squared loss the filter is h(s) = s/(s + Nλ), and t rounds of ridge give h(G)^t."""

import numpy as np

from gramlab.heads.closed_form import RidgeHead
from gramlab.spectrum.filters import filter_power
from gramlab.theorems import _arguments as arguments
from gramlab.theorems._heads import DECAY, draw_rows, features, ridge
from gramlab.theorems.form import Argument, Check, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    x = draw_rows(rng, 13, 9)
    return {
        "x": x,
        "y": rng.standard_normal((len(x), int(rng.integers(1, 4)))),
        "weight_decay": float(10 ** rng.uniform(-2, 1)),
        "rounds": int(rng.integers(1, 7)),
    }


def _check(instance: Instance, scale: float = 1.0, more: int = 0) -> Check:
    x, y, rounds = instance["x"], instance["y"], instance["rounds"]
    nu = len(x) * instance["weight_decay"]
    found = y
    for _ in range(rounds):
        found = x @ ridge(x, found, nu)
    values, vectors = np.linalg.eigh(x @ x.T)
    values = values.clip(min=0)
    power = filter_power(values, scale * nu, rounds + more)
    filtered = vectors @ (power[:, None] * (vectors.T @ y))
    size = float(np.linalg.norm(x, 2)) ** 2
    tolerance = 1e-13 * rounds * len(x) * (1 + np.sqrt(size / (scale * nu))) * np.abs(y).max()
    told = _head(x, y, instance["weight_decay"], rounds)
    agrees = np.abs(told - found).max() <= tolerance
    return equal(found, filtered, tolerance).also(agrees)


def _head(x: np.ndarray, y: np.ndarray, weight_decay: float, rounds: int) -> np.ndarray:
    """The package's ridge head on y, as deviations of targets: one more column makes rows sum."""
    targets = np.column_stack([y, -y.sum(axis=1)])
    k = targets.shape[1]
    fit = RidgeHead(weight_decay).rounds_at_once(features(x, k), targets + 1 / k, rounds)
    return fit.deviations[:, :-1]


def _columns(name: str, value: object, sizes: dict[str, int]) -> np.ndarray:
    shape = ("N", "k")[: max(1, np.ndim(value))]  # type: ignore[arg-type]
    return arguments.read_array(name, value, sizes, *shape).reshape(sizes["N"], -1)


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
    | {"labels": Argument("(N,) or (N, k), real numbers", _columns, key="y")}
    | {"rounds": arguments.ROUNDS},
    runs=("gramlab.RidgeHead.rounds_at_once", "gramlab.spectrum.filters.filter_power"),
)
