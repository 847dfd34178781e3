"""The optimal mixing weight has the sign of −R'(λ), given the data and for any quadratic risk."""

import numpy as np

from gramlab.theorems._arguments import FEATURES, PENALTY, RIDGE, array, number, penalized
from gramlab.theorems._heads import draw_rows
from gramlab.theorems._hypotheses import above, equals
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem


def _draw(rng: np.random.Generator) -> Instance:
    x = draw_rows(rng, 12, 8)
    n, d = x.shape
    theta = rng.standard_normal(d)
    return {
        "x": x,
        "theta": theta,  # centre of the risk
        "root": rng.standard_normal((d, d)),  # Σ = root rootᵀ, e.g. another covariance
        "y": x @ theta + 10 ** rng.uniform(-1.5, 1) * rng.standard_normal(n),
        "penalty": float(np.linalg.norm(x, 2) ** 2 * 10 ** rng.uniform(-2, 0.5)),
        "power": 1.0,
    }


def _moves(instance: Instance) -> Held:
    x, lam = instance["x"], instance["penalty"]
    system = x.T @ x + lam * np.eye(x.shape[1])
    moved = np.linalg.solve(system, np.linalg.solve(system, x.T @ instance["y"]))
    size = float(np.linalg.norm(instance["root"].T @ moved))
    return Held(size > 0, f"‖∂w‖_Σ = {size:.6g}")


def _check(instance: Instance, sign: float = -1.0, gain: float = 0.25) -> Check:
    x, y, lam = instance["x"], instance["y"], instance["penalty"]

    def fit(penalty: complex, targets: np.ndarray) -> np.ndarray:
        return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ targets)

    def risk(weights: np.ndarray) -> complex:
        # Without conjugation: a polynomial in the weights, so a complex step differentiates it.
        residual = instance["root"].T @ (weights - instance["theta"])
        return complex(residual @ residual)

    def student(xi: float) -> float:
        """Risk of a student that is really fitted to mixed targets."""
        predictions = x @ fit(lam, y)
        return risk(fit(lam, xi * predictions ** instance["power"] + (1 - xi) * y)).real

    step = 1e-30 * lam
    slope = risk(fit(lam + 1j * step, y)).imag / step
    left, middle, right = (student(xi) for xi in (-1.0, 0.0, 1.0))
    curvature = left - 2 * middle + right  # 2 λ² c
    condition = 1 + float(np.linalg.norm(x, 2)) ** 2 / lam
    rounding = 1e-14 * len(x) * condition * (left + middle + right)
    size = abs((right - left) / 2 - lam * slope)  # both are dR/dξ at 0
    if curvature <= rounding:  # flat as far as float64 tells, so that there is no vertex to find
        return Check(bool(size <= rounding), float(size / rounding))
    best = (left - right) / (2 * curvature)
    # The sign rule where rounding leaves a sign, then size and gain at the vertex.
    same = abs(left - right) <= rounding or np.sign(best) == sign * np.sign(slope)
    stated = middle - gain * (lam * slope) ** 2 / (curvature / 2)
    off = abs(student(best) - stated) / (1 + best**2)
    slack = max(size, off) / rounding
    return Check(bool(slack <= 1 and same), float(slack))


THEOREM = Theorem(
    name="dang-sign",
    title="Distill towards less decay or more: the sign of the mixing weight",
    source="arXiv 2602.17565 (Dang, Patil & Rinaldo 2026); proof D",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "quadratic risk",
            r"R(w) = (w-\theta)^\top \Sigma (w-\theta),\ \Sigma \succeq 0,\ "
            r"\Sigma\, \partial_\lambda w_\lambda \ne 0",
            test=_moves,
        ),
        Hypothesis(
            "penalty",
            r"\lambda > 0,\ w_\lambda = (X^\top X + \lambda)^{-1} X^\top y",
            test=above("penalty", "λ"),
        ),
        # A student given the square of the teacher's predictions does not move along ∂w/∂λ.
        Hypothesis(
            "student's target",
            r"\xi\, X w_\lambda + (1-\xi)\, y,\ \xi \in R",
            lambda rng: {**_draw(rng), "power": 2.0},
            equals("power", "power of the predictions", lambda i: 1.0),
        ),
    ),
    statement=r"\xi^* = -\frac{R'(\lambda)}{2\lambda \lVert \partial_\lambda w_\lambda "
    r"\rVert_\Sigma^2}, \quad \operatorname{sign} \xi^* = -\operatorname{sign} R'(\lambda), \quad "
    r"R(w_{\xi^*}) = R(\lambda) - \frac{R'(\lambda)^2}"
    r"{4 \lVert \partial_\lambda w_\lambda \rVert_\Sigma^2}",
    kernel=Rocq("dang_sign.v", ("dang_sign",)),
    draw=_draw,
    check=_check,
    planted={
        "the sign of +R'": lambda x: _check(x, sign=1.0),
        "twice the gain": lambda x: _check(x, gain=0.5),
    },
    arguments={
        "features": FEATURES,
        "labels": RIDGE["labels"],
        "penalty": PENALTY,
        "theta": array("where the risk is least", "d"),
        "root": array(
            "Σ = root rootᵀ of the risk; the identity unless told",
            "d",
            "k",
            default=lambda i: np.eye(i["x"].shape[1]),
        ),
        "power": number(
            "of the teacher's predictions in the student's target; 1 unless told", default=1.0
        ),
    },
    instance=penalized,
)
