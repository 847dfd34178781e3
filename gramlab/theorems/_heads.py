"""Heads by two routes: the package's code, and slow dense code that shares nothing with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from gramlab.features import Features
from gramlab.heads.referee import SoftmaxObjective
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import apply_filter, filter_over_eigenvalue
from gramlab.theorems._hypotheses import on_simplex, positive_decay, sums_to_one
from gramlab.theorems.form import Hypothesis, Instance

EPS = float(np.finfo(float).eps)

DECAY = Hypothesis("weight decay", r"\lambda > 0", test=positive_decay)
DECAY_AND_MU = Hypothesis("weight decay", r"\lambda > 0,\ \mu = K N \lambda", test=positive_decay)
SIMPLEX = Hypothesis("simplex targets", r"\sum_k T_{ik} = 1,\ T_{ik} \ge 0", test=on_simplex)


def rows_sum_to_one(targets: str, draw: Callable[[np.random.Generator], Instance]) -> Hypothesis:
    """That the rows of targets, by their letter, sum to 1; without it they miss that by far."""

    def without(rng: np.random.Generator) -> Instance:
        instance = draw(rng)
        factors = rng.uniform(1.5, 2.0, (len(instance["x"]), 1))
        return {**instance, "targets": instance["targets"] * factors}

    statement = rf"\sum_k {targets}_{{ik}} = 1"
    return Hypothesis("rows sum to one", statement, without, sums_to_one)


def draw_problem(
    rng: np.random.Generator,
    n: int = 12,
    d: int = 6,
    k: int = 6,
    decay: tuple[float, float] = (-3.0, 1.0),
    spread: float = 1.0,
) -> dict[str, Any]:
    """Rows x, targets on the simplex and λ (log₁₀ in ``decay``); N, d, K below those told."""
    rows, columns, classes = (int(rng.integers(*r)) for r in ((2, n), (1, d), (2, k)))
    return {
        "x": rng.standard_normal((rows, columns)),
        "targets": rng.dirichlet(np.full(classes, spread), rows),
        "weight_decay": float(10 ** rng.uniform(*decay)),
    }


def draw_weights(rng: np.random.Generator, problem: Instance, rounds: tuple = ()) -> np.ndarray:
    """Weights of any size for a problem, stacked for several rounds."""
    shape = *rounds, problem["x"].shape[1], problem["targets"].shape[1]
    return 10 ** rng.uniform(-2, 0.5) * rng.standard_normal(shape)


def draw_rows(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Normal rows x, N and d below those told."""
    return rng.standard_normal((int(rng.integers(2, n)), int(rng.integers(1, d))))


def features(x: np.ndarray, n_classes: int) -> Features:
    """The package's features of rows x; their labels do not matter."""
    return Features(x, np.arange(len(x)) % n_classes, n_classes=n_classes)


def targets_of(y: np.ndarray) -> np.ndarray:
    """Targets (N, k + 1) whose deviations begin with y (N, k): one more column makes rows sum."""
    deviations = np.column_stack([y, -y.sum(axis=1)])
    return deviations + 1 / deviations.shape[1]


