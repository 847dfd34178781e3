"""False: one training at the total weight decay may recover labels that rounds do not."""

from gramlab.theorems._rounds import exact_rounds, plain_rounds, trained_once
from gramlab.theorems.form import Check, Instance, Rocq, Theorem
from gramlab.theorems.recovery_monotone import false_of_labels, never_fewer

_FOUND = plain_rounds([[-1, 0], [-3, 1], [1, -3], [-2, 3]], [1, 0, 0, 1], [1, 1])


def _compare(instance: Instance, two_classes: bool = False) -> Check:
    once = trained_once(instance, sum(instance["decays"]))
    return never_fewer(instance, [once, exact_rounds(instance)[-1]], two_classes)


THEOREM = Theorem(
    name="recovery-ahead",
    title="Rounds recover what one training at the total weight decay recovers (false)",
    source="D",
    kind="sufficient",
    statement=r"\text{round } t \text{ predicts at least as many mislabelled rows as their true "
    r"class as the head trained once on } Y \text{ at } \sum_{s \le t} \lambda_s",
    kernel=Rocq("counterexamples.v", ("recovery_ahead",)),
    check=_compare,
    planted={"for two classes": lambda i: _compare(i, two_classes=True)},
    **false_of_labels(_FOUND, [0, 0, 0, 1]),
)
