"""False beyond the block model: even rounds may lose labels that one training recovers."""

from typing import Any

import numpy as np

from gramlab.distillation import distill
from gramlab.heads.closed_form import LinearizedHead
from gramlab.theorems._arguments import FEATURES, labels
from gramlab.theorems._heads import features
from gramlab.theorems._schedules import POSITIVE, SCHEDULES, majorization, uneven
from gramlab.theorems.form import Check, Instance, Rocq, Theorem

_FOUND: dict[str, Any] = {
    "x": np.array([[-2.0, 0.0], [1.0, 0.0], [-1.0, -1.0]]),
    "labels": np.array([1, 1, 0]),
    "true_labels": np.array([1, 0, 0]),
    "mus": np.array([6.0]),
    "others": np.array([3.0, 3.0]),
}


def _recovered(instance: Instance, mus: np.ndarray) -> tuple[int, int]:
    """Mislabelled rows predicted as their true class, at least and at most: rounding is open."""
    x, labels, true = instance["x"], instance["labels"], instance["true_labels"]
    n, k = len(x), 2
    heads = [LinearizedHead(float(mu) / (k * n)) for mu in mus]
    last = distill(heads, features(x, k), np.eye(k)[labels], len(mus))[-1]
    # Each round applies a filter of norm ≤ 1, and is solved to its condition.
    size = float(np.linalg.norm(x, 2)) ** 2
    known = 8 * n * len(mus) * np.finfo(float).eps * (1 + size / float(np.min(mus)))
    margins = (1 - 2 * true) * (last.deviations[:, 0] - last.deviations[:, 1])
    wrong = labels != true
    return int((wrong & (margins > known)).sum()), int((wrong & (margins >= -known)).sum())


def _compare(instance: Instance, one_wrong: bool = False) -> Check:
    least, _ = _recovered(instance, instance["mus"])
    _, most = _recovered(instance, instance["others"])
    exempt = one_wrong and (instance["labels"] != instance["true_labels"]).sum() > 1
    return Check(bool(exempt or most >= least), float(most - least))


def _draw(rng: np.random.Generator) -> Instance:
    if rng.random() < 0.5:
        turn = np.linalg.qr(rng.standard_normal((2, 2)))[0]
        return {**_FOUND, "x": (_FOUND["x"] + 1e-4 * rng.standard_normal((3, 2))) @ turn}
    n = int(rng.integers(3, 9))
    mus, others = (np.array(one) / 64 for one in uneven(rng))
    labels = {name: rng.integers(0, 2, n) for name in ("labels", "true_labels")}
    x = rng.standard_normal((n, int(rng.integers(1, 4))))
    return {"x": x, **labels, "mus": mus, "others": others}


THEOREM = Theorem(
    name="even-steps",
    title="Even rounds recover on any features what uneven ones recover (false)",
    source="D",
    kind="sufficient",
    hypotheses=(POSITIVE, majorization(None)),
    statement=r"\text{linear rounds at } \nu \text{ predict at least as many mislabelled rows as "
    r"their true class as those at } \mu",
    kernel=Rocq("even_steps.v", ("even_steps",)),
    draw=_draw,
    check=_compare,
    planted={"where one label is wrong": lambda i: _compare(i, one_wrong=True)},
    expected="counterexample",
    arguments={
        "features": FEATURES,
        "labels": labels("given classes, 0 or 1", classes=2),
        "true_labels": labels("true classes, 0 or 1", classes=2),
        **SCHEDULES,
    },
    runs=("gramlab.distill", "gramlab.LinearizedHead.fit"),
)
