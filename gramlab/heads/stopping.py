"""Where a fit may stop: at the gradient that certifies a share of the rows; and why it stopped."""

from __future__ import annotations

import math

import numpy as np

from gramlab.heads.objective import SoftmaxObjective

__all__ = ["relative_gap", "stopped", "tighter_target"]


def relative_gap(norm: float, start_norm: float) -> float:
    """‖g(W)‖²/‖g(0)‖², infinite where it overflows."""
    share = norm / start_norm
    return share * share


def tighter_target(
    objective: SoftmaxObjective, weights: np.ndarray, logits: np.ndarray, norm: float, share: float
) -> float | None:
    """The gradient norm that certifies ``share`` of the rows, or None when it is reached.

    It is met through the global bound (‖g‖ + rounding)/λ: the sharper local one costs as many
    passes to compute as going on until the global one suffices.
    """
    needed = objective.weight_decay * _needed_bound(objective, logits, share)
    rounding = objective.gradient_rounding(weights, logits)
    if norm + rounding < needed:
        return None
    return max(0.5 * (needed - rounding), 0.5 * rounding)


def _needed_bound(objective: SoftmaxObjective, logits: np.ndarray, share: float) -> float:
    """The bound on ‖W − W*‖_F below which ``share`` of the training rows are certified."""
    top = np.partition(logits, -2, axis=1)[:, -2:]
    # A zero row has zero logits at every W: its tie is real and never certified.
    norms = np.where(objective.row_norms > 0.0, objective.row_norms, np.inf)
    ratios = np.sort((top[:, 1] - top[:, 0]) / (math.sqrt(2.0) * norms))
    return float(ratios[min(int((1.0 - share) * len(ratios)), len(ratios) - 1)])


def stopped(outcome: str, reached: float, passes: float, max_passes: int) -> str:
    """Why it did not converge and what to do; empty if it did."""
    found = f"relative gap {reached:.1e} after {passes:.0f} passes"
    return {
        "converged": "",
        "pass limit": f"stopped at max_passes={max_passes} with {found}: raise "
        "max_passes, loosen tolerance, or raise weight_decay",
        "float64 floor": f"reached the rounding floor of float64 at {found}: no smaller gap "
        "can be computed here; loosen tolerance, or raise weight_decay",
    }[outcome]
