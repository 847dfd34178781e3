"""The mixing weight ξ* that minimizes the expected estimation error of a ridge student."""

from typing import Any

import numpy as np

from gramlab.theorems._arguments import FEATURES, PENALTY, array, number_or, penalized
from gramlab.theorems._heads import draw_rows, ridge
from gramlab.theorems._hypotheses import above, all_of
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    x = draw_rows(rng, 12, 8)
    return {
        "x": x,
        "theta": rng.standard_normal(x.shape[1]),
        "noise": float(10 ** rng.uniform(-1, 1)) * np.eye(len(x)),  # times white noise, variance 1
        "penalty": float(np.linalg.norm(x, 2) ** 2 * 10 ** rng.uniform(-1.5, 0.5)),
    }


def _instance(x: np.ndarray, noise: Any, **more: Any) -> Instance:
    return penalized(x=x, noise=noise if np.ndim(noise) else noise * np.eye(len(x)), **more)


def _white(instance: Instance) -> Held:
    covariance = instance["noise"] @ instance["noise"].T
    variance = float(np.trace(covariance)) / len(covariance)
    off = float(np.abs(covariance - variance * np.eye(len(covariance))).max())
    good = 0 < variance and off <= len(covariance) * np.finfo(float).eps * variance
    return Held(good, f"γ² = {variance:.6g}, from which the covariance is off by {off:.3g}")


def _some_features(instance: Instance) -> Held:
    size = float(np.abs(instance["x"]).max())
    return Held(size > 0, f"largest entry of X is {size:.6g}")


def _correlated(rng: np.random.Generator) -> Instance:
    # Noise along one left singular direction only: its covariance is no multiple of the identity.
    x = rng.standard_normal((6, 3))
    instance = _draw(rng)
    along = np.zeros((6, 6))
    along[:, 0] = instance["noise"][0, 0] * np.linalg.svd(x)[0][:, 0]
    return {**instance, "x": x, "theta": np.resize(instance["theta"], 3), "noise": along}


def _risk(instance: Instance, xi: float) -> float:
    """Exact expectation of the squared estimation error, by dense solves of both fits."""
    x, theta = instance["x"], instance["theta"]
    fit = ridge(x, np.eye(len(x)), instance["penalty"])  # labels to weights
    student = fit @ (xi * (x @ fit) + (1 - xi) * np.eye(len(x)))
    bias = student @ (x @ theta) - theta
    return float(np.sum(bias**2) + np.sum((student @ instance["noise"]) ** 2))


def _formula(instance: Instance, sign: float, power: int, prediction: bool) -> float:
    _, sigma, vt = np.linalg.svd(instance["x"], full_matrices=False)
    theta, lam, s = vt @ instance["theta"], instance["penalty"], sigma**2
    variance = float(np.linalg.norm(instance["noise"], 2)) ** 2
    weight = s if prediction else np.ones_like(s)
    top = weight * lam * s * (variance - sign * lam * theta**2) / (s + lam) ** (3 - power)
    bottom = weight * lam**2 * s * (s * theta**2 + variance) / (s + lam) ** (4 - power)
    return float(top.sum() / bottom.sum())


def _check(
    instance: Instance, sign: float = 1.0, power: int = 0, prediction: bool = False
) -> Check:
    # The exact risk is a parabola in ξ: its vertex from three values, with the rounding of it.
    left, middle, right = (_risk(instance, xi) for xi in (-1.0, 0.0, 1.0))
    curvature = left - 2 * middle + right
    found = (left - right) / (2 * curvature)
    rounding = 1e-14 * (left + middle + right) / curvature * (1 + abs(found))
    tolerance = 100 * len(instance["x"]) * rounding + 1e-10 * (1 + abs(found))
    return equal(_formula(instance, sign, power, prediction), found, tolerance)


THEOREM = Theorem(
    name="das-sanghavi",
    title="The optimal mixing weight of a ridge student",
    source="arXiv 2301.13304 (Das & Sanghavi 2023)",
    kind="identity",
    hypotheses=(
        Hypothesis(
            "white noise",
            r"y = X\theta + \varepsilon,\ \mathbb{E}\varepsilon = 0,\ "
            r"\mathbb{E}\varepsilon\varepsilon^\top = \gamma^2 I,\ \gamma > 0",
            _correlated,
            _white,
        ),
        Hypothesis(
            "penalty",
            r"\lambda > 0 \ (N\lambda \text{ for a mean loss}),\ X \ne 0",
            test=all_of(above("penalty", "λ"), _some_features),
        ),
        Hypothesis("student's target", r"\xi\, X w_{\text{teacher}} + (1-\xi)\, y,\ \xi \in R"),
    ),
    statement=r"\arg\min_\xi \mathbb{E} \lVert w_\xi - \theta \rVert^2 = "
    r"\frac{\sum_j \lambda \sigma_j^2 (\gamma^2 - \lambda\theta_j^2)/(\sigma_j^2+\lambda)^3}"
    r"{\sum_j \lambda^2 \sigma_j^2 (\sigma_j^2\theta_j^2 + \gamma^2)/(\sigma_j^2+\lambda)^4}, "
    r"\quad \theta_j = v_j^\top \theta",
    kernel=Rocq("das_sanghavi.v", ("das_sanghavi",)),
    draw=_draw,
    check=_check,
    planted={
        "plus for minus": lambda x: _check(x, sign=-1.0),
        "powers one lower": lambda x: _check(x, power=1),
        "the weight for prediction error": lambda x: _check(x, prediction=True),
    },
    arguments={
        "features": FEATURES,
        "theta": array("the true weights θ", "d"),
        "penalty": PENALTY,
        "noise": number_or(
            "γ > 0, or a matrix (N, N) that makes the noise of white noise", "N", "N"
        ),
    },
    instance=_instance,
)
