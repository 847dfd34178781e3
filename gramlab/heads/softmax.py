"""The exact head: multinomial cross-entropy with soft targets, solved and certified in float64."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import jax
import numpy as np

from gramlab import device, errors, validation
from gramlab.features import Features
from gramlab.heads import solver
from gramlab.heads.fit import Fit, SolveStats, Targets, as_features, target_deviations
from gramlab.heads.objective import SoftmaxObjective, softmax, softmax_deviations
from gramlab.spectrum import Spectrum

__all__ = ["SoftmaxHead"]

_MEMORY = 10  # quasi-Newton pairs; 40 saves 15 % of the passes but costs as much in vector work
_CHUNK = 25  # iterations between two looks at progress
_STALL_CHUNKS = 8  # looks without the gradient falling by a third before Newton steps take over
_NEWTON_PRODUCTS = 400
_SAFETY = 0.9  # aim below the tolerance, so that rounding in V A cannot lift the result above it


class SoftmaxHead:
    """Exact softmax head: argmin_W L(W; T), no intercept (see ``gramlab.heads.objective``).

    Parameters
    ----------
    weight_decay
        λ > 0.
    tolerance
        Relative duality gap ‖g‖²/‖g(0)‖² to reach; 1e-8 is a gradient norm of 1e-4 of the start.
    certified_share
        If given, go on past ``tolerance`` until this share of the training predictions is
        certified (their class cannot change between W and W*), or the float64 floor is reached;
        ``Fit.stats.polish`` says which.
    max_passes
        Passes over the features (two matrix products each) after which the solver gives up, with
        a ``NotConvergedWarning`` and a ``Fit`` whose ``stats`` hold the reason and the remedy.
    progress
        Called now and then with (passes so far, ‖g‖/‖g(0)‖).

    Raises
    ------
    InvalidSetting
        If a parameter is out of range.
    """

    def __init__(
        self,
        weight_decay: float,
        *,
        tolerance: float = 1e-8,
        certified_share: float | None = None,
        max_passes: int = 20_000,
        progress: Callable[[float, float], None] | None = None,
    ) -> None:
        self.weight_decay = validation.check_weight_decay(weight_decay)
        self.tolerance = validation.check_positive("tolerance", tolerance)
        if certified_share is not None and not 0.0 < certified_share <= 1.0:
            raise errors.InvalidSetting(
                f"certified_share must be in (0, 1], got {certified_share!r}: 0.99 asks for 99 % "
                "of the training predictions"
            )
        self.certified_share = certified_share
        self.max_passes = validation.check_integer("max_passes", max_passes, 1)
        self.progress = progress

    def __repr__(self) -> str:
        """Constructor call."""
        return f"SoftmaxHead(weight_decay={self.weight_decay!r}, tolerance={self.tolerance!r})"

    def fit(
        self,
        features: Features | np.ndarray,
        targets: Targets | np.ndarray,
        start: np.ndarray | None = None,
    ) -> Fit:
        """Fit to soft targets T (N, K) with rows on the simplex.

        Parameters
        ----------
        features
            Features, or a bare array x (N, d).
        targets
            T (N, K), or ``Targets`` from a previous fit.
        start
            Weights (d, K) to start from; the optimum does not depend on them.

        Raises
        ------
        InvalidTargets, InvalidFeatures, InvalidSetting, NotEnoughMemory
            On bad input, before any work is done.

        Warns
        -----
        NotConvergedWarning
            If the tolerance was not reached.
        """
        features = as_features(features, targets)
        deviations = target_deviations(targets, features, signed=False)
        shape = (features.n_features, deviations.shape[1])
        if start is not None:
            start = validation.check_features(start, name="start")
            if start.shape != shape:
                raise errors.InvalidSetting(
                    f"start must have shape (d, K) = {shape}, got {start.shape}: pass the weights "
                    "of a fit on the same features and classes"
                )
        objective = SoftmaxObjective(features, deviations, self.weight_decay)
        weights, stats = _Solve(self, objective, start).run()
        logits = objective.logits(weights)
        fit = Fit(
            weights=weights,
            deviations=softmax_deviations(logits),
            probabilities=softmax(logits),
            link=softmax,
            weight_decay=self.weight_decay,
            stats=stats,
            certify=objective.certificate,
        )
        if not stats.converged:
            # The float64 referee decides whether the tolerance itself was missed.
            if fit.certificate.relative_gap > self.tolerance:
                warnings.warn(stats.message, errors.NotConvergedWarning, stacklevel=2)
        return fit


class _Solve:
    """One run of the solver: quasi-Newton, certification if asked for, Newton where it stalls."""

    def __init__(
        self, head: SoftmaxHead, objective: SoftmaxObjective, start: np.ndarray | None
    ) -> None:
        self.head = head
        self.objective = objective
        self.spectrum = Spectrum.of(objective.features)
        self.passes = 0.0
        with device.float64():
            self.problem = solver.Problem(
                _resident_coordinates(self.spectrum),
                jax.numpy.asarray(self.spectrum.eigenvalues),
                jax.numpy.asarray(objective.target_deviations),
                jax.numpy.asarray(objective.weight_decay),
            )
            a = np.zeros((self.spectrum.basis.shape[1], objective.n_classes))
            self.start_norm = self._norm(solver.start_state(self.problem, a, 1))
            if start is not None:
                a = self.spectrum.basis.T @ np.asarray(start, dtype=np.float64)
            self.state = solver.start_state(self.problem, a, _MEMORY)
            self.passes += 1.0

    def run(self) -> tuple[np.ndarray, SolveStats]:
        if self.start_norm == 0.0:  # uniform targets: the optimum is W = 0, whatever the start
            return np.zeros_like(self._weights()), self._stats("converged", "")
        with device.float64():
            target = _SAFETY * math.sqrt(self.head.tolerance) * self.start_norm
            outcome = self._descend(target)
            polish = self._polish() if outcome == "converged" else ""
            return self._weights(), self._stats(outcome, polish)

    def _polish(self) -> str:
        """Go on until the asked share of predictions is certified; the outcome in words."""
        if self.head.certified_share is None:
            return ""
        while (target := self._tighter_target(self.head.certified_share)) is not None:
            if self._at_floor():
                return "float64 floor"
            outcome = self._descend(target)
            if outcome != "converged":
                return outcome
        return "share reached"

    def _descend(self, target: float) -> str:
        """Iterate to a gradient norm of ``target``; the outcome in one word."""
        best, since = math.inf, 0
        while True:
            left = self.head.max_passes - self.passes
            if left < 1.0:
                return "pass limit"
            before = int(self.state.iterations)
            self.state = solver.advance(self.problem, self.state, target, int(min(_CHUNK, left)))
            self.passes += int(self.state.iterations) - before
            norm = self._norm(self.state)
            self._report(norm)
            if norm <= target:
                self.state = solver.refresh(self.problem, self.state)
                norm = self._norm(self.state)
                if norm <= target:
                    return "converged"
            if not math.isfinite(norm):
                raise ArithmeticError("the solver left the range of float64")
            if norm < 0.67 * best:
                best, since = norm, 0
                continue
            since += 1
            if since >= _STALL_CHUNKS:
                return self._close(target)

    def _close(self, target: float) -> str:
        """Newton steps from fresh logits; stops where they stop helping."""
        self.state = solver.refresh(self.problem, self.state)
        norm = self._norm(self.state)
        while norm > target:
            if self.passes >= self.head.max_passes:
                return "pass limit"
            trial, products = solver.newton_step(self.problem, self.state, 1e-3, _NEWTON_PRODUCTS)
            self.passes += int(products) + 1.0
            new = self._norm(trial)
            self._report(min(new, norm))
            if not new < norm:
                return "float64 floor"
            self.state, improved = trial, new <= 0.5 * norm
            norm = new
            if not improved and norm > target:
                return "float64 floor"
        return "converged"

    def _tighter_target(self, share: float) -> float | None:
        """The gradient norm that certifies ``share`` of the rows, or None when it is reached.

        It is met through the global bound (‖g‖ + rounding)/λ: the sharper local one costs as many
        passes to compute as going on until the global one suffices.
        """
        needed = self.head.weight_decay * self._needed_bound(share)
        rounding = self._rounding()
        if self._norm(self.state) + rounding < needed:
            return None
        return max(0.5 * (needed - rounding), 0.5 * rounding)

    def _at_floor(self) -> bool:
        return self._norm(self.state) <= self._rounding()

    def _rounding(self) -> float:
        return self.objective.gradient_rounding(self._weights(), np.asarray(self.state.logits))

    def _needed_bound(self, share: float) -> float:
        """The bound on ‖W − W*‖_F below which ``share`` of the training rows are certified."""
        v = np.asarray(self.state.logits)
        top = np.partition(v, -2, axis=1)[:, -2:]
        # A zero row has zero logits at every W: its tie is real and never certified.
        norms = np.where(self.objective.row_norms > 0.0, self.objective.row_norms, np.inf)
        ratios = np.sort((top[:, 1] - top[:, 0]) / (math.sqrt(2.0) * norms))
        return float(ratios[min(int((1.0 - share) * len(ratios)), len(ratios) - 1)])

    def _weights(self) -> np.ndarray:
        return self.spectrum.basis @ np.asarray(self.state.a)

    @staticmethod
    def _norm(state: solver.State) -> float:
        return float(np.linalg.norm(np.asarray(state.gradient)))

    def _report(self, norm: float) -> None:
        if self.head.progress is not None:
            self.head.progress(self.passes, norm / self.start_norm if self.start_norm else 0.0)

    def _stats(self, outcome: str, polish: str) -> SolveStats:
        reached = (self._norm(self.state) / self.start_norm) ** 2 if self.start_norm else 0.0
        found = f"relative gap {reached:.1e} after {self.passes:.0f} passes"
        messages = {
            "converged": "",
            "pass limit": f"stopped at max_passes={self.head.max_passes} with {found}: raise "
            "max_passes, loosen tolerance, or raise weight_decay",
            "float64 floor": f"reached the rounding floor of float64 at {found}: no smaller gap "
            "can be computed here; loosen tolerance, or raise weight_decay",
        }
        return SolveStats(
            method="Gram-metric L-BFGS",
            result=outcome,
            message=messages[outcome],
            passes=self.passes,
            iterations=int(self.state.iterations),
            polish=polish,
        )


def _resident_coordinates(spectrum: Spectrum) -> jax.Array:
    """Z on the device, put there once per Features object."""
    memo = spectrum.features._memo
    if "device_coordinates" not in memo:
        memo["device_coordinates"] = device.resident(
            spectrum.coordinates, "the features in the Gram eigenbasis"
        )
    return memo["device_coordinates"]
