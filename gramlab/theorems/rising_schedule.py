"""With one feature and two classes, exact rounds average most if weight decays rise."""

from itertools import pairwise
from typing import Any

import numpy as np

from gramlab.theorems import _rounds as rounds
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem


def _draw(rng: np.random.Generator) -> Instance:
    """One feature, two classes; schedules over decades."""
    while True:
        drawn = rounds.draw_rounds(rng, (2, 5), spread=(-2.0, 1.0))
        x = np.ascontiguousarray(drawn["x"][:, :1])
        if drawn["targets"].shape[1] == 2 and x.any():
            return {**drawn, "x": x}


def _two_features(rng: np.random.Generator) -> Instance:
    x = np.array([[2.0, 1.0], [-1.0, -2.0], [-3.0, -4.0]])
    turn = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    return rounds.plain_rounds(x @ turn, [1, 0, 1], [0.25, 0.5])


def _three_classes(rng: np.random.Generator) -> Instance:
    return rounds.plain_rounds([[1], [1]], [[1, 0, 0]] * 2, [1.0, float(rng.uniform(2, 4))])


def _columns(key: str, wanted: int, word: str) -> Any:
    def test(instance: Instance) -> Held:
        found = instance[key].shape[1]
        return Held(found == wanted, f"{found} {word}")

    return test


def _compare(instance: Instance, reverse: bool = False, scale: float = 1.0) -> Check:
    """The last moments of the rising, the given and the falling order of a schedule."""
    rising = np.sort(instance["decays"])
    orders = [scale * rising, instance["decays"], rising[::-1]]
    uniform = rounds.uniform_moment(instance["x"], instance["targets"])
    last = [rounds.exact_rounds({**instance, "decays": one})[-1].moment - uniform for one in orders]
    pairs = pairwise(last[::-1] if reverse else last)
    return rounds.worst([rounds.shorter(a, b) for a, b in pairs])


THEOREM = Theorem(
    name="rising-schedule",
    title="With two classes and one feature, rising weight decays average most",
    source="D",
    kind="upper bound",
    hypotheses=(
        *rounds.ASSUMED,
        Hypothesis("one feature", r"d = 1", _two_features, _columns("x", 1, "features")),
        Hypothesis("two classes", r"K = 2", _three_classes, _columns("targets", 2, "classes")),
    ),
    statement=r"\lVert M(W_t) - M(0) \rVert \text{ of the last of } t \text{ exact rounds, of all "
    r"orders of } \lambda_1, \dots, \lambda_t, \text{ is least where they rise and largest where "
    r"they fall}; \quad M(W) = \tfrac1N X^\top \operatorname{softmax}(XW)",
    kernel=Rocq("rising_schedule.v", ("rising_schedule",)),
    draw=_draw,
    check=_compare,
    planted={
        "falling weight decays average most": lambda i: _compare(i, reverse=True),
        "rising at nine tenths": lambda i: _compare(i, scale=0.9),
    },
    tight_within=1e-3,
    arguments=rounds.ARGUMENTS,
    runs=rounds.RUNS,
)
