"""Exact minus linear predictions: one linear recursion, driven by remainder and left gradient."""

import numpy as np
from scipy.special import softmax

from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.referee import softmax_deviations
from gramlab.spectrum.filters import linear_mu
from gramlab.theorems._arguments import PROBLEM, array
from gramlab.theorems._heads import DECAY_AND_MU, draw_problem, draw_weights, features, objective
from gramlab.theorems._hypotheses import on_simplex
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    problem = draw_problem(rng, k=5)
    # Any weights at all, one matrix per round: the gradient is far from zero.
    weights = draw_weights(rng, problem, (int(rng.integers(1, 4)),))
    return {**problem, "weights": weights, "passed_on": None}


def _compare(
    instance: Instance, *, gradient: float = 1.0, damped: bool = True, centred: bool = False
) -> Check:
    x, targets, lam = instance["x"], instance["targets"], instance["weight_decay"]
    n, k = targets.shape
    mu, gram = linear_mu(k, n, lam), x @ x.T
    resolvent = np.linalg.inv(np.eye(n) + gram / mu)
    total, before = np.zeros((n, k)), targets
    scale, size = 1.0, np.linalg.norm(x)
    for weights in instance["weights"]:
        logits = x @ weights
        now = softmax(logits, axis=1)
        g = objective({**instance, "targets": before}).gradient(weights)
        middle = logits.mean(axis=1, keepdims=True) if centred else 0.0
        source = now - 1 / k - (logits - middle) / k + gradient * x @ g / (k * lam)
        push = resolvent @ source if damped else source
        total = resolvent @ (gram / mu) @ total + push
        scale += np.abs(source).max() + size * np.abs(logits).max() + size * np.linalg.norm(g) / lam
        before = now if instance["passed_on"] is None else instance["passed_on"]
    last = softmax_deviations(x @ instance["weights"][-1])
    linear = LinearizedHead(lam).rounds_at_once(features(x, k), targets, len(instance["weights"]))
    return equal(last - linear.deviations, total, float(1e-13 * scale * (1 + size**2 / mu)))


def _other_targets(rng: np.random.Generator) -> Instance:
    while len((instance := _draw(rng))["weights"]) < 2:
        pass
    n, k = instance["targets"].shape
    return {**instance, "passed_on": rng.dirichlet(np.ones(k), n)}


def _passes_predictions(instance: Instance) -> Held:
    own = instance["passed_on"] is None
    return Held(own, f"passed on: {'predictions' if own else 'other targets'}")


THEOREM = Theorem(
    name="error-recursion",
    title="Exact minus linear, one round and many",
    source="D",
    kind="identity",
    hypotheses=(
        Hypothesis("simplex targets", r"\sum_k Y_{ik} = 1,\ Y_{ik} \ge 0", test=on_simplex),
        DECAY_AND_MU,
        Hypothesis(
            "predictions passed on",
            r"T^{(t)} = P^{(t-1)},\ T^{(1)} = Y",
            _other_targets,
            _passes_predictions,
        ),
    ),
    statement=r"E_t = P^{(t)} - P_{\mathrm{lin}}^{(t)}:\ E_t = h(G) E_{t-1} + \Big(I + "
    r"\frac{G}{\mu}\Big)^{-1} S_t,\ E_0 = 0,\ E_t = \sum_{j=1}^t h(G)^{t-j} \Big(I + "
    r"\frac{G}{\mu}\Big)^{-1} S_j,\quad S_t = P^{(t)} - \tfrac1K - \tfrac1K X W_t + "
    r"\tfrac{1}{K\lambda} X g_t \quad \text{for all weights } W_1, W_2, \dots",
    kernel=Rocq("error_recursion.v", ("error_recursion",)),
    uses=("closed-form",),
    draw=_draw,
    check=_compare,
    planted={
        "the left gradient forgotten": lambda i: _compare(i, gradient=0.0),
        "the remainder undamped": lambda i: _compare(i, damped=False),
        "centred logits, gradient not centred": lambda i: _compare(i, centred=True),
    },
    arguments=PROBLEM
    | {
        "weights": array(
            "any weights of t rounds, such as those of gramlab.distill", "t", "d", "K"
        ),
        "passed_on": array(
            "targets of rounds 2, 3, …; the predictions before them unless told",
            "N",
            "K",
            default=None,
        ),
    },
    runs=(
        "gramlab.LinearizedHead.rounds_at_once",
        "gramlab.heads.referee.SoftmaxObjective.gradient",
        "gramlab.heads.referee.softmax_deviations",
    ),
)
