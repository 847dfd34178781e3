"""A mixed student goes from the teacher along the derivative in the weight decay."""

import numpy as np
import sympy as sp

from gramlab.distillation import distill
from gramlab.heads.closed_form import LinearizedHead
from gramlab.spectrum.filters import linear_mu
from gramlab.theorems._arguments import DECAY, FEATURES, array, number
from gramlab.theorems._heads import DECAY_AND_MU, features
from gramlab.theorems._rounds import TARGETS, draw_targets
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, equal
from gramlab.theorems.steps import proof, zero


def _prove() -> Proof:
    s, mu = sp.symbols("s mu", positive=True)
    a, b, c, xi = sp.symbols("a b c xi", real=True)
    h, weight = s / (s + mu), 1 / (s + mu)
    parabola = a + 2 * xi * b + xi**2 * c
    return proof(
        "sympy on one eigenvalue, the eigenbasis by hand",
        "every s > 0, μ > 0 and real ξ; eigenvalues 0 carry no weights",
        "by hand: in the eigenbasis of XᵀX teacher and plain student have the weights "
        "K s^(t−1)/(s+μ)^t Zᵀ D, t = 1, 2, and a mixed target makes 1 − ξ times the one and ξ "
        "times the other, on every row",
        zero("h² − h less μ ∂h/∂μ on a training row: {}", h**2 - h - mu * sp.diff(h, mu)),
        zero(
            "the same of the weights, s/(s+μ)² − 1/(s+μ) less μ ∂/∂μ of 1/(s+μ): {}",
            s * weight**2 - weight - mu * sp.diff(weight, mu),
        ),
        "by hand: with p the teacher's errors, q = P₂ − P₁ = μ ∂P₁/∂μ, a = ‖p‖², b = ⟨p, q⟩ and "
        "c = ‖q‖², R(ξ) = a + 2bξ + cξ² and 2b = μ R′ for the derivative R′ of ‖p‖²",
        zero(
            "R(ξ) less a − b²/c + c (ξ + b/c)²: {}",
            sp.expand(c * (parabola - (a - b**2 / c + c * (xi + b / c) ** 2))),
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    n, d, k, new = (int(rng.integers(*r)) for r in ((2, 10), (1, 8), (2, 5), (1, 6)))
    return {
        "x": rng.standard_normal((n, d)),
        "targets": draw_targets(rng, n, k),
        "new_x": rng.standard_normal((new, d)),
        "truth": draw_targets(rng, new, k),
        "weight_decay": float(10 ** rng.uniform(-2, 1)),
        "mixing": float(rng.uniform(-3, 3)),
    }


def _compare(instance: Instance, sign: float = 1.0, in_mu: bool = True) -> Check:
    """The package's mixed student on rows that nobody trained on, against dense derivatives."""
    x, targets, decay = instance["x"], instance["targets"], instance["weight_decay"]
    new, truth, k = instance["new_x"], instance["truth"], targets.shape[1]
    mu = linear_mu(k, len(x), decay)
    inverse = np.linalg.inv(x.T @ x + mu * np.eye(x.shape[1]))
    slope = -new @ inverse @ inverse @ x.T @ (targets - 1 / k)
    used = features(x, k)

    def predicted(xi: float) -> np.ndarray:
        made = distill(LinearizedHead(decay), used, targets, 2, mixing=xi, signed_targets=True)
        return made[1].predict_proba(new)

    xi = instance["mixing"]
    teacher, step = predicted(0.0), sign * (mu if in_mu else decay) * slope
    size = 1 + float(np.linalg.norm(x, 2)) ** 2 / mu
    reach = float(np.linalg.norm(new, 2) * np.linalg.norm(x, 2)) / mu
    tolerance = 1e-13 * (1 + abs(xi)) * size * (1 + reach) * (1 + np.abs(targets).max())
    found = equal(predicted(xi) - teacher, xi * step, tolerance)
    errors, change = teacher - truth, float(np.vdot(step, step))
    if change <= tolerance:
        return found
    # R′ of the teacher's risk, and the least of the student's.
    falls = 2 * float(np.vdot(errors, slope))
    best = -mu * falls / (2 * change)
    least = float(np.square(predicted(best) - truth).sum())
    stated = float(np.square(errors).sum()) - (mu * falls) ** 2 / (4 * change)
    known = (
        1e-12 * size**2 * (1 + reach) ** 2 * (1 + best**2) * (1 + float(np.square(errors).sum()))
    )
    return found.also(abs(least - stated) <= known)


THEOREM = Theorem(
    name="mixing-direction",
    title="Mixing goes along the derivative in the weight decay",
    source="D (the sign of ξ*: arXiv 2602.17565, Dang, Patil & Rinaldo 2026)",
    kind="identity",
    hypotheses=(
        TARGETS,
        DECAY_AND_MU,
        Hypothesis(
            "one student",
            r"\text{linear heads; the student on } \xi P_1 + (1 - \xi) Y \text{ predicts } P_\xi "
            r"\text{ on any rows},\ P_1 \text{ the teacher};\ R(\xi) = \lVert P_\xi - T "
            r"\rVert_F^2 \text{ for any } T,\ R_1(\mu) = R(0)",
        ),
    ),
    statement=r"P_\xi = P_1 + \xi \mu \frac{\partial P_1}{\partial \mu}, \quad \text{so } R "
    r"\text{ is least at } \xi^* = -\frac{R_1'(\mu)}{2 \mu \lVert \partial P_1 / \partial \mu "
    r"\rVert_F^2}, \quad R(\xi^*) = R(0) - \frac{R_1'(\mu)^2}{4 \lVert \partial P_1 / \partial "
    r"\mu \rVert_F^2}",
    prove=_prove,
    uses=("closed-form",),
    draw=_draw,
    check=_compare,
    planted={
        "towards less weight decay": lambda i: _compare(i, sign=-1.0),
        "λ in place of μ": lambda i: _compare(i, in_mu=False),
    },
    arguments={
        "features": FEATURES,
        "targets": array("rows of sum 1, which may have negative entries", "N", "K"),
        "weight_decay": DECAY,
        "mixing": number("ξ, any real number"),
        "new_x": array("rows to predict, of training or not", "n", "d"),
        "truth": array("what predictions are compared with, rows of sum 1", "n", "K"),
    },
    runs=("gramlab.distill", "gramlab.LinearizedHead.fit", "gramlab.Fit.predict_proba"),
)
