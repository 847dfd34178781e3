"""Without the factor τ², a temperature does what weight decay λτ² does."""

from gramlab.theorems.form import Check, Instance, Rocq, Theorem
from gramlab.theorems.temperature_scaled import compare, tempered


def _compare(instance: Instance, power: int = 2) -> Check:
    return compare(instance, instance["weight_decay"] * instance["temperature"] ** power)


THEOREM = Theorem(
    name="temperature-unscaled",
    title="Temperature without the factor τ²",
    source="D",
    kind="identity",
    statement=r"L_{\tau,\lambda}(W) = \tfrac1N \sum_i \operatorname{CE}\big(T_i, "
    r"\operatorname{softmax}(W^\top x_i / \tau)\big) + \tfrac\lambda2 \lVert W \rVert_F^2: \quad "
    r"\operatorname{softmax}(X W_{\tau,\lambda}^\star / \tau) "
    r"= \operatorname{softmax}(X W_{1,\lambda\tau^2}^\star) \text{ in every round}",
    kernel=Rocq("temperature.v", ("temperature_unscaled",)),
    check=_compare,
    planted={
        "λτ": lambda i: _compare(i, power=1),
        "λ/τ²": lambda i: _compare(i, power=-2),
        "λ unchanged": lambda i: _compare(i, power=0),
    },
    **tempered(0, "no factor", r"L_\tau = \operatorname{CE} + \dots"),
)
