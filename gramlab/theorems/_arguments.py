"""What theorems take of somebody's own features, matrices and settings.

A reader takes what users have in the words of the package and returns what a check reads. It
refuses what has no meaning, such as a wrong shape; what a theorem supposes is left to the tests of
its hypotheses. A letter of a shape stands for one size in all arguments of a theorem.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.machine.memory import check_memory
from gramlab.population import ClassBlockModel
from gramlab.population.exact_numbers import exact_corruption, exact_number, rational
from gramlab.theorems._block import Block
from gramlab.theorems.form import Argument, Instance

Sizes = dict[str, int]

# ---- Kinds of arguments, by their words ----------------------------------------------------------


def number(words: str, **more: Any) -> Argument:
    """A finite number."""
    return Argument(words, lambda name, value, _: validation.check_finite(name, value), **more)


def whole(words: str, least: int, most: str = "", **more: Any) -> Argument:
    """A whole number of at least that, and at most the size of a letter."""
    return Argument(
        words,
        lambda name, value, sizes: validation.check_integer(name, value, least, sizes.get(most)),
        **more,
    )


def flag(words: str, default: bool) -> Argument:
    """True or False."""

    def read(name: str, value: object, sizes: Sizes) -> bool:
        if not isinstance(value, (bool, np.bool_)):
            raise InvalidSetting(f"{name} must be True or False, got {value!r}; pass one of them")
        return bool(value)

    return Argument(words, read, default)


def array(words: str, *shape: str | int, least: str | int = 1, **more: Any) -> Argument:
    """A finite array in float64 of that shape; a number is taken for a vector of one entry.

    Where its first axis is of rounds they are at least as many as ``least`` says.
    """
    told = ", ".join(map(str, shape)) + "," * (len(shape) == 1)

    def read(name: str, value: object, sizes: Sizes) -> np.ndarray:
        return read_array(name, value, sizes, *shape, least=least)

    return Argument(f"({told}), {words}", read, **more)


def read_array(
    name: str, value: Any, sizes: Sizes, *shape: str | int, least: str | int = 1
) -> np.ndarray:
    """What ``array`` reads."""
    found = validation.as_array(value, name, InvalidSetting)
    if len(shape) == 1:
        found = np.atleast_1d(found)
    told = ", ".join(str(sizes.get(str(size), size)) for size in shape)
    fits = found.ndim == len(shape) and all(
        have == (sizes.setdefault(size, have) if isinstance(size, str) else size)
        for size, have in zip(shape, found.shape, strict=True)
    )
    if not fits or found.dtype.kind not in "fiub" or not found.size:
        raise InvalidSetting(
            f"{name} must be real numbers of shape ({told}), got {found.dtype} of shape "
            f"{found.shape}; see the theorem's arguments"
        )
    check_rounds(name, found, least, sizes)
    result = found.astype(np.float64)
    message = f"{name} must be finite, got {{entry}}; check what produced it"
    validation.check_entries(result, np.isfinite, message, InvalidSetting)
    return result


def check_rounds(name: str, found: Any, least: str | int, sizes: Sizes) -> None:
    """Refuse fewer rounds than that, or than the size of that letter."""
    wanted = sizes[least] if isinstance(least, str) else least
    if len(found) < wanted:
        letter = f"{least} = " if isinstance(least, str) else ""
        raise InvalidSetting(
            f"{name} must be of at least {letter}{wanted} rounds, got {len(found)}; see the "
            "theorem's arguments"
        )


def number_or(words: str, *shape: str, **more: Any) -> Argument:
    """A finite number, or a finite array of that shape."""

    def read(name: str, value: Any, sizes: Sizes) -> Any:
        if np.ndim(value):
            return read_array(name, value, sizes, *shape)
        return validation.check_finite(name, value)

    return Argument(words, read, **more)


def labels(words: str, rows: str = "N", classes: str | int = "K", **more: Any) -> Argument:
    """Classes from 0, one for each row."""

    def read(name: str, value: object, sizes: Sizes) -> np.ndarray:
        known = sizes.get(classes) if isinstance(classes, str) else classes
        found = validation.check_labels(value, sizes.get(rows), known, name)
        sizes.setdefault(rows, len(found))
        return found

    return Argument(f"({rows},), {words}", read, **more)


def corruption(words: str, **more: Any) -> Argument:
    """C, rows on the simplex."""
    square = array(words, "K", "K")

    def read(name: str, value: object, sizes: Sizes) -> np.ndarray:
        k = sizes.get("K")
        return square.read(name, validation.check_targets(value, k, k, name=name), sizes)

    return Argument(square.words, read, **more)


# ---- What is read --------------------------------------------------------------------------------


def _features(name: str, value: object, sizes: Sizes) -> np.ndarray:
    rows = value.as_float64() if isinstance(value, Features) else value
    return read_array(name, rows, sizes, "N", "d")


def _gram(name: str, value: object, sizes: Sizes) -> np.ndarray:
    """A symmetric matrix, or the Gram matrix of features."""
    if isinstance(value, Features):
        x = value.as_float64()
        value = x @ x.T
    found = read_array(name, value, sizes, "N", "N")
    off = np.abs(found - found.T)
    # Rounding of sums of N products; then the symmetric part is meant.
    if off.max() > len(found) * np.finfo(float).eps * np.abs(found).max():
        i, j = np.unravel_index(off.argmax(), found.shape)
        raise InvalidSetting(
            f"{name} must be symmetric, got {found[i, j]} at ({i}, {j}) and {found[j, i]} at "
            f"({j}, {i}); pass ({name} + {name}.T) / 2 if its symmetric part is meant"
        )
    return (found + found.T) / 2


def _model(name: str, value: object, sizes: Sizes) -> ClassBlockModel:
    if not isinstance(value, ClassBlockModel):
        raise InvalidSetting(
            f"{name} must be a gramlab.ClassBlockModel, got {type(value).__name__}; make one of "
            "n_classes, samples_per_class and correlations"
        )
    sizes.update(K=value.n_classes, N=value.n_samples)
    return value


FEATURES = Argument("gramlab.Features, or rows (N, d)", _features, key="x")
GRAM = Argument("(N, N), symmetric, or gramlab.Features for their Gram matrix", _gram)
DECAY = number("λ > 0 of the mean loss")
ROUNDS = whole("t, a whole number of at least 1; 1 unless told", 1, default=1)
WEIGHTS = array("any weights, such as those of a fit", "d", "K")
PROBLEM = {
    "features": FEATURES,
    "targets": array("rows on the simplex", "N", "K"),
    "weight_decay": DECAY,
}
SOLVED = PROBLEM | {"weights": WEIGHTS}
RIDGE = {"features": FEATURES, "labels": array("real numbers", "N", key="y"), "weight_decay": DECAY}
PENALTY = number("λ of the unnormalized loss, N times that of a mean loss")
MODEL = Argument("gramlab.ClassBlockModel", _model)
SCALE = {
    "mu": Argument("μ > 0, or instead of it weight_decay", default=None),
    "weight_decay": Argument("λ > 0; μ = K N λ", default=None),
}
BLOCK_MODEL = Argument(
    f"{MODEL}; N equations are solved in rationals, so N of some hundreds at most", _model
)
BLOCK = {
    "model": BLOCK_MODEL,
    "corruption": corruption(
        "C[k, j] the share of class k with the given label j; n C in whole numbers"
    ),
    **SCALE,
}
BLOCK_ROUND = BLOCK | {"rounds": replace(ROUNDS, key="t")}


# ---- What is made of it --------------------------------------------------------------------------


def check_condition(largest: float, shift: float, name: str, power: int) -> None:
    """Refuse a penalty for which κ^power·eps is above 1, with κ = 1 + largest/shift.

    A fit is known to κ·eps, half of its digits to ``power`` 2. How it changes with its penalty is
    of the order of 1/κ², so ``power`` 3 leaves a digit of that.
    """
    condition = 1 + largest / shift if shift > 0 else 1.0  # a hypothesis fails at 0 or below
    most = np.finfo(float).eps ** (-1 / power)
    if condition > most:
        raise InvalidSetting(
            f"{name} must be at least {largest / most:.3g} beside a largest eigenvalue of "
            f"{largest:.3g}, got {shift:.3g}; below it float64 does not tell both sides apart"
        )


def ridge(**made: Any) -> Instance:
    """A ridge problem that float64 can tell from its neighbours."""
    x, decay = made["x"], made["weight_decay"]
    check_condition(float(np.linalg.norm(x, 2)) ** 2, len(x) * decay, "N weight_decay", 3)
    return made


def penalized(**made: Any) -> Instance:
    """The same of an unnormalized loss."""
    check_condition(float(np.linalg.norm(made["x"], 2)) ** 2, made["penalty"], "penalty", 3)
    return made


def exact_mu(size: int, mu: object, weight_decay: object) -> Fraction:
    """μ as it is given, or K N λ where λ is; ``size`` is K N."""
    if (mu is None) == (weight_decay is None):
        raise InvalidSetting("pass either mu or weight_decay, got both or neither")
    if mu is not None:
        return exact_number("mu", mu)
    return size * exact_number("weight_decay", weight_decay)


def block(
    model: ClassBlockModel,
    corruption: np.ndarray,
    mu: object = None,
    weight_decay: object = None,
    **more: Any,
) -> Instance:
    """The dense block of a model and a corruption matrix, in the rationals that they stand for."""
    k, n = model.n_classes, model.samples_per_class
    # The Gram matrix, its shift and its factors: each entry a reference to a rational.
    needed = 3 * model.n_samples**2 * (8 + sys.getsizeof(rational(Fraction(1, 3))))
    what = f"dense rational matrices of {model.n_samples} samples"
    check_memory(needed, what, "choose a smaller samples_per_class")
    shares = exact_corruption(corruption)
    counts = np.rint((n * shares).astype(float)).astype(int)
    missed = np.abs((n * shares).astype(float) - counts)
    # A share is known to a few roundings of it, so n of them to n as much.
    if missed.max() > 8 * n * np.finfo(float).eps or (counts.sum(axis=1) != n).any():
        i, j = np.unravel_index(missed.argmax(), missed.shape)
        raise InvalidSetting(
            f"n C[k, j] must be whole numbers, got {float(n * shares[i, j]):.6g} at k = {i}, j = "
            f"{j} for n = {n}; choose a samples_per_class that makes them so"
        )
    scale = rational(exact_mu(k * model.n_samples, mu, weight_decay))
    between = model.superclass if model.superclass_size is None else model.between
    c, d, e = (
        rational(exact_number("correlation", x)) for x in (model.within, model.superclass, between)
    )
    return {"block": Block(counts.tolist(), model.superclass_size or k, c, d, e, scale), **more}
