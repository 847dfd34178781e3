"""With the factor τ² on the tempered loss, the tempered outputs do not depend on τ at all."""

from gramlab.theorems._temperature import compare, tempered
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


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
