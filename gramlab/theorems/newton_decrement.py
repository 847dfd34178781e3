"""Any direction gives an upper bound on the Newton decrement, without a factorization."""

import numpy as np

from gramlab.theorems._arguments import SOLVED, array, number
from gramlab.theorems._heads import DenseHead, draw_problem, draw_weights, objective
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    problem = draw_problem(rng, 8, 5, 5)
    weights = draw_weights(rng, problem)
    d, k = weights.shape
    newton = DenseHead.of(problem).newton_step(weights)
    miss = rng.standard_normal((d, 1) if rng.random() < 0.5 else (d, k)) * np.ones((d, k))
    size = 10 ** rng.uniform(-3, 0.5) * np.linalg.norm(newton) / np.linalg.norm(miss)
    started = {"weights": weights, "direction": newton + size * miss}
    return {**problem, **started, "modulus": problem["weight_decay"]}


def _curved(instance: Instance) -> Held:
    values = np.linalg.eigvalsh(DenseHead.of(instance).hessian(instance["weights"]))
    known = len(values) * np.finfo(float).eps * values[-1]
    found = f"λ_min(H) = {values[0]:.6g}, to be at least {instance['modulus']:.6g} > 0"
    return Held(bool(0 < instance["modulus"] <= values[0] + known), found)


def _compare(instance: Instance, *, cross: float = 1.0, last: float = 1.0) -> Check:
    weights, direction = instance["weights"], instance["direction"]
    head, loss = DenseHead.of(instance), objective(instance)
    value = head.decrement(weights) ** 2
    g = loss.gradient(weights)
    rho = g - loss.hessian_product(head.probabilities(weights), direction)
    terms = (
        float(np.vdot(g, direction)),
        cross * float(np.vdot(rho, direction)),
        last * float(np.vdot(rho, rho)) / instance["modulus"],
    )
    size = sum(abs(term) for term in terms) + value
    rounding = 1e-12 * size * (1 + np.linalg.norm(head.x) ** 2 / head.penalty) ** 0.5
    return bound(value, sum(terms), float(rounding))


def _modulus_too_large(rng: np.random.Generator) -> Instance:
    instance = _draw(rng)
    direction, modulus = instance["direction"], 100 * instance["modulus"]
    return {**instance, "direction": direction + np.linalg.norm(direction), "modulus": modulus}


THEOREM = Theorem(
    name="newton-decrement",
    title="Newton decrement without a factorization",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "curvature", r"H = H^\top \succeq \lambda I,\ \lambda > 0", _modulus_too_large, _curved
        ),
        Hypothesis("residual", r"\rho = g - H \Delta,\ \Delta \text{ arbitrary}"),
    ),
    statement=r"\lVert g \rVert_{H^{-1}}^2 = \langle g, \Delta \rangle + \langle \rho, \Delta "
    r"\rangle + \lVert \rho \rVert_{H^{-1}}^2 \le \langle g, \Delta \rangle + \langle \rho, "
    r"\Delta \rangle + \frac{\lVert \rho \rVert_F^2}{\lambda}",
    kernel=Rocq("newton_decrement.v", ("newton_decrement",)),
    draw=_draw,
    check=_compare,
    planted={
        "half of the last term": lambda i: _compare(i, last=0.5),
        "the cross term forgotten": lambda i: _compare(i, cross=0.0),
        "the cross term subtracted": lambda i: _compare(i, cross=-1.0),
    },
    tight_within=1e-6,
    arguments=SOLVED
    | {
        "direction": array("any direction Δ", "d", "K"),
        "modulus": number(
            "what stands for λ in the bound; λ unless told", default=lambda i: i["weight_decay"]
        ),
    },
    runs=(
        "gramlab.heads.referee.SoftmaxObjective.gradient",
        "gramlab.heads.referee.SoftmaxObjective.hessian_product",
    ),
)
