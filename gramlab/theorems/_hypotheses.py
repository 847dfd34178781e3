"""Tests of hypotheses on an instance: what holds, and the number that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gramlab.theorems.form import Held, Instance

Test = Callable[[Instance], Held]


def above(key: str, symbol: str, least: float = 0.0, most: float = np.inf) -> Test:
    """Whether numbers of the instance are above one number and below another."""

    def test(instance: Instance) -> Held:
        values = np.ravel(np.asarray(instance[key], dtype=float))
        # The number nearest to leaving the range tells.
        worst = values[np.minimum(values - least, most - values).argmin()]
        return Held(bool(least < worst < most), f"{symbol} = {worst:.6g}")

    return test


def equals(key: str, symbol: str, wanted: Callable[[Instance], Any]) -> Test:
    """Whether a setting of the instance is the one wanted, to the last digit or two."""

    def test(instance: Instance) -> Held:
        expected = wanted(instance)
        told = instance.get(key)
        value = expected if told is None else told
        good = abs(value - expected) <= 4 * np.finfo(float).eps * abs(expected)
        return Held(bool(good), f"{symbol} = {value:.6g}, to be {expected:.6g}")

    return test


def all_of(*tests: Test) -> Test:
    """All of several tests, with what each found."""

    def test(instance: Instance) -> Held:
        found = [one(instance) for one in tests]
        return Held(all(one.holds for one in found), "; ".join(one.why for one in found))

    return test


def sums_to_one(instance: Instance) -> Held:
    """Whether rows of targets sum to 1, to their rounding."""
    targets = instance["targets"]
    missed = float(np.abs(targets.sum(axis=1) - 1).max())
    rounding = 2 * targets.shape[1] * np.finfo(float).eps * max(1.0, float(np.abs(targets).max()))
    return Held(missed <= rounding, f"row sums miss 1 by up to {missed:.3g}")


def nonnegative(instance: Instance) -> Held:
    """Whether no target is negative."""
    least = float(instance["targets"].min())
    return Held(least >= 0, f"least target {least:.3g}")


on_simplex = all_of(sums_to_one, nonnegative)
positive_decay = above("weight_decay", "λ")


def semidefinite(*keys: str) -> Test:
    """Whether symmetric matrices are positive semidefinite, as far as eigenvalues are known."""

    def test(instance: Instance) -> Held:
        found = []
        for key in keys:
            values = np.linalg.eigvalsh(instance[key])
            known = len(values) * np.finfo(float).eps * float(np.abs(values).max())
            found.append((float(values[0]), known, key))
        good = all(least >= -known for least, known, _ in found)
        return Held(good, "; ".join(f"λ_min({key}) = {least:.3g}" for least, _, key in found))

    return test
