"""False: a student of the generalized cross entropy is no function of its targets."""

import numpy as np

from gramlab.heads.generalized import GeneralizedCrossEntropyHead
from gramlab.theorems._arguments import PROBLEM, array, number
from gramlab.theorems._heads import DECAY, features
from gramlab.theorems._hypotheses import above, on_simplex
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem


def _draw(rng: np.random.Generator) -> Instance:
    if rng.random() < 0.5:
        size = float(rng.choice([-1, 1])) * rng.uniform(0.3, 1)
        x, start = np.sign(size) * np.array([[1.0], [4.0]]), size * np.array([[2.0, -2.0]])
        return {"x": x, "targets": np.eye(2), "weight_decay": 0.01, "q": 0.7, "start": start}
    n, d, k = (int(rng.integers(low, 4)) for low in (2, 1, 2))
    x = rng.standard_normal((n, d))
    return {
        "x": x,
        "targets": np.eye(k)[rng.integers(0, k, n)],
        "weight_decay": float(10 ** rng.uniform(-2, 1)),
        "q": float(rng.uniform(0.1, 1)),
        "start": x.T @ rng.standard_normal((n, k)),
    }


def _compare(instance: Instance, longest: float = np.inf) -> Check:
    """Whether the fits from W = 0 and from the start predict the same classes."""
    x, targets, start = instance["x"], instance["targets"], instance["start"]
    head = GeneralizedCrossEntropyHead(instance["weight_decay"], q=instance["q"], tolerance=1e-12)
    used = features(x, targets.shape[1])
    zero, other = (head.fit(used, targets, start=begun) for begun in (None, start))
    same = float(np.mean(zero.labels == other.labels))
    exempt = float(np.linalg.norm(start)) > longest
    return Check(exempt or same == 1, same - 1)


THEOREM = Theorem(
    name="gce-optimum",
    title="A student of the generalized cross entropy is a function of its targets (false)",
    source="D",
    kind="sufficient",
    hypotheses=(
        Hypothesis("targets", r"\sum_k T_{ik} = 1,\ T_{ik} \ge 0", test=on_simplex),
        DECAY,
        Hypothesis("exponent", r"0 < q < 1", test=above("q", "q", 0.0, 1.0)),
    ),
    statement=r"\text{descent from any start leads to the same predicted classes}, \quad L_q(W; T) "
    r"= \tfrac1N \sum_{i,k} T_{ik} \frac{1 - p_{ik}^q}{q} + \tfrac{\lambda}{2} \lVert W "
    r"\rVert_F^2",
    kernel=Rocq("gce_optimum.v", ("gce_optimum",)),
    draw=_draw,
    check=_compare,
    planted={"from starts no longer than 1": lambda i: _compare(i, longest=1.0)},
    expected="counterexample",
    arguments=PROBLEM
    | {
        "start": array("weights to start from, beside W = 0", "d", "K"),
        "q": number("exponent, above 0 and at most 1; 0.7 unless told", default=0.7),
    },
    runs=("gramlab.GeneralizedCrossEntropyHead.fit",),
)
