"""Without the factor τ², a temperature does what weight decay λτ² does."""

import numpy as np

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._hypotheses import equals
from gramlab.theorems._temperature import POSITIVE, READ_AT_TAU, compare, draw
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem


def _compare(instance: Instance, power: float = 2.0) -> Check:
    plain_decay = instance["weight_decay"] * instance["temperature"] ** power
    return compare(instance, instance.get("factor") or 1.0, plain_decay, instance["read_at"])


def _with_factor(rng: np.random.Generator) -> Instance:
    instance = draw(rng)
    return {**instance, "factor": instance["temperature"] ** 2}


THEOREM = Theorem(
    name="temperature-unscaled",
    title="Temperature without the factor τ²",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "no factor",
            r"L_\tau = \operatorname{CE} + \dots",
            _with_factor,
            equals("factor", "factor of the loss", lambda i: 1.0),
        ),
        READ_AT_TAU,
        POSITIVE,
    ),
    statement=r"L_{\tau,\lambda}(W) = \tfrac1N \sum_i \operatorname{CE}\big(T_i, "
    r"\operatorname{softmax}(W^\top x_i / \tau)\big) + \tfrac\lambda2 \lVert W \rVert_F^2: \quad "
    r"\operatorname{softmax}(X W_{\tau,\lambda}^\star / \tau) "
    r"= \operatorname{softmax}(X W_{1,\lambda\tau^2}^\star) \text{ in every round}",
    kernel=Rocq("temperature.v", ("temperature_unscaled",)),
    draw=draw,
    check=_compare,
    planted={
        "λτ": lambda i: _compare(i, power=1.0),
        "λ/τ²": lambda i: _compare(i, power=-2.0),
        "λ unchanged": lambda i: _compare(i, power=0.0),
    },
    paper=("Appendix D.3",),
    arguments=arguments.TEMPERED,
)
