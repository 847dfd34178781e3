"""Errors of earlier rounds add up, and no more: a round is firmly nonexpansive."""

from typing import Any

import numpy as np

from gramlab.errors import InvalidSetting
from gramlab.theorems._arguments import FEATURES, PROBLEM, array, number
from gramlab.theorems._heads import DenseHead
from gramlab.theorems._hypotheses import equals
from gramlab.theorems._rounds import DECAYS
from gramlab.theorems.form import Argument, Check, Held, Hypothesis, Instance, Rocq, Theorem, bound


def _rounds(instance: Instance, weights: list[np.ndarray] | None = None) -> list[DenseHead]:
    """The objective of each round; targets from the given weights, or from exact rounds."""
    heads: list[DenseHead] = []
    y, xi, tau = instance["targets"], instance["mixing"], instance["temperature"]
    targets = y
    for t, (x, decay) in enumerate(zip(instance["x"], instance["decays"], strict=True)):
        heads.append(DenseHead(x, targets, decay))
        used = heads[-1].minimum() if weights is None else weights[t]
        targets = xi * DenseHead(x, targets, decay, tau).probabilities(used) + (1 - xi) * y
    return heads


def _draw(rng: np.random.Generator) -> Instance:
    """Early stops of every size; some where errors are passed on nearly whole, in one direction."""
    n, d, k = int(rng.integers(2, 7)), int(rng.integers(1, 4)), int(rng.integers(2, 4))
    rounds = int(rng.integers(2, 4))
    x, targets = rng.standard_normal((n, d)), rng.dirichlet(np.ones(k), n)
    decays = 10 ** rng.uniform(-2, 1, rounds)
    mixing = float(rng.choice([1.0, 1.0, rng.uniform(0, 1), rng.uniform(-2, 2)]))
    shifts = [10 ** rng.uniform(-4, 0) * rng.standard_normal((d, k)) for _ in range(rounds)]
    if rng.random() < 0.4:
        # Equal rows and targets: M is as steep as it gets, along differences of two classes.
        x, targets = np.ones((n, 1)), np.full((n, 2), 0.5)
        decays = np.r_[np.full(rounds - 1, 1e-3), 1e2]
        mixing = float(rng.uniform(0.1, 2.0))
        shifts = [float(rng.uniform(1, 3)) * np.array([[1e-3, -1e-3]]) for _ in range(rounds)]
        shifts[-1] = shifts[-1] / 1e2
    settings = {"targets": targets, "mixing": mixing, "temperature": 1.0}
    # Weights near the optimum for the targets that the weights before them make.
    weights: list[np.ndarray] = []
    for t, shift in enumerate(shifts, 1):
        part = {**settings, "x": [x] * t, "decays": decays[:t]}
        weights.append(_rounds(part, [*weights, shift])[-1].minimum() + shift)
    return {**settings, "x": [x] * rounds, "decays": decays, "weights": weights}


def _second_exact(scale: float = 1.0, temperature: float = 1.0) -> Instance:
    """Two rounds in one dimension, the second of scaled rows; the first is off, it is exact."""
    base = np.array([[1.0], [1.0]])
    rows = {"x": [base, scale * base], "targets": np.array([[0.6, 0.4], [0.5, 0.5]])}
    settings = {"decays": np.array([0.1, 1e3]), "mixing": 1.0, "temperature": temperature}
    instance = {**rows, **settings}
    first = _rounds(instance)[0].minimum() + np.array([[0.01, -0.01]])
    second = _rounds(instance, [first, first])[1].minimum()
    return {**instance, "weights": [first, second]}


def _same_rows(instance: Instance) -> Held:
    first, *later = instance["x"]
    most = max((float(np.abs(x - first).max()) for x in later), default=0.0)
    return Held(most == 0, f"rows of later rounds differ by up to {most:.6g}")