def margins(values: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Of each row (N, K): entry of the true class less the largest other one, in any numbers."""
    others = np.arange(values.shape[1]) != true[:, None]
    return values[~others] - values[others].reshape(len(values), -1).max(axis=1)


def objective(instance: Instance) -> SoftmaxObjective:
    """The package's objective of a problem."""
    targets = instance["targets"]
    k = targets.shape[1]
    return SoftmaxObjective(features(instance["x"], k), targets - 1 / k, instance["weight_decay"])


def closed_form(
    x: np.ndarray, targets: np.ndarray, mu: float, rounds: int
) -> tuple[np.ndarray, np.ndarray]:
    """The formulas K V diag(s^{t−1}/(s+μ)^t) Zᵀ D and h(G)^t D, from the package's spectrum."""
    k = targets.shape[1]
    deviations = targets - 1 / k
    spectrum = Spectrum.of(features(x, k))
    scale = filter_over_eigenvalue(spectrum.eigenvalues, mu, rounds)[:, None]
    weights = k * spectrum.basis @ (scale * (spectrum.coordinates.T @ deviations))
    return weights, apply_filter(spectrum, deviations, mu, rounds)


def ridge(x: np.ndarray, targets: np.ndarray, nu: float) -> np.ndarray:
    """Weights that minimize ‖Xw − y‖² + ν‖w‖², by least squares on augmented rows."""
    d = x.shape[1]
    rows = np.vstack([x, np.sqrt(nu) * np.eye(d)])
    return np.linalg.lstsq(rows, np.concatenate([targets, np.zeros((d, *targets.shape[1:]))]))[0]


def newton(
    value: Callable[[np.ndarray], float],
    newton_step: Callable[[np.ndarray], np.ndarray],
    point: np.ndarray,
) -> np.ndarray:
    """Where a convex function is least, to the last digits, by damped Newton steps from a point."""
    for _ in range(100):
        step, size, now = newton_step(point), 1.0, value(point)
        with np.errstate(over="ignore", invalid="ignore"):  # of a step that is too long
            # A rise within the rounding of the value is none.
            while size > EPS and not value(point - size * step) <= now + 8 * EPS * (1 + abs(now)):
                size /= 2
        point = point - size * step
        if np.linalg.norm(step) <= 1e-13 * (1 + np.linalg.norm(point)):
            break
    return point


@dataclass(frozen=True, eq=False)
class DenseHead:
    """The exact head by dense derivatives and damped dense Newton, for x (N, d), targets (N, K).

        L(W) = (f/N) Σ_i CE(T_i, softmax(Wᵀx_i/τ)) + ½ Σ_j a_j ‖W_j‖²,  W_j the rows of W (d, K)

    f = τ = 1 and a_j = λ is the objective of the package; ``penalty`` is λ or one a_j per row.
    """

    x: np.ndarray
    targets: np.ndarray
    penalty: Any
    temperature: float = 1.0
    factor: float = 1.0

    @classmethod
    def of(cls, instance: Instance) -> DenseHead:
        """The head of a problem."""
        return cls(instance["x"], instance["targets"], instance["weight_decay"])

    @property
    def _penalties(self) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.penalty, dtype=float), self.x.shape[1:])

    @property
    def concordance(self) -> float:
        """C = √2 max ‖x_i‖/√λ, by which the head is self-concordant."""
        return float(np.sqrt(2 / self.penalty) * np.linalg.norm(self.x, axis=1).max())

    def probabilities(self, weights: np.ndarray) -> np.ndarray:
        """softmax(XW/τ) by rows."""
        return softmax(self.x @ weights / self.temperature, axis=1)

    def value(self, weights: np.ndarray) -> float:
        """L(W)."""
        logs = log_softmax(self.x @ weights / self.temperature, axis=1)
        regularizer = 0.5 * float(self._penalties @ (weights**2).sum(axis=1))
        return float(-self.factor * np.mean((self.targets * logs).sum(axis=1)) + regularizer)

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """∇L(W) (d, K); a row of T that sums to m weighs its softmax by m."""
        mass = self.targets.sum(axis=1)[:, None]
        residual = mass * self.probabilities(weights) - self.targets
        scale = self.factor / (self.temperature * len(self.x))
        return scale * self.x.T @ residual + self._penalties[:, None] * weights

    def hessian(self, weights: np.ndarray) -> np.ndarray:
        """∇²L(W) (dK, dK), index (feature, class)."""
        p = self.probabilities(weights)
        inner = np.einsum("ia,ab->iab", p, np.eye(p.shape[1])) - np.einsum("ia,ib->iab", p, p)
        inner *= self.targets.sum(axis=1)[:, None, None]
        scale = self.factor / (self.temperature**2 * len(self.x))
        full = scale * np.einsum("ij,il,iab->jalb", self.x, self.x, inner)
        size = self.x.shape[1] * p.shape[1]
        return full.reshape(size, size) + np.diag(np.repeat(self._penalties, p.shape[1]))

    def newton_step(self, weights: np.ndarray) -> np.ndarray:
        """H⁻¹g (d, K), the smallest one where a free row leaves a choice."""
        g = self.gradient(weights)
        return np.linalg.lstsq(self.hessian(weights), g.ravel(), rcond=1e-12)[0].reshape(g.shape)

    def hessian_norm(self, weights: np.ndarray, direction: np.ndarray) -> float:
        """‖Δ‖ in the norm of H."""
        return float(np.sqrt(direction.ravel() @ self.hessian(weights) @ direction.ravel()))

    def decrement(self, weights: np.ndarray) -> float:
        """‖g‖ in the norm of H⁻¹."""
        return float(np.sqrt(np.vdot(self.gradient(weights), self.newton_step(weights))))

    def minimum(self) -> np.ndarray:
        """W* to the last digits (the zero-sum one where a free row leaves a choice)."""
        start = np.zeros((self.x.shape[1], self.targets.shape[1]))
        return newton(self.value, self.newton_step, start)
