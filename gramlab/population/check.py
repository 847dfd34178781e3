"""The block model at one setting: its condition, its perfect rounds, and what decides them.

For the block model what ``check`` is for real features: everything that the theory states of it
beside the exact head's rounds, as plain data, and phase diagrams over the usual axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gramlab.errors import InvalidSetting
from gramlab.labels import check_corruption_matrix, corruption_matrix
from gramlab.numerics.text import short_repr
from gramlab.population.block_model import ClassBlockModel, Population
from gramlab.population.phase import (
    Condition,
    PhaseDiagram,
    condition,
    matrix_condition,
    phase_diagram,
)

__all__ = ["PLANES", "PopulationCheck", "check_population", "plane_diagram"]

PLANES = {
    "rate-round": ("rate", "round"),
    "rate-decay": ("rate", "weight_decay"),
    "decay-round": ("weight_decay", "round"),
}
"""Axes of phase diagrams, x before y, by the name of their plane."""


@dataclass(frozen=True, eq=False)
class PopulationCheck:
    """Everything known of a block model at one noise and weight decay.

    The accuracy ``condition`` (paper, Theorem 4.2) is None for noise that is not balanced, and
    ``unbalanced`` says why. ``linearized`` and ``exact`` are the first perfect rounds of either
    head; None within ``max_rounds``. Of partial labels something is stated for ``named`` kinds of
    noise.
    """

    model: ClassBlockModel
    population: Population
    condition: Condition | None
    unbalanced: str
    max_rounds: int
    linearized: int | None
    exact: int | None
    named: bool = True

    def __repr__(self) -> str:
        return short_repr(self)

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable result."""
        whole, theorem, most = self.population, self.condition, self.max_rounds
        shown = {1, 2, 3, 5, self.linearized, self.exact}
        proof = most if self.exact is None else self.exact
        predictions = whole.exact(proof)
        return {
            "eigenvalues": [asdict(eigenvalue) for eigenvalue in self.model.eigenvalues()],
            "mu": whole.mu,
            "factors": dict(zip("ABCD", whole.factors().tolist(), strict=True)),
            "rho": whole.rho,
            "condition": {"balanced": False, "reason": self.unbalanced}
            if theorem is None
            else {
                "balanced": True,
                "own_share": float(theorem.own),
                "largest_wrong_share": float(theorem.other),
                "difference": float(theorem.difference),
                "attainable": theorem.difference > 0,  # some linear round is perfect
            },
            "minimum_rounds": theorem and theorem.minimum_rounds,
            "first_perfect_round": {"linearized": self.linearized, "exact": self.exact},
            "undecided": {
                "linearized": [] if theorem else list(whole.undecided_rounds("linearized", most)),
                "exact": list(whole.undecided_rounds("exact", most)),
            },
            "exact_certificate": {
                "round": proof,
                "least_margin": float(predictions.margins.min()),
                "margin_bound": float(predictions.margin_bound.max()),
                "perfect": predictions.perfect,
                "undecided": predictions.verdict is None,
            },
            "averaging_weights": [
                {"round": t} | whole.averaging_weights(t)
                for t in sorted(t for t in shown if t is not None and t <= most)
            ],
            "held_out": theorem and _sign(theorem.difference, "right", "wrong"),
            "partial_labels": None
            if theorem is None or not self.named
            else {
                "row_maximum": _sign(theorem.difference, "holds", "fails"),
                "side_condition": _sign(1 - theorem.own - theorem.other, "holds", "fails"),
                "student": theorem.partial_labels,
            },
        }


def _sign(value: Any, positive: str, negative: str) -> str:
    return "tie" if value == 0 else negative if value < 0 else positive


def check_population(
    model: ClassBlockModel,
    noise: str | None,
    rate: float | None,
    weight_decay: float,
    max_rounds: int = 100,
    *,
    noise_matrix: object = None,
) -> PopulationCheck:
    """Look for the first perfect rounds of a block model's linear and exact head.

    ``noise`` and ``rate`` are a corruption matrix's kind and its η in [0, 1), both None where
    ``noise_matrix`` (K, K) is given; ``weight_decay`` is λ > 0, and bad settings raise
    InvalidSetting.
    """
    kind, share = noise or "", math.nan if rate is None else rate  # what is missing is refused
    if noise_matrix is None:
        matrix = corruption_matrix(kind, model.n_classes, share, model.superclasses)
    elif noise is None and rate is None:
        matrix = check_corruption_matrix(noise_matrix, model.n_classes, "noise_matrix")
    else:
        raise InvalidSetting(
            f"noise and rate must be None beside noise_matrix, got {noise!r} and {rate!r}"
        )
    whole = model.population(matrix, weight_decay)
    theorem, unbalanced, named = None, "", noise_matrix is None
    try:
        theorem = condition(model, kind, share, weight_decay) if named else matrix_condition(whole)
    except InvalidSetting as problem:  # the settings are checked: the noise is not balanced
        unbalanced = str(problem)
    if theorem is None:
        linear = whole.first_perfect_round("linearized", max_rounds)
    else:
        linear = next((t for t in range(1, max_rounds + 1) if theorem.perfect(t)), None)
    exact = whole.first_perfect_round("exact", max_rounds)
    return PopulationCheck(model, whole, theorem, unbalanced, max_rounds, linear, exact, named)


def plane_diagram(
    model: ClassBlockModel,
    plane: str,
    noise: str,
    *,
    weight_decay: float,
    round: int,
    rate: float | None = None,
    max_rounds: int = 100,
    noise_matrix: object = None,
    rates: Sequence[float] | None = None,
    weight_decays: Sequence[float] | None = None,
    rounds: Sequence[int] | None = None,
    progress: Callable[[str], None] | None = None,
) -> PhaseDiagram:
    """A phase diagram over the usual axes: rates by 1/40, decays 1e-7 to 1e-2, rounds 1 to 30.

    It is the ``plane`` of ``PLANES`` that lies at ``rate``, ``weight_decay`` and ``round``, of
    which those that are its axes are not looked at. ``rates``, ``weight_decays`` and ``rounds``
    are increasing values for the axes in place of the usual ones; the rest is as in
    ``phase_diagram``, and bad settings raise InvalidSetting.
    """
    usual: dict[str, Any] = {
        "rate": [f"{i}/40" for i in range(40)],
        "weight_decay": [float(f"{10 ** (-7 + i / 4):.3g}") for i in range(21)],
        "round": range(1, min(max_rounds, 30) + 1),
    }
    axes, fixed = PLANES[plane], {"rate": rate, "weight_decay": weight_decay, "round": round}
    grids = {"rate": rates, "weight_decay": weight_decays, "round": rounds}
    for name, grid in grids.items():
        if grid is not None and name not in axes:
            raise InvalidSetting(
                f"{name}s must be left out for the plane {plane}, whose axes are "
                f"{' and '.join(axes)}, got {len(grid)} of them"
            )
        usual[name] = fixed[name] if name not in axes else usual[name] if grid is None else grid
    more: dict[str, Any] = {"noise_matrix": noise_matrix, "max_rounds": max_rounds}
    return phase_diagram(model, noise, *axes, **usual, **more, progress=progress)
