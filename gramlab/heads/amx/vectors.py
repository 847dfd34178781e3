"""What jobs do with rows of float32 numbers, in loops that LLVM turns into vectors."""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["add", "add_multiple", "rounded", "sum_of_squares"]


@njit(inline="always")
def rounded(bits):
    """The nearest bfloat16 number to that of float32 bits, in the upper half; ties to even."""
    return (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )


@njit(fastmath={"reassoc", "contract"})
def sum_of_squares(values):
    """Σ v²."""
    found = np.float32(0.0)
    for i in range(len(values)):
        found += values[i] * values[i]
    return found


@njit
def add(to, values):
    """To += values."""
    for i in range(len(to)):
        to[i] += values[i]


@njit(fastmath={"contract"})
def add_multiple(to, values, others, factor):
    """To = values + factor · others."""
    for i in range(len(to)):
        to[i] = values[i] + factor * others[i]
