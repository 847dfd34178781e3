"""Instances made of somebody's own features, matrices and settings.

A maker takes what users have in the words of the package and returns the instance that a check
reads. It refuses what has no meaning, such as a wrong shape; what a theorem supposes is left to the
tests of its hypotheses.
"""

from __future__ import annotations

import sys
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
from gramlab.theorems.form import Instance

FEATURES = "gramlab.Features, or rows (N, d)"
DECAY = "λ > 0 of the mean loss"
ROUNDS = "t, a whole number of at least 1"
WEIGHTS = "(d, K), any weights, such as those of a fit"
PROBLEM = {"features": FEATURES, "targets": "(N, K), rows on the simplex", "weight_decay": DECAY}
RIDGE = {"features": FEATURES, "labels": "(N,), real numbers", "weight_decay": DECAY}
SCALE = {"mu": "μ > 0, or instead of it weight_decay", "weight_decay": "λ > 0; μ = K N λ"}
MODEL = "gramlab.ClassBlockModel"
BLOCK = {
    "model": f"{MODEL}; N equations are solved in rationals, so N of some hundreds at most",
    "corruption": "(K, K), C[k, j] the share of class k with the given label j; n C in whole "
    "numbers",
    **SCALE,
}
BLOCK_ROUND = BLOCK | {"rounds": ROUNDS}
GRAM = "(N, N), symmetric, or gramlab.Features for their Gram matrix"


# ---- What is read --------------------------------------------------------------------------------


def real(name: str, value: object) -> float:
    """A finite number, else InvalidSetting."""
    return validation.check_finite(name, value)


def array(name: str, value: object, *shape: int | None) -> np.ndarray:
    """A finite array in float64 of that shape, ``None`` standing for any; else InvalidSetting."""
    found = validation.as_array(value, name, InvalidSetting)
    fits = found.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, found.shape, strict=True)
    )
    if not fits or found.dtype.kind not in "fiub" or not found.size:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise InvalidSetting(
            f"{name} must be real numbers of shape ({wanted}), got {found.dtype} of shape "
            f"{found.shape}; see the theorem's arguments"
        )
    result = found.astype(np.float64)
    message = f"{name} must be finite, got {{entry}}; check what produced it"
    validation.check_entries(result, np.isfinite, message, InvalidSetting)
    return result


def rows(features: object) -> np.ndarray:
    """Rows (N, d) in float64."""
    if isinstance(features, Features):
        return features.as_float64()
    return array("features", features, None, None)


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


def gram(name: str, value: object) -> np.ndarray:
    """A symmetric matrix, or the Gram matrix of features."""
    if isinstance(value, Features):
        x = value.as_float64()
        return x @ x.T
    found = array(name, value, None, None)
    found = array(name, found, len(found), len(found))
    off = np.abs(found - found.T)
    # Rounding of sums of N products; then the symmetric part is meant.
    if off.max() > len(found) * np.finfo(float).eps * np.abs(found).max():
        i, j = np.unravel_index(off.argmax(), found.shape)
        raise InvalidSetting(
            f"{name} must be symmetric, got {found[i, j]} at ({i}, {j}) and {found[j, i]} at "
            f"({j}, {i}); pass ({name} + {name}.T) / 2 if its symmetric part is meant"
        )
    return (found + found.T) / 2


def exact_mu(size: int, mu: object, weight_decay: object) -> Fraction:
    """μ as it is given, or K N λ where λ is; ``size`` is K N."""
    if (mu is None) == (weight_decay is None):
        raise InvalidSetting("pass either mu or weight_decay, got both or neither")
    if mu is not None:
        return exact_number("mu", mu)
    return size * exact_number("weight_decay", weight_decay)


def block_model(model: object) -> ClassBlockModel:
    """A block model, else InvalidSetting."""
    if not isinstance(model, ClassBlockModel):
        raise InvalidSetting(
            f"model must be a gramlab.ClassBlockModel, got {type(model).__name__}; make one of "
            "n_classes, samples_per_class and correlations"
        )
    return model


def corruption_of(model: ClassBlockModel, corruption: object) -> np.ndarray:
    """C (K, K), rows on the simplex."""
    k = model.n_classes
    return validation.check_targets(corruption, k, k, name="corruption")


# ---- Makers --------------------------------------------------------------------------------------


