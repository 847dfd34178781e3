"""With the factor τ² on the tempered loss, the tempered outputs do not depend on τ at all."""

from typing import Any

import numpy as np

from gramlab.theorems._arguments import PROBLEM, ROUNDS, number
from gramlab.theorems._heads import DenseHead, draw_problem
from gramlab.theorems._hypotheses import above, all_of, equals, positive_decay
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, equal


def draw_temperature(rng: np.random.Generator) -> float:
    """A temperature away from 1."""
    return float(np.exp(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 1.4)))


def compare(instance: Instance, plain_decay: float) -> Check:
    """Rounds at the temperature, with the factor of the loss, against rounds at 1 and another λ."""

    def chain(decay: float, temperature: float, factor: float, read_at: float) -> np.ndarray:
        targets = instance["targets"]
        for _ in range(instance["rounds"]):
            head = DenseHead(instance["x"], targets, decay, temperature, factor)
            reader = DenseHead(instance["x"], targets, decay, read_at)
            targets = reader.probabilities(head.minimum())
        return targets

    settings = (instance[name] for name in ("weight_decay", "temperature", "factor", "read_at"))
    # Both come from Newton solutions, each good to about 1e-13/λ.
    return equal(chain(*settings), chain(plain_decay, 1.0, 1.0, 1.0), 1e-9)


def tempered(power: int, name: str, statement: str) -> dict[str, Any]:
    """What theorems on the factor τ^power of the loss have in common, for powers 0 and 2."""

    def draw(rng: np.random.Generator) -> Instance:
        problem = draw_problem(rng, 8, 4, 4, decay=(-2, 0), spread=0.3)
        tau = draw_temperature(rng)
        settings = {"temperature": tau, "read_at": tau, "factor": tau**power}
        return {**problem, **settings, "rounds": int(rng.integers(1, 3))}

    def with_the_other(rng: np.random.Generator) -> Instance:
        instance = draw(rng)
        return {**instance, "factor": instance["temperature"] ** (2 - power)}

    def supposed(instance: Instance) -> float:
        return instance["temperature"] ** power

    factor = equals("factor", "factor of the loss", supposed)
    read_at = equals("read_at", "temperature of the reading", lambda i: i["temperature"])
    positive = all_of(positive_decay, above("temperature", "τ"))
    return {
        "hypotheses": (
            Hypothesis(name, statement, with_the_other, factor),
            Hypothesis(
                "read at τ",
                r"P = \operatorname{softmax}(XW/\tau) \text{ is passed on}",
                lambda rng: {**draw(rng), "read_at": 1.0},
                read_at,
            ),
            Hypothesis("weight decay", r"\lambda > 0,\ \tau > 0", test=positive),
        ),
        "draw": draw,
        "paper": ("Appendix D.3",),
        "arguments": PROBLEM
        | {
            "temperature": number("τ > 0"),
            "rounds": ROUNDS,
            "read_at": number(
                "temperature of what is passed on; τ unless told",
                default=lambda i: i["temperature"],
            ),
            "factor": number(
                "of the loss; what the theorem supposes unless told", default=supposed
            ),
        },
    }


def _compare(instance: Instance, **other: float) -> Check:
    return compare({**instance, **other}, instance["weight_decay"])


THEOREM = Theorem(
    name="temperature-scaled",
    title="Temperature with the factor τ²",
    source="D",
    kind="identity",
    statement=r"L_\tau(W) = \tfrac{\tau^2}{N} \sum_i \operatorname{CE}\big(T_i, "
    r"\operatorname{softmax}(W^\top x_i / \tau)\big) + \tfrac\lambda2 \lVert W \rVert_F^2: \quad "
    r"W_\tau^\star = \tau W_1^\star,\quad \operatorname{softmax}(X W_\tau^\star / \tau) "
    r"= \operatorname{softmax}(X W_1^\star) \text{ in every round}",
    kernel=Rocq("temperature.v", ("temperature_scaled",)),
    check=_compare,
    planted={
        "factor τ": lambda i: _compare(i, factor=i["temperature"]),
        "factor τ³": lambda i: _compare(i, factor=i["temperature"] ** 3),
        "read at 1": lambda i: _compare(i, read_at=1.0),
    },
    **tempered(2, "factor", r"L_\tau = \tau^2 \operatorname{CE} + \dots"),
)
