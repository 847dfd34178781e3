"""Heads trained at 1 and read at τ: to first order each round's deviations shrink by 1/τ more."""

import numpy as np
from scipy.special import softmax

from gramlab.heads.closed_form import LinearizedHead
from gramlab.theorems._arguments import PROBLEM, ROUNDS, flag, number
from gramlab.theorems._heads import draw_problem, features
from gramlab.theorems._hypotheses import above, all_of, on_simplex, positive_decay
from gramlab.theorems.closed_form import first_order, slow
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, equal
from gramlab.theorems.temperature_scaled import draw_temperature


def _draw(rng: np.random.Generator) -> Instance:
    return {
        **draw_problem(rng, 10, 5, 5, decay=(-2, 0), spread=0.3),
        "temperature": draw_temperature(rng),
        "rounds": int(rng.integers(1, 5)),
        "first_order": True,
    }


def _compare(instance: Instance, power: float | None = None) -> Check:
    x, targets, rounds = instance["x"], instance["targets"], instance["rounds"]
    lam, (n, k) = instance["weight_decay"], targets.shape
    plain = LinearizedHead(lam).rounds_at_once(features(x, k), targets, rounds)
    factor = instance["temperature"] ** -(rounds if power is None else power)

    def read(logits: np.ndarray) -> np.ndarray:
        at_tau = logits / instance["temperature"]
        return first_order(at_tau) if instance["first_order"] else softmax(at_tau, axis=1) - 1 / k

    _, found = slow(instance, read)
    condition = 1 + np.linalg.norm(x) ** 2 / (k * n * lam)
    tolerance = float(1e-13 * rounds * condition * max(1.0, factor))
    top = np.sort(factor * plain.deviations, axis=1)
    clear = top[:, -1] - top[:, -2] > 2 * tolerance
    same = (found.argmax(axis=1) == plain.labels)[clear].all()
    return equal(found, factor * plain.deviations, tolerance).also(same)


THEOREM = Theorem(
    name="temperature-reading",
    title="Trained at 1, read at τ",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "first order",
            r"P^{(t)} = \tfrac1K + \tfrac{1}{K\tau}(z - \bar z) \text{ for } "
            r"\operatorname{softmax}(z/\tau),\ z = XW_t",
            lambda rng: {**_draw(rng), "first_order": False},
            lambda i: Held(i["first_order"], f"first order: {i['first_order']}"),
        ),
        Hypothesis("trained at 1", r"W_t \text{ solves the linearized stationarity at } \tau = 1"),
        Hypothesis(
            "simplex targets",
            r"\sum_k Y_{ik} = 1,\ \lambda > 0,\ \tau > 0",
            test=all_of(on_simplex, positive_decay, above("temperature", "τ")),
        ),
    ),
    statement=r"P_\tau^{(t)} - \tfrac1K = \tau^{-t} h(G)^t D = \tau^{-t} \big(P_1^{(t)} - \tfrac1K"
    r"\big),\quad \operatorname{argmax} P_\tau^{(t)} = \operatorname{argmax} P_1^{(t)}",
    kernel=Rocq(
        "temperature_reading.v", ("temperature_reading", "read_at_one", "softmax_first_order")
    ),
    uses=("closed-form",),
    draw=_draw,
    check=_compare,
    planted={
        "τ only once": lambda i: _compare(i, power=1.0),
        "no effect": lambda i: _compare(i, power=0.0),
        "a round more": lambda i: _compare(i, power=i["rounds"] + 1.0),
    },
    paper=("Appendix D.3",),
    arguments=PROBLEM
    | {
        "temperature": number("τ > 0, at which heads trained at 1 are read"),
        "rounds": ROUNDS,
        "first_order": flag("False reads the softmax itself", True),
    },
    runs=("gramlab.LinearizedHead.rounds_at_once",),
)
