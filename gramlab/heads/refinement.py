"""Iterative refinement: float64 base points, and corrections between them that the solver finds.

Corrections are in float32 while those bring progress, then in float64, in a metric that is made
anew as the predictions settle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gramlab.heads import preconditioner, solver
from gramlab.heads.fit import SolveStats
from gramlab.heads.preconditioner import Preconditioner

__all__ = ["Refinement", "SolverOptions"]

_FALL = 0.67  # of the gradient norm, that counts as progress
_STALLED = 48  # float32 iterations without such a fall before the base point moves
_PATIENCE = 200  # the same in float64, which moves it only to see whether it is at its floor
_PRICE = 120.0  # passes that a class metric costs, times its rows of a class over N


@dataclass(frozen=True)
class SolverOptions:
    """What a caller of the solver can ask for."""

    max_passes: int = 20_000  # over the rows, after which to give up
    progress: Callable[[float, float], None] | None = None  # told passes so far, ‖g‖/‖g(0)‖
    pairs: int = 10  # of the quasi-Newton memory


class Refinement:
    """One run on one carrier of rows.

    Attributes
    ----------
    weights : (K, d)
        In float64, those with the smallest gradient norm that was met.
    norm, start_norm
        ‖∇L‖ there and at W = 0.
    passes, iterations
        Done so far.
    """

    def __init__(self, rows: Any, options: SolverOptions, start: np.ndarray | None = None) -> None:
        self.rows, self.options = rows, options
        self.passes, self.iterations = 0.5, 0
        self.weights = np.zeros(rows.shape)
        self.norm, around = rows.at_zero()
        range32 = np.finfo(np.float32)
        # Corrections go down by six digits, and their squares by twelve.
        roomy = 1e12 * range32.tiny < self.norm < 1e-12 * range32.max
        if rows.dtype == np.float32 and not roomy:
            rows.use_float64()
            self.norm, around = rows.at_zero()
        self.start_norm = self.norm
        self.exact = rows.dtype == np.float64  # whether the norm is
        self.metric: Preconditioner | None = None  # by class; the scalar one is made as it is used
        self.made = self.norm, 0  # norm and iteration at which it was
        self._begin(around)
        if start is not None and start.any() and self.norm > 0.0:
            self._begin_at(start)

    def relative_gap(self, norm: float) -> float:
        """‖g(W)‖²/‖g(0)‖² for a gradient norm, infinite where it overflows."""
        share = norm / self.start_norm
        return share * share

    def norm_for(self, tolerance: float) -> float:
        """The gradient norm of a relative gap, less what rounding could lift it by."""
        return 0.9 * math.sqrt(tolerance) * self.start_norm

    def to(self, target: float) -> str:
        """Move the base point until its gradient norm is at most ``target``; the outcome."""
        failures = 0
        while self.norm > target or not self.exact:
            if self.passes + 2.0 > self.options.max_passes:
                return "pass limit"
            if self.moved is not None:
                self.objective, self.moved = self.moved(), None
                self.state = solver.rebase(self.objective, self.state)
            float32, before = self.rows.dtype == np.float32, self.norm
            fall = self.objective.loss.float32_fall if float32 else 0.0
            self._correct(max(target, fall * before), target)
            moved = self.weights + self.rows.from_coordinates(self.state.step)
            moved -= moved.mean(axis=0)
            norm, there = self.rows.at(moved)
            self.passes += 1.0
            better = self._is_better(moved, norm)
            if better:
                self.weights, self.norm, self.exact, self.moved = moved, norm, True, there
            self._report(self.norm)
            if not better or norm > max(target, _FALL * before):
                failures += not float32
                if failures == 2:
                    return "float64 floor"
                self._begin_anew()
        return "converged"

    def stats(self, method: str, outcome: str, reached: str, polish: str = "") -> SolveStats:
        """How it went: after which ``outcome`` of ``to``, and what was ``reached``, in words."""
        limit = self.options.max_passes
        reached = f"{reached} after {self.passes:.0f} passes"
        message = {
            "converged": "",
            "pass limit": f"stopped at max_passes={limit} with {reached}: raise max_passes, loosen "
            "tolerance, or raise weight_decay",
            "float64 floor": f"reached the rounding floor of float64 at {reached}: no smaller one "
            "can be computed here; loosen tolerance, or raise weight_decay",
        }[outcome]
        return SolveStats(method, outcome, message, self.passes, self.iterations, polish)

    def _begin(self, around: Callable[[], Any]) -> None:
        self.objective = around()
        self.moved: Callable[[], Any] | None = None  # makes it where the base point has moved to
        self.state = solver.begin(self.objective, self.options.pairs)

    def _begin_at(self, start: np.ndarray) -> None:
        """Begin at the best multiple of the start, unless the gradient is larger there.

        A student whose targets doubt what its start is sure of begins far better from less of it.
        The optimum of a loss that is not convex belongs to the start as it is.
        """
        if self.objective.loss.convex:
            step = self.rows.put(self.rows.to_coordinates(start - start.mean(axis=0)))
            placed = solver.move(self.objective, self.state, step)
            if float(placed.norm) < self.norm:
                self.state, self.made = placed, (float(placed.norm), 0)
        else:
            self.weights = start - start.mean(axis=0)
            self.norm, around = self.rows.at(self.weights)
            self._begin(around)
        self.passes += 1.0

    def _is_better(self, moved: np.ndarray, norm: float) -> bool:
        if self.objective.loss.convex:
            return norm < self.norm
        value = self.rows.referee.value  # which never rises
        return value(moved.T) <= value(self.weights.T)

    def _begin_anew(self) -> None:
        """In float64 and with an empty memory."""
        self.rows.use_float64()
        self.metric = None
        self.norm, around = self.rows.at(self.weights)
        self.exact = True
        self._begin(around)

    def _correct(self, goal: float, target: float) -> None:
        """Iterate from the base point to a gradient norm of ``goal``, or until that stalls."""
        best, since = math.inf, 0
        float32 = self.rows.dtype == np.float32
        patience = _STALLED if float32 else _PATIENCE if self.objective.loss.convex else math.inf
        while True:
            norm = float(self.state.norm)
            self._report(norm)
            if float32 and norm < 1e-4 * self.norm:
                patience = 1  # float32 that stands still there is at its floor
            left = min(self.rows.chunk, int(self.options.max_passes - self.passes - 1.0))
            if norm <= goal or since >= patience or left < 1 or bool(self.state.halted):
                return
            self._improve_metric(norm, target)
            step, before = self.state.step + 0.0, int(self.state.iterations)
            metric = self.metric
            if metric is None and not self.rows.one_call:
                metric = preconditioner.scalar(self.objective, self.state.seen)
            self.state = solver.advance(self.objective, metric, self.state, goal, left)
            done = int(self.state.iterations) - before
            self.passes, self.iterations = self.passes + done, self.iterations + done
            norm, since = float(self.state.norm), since + done
            if not math.isfinite(norm):  # out of the range of its precision: keep what was good
                self.state = self.state._replace(step=step)
                return
            if norm < _FALL * best:
                best, since = norm, 0

    def _improve_metric(self, norm: float, target: float) -> None:
        """Make the class metric once predictions have settled, if it pays; anew where they move."""
        suited = self.rows.class_metric and not self.rows.one_call and self.objective.loss.convex
        n, (made_at, when) = len(self.objective.rows.z), self.made
        # Predictions change slowly from 2 % of the start on, and much with a tenfold fall.
        unsettled = norm > 2e-2 * self.start_norm
        recent = self.metric is not None and norm > 0.1 * made_at
        done = self.iterations - when
        if not suited or unsettled or recent or done == 0 or not target < norm < made_at:
            return
        kept = preconditioner.kept_rows(self.objective, self.state.seen)
        price = _PRICE * kept / n
        to_come = math.log(norm / target) * done / math.log(made_at / norm)
        if kept and to_come > 2.0 * price:
            self.metric = preconditioner.by_class(self.objective, self.state.seen, kept)
            self.made = norm, self.iterations
            self.passes += 0.5 * kept**2 / n  # its products, in units of a pass

    def _report(self, norm: float) -> None:
        if self.options.progress is not None:
            share = norm / self.start_norm if self.start_norm else 0.0
            self.options.progress(self.passes, share)
