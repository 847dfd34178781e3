"""The partial-label head as published: generalized cross entropy, solved to a local optimum.

    L_q(W; T) = (1/N) Σ_i Σ_l T_il (1 − p_il^q)/q + (λ/2) ‖W‖_F²,   P = softmax(XW), 0 < q ≤ 1

(Zhang & Sabuncu 2018; the paper's partial-label student uses q = 0.7 with ½ on each of two
labels). q → 0 is the cross entropy, q = 1 half the mean absolute error. With c_i = Σ_l T_il p_il^q,

    ∂/∂v_im = p_im c_i − T_im p_im^q,   ∇L_q = (1/N) Xᵀ(P ∘ c − T ∘ P^q) + λW,

which has no negative power of a probability. The loss is not convex in the logits, so that a
vanishing gradient proves a stationary point and no more: there is no certificate. What comes out
depends on where the iteration began, so a ``LocalFit`` says where that was, how far the objective
fell from there, and how small its gradient is now, all recomputed from the weights in NumPy.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from functools import cache, cached_property, partial
from typing import Any, NoReturn

import numpy as np

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.heads.carriers import HostRows, MakeLoss, is_small
from gramlab.heads.fit import MeasuredFit, SolveStats
from gramlab.heads.loss import GeneralizedCrossEntropy as _Loss
from gramlab.heads.problem import Problem
from gramlab.heads.refinement import Refinement, SolverOptions
from gramlab.numerics.rounding import gamma
from gramlab.targets import OneHotRows, Targets

__all__ = [
    "GeneralizedCrossEntropy",
    "GeneralizedCrossEntropyHead",
    "LocalFit",
    "check_exponent",
]


def check_exponent(q: object) -> float:
    """Check that an exponent q of the loss is in (0, 1] (else InvalidSetting)."""
    number = validation.check_positive("q", q)
    if number > 1.0:
        raise errors.InvalidSetting(
            f"q must be at most 1, got {number:g}: near 0 is the cross entropy, 1 the mean "
            "absolute error, 0.7 what the paper uses"
        )
    return number


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedCrossEntropy(Problem):
    """L_q(·; T) on one feature matrix (see ``Problem``).

    Attributes
    ----------
    q
        Exponent in (0, 1].
    """

    q: float = field(kw_only=True)

    def value(self, weights: np.ndarray) -> float:
        """L_q(W; T)."""
        with np.errstate(over="ignore", invalid="ignore"):  # weights whose loss overflows
            total = sum(float(values.sum()) for _, _, values in self._evaluated(weights))
            square = float(np.vdot(weights, weights))
        return total / self.n_samples + 0.5 * self.weight_decay * square

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """∇L_q(W) (d, K)."""
        out = np.zeros(weights.shape)
        for block, residual, _ in self._evaluated(weights):
            out += block.T @ residual
        return out / self.n_samples + self.weight_decay * weights

    def certificate(self, weights: np.ndarray) -> NoReturn:
        """Raise NoCertificate, which says why."""
        raise errors.NoCertificate(
            "there is no certificate: the generalized cross entropy is not convex, so its gradient "
            "bounds no distance to a global optimum; read gradient_norm, relative_gradient_norm, "
            "objective and start instead, or fit the same targets with SoftmaxHead"
        )

    def _evaluated(
        self, weights: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """X (n, d), residuals (n, K) and losses (n,), block by block."""
        for rows, block in self.blocks():
            logits = block @ weights
            residual, loss = _Loss.at(logits, self.target_deviations[rows], self.q)
            yield block, residual, loss.values(0.0 * logits, 1)


@dataclass(frozen=True, eq=False, repr=False)
class LocalFit(MeasuredFit):
    """A fit to a non-convex objective: a stationary point that belongs to its start.

    Attributes
    ----------
    begun_at : (d, K) or None
        Weights the iteration started from; None is W = 0.
    """

    begun_at: np.ndarray | None = field(kw_only=True, repr=False, default=None)

    @property
    def start(self) -> str:
        """``"zero"`` or ``"given weights"``."""
        return "zero" if self.begun_at is None else "given weights"

    @cached_property
    def start_objective(self) -> float:
        """L_q at the start; never below ``objective``."""
        begun = np.zeros_like(self.weights) if self.begun_at is None else self.begun_at
        return self.problem.value(begun)


@cache
def _loss_at(q: float) -> MakeLoss:
    """Makes the loss, with its residual, at logits (N, K); one for each q, to be compiled once."""
    return partial(_Loss.at, q=q)


@dataclass(eq=False)
class GeneralizedCrossEntropyHead:
    """Softmax head with the generalized cross entropy, no intercept; a local optimum.

    Parameters
    ----------
    weight_decay
        λ > 0.
    q
        Exponent in (0, 1]; 0.7 is the paper's.
    tolerance
        ‖∇L_q(W)‖²/‖∇L_q(0)‖² to reach, the square of the relative gradient norm, as for the exact
        head; 1e-6 is a gradient norm of 1e-3 of that at W = 0.
    max_passes
        Evaluations of the objective (two matrix products each) after which the solver gives up,
        with a ``NotConvergedWarning`` and a fit whose ``stats`` hold the reason and the remedy.
    progress
        Called now and then with (passes so far, relative gradient norm).

    Raises
    ------
    InvalidSetting
        If a parameter is out of range.
    """

    weight_decay: float
    _: KW_ONLY
    q: float = 0.7
    tolerance: float = 1e-6
    max_passes: int = field(default=5_000, repr=False)
    progress: Callable[[float, float], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.weight_decay = validation.check_weight_decay(self.weight_decay)
        self.q = check_exponent(self.q)
        self.tolerance = validation.check_positive("tolerance", self.tolerance)
        self.max_passes = validation.check_integer("max_passes", self.max_passes, 1)

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | OneHotRows | np.ndarray,
        start: np.ndarray | None = None,
    ) -> LocalFit:
        """Descend from ``start`` to a stationary point.

        Parameters
        ----------
        features
            Features in memory, or a bare array x (N, d).
        targets
            T (N, K) with rows on the simplex; ½ on each of two labels gives the mean over both.
        start
            Weights (d, K) to start from; None is W = 0. The objective never rises on the way, so
            that the optimum belongs to the start.

        Raises
        ------
        InvalidTargets, InvalidFeatures, InvalidSetting, NotEnoughMemory
            On bad input, before any work is done.

        Warns
        -----
        NotConvergedWarning
            If the tolerance was not reached.
        """
        problem = GeneralizedCrossEntropy.of(features, targets, self.weight_decay, q=self.q)
        problem.check_in_memory("the generalized cross entropy")
        begun = validation.check_start(start, (problem.features.n_features, problem.n_classes))
        weights, stats = self._solved(problem, begun)
        fit = LocalFit.at(problem, weights, stats, problem=problem, begun_at=begun)
        if not stats.converged and fit.relative_gradient_norm**2 > self.tolerance:
            warnings.warn(stats.message, errors.NotConvergedWarning, stacklevel=2)
        return fit

    def _solved(
        self, problem: GeneralizedCrossEntropy, begun: np.ndarray | None
    ) -> tuple[np.ndarray, SolveStats]:
        kind: Any = HostRows
        if not is_small(problem.features, problem.n_classes):
            from gramlab.heads.resident import ResidentRows as kind
        options = SolverOptions(self.max_passes, self.progress)
        with kind.context():
            rows = kind(problem, _loss_at(self.q))
            run = Refinement(rows, options, None if begun is None else begun.T)
            # Targets that pull nowhere leave rounding alone at W = 0, and no share of it to reach.
            mean_square = float(rows.rows.eigenvalues.sum())
            floor = gamma(problem.n_classes + 8) * math.sqrt(mean_square)
            outcome = run.to(max(run.norm_for(self.tolerance), floor))
            weights = np.ascontiguousarray(run.weights.T)
        reached = run.norm / run.start_norm if run.start_norm else run.norm
        told = f"relative gradient norm {reached:.1e}"
        return weights, run.stats("L-BFGS descent", outcome, told)
