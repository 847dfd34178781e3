"""False: one training at the total weight decay may recover labels that rounds do not."""

import numpy as np

from gramlab.theorems._rounds import (
    ARGUMENTS,
    ASSUMED,
    RUNS,
    exact_rounds,
    head_round,
    plain_rounds,
)
from gramlab.theorems.form import Check, Instance, Rocq, Theorem
from gramlab.theorems.recovery_monotone import TRUE_LABELS, draw_labelled, recovered

_FOUND = plain_rounds([[-1, 0], [-3, 1], [1, -3], [-2, 3]], [1, 0, 0, 1], [1, 1])
_FOUND["true_labels"] = np.array([0, 0, 0, 1])


def _both(instance: Instance) -> tuple[tuple[int, int], tuple[int, int]]:
    """Recovered rows of the last round, and of one training at the total weight decay."""
    last = exact_rounds(instance)[-1]
    total = float(np.sum(instance["decays"]))
    once = head_round(instance["x"], instance["targets"], total)
    return recovered(instance, last), recovered(instance, once)


def _compare(instance: Instance, two_classes: bool = False) -> Check:
    (_, most), (least, _) = _both(instance)
    exempt = two_classes and instance["targets"].shape[1] > 2
    return Check(bool(exempt or most >= least), float(most - least))


THEOREM = Theorem(
    name="recovery-ahead",
    title="Rounds recover what one training at the total weight decay recovers (false)",
    source="D",
    kind="sufficient",
    hypotheses=ASSUMED,
    statement=r"\text{round } t \text{ predicts at least as many mislabelled rows as their true "
    r"class as the head trained once on } Y \text{ at } \sum_{s \le t} \lambda_s",
    kernel=Rocq("counterexamples.v", ("recovery_ahead",)),
    uses=("chain-certificate",),
    draw=lambda rng: draw_labelled(rng, _FOUND),
    check=_compare,
    planted={"for two classes": lambda i: _compare(i, two_classes=True)},
    expected="counterexample",
    arguments=ARGUMENTS | TRUE_LABELS,
    runs=RUNS,
)
