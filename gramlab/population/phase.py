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
from gramlab.files.whole import csv_text
from gramlab.labels import check_corruption_matrix, corruption_matrix, flipped_share
from gramlab.numerics.text import short_repr
from gramlab.population.block_model import ClassBlockModel, Population, least_rounds
from gramlab.population.exact_numbers import exact_number, rational
from gramlab.population.rounds import BITS

__all__ = ["Condition", "PhaseDiagram", "condition", "exact_number", "matrix_condition"]
__all__ += ["phase_diagram"]

AXES = ("rate", "weight_decay", "round")
_FLOAT_MARGIN = 32.0 * 2.0**-52  # several times the rounding errors of the float64 formula

Number = int | float | str | Fraction | Decimal
Method = Literal["float64", "ball", "rational"]


@dataclass(frozen=True)
class Condition:
    """The accuracy condition of one population, in exact numbers.

    A class keeps its label in the share ``own``, C_kk, and has its largest shares under a wrong
    label, ``other``, and under a ``second`` one, each 0 if there is none; ``second`` is ``None``
    where the condition for partial labels is not known (labels that leave their superclass).
    ``excess`` is ρ − 1 > 0 (``ClassBlockModel.filter_excess``). ``paired`` says that a class has
    one label beside its own (K = 2, or superclasses of two), so that no draw decides its second.
    """

    own: Fraction
    other: Fraction
    excess: Fraction
    second: Fraction | None = None
    paired: bool = False

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
        label's half it ties (theorem ``partial-labels``). Equal shares, as of symmetric noise, tie
        for the second place, which is then drawn at random (theorem ``top-k-students``).
        """
        if self.second is None:
            return None
        if self.difference <= 0:
            return "not promised"
        if self.other == 0:
            return "tie" if self.paired else "right"
        spread = self.second > 0 and (self.other - self.second) * self.excess < 1
        return "right" if spread else "tie"

    @property
    def minimum_rounds(self) -> float:
        """t* = ln(1 + 1/Δ)/ln ρ; infinite if Δ ≤ 0, 0 without noise. Perfect iff t > t*."""
        return 0.0 if self.other == 0 else least_rounds(self.difference, self.excess)

    def perfect(self, round: int) -> bool:
        """Whether the linear head is perfect at round t."""
        return self.decide(round)[0]

    def decide(self, round: int) -> tuple[bool, Method]:
        """Whether the linear head is perfect at round t, and the arithmetic that decided it."""
        validation.check_integer("round", round, 1)
        by_float = True if self.other == 0 else self._by_float(round)
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
    r, decay = _exact("rate", rate), _exact("weight_decay", weight_decay)
    k, m = model.n_classes, model.superclass_size or model.n_classes
    # Superclasses of one class, or no more alike than the others, are no superclasses.
    one_block = m in (1, k) or model.superclass == model.between
    if kind in ("asymmetric", "pair-flip") and not one_block:
        raise InvalidSetting(
            f"{kind} noise is not balanced in superclasses of {m} of {k} classes, so the condition "
            "has other terms: use symmetric or superclass noise, or Population.first_perfect_round"
        )
    corruption_matrix(kind, k, float(r), model.superclasses)  # refuses what it does not know
    shares: dict[str, tuple[Fraction, Fraction | None]] = {  # of the first wrong label, a second
        "symmetric": (r / (k - 1), r / (k - 1) * (k > 2) if one_block else None),
        "asymmetric": (2 * r / k, r / k * (k > 2)),
        "superclass": (r / max(m - 1, 1), r / max(m - 1, 1) * (m > 2)),
        "pair-flip": (r, Fraction(0)),
    }
    other, second = shares[kind]
    excess = model.filter_excess(k * model.n_samples * decay)
    return Condition(1 - r, other, excess, second, paired=(k if one_block else m) == 2)


def matrix_condition(population: Population) -> Condition:
    """The accuracy condition for the corruption matrix of a population, if it is balanced.

    ``own`` and ``other`` are those of the two classes that differ least; for partial labels nothing
    is stated. InvalidSetting if the corruption is not balanced.
    """
    decay = exact_number("weight_decay", population.weight_decay)
    mu = population.model.n_classes * population.model.n_samples * decay
    return Condition(*population.hardest_pair, population.model.filter_excess(mu))


def _exact(name: str, value: object) -> Fraction:
    """A rate, a weight decay or a round as the number it stands for, checked."""
    if name == "round":
        return Fraction(validation.check_integer(name, value, 1))
    number = exact_number(name, value)
    if name == "weight_decay":
        validation.check_weight_decay(float(number))
    elif not 0 <= number < 1 or float(number) == 1.0:  # a Fraction next to 1 rounds to 1
        raise InvalidSetting(
            f"rate must be at least 0 and less than 1, got {value!s}; 0.5 stands for 50 %"
        )
    return number


@dataclass(frozen=True, eq=False)
class PhaseDiagram:
    """Perfect or not over a plane, by theory and by the exact head.

    Attributes
    ----------
    x, y
        Values of the cells, exact, increasing, of two of "rate", "weight_decay", "round".
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

    def __repr__(self) -> str:
        return short_repr(self)

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
            **{
                name: getattr(self, name).tolist()
                for name in ("theory", "exact", "undecided", "disagree", "decided_by")
            },
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
    rate: Number | Sequence[Number] | np.ndarray | None = None,
    weight_decay: Number | Sequence[Number] | np.ndarray,
    round: int | Sequence[int] | range | np.ndarray,
    noise_matrix: object = None,
    max_rounds: int = 40,
    progress: Callable[[str], None] | None = None,
) -> PhaseDiagram:
    """Decide every cell of a plane of noise rate η, weight decay λ and round t.

    Parameters
    ----------
    kind
        "symmetric", "superclass", or, where all classes are in one superclass, "asymmetric" or
        "pair-flip": the condition is for balanced noise. "matrix" for a ``noise_matrix``.
    x_axis, y_axis
        Two of "rate", "weight_decay", "round".
    rate, weight_decay, round
        Increasing values on the axes, one number for the third quantity.
    noise_matrix : (K, K), optional
        A balanced corruption matrix of one's own; then no ``rate`` is given, and it is no axis.
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
    own = None
    if noise_matrix is not None or kind == "matrix":
        if rate is not None or kind != "matrix" or "rate" in (x_axis, y_axis):
            raise InvalidSetting(
                'noise_matrix goes with kind "matrix" and without rate, over weight_decay and '
                f"round; got kind {kind!r} over {x_axis} and {y_axis}: choose the plane decay-round"
            )
        own = check_corruption_matrix(noise_matrix, model.n_classes, "noise_matrix")
        rate = flipped_share(own)
    given = {"rate": rate, "weight_decay": weight_decay, "round": round}
    values = {name: _values(name, given[name], name in (x_axis, y_axis)) for name in AXES}
    shape = tuple(len(values[name]) for name in AXES)
    theory, undecided = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    exact, decided_by = np.full(shape, None, dtype=object), np.full(shape, "float64", dtype="<U8")
    for (i, r), (j, w) in product(enumerate(values["rate"]), enumerate(values["weight_decay"])):
        if progress is not None:
            progress(f"phase diagram: rate {float(r):.4g}, weight decay {float(w):.3g}")
        theorem = condition(model, kind, r, w) if own is None else None
        matrix = own
        if matrix is None:
            matrix = corruption_matrix(kind, model.n_classes, float(r), model.superclasses)
        population = model.population(matrix, float(w))  # one for all rounds, which it keeps
        theorem = theorem or matrix_condition(population)
        for h, t in enumerate(values["round"]):
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
    values = tuple(_exact(name, value) for value in (given if several else [given]))
    if not values or any(a >= b for a, b in pairwise(values)):
        raise InvalidSetting(f"{name} must be increasing and not empty, got {given!r}; sort it")
    return values
