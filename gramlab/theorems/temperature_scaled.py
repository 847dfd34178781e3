"""With the factor τ² on the tempered loss, the tempered outputs do not depend on τ at all."""

from gramlab.theorems import _arguments as arguments
from gramlab.theorems._hypotheses import equals
from gramlab.theorems._temperature import POSITIVE, READ_AT_TAU, compare, draw
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem


def _compare(instance: Instance, power: float = 2.0, read_at: float | None = None) -> Check:
    factor = instance.get("factor") or instance["temperature"] ** power
    return compare(instance, factor, instance["weight_decay"], read_at or instance["read_at"])


THEOREM = Theorem(
    name="temperature-scaled",
    title="Temperature with the factor τ²",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "factor",
            r"L_\tau = \tau^2 \operatorname{CE} + \dots",
            lambda rng: {**draw(rng), "factor": 1.0},
            equals("factor", "factor of the loss", lambda i: i["temperature"] ** 2),
        ),
        READ_AT_TAU,
        POSITIVE,
    ),
    statement=r"L_\tau(W) = \tfrac{\tau^2}{N} \sum_i \operatorname{CE}\big(T_i, "
    r"\operatorname{softmax}(W^\top x_i / \tau)\big) + \tfrac\lambda2 \lVert W \rVert_F^2: \quad "
    r"W_\tau^\star = \tau W_1^\star,\quad \operatorname{softmax}(X W_\tau^\star / \tau) "
    r"= \operatorname{softmax}(X W_1^\star) \text{ in every round}",
    kernel=Rocq("temperature.v", ("temperature_scaled",)),
    draw=draw,
    check=_compare,
    planted={
        "factor τ": lambda i: _compare(i, power=1.0),
        "factor τ³": lambda i: _compare(i, power=3.0),
        "read at 1": lambda i: _compare(i, read_at=1.0),
    },
    paper=("Appendix D.3",),
    arguments=arguments.TEMPERED,
)
