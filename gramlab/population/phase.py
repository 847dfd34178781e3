"""Phase diagrams of the block model: where theory and exact head reach 100 % accuracy.

The linear head is perfect at round t iff C_kk − C_kl > 1/(ρ^t − 1) for all labels l that class k is
given by mistake (paper; balanced corruption). Here every input is a rational number, so the
condition is decided in float64 only where rounding cannot matter, else in ball arithmetic, and on
the boundary itself in rational arithmetic: rounding decides no cell, and a tie is not perfect.

An integer, a ``Fraction``, a ``Decimal`` and a text are taken as they are; a float stands for the
decimal that Python prints for it, so that 0.3 means 3/10.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, product
from typing import Any, Literal

import numpy as np
from flint import arb, ctx

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.files.tables import csv_text
from gramlab.labels import corruption_matrix
from gramlab.population.block_model import ClassBlockModel
from gramlab.population.exact_numbers import exact_number, rational
from gramlab.population.rounds import BITS

__all__ = ["Condition", "PhaseDiagram", "condition", "exact_number", "phase_diagram"]

AXES = ("rate", "weight_decay", "round")
_FLOAT_MARGIN = 32.0 * 2.0**-52  # several times the rounding errors of the float64 formula

Number = int | float | str | Fraction | Decimal
Method = Literal["float64", "ball", "rational"]


@dataclass(frozen=True)
class Condition:
    """The accuracy condition of one population, in exact numbers.

    Attributes
    ----------
    own
        C_kk, the share of a class that keeps its label.
    other
        Largest share of a class under one wrong label; 0 without noise.
    excess
        ρ − 1 = μ(s_B − s_A)/(s_A(s_B + μ)) > 0.
    second
        Largest share under a second wrong label, 0 if there is none; ``None`` where the condition
        for partial labels is not known (labels that leave their superclass).
    """

    own: Fraction
    other: Fraction
    excess: Fraction
    second: Fraction | None = None

    @property
    def difference(self) -> Fraction:
        """Δ = C_kk − max C_kl."""
        return self.own - self.other

    @property
    def partial_labels(self) -> str | None:
        """What the student of the teacher's two largest labels does in the linear model.

        ``"right"`` on every label, an exact ``"tie"``, or ``"not promised"`` without a strict row
        maximum. With r = 1/(ρ − 1) it is right iff a second wrong label has a positive share, less
        than r below the first's: else the second place is always the same label, and with the true
        label's half it ties (theorem ``partial-labels``; ties of equal shares drawn at random).
        """
        if self.second is None:
            return None
        if self.difference <= 0:
            return "not promised"
        if self.other == 0:
            return "right"
        spread = self.second > 0 and (self.other - self.second) * self.excess < 1
        return "right" if spread else "tie"

    @property
    def minimum_rounds(self) -> float:
        """t* = ln(1 + 1/Δ)/ln ρ; infinite if Δ ≤ 0, 0 without noise. Perfect iff t > t*."""
        if self.other == 0:
            return 0.0
        if self.difference <= 0:
            return math.inf
        return math.log1p(1 / self.difference) / math.log1p(self.excess)

    def perfect(self, round: int) -> bool:
        """Whether the linear head is perfect at round t."""
        return self.decide(round)[0]

    def decide(self, round: int) -> tuple[bool, Method]:
        """Whether the linear head is perfect at round t, and the arithmetic that decided it."""
        validation.check_integer("round", round, 1)
        if self.other == 0:
            return True, "float64"
        by_float = self._by_float(round)
        if by_float is not None:
            return by_float, "float64"
        rho, difference = rational(1 + self.excess), rational(self.difference)
        for bits in BITS:
            with ctx.workprec(bits):
                ball = arb(difference) * (arb(rho) ** round - 1) - 1
                if ball > 0 or ball < 0:
                    return bool(ball > 0), "ball"
        return bool(difference * (rho**round - 1) > 1), "rational"

    def _by_float(self, round: int) -> bool | None:
        """The sign of Δ − 1/(ρ^t − 1) in float64, or None where rounding could change it."""
        try:
            difference, excess = float(self.difference), float(self.excess)
        except OverflowError:
            return None
        exponent = round * math.log1p(excess)
        if excess < 1e-290 or exponent > 700.0:  # too near the ends of float64
            return None
        needed = 1.0 / math.expm1(exponent)
        rounding = _FLOAT_MARGIN * (1.0 + exponent) * (abs(difference) + needed)
        return difference > needed if abs(difference - needed) >= rounding else None


def condition(model: ClassBlockModel, kind: str, rate: Number, weight_decay: Number) -> Condition:
    """The accuracy condition for balanced noise of a kind.

    Raises
    ------
    InvalidSetting
        If a setting is out of range, or the noise is not balanced in the model's superclasses.
    """
    r, decay = _rate(rate), _weight_decay(weight_decay)
    k, n = model.n_classes, model.samples_per_class
    m = model.superclass_size or k
    c, d, e = (
        exact_number(name, getattr(model, name)) for name in ("within", "superclass", "between")
    )
    # Superclasses of one class, or no more alike than the others, are no superclasses.
    one_block = m in (1, k) or d == e
    if kind in ("asymmetric", "pair-flip") and not one_block:
        raise InvalidSetting(
            f"{kind} noise is not balanced in superclasses of {m} of {k} classes, so the condition "
            "has other terms: use symmetric or superclass noise, or Population.first_perfect_round"
        )
    corruption_matrix(kind, k, float(r), model.superclasses)  # refuses what it does not know
    other = {
        "symmetric": r / (k - 1),
        "asymmetric": 2 * r / k,
        "superclass": r / max(m - 1, 1),
        "pair-flip": r,
    }[kind]
    second: Fraction | None = {
        "symmetric": r / (k - 1) if k > 2 else Fraction(0),
        "asymmetric": r / k if k > 2 else Fraction(0),
        "superclass": r / (m - 1) if m > 2 else Fraction(0),
        "pair-flip": Fraction(0),
    }[kind]
    if kind == "symmetric" and not one_block:
        second = None
    apart = n * (c - (e if m == 1 else d))
    a, mu = 1 - c, k * k * n * decay
    return Condition(1 - r, other, mu * apart / (a * (a + apart + mu)), second)


def _rate(value: object) -> Fraction:
    number = exact_number("rate", value)
    if not 0 <= number < 1:
        raise InvalidSetting(
            f"rate must be at least 0 and less than 1, got {value!s}; 0.5 stands for 50 %"
        )
    validation.check_rate("rate", float(number))  # a Fraction next to 1 rounds to 1
    return number


def _weight_decay(value: object) -> Fraction:
    number = exact_number("weight_decay", value)
    validation.check_weight_decay(float(number))
    return number


_CHECKS: dict[str, Callable[[object], Fraction]] = {
    "rate": _rate,
    "weight_decay": _weight_decay,
    "round": lambda value: Fraction(validation.check_integer("round", value, 1)),
}


@dataclass(frozen=True, eq=False)
class PhaseDiagram:
    """Perfect or not over a plane, by theory and by the exact head.

    Attributes
    ----------
    model, kind
        The block model and the kind of noise.
    x_axis, y_axis
        Two of "rate", "weight_decay", "round".
    x, y
        Values of the cells, exact, increasing.
    fixed
        Value of the third quantity.
    theory : (len(y), len(x)) bool
        Whether the linear head is perfect.
    exact : (len(y), len(x)) object
        True or False as certified for the exact head; None where it was not computed, or where
        the certificate leaves it open.
    undecided : (len(y), len(x)) bool
        Where it was computed and the certificate leaves it open.
    decided_by : (len(y), len(x)) str
        Arithmetic that decided the theory cell: "float64", "ball" or "rational".
    """

    model: ClassBlockModel
    kind: str
    x_axis: str
    y_axis: str
    x: tuple[Fraction, ...]
    y: tuple[Fraction, ...]
    fixed: Fraction
    theory: np.ndarray
    exact: np.ndarray
    undecided: np.ndarray
    decided_by: np.ndarray

    @property
    def fixed_axis(self) -> str:
        """The quantity that is the same in all cells."""
        return next(name for name in AXES if name not in (self.x_axis, self.y_axis))

    @property
    def known(self) -> np.ndarray:
        """Cells in which the exact head is decided."""
        return self.exact != None  # noqa: E711 (element by element)

    @property
    def disagree(self) -> np.ndarray:
        """Cells in which theory and exact head are both known and differ."""
        return self.known & (self.exact.astype(bool) != self.theory)

    @property
    def by_ball(self) -> np.ndarray:
        """Cells too near the boundary for float64: ball or rational arithmetic decided them."""
        return self.decided_by != "float64"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; rows of the grids follow y."""
        return {
            "noise": self.kind,
            "x_axis": self.x_axis,
            "y_axis": self.y_axis,
            "x": _plain(self.x_axis, self.x),
            "y": _plain(self.y_axis, self.y),
            "fixed": {self.fixed_axis: _plain(self.fixed_axis, [self.fixed])[0]},
            "theory": self.theory.tolist(),
            "exact": self.exact.tolist(),
            "undecided": self.undecided.tolist(),
            "disagree": self.disagree.tolist(),
            "decided_by": self.decided_by.tolist(),
        }

    def as_csv(self) -> str:
        """One line per cell; an exact cell that was not computed or is undecided is empty."""
        cells = list(product(_plain(self.y_axis, self.y), _plain(self.x_axis, self.x)))
        return csv_text(
            {
                self.x_axis: [x for _, x in cells],
                self.y_axis: [y for y, _ in cells],
                "theory": self.theory.astype(int).ravel().tolist(),
                "exact": ["" if e is None else int(e) for e in self.exact.flat],
                "decided_by": self.decided_by.ravel().tolist(),
                "undecided": self.undecided.astype(int).ravel().tolist(),
            }
        )


