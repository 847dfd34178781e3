"""False: one training at the total weight decay may be more uniform than exact rounds."""

import numpy as np

from gramlab.theorems._rounds import exact_rounds, false_near, plain_rounds, trained_once
from gramlab.theorems.form import Check, Instance, Rocq, Theorem

_FOUND = plain_rounds(
    [[-7, 1], [-6, -1], [2, 0]], [[0, 0, 1], [0.5, 0.5, 0], [0, 0, 1]], [1 / 100, 10]
)


def _compare(instance: Instance, growing: bool = False) -> Check:
    once = trained_once(instance, sum(instance["decays"]))
    ahead = exact_rounds(instance)[-1].entropy - once.entropy
    exempt = growing and (np.diff(instance["decays"]) < 0).any()
    size = np.log(instance["targets"].shape[1])
    return Check(bool(exempt or ahead.value >= -ahead.error), float(ahead.value / size))


THEOREM = Theorem(
    name="entropy-ahead",
    title="Rounds are more uniform than one training at the total weight decay (false)",
    source="D",
    kind="sufficient",
    statement=r"\bar H_t \ge \bar H(V), \quad V \text{ the head trained once on } Y \text{ at } "
    r"\sum_{s \le t} \lambda_s",
    kernel=Rocq("counterexamples.v", ("entropy_ahead",)),
    check=_compare,
    planted={"for weight decays that grow": lambda i: _compare(i, growing=True)},
    **false_near(_FOUND),
)
