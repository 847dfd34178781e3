"""False: momentum may predict another class than the one that every label names."""

from dataclasses import replace

import numpy as np

from gramlab.distillation.classes import largest_classes
from gramlab.theorems._arguments import DECAY, FEATURES, whole
from gramlab.theorems._heads import features
from gramlab.theorems._hypotheses import above
from gramlab.theorems._rounds import ONE_DECAY, distilled
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem


def _draw(rng: np.random.Generator) -> Instance:
    if rng.random() < 0.5:
        decay = float(rng.uniform(4, 8))
        return {"x": np.ones((2, 1)), "classes": 2, "weight_decay": decay, "rounds": 3}
    x = rng.uniform(0.5, 2, (int(rng.integers(2, 6)), 1))
    k, decay = int(rng.integers(2, 4)), float(10 ** rng.uniform(-3, 1))
    return {"x": x, "classes": k, "weight_decay": decay, "rounds": int(rng.integers(3, 7))}


def _compare(instance: Instance, from_round: int = 1) -> Check:
    """How many rows of a round, at most, certainly get another class than that they were given."""
    x, k, most = instance["x"], instance["classes"], 0
    targets = np.eye(k)[np.zeros(len(x), dtype=int)]
    made, used = distilled({**instance, "targets": targets, "momentum": True}), features(x, k)
    for fit, certificate in list(zip(made, made.chain, strict=True))[from_round - 1 :]:
        if certificate is not None:
            classes, decided = largest_classes(used, fit.weights, certificate, 1)
            most = max(most, int((decided & (classes[:, 0] != 0)).sum()))
    return Check(most == 0, -float(most))


THEOREM = Theorem(
    name="momentum-class",
    title="Momentum keeps the class that every label names (false)",
    source="D",
    kind="sufficient",
    hypotheses=(
        Hypothesis("one positive feature", r"x_i > 0,\ d = 1", test=above("x", "x_i")),
        ONE_DECAY,
        Hypothesis("labels", r"\text{every row is given class } 0"),
    ),
    statement=r"\text{every round with momentum predicts class } 0 \text{ on every row}",
    kernel=Rocq("momentum_class.v", ("momentum_class",)),
    uses=("momentum-filter",),
    draw=_draw,
    check=_compare,
    planted={"but for round 3": lambda i: _compare(i, from_round=4)},
    expected="counterexample",
    arguments={
        "features": replace(
            FEATURES,
            words=f"{FEATURES}, d = 1, above 0",
            read=lambda name, value, sizes: FEATURES.read(name, value, {"d": 1}),
        ),
        "weight_decay": DECAY,
        "classes": whole("K, 2 unless told", 2, default=2),
        "rounds": whole("t, a whole number of at least 1; 3 unless told", 1, default=3),
    },
    runs=("gramlab.SoftmaxHead.fit", "gramlab.distill", "gramlab.Rounds.chain"),
)