def _plain(axis: str, values: Sequence[Fraction]) -> list[int] | list[float]:
    return [int(v) for v in values] if axis == "round" else [float(v) for v in values]


def phase_diagram(
    model: ClassBlockModel,
    kind: str,
    x_axis: str,
    y_axis: str,
    *,
    rate: Number | Sequence[Number] | np.ndarray,
    weight_decay: Number | Sequence[Number] | np.ndarray,
    round: int | Sequence[int] | range | np.ndarray,
    max_rounds: int = 40,
    progress: Callable[[str], None] | None = None,
) -> PhaseDiagram:
    """Decide every cell of a plane of noise rate η, weight decay λ and round t.

    Parameters
    ----------
    model
        The block model.
    kind
        "symmetric", "superclass", or, where all classes are in one superclass, "asymmetric" or
        "pair-flip": the condition is for balanced noise.
    x_axis, y_axis
        Two of "rate", "weight_decay", "round".
    rate, weight_decay, round
        Increasing values on the axes, one number for the third quantity.
    max_rounds
        The exact head is solved up to this round; 0 leaves it out.
    progress
        Told, in words, which population is at work.

    Raises
    ------
    InvalidSetting
        If the axes or a value are out of range, or the noise is not balanced.
    """
    if x_axis not in AXES or y_axis not in AXES or x_axis == y_axis:
        raise InvalidSetting(
            f"x_axis and y_axis must be two of {', '.join(AXES)}, got {x_axis!r} and {y_axis!r}"
        )
    validation.check_integer("max_rounds", max_rounds, 0)
    values: dict[str, tuple[Fraction, ...]] = {}
    for name, given in (("rate", rate), ("weight_decay", weight_decay), ("round", round)):
        values[name] = _values(name, given, name in (x_axis, y_axis))
    rates, decays, rounds = (values[name] for name in AXES)
    shape = tuple(map(len, (rates, decays, rounds)))
    theory = np.zeros(shape, dtype=bool)
    exact = np.full(shape, None, dtype=object)
    undecided = np.zeros(shape, dtype=bool)
    decided_by = np.full(shape, "float64", dtype="<U8")
    for (i, r), (j, w) in product(enumerate(rates), enumerate(decays)):
        if progress is not None:
            progress(f"phase diagram: rate {float(r):.4g}, weight decay {float(w):.3g}")
        theorem = condition(model, kind, r, w)
        matrix = corruption_matrix(kind, model.n_classes, float(r), model.superclasses)
        population = model.population(matrix, float(w))  # one for all rounds, which it keeps
        for h, t in enumerate(rounds):
            theory[i, j, h], decided_by[i, j, h] = theorem.decide(int(t))
            if t <= max_rounds:
                exact[i, j, h] = population.exact(int(t)).verdict
                undecided[i, j, h] = exact[i, j, h] is None
    fixed = next(name for name in AXES if name not in (x_axis, y_axis))
    order = [AXES.index(name) for name in (fixed, y_axis, x_axis)]
    grids = [grid.transpose(order)[0].copy() for grid in (theory, exact, undecided, decided_by)]
    for grid in grids:
        grid.flags.writeable = False
    return PhaseDiagram(
        model, kind, x_axis, y_axis, values[x_axis], values[y_axis], values[fixed][0], *grids
    )


def _values(name: str, given: Any, on_axis: bool) -> tuple[Fraction, ...]:
    """Values of one quantity, checked: several and increasing on an axis, else one."""
    several = not isinstance(given, str) and np.ndim(given) > 0
    if several != on_axis:
        need = "a sequence of numbers, as it is an axis" if on_axis else "one number, as no axis"
        raise InvalidSetting(f"{name} must be {need}, got {given!r}")
    values = tuple(_CHECKS[name](value) for value in (given if several else [given]))
    if not values or any(a >= b for a, b in pairwise(values)):
        raise InvalidSetting(f"{name} must be increasing and not empty, got {given!r}; sort it")
    return values
