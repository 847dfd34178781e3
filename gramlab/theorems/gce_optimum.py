"""False: a student of the generalized cross entropy is no function of its targets."""

from typing import Any

import numpy as np
from flint import arb, fmpq

from gramlab.heads.generalized import GeneralizedCrossEntropyHead
from gramlab.theorems._arguments import DECAY, FEATURES, array, real, rows
from gramlab.theorems._heads import features
from gramlab.theorems._hypotheses import above, on_simplex, positive_decay
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem
from gramlab.theorems.steps import positive, refutation

_FOUND: dict[str, Any] = {
    "x": np.array([[1.0], [4.0]]),
    "targets": np.eye(2),
    "weight_decay": 0.01,
    "q": 0.7,
    "start": np.array([[2.0, -2.0]]),
}


def _slope(w: int) -> arb:
    """dL_q/dw of the two rows found at W = (w/2, −w/2), as a ball."""

    def pull(v: arb) -> arb:  # of a row with logit difference v for its label
        p = 1 / (1 + (-v).exp())
        return p ** arb(fmpq(7, 10)) * (1 - p)

    return (4 * pull(arb(-4 * w)) - pull(arb(w))) / 2 + arb(fmpq(w, 200))


def _prove() -> Proof:
    at = {w: _slope(w) for w in (-2, 0, 2, 8)}
    return refutation(
        "ball arithmetic",
        "one fixed instance of two rows and one feature",
        "x = 1, 4, labels 0, 1, q = 0.7, λ = 1/100: at W = (w/2, −w/2) the slope of L_q in w is "
        "½(4 p_2^q (1 − p_2) − p_1^q (1 − p_1)) + λw/2, p the predictions of the labels; in "
        "w_1 + w_2 alone L_q is λ(w_1 + w_2)²/4 and no more",
        positive("it falls at w = −2 and rises at 0, so a minimum is between", -at[-2], at[0]),
        positive("it falls at w = 2 and rises at 8, so another is between", -at[2], at[8]),
        "neither the ball nor a certificate of the global optimum is to be had for it; what is "
        "known of a minimum below W = 0 is ‖W‖² ≤ 2 L_q(0)/λ",
    )


def _draw(rng: np.random.Generator) -> Instance:
    if rng.random() < 0.5:
        size = float(rng.choice([-1, 1])) * rng.uniform(0.3, 1)
        x = float(np.sign(size)) * _FOUND["x"]
        return {**_FOUND, "x": x, "start": size * _FOUND["start"]}
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


def _instance(
    features: object, targets: object, weight_decay: object, start: object, q: object = 0.7
) -> Instance:
    x = rows(features)
    given = array("targets", targets, len(x), None)
    return {
        "x": x,
        "targets": given,
        "weight_decay": real("weight_decay", weight_decay),
        "q": real("q", q),
        "start": array("start", start, x.shape[1], given.shape[1]),
    }


THEOREM = Theorem(
    name="gce-optimum",
    title="A student of the generalized cross entropy is a function of its targets (false)",
    source="D",
    kind="sufficient",
    hypotheses=(
        Hypothesis("targets", r"\sum_k T_{ik} = 1,\ T_{ik} \ge 0", test=on_simplex),
        Hypothesis("weight decay", r"\lambda > 0", test=positive_decay),
        Hypothesis("exponent", r"0 < q < 1", test=above("q", "q", 0.0, 1.0)),
    ),
    statement=r"\text{descent from any start leads to the same predicted classes}, \quad L_q(W; T) "
    r"= \tfrac1N \sum_{i,k} T_{ik} \frac{1 - p_{ik}^q}{q} + \tfrac{\lambda}{2} \lVert W "
    r"\rVert_F^2",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={"from starts no longer than 1": lambda i: _compare(i, longest=1.0)},
    expected="counterexample",
    arguments={
        "features": FEATURES,
        "targets": "(N, K), rows on the simplex",
        "weight_decay": DECAY,
        "start": "(d, K), weights to start from, beside W = 0",
        "q": "exponent, above 0 and at most 1; 0.7 unless told",
    },
    instance=_instance,
    runs=("gramlab.GeneralizedCrossEntropyHead.fit",),
)