def problem(features: object, targets: object, weight_decay: object) -> dict[str, Any]:
    """Rows x, targets and λ."""
    x = rows(features)
    given = array("targets", targets, len(x), None)
    return {"x": x, "targets": given, "weight_decay": real("weight_decay", weight_decay)}


def weights_of(instance: Instance, name: str, weights: object) -> np.ndarray:
    """Weights (d, K) for a problem."""
    return array(name, weights, instance["x"].shape[1], instance["targets"].shape[1])


def solved(features: object, targets: object, weight_decay: object, weights: object) -> Instance:
    """A problem and weights for it."""
    instance = problem(features, targets, weight_decay)
    return {**instance, "weights": weights_of(instance, "weights", weights)}


def ridge(features: object, labels: object, weight_decay: object) -> dict[str, Any]:
    """Rows x, real labels y and λ."""
    x = rows(features)
    y = array("labels", labels, len(x))
    decay = real("weight_decay", weight_decay)
    check_condition(float(np.linalg.norm(x, 2)) ** 2, len(x) * decay, "N weight_decay", 3)
    return {"x": x, "y": y, "weight_decay": decay}


def penalized(features: object, penalty: object) -> tuple[np.ndarray, float]:
    """Rows x and the penalty of an unnormalized loss."""
    x, found = rows(features), real("penalty", penalty)
    check_condition(float(np.linalg.norm(x, 2)) ** 2, found, "penalty", 3)
    return x, found


def tempered(
    features: object,
    targets: object,
    weight_decay: object,
    temperature: object,
    rounds: int = 1,
    read_at: object = None,
    factor: object = None,
) -> Instance:
    """A problem at a temperature; ``factor`` of the loss only where it is told."""
    instance = problem(features, targets, weight_decay)
    tau = real("temperature", temperature)
    told = {} if factor is None else {"factor": real("factor", factor)}
    read = tau if read_at is None else real("read_at", read_at)
    chain = {"rounds": validation.check_integer("rounds", rounds, 1), "read_at": read}
    return {**instance, "temperature": tau, **chain, **told}


TEMPERED = PROBLEM | {
    "temperature": "τ > 0",
    "rounds": ROUNDS,
    "read_at": "temperature of what is passed on; τ unless told",
    "factor": "of the loss; what the theorem supposes unless told",
}


def logits(logits: object) -> Instance:
    """Logits (K,) of one row."""
    return {"logits": array("logits", logits, None)}


def block(
    model: object, corruption: object, mu: object = None, weight_decay: object = None
) -> dict[str, Any]:
    """The dense block of a model and a corruption matrix, in the rationals that they stand for."""
    found = block_model(model)
    k, n = found.n_classes, found.samples_per_class
    # The Gram matrix, its shift and its factors: each entry a reference to a rational.
    needed = 3 * found.n_samples**2 * (8 + sys.getsizeof(rational(Fraction(1, 3))))
    what = f"dense rational matrices of {found.n_samples} samples"
    check_memory(needed, what, "choose a smaller samples_per_class")
    shares = exact_corruption(corruption_of(found, corruption))
    counts = np.rint((n * shares).astype(float)).astype(int)
    missed = np.abs((n * shares).astype(float) - counts)
    # A share is known to a few roundings of it, so n of them to n as much.
    if missed.max() > 8 * n * np.finfo(float).eps or (counts.sum(axis=1) != n).any():
        i, j = np.unravel_index(missed.argmax(), missed.shape)
        raise InvalidSetting(
            f"n C[k, j] must be whole numbers, got {float(n * shares[i, j]):.6g} at k = {i}, j = "
            f"{j} for n = {n}; choose a samples_per_class that makes them so"
        )
    scale = exact_mu(k * found.n_samples, mu, weight_decay)
    between = found.superclass if found.superclass_size is None else found.between
    c, d, e = (
        rational(exact_number("correlation", x)) for x in (found.within, found.superclass, between)
    )
    return {"block": Block(counts.tolist(), found.superclass_size or k, c, d, e, rational(scale))}


def block_round(
    model: object,
    corruption: object,
    mu: object = None,
    weight_decay: object = None,
    rounds: int = 1,
) -> Instance:
    """A block and a round."""
    made = block(model, corruption, mu, weight_decay)
    return {**made, "t": validation.check_integer("rounds", rounds, 1)}