def _compare(
    instance: Instance, passed: float = 1.0, squared: bool = False, first_decay: bool = False
) -> Check:
    weights, decays, xi = instance["weights"], instance["decays"], abs(instance["mixing"])
    true, made = _rounds(instance), _rounds(instance, weights)
    carried, slack, holds = 0.0, np.inf, True
    for t, w in enumerate(weights):
        own = float(np.linalg.norm(made[t].gradient(w)))
        limit = (own + (xi if squared else passed) * carried) / decays[0 if first_decay else t]
        best = true[t].minimum()
        rounding = 1e-12 * (1 + float(np.linalg.norm(best))) * (1 + 1 / min(decays))
        found = bound(float(np.linalg.norm(w - best)), limit, rounding)
        holds = holds and found.holds
        slack = min(slack, found.slack) if t else slack  # the first round's own bound is another's
        carried = xi * (own + carried)
    return Check(holds, slack)


def _each(name: str, value: object, sizes: dict[str, int]) -> list[np.ndarray]:
    told = value if isinstance(value, (list, tuple)) else [value]
    return [FEATURES.read(name, one, sizes) for one in told]


def _instance(x: list[np.ndarray], decays: np.ndarray, **more: Any) -> Instance:
    each = x * len(decays) if len(x) == 1 else x
    if len(each) != len(decays):
        raise InvalidSetting(
            f"features must be one matrix, or {len(decays)}, one for each weight decay, got "
            f"{len(each)}; see the theorem's arguments"
        )
    return {"x": each, "decays": decays, **more}


THEOREM = Theorem(
    name="chain-certificate",
    title="Distance to the true iterate, through the rounds",
    source="D",
    kind="upper bound",
    hypotheses=(
        DECAYS,
        Hypothesis(
            "same rows",
            r"M(W) = X^\top \operatorname{softmax}(XW)/N \text{ is the same in all rounds}",
            lambda rng: _second_exact(scale=float(rng.uniform(5, 20))),
            _same_rows,
        ),
        Hypothesis(
            "read at temperature 1",
            r"T^{(1)} = Y,\ T^{(t+1)} = \xi \operatorname{softmax}(X W_t) + (1 - \xi) Y,\ \xi \in "
            r"\mathbb{R}; \text{ in } e_1\ M(\widetilde W_0) \text{ stands for } \tfrac1N X^\top Y",
            lambda rng: _second_exact(temperature=float(rng.uniform(0.05, 0.2))),
            equals("temperature", "temperature of the reading", lambda i: 1.0),
        ),
    ),
    statement=r"\lambda_t \lVert \widetilde W_t - W_t \rVert_F \le S_t = \lVert e_t \rVert_F + "
    r"|\xi| S_{t-1}, \quad S_0 = 0, \quad e_t = \lambda_t \widetilde W_t + M(\widetilde W_t) - "
    r"\xi M(\widetilde W_{t-1}) - (1 - \xi) \tfrac1N X^\top Y \quad \text{for every } "
    r"\widetilde W_1, \dots, \widetilde W_t",
    kernel=Rocq("chain_certificate.v", ("chain_certificate",)),
    draw=_draw,
    check=_compare,
    planted={
        "the round's own gradient alone": lambda i: _compare(i, 0.0),
        "half of what is carried": lambda i: _compare(i, 0.5),
        "ξ counted twice": lambda i: _compare(i, squared=True),
        "divided by the first weight decay": lambda i: _compare(i, first_decay=True),
    },
    tight_within=0.02,
    arguments={
        "features": Argument(
            f"{FEATURES}; a list of them for rounds of their own rows", _each, key="x"
        ),
        "targets": PROBLEM["targets"],
        "weight_decays": array("λ of each round", "t", key="decays"),
        "weights": array(
            "what was computed: any weights, such as those of gramlab.distill", "t", "d", "K"
        ),
        "mixing": number("ξ, any real number; 1 unless told", default=1.0),
        "temperature": number("at which predictions are read; 1 unless told", default=1.0),
    },
    instance=_instance,
)
