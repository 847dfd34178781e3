"""How far exact rounds are from the theory at most: from λ, Gram matrix and targets alone."""

import numpy as np
from scipy.special import softmax

from gramlab.heads.closed_form import LinearizedHead
from gramlab.spectrum.filters import linear_mu
from gramlab.theorems._arguments import PROBLEM, ROUNDS
from gramlab.theorems._heads import DECAY, SIMPLEX, draw_problem, features
from gramlab.theorems._rounds import exact_rounds, worst
from gramlab.theorems.form import Check, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    """Problems of all sizes; λ of the order at which the bound begins to say something, or more."""
    if rng.random() < 0.3:  # equal rows, at a law for which the remainder is about largest
        x, t = np.full((2, 1), float(10 ** rng.uniform(-1, 1))), int(rng.integers(1, 3))
        targets = np.eye(int(rng.integers(3, 6)))[[0, 0]]
        made = {"x": x, "targets": targets, "weight_decay": float(x[0, 0] ** 2)}
    else:
        made, t = draw_problem(rng), int(rng.integers(1, 5))
    scale = float(np.mean((made["x"] ** 2).sum(axis=1)))
    return {**made, "weight_decay": scale * float(10 ** rng.uniform(-2, 3)), "rounds": t}


def _limits(instance: Instance, order: int) -> np.ndarray:
    """The bound of every row (N,)."""
    x, targets, lam = instance["x"], instance["targets"], instance["weight_decay"]
    (n, k), t = targets.shape, instance["rounds"]
    mu, gram = linear_mu(k, n, lam), x @ x.T
    damp = np.linalg.inv(np.eye(n) + gram / mu)
    h, squares = damp @ gram / mu, np.diag(gram)
    start = float(np.linalg.norm(x.T @ (targets - 1 / k))) / n
    rows, power = np.zeros(n), damp
    for j in range(t, 0, -1):
        rows += np.abs(power) @ squares / j**2
        power = h @ power
    return start**2 / (3 * np.sqrt(3) * lam**order) * rows


def _compare(instance: Instance, share: float = 1.0, order: int = 2) -> Check:
    x, targets, lam = instance["x"], instance["targets"], instance["weight_decay"]
    t, k = instance["rounds"], targets.shape[1]
    linear = LinearizedHead(lam).rounds_at_once(features(x, k), targets, t).deviations + 1 / k
    last = exact_rounds(instance)[-1]
    true = softmax(x @ last.weights.value, axis=1)
    limits, moved, checks = share * _limits(instance, order), last.moved(x) + 1e-13 * t, []
    for p, q, limit, error in zip(true, linear, limits, moved, strict=True):
        found = bound(float(np.abs(p - q).sum()), float(limit), float(error))
        best, second = np.argsort(q)[-1:-3:-1]
        decided = q[best] - q[second] > limit + error
        checks.append(found.also(not decided or p[best] >= p[second] - error))
    return worst(checks)


THEOREM = Theorem(
    name="theory-is-near",
    title="A distance of theory and truth, before solving",
    source="D",
    kind="upper bound",
    hypotheses=(SIMPLEX, DECAY),
    statement=r"\lVert P_i^{(t)} - P_{\mathrm{lin}, i}^{(t)} \rVert_1 \le b_i = \frac{\lVert "
    r"\nabla L(0) \rVert_F^2}{3 \sqrt3 \lambda^2} \sum_{j=1}^t \frac{1}{j^2} \sum_m \bigl\lvert "
    r"(h(G)^{t-j} (I + G/\mu)^{-1})_{im} \bigr\rvert \lVert x_m \rVert^2; \quad \text{where } b_i "
    r"\text{ is below the margin of } P_{\mathrm{lin}, i}^{(t)} \text{, both predict one class}",
    kernel=Rocq("theory_is_near.v", ("theory_is_near",)),
    uses=("error-recursion", "softmax-remainder-sharp", "total-weight-decay"),
    draw=_draw,
    check=_compare,
    planted={
        "half of it": lambda i: _compare(i, 0.5),
        "of third order in 1/λ": lambda i: _compare(i, order=3),
    },
    tight_within=0.45,
    arguments=PROBLEM | {"rounds": ROUNDS},
    runs=("gramlab.LinearizedHead.rounds_at_once", "gramlab.distill", "gramlab.Rounds.chain"),
)
