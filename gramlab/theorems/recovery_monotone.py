"""False: a mislabelled row that one round sets right may be lost by the next."""

from itertools import pairwise
from typing import Any

import numpy as np

from gramlab.theorems import _rounds as rounds
from gramlab.theorems._arguments import labels
from gramlab.theorems.form import Check, Instance, Rocq, Theorem

TRUE_LABELS = labels("the true classes, 0 … K − 1; given are those of largest target")


def recovered(instance: Instance, of: rounds.Round) -> tuple[int, int]:
    """How many mislabelled rows a round predicts as their true class: at least, at most."""
    true = instance["true_labels"]
    least, most = of.margins(instance["x"], true)
    wrong = instance["targets"].argmax(axis=1) != true
    return int((wrong & (least > 0)).sum()), int((wrong & (most >= 0)).sum())


def never_fewer(instance: Instance, made: list[rounds.Round], two_classes: bool) -> Check:
    """Whether each recovers as many as the one before, at least for two classes."""
    found = [recovered(instance, r) for r in made]
    change = min((most - least for (least, _), (_, most) in pairwise(found)), default=0)
    exempt = two_classes and instance["targets"].shape[1] > 2
    return Check(bool(exempt or change >= 0), float(change))


def false_of_labels(found: Instance, true_labels: list[int]) -> dict[str, Any]:
    """What false statements on recovered labels have in common; any rounds get any true labels."""

    def draw(rng: np.random.Generator) -> Instance:
        drawn = rounds.near({**found, "true_labels": np.array(true_labels)})(rng)
        n, k = drawn["targets"].shape
        return {"true_labels": rng.integers(0, k, n), **drawn}

    arguments = rounds.ARGUMENTS | {"true_labels": TRUE_LABELS}
    return rounds.false_near(found) | {"draw": draw, "arguments": arguments}


def _compare(instance: Instance, two_classes: bool = False) -> Check:
    return never_fewer(instance, rounds.exact_rounds(instance), two_classes)


THEOREM = Theorem(
    name="recovery-monotone",
    title="Rounds never lose what they recovered (false)",
    source="D",
    kind="sufficient",
    statement=r"\text{the share of mislabelled rows that are predicted as their true class never "
    r"falls from round to round}",
    kernel=Rocq("counterexamples.v", ("recovery_monotone",)),
    check=_compare,
    planted={"for two classes": lambda i: _compare(i, two_classes=True)},
    **false_of_labels(rounds.plain_rounds([[1, 1], [-1, 0], [0, 2]], [1, 1, 0], [1, 1]), [1, 0, 0]),
)
