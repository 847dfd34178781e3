"""False: a mislabelled row that one round sets right may be lost by the next."""

from itertools import pairwise

import numpy as np

from gramlab.theorems._arguments import labels
from gramlab.theorems._rounds import (
    ARGUMENTS,
    ASSUMED,
    RUNS,
    Round,
    draw_near,
    exact_rounds,
    plain_rounds,
)
from gramlab.theorems.form import Check, Instance, Rocq, Theorem

TRUE_LABELS = {
    "true_labels": labels("the true classes, 0 … K − 1; given are those of largest target")
}

_FOUND = plain_rounds([[1, 1], [-1, 0], [0, 2]], [1, 1, 0], [1, 1])
_FOUND["true_labels"] = np.array([1, 0, 0])


def recovered(instance: Instance, of: Round) -> tuple[int, int]:
    """How many mislabelled rows a round predicts as their true class: at least, at most."""
    true = instance["true_labels"]
    least, most = of.margins(instance["x"], true)
    wrong = instance["targets"].argmax(axis=1) != true
    return int((wrong & (least > 0)).sum()), int((wrong & (most >= 0)).sum())


def draw_labelled(rng: np.random.Generator, found: Instance) -> Instance:
    """Rounds near those found, or any, then with true labels drawn as well."""
    drawn = draw_near(rng, found)
    n, k = drawn["targets"].shape
    return {"true_labels": rng.integers(0, k, n), **drawn}


def _compare(instance: Instance, two_classes: bool = False) -> Check:
    found = [recovered(instance, r) for r in exact_rounds(instance)]
    changes = [most - least for (least, _), (_, most) in pairwise(found)]
    exempt = two_classes and instance["targets"].shape[1] > 2
    return Check(bool(exempt or min(changes, default=0) >= 0), float(min(changes, default=0)))


THEOREM = Theorem(
    name="recovery-monotone",
    title="Rounds never lose what they recovered (false)",
    source="D",
    kind="sufficient",
    hypotheses=ASSUMED,
    statement=r"\text{the share of mislabelled rows that are predicted as their true class never "
    r"falls from round to round}",
    kernel=Rocq("counterexamples.v", ("recovery_monotone",)),
    uses=("chain-certificate",),
    draw=lambda rng: draw_labelled(rng, _FOUND),
    check=_compare,
    planted={"for two classes": lambda i: _compare(i, two_classes=True)},
    expected="counterexample",
    arguments=ARGUMENTS | TRUE_LABELS,
    runs=RUNS,
)
